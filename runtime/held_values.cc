#include "runtime/held_values.h"

#include <algorithm>
#include <numeric>

namespace sluice {

HeldValues::HeldValues(std::shared_ptr<State> state, size_t first, std::vector<int> variables,
                       std::unique_ptr<Program> program, std::vector<int> reads, bool draws,
                       ThreadPool* pool)
    : state_(std::move(state)),
      first_(first),
      variables_(std::move(variables)),
      reads_(std::move(reads)),
      behind_(first + variables_.size() + (draws ? 1 : 0)),
      program_(std::move(program)),
      pool_(pool),
      derived_([this](absl::Span<const Tensor> plain) {
        std::vector<int> all(program_->graph().outputs().size());
        std::iota(all.begin(), all.end(), 0);
        RunContext run;
        run.pool = pool_;
        return program_->Run(plain, all, {}, &run);
      }) {
  watch_ = state_->Watch([this](const State::Version& next) { return MakeAhead(next); });
}

HeldValues::~HeldValues() { state_->Unwatch(watch_); }

std::vector<Tensor> HeldValues::Read(const State::Version& version) const {
  std::vector<Tensor> values;
  for (int v : reads_) values.push_back(version.values[static_cast<size_t>(v)]);
  return values;
}

uint64_t HeldValues::Written(const State::Version& version, int input) const {
  const size_t i = static_cast<size_t>(input) - first_;
  if (i < variables_.size()) return version.written[static_cast<size_t>(variables_[i])];
  uint64_t latest = 0;
  for (int v : reads_) latest = std::max(latest, version.written[static_cast<size_t>(v)]);
  return latest;
}

absl::Status HeldValues::AppendDerived(const State::Version& version, std::vector<Tensor>* inputs) {
  if (program_ == nullptr) return absl::OkStatus();
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (derived_version_ == version.number && !derived_now_.empty()) {
      inputs->insert(inputs->end(), derived_now_.begin(), derived_now_.end());
      return absl::OkStatus();
    }
  }
  absl::StatusOr<std::vector<Tensor>> derived =
      derived_.Of(Read(version), Written(version, static_cast<int>(behind_)));
  if (!derived.ok()) return derived.status();
  inputs->insert(inputs->end(), derived->begin(), derived->end());
  std::lock_guard<std::mutex> lock(mutex_);
  if (derived_now_.empty() || version.number > derived_version_) {
    derived_version_ = version.number;
    derived_now_ = *std::move(derived);
  }
  return absl::OkStatus();
}

HeldValues::Bound HeldValues::Bind(const std::shared_ptr<const Plan>& plan) {
  Bound bound{.plan = plan, .inputs = {}, .forms = {}, .version = 0, .tensors = {}};
  for (const PlanForm& form : plan->forms()) {
    const size_t i = static_cast<size_t>(form.input) - first_;
    const bool derived = static_cast<size_t>(form.input) >= behind_;
    FormTable& table = derived ? forms_of_derived_ : *state_->forms();
    const int key = derived ? form.input - static_cast<int>(behind_) : variables_[i];
    bound.inputs.push_back(form.input);
    bound.forms.push_back(table.Get(key, form.format, form.pack));
  }
  return bound;
}

absl::Status HeldValues::AppendForms(const std::shared_ptr<const Plan>& plan,
                                     const State::Version& version, std::vector<Tensor>* inputs) {
  if (plan->forms().empty()) return absl::OkStatus();
  std::vector<std::shared_ptr<Form>> forms;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    auto bound = bound_.begin();
    while (bound != bound_.end() && bound->plan.lock() != plan) ++bound;
    if (bound == bound_.end()) {
      std::erase_if(bound_, [](const Bound& b) { return b.plan.expired(); });
      bound_.push_back(Bind(plan));
      bound = bound_.end() - 1;
    }
    if (bound->version == version.number && !bound->tensors.empty()) {
      inputs->insert(inputs->end(), bound->tensors.begin(), bound->tensors.end());
      return absl::OkStatus();
    }
    forms = bound->forms;
  }
  // Without the lock: who reads another version does not wait for this one.
  std::vector<Tensor> tensors;
  for (size_t i = 0; i < forms.size(); ++i) {
    const int input = plan->forms()[i].input;
    absl::StatusOr<std::vector<Tensor>> form =
        forms[i]->Of(absl::MakeConstSpan(*inputs).subspan(static_cast<size_t>(input), 1),
                     Written(version, input));
    if (!form.ok()) return form.status();
    tensors.push_back(std::move(form->front()));
  }
  inputs->insert(inputs->end(), tensors.begin(), tensors.end());
  std::lock_guard<std::mutex> lock(mutex_);
  for (Bound& bound : bound_) {
    if (bound.plan.lock() == plan) {
      if (bound.tensors.empty() || version.number > bound.version) {
        bound.version = version.number;
        bound.tensors = std::move(tensors);
      }
    } else if (bound.version < version.number) {
      bound.tensors.clear();  // a plan that rests holds no memory of a version that is gone
    }
  }
  return absl::OkStatus();
}

absl::Status HeldValues::MakeAhead(const State::Version& next) {
  std::vector<Tensor> inputs(first_);
  for (int v : variables_) inputs.push_back(next.values[static_cast<size_t>(v)]);
  const bool derives =
      program_ != nullptr && Written(next, static_cast<int>(behind_)) == next.number;
  if (derives) {
    inputs.resize(behind_);  // the key is none of them
    absl::StatusOr<std::vector<Tensor>> derived =
        derived_.MakeAhead(Read(next), Written(next, static_cast<int>(behind_)));
    if (!derived.ok()) return derived.status();
    inputs.insert(inputs.end(), derived->begin(), derived->end());
  }
  std::vector<std::pair<int, std::shared_ptr<Form>>> forms;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    for (const Bound& bound : bound_) {
      if (bound.plan.expired()) continue;
      for (size_t i = 0; i < bound.forms.size(); ++i) {
        // What this version does not change is there, or waits for its first reader.
        if (Written(next, bound.inputs[i]) == next.number)
          forms.emplace_back(bound.inputs[i], bound.forms[i]);
      }
    }
  }
  for (const auto& [input, form] : forms) {
    absl::StatusOr<std::vector<Tensor>> made = form->MakeAhead(
        absl::MakeConstSpan(inputs).subspan(static_cast<size_t>(input), 1), Written(next, input));
    if (!made.ok()) return made.status();
  }
  return absl::OkStatus();
}

int64_t HeldValues::bytes() const { return derived_.bytes() + forms_of_derived_.bytes(); }

}  // namespace sluice
