// A batch that runs slice by slice: see slices.h.
#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "runtime/specialiser.h"

namespace sluice {
namespace {

int64_t BytesOf(const Type& type) {
  return *ElementCount(*type.StaticDims(), ByteSize(type.dtype())) *
         static_cast<int64_t>(ByteSize(type.dtype()));
}

}  // namespace

std::vector<Stretch> Specialiser::FindStretches(const Graph& graph, absl::Span<const Type> inputs,
                                                absl::Span<const int> fetches) {
  // The batch: the extent of axis 0 of the first input, by whatever symbol, and of all alike.
  const auto first = [](const Type& t) {
    return t.is_tensor() && t.has_shape() && t.rank() > 0 ? t.dim(0) : Dim::Unknown();
  };
  if (options_.deferred || inputs.empty() || !first(inputs[0]).is_number()) return {};
  const Dim symbol = first(graph.inputs()[0]->type());
  const int64_t batch = first(inputs[0]).number();
  if (batch < 2) return {};
  const int threads = options_.deterministic ? 1 : options_.threads;
  std::vector<SliceNode> nodes = SliceNodes(needed_, batch);
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (KnownContents(*needed_[i])) nodes[i] = {.kind = SliceNode::Kind::kNoStep};
  }
  slicing_ = FindSlices(nodes, batch, threads);
  if (slicing_.stretches.empty()) return {};
  std::vector<Type> of_slice(inputs.begin(), inputs.end());
  for (size_t i = 0; i < of_slice.size(); ++i) {
    const Dim rows = first(graph.inputs()[i]->type());
    const bool same = symbol.is_unknown() ? i == 0 : rows == symbol;
    if (!same || !(first(of_slice[i]) == Dim(batch))) continue;
    Shape shape = of_slice[i].shape();
    shape[0] = Dim(slicing_.rows);
    of_slice[i] = Type::Tensor(of_slice[i].dtype(), std::move(shape), of_slice[i].layout());
  }
  // A graph that is made for this very batch says so.
  absl::StatusOr<std::unique_ptr<Graph>> part = Concrete(graph, of_slice, {}, fetches);
  if (!part.ok() || (*part)->num_nodes() != plan_->graph_->num_nodes()) return {};
  plan_->slice_graph_ = *std::move(part);
  absl::flat_hash_map<const Node*, const Node*> twin;
  auto other = plan_->slice_graph_->nodes().begin();
  for (const auto& node : plan_->graph_->nodes()) twin[node.get()] = (other++)->get();
  for (size_t i = 0; i < nodes.size(); ++i) {
    twins_.push_back(twin.at(needed_[i]));
    if (nodes[i].kind == SliceNode::Kind::kRowWise &&
        !IsRowWise(*needed_[i], *twins_[i], batch, slicing_.rows))
      nodes[i].kind = SliceNode::Kind::kOther;
    step_nodes_.push_back(nodes[i].kind != SliceNode::Kind::kNoStep);
  }
  slices_ = batch / slicing_.rows;
  slicing_ = FindSlices(nodes, batch, threads, slicing_.rows);
  return slicing_.stretches;
}

