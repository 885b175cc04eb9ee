#include "ops/gradient.h"

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "graph/no_throw.h"
#include "graph/patch.h"
#include "graph/text.h"
#include "ops/gradient_util.h"

namespace sluice {
namespace {

constexpr char kPass[] = "add_gradients";

// Only floating-point numbers have derivatives; an unknown dtype may turn out to be one.
bool MayBeFloat(const Value* v) {
  return !v->type().is_tensor() || v->type().dtype() == DType::kInvalid ||
         IsFloat(v->type().dtype());
}

// The values through which one of `values` reaches something, `values` included.
absl::flat_hash_set<const Value*> ActiveValues(const Graph& graph,
                                               absl::Span<Value* const> values) {
  absl::flat_hash_set<const Value*> active(values.begin(), values.end());
  for (const auto& node : graph.nodes()) {
    bool reads_active = false;
    for (const Value* v : node->inputs()) reads_active |= v != nullptr && active.contains(v);
    if (!reads_active && !node->bodies().empty()) {
      for (const Value* v : Captures(*node)) reads_active |= active.contains(v);
    }
    if (!reads_active) continue;
    for (size_t i = 0; i < node->num_outputs(); ++i) {
      if (MayBeFloat(node->output(i))) active.insert(node->output(i));
    }
  }
  return active;
}

class Backward {
 public:
  Backward(Graph* graph, absl::Span<Value* const> values)
      : patch_(graph, nullptr, kPass), active_(ActiveValues(*graph, values)) {}

  absl::StatusOr<std::vector<Value*>> Run(Graph* graph, absl::Span<Value* const> losses,
                                          absl::Span<Value* const> values);

 private:
  GraphBuilder& b() { return patch_.builder(); }
  void Accumulate(const Value* v, Value* grad);
  absl::Status Step(const Node& node);
  void OriginFrom(const Node& node) {
    Origin origin = node.origin();
    absl::StrAppend(&origin.passes, origin.passes.empty() ? "" : ",", kPass);
    b().SetOrigin(std::move(origin));
  }

  Patch patch_;  // takes the new nodes out again where an error ends the work
  absl::flat_hash_set<const Value*> active_;
  absl::flat_hash_map<const Value*, Value*> grads_;
};

void Backward::Accumulate(const Value* v, Value* grad) {
  if (v == nullptr || grad == nullptr || !active_.contains(v)) return;
  Value*& sum = grads_[v];
  sum = sum == nullptr ? grad : b().Op("Add", {sum, grad});
}

absl::Status Backward::Step(const Node& node) {
  std::vector<Value*> output_grads;
  bool any = false;
  for (size_t i = 0; i < node.num_outputs(); ++i) {
    auto it = grads_.find(node.output(i));
    output_grads.push_back(it == grads_.end() ? nullptr : it->second);
    any |= output_grads.back() != nullptr;
  }
  if (!any) return absl::OkStatus();
  bool wanted = false;
  for (const Value* v : node.inputs()) wanted |= v != nullptr && active_.contains(v);
  bool captured = false;
  for (const Value* v : Captures(node)) captured |= active_.contains(v);
  if (!wanted && !captured) return absl::OkStatus();

  const OpDef& op = node.op();
  if (op.gradient_kind == OpDef::Gradient::kNone) {
    return NodeError(node, absl::StatusCode::kFailedPrecondition,
                     absl::StrCat("the loss depends on a wanted value through ", op.name,
                                  ", which has no gradient: ", op.not_differentiable_because));
  }
  if (op.gradient_kind == OpDef::Gradient::kPending || op.gradient == nullptr || captured) {
    return NodeError(node, absl::StatusCode::kUnimplemented,
                     absl::StrCat("the gradient of ", op.name,
                                  captured ? " through values that its bodies capture" : "",
                                  " is not written yet"));
  }
  OriginFrom(node);
  GradientContext context(node, &b(), std::move(output_grads));
  absl::Status status = op.gradient(context);
  if (status.ok()) status = b().status();
  if (!status.ok()) return NodeError(node, status.code(), status.message());
  for (size_t i = 0; i < node.num_inputs(); ++i) {
    Accumulate(node.input(i), context.input_grads()[i]);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Value*>> Backward::Run(Graph* graph, absl::Span<Value* const> losses,
                                                  absl::Span<Value* const> values) {
  std::vector<const Node*> nodes;
  for (const auto& node : graph->nodes()) nodes.push_back(node.get());
  for (Value* loss : losses) {
    if (active_.contains(loss)) Accumulate(loss, FillLike(b(), loss, 1));
  }
  for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
    if (absl::Status s = Step(**it); !s.ok()) return s;
  }
  std::vector<Value*> results;
  for (Value* v : values) {
    auto it = grads_.find(v);
    results.push_back(it == grads_.end() ? FillLike(b(), v, 0) : it->second);
  }
  if (absl::Status s = patch_.Commit(); !s.ok()) return s;
  return results;
}

absl::Status CheckValue(const Graph* graph, const Value* v, absl::string_view what) {
  if (v == nullptr) return absl::InvalidArgumentError(absl::StrCat("a ", what, " is null"));
  if (v->graph() != graph) {
    return absl::InvalidArgumentError(absl::StrCat(what, " ", Shown(v->name()), " is not of graph ",
                                                   Shown(graph->name()),
                                                   " itself; gradients are taken "
                                                   "over one graph"));
  }
  if (!v->type().is_tensor() || !IsFloat(v->type().dtype())) {
    return absl::InvalidArgumentError(absl::StrCat(what, " ", Shown(v->name()), " is a ",
                                                   v->type().ToString(),
                                                   "; expected a floating-point tensor"));
  }
  return absl::OkStatus();
}

}  // namespace

void GradientContext::SetBroadcastInputGrad(size_t i, Value* grad) {
  SetInputGrad(i, SumToShapeOf(builder_, grad, input(i)));
}

absl::StatusOr<std::vector<Value*>> AddGradients(Graph* graph, absl::Span<Value* const> losses,
                                                 absl::Span<Value* const> values) try {
  if (graph == nullptr) return absl::InvalidArgumentError("no graph to differentiate: it is null");
  for (const Value* v : losses) {
    if (absl::Status s = CheckValue(graph, v, "loss"); !s.ok()) return s;
  }
  for (const Value* v : values) {
    if (absl::Status s = CheckValue(graph, v, "value"); !s.ok()) return s;
  }
  return Backward(graph, values).Run(graph, losses, values);
} catch (...) {
  return ExceptionStatus();
}

}  // namespace sluice
