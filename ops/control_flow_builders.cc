#include "ops/control_flow_builders.h"

#include "absl/strings/str_cat.h"
#include "graph/text.h"
#include "ops/op.h"

namespace sluice::ops {
namespace {

// How many outputs a node has is known only once its bodies are built, and bodies live in their
// node: so they are built in a draft of it at the end of the graph, which goes away with this
// object. Where the builder has failed there is none, and the functions that build bodies get a
// builder that has failed too, over a graph that nobody sees, so that there are as many results as
// ever, all null.
class Draft {
 public:
  Draft(GraphBuilder& g, const char* op) : g_(g) {
    if (!g.status().ok()) return;
    const OpDef* def = g.graph()->ops().Find(op);
    if (def == nullptr) {
      g.Fail(absl::NotFoundError(absl::StrCat("no op is called ", Shown(op))));
      return;
    }
    node_ = g.graph()->AddNode(*def, {}, {std::string()});
  }
  ~Draft() {
    if (node_ != nullptr) g_.graph()->EraseNode(node_);
  }

  bool ok() const { return node_ != nullptr && g_.status().ok(); }
  GraphBuilder Body(absl::string_view name) {
    if (ok()) return GraphBuilder(node_->AddBody(name));
    if (unseen_ == nullptr) unseen_ = std::make_unique<Graph>(StandardOps());
    GraphBuilder failed(unseen_.get());
    failed.Fail(g_.status());
    return failed;
  }

  // Ends a body. A value from around it gets a name inside.
  void Return(GraphBuilder& b, absl::Span<Value* const> values, const Location& where) {
    for (Value* v : values) {
      if (v != nullptr && v->graph() != b.graph()) v = b.Op("Identity", {v}, {}, where);
      b.Output(v);
    }
    if (!b.status().ok()) g_.Fail(b.status());
  }

  // The node itself, with the bodies.
  Values Make(absl::Span<Value* const> inputs, size_t outputs, const AttrList& attrs,
              const Location& where) {
    if (!ok()) return Values(outputs, nullptr);
    Node* node = g_.RawOp(node_->op_name(), inputs, outputs, attrs, where);
    if (node == nullptr) return Values(outputs, nullptr);
    node->TakeBodies(node_);
    g_.Finish(node);
    Values values;
    for (size_t i = 0; i < outputs; ++i)
      values.push_back(g_.status().ok() ? node->output(i) : nullptr);
    return values;
  }

