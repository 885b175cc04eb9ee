// What ops say of their rows (OpDef::row_wise), held against what they compute: wherever
// IsRowWise() agrees, the op on one row gives that row of the op on all.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>

#include "absl/strings/str_cat.h"
#include "graph/infer.h"
#include "runtime/evaluate.h"
#include "runtime/slices.h"
#include "tests/ops/every_op.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

constexpr int64_t kBatch = 2;

struct Case {
  std::string op;
  std::vector<Tensor> inputs;
  AttrList attrs = {};
  size_t outputs = 1;
};

// Different numbers everywhere, so that a row taken for another shows.
Tensor Numbers(const Tensor& like, uint64_t seed) {
  if (!IsFloat(like.dtype())) return like;
  return *Tensor::Random(like.dtype(), like.dims(), {.seed = seed, .scale = 0.5, .offset = 1});
}
Tensor F32(const Dims& dims) { return Ones(DType::kF32, dims); }
Tensor Ints(std::vector<int64_t> values) {
  return Tensor::FromSpan<int64_t>({static_cast<int64_t>(values.size())}, values);
}

Tensor Row(const Tensor& t, int64_t row) {
  Dims dims(t.dims().begin(), t.dims().end());
  const size_t bytes = t.bytes() / static_cast<size_t>(dims[0]);
  dims[0] = 1;
  return Tensor::Wrap(t.dtype(), dims, static_cast<const char*>(t.raw()) + row * bytes, t.owner());
}

// The node in a graph of its own; null where it does not fit. Rows are fed, the rest is constant.
Node* Build(const Case& c, absl::Span<const Tensor> inputs, const std::vector<bool>& rows,
            Graph* graph) {
  GraphBuilder b(graph);
  std::vector<Value*> values;
  for (size_t i = 0; i < inputs.size(); ++i) {
    values.push_back(!inputs[i].valid() ? nullptr
                     : rows[i]          ? b.Input(absl::StrCat("x", i), Type::Of(inputs[i]))
                                        : b.Constant(inputs[i]));
  }
  const std::vector<Value*> out = b.OpN(c.op, values, c.outputs, c.attrs);
  for (Value* v : out) {
    if (v != nullptr) b.Output(v);
  }
  if (!b.status().ok() || !Verify(*graph).ok()) return nullptr;
  return out[0]->producer();
}

bool Near(const Tensor& a, const Tensor& b) {
  if (!(Type::Of(a) == Type::Of(b))) return false;
  if (a.dtype() != DType::kF32) return std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
  for (int64_t i = 0; i < a.elements(); ++i) {
    const float x = a.data<float>()[i], y = b.data<float>()[i];
    if (!(std::abs(x - y) <= 1e-5f * std::max(1.f, std::abs(y))) &&
        !(std::isnan(x) && std::isnan(y)))
      return false;
  }
  return true;
}

// Tries every choice of the inputs that have rows. Returns how many were row-wise.
int Try(Case c) {
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    if (c.inputs[i].valid()) c.inputs[i] = Numbers(c.inputs[i], i + 1);
  }
  ThreadPool pool(1);
  int found = 0;
  for (uint32_t choice = 1; choice < 1u << std::min<size_t>(c.inputs.size(), 5); ++choice) {
    std::vector<bool> rows;
    bool possible = true;
    for (size_t i = 0; i < c.inputs.size(); ++i) {
      rows.push_back((choice >> i & 1) != 0);
      if (!rows[i]) continue;
      const Tensor& t = c.inputs[i];
      possible &= t.valid() && t.rank() > 0 && t.dims()[0] == kBatch;
    }
    if (!possible) continue;
    Graph graph(StandardOps());
    const Node* whole = Build(c, c.inputs, rows, &graph);
    if (whole == nullptr) continue;
    absl::StatusOr<std::vector<Tensor>> all = EvaluateNode(*whole, c.inputs, INT64_MAX, &pool);
    for (int64_t row = 0; row < kBatch; ++row) {
      std::vector<Tensor> inputs = c.inputs;
      for (size_t i = 0; i < inputs.size(); ++i) {
        if (rows[i]) inputs[i] = Row(inputs[i], row);
      }
      Graph part_graph(StandardOps());
      const Node* part = Build(c, inputs, rows, &part_graph);
      if (part == nullptr || !IsRowWise(*whole, *part, kBatch, 1)) continue;
      absl::StatusOr<std::vector<Tensor>> one = EvaluateNode(*part, inputs, INT64_MAX, &pool);
      EXPECT_EQ(all.ok(), one.ok()) << NodeToString(*whole) << all.status() << one.status();
      if (!all.ok() || !one.ok()) continue;
      ++found;
      for (size_t i = 0; i < one->size(); ++i) {
        EXPECT_TRUE(Near((*one)[i], Row((*all)[i], row)))
            << NodeToString(*whole) << "\nrow " << row << " of output " << i << " is "
            << Row((*all)[i], row).ToString() << ", alone " << (*one)[i].ToString();
      }
    }
  }
  return found;
}

