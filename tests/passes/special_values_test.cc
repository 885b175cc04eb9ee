// Every rewrite on numbers that are none, on infinities, zeros of both signs, denormals and the
// largest numbers: an optimised graph gives what the graph itself does. What may differ on the
// largest says so in its case; a strict session may differ in nothing.
#include "tests/testing/special_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "graph/infer.h"
#include "graph/text.h"
#include "ops/op.h"
#include "passes/pass.h"
#include "runtime/evaluate.h"
#include "runtime/session.h"

namespace sluice {
namespace {

struct Case {
  const char* name;
  const char* rewritten;  // the pass that must do something; null: none is asked for
  const char* text;
  bool zeros = false;            // the signs of zeros are defined
  const char* except = nullptr;  // why the default may differ where numbers are over 1e15
};

// Of element-wise forms: the body of a graph of %x: f32[37] that defines %y.
const Case kElementwise[] = {
    {"add_zero", nullptr,
     "%c = Constant {value = f32[] [0.0]}\n%a = Add(%x, %c)\n%y = Reciprocal(%a)", true},
    {"zero_add", nullptr,
     "%c = Constant {value = f32[] [0.0]}\n%a = Add(%c, %x)\n%y = Reciprocal(%a)", true},
    {"add_minus_zero", "simplify_algebra",
     "%c = Constant {value = f32[] [-0.0]}\n%a = Add(%x, %c)\n%y = Reciprocal(%a)", true},
    {"sub_zero", "simplify_algebra",
     "%c = Constant {value = f32[] [0.0]}\n%a = Sub(%x, %c)\n%y = Reciprocal(%a)", true},
    {"sub_minus_zero", nullptr,
     "%c = Constant {value = f32[] [-0.0]}\n%a = Sub(%x, %c)\n%y = Reciprocal(%a)", true},
    {"times_one", "simplify_algebra",
     "%c = Constant {value = f32[] [1.0]}\n%a = Mul(%x, %c)\n%b = Div(%a, %c)\n%y = Reciprocal(%b)",
     true},
    {"over_eight", "simplify_algebra", "%c = Constant {value = f32[] [8.0]}\n%y = Div(%x, %c)",
     true},
    {"square", "simplify_algebra", "%c = Constant {value = f32[] [2.0]}\n%y = Pow(%x, %c)", true},
    {"cube", "simplify_algebra", "%c = Constant {value = f32[] [3.0]}\n%y = Pow(%x, %c)", true},
    {"power_minus_one", "simplify_algebra",
     "%c = Constant {value = f32[] [-1.0]}\n%y = Pow(%x, %c)", true},
    {"power_half", nullptr, "%c = Constant {value = f32[] [0.5]}\n%y = Pow(%x, %c)", true},
    {"factors_that_enlarge", "simplify_algebra",
     "%c = Constant {value = f32[] [2.0]}\n%d = Constant {value = f32[] [3.0]}\n%a = Mul(%x, "
     "%c)\n%y = Mul(%a, %d)",
     true},
    {"factors_that_reduce", "simplify_algebra",
     "%c = Constant {value = f32[] [0.25]}\n%d = Constant {value = f32[] [0.5]}\n%a = Mul(%x, "
     "%c)\n%y = Mul(%a, %d)",
     true},
    {"factors_that_cancel", nullptr,
     "%c = Constant {value = f32[] [64.0]}\n%d = Constant {value = f32[] [0.015625]}\n%a = Mul(%x, "
     "%c)\n%y = Mul(%a, %d)",
     true},
    {"terms_of_one_sign", "simplify_algebra",
     "%c = Constant {value = f32[] [1.0]}\n%d = Constant {value = f32[] [2.0]}\n%a = Add(%x, "
     "%c)\n%y = Add(%a, %d)",
     true},
    {"terms_that_cancel", nullptr,
     "%c = Constant {value = f32[] [1000.0]}\n%d = Constant {value = f32[] [-1000.0]}\n%a = "
     "Add(%x, %c)\n%y = Add(%a, %d)",
     true},
    {"neg_neg", "simplify_algebra", "%a = Neg(%x)\n%b = Neg(%a)\n%y = Reciprocal(%b)", true},
    {"abs_neg", "simplify_algebra", "%a = Neg(%x)\n%y = Abs(%a)", true},
    {"abs_abs", "simplify_algebra", "%a = Abs(%x)\n%y = Abs(%a)", true},
    {"relu_relu", "simplify_algebra", "%a = Relu(%x)\n%y = Relu(%a)"},
    {"max_zero", "simplify_algebra", "%c = Constant {value = f32[] [0.0]}\n%y = Max(%x, %c)"},
    {"zero_max", "simplify_algebra", "%c = Constant {value = f32[] [0.0]}\n%y = Max(%c, %x)"},
    {"clip_clip", "simplify_algebra",
     "%a = Constant {value = f32[] [-1.0]}\n%b = Constant {value = f32[] [6.0]}\n%c = Constant "
     "{value = f32[] [0.5]}\n%p = Clip(%x, %a, %b)\n%y = Clip(%p, %c)"},
    {"relu_of_clip", "simplify_algebra",
     "%a = Constant {value = f32[] [-1.0]}\n%b = Constant {value = f32[] [6.0]}\n%p = Clip(%x, %a, "
     "%b)\n%y = Relu(%p)"},
    {"clip_without_bounds", "simplify_algebra", "%p = Clip(%x)\n%y = Exp(%p)"},
    {"where_same", "simplify_algebra", "%n = IsNaN(%x)\n%w = Where(%n, %x, %x)\n%y = Exp(%w)"},
    {"gelu", "recognize_activations",
     "%c = Constant {value = f32[] [1.4142135]}\n%h = Constant {value = f32[] [0.5]}\n%o = "
     "Constant {value = f32[] [1.0]}\n%a = Div(%x, %c)\n%b = Erf(%a)\n%d = Add(%b, %o)\n%m = "
     "Mul(%x, %h)\n%y = Mul(%m, %d)"},
    {"gelu_tanh", "recognize_activations",
     "%c3 = Constant {value = f32[] [3.0]}\n%k = Constant {value = f32[] [0.044715]}\n%s = "
     "Constant {value = f32[] [0.7978846]}\n%h = Constant {value = f32[] [0.5]}\n%o = Constant "
     "{value = f32[] [1.0]}\n%p = Pow(%x, %c3)\n%a = Mul(%p, %k)\n%b = Add(%x, %a)\n%u = Mul(%b, "
     "%s)\n%t = Tanh(%u)\n%d = Add(%t, %o)\n%m = Mul(%x, %h)\n%y = Mul(%m, %d)"},
    {"swish", "recognize_activations", "%s = Sigmoid(%x)\n%y = Mul(%x, %s)"},
    {"swish_by_exp", "recognize_activations",
     "%o = Constant {value = f32[] [1.0]}\n%n = Neg(%x)\n%e = Exp(%n)\n%d = Add(%e, %o)\n%y = "
     "Div(%x, %d)"},
    {"swish_alpha", "recognize_activations",
     "%a = Constant {value = f32[] [1.702]}\n%t = Mul(%x, %a)\n%s = Sigmoid(%t)\n%y = Mul(%x, %s)"},
    {"hard_swish", "recognize_activations",
     "%s = HardSigmoid(%x) {alpha = 0.16666667, beta = 0.5}\n%y = Mul(%x, %s)"},
    {"hard_swish_by_clip", "recognize_activations",
     "%t = Constant {value = f32[] [3.0]}\n%z = Constant {value = f32[] [0.0]}\n%s = Constant "
     "{value = f32[] [6.0]}\n%a = Add(%x, %t)\n%c = Clip(%a, %z, %s)\n%d = Div(%c, %s)\n%y = "
     "Mul(%x, %d)"},
    {"mish", "recognize_activations", "%s = Softplus(%x)\n%t = Tanh(%s)\n%y = Mul(%x, %t)"},
    {"chain", "fuse_loops",
     "%a = Abs(%x)\n%b = Sqrt(%a)\n%c = Tanh(%b)\n%d = Sub(%x, %c)\n%y = Floor(%d)", true},
    {"minimum_of_chains", "fuse_loops",
     "%a = Neg(%x)\n%b = Min(%a, %x)\n%c = Max(%b, %x)\n%y = Mul(%c, %a)", true},
    {"select", "fuse_loops",
     "%z = Constant {value = f32[] [0.0]}\n%l = Less(%x, %z)\n%n = Exp(%x)\n%w = Where(%l, %n, "
     "%x)\n%y = Sigmoid(%w)"},
};

// Whole graphs.
const Case kGraphs[] = {
    {"matmul_relu", "fuse_bias_activation", R"(graph g (%x: f32[37,24], %w: f32[24,16]) {
  %m = MatMul(%x, %w)
  %y = Relu(%m)
  return %y
})"},
    {"conv_clip", "fuse_bias_activation", R"(graph g (%x: f32[1,2,9,9]) {
  %w = Constant {value = f32[16,2,1,1] {random = 1, scale = 1.0}}
  %z = Constant {value = f32[] [0.0]}
  %s = Constant {value = f32[] [6.0]}
  %m = Conv(%x, %w)
  %y = Clip(%m, %z, %s)
  return %y
})"},
    {"scaled_input", nullptr, R"(graph g (%x: f32[4,8], %w: f32[8,16]) {
  %c = Constant {value = f32[] [1e-20]}
  %a = Mul(%x, %c)
  %y = MatMul(%a, %w)
  return %y
})"},
    {"scaled_product", nullptr, R"(graph g (%x: f32[4,8]) {
  %w = Constant {value = f32[8,16] {random = 1, scale = 1e30}}
  %c = Constant {value = f32[] [1e-20]}
  %m = MatMul(%x, %w)
  %y = Mul(%m, %c)
  return %y
})"},
    {"product_over_a_denormal", nullptr, R"(graph g (%x: f32[4,8]) {
  %w = Constant {value = f32[8,16] {random = 1, scale = 1e-30}}
  %c = Constant {value = f32[] [1e-40]}
  %m = MatMul(%x, %w)
  %y = Div(%m, %c)
  return %y
})"},
    {"product_times_zero", nullptr, R"(graph g (%x: f32[4,8], %w: f32[8,16]) {
  %c = Constant {value = f32[] [0.0]}
  %m = MatMul(%x, %w)
  %y = Mul(%m, %c)
  return %y
})"},
    {"product_plus_zero", "simplify_algebra", R"(graph g (%x: f32[4,8], %w: f32[8,16]) {
  %c = Constant {value = f32[] [0.0]}
  %m = MatMul(%x, %w)
  %a = Add(%m, %c)
  %y = Exp(%a)
  return %y
})"},
    {"batch_norm", "fold_batch_norm", R"(graph g (%x: f32[1,2,9,9]) {
  %w = Constant {value = f32[8,2,1,1] {random = 1, scale = 1.0}}
  %s = Constant {value = f32[8] {random = 2, scale = 0.5}}
  %b = Constant {value = f32[8] {random = 3, scale = 0.5}}
  %v = Constant {value = f32[8] [1.0, 0.5, 2.0, 1.0, 1.0, 0.25, 3.0, 1.0]}
  %m = Conv(%x, %w)
  %n = BatchNormalization(%m, %s, %b, %b, %v)
  %y = Relu(%n)
  return %y
})",
     false, "the scale goes into the weights, before a sum that it keeps from overflowing"},
    {"layer_norm", "recognize_norms", R"(graph g (%x: f32[37,8]) {
  %axes = Constant {value = i64[1] [-1]}
  %e = Constant {value = f32[] [1e-5]}
  %g = Constant {value = f32[8] {random = 2, scale = 1.0}}
  %mean = ReduceMean(%x, %axes)
  %c = Sub(%x, %mean)
  %q = Mul(%c, %c)
  %v = ReduceMean(%q, %axes)
  %a = Add(%v, %e)
  %r = Sqrt(%a)
  %n = Div(%c, %r)
  %y = Mul(%n, %g)
  return %y
})"},
    {"rms_norm", "recognize_norms", R"(graph g (%x: f32[37,8]) {
  %axes = Constant {value = i64[1] [-1]}
  %e = Constant {value = f32[] [1e-5]}
  %g = Constant {value = f32[8] {random = 2, scale = 1.0}}
  %q = Mul(%x, %x)
  %v = ReduceMean(%q, %axes)
  %a = Add(%v, %e)
  %r = Sqrt(%a)
  %n = Div(%x, %r)
  %y = Mul(%n, %g)
  return %y
})"},
    {"softmax", "fuse_loops", R"(graph g (%x: f32[37,8]) {
  %c = Constant {value = f32[] [0.5]}
  %a = Mul(%x, %c)
  %s = Softmax(%a)
  %y = Add(%s, %c)
  return %y
})"},
    {"reductions", "fuse_loops", R"(graph g (%x: f32[37,8]) {
  %axes = Constant {value = i64[1] [-1]}
  %a = Neg(%x)
  %m = ReduceMax(%a, %axes)
  %n = ReduceMin(%x, %axes)
  %s = ReduceSum(%a, %axes)
  %l = ReduceLogSumExp(%x, %axes)
  %p = Add(%m, %n)
  %q = Sub(%p, %s)
  %y = Add(%q, %l)
  return %y
})"},
    {"max_pool_between", "assign_layouts", R"(graph g (%x: f32[1,2,12,12]) {
  %w = Constant {value = f32[16,2,1,1] {random = 1, scale = 1.0}}
  %v = Constant {value = f32[16,16,1,1] {random = 2, scale = 1.0}}
  %m = Conv(%x, %w)
  %p = MaxPool(%m) {kernel_shape = [3, 3], strides = [2, 2]}
  %r = Relu(%p)
  %y = Conv(%r, %v)
  return %y
})"},
    {"quantized_convolution_with_a_float_operand", nullptr,
     R"(graph g (%r: f32[1,4,5,5], %x: u8[1,4,5,5]) {
  %s = Constant {value = f32[] [0.5]}
  %w = Constant {value = i8[4,4,1,1] {random = 7}}
  %ys = Constant {value = f32[] [64.0]}
  %yz = Constant {value = u8[] [3]}
  %dx = DequantizeLinear(%x, %s)
  %dw = DequantizeLinear(%w, %s)
  %c = Conv(%dx, %dw)
  %a = Add(%c, %r)
  %y = QuantizeLinear(%a, %ys, %yz)
  return %y
})"},
    {"attention", "fuse_attention",
     R"(graph g (%q: f32[1,2,9,8], %k: f32[1,2,9,8], %v: f32[1,2,9,8]) {
  %s = Constant {value = f32[] [0.35]}
  %t = Transpose(%k) {perm = [0, 1, 3, 2]}
  %m = MatMul(%q, %t)
  %c = Mul(%m, %s)
  %p = Softmax(%c)
  %y = MatMul(%p, %v)
  return %y
})",
     false, "sums of exponents run block by block"},
};

