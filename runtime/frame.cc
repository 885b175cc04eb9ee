#include <time.h>

#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "runtime/plan.h"
#include "runtime/session.h"

namespace sluice {
namespace {

int64_t NowNs() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

absl::StatusOr<Tensor> Copy(const Tensor& from) {
  absl::StatusOr<Tensor> to = Tensor::Allocate(from.dtype(), from.dims());
  if (!to.ok()) return to;
  if (from.dtype() == DType::kString) {
    std::copy_n(from.data<std::string>(), from.elements(), to->mutable_data<std::string>());
  } else if (from.bytes() > 0) {
    std::memcpy(to->mutable_raw(), from.raw(), from.bytes());
  }
  return to;
}

void CopyInto(const Tensor& from, Tensor to) {
  if (from.raw() == to.raw()) return;
  if (from.dtype() == DType::kString) {
    std::copy_n(from.data<std::string>(), from.elements(), to.mutable_data<std::string>());
  } else if (from.bytes() > 0) {
    std::memcpy(to.mutable_raw(), from.raw(), from.bytes());
  }
}

absl::string_view Hint(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOutOfRange:
      return "an index of the data lies outside the tensor; check the values that are fed";
    case absl::StatusCode::kResourceExhausted:
      return "feed less at once, or raise the memory limit";
    case absl::StatusCode::kUnimplemented:
      return "`sluice opt --explain` shows which kernels were asked and why they refused";
    default:
      return "";
  }
}

// A kernel speaks of its data; the node, the shapes as they were, and the origin are ours to add.
absl::Status AtStep(const Step& step, absl::Status status, absl::Span<const std::string> shapes) {
  std::string text(status.message());
  if (!absl::StrContains(text, "\n  at ")) {
    text = std::string(NodeError(*step.node, status.code(), text).message());
  }
  absl::StrAppend(&text, "\n  inputs were ", shapes.empty() ? "none" : absl::StrJoin(shapes, ", "));
  if (absl::string_view hint = Hint(status.code()); !hint.empty())
    absl::StrAppend(&text, "\n  hint: ", hint);
  return absl::Status(status.code(), text);
}

}  // namespace

absl::Status RunContext::Charge(int64_t bytes) {
  memory_used += bytes;
  memory_peak = std::max(memory_peak, memory_used);
  if (memory_limit <= 0 || memory_used <= memory_limit) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      "the run holds ", memory_used, " bytes of activations, the limit is ", memory_limit));
}

absl::Status RunContext::CheckStop() const {
  if (options == nullptr) return absl::OkStatus();
  if (options->cancel != nullptr && options->cancel->cancelled())
    return absl::CancelledError("the run was cancelled");
  if (check_time && absl::Now() > options->deadline)
    return absl::DeadlineExceededError("the run's deadline has passed");
  return absl::OkStatus();
}

Frame::Frame(const Plan& plan)
    : table_(plan.num_arguments(), nullptr),
      dynamic_(plan.num_dynamic()),
      kept_(plan.outputs().size()),
      own_(plan.outputs().size()) {
  if (plan.arena_bytes() > 0) {
    absl::StatusOr<Tensor> block = Tensor::Allocate(DType::kU8, {plan.arena_bytes()});
    if (block.ok()) block_ = *std::move(block);
  }
  for (size_t s = 0; s < plan.slots().size(); ++s) {
    const Slot& slot = plan.slots()[s];
    if (slot.kind == SlotKind::kArena && block_.valid())
      Point(plan, s, block_.data<uint8_t>() + slot.offset);
    if (slot.kind == SlotKind::kConstant) Point(plan, s, plan.constants()[s].raw());
  }
}

// A tensor over a slot's memory, without ownership: good while the frame's run lasts.
Tensor Frame::View(const Plan& plan, int index, absl::Span<const Tensor> inputs,
                   RunContext* run) const {
  const Slot& slot = plan.slots()[index];
  switch (slot.kind) {
    case SlotKind::kNone:
      return Tensor();
    case SlotKind::kConstant:
      return plan.constants()[index];
    case SlotKind::kInput:
      return inputs[slot.index].Reshaped(*slot.type.StaticDims());
    case SlotKind::kVariable:
      return Tensor::Wrap(slot.type.dtype(), *slot.type.StaticDims(),
                          (*run->variables)[slot.index].raw(), nullptr);
    case SlotKind::kArena:
      return Tensor::Wrap(slot.type.dtype(), *slot.type.StaticDims(),
                          block_.data<uint8_t>() + slot.offset, nullptr);
    case SlotKind::kOutput:
      return Tensor::Wrap(slot.type.dtype(), *slot.type.StaticDims(), kept_[slot.index].raw(),
                          nullptr);
    case SlotKind::kDynamic:
      return dynamic_[slot.index];
  }
  return Tensor();
}

