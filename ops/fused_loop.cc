// FusedLoop: nodes that run over the same elements, as one trip through memory. Made by
// passes/fuse_loops.cc; its body says in ordinary ops what it computes.
#include <algorithm>

#include "graph/infer.h"
#include "ops/loop_space.h"
#include "ops/op.h"

namespace sluice {
namespace {

// The body stands for itself: it reads its inputs alone, and holds nothing but loops and constants.
absl::Status CheckBody(const InferContext& c, const Graph& body) {
  if (body.outputs().size() != c.num_outputs()) {
    return c.Error("its body returns ", body.outputs().size(), " values, but the node has ",
                   c.num_outputs(), " outputs");
  }
  for (const auto& node : body.nodes()) {
    if (!node->Is("Constant") && RoleInLoop(*node) == LoopRole::kNone) {
      return c.Error("its body holds ", node->op_name(), " '", node->name(),
                     "', which is neither element-wise nor a reduction");
    }
    if (!node->control_inputs().empty()) return c.Error("its body has control edges");
    for (const Value* v : node->inputs()) {
      if (v != nullptr && v->graph() != &body) {
        return c.Error("its body reads '", v->name(), "' of the graph around it; pass it as input");
      }
    }
  }
  for (const Value* v : body.outputs()) {
    if (v->graph() != &body) {
      return c.Error("its body returns '", v->name(), "' of the graph around it");
    }
  }
  return absl::OkStatus();
}

absl::Status InferFusedLoop(InferContext& c) {
  const Graph* body = c.node().body("body");
  if (body == nullptr) return c.Error("its body is missing");
  if (absl::Status s = CheckBody(c, *body); !s.ok()) return s;
  std::vector<Type> inputs;
  for (size_t i = 0; i < c.num_inputs(); ++i) {
    if (!c.HasInput(i)) return c.Error("input ", i, " is absent");
    // Inside there are elements only; how they lie in memory is between the node and its kernel.
    const Type& type = c.InputType(i);
    const bool plain = !type.is_tensor() || !type.has_shape();
    inputs.push_back(plain ? type : Type::Tensor(type.dtype(), type.shape()));
  }
  absl::StatusOr<std::vector<Type>> types = c.InferBody("body", inputs);
  if (!types.ok()) return types.status();
  for (size_t i = 0; i < types->size(); ++i) c.SetOutput(i, (*types)[i]);
  return absl::OkStatus();
}

// Random numbers follow from where an element is in the whole.
bool RowsDoNotCount(const Node& node) {
  const Graph* body = node.body("body");
  return body != nullptr &&
         std::none_of(body->nodes().begin(), body->nodes().end(),
                      [](const auto& n) { return RoleInLoop(*n) == LoopRole::kGenerate; });
}

absl::StatusOr<std::vector<Value*>> ExpandFusedLoop(GraphBuilder& b, const Node& node) {
  const Graph& body = *node.body("body");
  absl::flat_hash_map<const Value*, Value*> values;
  for (size_t i = 0; i < body.inputs().size(); ++i) values[body.inputs()[i]] = node.input(i);
  for (const auto& inner : body.nodes()) {
    std::vector<Value*> inputs;
    for (const Value* v : inner->inputs()) inputs.push_back(v == nullptr ? nullptr : values.at(v));
    const std::vector<Value*> made = b.OpN(inner->op_name(), inputs, inner->num_outputs(),
                                           AttrList(inner->attrs().begin(), inner->attrs().end()));
    if (!b.status().ok()) return b.status();
    for (size_t i = 0; i < made.size(); ++i) values[inner->output(i)] = made[i];
  }
  std::vector<Value*> outputs;
  for (const Value* v : body.outputs()) outputs.push_back(values.at(v));
  return outputs;
}

}  // namespace

SLUICE_DECLARE_OP(FusedLoop) {
  return Op("FusedLoop", "sluice")
      .Doc(
          "What its body computes of its inputs, in one trip through memory. The body holds "
          "element-wise ops, reductions over the same axes, norms, and constants.")
      .VariadicInput("inputs", "", 0, /*homogeneous=*/false)
      .VariadicOutput("outputs", "", 1, /*homogeneous=*/false)
      .Body("body")
      .Infer(InferFusedLoop)
      .Expansion(ExpandFusedLoop)
      .NotDifferentiable("it is made after gradients are; differentiate the ops of its body")
      .RowWise(RowsDoNotCount);
}

}  // namespace sluice
