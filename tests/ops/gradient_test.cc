// Every gradient is proven in f64 by central differences: with static shapes, and again with
// symbolic ones, where broadcasting has to be undone at run time.
#include <cmath>
#include <cstdio>
#include <functional>
#include <map>
#include <set>

#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ops/op.h"
#include "passes/add_gradients.h"
#include "runtime/session.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

using Build = std::function<Value*(GraphBuilder& b, const std::vector<Value*>& x)>;

// Uniform in [low, high).
Tensor Uniform(const std::vector<int64_t>& dims, double low, double high, uint64_t seed) {
  return *Tensor::Random(DType::kF64, dims,
                         {.seed = seed, .scale = (high - low) / 2, .offset = (high + low) / 2});
}

double Total(const Tensor& t) {
  double sum = 0;
  for (double v : t.values<double>()) sum += v;
  return sum;
}

// A type of the tensor's rank whose every extent is a symbol of its own.
Type Symbolic(const Tensor& t, const std::string& name) {
  Shape shape;
  for (int i = 0; i < t.rank(); ++i) shape.push_back(Dim::Symbol(absl::StrCat(name, i)));
  return Type::Tensor(t.dtype(), std::move(shape));
}

// d(sum of weights * y) / d(inputs) against differences of the same.
void Prove(const std::vector<Tensor>& inputs, const Build& build, bool symbolic) {
  SCOPED_TRACE(symbolic ? "symbolic shapes" : "static shapes");
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  std::vector<Value*> x;
  std::vector<std::string> gradients;
  Feeds feeds;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::string name = absl::StrCat("x", i);
    x.push_back(b.Input(name, symbolic ? Symbolic(inputs[i], name) : Type::Of(inputs[i])));
    feeds.push_back({name, inputs[i]});
    gradients.push_back("d" + name);
  }
  Value* y = build(b, x);
  ASSERT_TRUE(b.status().ok()) << b.status();
  // The weights have y's true extents, which a run without them tells.
  Dims dims;
  if (symbolic) {
    Graph probe(StandardOps());
    GraphBuilder p(&probe);
    std::vector<Value*> px;
    for (size_t i = 0; i < inputs.size(); ++i) {
      px.push_back(p.Input(absl::StrCat("x", i), Type::Of(inputs[i])));
    }
    dims = *build(p, px)->type().StaticDims();
  } else {
    dims = *y->type().StaticDims();
  }
  const Tensor weights =
      *Tensor::Random(DType::kF64, dims, {.seed = 99, .scale = 0.5, .offset = 1});
  feeds.push_back({"w", weights});
  Value* w = b.Input("w", symbolic ? Symbolic(weights, "w") : Type::Of(weights));
  Value* loss = b.Op("Mul", {y, w});
  ASSERT_TRUE(b.status().ok()) << b.status();
  absl::StatusOr<std::vector<Value*>> grads = AddGradients(&graph, {loss}, x);
  ASSERT_TRUE(grads.ok()) << grads.status();
  b.Output(loss, "loss");
  for (size_t i = 0; i < x.size(); ++i) b.Output((*grads)[i], gradients[i]);
  ASSERT_TRUE(b.status().ok()) << b.status();
  ASSERT_TRUE(Verify(graph).ok()) << Verify(graph);

  auto session = Session::Create(graph, {.threads = 1, .seed = 1});
  ASSERT_TRUE(session.ok()) << session.status();
  const RunOptions same{.run = 0};  // all runs draw the same numbers
  auto computed = (*session)->Run(feeds, gradients, same);
  ASSERT_TRUE(computed.ok()) << computed.status();
  for (size_t i = 0; i < inputs.size(); ++i) {
    ASSERT_EQ((*computed)[i].TypeString(), inputs[i].TypeString()) << "of input " << i;
    for (int64_t j = 0; j < inputs[i].elements(); ++j) {
      const auto loss_at = [&](double offset) {
        Tensor moved = Tensor::FromSpan<double>(inputs[i].dims(), inputs[i].values<double>());
        moved.mutable_data<double>()[j] += offset;
        Feeds near = feeds;
        near[i].second = moved;
        auto result = (*session)->Run(near, {"loss"}, same);
        EXPECT_TRUE(result.ok()) << result.status();
        return result.ok() ? Total((*result)[0]) : 0;
      };
      constexpr double kStep = 1e-5;
      const double expected = (loss_at(kStep) - loss_at(-kStep)) / (2 * kStep);
      ASSERT_NEAR((*computed)[i].data<double>()[j], expected,
                  1e-6 * std::max(1.0, std::abs(expected)))
          << "input " << i << " element " << j;
    }
  }
}

