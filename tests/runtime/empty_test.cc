// Tensors without elements: every op of the list with an extent of 0 in each position of each
// input, in every form a program can have them (known, over symbols, of unknown shape; optimised
// and not). The forms agree; what comes out is what numpy would say.
#include <gtest/gtest.h>

#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "sluice.h"
#include "tests/ops/every_op.h"
#include "tests/ops/try_op.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using Results = absl::StatusOr<std::vector<Tensor>>;

enum class Form { kStatic, kSymbols, kAnyShape };

// Integers of rank 0 and 1 behind the first input: axes, shapes and counts, constants as often as
// not.
bool IsParameter(size_t i, const Tensor& t) { return i > 0 && IsInt(t.dtype()) && t.rank() <= 1; }

// One node over fed inputs; its parameters are constants where `constants`.
Results RunNode(const std::string& op, const std::vector<Tensor>& inputs, const AttrList& attrs,
                size_t outputs, Form form, bool passes, bool constants) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  std::vector<Value*> values;
  Feeds feeds;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& t = inputs[i];
    if (!t.valid()) {
      values.push_back(nullptr);
    } else if (constants && IsParameter(i, t)) {
      values.push_back(b.Constant(t));
    } else {
      Shape shape;
      for (int d = 0; d < t.rank(); ++d) shape.push_back(Dim::Symbol(absl::StrCat("d", i, "_", d)));
      const Type type = form == Form::kStatic    ? Type::Of(t)
                        : form == Form::kSymbols ? Type::Tensor(t.dtype(), shape)
                                                 : Type::Tensor(t.dtype());
      values.push_back(b.Input(absl::StrCat("x", i), type));
      feeds.push_back({absl::StrCat("x", i), t});
    }
  }
  for (Value* v : b.OpN(op, values, outputs, attrs)) b.Output(v);
  if (!b.status().ok()) return b.status();
  SessionOptions options{.threads = 1};
  options.passes.enabled = passes;
  auto session = Session::Create(graph, std::move(options));
  if (!session.ok()) return session.status();
  return (*session)->Run(feeds);
}

std::string Described(const std::string& op, const std::vector<Tensor>& inputs) {
  return absl::StrCat(op, "(",
                      absl::StrJoin(inputs, ", ",
                                    [](std::string* out, const Tensor& t) {
                                      absl::StrAppend(out, t.valid() ? t.TypeString() : "_");
                                    }),
                      ")");
}

std::string Shown(const Results& r) {
  if (!r.ok()) return r.status().ToString();
  return absl::StrJoin(*r, "; ", [](std::string* out, const Tensor& t) { *out += t.ToString(); });
}

// A pass may take out a node that would have been an error.
bool Agrees(const Results& plain, const Results& r, bool passes) {
  if (plain.ok() != r.ok()) return passes && !plain.ok();
  return !plain.ok() || *plain == *r;
}

// Runs every form; all must agree with the first, which is returned.
Results RunForms(const std::string& op, const std::vector<Tensor>& inputs, const AttrList& attrs,
                 size_t outputs) {
  Results first = RunNode(op, inputs, attrs, outputs, Form::kStatic, false, true);
  EXPECT_NE(first.status().code(), absl::StatusCode::kInternal)
      << Described(op, inputs) << ": " << first.status();
  for (bool constants : {true, false}) {
    for (Form form : {Form::kStatic, Form::kSymbols, Form::kAnyShape}) {
      for (bool passes : {false, true}) {
        const Results r = RunNode(op, inputs, attrs, outputs, form, passes, constants);
        EXPECT_TRUE(Agrees(first, r, passes))
            << Described(op, inputs) << " form " << static_cast<int>(form)
            << (passes ? " optimised" : "") << (constants ? "" : ", parameters fed") << ":\n  "
            << Shown(first) << "\n  " << Shown(r);
      }
    }
  }
  return first;
}

