// The steps of a plan that are no plain kernel launch: results sized by the data, nodes whose
// inputs are, and assignments.
#ifndef SLUICE_RUNTIME_DYNAMIC_STEPS_H_
#define SLUICE_RUNTIME_DYNAMIC_STEPS_H_

#include <memory>
#include <vector>

#include "runtime/plan.h"

namespace sluice {

struct ProgramOptions;

// A kernel launched by itself, with fresh outputs and scratch.
absl::StatusOr<std::vector<Tensor>> LaunchAlone(const Kernel& kernel, absl::Span<const Type> types,
                                                absl::Span<const Tensor> inputs, RunContext* run);

// A kernel that allocates its own outputs.
std::unique_ptr<DynamicStep> MakeDynamicKernel(std::shared_ptr<const Kernel> kernel,
                                               std::vector<Type> outputs);

// A node prepared when its inputs are known, as a program of its own (node_program.h).
absl::StatusOr<std::unique_ptr<DynamicStep>> MakeDeferred(const Node& node,
                                                          const ProgramOptions& options,
                                                          bool by_contents);

}  // namespace sluice

#endif  // SLUICE_RUNTIME_DYNAMIC_STEPS_H_
