// What a program needs of the variables that it only reads, beside their values: what its version
// program makes of them alone (passes/split_held.h), and the forms in which the kernels of its
// plans want both (forms.h).
#ifndef SLUICE_RUNTIME_HELD_VALUES_H_
#define SLUICE_RUNTIME_HELD_VALUES_H_

#include <memory>
#include <mutex>
#include <vector>

#include "runtime/forms.h"
#include "runtime/program.h"
#include "runtime/state.h"

namespace sluice {

class HeldValues {
 public:
  // `variables`: the places there of the program's inputs from `first` on. Behind them, and behind
  // the key of a program that `draws`, stand the results of the version `program`, whose inputs
  // are the variables `reads`. No program: null.
  HeldValues(std::shared_ptr<State> state, size_t first, std::vector<int> variables,
             std::unique_ptr<Program> program, std::vector<int> reads, bool draws,
             ThreadPool* pool);
  ~HeldValues();
  HeldValues(const HeldValues&) = delete;
  HeldValues& operator=(const HeldValues&) = delete;

  // Behind the program's inputs from `first` on, which are there, the version program's results.
  absl::Status AppendDerived(const State::Version& version, std::vector<Tensor>* inputs);
  // Behind all inputs of the program, the forms that `plan` wants.
  absl::Status AppendForms(const std::shared_ptr<const Plan>& plan, const State::Version& version,
                           std::vector<Tensor>* inputs);

  int64_t bytes() const;  // of what is this program's alone

 private:
  struct Bound {
    std::weak_ptr<const Plan> plan;
    std::vector<int> inputs;                   // of the program, by form
    std::vector<std::shared_ptr<Form>> forms;  // which the plan's kernels share
    uint64_t version = 0;
    std::vector<Tensor> tensors;  // of that version; empty before the first
  };
  // All of it for a version that no run has seen yet.
  absl::Status MakeAhead(const State::Version& next);
  std::vector<Tensor> Read(const State::Version& version) const;
  // In which version the program's input got its value.
  uint64_t Written(const State::Version& version, int input) const;
  Bound Bind(const std::shared_ptr<const Plan>& plan);

  const std::shared_ptr<State> state_;
  const size_t first_;
  const std::vector<int> variables_, reads_;
  const size_t behind_;  // the program's first input that the version program gives
  const std::unique_ptr<Program> program_;
  ThreadPool* const pool_;
  Form derived_;
  FormTable forms_of_derived_;
  std::mutex mutex_;
  uint64_t derived_version_ = 0;  // of what follows, the latest that a run asked for
  std::vector<Tensor> derived_now_;
  std::vector<Bound> bound_;
  int watch_ = -1;
};

}  // namespace sluice

#endif  // SLUICE_RUNTIME_HELD_VALUES_H_