void Prove(const std::vector<Tensor>& inputs, const Build& build) {
  Prove(inputs, build, false);
  Prove(inputs, build, true);
}

struct Proof {
  const char* op;
  double low = -0.9, high = 0.9;  // where the inputs lie
  AttrList attrs;
};

const std::vector<Proof>& UnaryProofs() {
  static const auto* const proofs = new std::vector<Proof>{
      {"Abs"},
      {"Neg"},
      {"Sign"},
      {"Floor"},
      {"Ceil"},
      {"Round"},
      {"Sqrt", 0.5, 3},
      {"Reciprocal", 0.5, 3},
      {"Exp"},
      {"Log", 0.5, 3},
      {"Sin"},
      {"Cos"},
      {"Tan"},
      {"Asin"},
      {"Acos"},
      {"Atan"},
      {"Sinh"},
      {"Cosh"},
      {"Tanh"},
      {"Asinh"},
      {"Acosh", 1.2, 3},
      {"Atanh"},
      {"Erf"},
      {"Sigmoid"},
      {"Relu"},
      {"LeakyRelu", -2, 2},
      {"Elu", -2, 2, {{"alpha", 0.5f}}},
      {"Selu", -2, 2},
      {"Celu", -2, 2, {{"alpha", 2.0f}}},
      {"ThresholdedRelu", -2, 2, {{"alpha", 0.5f}}},
      {"HardSigmoid", -4, 4},
      {"HardSwish", -5, 5},
      {"Softplus", -3, 3},
      {"Softsign", -2, 2},
      {"Gelu", -2, 2},
      {"Gelu", -2, 2, {{"approximate", "tanh"}}},
      {"Mish", -2, 2},
      {"Swish", -2, 2, {{"alpha", 1.5f}}},
      {"Shrink", -2, 2, {{"bias", 0.25f}}},
      {"Identity"},
  };
  return *proofs;
}

TEST(Gradient, UnaryElementWise) {
  for (const Proof& p : UnaryProofs()) {
    SCOPED_TRACE(p.op);
    Prove({Uniform({2, 3}, p.low, p.high, 17)},
          [&](GraphBuilder& b, const auto& x) { return b.Op(p.op, {x[0]}, p.attrs); });
  }
}

// The second input may be negative or zero only where that is differentiable.
const std::vector<Proof>& BinaryProofs() {
  static const auto* const proofs = new std::vector<Proof>{
      {"Add"},
      {"Sub"},
      {"Mul"},
      {"Div", 0.5, 2},
      {"Pow", 0.5, 2},
      {"PRelu", -1, 1},
      {"Max"},
      {"Min"},
      {"Sum"},
      {"Mean"},
      {"Mod", 0.6, 3, {{"fmod", 1}}},
  };
  return *proofs;
}

TEST(Gradient, BinaryElementWiseWithBroadcasting) {
  const std::vector<std::pair<std::vector<int64_t>, std::vector<int64_t>>> shapes = {
      {{2, 3}, {2, 3}}, {{2, 3}, {3}},    {{2, 3}, {1, 3}}, {{2, 3}, {2, 1}},
      {{2, 3}, {}},     {{2, 1}, {1, 3}}, {{3}, {2, 1}},    {{1, 1}, {2, 2, 3}}};
  for (const Proof& p : BinaryProofs()) {
    for (const auto& [first, second] : shapes) {
      if (p.op == std::string("PRelu") && (second.size() > first.size() || first[1] == 1)) continue;
      SCOPED_TRACE(absl::StrCat(p.op, " ", DimsToString(first), " ", DimsToString(second)));
      Prove({Uniform(first, p.low, p.high, 5), Uniform(second, p.low, p.high, 6)},
            [&](GraphBuilder& b, const auto& x) { return b.Op(p.op, {x[0], x[1]}, p.attrs); });
    }
  }
}

