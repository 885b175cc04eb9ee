#include "runtime/held_values.h"

namespace sluice {

absl::Status HeldValues::AppendForms(const std::shared_ptr<const Plan>& plan,
                                     const State::Version& version, size_t first,
                                     absl::Span<const int> variables, FormTable* table,
                                     std::vector<Tensor>* inputs) {
  if (plan->forms().empty()) return absl::OkStatus();
  const auto variable = [&](const PlanForm& form) {
    return variables[static_cast<size_t>(form.input) - first];
  };
  std::vector<std::shared_ptr<Form>> forms;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    auto bound = bound_.begin();
    while (bound != bound_.end() && bound->plan.lock() != plan) ++bound;
    if (bound == bound_.end()) {
      std::erase_if(bound_, [](const Bound& b) { return b.plan.expired(); });
      Bound made{.plan = plan, .forms = {}, .version = 0, .tensors = {}};
      for (const PlanForm& form : plan->forms())
        made.forms.push_back(table->Get(variable(form), form.format, form.pack));
      bound_.push_back(std::move(made));
      bound = bound_.end() - 1;
    }
    if (bound->version == version.number && !bound->tensors.empty()) {
      inputs->insert(inputs->end(), bound->tensors.begin(), bound->tensors.end());
      return absl::OkStatus();
    }
    forms = bound->forms;
  }
  std::vector<Tensor> tensors;
  for (size_t i = 0; i < forms.size(); ++i) {
    const int v = variable(plan->forms()[i]);
    absl::StatusOr<Tensor> tensor = forms[i]->Of(version.values[static_cast<size_t>(v)],
                                                 version.written[static_cast<size_t>(v)]);
    if (!tensor.ok()) return tensor.status();
    tensors.push_back(*std::move(tensor));
  }
  inputs->insert(inputs->end(), tensors.begin(), tensors.end());
  std::lock_guard<std::mutex> lock(mutex_);
  for (Bound& bound : bound_) {
    if (bound.plan.lock() != plan || (bound.version > version.number && !bound.tensors.empty()))
      continue;
    bound.version = version.number;
    bound.tensors = std::move(tensors);
    break;
  }
  return absl::OkStatus();
}

}  // namespace sluice