 private:
  GraphBuilder& g_;
  Node* node_ = nullptr;
  std::unique_ptr<Graph> unseen_;
};

Value* AddInput(GraphBuilder& b, absl::string_view name, Type type) {
  if (!b.status().ok()) return nullptr;
  return b.graph()->AddInput(b.graph()->UniqueName(name), std::move(type));
}

// Fails where a value that is looked at before the node is made is null or of another graph.
void CheckSeen(GraphBuilder& g, const char* op, absl::Span<Value* const> values,
               const Location& where) {
  for (const Value* v : values) {
    if (!g.status().ok()) return;
    if (v != nullptr && g.graph()->Sees(v)) continue;
    g.Fail(absl::InvalidArgumentError(
        absl::StrCat(op, ": an input is ", v == nullptr ? "null" : "a value of another graph",
                     "\n  at ", where.file_name(), ":", where.line())));
  }
}

// The type of one slice of `type`.
Type SliceType(const Type& type, int64_t axis) {
  if (!type.is_tensor() || !type.has_shape()) return type;
  if (axis < 0) axis += type.rank();
  if (axis < 0 || axis >= type.rank()) return Type::Tensor(type.dtype());
  Shape shape = type.shape();
  shape.erase(shape.begin() + axis);
  return Type::Tensor(type.dtype(), std::move(shape));
}

}  // namespace

Values If(GraphBuilder& g, Value* cond, Branch then_branch, Branch else_branch, Location where) {
  CheckSeen(g, "If", {&cond, 1}, where);
  Draft draft(g, "If");
  size_t outputs = 0;
  for (const auto& [name, branch] :
       {std::pair("then_branch", then_branch), std::pair("else_branch", else_branch)}) {
    GraphBuilder b = draft.Body(name);
    const Values values = branch(b);
    draft.Return(b, values, where);
    outputs = values.size();
  }
  return draft.Make({&cond, 1}, outputs, {}, where);
}

LoopOutputs Loop(GraphBuilder& g, Value* trip_count, Value* condition,
                 absl::Span<Value* const> initial, LoopFunction body, Location where) {
  CheckSeen(g, "Loop", initial, where);
  Draft draft(g, "Loop");
  GraphBuilder b = draft.Body("body");
  Value* iteration = AddInput(b, "iteration", Type::Tensor(DType::kI64, Shape{}));
  Value* before = AddInput(b, "condition", Type::Tensor(DType::kBool, Shape{}));
  Values carried;
  for (Value* v : initial) {
    carried.push_back(draft.ok() ? AddInput(b, absl::StrCat(v->name(), "_carried"), v->type())
                                 : nullptr);
  }

  LoopBody made = body(b, iteration, before, carried);
  if (b.status().ok() && made.carried.size() != initial.size()) {
    b.Fail(absl::InvalidArgumentError(
        absl::StrCat("Loop: its body must return ", initial.size(), " carried values, but returns ",
                     made.carried.size(), "\n  at ", where.file_name(), ":", where.line())));
  }
  Values results = {made.condition != nullptr ? made.condition
                                              : b.Op("Identity", {before}, {}, where)};
  results.insert(results.end(), made.carried.begin(), made.carried.end());
  results.insert(results.end(), made.stacked.begin(), made.stacked.end());
  draft.Return(b, results, where);

  Values inputs = {trip_count, condition};
  inputs.insert(inputs.end(), initial.begin(), initial.end());
  const Values outputs = draft.Make(inputs, results.size() - 1, {}, where);
  const auto split = outputs.begin() + std::min(initial.size(), outputs.size());
  return {Values(outputs.begin(), split), Values(split, outputs.end())};
}

ScanBody Scan(GraphBuilder& g, absl::Span<Value* const> initial, absl::Span<Value* const> scanned,
              ScanFunction body, const ScanAttrs& attrs, Location where) {
  CheckSeen(g, "Scan", initial, where);
  CheckSeen(g, "Scan", scanned, where);
  Draft draft(g, "Scan");
  GraphBuilder b = draft.Body("body");
  Values states, slices;
  for (Value* v : initial) {
    states.push_back(draft.ok() ? AddInput(b, absl::StrCat(v->name(), "_state"), v->type())
                                : nullptr);
  }
  for (size_t i = 0; i < scanned.size(); ++i) {
    if (!draft.ok()) {
      slices.push_back(nullptr);
      continue;
    }
    const auto& axes = attrs.scan_input_axes.value;
    const int64_t axis = axes && i < axes->size() ? (*axes)[i] : 0;
    slices.push_back(AddInput(b, absl::StrCat(scanned[i]->name(), "_slice"),
                              SliceType(scanned[i]->type(), axis)));
  }

  ScanBody made = body(b, states, slices);
  if (b.status().ok() && made.states.size() != initial.size()) {
    b.Fail(absl::InvalidArgumentError(
        absl::StrCat("Scan: its body must return ", initial.size(), " states, but returns ",
                     made.states.size(), "\n  at ", where.file_name(), ":", where.line())));
  }
  Values results = made.states;
  results.insert(results.end(), made.stacked.begin(), made.stacked.end());
  draft.Return(b, results, where);

  AttrList list = {{"num_scan_inputs", static_cast<int64_t>(scanned.size())}};
  internal::Add(&list, "scan_input_axes", attrs.scan_input_axes);
  internal::Add(&list, "scan_input_directions", attrs.scan_input_directions);
  internal::Add(&list, "scan_output_axes", attrs.scan_output_axes);
  internal::Add(&list, "scan_output_directions", attrs.scan_output_directions);
  Values inputs(initial.begin(), initial.end());
  inputs.insert(inputs.end(), scanned.begin(), scanned.end());
  const Values outputs = draft.Make(inputs, results.size(), list, where);
  const auto split = outputs.begin() + std::min(initial.size(), outputs.size());
  return {Values(outputs.begin(), split), Values(split, outputs.end())};
}

}  // namespace sluice::ops
