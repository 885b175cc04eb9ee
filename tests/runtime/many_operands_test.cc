// Ops over any number of operands: 130, more than a tile program takes, and 100,000. The results
// are those of plain loops, and every form of the model runs. What took quadratic time for 100,000
// would take minutes here.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "sluice.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

constexpr int64_t kMany = 100'000;

// Of few kinds, so that 100,000 operands need not be 100,000 values.
Tensor Operand(DType dtype, size_t i) {
  const Dims dims[] = {{3}, {2, 3}, {1}, {2, 1}};
  return *Tensor::Random(dtype, dims[i % 4],
                         {.seed = i % 7 + 1, .scale = IsFloat(dtype) ? 1 : 9.0});
}

double At(const Tensor& t, int64_t i) {
  return VisitDType(
      t.dtype(), [&]<typename T>() { return static_cast<double>(t.At<T>(i)); }, [] { return 0.; });
}
// Element (row, column) of the operand, broadcast to [2,3].
double At(const Tensor& t, int64_t row, int64_t column) {
  const int64_t columns = t.dims().back(), rows = t.rank() == 1 ? 1 : t.dims()[0];
  return At(t, (rows == 1 ? 0 : row) * columns + (columns == 1 ? 0 : column));
}

struct Model {
  Graph graph{StandardOps()};
  std::vector<Tensor> operands;
};

// y = op(operands); they are 28 values, given again and again.
std::unique_ptr<Model> VariadicModel(const char* op, DType dtype, int64_t count) {
  auto model = std::make_unique<Model>();
  GraphBuilder b(&model->graph);
  std::vector<Value*> values, inputs;
  for (size_t i = 0; i < 28; ++i) {
    const Tensor t = Operand(dtype, i);
    // Half of them are fed, as the rest would be folded.
    values.push_back(i % 2 == 0 ? b.Input(absl::StrCat("x", i), Type::Of(t)) : b.Constant(t));
    model->operands.push_back(t);
  }
  for (int64_t i = 0; i < count; ++i) inputs.push_back(values[static_cast<size_t>(i) % 28]);
  b.Output(b.Op(op, inputs), "y");
  EXPECT_TRUE(b.status().ok()) << b.status();
  return model;
}

Feeds FeedsOf(const Model& model) {
  Feeds feeds;
  for (size_t i = 0; i < 28; i += 2) feeds.push_back({absl::StrCat("x", i), model.operands[i]});
  return feeds;
}

absl::StatusOr<std::vector<Tensor>> RunGraph(const Graph& graph, const Feeds& feeds,
                                             SessionOptions options = {.threads = 1}) {
  absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(graph, std::move(options));
  if (!session.ok()) return session.status();
  return (*session)->Run(feeds);
}

// The operands one after the other, in `T`, as the definition says: no other order, so bit by bit.
template <typename T>
double Folded(const std::string& op, const Model& model, int64_t count, int64_t row,
              int64_t column) {
  std::vector<T> values;
  for (const Tensor& t : model.operands) values.push_back(static_cast<T>(At(t, row, column)));
  T result = values[0];
  for (int64_t i = 1; i < count; ++i) {
    const T x = values[static_cast<size_t>(i) % values.size()];
    result = op == "Max" ? std::max(result, x) : op == "Min" ? std::min(result, x) : result + x;
  }
  return static_cast<double>(op == "Mean" ? result / static_cast<T>(count) : result);
}

void ExpectFold(const std::string& op, const Model& model, int64_t count, const Tensor& y) {
  ASSERT_EQ(DimsToString(y.dims()), "[2,3]");
  for (int64_t i = 0; i < 6; ++i) {
    const double expected = y.dtype() == DType::kF64
                                ? Folded<double>(op, model, count, i / 3, i % 3)
                                : Folded<float>(op, model, count, i / 3, i % 3);
    VisitDType(
        y.dtype(),
        [&]<typename T>() {
          T rounded;
          if constexpr (std::is_arithmetic_v<T>) {
            rounded = static_cast<T>(expected);
          } else {
            rounded = T(static_cast<float>(expected));
          }
          EXPECT_EQ(At(y, i), static_cast<double>(rounded))
              << op << " of " << count << " " << ToString(y.dtype());
        },
        [] {});
  }
}

TEST(ManyOperands, FoldsOfAnyNumberAreThoseOfALoop) {
  for (const char* op : {"Sum", "Mean", "Max", "Min"}) {
    for (DType dtype :
         {DType::kF32, DType::kF64, DType::kF16, DType::kBF16, DType::kI32, DType::kU8}) {
      const bool extreme = op[0] == 'M' && op[1] != 'e';
      if (!IsFloat(dtype) && !extreme) continue;
      for (int64_t count : {120, 121, 128, 129, 130, 192, 1000}) {
        const std::unique_ptr<Model> model = VariadicModel(op, dtype, count);
        auto y = RunGraph(model->graph, FeedsOf(*model));
        ASSERT_TRUE(y.ok()) << op << " " << count << ": " << y.status();
        ExpectFold(op, *model, count, (*y)[0]);
      }
    }
  }
}