std::vector<Case> Special() {
  std::vector<Case> cases;
  for (const auto& shape :
       std::vector<std::vector<int64_t>>{{2, 6}, {2, -1}, {0, 6}, {-1, 6}, {6, 2}})
    cases.push_back({"Reshape", {F32({2, 3, 2}), Ints(shape)}});
  for (const auto& perm : std::vector<std::vector<int64_t>>{{0, 2, 1}, {2, 1, 0}, {1, 0, 2}})
    cases.push_back({"Transpose", {F32({2, 2, 2})}, {{"perm", perm}}});
  for (int64_t axis : {0, 1}) {
    cases.push_back({"Split", {F32({2, 2})}, {{"axis", axis}, {"num_outputs", 2}}, 2});
    cases.push_back({"Unsqueeze", {F32({2, 3}), Ints({axis})}});
    for (int64_t keep : {0, 1}) {
      for (const char* op :
           {"ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum", "ReduceProd", "ReduceL1",
            "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"})
        cases.push_back({op, {F32({2, 2, 2}), Ints({axis})}, {{"keepdims", keep}}});
    }
  }
  cases.push_back({"Squeeze", {F32({2, 1, 3}), Ints({1})}});
  cases.push_back({"Squeeze", {F32({2, 1, 3})}});
  cases.push_back(
      {"MaxPool", {F32({2, 2, 3, 3})}, {{"kernel_shape", std::vector<int64_t>{2, 2}}}, 2});
  for (const std::vector<float>& scales :
       {std::vector<float>{1, 1, 2, 2}, {1.4f, 1, 1, 1}, {1.4f, 1, 2, 2}, {0.8f, 1, 1, 1}}) {
    const Tensor t = Tensor::FromSpan<float>({4}, scales);
    cases.push_back({"Resize", {F32({2, 1, 3, 3}), Tensor(), t}, {{"mode", "linear"}}});
  }
  cases.push_back({"Resize", {F32({2, 1, 3, 3}), Tensor(), Tensor(), Ints({2, 1, 5, 6})}});
  cases.push_back({"Resize",
                   {F32({2, 1, 3, 3}), Tensor(), Tensor(), Ints({5, 6})},
                   {{"axes", std::vector<int64_t>{2, 3}}, {"mode", "cubic"}}});
  // Operands of fewer axes, whose axis 0 is another one of the result.
  const std::vector<Dims> shapes = {{2},       {2, 1},    {2, 2},    {1, 2},
                                    {2, 1, 1}, {2, 2, 1}, {2, 1, 2}, {2, 2, 2}};
  for (const Dims& a : shapes) {
    for (const Dims& b : shapes) {
      for (const char* op : {"Add", "Sub", "MatMul", "PRelu"})
        cases.push_back({op, {F32(a), F32(b)}});
      cases.push_back({"Where", {Ones(DType::kBool, {2, 2}), F32(a), F32(b)}});
      cases.push_back({"FusedMatMul",
                       {F32({2, 2, 2}), F32(a), Tensor(), F32(b)},
                       {{"activations", std::vector<std::string>{"Add"}}}});
    }
    for (int64_t trans : {0, 1})
      cases.push_back({"Gemm", {F32({2, 2}), F32({2, 2}), F32(a)}, {{"transA", trans}}});
    cases.push_back({"FusedConv",
                     {F32({2, 2, 2, 2}), F32({2, 2, 1, 1}), Tensor(), F32(a)},
                     {{"activations", std::vector<std::string>{"Add"}}}});
    cases.push_back({"FusedConvTranspose",
                     {F32({2, 2, 2, 2}), F32({2, 2, 2, 2}), Tensor(), F32(a)},
                     {{"activations", std::vector<std::string>{"Add"}}}});
    for (const char* op : {"FusedMaxPool", "FusedAveragePool"})
      cases.push_back({op,
                       {F32({2, 2, 2, 2}), F32(a)},
                       {{"activations", std::vector<std::string>{"Add"}},
                        {"kernel_shape", std::vector<int64_t>{1, 1}}}});
  }
  return cases;
}