absl::Status Frame::RunDynamic(const Plan& plan, const Step& step, absl::Span<const Tensor> inputs,
                               RunContext* run) {
  std::vector<Tensor> in;
  for (int slot : step.inputs) in.push_back(View(plan, slot, inputs, run));
  for (int slot : step.reads) in.push_back(View(plan, slot, inputs, run));
  absl::StatusOr<std::vector<Tensor>> out = step.dynamic->Run(in, run);
  if (!out.ok()) {
    std::vector<std::string> shapes;
    for (const Tensor& t : in) shapes.push_back(t.valid() ? t.TypeString() : "absent");
    return AtStep(step, out.status(), shapes);
  }
  for (size_t i = 0; i < step.outputs.size(); ++i) {
    Tensor& t = (*out)[i];
    const Type& expected = step.output_types[i];
    if (expected.is_tensor() && expected.has_static_shape() && !(Type::Of(t) == expected)) {
      return NodeError(*step.node, absl::StatusCode::kInternal,
                       absl::StrCat("output ", i, " is ", t.TypeString(), ", but was inferred ",
                                    expected.ToString()));
    }
    if (t.owner() == nullptr) {  // it may lie in memory that the plan uses again
      absl::StatusOr<Tensor> copy = Copy(t);
      if (!copy.ok()) return copy.status();
      t = *std::move(copy);
    }
    const int slot = step.outputs[i];
    Point(plan, slot, t.raw());
    dynamic_[plan.slots()[slot].index] = std::move(t);
  }
  return absl::OkStatus();
}

absl::Status Frame::Run(const Plan& plan, absl::Span<const Tensor> inputs,
                        absl::Span<const Tensor> given, std::vector<Tensor>* results,
                        RunContext* run, bool keep) {
  if (plan.arena_bytes() > 0 && !block_.valid()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no memory for an arena of ", plan.arena_bytes(), " bytes"));
  }
  if (absl::Status s = run->Charge(plan.arena_bytes()); !s.ok()) return s;
  const std::vector<Slot>& slots = plan.slots();
  const std::vector<PlanOutput>& outputs = plan.outputs();
  for (size_t i = 0; i < outputs.size(); ++i) {
    const bool has_given = i < given.size() && given[i].valid();
    if (!outputs[i].direct) continue;
    if (has_given) {
      kept_[i] = given[i];
    } else if (keep && own_[i].valid()) {
      kept_[i] = own_[i];  // never what an earlier call was given: that is the caller's
    } else {
      absl::StatusOr<Tensor> fresh =
          Tensor::Allocate(outputs[i].type.dtype(), *outputs[i].type.StaticDims());
      if (!fresh.ok()) return fresh.status();
      if (absl::Status s = run->Charge(static_cast<int64_t>(fresh->bytes())); !s.ok()) return s;
      kept_[i] = *std::move(fresh);
      if (keep) own_[i] = kept_[i];
    }
  }
  for (size_t s = 0; s < slots.size(); ++s) {
    if (plan.places()[s].empty()) continue;
    if (slots[s].kind == SlotKind::kInput) Point(plan, s, inputs[slots[s].index].raw());
    if (slots[s].kind == SlotKind::kVariable)
      Point(plan, s, (*run->variables)[slots[s].index].raw());
    if (slots[s].kind == SlotKind::kOutput) Point(plan, s, kept_[slots[s].index].raw());
  }
  const bool stoppable =
      run->options != nullptr && (run->check_time || run->options->cancel != nullptr);
  Profile* profile = run->options == nullptr ? nullptr : run->options->profile;
  for (const Step& step : plan.steps()) {
    if (stoppable) {
      if (absl::Status s = run->CheckStop(); !s.ok()) return AtStep(step, s, {});
    }
    const int64_t start = profile != nullptr ? NowNs() : 0;
    absl::Status status;
    if (step.kernel != nullptr) {
      const size_t ins = step.inputs.size();
      void* const* arguments = table_.data() + step.first_argument;
      LaunchContext context{
          absl::Span<const void* const>(arguments, ins),
          absl::Span<void* const>(arguments + ins, step.outputs.size()),
          step.scratch_offset < 0 ? nullptr : block_.mutable_data<uint8_t>() + step.scratch_offset,
          run->pool, nullptr};
      status = step.kernel->Launch(context);
      if (!status.ok()) {
        std::vector<std::string> shapes;
        for (int slot : step.inputs)
          shapes.push_back(slot == 0 ? "absent" : slots[slot].type.ToString());
        status = AtStep(step, status, shapes);
      }
    } else {
      status = RunDynamic(plan, step, inputs, run);
    }
    if (!status.ok()) return status;
    if (profile != nullptr) {
      const int64_t end = NowNs();
      profile->events.push_back(
          {step.node->name(), std::string(step.node->op_name()),
           step.kernel ? step.kernel->Description() : step.dynamic->Description(),
           step.node->origin().ToString(), step.output_types[0].ToString(), start - run->start_ns,
           end - start, 0});
    }
  }
  results->resize(outputs.size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    const bool has_given = i < given.size() && given[i].valid();
    if (outputs[i].direct) {
      (*results)[i] = kept_[i];
      continue;
    }
    Tensor view = View(plan, outputs[i].slot, inputs, run);
    if (has_given) {
      CopyInto(view, given[i]);
      (*results)[i] = given[i];
    } else if (view.owner() == nullptr) {
      absl::StatusOr<Tensor> copy = Copy(view);
      if (!copy.ok()) return copy.status();
      (*results)[i] = *std::move(copy);
    } else {
      (*results)[i] = std::move(view);
    }
  }
  for (Tensor& t : dynamic_) t = Tensor();
  if (!keep) {
    for (Tensor& t : kept_) t = Tensor();
  }
  return absl::OkStatus();
}

}  // namespace sluice