TEST(Gradient, TernaryElementWise) {
  Prove({Uniform({2, 3}, -1, 1, 5), Uniform({3}, -1, 1, 6)}, [](GraphBuilder& b, const auto& x) {
    return b.Op("Where", {b.Op("Greater", {x[0], x[1]}), x[0], b.Op("Mul", {x[1], x[1]})});
  });
  Prove({Uniform({4, 5}, -2, 2, 5), Uniform({}, -0.5, -0.1, 6), Uniform({}, 0.1, 0.5, 7)},
        [](GraphBuilder& b, const auto& x) { return b.Op("Clip", {x[0], x[1], x[2]}); });
  Prove({Uniform({4, 5}, -2, 2, 5), Uniform({}, -0.5, -0.1, 6)},
        [](GraphBuilder& b, const auto& x) { return b.Op("Clip", {x[0], x[1]}); });
}

constexpr const char* kReductions[] = {
    "ReduceSum", "ReduceMean", "ReduceMax",    "ReduceMin",       "ReduceProd",
    "ReduceL1",  "ReduceL2",   "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"};

TEST(Gradient, Reductions) {
  const Tensor x = Uniform({2, 3, 2}, 0.3, 2, 23);
  for (const char* op : kReductions) {
    for (const int keep : {0, 1}) {
      for (const std::vector<int64_t>& axes : {std::vector<int64_t>{}, {1}, {-1, 0}, {0, 1, 2}}) {
        SCOPED_TRACE(absl::StrCat(op, " over ", DimsToString(axes), " keepdims ", keep));
        Prove({x}, [&](GraphBuilder& b, const auto& v) {
          return b.Op(op, {v[0], axes.empty() ? nullptr : b.Ints(axes)}, {{"keepdims", keep}});
        });
      }
    }
    SCOPED_TRACE(absl::StrCat(op, " without axes"));
    Prove({x}, [&](GraphBuilder& b, const auto& v) {
      return b.Op(op, {v[0]}, {{"noop_with_empty_axes", 1}, {"keepdims", 0}});
    });
  }
}

TEST(Gradient, ProductWithZeros) {
  // No, one and two zeros in a row: no division by zero, and the lone zero has a gradient.
  const Tensor x = MakeTensor<double>({3, 3}, {1, 2, 3, 4, 0, 5, 0, 6, 0});
  Prove({x},
        [](GraphBuilder& b, const auto& v) { return b.Op("ReduceProd", {v[0], b.Ints({1})}); });
}

TEST(Gradient, ExtremesShareAmongEqualOnes) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  Value* x = b.Input("x", Type::Tensor(DType::kF64, Dims{4}));
  auto grads = AddGradients(&graph, {b.Op("ReduceMax", {x})}, {x});
  ASSERT_TRUE(grads.ok()) << grads.status();
  b.Output((*grads)[0], "dx");
  auto session = Session::Create(graph, {.threads = 1});
  ASSERT_TRUE(session.ok()) << session.status();
  auto dx = (*session)->Run({{"x", MakeTensor<double>({4}, {3, 1, 3, 2})}});
  ASSERT_TRUE(dx.ok()) << dx.status();
  EXPECT_EQ((*dx)[0], MakeTensor<double>({4}, {0.5, 0, 0.5, 0}));
}

TEST(Gradient, NormAtTheOriginIsZeroNotNaN) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  Value* x = b.Input("x", Type::Tensor(DType::kF64, Dims{2}));
  auto grads = AddGradients(&graph, {b.Op("ReduceL2", {x})}, {x});
  ASSERT_TRUE(grads.ok()) << grads.status();
  b.Output((*grads)[0], "dx");
  auto session = Session::Create(graph, {.threads = 1});
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_EQ((*(*session)->Run({{"x", MakeTensor<double>({2}, {0, 0})}}))[0],
            MakeTensor<double>({2}, {0, 0}));
}

