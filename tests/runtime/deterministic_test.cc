// SessionOptions::deterministic: random models of every kernel that splits work, on few threads and
// many, give the same bits. SLUICE_RANDOM_MODELS says how many models.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <random>

#include "absl/strings/str_cat.h"
#include "graph/builder.h"
#include "graph/text.h"
#include "ops/op.h"
#include "runtime/session.h"

namespace sluice {
namespace {

using Ints = std::vector<int64_t>;

class RandomModel {
 public:
  explicit RandomModel(uint32_t seed) : random_(seed), graph_(StandardOps()), b_(&graph_) {}

  // Images through convolutions, pools and norms, then rows through products, sums and recurrence.
  void Build() {
    Dims dims = {OneOf({1, 1, 2, 5}), OneOf({1, 3, 8, 16, 24, 33})};
    const int rank = static_cast<int>(OneOf({1, 2, 2, 2, 3}));
    for (int i = 0; i < rank; ++i)
      dims.push_back(OneOf({5, 7, 8, 12, 16, 30}) / (rank == 3 ? 2 : 1) + 1);
    Value* x = Input(dims);
    for (int64_t i = OneOf({0, 1, 2, 3}); i > 0; --i) x = ImageStep(x);
    const Dims d = DimsOf(x);
    x = b_.Op("Reshape", {x, b_.Ints({d[0] * d[1], -1})});
    for (int64_t i = OneOf({1, 2, 4}); i > 0; --i) x = RowStep(x);
    b_.Output(x, "y");
    // Branches that may run side by side.
    if (Chance(2)) b_.Output(RowStep(RowStep(x)), "left");
    if (Chance(2)) b_.Output(RowStep(RowStep(x)), "right");
  }

  const Graph& graph() const { return graph_; }
  const Feeds& feeds() const { return feeds_; }
  const absl::Status& status() const { return b_.status(); }

 private:
  int64_t OneOf(std::initializer_list<int64_t> list) {
    return list.begin()[random_() % list.size()];
  }
  bool Chance(uint32_t n) { return random_() % n == 0; }
  Dims DimsOf(Value* v) { return v == nullptr ? Dims{1, 1, 1, 1, 1} : *v->type().StaticDims(); }
  Tensor Random(const Dims& dims) { return *Tensor::Random(DType::kF32, dims, {random_(), 1, 0}); }
  Value* Constant(const Dims& dims) { return b_.Constant(Random(dims)); }
  Value* Input(const Dims& dims) {
    const std::string name = absl::StrCat("in", feeds_.size());
    feeds_.push_back({name, Random(dims)});
    return b_.Input(name, Type::Of(feeds_.back().second));
  }

  Value* ImageStep(Value* x) {
    const Dims d = DimsOf(x);
    const size_t rank = d.size() - 2;
    const auto all = [&](int64_t n, size_t times = 1) { return Ints(rank * times, n); };
    const int64_t taps = OneOf({1, 3, 3, 5}), c = d[1];
    switch (OneOf({0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7})) {
      case 0: {
        const int64_t group = Chance(3) ? c : c % 4 == 0 && Chance(2) ? 4 : 1;
        const int64_t features = group * OneOf({1, 2, 8, 17}) / (group > 8 ? 2 : 1);
        Dims w = {std::max<int64_t>(1, features / group) * group, c / group};
        w.insert(w.end(), rank, taps);
        Value* filters = Chance(4) ? Input(w) : Constant(w);
        Value* y = b_.Op("Conv", {x, filters, Chance(2) ? Constant({w[0]}) : nullptr},
                         {{"group", group},
                          {"pads", all(taps / 2 + OneOf({0, 0, 1}), 2)},
                          {"strides", all(OneOf({1, 1, 2}))}});
        return Chance(2) ? b_.Op("Relu", {y}) : y;
      }
      case 1: {
        Dims w = {c, OneOf({1, 8, 12})};
        w.insert(w.end(), rank, taps);
        return b_.Op("ConvTranspose", {x, Constant(w)},
                     {{"pads", all(taps / 2, 2)}, {"strides", all(OneOf({1, 2}))}});
      }
      case 2:
        return b_.Op(
            Chance(2) ? "AveragePool" : "MaxPool", {x},
            {{"kernel_shape", all(3)}, {"pads", all(1, 2)}, {"strides", all(OneOf({1, 2}))}});
      case 3: {  // squeeze and excite
        Value* mean = b_.Op("GlobalAveragePool", {x});
        return b_.Op("Mul", {x, b_.Op("Sigmoid", {mean})});
      }
      case 4:
        return b_.Op("InstanceNormalization", {x, Constant({c}), Constant({c})});
      case 5:
        return b_.Op("Concat", {x, b_.Op("Tanh", {x})}, {{"axis", int64_t{1}}});
      case 6:
        return b_.Op("Add", {x, b_.Op("Softmax", {x}, {{"axis", int64_t{1}}})});
      default: {
        Value* as_bf16 = b_.Op("Cast", {x}, {{"to", DType::kBF16}});
        Dims w = {OneOf({4, 16}), c};
        w.insert(w.end(), rank, 3);
        Value* filters = b_.Op("Cast", {Constant(w)}, {{"to", DType::kBF16}});
        Value* y = b_.Op("Conv", {as_bf16, filters}, {{"pads", all(1, 2)}});
        return b_.Op("Cast", {y}, {{"to", DType::kF32}});
      }
    }
  }

