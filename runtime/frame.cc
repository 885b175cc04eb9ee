#include <algorithm>
#include <iterator>

#include "absl/container/inlined_vector.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "graph/error_details.h"
#include "graph/layout.h"
#include "graph/text.h"
#include "runtime/clock.h"
#include "runtime/cost.h"
#include "runtime/node_checks.h"
#include "runtime/plan.h"
#include "runtime/session.h"
#include "runtime/tensor_copy.h"

namespace sluice {
namespace {

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

constexpr char kInputsWere[] = "\n  inputs were ";

// With the node, the shapes as they were, and a hint.
absl::Status AtStep(const Step& step, const absl::Status& status,
                    absl::Span<const std::string> shapes) {
  // Of a step inside this one: it said so already, with shapes that are nearer to the cause.
  if (absl::StrContains(status.message(), kInputsWere)) return status;
  const absl::Status at = AtNode(*step.node, status);
  std::string text(at.message());
  absl::StrAppend(&text, kInputsWere, shapes.empty() ? "none" : absl::StrJoin(shapes, ", "));
  ErrorDetails details = *DetailsOf(at);
  details.hint = std::string(Hint(status.code()));
  if (!details.hint.empty()) absl::StrAppend(&text, "\n  hint: ", details.hint);
  return WithDetails(absl::Status(status.code(), text), details);
}

}  // namespace

absl::Status RunContext::Charge(int64_t bytes) {
  if (__builtin_add_overflow(memory_used, bytes, &memory_used)) memory_used = INT64_MAX;
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
  for (const Step& step : plan.steps()) {
    void* const* arguments = table_.data() + step.first_argument;
    const size_t ins = step.kernel == nullptr ? 0 : step.inputs.size();
    const size_t outs = step.kernel == nullptr ? 0 : step.outputs.size();
    launches_.push_back(
        {step.kernel.get(),
         {absl::Span<const void* const>(arguments, ins),
          absl::Span<void* const>(arguments + ins, outs), nullptr, nullptr, nullptr,
          absl::Span<const void* const>(arguments + ins + outs, step.forms.size())}});
  }
  TakeBlock(plan);
}

bool Frame::TakeBlock(const Plan& plan) {
  if (plan.arena_bytes() > 0) {
    absl::StatusOr<Tensor> block = Tensor::Allocate(DType::kU8, {plan.arena_bytes()});
    if (!block.ok()) return false;
    block_ = *std::move(block);
  }
  uint8_t* const base = block_.valid() ? block_.mutable_data<uint8_t>() : NoElements();
  for (const PlaceOf& p : plan.fixed_places()) {
    const Slot& slot = plan.slots()[p.index];
    Point(p.place,
          slot.kind == SlotKind::kArena ? base + slot.offset : plan.constants()[p.index].raw());
  }
  for (size_t i = 0; i < launches_.size(); ++i) {
    const int64_t scratch = plan.steps()[i].scratch_offset;
    launches_[i].context.scratch = scratch < 0 ? nullptr : base + scratch;
  }
  return true;
}

// A tensor over a slot's memory, without ownership: good while the frame's run lasts.
Tensor Frame::View(const Plan& plan, int index, absl::Span<const Tensor> inputs) const {
  const Slot& slot = plan.slots()[index];
  switch (slot.kind) {
    case SlotKind::kNone:
      return Tensor();
    case SlotKind::kConstant:
      return plan.constants()[index];
    case SlotKind::kInput:
      return inputs[slot.index].Reshaped(*slot.type.StaticDims());
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
  for (int slot : step.inputs) in.push_back(View(plan, slot, inputs));
  for (int slot : step.reads) in.push_back(View(plan, slot, inputs));
  absl::StatusOr<std::vector<Tensor>> out = step.dynamic->Run(in, run);
  if (!out.ok()) {
    std::vector<std::string> shapes;
    for (const Tensor& t : in) shapes.push_back(t.valid() ? t.TypeString() : "absent");
    return AtStep(step, out.status(), shapes);
  }
  for (size_t i = 0; i < step.outputs.size(); ++i) {
    Tensor& t = (*out)[i];
    const Type& expected = step.output_types[i];
    if (expected.is_tensor() && expected.has_static_shape() &&
        WithLayout(Type::Of(t), expected.layout()) != expected) {
      return NodeError(*step.node, absl::StatusCode::kInternal,
                       absl::StrCat("output ", i, " is ", t.TypeString(), ", but was inferred ",
                                    expected.ToString()));
    }
    if (t.owner() == nullptr) {  // it may lie in memory that the plan uses again
      absl::StatusOr<Tensor> copy = Duplicate(t);
      if (!copy.ok()) return copy.status();
      t = *std::move(copy);
    }
    const int index = plan.slots()[step.outputs[i]].index;
    for (int place : plan.dynamic_places(index)) Point(place, t.raw());
    dynamic_[index] = std::move(t);
  }
  return absl::OkStatus();
}

// Memory for the results that steps write in place.
absl::Status Frame::TakeOutputs(const Plan& plan, absl::Span<const Tensor> given, RunContext* run,
                                bool keep) {
  const std::vector<PlanOutput>& outputs = plan.outputs();
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].direct) continue;
    if (i < given.size() && given[i].valid()) {
      kept_[i] = given[i];
    } else if (keep && own_[i].valid()) {
      kept_[i] = own_[i];  // never what an earlier call was given: that is the caller's
    } else {
      absl::StatusOr<Tensor> fresh = Tensor::Allocate(outputs[i].type.dtype(), outputs[i].dims);
      absl::Status s = fresh.status();
      if (s.ok()) s = run->Charge(static_cast<int64_t>(fresh->bytes()));
      if (!s.ok()) {
        const std::string& name = plan.slots()[outputs[i].slot].name;
        return absl::Status(s.code(), absl::StrCat("result ", Shown(name), ": ", s.message()));
      }
      kept_[i] = *std::move(fresh);
      if (keep) own_[i] = kept_[i];
    }
  }
  return absl::OkStatus();
}

