#include "ops/fused.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "graph/text.h"

namespace sluice {
namespace {

constexpr PostOpDef kPostOps[] = {
    {"Relu", 0, false, {}},
    {"Sigmoid", 0, false, {}},
    {"Tanh", 0, false, {}},
    {"HardSwish", 0, false, {}},
    {"Softplus", 0, false, {}},
    {"Softsign", 0, false, {}},
    {"Mish", 0, false, {}},
    {"Abs", 0, false, {}},
    {"Neg", 0, false, {}},
    {"Sqrt", 0, false, {}},
    {"Exp", 0, false, {}},
    {"Log", 0, false, {}},
    {"Erf", 0, false, {}},
    {"Ceil", 0, false, {}},
    {"Floor", 0, false, {}},
    {"Round", 0, false, {}},
    {"Reciprocal", 0, false, {}},
    {"LeakyRelu", 1, false, {"alpha"}},
    {"Elu", 1, false, {"alpha"}},
    {"Celu", 1, false, {"alpha"}},
    {"ThresholdedRelu", 1, false, {"alpha"}},
    {"Swish", 1, false, {"alpha"}},
    {"HardSigmoid", 2, false, {"alpha", "beta"}},
    {"Selu", 2, false, {"alpha", "gamma"}},
    {"Clip", 2, false, {}},
    {"Gelu", 1, false, {}},
    {"Add", 0, true, {}},
    {"Sub", 0, true, {}},
    {"Mul", 0, true, {}},
    {"Div", 0, true, {}},
    {"Max", 0, true, {}},
    {"Min", 0, true, {}},
};

}  // namespace

absl::Span<const PostOpDef> PostOpDefs() { return kPostOps; }

const PostOpDef* FindPostOp(absl::string_view name) {
  for (const PostOpDef& def : kPostOps) {
    if (name == def.name) return &def;
  }
  return nullptr;
}

absl::StatusOr<std::vector<PostOp>> ReadPostOps(const Node& node, size_t first_operand) {
  const std::vector<float> params = node.Floats("activation_params");
  std::vector<PostOp> steps;
  size_t param = 0, operand = first_operand;
  for (const std::string& name : node.Strings("activations")) {
    PostOp step{FindPostOp(name)};
    if (step.def == nullptr) {
      return NodeError(node, absl::StatusCode::kInvalidArgument,
                       absl::StrCat(Shown(name), " is no step of a fused op; see ops/fused.h"));
    }
    for (int i = 0; i < step.def->params; ++i) {
      if (param == params.size()) {
        return NodeError(node, absl::StatusCode::kInvalidArgument,
                         absl::StrCat("activation_params has ", params.size(),
                                      " entries, too few for ", Shown(name)));
      }
      step.params[i] = params[param++];
    }
    if (step.def->binary) {
      if (node.input(operand) == nullptr) {
        return NodeError(node, absl::StatusCode::kInvalidArgument,
                         absl::StrCat("there is no operand for step ", Shown(name)));
      }
      step.operand = static_cast<int>(operand++);
    }
    steps.push_back(step);
  }
  if (param != params.size() || operand < node.num_inputs()) {
    return NodeError(node, absl::StatusCode::kInvalidArgument,
                     absl::StrCat("the steps take ", param, " parameters and ",
                                  operand - first_operand, " operands, but there are ",
                                  params.size(), " and ", node.num_inputs() - first_operand));
  }
  return steps;
}

Value* ExpandPostOps(GraphBuilder& b, const Node& node, absl::Span<const PostOp> steps, Value* y) {
  return ExpandPostOps(b, steps, y, [&](int input) { return node.input(input); });
}

Value* ExpandPostOps(GraphBuilder& b, absl::Span<const PostOp> steps, Value* y,
                     absl::FunctionRef<Value*(int input)> operand) {
  for (const PostOp& step : steps) {
    const absl::string_view name = step.def->name;
    if (step.def->binary) {
      y = b.Op(name, {y, operand(step.operand)});
    } else if (name == "Clip") {
      auto bound = [&](float v) { return std::isinf(v) ? nullptr : b.ScalarLike(y, v); };
      y = b.Op(name, {y, bound(step.params[0]), bound(step.params[1])});
    } else if (name == "Gelu") {
      y = b.Op(name, {y}, {{"approximate", step.params[0] != 0 ? "tanh" : "none"}});
    } else {
      AttrList attrs;
      for (int i = 0; i < step.def->params; ++i)
        attrs.push_back({step.def->attrs[i], step.params[i]});
      y = b.Op(name, {y}, attrs);
    }
  }
  return y;
}

Op WithPostOps(Op op) {
  return op.VariadicInput("operands", "T", 0)
      .Output("Y", "T")
      .Types("T", kFloatTypes)
      .Attr("activations", std::vector<std::string>{}, "the steps, first to last")
      .Attr("activation_params", std::vector<float>{}, "the parameters of all steps")
      .GradientPending();
}

absl::Status InferFused(InferContext& c, absl::StatusOr<Type> result, size_t operands) {
  if (!result.ok()) return result.status();
  absl::StatusOr<std::vector<PostOp>> steps = ReadPostOps(c.node(), operands);
  if (!steps.ok()) return steps.status();
  for (size_t i = operands; i < c.num_inputs() && result->has_shape(); ++i) {
    const Type& operand = c.InputType(i);
    if (!operand.is_tensor() || !operand.has_shape()) continue;
    bool fits = operand.rank() <= result->rank();
    for (int d = 0; fits && d < operand.rank(); ++d) {
      const Dim &x = operand.dim(d), &y = result->dim(result->rank() - operand.rank() + d);
      fits = (x.is_number() && x.number() == 1) || !ProvablyDifferent(x, y);
    }
    if (!fits) {
      return c.Error("operand ", operand.ToString(), " does not broadcast to ", result->ToString());
    }
  }
  c.SetOutput(0, *std::move(result));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Value*>> ExpandFused(GraphBuilder& b, const Node& node,
                                                absl::string_view op, size_t operands) {
  absl::StatusOr<std::vector<PostOp>> steps = ReadPostOps(node, operands);
  if (!steps.ok()) return steps.status();
  AttrList attrs;
  for (const auto& [name, value] : node.attrs()) {
    if (name != "activations" && name != "activation_params") attrs.push_back({name, value});
  }
  std::vector<Value*> inputs;
  for (size_t i = 0; i < operands; ++i) inputs.push_back(node.input(i));
  Value* y = b.Op(op, inputs, attrs);
  return std::vector<Value*>{ExpandPostOps(b, node, *steps, y)};
}

}  // namespace sluice
