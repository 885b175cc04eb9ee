// Sections: stretches of a plan's steps that fall into branches which do not need each other. The
// branches of one run side by side, each by one thread, where that takes less time than sharing
// every step among all threads: many small steps, as in the towers of a recommender.
#ifndef SLUICE_RUNTIME_SECTIONS_H_
#define SLUICE_RUNTIME_SECTIONS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace sluice {

struct Step;

// What a step asks for, in the order of the plan.
struct SectionStep {
  std::vector<int> needs;   // earlier steps whose results it must see
  double alone_ns = 0;      // by one thread
  double together_ns = 0;   // by all
  int64_t bytes = 0;        // of its results: in a section memory is not used again
  bool may_overlap = true;  // false: it runs with nothing beside it
};

// The steps of a plan over so many slots: its kernels' costs by their nodes' types.
std::vector<SectionStep> SectionSteps(absl::Span<const Step> steps, size_t slots, int threads);

// Steps [first, last), each in one lane; a lane's are in order. As many lanes as are worth a
// thread.
struct Section {
  int first, last;
  std::vector<std::vector<int>> lanes;
};

// Sections that pay, in order, none overlapping. `fork_ns`: what starting the threads costs.
std::vector<Section> FindSections(absl::Span<const SectionStep> steps, int threads, double fork_ns);

}  // namespace sluice

#endif  // SLUICE_RUNTIME_SECTIONS_H_