TEST(Gradient, SoftmaxFamilyOnEveryAxis) {
  for (const char* op : {"Softmax", "LogSoftmax"}) {
    for (int axis : {0, 1, -1}) {
      SCOPED_TRACE(absl::StrCat(op, " axis ", axis));
      Prove({Uniform({2, 3, 2}, -2, 2, 3)},
            [&](GraphBuilder& b, const auto& x) { return b.Op(op, {x[0]}, {{"axis", axis}}); });
    }
  }
}

TEST(Gradient, MatMulInAllItsForms) {
  const std::vector<std::pair<std::vector<int64_t>, std::vector<int64_t>>> shapes = {
      {{2, 3}, {3, 4}},    {{3}, {3, 2}},          {{2, 3}, {3}},         {{3}, {3}},
      {{2, 2, 3}, {3, 2}}, {{2, 2, 3}, {2, 3, 2}}, {{2, 3}, {2, 3, 2}},   {{2, 1, 2, 3}, {3, 3, 2}},
      {{3}, {2, 3, 2}},    {{2, 2, 3}, {3}},       {{1, 2, 3}, {2, 3, 2}}};
  for (const auto& [first, second] : shapes) {
    SCOPED_TRACE(absl::StrCat(DimsToString(first), " ", DimsToString(second)));
    Prove({Uniform(first, -1, 1, 1), Uniform(second, -1, 1, 2)},
          [](GraphBuilder& b, const auto& x) { return b.Op("MatMul", {x[0], x[1]}); });
  }
}

TEST(Gradient, GemmInAllItsForms) {
  for (const int64_t ta : {0, 1}) {
    for (const int64_t tb : {0, 1}) {
      for (const std::vector<int64_t>& bias :
           std::vector<std::vector<int64_t>>{{2, 4}, {4}, {2, 1}}) {
        SCOPED_TRACE(absl::StrCat(ta, tb, DimsToString(bias)));
        const std::vector<int64_t> a =
            ta != 0 ? std::vector<int64_t>{3, 2} : std::vector<int64_t>{2, 3};
        const std::vector<int64_t> w =
            tb != 0 ? std::vector<int64_t>{4, 3} : std::vector<int64_t>{3, 4};
        Prove({Uniform(a, -1, 1, 1), Uniform(w, -1, 1, 2), Uniform(bias, -1, 1, 3)},
              [&](GraphBuilder& b, const auto& x) {
                return b.Op("Gemm", {x[0], x[1], x[2]},
                            {{"alpha", 0.5f}, {"beta", 2.0f}, {"transA", ta}, {"transB", tb}});
              });
      }
    }
  }
}

TEST(Gradient, RunningSums) {
  for (const int exclusive : {0, 1}) {
    for (const int reverse : {0, 1}) {
      Prove({Uniform({2, 3}, -1, 1, 1)}, [&](GraphBuilder& b, const auto& x) {
        return b.Op("CumSum", {x[0], b.Scalar<int64_t>(1)},
                    {{"exclusive", exclusive}, {"reverse", reverse}});
      });
    }
  }
}

TEST(Gradient, TopKGoesBackToWhereTheElementsCameFrom) {
  Prove({Uniform({2, 5}, -1, 1, 1)},
        [](GraphBuilder& b, const auto& x) { return b.OpN("TopK", {x[0], b.Ints({2})}, 2)[0]; });
}

TEST(Gradient, DropoutUsesTheMaskThatWasDrawn) {
  Prove({Uniform({4, 5}, -1, 1, 1)}, [](GraphBuilder& b, const auto& x) {
    return b.OpN("Dropout",
                 {x[0], b.Constant(Tensor::Scalar<double>(0.4)), b.Constant(MakeBools({}, {1}))}, 2,
                 {{"seed", 7}})[0];
  });
  for (const double ratio : {0.0, 0.4, 1.0}) {
    for (const bool known : {false, true}) {
      Prove({Uniform({4, 5}, -1, 1, 1)}, [&](GraphBuilder& b, const auto& x) {
        Value* mode = b.Constant(MakeBools({}, {1}));
        if (!known)
          mode = b.Op("Less", {b.Op("ReduceMin", {x[0], b.Ints({0, 1})}), b.ScalarLike(x[0], 2)});
        return b.Op("Dropout",
                    {x[0], b.Constant(Tensor::Scalar<float>(static_cast<float>(ratio))), mode});
      });
    }
  }
  Prove({Uniform({4, 5}, -1, 1, 1)},
        [](GraphBuilder& b, const auto& x) { return b.Op("Dropout", {x[0]}); });
}

