#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "graph/builder.h"
#include "graph/effects.h"
#include "graph/infer.h"
#include "graph/layout.h"
#include "graph/patch.h"
#include "runtime/clock.h"
#include "runtime/dynamic_steps.h"
#include "runtime/memory_planner.h"
#include "runtime/node_program.h"
#include "runtime/specialiser.h"
#include "runtime/tuner.h"

namespace sluice {
absl::StatusOr<std::shared_ptr<const Plan>> Specialiser::Make(const Graph& graph,
                                                              absl::Span<const Type> inputs,
                                                              absl::Span<const Tensor> contents,
                                                              absl::Span<const int> fetches,
                                                              absl::Span<const int> renews) {
  const int64_t start = NowNs();
  // A copy of the graph whose inputs have their numbers: inference makes the rest concrete.
  absl::StatusOr<std::unique_ptr<Graph>> concrete = Concrete(graph, inputs, contents, fetches);
  if (!concrete.ok()) return concrete.status();
  plan_->graph_ = *std::move(concrete);
  plan_->inner_ = options_.body || options_.deferred;
  Graph& g = *plan_->graph_;

  // What the fetches need, in order, each node made a step with its kernel; stretches that pay,
  // once for each slice of the batch.
  FindNeeded(g);
  AddInputSlots(g);
  const std::vector<Stretch> stretches = FindStretches(graph, inputs, fetches);
  std::vector<const Node*> nodes(needed_.begin(), needed_.end());
  for (const Stretch& s : stretches) {
    for (int i = s.first; i < s.last; ++i) nodes[i] = twins_[i];
  }
  PrepareAhead(nodes);
  auto stretch = stretches.begin();
  for (int i = 0; i < static_cast<int>(needed_.size());) {
    if (stretch != stretches.end() && stretch->first == i) {
      if (absl::Status s = AddStretch(*stretch); !s.ok()) return s;
      i = stretch++->last;
    } else if (absl::Status s = AddNode(*needed_[i++]); !s.ok()) {
      return s;
    }
  }

  std::vector<int> fetched;
  for (const Value* v : g.outputs()) fetched.push_back(SlotOf(v));
  if (absl::Status s = AlignConstants(fetched); !s.ok()) return s;

  // Where everything lies, and which steps run side by side.
  MemoryPlanner memory(options_, plan_.get(), std::move(last_read_));
  std::vector<int> renewed;
  for (int f : fetches) renewed.push_back(renews.empty() ? -1 : renews[static_cast<size_t>(f)]);
  if (absl::Status s = memory.Run(fetched, renewed); !s.ok()) return s;
  // Winners are a help to later sessions, not a result of this one: they may fail to be written.
  if (options_.tuner != nullptr) options_.tuner->Save();
  plan_->specialise_ms_ = static_cast<double>(NowNs() - start) / 1e6;
  return std::shared_ptr<const Plan>(std::move(plan_));
}

absl::StatusOr<std::unique_ptr<Graph>> Specialiser::Concrete(const Graph& graph,
                                                             absl::Span<const Type> inputs,
                                                             absl::Span<const Tensor> contents,
                                                             absl::Span<const int> fetches) const {
  std::unique_ptr<Graph> g = graph.Clone();
  std::vector<std::pair<Value*, std::string>> chosen;
  for (int f : fetches) chosen.push_back({g->outputs()[f], g->output_names()[f]});
  g->ClearOutputs();
  for (auto& [value, name] : chosen) g->AddOutput(value, name);
  EraseUnread(g.get());  // it may be wrong for the shapes at hand
  for (size_t i = 0; i < inputs.size(); ++i) g->inputs()[i]->set_type(inputs[i]);
  Node* const first = g->nodes().empty() ? nullptr : g->nodes().front().get();
  for (size_t i = 0; i < contents.size(); ++i) {
    if (!contents[i].valid()) continue;
    GraphBuilder b(g.get(), first);
    Value* constant = b.Constant(contents[i]);
    if (constant == nullptr) return b.status();
    g->ReplaceAllUses(g->inputs()[i], constant);
  }
  if (absl::Status s = InferTypes(g.get()); !s.ok()) return s;
  return g;
}

void Specialiser::FindNeeded(const Graph& g) {
  absl::flat_hash_set<const Node*> seen;
  std::vector<Node*> open;
  auto want = [&](Node* n) {
    if (n != nullptr && n->graph() == &g && seen.insert(n).second) open.push_back(n);
  };
  for (Value* v : g.outputs()) want(v->producer());
  for (const auto& node : g.nodes()) {
    if (HasEffects(*node)) want(node.get());
  }
  while (!open.empty()) {
    Node* n = open.back();
    open.pop_back();
    // Contents known from shapes alone need no computation behind them.
    if (KnownContents(*n)) continue;
    for (Value* v : n->inputs()) {
      if (v != nullptr) want(v->producer());
    }
    for (Value* v : Captures(*n)) want(v->producer());
    for (Node* c : n->control_inputs()) want(c);
  }
  for (const auto& node : g.nodes()) {
    if (seen.contains(node.get())) needed_.push_back(node.get());
  }
}

bool Specialiser::KnownContents(const Node& node) {
  if (node.Is("Constant") || !IsPure(node) || !node.bodies().empty()) return false;
  for (size_t i = 0; i < node.num_outputs(); ++i) {
    const Value& v = *node.output(i);
    if (!v.known_dims().has_value() || !v.type().is_tensor() || !v.type().has_static_shape())
      return false;
    if (!IsInt(v.type().dtype()) || v.type().rank() > 1) return false;
    for (const Dim& d : *v.known_dims()) {
      if (!d.is_number()) return false;
    }
    const int64_t expected = v.type().rank() == 0 ? 1 : v.type().dim(0).number();
    if (static_cast<int64_t>(v.known_dims()->size()) != expected) return false;
  }
  return true;
}

absl::StatusOr<Tensor> Specialiser::Materialise(const Value& v) {
  absl::StatusOr<Tensor> t = Tensor::Allocate(v.type().dtype(), *v.type().StaticDims());
  if (!t.ok()) return t;
  for (size_t i = 0; i < v.known_dims()->size(); ++i) {
    const int64_t number = (*v.known_dims())[i].number();
    VisitDType(
        t->dtype(), [&]<typename T>() { t->mutable_data<T>()[i] = static_cast<T>(number); }, [] {});
  }
  return t;
}

int Specialiser::AddSlot(const Value& v, SlotKind kind, int index) {
  const int id = static_cast<int>(plan_->slots_.size());
  plan_->slots_.push_back({kind, index, 0, v.type(), v.name()});
  plan_->constants_.emplace_back();
  slot_of_[&v] = id;
  last_read_.push_back(-1);
  return id;
}

int Specialiser::AddConstantSlot(const Value& v, Tensor tensor) {
  const int id = AddSlot(v, SlotKind::kConstant);
  plan_->slots_[id].index = id;
  plan_->slots_[id].type = Type::Of(tensor);
  plan_->constants_[id] = std::move(tensor);
  return id;
}

void Specialiser::AddInputSlots(const Graph& g) {
  AddSlot(none_, SlotKind::kNone);
  for (size_t i = 0; i < g.inputs().size(); ++i)
    AddSlot(*g.inputs()[i], SlotKind::kInput, static_cast<int>(i));
  plan_->num_inputs_ = static_cast<int>(g.inputs().size());
}

int Specialiser::FormSlot(int input, const InputForm& form, std::shared_ptr<const Kernel> kernel) {
  const int index = plan_->slots_[static_cast<size_t>(input)].index;
  for (const PlanForm& f : plan_->forms_) {
    if (f.input == index && f.format == form.format) return f.slot;
  }
  const int slot =
      AddSlot(none_, SlotKind::kInput, plan_->num_inputs_ + static_cast<int>(plan_->forms_.size()));
  plan_->slots_[static_cast<size_t>(slot)].name =
      absl::StrCat(plan_->slots_[static_cast<size_t>(input)].name, " in the form ", form.format);
  plan_->forms_.push_back(
      {index, form.format,
       [kernel = std::move(kernel), &form](const Tensor& plain) { return form.pack(plain); },
       slot});
  return slot;
}

absl::Status Specialiser::AddNode(const Node& node) {
  if (node.Is("Constant")) {
    AddConstantSlot(*node.output(), *node.GetTensor("value"));
    return absl::OkStatus();
  }
  if (KnownContents(node)) {
    for (size_t i = 0; i < node.num_outputs(); ++i) {
      absl::StatusOr<Tensor> contents = Materialise(*node.output(i));
      if (!contents.ok()) return contents.status();
      AddConstantSlot(*node.output(i), *std::move(contents));
    }
    return absl::OkStatus();
  }
  Step step = StepOf(node);
  if (absl::Status s = ChooseKernel(node, &step); !s.ok()) return s;
  if (step.kernel == nullptr && step.dynamic == nullptr) return AddExpansion(node);
  NoteReads(step);
  for (size_t i = 0; i < node.num_outputs(); ++i) {
    const Value& out = *node.output(i);
    int slot;
    if (step.dynamic != nullptr) {
      slot = AddSlot(out, SlotKind::kDynamic, plan_->num_dynamic_++);
    } else {
      slot = AddSlot(out, SlotKind::kArena);
    }
    step.outputs.push_back(slot);
  }
  plan_->steps_.push_back(std::move(step));
  return absl::OkStatus();
}

absl::Status Specialiser::AddExpansion(const Node& node) {
  constexpr int kMaxDepth = 16;
  if (expanding_ >= kMaxDepth) {
    return NodeError(node, absl::StatusCode::kInternal,
                     absl::StrCat("its expansion goes deeper than ", kMaxDepth));
  }
  const auto laid_out = [](const Value* v) {
    return v != nullptr && v->type().is_tensor() && v->type().layout() != Layout::kPlain;
  };
  GraphBuilder b(plan_->graph_.get());
  b.SetOrigin(node.origin());
  // An expansion is of plain values: what is not is reordered around it.
  const Node* source = &node;
  bool plain = true;
  for (const Value* v : node.inputs()) plain &= !laid_out(v);
  for (size_t i = 0; i < node.num_outputs(); ++i) plain &= !laid_out(node.output(i));
  if (!plain) {
    std::vector<Value*> inputs = node.inputs();
    for (Value*& v : inputs) {
      if (laid_out(v)) v = b.Op("Reorder", {v}, {{"layout", "plain"}});
    }
    const AttrList attrs(node.attrs().begin(), node.attrs().end());
    Node* copy = b.RawOp(node.op_name(), inputs, node.num_outputs(), attrs);
    if (copy == nullptr) return b.status();
    if (absl::Status s = CopyBodies(node, copy); !s.ok()) return s;
    b.Finish(copy);
    if (!b.status().ok()) return b.status();
    source = copy;
  }
  absl::StatusOr<std::vector<Value*>> results = node.op().expand(b, *source);
  if (!results.ok()) return results.status();
  for (size_t i = 0; i < node.num_outputs() && i < results->size(); ++i) {
    if (!laid_out(node.output(i))) continue;
    Value*& v = (*results)[i];
    v = b.Op("Reorder", {v}, {{"layout", ToString(node.output(i)->type().layout())}});
  }
  if (!b.status().ok()) return b.status();
  const std::vector<Node*> added = b.added();
  ++expanding_;
  for (const Node* n : added) {
    if (n == source) continue;
    if (absl::Status s = AddNode(*n); !s.ok()) return s;
  }
  --expanding_;
  for (size_t i = 0; i < node.num_outputs(); ++i) {
    if (i < results->size() && (*results)[i] != nullptr) {
      slot_of_[node.output(i)] = SlotOf((*results)[i]);
    } else if (node.output(i)->used()) {
      return NodeError(node, absl::StatusCode::kInternal,
                       absl::StrCat("its expansion gives no output ", i));
    }
  }
  return absl::OkStatus();
}

bool Specialiser::MoreToKnow(const Node& node) const {
  if (options_.deferred && expanding_ == 0) return false;
  for (const Value* v : node.inputs()) {
    if (v == nullptr || ConstantOf(v).valid()) continue;
    const std::optional<Dims> dims = v->type().StaticDims();
    if (!dims.has_value()) return true;
    absl::StatusOr<int64_t> count = ElementCount(*dims);
    if (count.ok() && *count <= kContentElements) return true;
  }
  return false;
}

Step Specialiser::StepOf(const Node& node) const {
  Step step{.node = &node};
  for (const Value* v : node.inputs()) step.inputs.push_back(SlotOf(v));
  for (size_t i = 0; i < node.num_outputs(); ++i)
    step.output_types.push_back(node.output(i)->type());
  return step;
}

void Specialiser::NoteReads(const Step& step) {
  const int now = static_cast<int>(plan_->steps_.size());
  for (int slot : step.inputs) last_read_[slot] = now;
  for (int slot : step.reads) last_read_[slot] = now;
}

absl::StatusOr<std::shared_ptr<const Plan>> Specialise(
    const Graph& graph, absl::Span<const Type> inputs, absl::Span<const Tensor> contents,
    absl::Span<const int> fetches, absl::Span<const int> renews, const ProgramOptions& options) {
  return Specialiser(options).Make(graph, inputs, contents, fetches, renews);
}

}  // namespace sluice
