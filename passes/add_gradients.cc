#include "passes/add_gradients.h"

#include <algorithm>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/no_throw.h"
#include "graph/order.h"
#include "graph/patch.h"
#include "graph/text.h"
#include "ops/gradient.h"
#include "ops/gradient_util.h"

namespace sluice {
namespace {

constexpr char kPass[] = "add_gradients";

// Only floating-point numbers have derivatives; an unknown dtype may turn out to be one.
bool MayBeFloat(const Value* v) {
  return !v->type().is_tensor() || v->type().dtype() == DType::kInvalid ||
         IsFloat(v->type().dtype());
}

// Values through which one that is wanted reaches something: gradients flow back along these alone.
class Active {
 public:
  explicit Active(absl::Span<Value* const> wanted) : values_(wanted.begin(), wanted.end()) {}

  bool Has(const Value* v) const { return v != nullptr && values_.contains(v); }
  bool Captured(const Node& node) const {
    if (node.bodies().empty()) return false;
    const std::vector<Value*> captures = Captures(node);
    return std::any_of(captures.begin(), captures.end(), [&](const Value* v) { return Has(v); });
  }
  // In the order of the graph.
  void Visit(const Node& node) {
    bool reads = false;
    for (size_t i = node.Is("Assign") ? 1 : 0; i < node.num_inputs(); ++i)  // that one is written
      reads |= Has(node.input(i));
    if (node.Is("StopGradient") || (!reads && !Captured(node))) return;
    for (size_t i = 0; i < node.num_outputs(); ++i) {
      if (MayBeFloat(node.output(i))) values_.insert(node.output(i));
    }
  }

 private:
  absl::flat_hash_set<const Value*> values_;
};

class Backward {
 public:
  Backward(Graph* graph, absl::Span<Value* const> values)
      : graph_(*graph), patch_(graph, nullptr, kPass), active_(values) {}

  absl::StatusOr<std::vector<Value*>> Run(absl::Span<Value* const> losses,
                                          absl::Span<Value* const> values,
                                          const GradientOptions& options);

 private:
  static constexpr int kMaxDepth = 16;  // of expansions within expansions

  GraphBuilder& b() { return patch_.builder(); }
  void OriginFrom(const Node* node) {
    Origin origin = node == nullptr ? Origin() : node->origin();
    absl::StrAppend(&origin.passes, origin.passes.empty() ? "" : ",", kPass);
    b().SetOrigin(std::move(origin));
  }
  void Add(const Value* v, Value* grad) {
    if (grad != nullptr && active_.Has(v)) grads_[v].push_back(grad);
  }
  Value* Total(const Value* v);
  absl::Status Step(const Node& node, int depth);
  absl::Status StepThroughExpansion(const Node& node, absl::Span<Value* const> grads, int depth);
  void Trouble(const Node& node, absl::StatusCode code, absl::string_view what);
  absl::Status Troubles() const;
  absl::flat_hash_set<const Value*> Reached(absl::Span<Value* const> losses) const;
  std::string WhereItEnds(const Value* value, absl::Span<Value* const> losses) const;

