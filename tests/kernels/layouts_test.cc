// Every op that may run channels last gives the numbers of its plain form.
#include "kernels/cpu/layout/layouts.h"

#include "gtest/gtest.h"
#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/layout/strided_copy.h"
#include "ops/op.h"
#include "tests/testing/run_op.h"

namespace sluice::cpu {
namespace {

Tensor Ints(const std::vector<int64_t>& values) {
  return MakeTensor<int64_t>({static_cast<int64_t>(values.size())}, values);
}
Tensor Random(absl::Span<const int64_t> dims, uint64_t seed = 1) {
  return *Tensor::Random(DType::kF32, dims, {.seed = seed, .scale = 2});
}

// The same elements, moved from one order of memory to the other.
Tensor Moved(const Tensor& t, Layout from, Layout to) {
  const Dims dims(t.dims().begin(), t.dims().end());
  Tensor out = *Tensor::Allocate(t.dtype(), t.dims());
  StridedCopy(t.dtype(), dims, MemoryStrides(dims, from), MemoryStrides(dims, to))
      .Run(t.raw(), out.mutable_raw(), nullptr);
  return out;
}

struct Case {
  const char* op;
  std::vector<Tensor> inputs;
  AttrList attrs = {};
  size_t outputs = 1;
  bool plain_image = false;  // the first input stays plain
};

// Runs the case in the form that ChannelsLastForm() gives (`laid_out`), or plain.
std::vector<Tensor> Compute(const Case& c, bool laid_out, int threads, std::string* description) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  std::vector<Value*> values;
  for (const Tensor& t : c.inputs) {
    // Lists, weights and numbers are constants; activations are fed.
    const bool fed = t.valid() && IsFloat(t.dtype()) && t.rank() > 2;
    values.push_back(!t.valid() ? nullptr
                     : fed      ? b.Input(absl::StrCat("x", values.size()), Type::Of(t))
                                : b.Constant(t));
  }
  const std::vector<Value*> outputs = b.OpN(c.op, values, c.outputs, c.attrs);
  EXPECT_TRUE(b.status().ok()) << b.status();
  if (!b.status().ok()) return {};
  const Node& node = *outputs[0]->producer();
  LayoutForm form{std::vector<bool>(c.inputs.size()), std::vector<bool>(c.outputs)};
  if (laid_out) {
    absl::StatusOr<LayoutForm> known = ChannelsLastForm(node);
    EXPECT_TRUE(known.ok()) << known.status();
    if (!known.ok()) return {};
    form = *known;
    if (c.plain_image) form.inputs[0] = false;
  }
  const auto layout = [](bool last) { return last ? Layout::kChannelsLast : Layout::kPlain; };
  PrepareContext context{.node = node, .inputs = {}, .outputs = {}, .constants = {}};
  context.threads = threads;
  std::vector<Tensor> in, out;
  for (size_t i = 0; i < values.size(); ++i) {
    const bool valid = c.inputs[i].valid();
    context.inputs.push_back(valid ? values[i]->type() : Type());
    if (form.inputs[i]) context.inputs.back() = WithLayout(context.inputs.back(), layout(true));
    context.constants.push_back(valid && values[i]->constant() && !form.inputs[i] ? c.inputs[i]
                                                                                  : Tensor());
    in.push_back(form.inputs[i] ? Moved(c.inputs[i], Layout::kPlain, Layout::kChannelsLast)
                                : c.inputs[i]);
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    context.outputs.push_back(WithLayout(outputs[i]->type(), layout(form.outputs[i])));
    out.push_back(*Tensor::Allocate(outputs[i]->type().dtype(), *outputs[i]->type().StaticDims()));
  }
  const auto prepare = [](const PrepareContext& p) { return CpuKernels().Prepare(p); };
  absl::StatusOr<std::unique_ptr<Kernel>> kernel = PrepareInLayouts(context, prepare);
  EXPECT_TRUE(kernel.ok()) << kernel.status();
  if (!kernel.ok()) return {};
  *description = (*kernel)->Description();
  std::vector<const void*> from;
  std::vector<void*> to;
  for (const Tensor& t : in) from.push_back(t.valid() ? t.raw() : nullptr);
  for (Tensor& t : out) to.push_back(t.mutable_raw());
  Tensor scratch =
      *Tensor::Allocate(DType::kU8, {static_cast<int64_t>((*kernel)->scratch_bytes()) + 1});
  ThreadPool pool(threads);
  const LaunchContext launch{from, to, scratch.mutable_raw(), &pool, nullptr};
  EXPECT_TRUE((*kernel)->Launch(launch).ok());
  for (size_t i = 0; i < out.size(); ++i) {
    if (form.outputs[i]) out[i] = Moved(out[i], Layout::kChannelsLast, Layout::kPlain);
  }
  return out;
}

std::vector<Case> Cases() {
  const Tensor x = Random({2, 24, 9, 7}), w = Random({16, 24, 3, 3}, 2), b = Random({16}, 3);
  const std::vector<int64_t> ones = {1, 1, 1, 1}, three = {3, 3};
  const Tensor channel = Random({24, 1, 1}, 4), full = Random({2, 16, 9, 7}, 5);
  return {
      {"Conv", {x, w, b}, {{"pads", ones}}},
      {"Conv", {Random({2, 24, 9}), Random({16, 24, 3}, 2)}, {}},
      {"Conv", {Random({1, 8, 5, 6, 7}), Random({16, 8, 3, 3, 3}, 2), b}, {}},
      {"Conv", {x, Random({24, 1, 3, 3}, 2)}, {{"group", 24}, {"pads", ones}}},
      {"Conv", {Random({2, 3, 9, 7}), Random({16, 3, 3, 3}, 2), b}, {}},
      {.op = "Conv",
       .inputs = {Random({2, 3, 9, 7}), Random({16, 3, 3, 3}, 2), b},
       .plain_image = true},
      {"Conv", {Random({2, 24, 1, 1}), Random({16, 24, 1, 1}, 2), b}},
      {"Conv", {Random({2, 24, 3, 3}), w, b}},
      {"FusedConv",
       {x, w, b, full},
       {{"pads", ones}, {"activations", std::vector<std::string>{"Add", "Relu"}}}},
      {"FusedConv",
       {x, w, b, full},
       {{"pads", ones}, {"activations", std::vector<std::string>{"Floor", "Add", "HardSwish"}}}},
      {"FusedConv",
       {x, w, b, Random({2, 16, 1, 1}, 5), Random({16, 1, 1}, 6)},
       {{"pads", ones}, {"activations", std::vector<std::string>{"Mul", "Softsign", "Sub"}}}},
      {"ConvTranspose",
       {x, Random({24, 16, 2, 2}, 2), b},
       {{"strides", std::vector<int64_t>{2, 2}}}},
      {"MaxPool",
       {x},
       {{"kernel_shape", three}, {"pads", ones}, {"strides", std::vector<int64_t>{2, 2}}}},
      {"MaxPool", {x}, {{"kernel_shape", three}, {"dilations", std::vector<int64_t>{2, 2}}}},
      {"MaxPool",
       {x},
       {{"kernel_shape", three}, {"ceil_mode", 1}, {"strides", std::vector<int64_t>{2, 2}}}},
      {"AveragePool", {x}, {{"kernel_shape", three}, {"pads", ones}}},
      {"AveragePool", {x}, {{"kernel_shape", three}, {"pads", ones}, {"count_include_pad", 1}}},
      {"AveragePool",
       {x},
       {{"kernel_shape", three},
        {"pads", ones},
        {"ceil_mode", 1},
        {"count_include_pad", 1},
        {"strides", std::vector<int64_t>{2, 2}}}},
      {"FusedMaxPool",
       {x, Random({2, 24, 7, 5}, 5), channel},
       {{"kernel_shape", three}, {"activations", std::vector<std::string>{"Add", "Relu", "Mul"}}}},
      {"FusedAveragePool",
       {x, channel, Random({2, 24, 9, 7}, 5)},
       {{"kernel_shape", three},
        {"pads", ones},
        {"activations", std::vector<std::string>{"Softsign", "Mul", "Sub"}}}},
      {"GlobalAveragePool", {x}},
      {"GlobalMaxPool", {x}},
      {"BatchNormalization",
       {x, Random({24}, 2), Random({24}, 3), Random({24}, 4),
        MakeTensor<float>({24}, std::vector<float>(24, 0.5f))}},
      {"Relu", {x}},
      {"Add", {x, channel}},
      {"Add", {x, Random({9, 7}, 4)}},
      {"Mul", {x, Random({2, 24, 1, 1}, 7)}},
      {"Mul", {Random({2, 1, 9, 7}, 7), Random({2, 24, 9, 7}, 2)}},
      {"Add", {Random({1, 24, 9, 1}, 7), MakeTensor<float>({}, {2})}},
      {"Clip", {x, MakeTensor<float>({}, {-1}), MakeTensor<float>({}, {1})}},
      {"Concat", {x, Random({2, 5, 9, 7}, 2), Random({2, 1, 9, 7}, 3)}, {{"axis", 1}}},
      {"Concat", {x, Random({2, 24, 2, 7}, 2)}, {{"axis", -2}}},
      {"Split", {x}, {{"axis", 1}}, 3},
      {"Softmax", {x}, {{"axis", 1}}},
      {"Pad", {x, Ints({0, 1, 2, 0, 0, 0, 1, 3})}},
      {"Pad", {x, Ints({1, 2, 1, 1}), Tensor(), Ints({-1, 2})}, {{"mode", "reflect"}}},
      {"Slice", {x, Ints({1, 2}), Ints({20, 8}), Ints({1, -2}), Ints({3, 1})}},
      {"Resize", {x, Tensor(), MakeTensor<float>({4}, {1, 1, 2, 2})}},
      {"Resize", {x, Tensor(), Tensor(), Ints({2, 24, 13, 10})}, {{"mode", "linear"}}},
      {"ReduceMean", {x, Ints({2, 3})}},
      {"ReduceMean", {x, Ints({-1, -2})}, {{"keepdims", 0}}},
      {"ReduceMax", {x, Ints({1})}, {{"keepdims", 0}}},
      {"ReduceSum", {x}, {{"keepdims", 0}}},
      {"Transpose", {x}, {{"perm", std::vector<int64_t>{0, 2, 3, 1}}}},
      {"Transpose", {x}, {{"perm", std::vector<int64_t>{0, 3, 1, 2}}}},
      {"Transpose", {x}, {{"perm", std::vector<int64_t>{0, 1, 3, 2}}}},
      {"Transpose", {x}, {{"perm", std::vector<int64_t>{3, 1, 0, 2}}}},
      {"Transpose", {Random({2, 24, 9})}, {{"perm", std::vector<int64_t>{0, 2, 1}}}},
      {"Reshape", {x, Ints({2, 24, 63})}},
      {"Reshape", {x, Ints({2, 24, 3, 3, 7})}},
  };
}

TEST(Layouts, ChannelsLastEqualsPlain) {
  for (const Case& c : Cases()) {
    for (int threads : {1, 2}) {
      std::string plain, last;
      const std::vector<Tensor> expected = Compute(c, false, threads, &plain);
      const std::vector<Tensor> actual = Compute(c, true, threads, &last);
      std::string what = absl::StrCat(c.op, ": ", plain, " against ", last);
      if (threads == 1) std::printf("%s\n", what.c_str());
      ASSERT_EQ(expected.size(), actual.size()) << what;
      for (size_t i = 0; i < expected.size(); ++i) {
        double worst = 0, largest = 1e-6;
        for (int64_t k = 0; k < expected[i].elements(); ++k) {
          const double e = expected[i].data<float>()[k], a = actual[i].data<float>()[k];
          worst = std::max(worst, std::abs(a - e));
          largest = std::max(largest, std::abs(e));
        }
        EXPECT_LE(worst / largest, 1e-5) << what << ", output " << i;
      }
    }
  }
}

TEST(Layouts, OpsThatMeanAnotherThingAreRefused) {
  const Case c{"Add", {Random({2, 24, 9, 7}), Random({24, 9, 7}, 2)}};
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  Value* y = b.Op("Add", {b.Constant(c.inputs[0]), b.Constant(c.inputs[1])});
  ASSERT_TRUE(b.status().ok());
  const auto form = ChannelsLastForm(*y->producer());
  EXPECT_EQ(form.status().message(),
            "input 1 of shape [24,9,7] has channels and what is behind them but no batch");
}

}  // namespace
}  // namespace sluice::cpu