  Value* RowStep(Value* x) {
    const Dims d = DimsOf(x);
    const int64_t rows = d[0], k = d[1], n = OneOf({1, 5, 16, 40, 100});
    const auto reduced = [&](const char* op, int64_t axis) {
      return b_.Op(op, {x, b_.Ints({axis})}, {{"keepdims", int64_t{1}}});
    };
    switch (OneOf({0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})) {
      case 0:
        return b_.Op("MatMul", {x, Chance(3) ? Input({k, n}) : Constant({k, n})});
      case 1:
        return b_.Op("Relu", {b_.Op("Gemm", {x, Constant({n, k}), Constant({n})},
                                    {{"transB", int64_t{1}}})});
      case 2:
        return b_.Op("LayerNormalization", {x, Constant({k}), Constant({k})});
      case 3:
        return b_.Op(Chance(2) ? "Softmax" : "LogSoftmax", {x}, {{"axis", OneOf({0, 1})}});
      case 4:
        return b_.Op("Sub", {x, reduced(Chance(2) ? "ReduceMean" : "ReduceSum", OneOf({0, 1}))});
      case 5:
        return b_.Op("Div",
                     {x, b_.Op("Add", {reduced("ReduceL2", OneOf({0, 1})), b_.Scalar(1.0f)})});
      case 6:
        return b_.Op("MatMul", {b_.Op("Transpose", {x}, {{"perm", Ints{1, 0}}}), x});
      case 7: {  // rows known by the data alone
        Value* sums = b_.Op("ReduceMax", {x, b_.Ints({1})}, {{"keepdims", int64_t{0}}});
        Value* some = b_.Op("NonZero", {b_.Op("Greater", {sums, b_.Scalar(0.3f)})});
        Value* picked = b_.Op("Gather", {x, b_.Op("Reshape", {some, b_.Ints({-1})})});
        Value* total =
            b_.Op("ReduceSum", {b_.Op("MatMul", {picked, Constant({k, n})}), b_.Ints({0})},
                  {{"keepdims", int64_t{1}}});
        Value* out = b_.Op("Expand", {total, b_.Ints({3, n})});
        return b_.Op("Reshape", {out, b_.Ints({3, n})});
      }
      case 8: {
        if (k > 128) return b_.Op("Gelu", {x});
        const bool lstm = Chance(2);
        const int64_t hidden = OneOf({4, 16, 24}), gates = lstm ? 4 : 3;
        Value* steps = b_.Op("Reshape", {x, b_.Ints({rows, 1, k})});
        Value* y =
            b_.Op(lstm ? "LSTM" : "GRU",
                  {steps, Constant({1, gates * hidden, k}), Constant({1, gates * hidden, hidden})},
                  {{"hidden_size", hidden}});
        return b_.Op("Reshape", {y, b_.Ints({rows, hidden})});
      }
      case 9: {  // attention of the rows to each other
        const Ints heads = {1, 1, rows, k};
        Value* q = b_.Op("Reshape", {x, b_.Ints(heads)});
        Value* keys = b_.Op("Transpose", {q}, {{"perm", Ints{0, 1, 3, 2}}});
        Value* scores = b_.Op("Mul", {b_.Op("MatMul", {q, keys}), b_.Scalar(0.125f)});
        Value* mixed = b_.Op("MatMul", {b_.Op("Softmax", {scores}), q});
        return b_.Op("Reshape", {mixed, b_.Ints({rows, k})});
      }
      case 10:
        return b_.Op("CumSum", {x, b_.Constant(Tensor::Scalar<int64_t>(OneOf({0, 1})))});
      default:
        return b_.Op("Gelu", {b_.Op("Add", {x, Constant({1, k})})});
    }
  }

  std::mt19937 random_;
  Graph graph_;
  GraphBuilder b_;
  Feeds feeds_;
};

TEST(Deterministic, RandomModelsGiveTheSameBitsOnAnyNumberOfThreads) {
  const char* more = std::getenv("SLUICE_RANDOM_MODELS");
  const int models = more == nullptr ? 40 : std::atoi(more);
  for (int seed = 0; seed < models; ++seed) {
    RandomModel model(static_cast<uint32_t>(seed));
    model.Build();
    ASSERT_TRUE(model.status().ok()) << seed << ": " << model.status();
    std::vector<Tensor> expected;
    for (int threads : {1, 2, 3, 5}) {
      auto session = Session::Create(model.graph(), {.threads = threads, .deterministic = true});
      ASSERT_TRUE(session.ok()) << session.status();
      auto results = (*session)->Run(model.feeds());
      ASSERT_TRUE(results.ok()) << seed << ": " << results.status();
      if (threads == 1) {
        expected = *std::move(results);
        continue;
      }
      for (size_t i = 0; i < expected.size(); ++i) {
        ASSERT_EQ((*results)[i].TypeString(), expected[i].TypeString());
        ASSERT_EQ(std::memcmp((*results)[i].raw(), expected[i].raw(), expected[i].bytes()), 0)
            << "model " << seed << ", output " << i << ", " << threads << " threads\n"
            << Print(model.graph());
      }
    }
  }
}

}  // namespace
}  // namespace sluice