absl::Status Frame::GiveOutput(const Plan& plan, size_t i, absl::Span<const Tensor> inputs,
                               const Tensor& given, Tensor* result, RunContext* run, bool keep) {
  const PlanOutput& output = plan.outputs()[i];
  if (output.direct) {
    *result = kept_[i];
    return absl::OkStatus();
  }
  Tensor view = View(plan, output.slot, inputs);
  if (given.valid()) {
    *result = given;
    CopyElements(view, result);
  } else if (view.owner() != nullptr &&
             (plan.inner() || plan.slots()[output.slot].kind != SlotKind::kConstant)) {
    *result = std::move(view);
  } else if (keep && own_[i].valid()) {
    CopyElements(view, &own_[i]);
    *result = own_[i];
  } else {
    absl::StatusOr<Tensor> copy = Duplicate(view);
    if (!copy.ok()) return copy.status();
    if (keep && output.is_static) own_[i] = *copy;
    *result = *std::move(copy);
  }
  return absl::OkStatus();
}

// A body hands out its constants as they are, and a result may be one: whoever gets a result may
// have the next run write there, so it must not be the program's own. What was fed is the caller's.
absl::Status Frame::OwnDynamicResults(const Plan& plan, absl::Span<const Tensor> inputs,
                                      absl::Span<const Tensor> given,
                                      std::vector<Tensor>* results) {
  for (size_t i = 0; i < results->size(); ++i) {
    Tensor& result = (*results)[i];
    if (plan.slots()[plan.outputs()[i].slot].kind != SlotKind::kDynamic) continue;
    if ((i < given.size() && given[i].valid()) || result.owner().use_count() <= 1) continue;
    const bool fed = std::any_of(inputs.begin(), inputs.end(), [&](const Tensor& input) {
      return input.owner() == result.owner();
    });
    if (fed) continue;
    absl::StatusOr<Tensor> copy = Duplicate(result);
    if (!copy.ok()) return copy.status();
    result = *std::move(copy);
  }
  return absl::OkStatus();
}

absl::Status Frame::RunStep(const Plan& plan, size_t index, absl::Span<const Tensor> inputs,
                            RunContext* run) {
  const Launch& launch = launches_[index];
  if (launch.kernel == nullptr) return RunDynamic(plan, plan.steps()[index], inputs, run);
  absl::Status status = launch.kernel->Launch(launch.context);
  if (ABSL_PREDICT_TRUE(status.ok())) return status;
  const Step& step = plan.steps()[index];
  std::vector<std::string> shapes;
  for (int slot : step.inputs)
    shapes.push_back(slot == 0 ? "absent" : plan.slots()[slot].type.ToString());
  return AtStep(step, status, shapes);
}