Tensor WithExtent(const Tensor& t, int axis, int64_t extent) {
  Dims dims(t.dims().begin(), t.dims().end());
  dims[axis] = extent;
  return Ones(t.dtype(), dims);
}

// An op with inputs that it takes; each extent made 0, of one input and of all inputs alike.
TEST(Empty, EveryOpWithAnExtentOfZeroInEachPlace) {
  ThreadPool pool(1);
  int64_t ran = 0, good = 0;
  for (const OpDef* op : PlainOps()) {
    if (op->effects != 0) continue;
    const size_t outputs = std::max<size_t>(1, op->min_outputs());
    const AttrList& attrs = BaseAttrs(op->name);
    int sets = 0;
    for (const std::vector<Tensor>& inputs : InputSets(*op)) {
      if (sets == 3 || !TryOp(*op, inputs, attrs, &pool).ok()) continue;
      ++sets;
      for (size_t i = 0; i <= inputs.size(); ++i) {
        const int rank = i == inputs.size() ? 4 : inputs[i].valid() ? inputs[i].rank() : 0;
        for (int axis = 0; axis < rank; ++axis) {
          std::vector<Tensor> empty = inputs;
          bool changed = false;
          for (size_t k = 0; k < inputs.size(); ++k) {
            if ((i != k && i != inputs.size()) || !inputs[k].valid()) continue;
            if (axis >= inputs[k].rank() || (i == inputs.size() && IsParameter(k, inputs[k])))
              continue;
            empty[k] = WithExtent(inputs[k], axis, 0);
            changed = true;
          }
          if (!changed) continue;
          ++ran;
          good += RunForms(op->name, empty, attrs, outputs).ok();
        }
      }
    }
  }
  EXPECT_GT(ran, 500);
  EXPECT_GT(good, 300);
}

Tensor Zeros(const Dims& dims) {
  Tensor t = *Tensor::Allocate(DType::kF32, dims);
  std::fill_n(t.mutable_data<float>(), t.elements(), 0.f);
  return t;
}
Tensor Ints(std::vector<int64_t> values) { return Tensor::Vector<int64_t>(values); }
Tensor Full(const Dims& dims, float value) {
  Tensor t = Zeros(dims);
  std::fill_n(t.mutable_data<float>(), t.elements(), value);
  return t;
}