// f16 between ops: rounded, and infinite above 65504, in a strict session.
const Case kHalf[] = {
    {"chain", "fuse_loops", R"(graph g (%x: f16[25]) {
  %c = Constant {value = f16[] [300.0]}
  %a = Mul(%x, %c)
  %b = Div(%a, %c)
  %d = Exp(%b)
  %y = Log(%d)
  return %y
})"},
    {"product", "fuse_bias_activation", R"(graph g (%x: f16[25,8], %w: f16[8,16]) {
  %c = Constant {value = f16[] [300.0]}
  %m = MatMul(%x, %w)
  %a = Mul(%m, %c)
  %b = Div(%a, %c)
  %y = Relu(%b)
  return %y
})"},
};

absl::StatusOr<std::vector<Tensor>> Run(const Graph& graph, bool passes, Accuracy accuracy,
                                        size_t shift, bool moderate) {
  SessionOptions options;
  options.threads = 1;
  options.passes.enabled = passes;
  options.accuracy = accuracy;
  absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(graph, options);
  if (!session.ok()) return session.status();
  Feeds feeds;
  for (const Session::Port& port : (*session)->inputs()) {
    // The first input is special; what it meets are plain numbers.
    const DType dtype = port.type.dtype();
    const Dims dims = *port.type.StaticDims();
    absl::StatusOr<Tensor> t = feeds.empty()
                                   ? SpecialTensor(dtype, dims, shift)
                                   : Tensor::Random(dtype, dims, {.seed = 7 + feeds.size()});
    if (!t.ok()) return t.status();
    for (int64_t i = 0; moderate && i < t->elements(); ++i) {
      float& v = t->mutable_data<float>()[i];
      if (std::isfinite(v) && std::abs(v) > 1e15f) v = 1;
    }
    feeds.push_back({port.name, *std::move(t)});
  }
  return (*session)->Run(feeds);
}