absl::Status Frame::RunWatched(const Plan& plan, size_t index, absl::Span<const Tensor> inputs,
                               RunContext* run, int lane, std::vector<ProfileEvent>* events) {
  const Step& step = plan.steps()[index];
  if (static_cast<int>(index) < commit_) {
    if (absl::Status s = run->CheckStop(); !s.ok()) return AtStep(step, s, {});
  }
  if (events == nullptr) return RunStep(plan, index, inputs, run);
  const int64_t start = NowNs();
  if (absl::Status s = RunStep(plan, index, inputs, run); !s.ok()) return s;
  const int64_t end = NowNs();
  const NodeCost cost = CostOf(*step.node);
  events->push_back({step.node->name(), std::string(step.node->op_name()),
                     step.kernel ? step.kernel->Description() : step.dynamic->Description(),
                     step.node->origin().ToString(), step.output_types[0].ToString(),
                     start - run->start_ns, end - start, lane, cost.flops, cost.bytes});
  return absl::OkStatus();
}

// The lanes hold kernel steps alone: nothing in them but the profile is written by two.
absl::Status Frame::RunSection(const Plan& plan, const Section& section,
                               absl::Span<const Tensor> inputs, RunContext* run, bool watched) {
  const size_t lanes = section.lanes.size();
  Profile* const profile = watched ? run->options->profile : nullptr;
  absl::InlinedVector<absl::Status, 16> ends(lanes);
  std::vector<std::vector<ProfileEvent>> events(profile == nullptr ? 0 : lanes);
  run->pool->RunTasks(static_cast<int>(lanes), [&](int lane, int) {
    absl::Status& end = ends[lane];
    for (int index : section.lanes[lane]) {
      end = watched ? RunWatched(plan, index, inputs, run, lane,
                                 profile == nullptr ? nullptr : &events[lane])
                    : RunStep(plan, index, inputs, run);
      if (!end.ok()) return;
    }
  });
  for (std::vector<ProfileEvent>& of_lane : events) {
    std::move(of_lane.begin(), of_lane.end(), std::back_inserter(profile->events));
  }
  for (absl::Status& s : ends) {
    if (!s.ok()) return std::move(s);
  }
  return absl::OkStatus();
}

absl::Status Frame::Run(const Plan& plan, absl::Span<const Tensor> inputs,
                        absl::Span<const Tensor> given, std::vector<Tensor>* results,
                        RunContext* run, bool keep) {
  // What could not be had when the frame was made may be there by now.
  if (plan.arena_bytes() > 0 && !block_.valid() && !TakeBlock(plan)) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no memory for an arena of ", plan.arena_bytes(), " bytes; it is fullest at ",
                     Shown(plan.peak_node())));
  }
  if (absl::Status s = run->Charge(plan.arena_bytes()); !s.ok()) return s;
  if (absl::Status s = TakeOutputs(plan, given, run, keep); !s.ok()) return s;
  for (const PlaceOf& p : plan.input_places()) Point(p, inputs[p.index].raw());
  for (const PlaceOf& p : plan.output_places()) Point(p, kept_[p.index].raw());
  if (pool_ != run->pool) {
    for (Launch& launch : launches_) launch.context.pool = run->pool;
    pool_ = run->pool;
  }
  results->resize(plan.outputs().size());  // before anything is written in its place
  commit_ = static_cast<int>(launches_.size());
  for (size_t i = 0; i < given.size() && i < plan.outputs().size(); ++i) {
    const int renews = plan.outputs()[i].renews;
    if (renews >= 0 && given[i].valid() && given[i].raw() == inputs[renews].raw())
      commit_ = plan.commit();
  }
  const RunOptions* const options = run->options;
  Profile* const profile = options == nullptr ? nullptr : options->profile;
  const bool watched =
      run->check_time || profile != nullptr || (options != nullptr && options->cancel != nullptr);
  auto section = plan.sections().begin();
  for (size_t i = 0; i < launches_.size();) {
    absl::Status s;
    if (ABSL_PREDICT_FALSE(section != plan.sections().end() &&
                           static_cast<size_t>(section->first) == i)) {
      s = RunSection(plan, *section, inputs, run, watched);
      i = static_cast<size_t>(section++->last);
    } else {
      s = watched
              ? RunWatched(plan, i, inputs, run, 0, profile == nullptr ? nullptr : &profile->events)
              : RunStep(plan, i, inputs, run);
      ++i;
    }
    if (!s.ok()) return s;
  }
  const Tensor none;
  for (size_t i = 0; i < results->size(); ++i) {
    const Tensor& target = i < given.size() ? given[i] : none;
    absl::Status s = GiveOutput(plan, i, inputs, target, &(*results)[i], run, keep);
    if (!s.ok()) return s;
  }
  for (Tensor& t : dynamic_) t = Tensor();
  if (!plan.inner()) {
    if (absl::Status s = OwnDynamicResults(plan, inputs, given, results); !s.ok()) return s;
  }
  if (!keep) {
    for (Tensor& t : kept_) t = Tensor();
  }
  return absl::OkStatus();
}

}  // namespace sluice