TEST(Empty, ResultsAreNumpys) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  struct Case {
    const char* op;
    std::vector<Tensor> inputs;
    AttrList attrs;
    std::vector<Tensor> expected;
  };
  const Tensor none;
  const Case cases[] = {
      {"Transpose",
       {Zeros({2, 0, 3})},
       {{"perm", std::vector<int64_t>{2, 0, 1}}},
       {Zeros({3, 2, 0})}},
      {"Transpose", {Zeros({0, 3})}, {}, {Zeros({3, 0})}},
      {"Slice", {Full({4, 3}, 1), Ints({2}), Ints({2}), Ints({0})}, {}, {Zeros({0, 3})}},
      {"Slice", {Zeros({0, 3}), Ints({0}), Ints({9}), Ints({0})}, {}, {Zeros({0, 3})}},
      {"Slice", {Zeros({3, 0}), Ints({1}), Ints({3}), Ints({0})}, {}, {Zeros({2, 0})}},
      {"Pad", {Zeros({0, 2}), Ints({1, 0, 1, 0})}, {}, {Zeros({2, 2})}},
      {"Pad", {Zeros({0}), Ints({2, 1}), Tensor::Scalar(5.f)}, {}, {Full({3}, 5)}},
      {"Pad", {Zeros({2, 0}), Ints({1, 0, 0, 0})}, {{"mode", "edge"}}, {Zeros({3, 0})}},
      {"Tile", {Zeros({0, 2}), Ints({3, 2})}, {}, {Zeros({0, 4})}},
      {"Tile", {Full({2, 2}, 1), Ints({0, 2})}, {}, {Zeros({0, 4})}},
      {"Expand", {Zeros({0, 1}), Ints({0, 3})}, {}, {Zeros({0, 3})}},
      {"Expand", {Full({1, 3}, 1), Ints({0, 3})}, {}, {Zeros({0, 3})}},
      {"DepthToSpace", {Zeros({0, 4, 2, 2})}, {{"blocksize", 2}}, {Zeros({0, 1, 4, 4})}},
      {"DepthToSpace", {Zeros({1, 4, 0, 2})}, {{"blocksize", 2}}, {Zeros({1, 1, 0, 4})}},
      {"SpaceToDepth", {Zeros({1, 1, 0, 4})}, {{"blocksize", 2}}, {Zeros({1, 4, 0, 2})}},
      {"Resize", {Zeros({0, 1, 2, 2}), none, none, Ints({0, 1, 4, 4})}, {}, {Zeros({0, 1, 4, 4})}},
      {"Split", {Zeros({0, 2})}, {{"axis", 1}, {"num_outputs", 2}}, {Zeros({0, 1}), Zeros({0, 1})}},
      {"Split", {Zeros({0, 2})}, {{"axis", 0}, {"num_outputs", 2}}, {Zeros({0, 2}), Zeros({0, 2})}},
      {"Split", {Full({2}, 1), Ints({0, 2})}, {}, {Zeros({0}), Full({2}, 1)}},
      {"Range", {Tensor::Scalar(3.f), Tensor::Scalar(1.f), Tensor::Scalar(1.f)}, {}, {Zeros({0})}},
      {"Reshape", {Zeros({0, 3}), Ints({3, 0})}, {{"allowzero", 1}}, {Zeros({3, 0})}},
      {"Reshape", {Zeros({2, 0}), Ints({5, 0})}, {}, {Zeros({5, 0})}},
      {"Reshape", {Zeros({0, 3}), Ints({0, -1})}, {}, {Zeros({0, 3})}},
      {"Squeeze", {Zeros({1, 0}), Ints({0})}, {}, {Zeros({0})}},
      {"Unsqueeze", {Zeros({0}), Ints({0})}, {}, {Zeros({1, 0})}},
      {"Flatten", {Zeros({2, 0, 3})}, {}, {Zeros({2, 0})}},
      {"Gather", {Full({4, 3}, 1), Ints({})}, {}, {Zeros({0, 3})}},
      {"Gather", {Zeros({0, 3}), Ints({})}, {}, {Zeros({0, 3})}},
      {"Concat", {Zeros({0, 2}), Full({1, 2}, 1), Zeros({0, 2})}, {{"axis", 0}}, {Full({1, 2}, 1)}},
      {"Concat", {Zeros({2, 0}), Zeros({2, 0})}, {{"axis", 0}}, {Zeros({4, 0})}},
      {"Trilu", {Zeros({0, 3})}, {}, {Zeros({0, 3})}},
      {"CumSum", {Zeros({2, 0}), Tensor::Scalar<int64_t>(1)}, {}, {Zeros({2, 0})}},
      {"Where", {MakeBools({0, 1}, {}), Full({3}, 1), Full({1}, 1)}, {}, {Zeros({0, 3})}},
      {"Add", {Zeros({0, 3}), Full({3}, 1)}, {}, {Zeros({0, 3})}},
      {"Add", {Zeros({2, 0}), Full({2, 1}, 1)}, {}, {Zeros({2, 0})}},
      {"ReduceSum", {Zeros({2, 0}), Ints({1})}, {{"keepdims", 0}}, {Full({2}, 0)}},
      {"ReduceSum", {Zeros({0, 2}), Ints({0})}, {}, {Full({1, 2}, 0)}},
      {"ReduceSum", {Zeros({0, 2}), Ints({1})}, {}, {Zeros({0, 1})}},
      {"ReduceSumSquare", {Zeros({2, 0}), Ints({1})}, {{"keepdims", 0}}, {Full({2}, 0)}},
      {"ReduceL1", {Zeros({2, 0}), Ints({1})}, {{"keepdims", 0}}, {Full({2}, 0)}},
      {"ReduceL2", {Zeros({2, 0}), Ints({1})}, {{"keepdims", 0}}, {Full({2}, 0)}},
      {"ReduceProd", {Zeros({2, 0}), Ints({1})}, {{"keepdims", 0}}, {Full({2}, 1)}},
      {"ReduceMax", {Zeros({2, 0}), Ints({1})}, {{"keepdims", 0}}, {Full({2}, -kInf)}},
      {"ReduceMin", {Zeros({2, 0}), Ints({1})}, {{"keepdims", 0}}, {Full({2}, kInf)}},
      {"ReduceLogSum", {Zeros({2, 0}), Ints({1})}, {{"keepdims", 0}}, {Full({2}, -kInf)}},
      {"ReduceLogSumExp", {Zeros({2, 0}), Ints({1})}, {{"keepdims", 0}}, {Full({2}, -kInf)}},
      {"MatMul", {Zeros({2, 0}), Zeros({0, 3})}, {}, {Full({2, 3}, 0)}},
      {"MatMul", {Zeros({0, 2}), Full({2, 3}, 1)}, {}, {Zeros({0, 3})}},
      {"MatMul", {Zeros({0, 2, 2}), Full({2, 3}, 1)}, {}, {Zeros({0, 2, 3})}},
      {"Gemm", {Zeros({2, 0}), Zeros({0, 3}), Full({3}, 4)}, {{"beta", 0.5f}}, {Full({2, 3}, 2)}},
      {"Einsum", {Zeros({2, 0}), Zeros({0, 3})}, {{"equation", "ij,jk->ik"}}, {Full({2, 3}, 0)}},
      {"Softmax", {Zeros({0, 3})}, {}, {Zeros({0, 3})}},
      {"Softmax", {Zeros({3, 0})}, {}, {Zeros({3, 0})}},
      {"LayerNormalization", {Zeros({0, 3}), Full({3}, 1)}, {}, {Zeros({0, 3})}},
      {"Conv", {Zeros({0, 1, 4, 4}), Full({2, 1, 3, 3}, 1)}, {}, {Zeros({0, 2, 2, 2})}},
      {"MaxPool",
       {Zeros({0, 1, 4, 4})},
       {{"kernel_shape", std::vector<int64_t>{2, 2}}},
       {Zeros({0, 1, 3, 3})}},
      {"GlobalAveragePool", {Zeros({0, 2, 3, 3})}, {}, {Zeros({0, 2, 1, 1})}},
      {"TopK", {Full({3}, 1), Ints({0})}, {}, {Zeros({0}), Ints({})}},
      {"ScatterND",
       {Full({2}, 1), *Tensor::Allocate(DType::kI64, {0, 1}), Zeros({0})},
       {},
       {Full({2}, 1)}},
      {"GatherND", {Full({2}, 1), *Tensor::Allocate(DType::kI64, {0, 1})}, {}, {Zeros({0})}},
      {"Shape", {Zeros({2, 0})}, {}, {Ints({2, 0})}},
      {"Size", {Zeros({2, 0})}, {}, {Tensor::Scalar<int64_t>(0)}},
      {"NonZero", {Zeros({2, 0})}, {}, {*Tensor::Allocate(DType::kI64, {2, 0})}},
      {"ConstantOfShape", {Ints({0, 2})}, {}, {Zeros({0, 2})}},
      {"ReverseSequence", {Zeros({0, 2}), Ints({0, 0})}, {}, {Zeros({0, 2})}},
      {"OneHot",
       {Ints({}), Tensor::Scalar<int64_t>(3), MakeTensor<float>({2}, {0, 1})},
       {},
       {Zeros({0, 3})}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(Described(c.op, c.inputs));
    const Results r = RunForms(c.op, c.inputs, c.attrs, c.expected.size());
    ASSERT_TRUE(r.ok()) << r.status();
    EXPECT_EQ(*r, c.expected) << Shown(r);
  }
}

}  // namespace
}  // namespace sluice