TEST(Gradient, ShapeOps) {
  const Tensor x = Uniform({2, 3, 4}, -1, 1, 1);
  const auto prove = [&](const char* what, const Build& build) {
    SCOPED_TRACE(what);
    Prove({x}, build);
  };
  prove("Transpose", [](auto& b, const auto& v) {
    return b.Op("Transpose", {v[0]}, {{"perm", std::vector<int64_t>{2, 0, 1}}});
  });
  prove("Reshape", [](auto& b, const auto& v) { return b.Op("Reshape", {v[0], b.Ints({4, -1})}); });
  prove("Flatten", [](auto& b, const auto& v) { return b.Op("Flatten", {v[0]}); });
  prove("Unsqueeze and Squeeze", [](auto& b, const auto& v) {
    Value* u = b.Op("Unsqueeze", {v[0], b.Ints({1, -1})});
    return b.Op("Mul", {b.Op("Squeeze", {u, b.Ints({1})}), u});
  });
  prove("Expand",
        [](auto& b, const auto& v) { return b.Op("Expand", {v[0], b.Ints({2, 2, 3, 4})}); });
  prove("Concat", [](auto& b, const auto& v) {
    return b.Op("Concat", {v[0], b.Op("Mul", {v[0], v[0]})}, {{"axis", 1}});
  });
  prove("Cast", [](auto& b, const auto& v) {
    return b.Op("Cast", {b.Op("Exp", {v[0]})}, {{"to", DType::kF64}});
  });
}

TEST(Gradient, SumsOverEveryPathAndEveryLoss) {
  // x reaches the losses along three ways.
  Prove({Uniform({3}, -1, 1, 1)}, [](GraphBuilder& b, const auto& x) {
    Value* a = b.Op("Exp", {x[0]});
    return b.Op("Add", {b.Op("Mul", {a, x[0]}), b.Op("Sin", {a})});
  });
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  Value* x = b.Input("x", Type::Tensor(DType::kF64, Dims{2}));
  Value* y = b.Input("y", Type::Tensor(DType::kF64, Dims{3}));
  const std::vector<Value*> losses = {b.Op("Mul", {x, x}), b.Op("Neg", {x})};
  EXPECT_THAT(AddGradients(&graph, losses, {x, y}).status().message(),
              HasSubstr("no loss depends on 'y'"));
  auto grads = AddGradients(&graph, losses, {x, y}, {.zeros_where_unreached = true});
  ASSERT_TRUE(grads.ok()) << grads.status();
  b.Output((*grads)[0], "dx");
  b.Output((*grads)[1], "dy");
  auto session = Session::Create(graph, {.threads = 1});
  ASSERT_TRUE(session.ok()) << session.status();
  auto values = (*session)->Run(
      {{"x", MakeTensor<double>({2}, {1, 2})}, {"y", MakeTensor<double>({3}, {1, 2, 3})}});
  ASSERT_TRUE(values.ok()) << values.status();
  EXPECT_EQ((*values)[0], MakeTensor<double>({2}, {1, 3}));
  EXPECT_EQ((*values)[1], MakeTensor<double>({3}, {0, 0, 0}));  // no loss depends on y
}

TEST(Gradient, OfAGradient) {
  Prove({Uniform({2, 3}, -1, 1, 1), Uniform({3, 2}, -1, 1, 2)},
        [](GraphBuilder& b, const auto& x) -> Value* {
          Value* y = b.Op("Softmax", {b.Op("MatMul", {b.Op("Tanh", {x[0]}), x[1]})});
          auto first = AddGradients(b.graph(), {b.Op("Mul", {y, y})}, {x[0]});
          EXPECT_TRUE(first.ok()) << first.status();
          return first.ok() ? (*first)[0] : nullptr;
        });
}