TEST(RowWise, EveryOpKeepsItsWord) {
  std::set<std::string> silent;  // declared, but never seen
  for (const OpDef* op : PlainOps()) {
    if (op->effects != 0 || !(op->elementwise || op->row_wise != nullptr)) continue;
    std::vector<AttrList> lists = {BaseAttrs(op->name)};
    const auto vary = [&](const char* attr, std::initializer_list<int64_t> values) {
      if (op->FindAttr(attr) == nullptr) return;
      for (int64_t v : values) {
        AttrList list = BaseAttrs(op->name);
        std::erase_if(list, [&](const auto& a) { return a.first == attr; });
        list.emplace_back(attr, v);
        lists.push_back(std::move(list));
      }
    };
    vary("axis", {-2, -1, 0, 1});
    vary("training_mode", {0, 1});
    int found = 0;
    for (const AttrList& attrs : lists) {
      for (const std::vector<Tensor>& inputs : InputSets(*op)) {
        for (size_t outputs = 1; outputs <= std::max<size_t>(op->outputs.size(), 1); ++outputs)
          found += Try({op->name, inputs, attrs, outputs});
      }
    }
    if (found == 0) silent.insert(op->name);
  }
  for (const Case& c : Special()) {
    if (Try(c) > 0) silent.erase(c.op);
  }
  // Their inputs want more care than this; tests/models/run_test.cc has a quantized network.
  EXPECT_EQ(silent, (std::set<std::string>{"QLinearConv", "QuantizedConv", "QuantizedMatMul"}));
}

TEST(RowWise, AttributesAndOutputsDecide) {
  const auto tried = [](Case c) { return Try(std::move(c)) > 0; };
  EXPECT_TRUE(tried({"Softmax", {F32({2, 3})}, {{"axis", 1}}}));
  EXPECT_FALSE(tried({"Softmax", {F32({2, 3})}, {{"axis", 0}}}));
  EXPECT_FALSE(tried({"Softmax", {F32({2, 3})}, {{"axis", -2}}}));
  EXPECT_FALSE(tried({"LayerNormalization", {F32({2, 3}), F32({2, 3})}, {{"axis", 0}}}));
  const AttrList pool = {{"kernel_shape", std::vector<int64_t>{2, 2}}};
  EXPECT_TRUE(tried({"MaxPool", {F32({2, 2, 3, 3})}, pool}));
  EXPECT_FALSE(tried({"MaxPool", {F32({2, 2, 3, 3})}, pool, 2}));  // Indices count all rows
  EXPECT_FALSE(tried({"CumSum", {F32({2, 3}), Tensor::Scalar<int64_t>(0)}}));
  const Tensor stretched = Tensor::FromSpan<float>({4}, std::vector<float>{1.4f, 1, 1, 1});
  EXPECT_FALSE(tried({"Resize", {F32({2, 1, 2, 2}), Tensor(), stretched}, {{"mode", "linear"}}}));
}

}  // namespace
}  // namespace sluice