TEST(ManyOperands, AHundredThousandInEveryForm) {
  const std::unique_ptr<Model> model = VariadicModel("Sum", DType::kF32, kMany);
  const Feeds feeds = FeedsOf(*model);
  auto y = RunGraph(model->graph, feeds);
  ASSERT_TRUE(y.ok()) << y.status();
  ExpectFold("Sum", *model, kMany, (*y)[0]);
  SessionOptions plain{.threads = 2};
  plain.passes.enabled = false;
  auto unoptimised = RunGraph(model->graph, feeds, plain);
  ASSERT_TRUE(unoptimised.ok()) << unoptimised.status();
  ExpectFold("Sum", *model, kMany, (*unoptimised)[0]);
  for (const char* name : {"many.onnx", "many.sluice", "many.sluice.txt"}) {
    const std::string path = absl::StrCat(testing::TempDir(), "/", name);
    ASSERT_TRUE(WriteModel(model->graph, path).ok());
    auto read = ReadModel(path);
    ASSERT_TRUE(read.ok()) << read.status();
    auto again = RunGraph(**read, feeds);
    ASSERT_TRUE(again.ok()) << name << ": " << again.status();
    EXPECT_EQ((*again)[0], (*y)[0]) << name;
  }
}

// Shapes that only the data knows: the node is prepared during the run.
TEST(ManyOperands, WhoseShapesTheDataKnows) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  Value* x = b.Input("x", Type::Tensor(DType::kF32, Shape{Dim::Symbol("n")}));
  Value* some = ops::Cast(b, ops::NonZero(b, x), {.to = DType::kF32});
  b.Output(ops::Sum(b, std::vector<Value*>(1000, some)), "y");
  ASSERT_TRUE(b.status().ok()) << b.status();
  auto y = RunGraph(graph, {{"x", MakeTensor<float>({4}, {0, 1, 0, 1})}});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_EQ((*y)[0], MakeTensor<float>({1, 2}, {1000, 3000}));
}

TEST(ManyOperands, SplitsAndConcatsOfAHundredThousand) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  Value* x = b.Input("x", Type::Tensor(DType::kF32, Shape{kMany, 2}));
  std::vector<Value*> parts = ops::Split(b, x, static_cast<size_t>(kMany), {.axis = 0});
  std::reverse(parts.begin(), parts.end());
  b.Output(ops::Concat(b, parts, {.axis = 1}), "y");
  ASSERT_TRUE(b.status().ok()) << b.status();
  const Tensor fed = *Tensor::Random(DType::kF32, {kMany, 2}, {.seed = 1});
  auto y = RunGraph(graph, {{"x", fed}});
  ASSERT_TRUE(y.ok()) << y.status();
  ASSERT_EQ(DimsToString((*y)[0].dims()), absl::StrCat("[1,", 2 * kMany, "]"));
  for (int64_t i = 0; i < kMany; ++i) {
    ASSERT_EQ((*y)[0].At<float>(2 * i), fed.At<float>(2 * (kMany - 1 - i)));
    ASSERT_EQ((*y)[0].At<float>(2 * i + 1), fed.At<float>(2 * (kMany - 1 - i) + 1));
  }
}

TEST(ManyOperands, SplitSizesThatAreFed) {
  constexpr int64_t kParts = 3000;
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  Value* x = b.Input("x", Type::Tensor(DType::kF32, Shape{2 * kParts}));
  Value* sizes = b.Input("sizes", Type::Tensor(DType::kI64, Shape{kParts}));
  const std::vector<Value*> parts = ops::Split(b, x, sizes, static_cast<size_t>(kParts));
  b.Output(parts[kParts - 1], "last");
  ASSERT_TRUE(b.status().ok()) << b.status();
  auto y =
      RunGraph(graph, {{"x", *Tensor::Random(DType::kF32, {2 * kParts}, {.seed = 1})},
                       {"sizes", MakeTensor<int64_t>({kParts}, std::vector<int64_t>(kParts, 2))}});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_EQ(DimsToString((*y)[0].dims()), "[2]");
}

TEST(ManyOperands, EinsumOfAHundredThousand) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  Value* x = b.Input("x", Type::Tensor(DType::kF64, Shape{3}));
  Value* one = b.Constant(MakeTensor<double>({3}, {1, -1, 1}));
  std::vector<Value*> inputs(kMany, one);
  inputs[77] = x;
  std::string equation = "i";
  for (int64_t i = 1; i < kMany; ++i) equation += ",i";
  b.Output(ops::Einsum(b, inputs, {.equation = equation + "->i"}), "y");
  ASSERT_TRUE(b.status().ok()) << b.status();
  auto y = RunGraph(graph, {{"x", MakeTensor<double>({3}, {2, 3, 4})}});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_EQ((*y)[0], MakeTensor<double>({3}, {2, -3, 4}));
}

TEST(ManyOperands, BranchesAndLoopsThatCarryManyThousands) {
  constexpr int64_t kCarried = 5000;
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  Value* x = b.Input("x", Type::Tensor(DType::kF32, Shape{2}));
  Value* cond = b.Input("cond", Type::Tensor(DType::kBool, Shape{}));
  const std::vector<Value*> initial(kCarried, x);
  const ops::LoopOutputs loop =
      ops::Loop(b, b.Scalar<int64_t>(3), nullptr, initial,
                [&](GraphBuilder& body, Value*, Value*, absl::Span<Value* const> carried) {
                  ops::LoopBody made;  // each takes the place of the next
                  made.carried.assign(carried.begin() + 1, carried.end());
                  made.carried.push_back(ops::Neg(body, carried[0]));
                  return made;
                });
  const ops::Values either = ops::If(
      b, cond, [&](GraphBuilder&) { return loop.carried; },
      [&](GraphBuilder&) { return ops::Values(initial.begin(), initial.end()); });
  b.Output(ops::Sum(b, either), "y");
  ASSERT_TRUE(b.status().ok()) << b.status();
  auto y = RunGraph(graph, {{"x", MakeTensor<float>({2}, {1, 2})}, {"cond", MakeBools({}, {1})}});
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_EQ((*y)[0], MakeTensor<float>({2}, {kCarried - 6, 2 * kCarried - 12}));
}

}  // namespace
}  // namespace sluice
