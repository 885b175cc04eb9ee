#include "runtime/memory_planner.h"

#include <algorithm>
#include <climits>

#include "absl/strings/str_cat.h"
#include "graph/text.h"
#include "kernels/cpu/cost/cost.h"
#include "runtime/arena.h"

namespace sluice {
namespace {

int64_t BytesOf(const Type& type) {
  absl::StatusOr<int64_t> n = ElementCount(*type.StaticDims(), ByteSize(type.dtype()));
  return n.ok() ? *n * static_cast<int64_t>(ByteSize(type.dtype())) : INT64_MAX / 4;
}

}  // namespace

// Branches of small steps. Memory: inside a section nothing that another lane may touch is used
// again; a buffer's times become the section's.
void MemoryPlanner::FindBranches() {
  const std::vector<SectionStep> steps =
      SectionSteps(plan_->steps_, plan_->slots_.size(), options_.threads);
  lane_of_.assign(steps.size(), {-1, -1});
  sections_ = FindSections(steps, options_.threads, cpu::ForkNs(options_.threads));
  int lanes = 0;
  for (size_t s = 0; s < sections_.size(); ++s) {
    first_lane_.push_back(lanes);
    lanes += static_cast<int>(sections_[s].lanes.size());
    for (size_t lane = 0; lane < sections_[s].lanes.size(); ++lane) {
      for (int i : sections_[s].lanes[lane])
        lane_of_[i] = {static_cast<int>(s), static_cast<int>(lane)};
    }
  }
}

void MemoryPlanner::AssignBuffers(absl::Span<const int> fetched, absl::Span<const int> renews) {
  // A new value goes into the memory of the old one, not into a gradient's.
  std::vector<bool> renewed(plan_->slots_.size(), false);
  for (size_t o = 0; o < fetched.size(); ++o) {
    if (renews[o] >= 0) renewed[static_cast<size_t>(fetched[o])] = true;
  }
  const int end = static_cast<int>(plan_->steps_.size());
  for (int slot : fetched) last_read_[slot] = end;
  buffer_of_.assign(plan_->slots_.size(), -1);
  std::vector<Step> kept;
  std::vector<int> kept_at(plan_->steps_.size(), -1);
  auto run = plan_->slices_.begin();
  for (int now = 0; now < end; ++now) {
    Step& step = plan_->steps_[now];
    while (run != plan_->slices_.end() && run->last <= now) ++run;
    if (step.same_as >= 0) {  // memory and all as in the first slice
      for (int slot : step.outputs) TakePart(slot, now);
      step.same_as = kept_at[step.same_as];
      if (step.same_as < 0) continue;
      step_time_.push_back(now);
      kept_at[now] = static_cast<int>(kept.size());
      kept.push_back(std::move(step));
      continue;
    }
    bool launch = step.kernel == nullptr;
    if (!launch) {
      const auto views = step.kernel->views();
      const auto in_place = step.kernel->in_place();
      for (size_t o = 0; o < step.outputs.size(); ++o) {
        const int slot = step.outputs[o];
        if (TakePart(slot, run == plan_->slices_.end() ? now : run->first)) {
          launch = true;
          continue;
        }
        bool viewed = false;
        for (const auto& [out, in] : views) {
          if (out == static_cast<int>(o) && in < static_cast<int>(step.inputs.size()) && !viewed) {
            viewed = MakeView(slot, step.inputs[in]);
          }
        }
        if (viewed) continue;
        launch = true;
        for (const auto& [out, in] : in_place) {
          if (renewed[static_cast<size_t>(slot)]) break;
          if (out != static_cast<int>(o) || in >= static_cast<int>(step.inputs.size())) continue;
          if (TakeInput(slot, step, in, now)) break;
        }
        if (buffer_of_[slot] < 0) NewBuffer(slot, now);
      }
    }
    if (launch) {
      step_time_.push_back(now);
      kept_at[now] = static_cast<int>(kept.size());
      kept.push_back(std::move(step));
    }
  }
  plan_->steps_ = std::move(kept);
  RenumberSections(kept_at);
  for (SliceRun& s : plan_->slices_) {
    int first = INT_MAX, last = 0;
    for (int i = s.first; i < s.last; ++i) {
      if (kept_at[i] < 0) continue;
      first = std::min(first, kept_at[i]);
      last = kept_at[i] + 1;
    }
    s.first = std::min(first, last);
    s.last = last;
  }
  for (size_t i = 0; i < fetched.size(); ++i) AddOutput(static_cast<int>(i), fetched[i]);
}

// A slot of some rows lies where all rows lie, which hold from `first` on: the slices come back to
// them.
bool MemoryPlanner::TakePart(int slot, int first) {
  const int whole = plan_->slots_[slot].part_of;
  if (whole < 0) return false;
  if (buffer_of_[whole] < 0) NewBuffer(whole, first);
  return true;
}

// The slot takes the memory of `source` under its own shape; not of some rows, which differ from
// slice to slice.
bool MemoryPlanner::MakeView(int slot, int source) {
  const Slot from = plan_->slots_[source];
  if (from.part_of >= 0) return false;
  Slot& to = plan_->slots_[slot];
  switch (from.kind) {
    case SlotKind::kConstant:
      to.kind = SlotKind::kConstant;
      to.index = slot;
      plan_->constants_[slot] = plan_->constants_[source].Reshaped(*to.type.StaticDims());
      return true;
    case SlotKind::kInput:
      to.kind = from.kind;
      to.index = from.index;
      return true;
    case SlotKind::kArena: {
      const int b = buffer_of_[source];
      buffer_of_[slot] = b;
      Join(b, slot);
      return true;
    }
    default:
      return false;
  }
}

// The output `slot` moves into the memory of input `in` where that is read by nobody later.
bool MemoryPlanner::TakeInput(int slot, const Step& step, int in, int now) {
  const int source = step.inputs[in];
  if (plan_->slots_[source].part_of >= 0) return false;
  const int b = buffer_of_[source];
  if (b < 0 || buffers_[b].last != now || buffers_[b].bytes != BytesOf(plan_->slots_[slot].type))
    return false;
  // Beside other lanes, only memory of its own: they may still read the rest.
  if (lane_of_[now].section >= 0 && lane_of_[buffers_[b].first] != lane_of_[now]) return false;
  for (size_t i = 0; i < step.inputs.size(); ++i) {  // no other input may lie in that memory
    if (static_cast<int>(i) != in && buffer_of_[step.inputs[i]] == b) return false;
  }
  for (int other : step.outputs) {
    if (other != slot && buffer_of_[other] == b) return false;
  }
  buffer_of_[slot] = b;
  Join(b, slot);
  return true;
}

void MemoryPlanner::NewBuffer(int slot, int now) {
  buffer_of_[slot] = static_cast<int>(buffers_.size());
  buffers_.push_back({BytesOf(plan_->slots_[slot].type), now, now, -1, {}});
  Join(buffer_of_[slot], slot);
}

void MemoryPlanner::Join(int buffer, int slot) {
  buffers_[buffer].members.push_back(slot);
  buffers_[buffer].last = std::max(buffers_[buffer].last, last_read_[slot]);
}

void MemoryPlanner::AddOutput(int index, int slot) {
  const Slot& s = plan_->slots_[slot];
  const int b = buffer_of_[slot];
  bool direct = b >= 0 && buffers_[b].output < 0 && buffers_[b].bytes == BytesOf(s.type) &&
                s.type.dtype() != DType::kString;
  if (direct) buffers_[b].output = index;
  const std::optional<Dims> dims = s.type.is_tensor() ? s.type.StaticDims() : std::nullopt;
  plan_->outputs_.push_back({slot, s.type, direct, dims.has_value(), dims.value_or(Dims())});
}

// State is written in its place where nothing can go wrong any more: `safe` is the first step
// behind all that may fail. The steps are those that are kept.
void MemoryPlanner::FindRenewed(absl::Span<const int> renews) {
  const int end = static_cast<int>(plan_->steps_.size());
  int safe = 0;
  for (int i = 0; i < end; ++i) {
    const Kernel* kernel = plan_->steps_[static_cast<size_t>(i)].kernel.get();
    if (kernel == nullptr || kernel->may_fail()) safe = i + 1;
  }
  plan_->commit_ = end;
  // What is copied at the end takes memory, which there may be none of.
  const std::vector<PlanOutput>& outputs = plan_->outputs_;
  if (!std::all_of(outputs.begin(), outputs.end(), [](const PlanOutput& o) { return o.direct; }))
    return;
  for (size_t o = 0; o < renews.size(); ++o) {
    int first = end;
    if (renews[o] < 0 || !MayRenew(o, renews[o], safe, &first)) continue;
    plan_->outputs_[o].renews = renews[o];
    plan_->commit_ = std::min(plan_->commit_, first);
  }
}

// Everybody has read the input when `first`, the step that writes the output first, begins; or it
// reads each element before it writes in its place.
bool MemoryPlanner::MayRenew(size_t output, int input, int safe, int* first) const {
  const PlanOutput& target = plan_->outputs_[output];
  const int buffer = buffer_of_[static_cast<size_t>(target.slot)];
  if (!target.direct || buffer < 0) return false;
  const auto is_input = [&](int slot) {
    const Slot* s = &plan_->slots_[static_cast<size_t>(slot)];
    if (s->part_of >= 0) s = &plan_->slots_[static_cast<size_t>(s->part_of)];
    return s->kind == SlotKind::kInput && s->index == input;
  };
  for (const PlanOutput& other : plan_->outputs_) {
    if (is_input(other.slot)) return false;  // it is copied at the end
  }
  const int end = static_cast<int>(plan_->steps_.size());
  *first = end;
  int last = -1;
  for (int i = 0; i < end; ++i) {
    const Step& step = plan_->steps_[static_cast<size_t>(i)];
    for (int slot : step.outputs) {
      if (buffer_of_[static_cast<size_t>(slot)] != buffer) continue;
      if (step.sliced) return false;
      *first = std::min(*first, i);
    }
    for (const auto* slots : {&step.inputs, &step.reads}) {
      for (int slot : *slots) {
        if (is_input(slot)) last = i;
      }
    }
  }
  if (*first < safe || *first == end || last > *first) return false;
  for (const Section& s : plan_->sections_) {
    if (s.first <= *first && *first < s.last) return false;
  }
  if (last < *first) return true;
  const Step& step = plan_->steps_[static_cast<size_t>(last)];
  const auto pairs = step.kernel->in_place();
  for (size_t i = 0; i < step.inputs.size(); ++i) {
    if (!is_input(step.inputs[i])) continue;
    const bool in_place = std::any_of(pairs.begin(), pairs.end(), [&](const auto& pair) {
      return pair.second == static_cast<int>(i) &&
             buffer_of_[static_cast<size_t>(step.outputs[static_cast<size_t>(pair.first)])] ==
                 buffer;
    });
    if (!in_place) return false;
  }
  return true;
}

// The sections over the steps that were kept: `kept_at` by old number, -1 where it fell out.
void MemoryPlanner::RenumberSections(const std::vector<int>& kept_at) {
  for (Section& s : sections_) {
    Section kept{INT_MAX, 0, {}};
    for (const std::vector<int>& lane : s.lanes) {
      std::vector<int> left;
      for (int i : lane) {
        if (kept_at[i] < 0) continue;
        left.push_back(kept_at[i]);
        kept.first = std::min(kept.first, kept_at[i]);
        kept.last = std::max(kept.last, kept_at[i] + 1);
      }
      if (!left.empty()) kept.lanes.push_back(std::move(left));
    }
    if (kept.lanes.size() > 1) plan_->sections_.push_back(std::move(kept));
  }
}

// When a step may begin and end: anywhere in its section.
int MemoryPlanner::Earliest(int step) const {
  const int section = lane_of_[step].section;
  return section < 0 ? step : sections_[section].first;
}

int MemoryPlanner::Latest(int step) const {
  if (step >= static_cast<int>(lane_of_.size())) return step;
  const int section = lane_of_[step].section;
  return section < 0 ? step : sections_[section].last - 1;
}

absl::Status MemoryPlanner::PlaceBuffers() {
  std::vector<ArenaBuffer> arena;
  std::vector<int> owner;  // a buffer, or -1 - step for scratch
  const auto add = [&](int64_t bytes, int first, int last, int who) {
    ArenaBuffer buffer{bytes, Earliest(first), Latest(last)};
    const Lane lane = lane_of_[first];
    if (lane.section >= 0 && last < sections_[lane.section].last) {  // its lane's alone
      buffer = {bytes, first, last};
      buffer.lane = first_lane_[lane.section] + lane.lane;
    }
    arena.push_back(buffer);
    owner.push_back(who);
  };
  for (size_t b = 0; b < buffers_.size(); ++b) {
    const Buffer& buffer = buffers_[b];
    if (buffer.output >= 0) continue;
    add(buffer.bytes, buffer.first, std::max(buffer.first, buffer.last), static_cast<int>(b));
  }
  for (size_t s = 0; s < plan_->steps_.size(); ++s) {
    const Kernel* kernel = plan_->steps_[s].kernel.get();
    if (kernel == nullptr || kernel->scratch_bytes() == 0 || plan_->steps_[s].same_as >= 0)
      continue;
    add(static_cast<int64_t>(kernel->scratch_bytes()), step_time_[s], step_time_[s],
        -1 - static_cast<int>(s));
  }
  // Offsets are sums: they must not overflow, whatever the extents.
  constexpr double kAddressable = 0x1p62;
  double total = 0;
  for (const ArenaBuffer& b : arena) total += static_cast<double>(b.bytes);
  if (total > kAddressable) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the plan's activations have ", total, " bytes together", LargestValue()));
  }
  std::vector<ArenaLane> lanes;
  for (const Section& s : sections_)
    lanes.resize(lanes.size() + s.lanes.size(), {s.first, s.last - 1});
  const ArenaLayout layout = AssignOffsets(&arena, lanes);
  plan_->arena_bytes_ = layout.bytes;
  plan_->peak_live_bytes_ = layout.peak_live_bytes;
  for (size_t s = 0; s < plan_->steps_.size(); ++s) {
    if (step_time_[s] <= layout.peak_step) plan_->peak_node_ = plan_->steps_[s].node->name();
  }
  for (size_t i = 0; i < arena.size(); ++i) {
    if (owner[i] < 0) {
      plan_->steps_[-1 - owner[i]].scratch_offset = arena[i].offset;
    } else {
      for (int slot : buffers_[owner[i]].members) plan_->slots_[slot].offset = arena[i].offset;
    }
  }
  for (const Buffer& b : buffers_) {
    if (b.output < 0) continue;
    for (int slot : b.members) {
      plan_->slots_[slot].kind = SlotKind::kOutput;
      plan_->slots_[slot].index = b.output;
    }
  }
  for (size_t i = 0; i < plan_->slots_.size(); ++i) {
    Slot& slot = plan_->slots_[i];
    if (slot.part_of < 0) continue;
    const Slot& whole = plan_->slots_[slot.part_of];
    slot.kind = whole.kind;
    slot.index = whole.index;
    slot.offset = whole.offset + slot.part_offset;
    if (slot.kind != SlotKind::kConstant) continue;
    const Tensor& all = plan_->constants_[slot.part_of];
    slot.index = static_cast<int>(i);
    plan_->constants_[i] =
        Tensor::Wrap(all.dtype(), *slot.type.StaticDims(),
                     static_cast<const char*>(all.raw()) + slot.part_offset, all.owner());
  }
  for (Step& step : plan_->steps_) {
    if (step.same_as >= 0) step.scratch_offset = plan_->steps_[step.same_as].scratch_offset;
  }
  return absl::OkStatus();
}