  Graph& graph_;
  Patch patch_;  // takes the new nodes out again where an error ends the work
  Active active_;
  absl::flat_hash_map<const Value*, std::vector<Value*>> grads_;  // what is to be summed
  std::vector<std::string> troubles_;
  absl::StatusCode code_ = absl::StatusCode::kOk;
};

// Null where nothing flows back. One node sums them all: a value that many read has one gradient.
Value* Backward::Total(const Value* v) {
  auto it = grads_.find(v);
  if (it == grads_.end()) return nullptr;
  std::vector<Value*>& parts = it->second;
  if (parts.size() > 1) parts = {b().Op(parts.size() == 2 ? "Add" : "Sum", parts)};
  return parts[0];
}

void Backward::Trouble(const Node& node, absl::StatusCode code, absl::string_view what) {
  constexpr size_t kMost = 100;
  if (troubles_.size() < kMost) troubles_.emplace_back(NodeError(node, code, what).message());
  // Work that is missing outweighs what cannot be.
  if (code_ != absl::StatusCode::kUnimplemented) code_ = code;
}

absl::Status Backward::Troubles() const {
  return troubles_.empty() ? absl::OkStatus() : absl::Status(code_, absl::StrJoin(troubles_, "\n"));
}

absl::Status Backward::Step(const Node& node, int depth) {
  std::vector<Value*> grads;
  OriginFrom(&node);
  for (size_t i = 0; i < node.num_outputs(); ++i) grads.push_back(Total(node.output(i)));
  if (std::all_of(grads.begin(), grads.end(), [](const Value* g) { return g == nullptr; }))
    return b().status();
  const bool captured = active_.Captured(node);
  std::vector<bool> wanted;
  for (const Value* v : node.inputs()) wanted.push_back(active_.Has(v));
  if (!captured && std::find(wanted.begin(), wanted.end(), true) == wanted.end())
    return b().status();

  const OpDef& op = node.op();
  if (op.gradient_kind == OpDef::Gradient::kNone) {
    Trouble(node, absl::StatusCode::kFailedPrecondition,
            absl::StrCat("the loss depends on a wanted value through ", op.name,
                         ", which has no gradient: ", op.not_differentiable_because));
    return absl::OkStatus();
  }
  if (op.gradient == nullptr && op.expand != nullptr && !captured && depth < kMaxDepth)
    return StepThroughExpansion(node, grads, depth);
  if (op.gradient == nullptr || captured) {
    Trouble(node, absl::StatusCode::kUnimplemented,
            absl::StrCat("the gradient of ", op.name,
                         captured ? " through values that its bodies capture" : "",
                         " is not written yet"));
    return absl::OkStatus();
  }
  GradientContext context(node, &b(), std::move(grads), std::move(wanted));
  absl::Status status = op.gradient(context);
  if (status.ok()) status = b().status();
  if (absl::IsUnimplemented(status) && b().status().ok()) {
    Trouble(node, status.code(), status.message());
    return absl::OkStatus();
  }
  if (!status.ok()) return NodeError(node, status.code(), status.message());
  for (size_t i = 0; i < node.num_inputs(); ++i) Add(node.input(i), context.input_grads()[i]);
  return absl::OkStatus();
}

// The expansion stands beside the node, which goes on to compute the result: what the backward half
// reads of it is computed again, and the rest is dead.
absl::Status Backward::StepThroughExpansion(const Node& node, absl::Span<Value* const> grads,
                                            int depth) {
  const size_t first = b().added().size();
  absl::StatusOr<std::vector<Value*>> results = node.op().expand(b(), node);
  if (!results.ok()) {
    Trouble(node, results.status().code(), results.status().message());
    return absl::OkStatus();
  }
  if (!b().status().ok()) return NodeError(node, b().status().code(), b().status().message());
  const std::vector<Node*> made(b().added().begin() + static_cast<int64_t>(first),
                                b().added().end());
  for (const Node* n : made) active_.Visit(*n);
  for (size_t i = 0; i < grads.size() && i < results->size(); ++i) Add((*results)[i], grads[i]);
  for (auto n = made.rbegin(); n != made.rend(); ++n) {
    if (absl::Status s = Step(**n, depth + 1); !s.ok()) return s;
  }
  return absl::OkStatus();
}

// The values that a way of active ones leads from to a loss. Their gradients may be 0 all the same:
// that of Sign is.
absl::flat_hash_set<const Value*> Backward::Reached(absl::Span<Value* const> losses) const {
  absl::flat_hash_set<const Value*> reached;
  std::vector<const Value*> open(losses.begin(), losses.end());
  while (!open.empty()) {
    const Value* v = open.back();
    open.pop_back();
    if (!active_.Has(v) || !reached.insert(v).second || v->producer() == nullptr) continue;
    for (const Value* input : v->producer()->inputs()) open.push_back(input);
    for (const Value* captured : Captures(*v->producer())) open.push_back(captured);
  }
  return reached;
}

// Of a value that no gradient reaches: the nodes at which the ways from it to a loss end.
std::string Backward::WhereItEnds(const Value* value, absl::Span<Value* const> losses) const {
  absl::flat_hash_set<const Node*> needed;  // by a loss
  std::vector<const Node*> open;
  for (const Value* loss : losses) open.push_back(loss->producer());
  while (!open.empty()) {
    const Node* node = open.back();
    open.pop_back();
    if (node == nullptr || !needed.insert(node).second) continue;
    for (const Value* v : node->inputs()) open.push_back(v == nullptr ? nullptr : v->producer());
    for (const Value* v : Captures(*node)) open.push_back(v->producer());
  }
  absl::flat_hash_set<const Value*> from = {value};
  std::vector<std::string> ends;
  for (const auto& node : graph_.nodes()) {
    const bool reads = std::any_of(node->inputs().begin(), node->inputs().end(),
                                   [&](const Value* v) { return from.contains(v); });
    if (!reads || !needed.contains(node.get())) continue;
    bool goes_on = false;
    for (size_t i = 0; i < node->num_outputs(); ++i) {
      if (node->Is("StopGradient") || !MayBeFloat(node->output(i))) continue;
      from.insert(node->output(i));
      goes_on = true;
    }
    if (!goes_on && ends.size() < 3) ends.push_back(NodeToString(*node));
  }
  return ends.empty() ? "" : absl::StrCat("; the way ends at ", absl::StrJoin(ends, ", and at "));
}

absl::StatusOr<std::vector<Value*>> Backward::Run(absl::Span<Value* const> losses,
                                                  absl::Span<Value* const> values,
                                                  const GradientOptions& options) {
  std::vector<const Node*> nodes;
  for (const auto& node : graph_.nodes()) {
    nodes.push_back(node.get());
    active_.Visit(*node);
    if (node->bodies().empty()) continue;
    const absl::flat_hash_set<const Value*> assigned = Assigned(*node);
    for (const Value* v : values) {
      if (!assigned.contains(v)) continue;
      Trouble(*node, absl::StatusCode::kUnimplemented,
              absl::StrCat("the gradient of variable ", Shown(v->name()),
                           " through bodies that assign it is not written yet"));
    }
  }
  for (Value* loss : losses) {
    if (!active_.Has(loss)) continue;
    OriginFrom(loss->producer());
    Add(loss, b().Op("GradientSeed", {FillLike(b(), loss, 1)}));
  }
  for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
    if (absl::Status s = Step(**it, 0); !s.ok()) return s;
  }
  const absl::flat_hash_set<const Value*> reached = Reached(losses);
  std::vector<Value*> results;
  std::vector<std::string> unreached;
  for (Value* v : values) {
    OriginFrom(v->producer());
    Value* grad = Total(v);
    if (!reached.contains(v) && !options.zeros_where_unreached) {
      unreached.push_back(
          absl::StrCat("no loss depends on ", Shown(v->name()), WhereItEnds(v, losses)));
    }
    if (grad == nullptr) grad = FillLike(b(), v, 0);
    if (v->producer() != nullptr && v->producer()->Is("Variable")) {
      grad = b().Op("GradientOf", {grad}, {{"variable", v->producer()->String("name")}});
    }
    results.push_back(grad);
  }
  if (!unreached.empty()) {
    if (code_ == absl::StatusCode::kOk) code_ = absl::StatusCode::kFailedPrecondition;
    troubles_.insert(troubles_.end(), unreached.begin(), unreached.end());
  }
  if (absl::Status s = Troubles(); !s.ok()) return s;
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

absl::StatusOr<std::vector<Value*>> AddGradients(Graph* graph, absl::Span<Value* const> losses,
                                                 absl::Span<Value* const> values,
                                                 const GradientOptions& options) try {
  if (graph == nullptr) return absl::InvalidArgumentError("no graph to differentiate: it is null");
  for (const Value* v : losses) {
    if (absl::Status s = CheckValue(graph, v, "loss"); !s.ok()) return s;
  }
  for (const Value* v : values) {
    if (absl::Status s = CheckValue(graph, v, "value"); !s.ok()) return s;
  }
  return Backward(graph, values).Run(losses, values, options);
} catch (...) {
  return ExceptionStatus();
}

}  // namespace sluice