absl::Status Specialiser::AddStretch(const Stretch& stretch) {
  for (int i = stretch.first; i < stretch.last; ++i) {
    if (step_nodes_[i]) continue;
    if (absl::Status s = AddNode(*needed_[i]); !s.ok()) return s;
  }
  const size_t slots = plan_->slots_.size(), steps = plan_->steps_.size();
  const size_t forms = plan_->forms_.size();
  const int64_t packed = plan_->packed_bytes_;
  std::vector<const Value*> wholes;
  absl::StatusOr<bool> sliced = AddSlices(stretch, &wholes);
  if (!sliced.ok()) return sliced.status();
  if (*sliced) {
    plan_->slices_.push_back(
        {static_cast<int>(steps), static_cast<int>(plan_->steps_.size()), slices_, slicing_.rows});
    plan_->slices_saved_ns_ = slicing_.saved_ns;
    return absl::OkStatus();
  }
  plan_->slots_.resize(slots);
  plan_->constants_.resize(slots);
  last_read_.resize(slots);
  plan_->steps_.resize(steps);
  plan_->forms_.resize(forms);
  plan_->packed_bytes_ = packed;
  for (const Value* v : wholes) slot_of_.erase(v);
  for (int i = stretch.first; i < stretch.last; ++i) {
    if (!step_nodes_[i]) continue;
    if (absl::Status s = AddNode(*needed_[i]); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> Specialiser::AddSlices(const Stretch& stretch,
                                            std::vector<const Value*>* wholes) {
  absl::flat_hash_set<const Node*> inside;
  for (int i = stretch.first; i < stretch.last; ++i) {
    if (step_nodes_[i]) inside.insert(needed_[i]);
  }
  // Uses that nobody fetches do not count; those in bodies do.
  const absl::flat_hash_set<const Node*> needed(needed_.begin(), needed_.end());
  const auto leaves = [&](const Value& v) {
    return v.is_graph_output() || absl::c_any_of(v.uses(), [&](const Use& use) {
             return use.node->graph() != v.graph() ||
                    (needed.contains(use.node) && !inside.contains(use.node));
           });
  };
  const int first_step = static_cast<int>(plan_->steps_.size());
  absl::flat_hash_set<int> outer;  // slots that every slice touches
  for (int64_t slice = 0; slice < slices_; ++slice) {
    absl::flat_hash_set<const Value*> placed;  // that have a slot good for this slice
    int of_first = first_step;
    for (int i = stretch.first; i < stretch.last; ++i) {
      if (!step_nodes_[i]) continue;
      const Node &whole = *needed_[i], &part = *twins_[i];
      for (size_t k = 0; k < part.num_inputs(); ++k) {
        const Value *v = part.input(k), *all = whole.input(k);
        if (v == nullptr || !placed.insert(v).second) continue;
        if (v->type() == all->type()) {
          if (slice > 0) continue;
          const bool follows = v->known_dims() != all->known_dims();  // the batch
          if (follows && (v->producer() == nullptr || !KnownContents(*v->producer()))) return false;
          absl::StatusOr<int> slot = SharedSlot(*v, *all, follows);
          if (!slot.ok()) return slot.status();
          outer.insert(*slot);
        } else {
          const int slot = SlotOf(all);
          if (plan_->slots_[slot].kind == SlotKind::kDynamic) return false;
          AddPart(*v, slot, slice);
          outer.insert(slot);
        }
      }
      Step step = StepOf(part);
      step.sliced = true;
      if (slice == 0) {
        if (!ChooseKernel(part, &step).ok() || step.kernel == nullptr) return false;
        NoteReads(step);
      } else {
        step.kernel = plan_->steps_[of_first].kernel;
        step.forms = plan_->steps_[of_first].forms;
        step.choice = plan_->steps_[of_first].choice;
        step.same_as = of_first;
      }
      ++of_first;
      for (size_t k = 0; k < part.num_outputs(); ++k) {
        const Value &v = *part.output(k), &all = *whole.output(k);
        placed.insert(&v);
        if (leaves(all)) {
          if (slice == 0) {
            outer.insert(AddSlot(all, SlotKind::kArena));
            wholes->push_back(&all);
          }
          AddPart(v, SlotOf(&all), slice);
        } else if (slice == 0) {
          AddSlot(v, SlotKind::kArena);  // of each slice in turn
        }
        step.outputs.push_back(SlotOf(&v));
      }
      plan_->steps_.push_back(std::move(step));
    }
  }
  for (int slot : outer) last_read_[slot] = static_cast<int>(plan_->steps_.size()) - 1;
  return true;
}

int Specialiser::AddPart(const Value& part, int whole, int64_t slice) {
  const int id = AddSlot(part, SlotKind::kArena);
  Slot& s = plan_->slots_[id];
  const int64_t rows = s.type.dim(0).number();
  s.name = absl::StrCat(s.name, "[", slice * rows, ":", (slice + 1) * rows, "]");
  s.part_of = whole;
  s.part_offset = slice * BytesOf(s.type);
  return id;
}

absl::StatusOr<int> Specialiser::SharedSlot(const Value& part, const Value& all, bool own) {
  if (!own) return slot_of_[&part] = SlotOf(&all);
  absl::StatusOr<Tensor> contents = Materialise(part);
  if (!contents.ok()) return contents.status();
  return AddConstantSlot(part, *std::move(contents));
}

}  // namespace sluice