std::string MemoryPlanner::LargestValue() const {
  int64_t largest = 0;
  std::string name;
  for (const Buffer& b : buffers_) {
    if (b.bytes > largest) {
      largest = b.bytes;
      name = plan_->slots_[b.members[0]].name;
    }
  }
  return absl::StrCat(", and the largest value is ", Shown(name), " with ", largest, " bytes");
}

absl::Status MemoryPlanner::CheckLimit() const {
  if (options_.memory_limit <= 0 || plan_->arena_bytes_ <= options_.memory_limit)
    return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("the plan needs ", plan_->arena_bytes_, " bytes of activations, the limit is ",
                   options_.memory_limit, "; it is fullest at ", Shown(plan_->peak_node_),
                   LargestValue(), "; raise SessionOptions::memory_limit or feed less at once"));
}

void MemoryPlanner::FillTable() {
  plan_->dynamic_places_.resize(static_cast<size_t>(plan_->num_dynamic_));
  int next = 0;
  auto add = [&](int index) {
    const Slot& slot = plan_->slots_[index];
    const int place = next++;
    switch (slot.kind) {
      case SlotKind::kNone:
        break;
      case SlotKind::kArena:
      case SlotKind::kConstant:
        plan_->fixed_places_.push_back({index, place});
        break;
      case SlotKind::kInput:
        plan_->input_places_.push_back({slot.index, place, slot.part_offset});
        break;
      case SlotKind::kOutput:
        plan_->output_places_.push_back({slot.index, place, slot.part_offset});
        break;
      case SlotKind::kDynamic:
        plan_->dynamic_places_[slot.index].push_back(place);
        break;
    }
  };
  for (Step& step : plan_->steps_) {
    if (step.kernel == nullptr) continue;
    step.first_argument = next;
    for (int slot : step.inputs) add(slot);
    for (int slot : step.outputs) add(slot);
    for (int slot : step.forms) add(slot);
  }
  plan_->num_arguments_ = static_cast<size_t>(next);
}

}  // namespace sluice
