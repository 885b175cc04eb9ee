#include "passes/post_op_chain.h"

#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "graph/text.h"
#include "passes/match.h"

namespace sluice {
namespace {

bool ChangesNothing(const Node& node, const Value& input) {
  return (node.Is("Identity") || node.Is("Cast") || node.Is("Reshape")) &&
         node.input(0) == &input && SameType(input, *node.output());
}

// The parameters of a unary step; empty optional where they are not known now.
std::optional<std::vector<float>> ParamsOf(const Node& node, const PostOpDef& def) {
  if (node.Is("Gelu")) return std::vector<float>{node.String("approximate") == "tanh" ? 1.f : 0.f};
  std::vector<float> params;
  if (node.Is("Clip")) {
    constexpr float kInf = std::numeric_limits<float>::infinity();
    for (size_t i : {1, 2}) {
      const std::optional<double> bound = ConstantScalar(node.input(i));
      if (node.input(i) != nullptr && !bound.has_value()) return std::nullopt;
      // No NaN, and no f64 that a parameter would round.
      if (bound.has_value() && static_cast<double>(static_cast<float>(*bound)) != *bound) {
        return std::nullopt;
      }
      params.push_back(bound.has_value() ? static_cast<float>(*bound) : i == 1 ? -kInf : kInf);
    }
    return params;
  }
  for (int i = 0; i < def.params; ++i) {
    if (def.attrs[i] == nullptr) return std::nullopt;
    params.push_back(node.Float(def.attrs[i]));
  }
  return params;
}

}  // namespace

absl::StatusOr<ChainStep> StepOf(Node* node, Value* value) {
  ChainStep step;
  step.node = node;
  if (!node->control_inputs().empty() || !node->control_uses().empty()) {
    return absl::FailedPreconditionError("it has control edges");
  }
  if (ChangesNothing(*node, *value)) return step;
  step.def = FindPostOp(node->op_name());
  if (step.def == nullptr) return absl::NotFoundError("it is no step of a fused op");
  if (!SameType(*value, *node->output())) {
    return absl::FailedPreconditionError("it may enlarge the result");
  }
  if (!step.def->binary) {
    std::optional<std::vector<float>> params = ParamsOf(*node, *step.def);
    if (node->input(0) != value || !params.has_value()) {
      return absl::FailedPreconditionError("its parameters are not constant");
    }
    step.params = *std::move(params);
    return step;
  }
  if (node->num_inputs() != 2) return absl::FailedPreconditionError("it has more than two inputs");
  const bool first = node->input(0) == value;
  if (!first && (node->Is("Sub") || node->Is("Div"))) {
    return absl::FailedPreconditionError("the product is its second operand");
  }
  step.operand = node->input(first ? 1 : 0);
  return step;
}

PostOpChain FollowPostOps(Value* value) {
  PostOpChain chain;
  while (true) {
    Node* next = OnlyUse(*value);
    if (next == nullptr) {
      // Worth telling only where a step would have followed.
      for (const Use& use : value->uses()) {
        if (FindPostOp(use.node->op_name()) != nullptr) chain.stop = WhyNotOnlyUse(*value);
      }
      return chain;
    }
    absl::StatusOr<ChainStep> step = StepOf(next, value);
    if (!step.ok()) {
      if (!absl::IsNotFound(step.status())) {
        chain.stop =
            absl::StrCat(next->op_name(), " ", Shown(next->name()), ": ", step.status().message());
      }
      return chain;
    }
    value = next->output();
    chain.steps.push_back(*std::move(step));
  }
}

}  // namespace sluice