TEST(Gradient, ThroughAnExpansion) {
  Prove({Uniform({2, 3, 4}, -1, 1, 1)}, [](GraphBuilder& b, const auto& x) {
    return b.Op("LpNormalization", {x[0]}, {{"axis", 1}});
  });
  Prove({Uniform({3, 4}, -1, 1, 1), Uniform({4}, 0.5, 1, 2), Uniform({4}, -1, 1, 3)},
        [](GraphBuilder& b, const auto& x) {
          return b.Op("LayerNormalization", {x[0], x[1], x[2]}, {{"epsilon", 0.125}});
        });
}

TEST(Gradient, StopsWhereItIsTold) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  Value* x = b.Input("x", Type::Tensor(DType::kF64, Dims{2}));
  Value* y = b.Input("y", Type::Tensor(DType::kF64, Dims{2}));
  Value* z = b.Input("z", Type::Tensor(DType::kF64, Dims{2}));
  Value* whole = b.Op("Cast", {z}, {{"to", DType::kI64}});
  Value* loss = b.Op("Sum", {b.Op("Mul", {x, b.Op("StopGradient", {b.Op("Mul", {x, y})})}),
                             b.Op("Cast", {whole}, {{"to", DType::kF64}})});
  ASSERT_TRUE(b.status().ok()) << b.status();
  const size_t nodes = graph.num_nodes();
  const std::string why(AddGradients(&graph, {loss}, {x, y, z}).status().message());
  EXPECT_THAT(why, HasSubstr("no loss depends on 'y'; the way ends at %v"));
  EXPECT_THAT(why, HasSubstr("StopGradient"));
  EXPECT_THAT(why, HasSubstr("no loss depends on 'z'; the way ends at %v"));
  EXPECT_THAT(why, HasSubstr("Cast(%z) {to = i64}"));
  EXPECT_EQ(graph.num_nodes(), nodes);
  auto grads = AddGradients(&graph, {loss}, {x});
  ASSERT_TRUE(grads.ok()) << grads.status();
  b.Output((*grads)[0], "dx");
  auto session = Session::Create(graph, {.threads = 1});
  ASSERT_TRUE(session.ok()) << session.status();
  const Tensor two = MakeTensor<double>({2}, {2, 3});
  auto values = (*session)->Run({{"x", two}, {"y", two}, {"z", two}});
  ASSERT_TRUE(values.ok()) << values.status();
  EXPECT_EQ((*values)[0], MakeTensor<double>({2}, {4, 9}));
}

TEST(Gradient, WhatManyReadHasOneSumAndNobodysGradientIsBuilt) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  Value* x = b.Input("x", Type::Tensor(DType::kF64, Dims{4, 4}));
  Value* w = b.Variable("w", *Tensor::Allocate(DType::kF64, {4, 4}));
  Value* y = b.Op("MatMul", {x, w});
  std::vector<Value*> losses;
  for (int i = 0; i < 5; ++i) losses.push_back(b.Op("Exp", {y}));
  auto grads = AddGradients(&graph, losses, {w});
  ASSERT_TRUE(grads.ok()) << grads.status();
  std::map<std::string, int> count;
  for (const auto& node : graph.nodes()) ++count[std::string(node->op_name())];
  EXPECT_EQ(count["Sum"], 1);
  EXPECT_EQ(count["Add"], 0);
  EXPECT_EQ(count["MatMul"], 2) << "the gradient of x is nobody's";
  EXPECT_EQ(count["GradientSeed"], 5);
  EXPECT_EQ((*grads)[0]->producer()->String("variable"), "w");
}

TEST(Gradient, ADeepChainTakesLinearTime) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  Value* x = b.Input("x", Type::Tensor(DType::kF32, Dims{1, 4}));
  std::vector<Value*> weights;
  Value* y = x;
  for (int i = 0; i < 5000; ++i) {
    weights.push_back(
        b.Variable(absl::StrCat("w", i), *Tensor::Random(DType::kF32, {4, 4}, {.seed = 1})));
    y = b.Op("Relu", {b.Op("Gemm", {y, weights.back()})});
  }
  auto grads = AddGradients(&graph, {b.Op("ReduceSum", {y})}, weights);
  ASSERT_TRUE(grads.ok()) << grads.status();
  for (size_t i = 0; i < weights.size(); ++i)
    b.Op("Assign", {weights[i], b.Op("Sub", {weights[i], (*grads)[i]})});
  ASSERT_TRUE(b.status().ok()) << b.status();
  EXPECT_TRUE(Verify(graph).ok());
}