// The passes that do something, each in spaces.
std::string Applied(const Graph& graph) {
  std::unique_ptr<Graph> copy = graph.Clone();
  ThreadPool pool(1);
  EXPECT_TRUE(InferTypes(copy.get()).ok());
  const auto report = Optimize(copy.get(), {}, CpuEvaluator(&pool), CpuTarget());
  EXPECT_TRUE(report.ok()) << report.status();
  std::string applied;
  for (const Finding& f : report->findings) {
    if (f.applied) absl::StrAppend(&applied, " ", f.pass, " ");
  }
  return applied;
}

void Check(const Case& c, const std::string& text, bool half = false) {
  SCOPED_TRACE(c.name);
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(text, StandardOps());
  ASSERT_TRUE(graph.ok()) << graph.status();
  if (c.rewritten != nullptr) {
    EXPECT_THAT(Applied(**graph), testing::HasSubstr(absl::StrCat(" ", c.rewritten, " ")));
  }
  const Agreement agreement{.relative = half ? 1e-3 : 1e-4, .absolute = 1e-5, .zeros = c.zeros};
  for (size_t shift : {0, 5, 11}) {
    for (bool strict : {true, false}) {
      if (half && !strict) continue;  // f16 is f32 between the ops of a fused node
      const bool moderate = !strict && c.except != nullptr;
      const auto plain = Run(**graph, false, Accuracy::kStrict, shift, moderate);
      const auto best =
          Run(**graph, true, strict ? Accuracy::kStrict : Accuracy::kStandard, shift, moderate);
      ASSERT_TRUE(plain.ok()) << plain.status();
      ASSERT_TRUE(best.ok()) << best.status();
      EXPECT_EQ(Disagreement((*best)[0], (*plain)[0], agreement), "")
          << (strict ? "strict" : "default") << ", from value " << shift << " on";
    }
  }
}

TEST(SpecialValues, ElementwiseRewrites) {
  for (const Case& c : kElementwise) {
    Check(c, absl::StrCat("graph g (%x: f32[37]) {\n", c.text, "\nreturn %y\n}"));
  }
}

TEST(SpecialValues, RewritesOfGraphs) {
  for (const Case& c : kGraphs) Check(c, c.text);
}

TEST(SpecialValues, HalfPrecisionIsRoundedWhereStrict) {
  for (const Case& c : kHalf) Check(c, c.text, /*half=*/true);
}

}  // namespace
}  // namespace sluice
