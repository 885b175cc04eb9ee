// MemoryPlanner: from a plan's steps to places: which values share memory, where in the arena each
// lies, which steps run side by side, and the table of pointers that a frame fills.
#ifndef SLUICE_RUNTIME_MEMORY_PLANNER_H_
#define SLUICE_RUNTIME_MEMORY_PLANNER_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "runtime/program.h"

namespace sluice {

class MemoryPlanner {
 public:
  // `plan` has its slots and steps; `last_read`: by slot, the last step that reads it.
  MemoryPlanner(const ProgramOptions& options, Plan* plan, std::vector<int> last_read)
      : options_(options), plan_(plan), last_read_(std::move(last_read)) {}

  // `fetched`: the slots of the outputs, in order; `renews`: the inputs that each is a new value
  // of, -1: of none. ResourceExhausted past the memory limit.
  absl::Status Run(absl::Span<const int> fetched, absl::Span<const int> renews) {
    // Which steps run side by side.
    FindBranches();
    // Which values share memory: views of their input, results in place of it, fetched ones
    // outside.
    AssignBuffers(fetched, renews);
    // Which outputs may be written over inputs.
    FindRenewed(renews);
    if (absl::Status s = PlaceBuffers(); !s.ok()) return s;
    if (absl::Status s = CheckLimit(); !s.ok()) return s;
    FillTable();
    return absl::OkStatus();
  }

 private:
  struct Buffer {
    int64_t bytes = 0;
    int first = 0, last = 0;
    int output = -1;  // the fetch whose memory it is
    std::vector<int> members;
  };
  struct Lane {
    int section, lane;  // -1: none
    bool operator==(const Lane&) const = default;
  };

  bool TakePart(int slot, int first);
  bool MakeView(int slot, int source);
  void Join(int buffer, int slot);
  void AssignBuffers(absl::Span<const int> fetched, absl::Span<const int> renews);
  void FindRenewed(absl::Span<const int> renews);
  bool MayRenew(size_t output, int input, int safe, int* first) const;
  void FindBranches();
  void RenumberSections(const std::vector<int>& kept_at);
  void NewBuffer(int slot, int now);
  bool TakeInput(int slot, const Step& step, int in, int now);
  void AddOutput(int index, int slot);
  int Earliest(int step) const;
  int Latest(int step) const;
  absl::Status PlaceBuffers();
  std::string LargestValue() const;
  absl::Status CheckLimit() const;
  void FillTable();

  const ProgramOptions& options_;
  Plan* const plan_;
  std::vector<int> last_read_;
  std::vector<int> buffer_of_;  // by slot; -1: no buffer of the arena's
  std::vector<Buffer> buffers_;
  std::vector<int> step_time_;     // of a kept step: its number before views fell out
  std::vector<Lane> lane_of_;      // by step, before views fell out
  std::vector<Section> sections_;  // of such numbers
  std::vector<int> first_lane_;    // by section: its lanes among all
};

}  // namespace sluice

#endif  // SLUICE_RUNTIME_MEMORY_PLANNER_H_