TEST(Gradient, UnknownRank) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  Value* x = b.Input("x", Type::Tensor(DType::kF64));
  Value* y = b.Input("y", Type::Tensor(DType::kF64));
  auto grads =
      AddGradients(&graph, {b.Op("ReduceSum", {b.Op("Mul", {x, y})}, {{"keepdims", 0}})}, {x, y});
  ASSERT_TRUE(grads.ok()) << grads.status();
  b.Output((*grads)[0], "dx");
  b.Output((*grads)[1], "dy");
  auto session = Session::Create(graph, {.threads = 1});
  ASSERT_TRUE(session.ok()) << session.status();
  auto values = (*session)->Run(
      {{"x", MakeTensor<double>({2, 2}, {1, 2, 3, 4})}, {"y", MakeTensor<double>({2}, {5, 6})}});
  ASSERT_TRUE(values.ok()) << values.status();
  EXPECT_EQ((*values)[0], MakeTensor<double>({2, 2}, {5, 6, 5, 6}));
  EXPECT_EQ((*values)[1], MakeTensor<double>({2}, {4, 6}));
}

TEST(Gradient, ErrorsNameTheNodeAndTheReasonAndLeaveNoTrace) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  Value* x = b.Input("x", Type::Tensor(DType::kF64, Dims{1, 2, 2}));
  Value* hard = b.Op("Hardmax", {x});
  Value* pool = b.Op("MaxPool", {x}, {{"kernel_shape", std::vector<int64_t>{2}}});
  Value* index = b.Op("ArgMax", {x});
  const size_t nodes = graph.num_nodes();
  auto none = AddGradients(&graph, {hard}, {x});
  EXPECT_EQ(none.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(none.status().message(),
              HasSubstr("Hardmax, which has no gradient: it is piecewise"));
  auto pending = AddGradients(&graph, {b.Op("Exp", {pool}), hard}, {x});
  EXPECT_EQ(pending.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(pending.status().message(), HasSubstr("the gradient of MaxPool is not written yet"));
  EXPECT_THAT(pending.status().message(), HasSubstr("Hardmax, which has no gradient")) << "all";
  auto integer = AddGradients(&graph, {index}, {x});
  EXPECT_THAT(integer.status().message(), HasSubstr("expected a floating-point tensor"));
  EXPECT_THAT(AddGradients(&graph, {nullptr}, {x}).status().message(), HasSubstr("null"));
  EXPECT_EQ(graph.num_nodes(), nodes + 1);  // Exp alone
  EXPECT_TRUE(Verify(graph).ok());
}

TEST(Gradient, EveryElementWiseGradientIsProvenHere) {
  std::set<std::string> proven = {
      "Where",     "Clip",    "MatMul",  "Softmax",   "LogSoftmax", "CumSum", "TopK",   "Dropout",
      "Transpose", "Reshape", "Flatten", "Unsqueeze", "Squeeze",    "Expand", "Concat", "Cast"};
  for (const Proof& p : UnaryProofs()) proven.insert(p.op);
  for (const Proof& p : BinaryProofs()) proven.insert(p.op);
  proven.insert(std::begin(kReductions), std::end(kReductions));
  std::vector<std::string> missing, elsewhere;
  for (const OpDef* op : StandardOps().Sorted()) {
    if (op->gradient_kind != OpDef::Gradient::kFunction || proven.contains(op->name)) continue;
    (op->elementwise ? missing : elsewhere).push_back(op->name);
  }
  EXPECT_EQ(absl::StrJoin(missing, " "), "") << "have no line in UnaryProofs() or BinaryProofs()";
  std::printf("%zu gradients proven here, %zu not: %s\n", proven.size(), elsewhere.size(),
              absl::StrJoin(elsewhere, " ").c_str());
}

}  // namespace
}  // namespace sluice
