// What a program needs of the variables that it only reads, beside their values: the forms in which
// the kernels of its plans want them (forms.h). Looked up once a plan and version.
#ifndef SLUICE_RUNTIME_HELD_VALUES_H_
#define SLUICE_RUNTIME_HELD_VALUES_H_

#include <memory>
#include <mutex>
#include <vector>

#include "runtime/forms.h"
#include "runtime/plan.h"
#include "runtime/state.h"

namespace sluice {

class HeldValues {
 public:
  // Behind `inputs`, which are the program's, the forms that `plan` wants; `variables`: by input
  // from `first` on, its place in the state.
  absl::Status AppendForms(const std::shared_ptr<const Plan>& plan, const State::Version& version,
                           size_t first, absl::Span<const int> variables, FormTable* table,
                           std::vector<Tensor>* inputs);

 private:
  struct Bound {
    std::weak_ptr<const Plan> plan;
    std::vector<std::shared_ptr<Form>> forms;
    uint64_t version = 0;
    std::vector<Tensor> tensors;  // of that version; empty before the first
  };
  std::mutex mutex_;
  std::vector<Bound> bound_;
};

}  // namespace sluice

#endif  // SLUICE_RUNTIME_HELD_VALUES_H_
