#include "absl/strings/str_cat.h"
#include "graph/text.h"
#include "runtime/session_impl.h"
#include "runtime/tensor_copy.h"

namespace sluice {

StateAccess::StateAccess(Entry* entry, State* state) : entry_(*entry) {
  if (entry_.writes_state()) turn_.emplace(state);
  if (entry_.writes_state() || !entry_.reads.empty()) {
    version_ = state->Current();
    wrote_ = version_->number;
  }
}

absl::Status StateAccess::AppendInputs(Randomness* randomness, const RunOptions& options,
                                       Tensor* key, std::vector<Tensor>* inputs) const {
  for (int v : entry_.reads) inputs->push_back(version_->values[static_cast<size_t>(v)]);
  if (absl::Status s = AppendKey(randomness, options, key, inputs); !s.ok()) return s;
  return version_ == nullptr ? absl::OkStatus() : entry_.held->AppendDerived(*version_, inputs);
}

absl::Status StateAccess::AppendForms(const std::shared_ptr<const Plan>& plan,
                                      std::vector<Tensor>* inputs) const {
  if (version_ == nullptr) return absl::OkStatus();
  return entry_.held->AppendForms(plan, *version_, inputs);
}

absl::Status StateAccess::AppendKey(Randomness* randomness, const RunOptions& options, Tensor* key,
                                    std::vector<Tensor>* inputs) const {
  if (!entry_.compiled.state.draws) return absl::OkStatus();
  if (!key->valid() || key->owner().use_count() > 1) {
    absl::StatusOr<Tensor> made = Tensor::Allocate(DType::kU64, {2});
    if (!made.ok()) return made.status();
    *key = *std::move(made);
  }
  uint64_t* words = key->mutable_data<uint64_t>();
  words[0] = randomness->seed;
  if (options.run.has_value()) {
    words[1] = *options.run;
  } else if (entry_.run >= 0) {
    words[1] = *version_->values[static_cast<size_t>(entry_.run)].data<uint64_t>();
  } else {
    words[1] = randomness->runs.fetch_add(1, std::memory_order_relaxed);
  }
  inputs->push_back(*key);
  return absl::OkStatus();
}

absl::Status StateAccess::AppendTargets(size_t caller, const Plan& plan, const RunOptions& options,
                                        std::vector<Tensor>* given) {
  if (!turn_.has_value()) return absl::OkStatus();
  given->resize(caller);
  for (size_t i = 0; i < entry_.writes.size(); ++i) {
    const int v = entry_.writes[i];
    const PlanOutput& output = plan.outputs()[caller + i];
    const Tensor& now = version_->values[static_cast<size_t>(v)];
    if (output.is_static && !output.Takes(now)) return OtherType(v, output.type.ToString());
    Tensor target;
    // A profile takes memory on the way, which there may be none of.
    if (output.renews >= 0 && options.profile == nullptr) target = turn_->InPlace(v);
    if (!target.valid()) target = turn_->Spare(v);
    given->push_back(target.valid() && output.Takes(target) ? std::move(target) : Tensor());
  }
  turn_->Prepare(entry_.writes);
  return absl::OkStatus();
}

absl::Status StateAccess::OtherType(int variable, const std::string& type) const {
  return absl::InvalidArgumentError(
      absl::StrCat("variable ", Shown(entry_.names.at(variable)), " is ",
                   version_->values[static_cast<size_t>(variable)].TypeString(),
                   " and cannot take a value of type ", type));
}

// What a step wrote straight into a result's memory is that result's alone: only the others may be
// what was handed in. Where state is written in its place there are no others, and nothing fails.
absl::Status StateAccess::Commit(size_t caller, const Plan& plan, absl::Span<const Tensor> inputs,
                                 std::vector<Tensor>* results) {
  if (version_ == nullptr) return absl::OkStatus();
  const absl::Span<const Tensor> fed = inputs.first(entry_.inputs.size());
  // Variables, and what is made of them: others read both again. (A loop hands on rows, too.)
  const absl::Span<const Tensor> kept = inputs.subspan(fed.size());
  for (size_t i = 0; i < results->size(); ++i) {
    if (plan.outputs()[i].direct) continue;
    Tensor& result = (*results)[i];
    bool shared = false;
    for (const Tensor& t : kept) shared |= MemoryRange(result).Overlaps(MemoryRange(t));
    if (i >= caller) {
      const int v = entry_.writes[i - caller];
      const Tensor& now = version_->values[static_cast<size_t>(v)];
      if (!(Type::Of(result) == Type::Of(now))) return OtherType(v, result.TypeString());
      if (result.raw() == now.raw()) continue;  // it stays as it was
      for (const Tensor& input : fed) shared |= MemoryRange(result).Overlaps(MemoryRange(input));
    }
    if (!shared) continue;
    absl::StatusOr<Tensor> own = Duplicate(result);
    if (!own.ok()) return own.status();
    result = *std::move(own);
  }
  if (!turn_.has_value()) return absl::OkStatus();
  wrote_ = turn_->Publish(absl::MakeSpan(*results).subspan(caller));
  results->resize(caller);
  return absl::OkStatus();
}

void StateAccess::Report(const RunOptions& options) const {
  const uint64_t read = version_ == nullptr ? 0 : version_->number;
  if (options.read_version != nullptr) *options.read_version = read;
  if (options.wrote_version != nullptr) *options.wrote_version = wrote_;
}

}  // namespace sluice
