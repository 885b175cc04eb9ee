// Plan: a program made flat for concrete input shapes. It never changes after it was made; what
// changes during a run is in a Frame.
//
// Each value has a slot. Steps run in order; a kernel step reads and writes raw pointers that a
// frame holds ready, a dynamic step takes tensors and gives tensors whose sizes only the data
// knows.
#ifndef SLUICE_RUNTIME_PLAN_H_
#define SLUICE_RUNTIME_PLAN_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "graph/graph.h"
#include "kernels/kernel.h"
#include "runtime/sections.h"

namespace sluice {

class CancelToken;
struct Profile;
struct ProfileEvent;
struct RunOptions;

// What every step of one run, nested ones too, shares.
struct RunContext {
  ThreadPool* pool = nullptr;
  const RunOptions* options = nullptr;
  int64_t memory_limit = 0;  // 0: none
  int64_t memory_used = 0;   // activations held now
  int64_t memory_peak = 0;
  int64_t start_ns = 0;
  bool check_time = false;  // a deadline is set

  absl::Status Charge(int64_t bytes);  // ResourceExhausted past the limit
  absl::Status CheckStop() const;      // deadline and cancellation
};

// A step whose results only the data sizes.
class DynamicStep {
 public:
  virtual ~DynamicStep() = default;
  virtual absl::StatusOr<std::vector<Tensor>> Run(absl::Span<const Tensor> inputs,
                                                  RunContext* run) = 0;
  virtual std::string Description() const = 0;
};

enum class SlotKind : uint8_t {
  kNone,      // an absent input
  kConstant,  // bytes of a constant tensor
  kInput,     // fed
  kArena,     // at an offset of the frame's block
  kOutput,    // written straight into a result's memory
  kDynamic,   // a tensor made during the run
};

struct Slot {
  SlotKind kind = SlotKind::kNone;
  int index = -1;      // of the input, output or dynamic tensor; the slot's own for constants
  int64_t offset = 0;  // in bytes, of the arena; in a part of an input or output, of its memory
  Type type;           // concrete where not dynamic
  std::string name;
  // Rows of another slot: kind and index are that slot's once memory is planned.
  int part_of = -1;
  int64_t part_offset = 0;  // bytes
};

struct Step {
  const Node* node;
  std::vector<int> inputs, outputs;      // slots
  std::vector<int> forms;                // slots, of the kernel's forms()
  std::shared_ptr<const Kernel> kernel;  // one of the two; slices share it
  std::unique_ptr<DynamicStep> dynamic;
  std::vector<int> reads;  // a dynamic step's captured slots, behind its inputs
  int64_t scratch_offset = -1;
  int first_argument = 0;  // of a kernel step: inputs, then outputs, in the frame's table
  std::vector<Type> output_types;
  std::string choice;   // why this kernel: refusals of the others
  bool sliced = false;  // for some rows: `node` is of the slices' graph
  int same_as = -1;     // the step of the first slice that does the same for its rows
};

// Steps [first, last) are the same nodes for one slice of the batch after the other.
struct SliceRun {
  int first, last;
  int64_t slices, rows;  // rows of each
};

struct PlanOutput {
  int slot;
  Type type;
  bool direct;     // a step writes it in place; else it is copied or shared at the end
  bool is_static;  // `dims` are its extents
  Dims dims;
  // The input in whose memory it may be written, -1: none. Nobody reads that input any more when
  // the first element is written, and nothing may fail from there on: see Plan::commit().
  int renews = -1;

  bool Takes(const Tensor& given) const {
    return is_static && given.dtype() == type.dtype() && given.dims() == absl::MakeSpan(dims);
  }
};

// A held input in the form that kernels of the plan want: an input of the plan, too, behind the
// program's.
struct PlanForm {
  int input;  // of the program
  std::string format;
  std::function<absl::StatusOr<Tensor>(const Tensor& plain)> pack;
  int slot;
};

// A place in the frame's pointer table that receives the memory of input or output
// `index` at each run.
struct PlaceOf {
  int index;
  int place;
  int64_t offset = 0;  // bytes into that memory
};

class Plan {
 public:
  const std::vector<Slot>& slots() const { return slots_; }
  const std::vector<Step>& steps() const { return steps_; }
  // Stretches of kernel steps whose lanes run side by side, in order.
  const std::vector<Section>& sections() const { return sections_; }
  const std::vector<SliceRun>& slices() const { return slices_; }
  const std::vector<PlanForm>& forms() const { return forms_; }
  double slices_saved_ns() const { return slices_saved_ns_; }  // by the estimate
  const std::vector<PlanOutput>& outputs() const { return outputs_; }
  // The step from which on outputs are written over inputs, where a run gives them the same memory.
  // No step behind it may fail, and none looks at the clock.
  int commit() const { return commit_; }
  int64_t arena_bytes() const { return arena_bytes_; }
  int64_t packed_bytes() const { return packed_bytes_; }
  double specialise_ms() const { return specialise_ms_; }
  const std::string& peak_node() const { return peak_node_; }
  bool inner() const { return inner_; }  // of a body, or of one node: results stay in the program

  // Slots, steps and memory, one line each: deterministic, for tests and people.
  std::string ToString() const;

  // The frame's pointer table, by who fills it. Fixed places hold an arena offset or a constant.
  size_t num_arguments() const { return num_arguments_; }
  absl::Span<const PlaceOf> fixed_places() const { return fixed_places_; }  // index: the slot
  absl::Span<const PlaceOf> input_places() const { return input_places_; }
  absl::Span<const PlaceOf> output_places() const { return output_places_; }
  absl::Span<const int> dynamic_places(int index) const { return dynamic_places_[index]; }
  int num_inputs() const { return num_inputs_; }
  int num_dynamic() const { return num_dynamic_; }
  const std::vector<Tensor>& constants() const { return constants_; }  // by slot

 private:
  friend class Specialiser;
  friend class MemoryPlanner;
  std::unique_ptr<Graph> graph_;        // with concrete types; steps point into it
  std::unique_ptr<Graph> slice_graph_;  // the same for one slice; null where nothing is sliced
  std::vector<Slot> slots_;
  std::vector<Tensor> constants_;
  std::vector<Step> steps_;
  std::vector<Section> sections_;
  std::vector<SliceRun> slices_;
  std::vector<PlanForm> forms_;
  double slices_saved_ns_ = 0;
  std::vector<PlanOutput> outputs_;
  std::vector<PlaceOf> fixed_places_, input_places_, output_places_;
  std::vector<std::vector<int>> dynamic_places_;
  size_t num_arguments_ = 0;
  int num_inputs_ = 0, num_dynamic_ = 0;
  int commit_ = 0;
  int64_t arena_bytes_ = 0, packed_bytes_ = 0, peak_live_bytes_ = 0;
  double specialise_ms_ = 0;  // what making it took
  bool inner_ = false;
  std::string peak_node_;
};

// The memory of one run: a block, a table of pointers, and the tensors made on the way. Launches
// stand ready in an array; a run of a plan without dynamic steps fills in the caller's pointers and
// walks it: no allocation, no lock, no system call.
class Frame {
 public:
  explicit Frame(const Plan& plan);

  // `inputs`: the program's, and behind them the plan's forms.
  // Results in the order of the plan's outputs. `given[i]` valid: written in place. Nothing of a
  // result aliases this frame, unless `keep` is set: then fresh results stay the frame's and are
  // reused.
  absl::Status Run(const Plan& plan, absl::Span<const Tensor> inputs,
                   absl::Span<const Tensor> given, std::vector<Tensor>* results, RunContext* run,
                   bool keep = false);

  // The memory that stays for result `i` from call to call, where there is one; gives it up, so
  // that the next run takes another.
  const Tensor& own(size_t i) const { return own_[i]; }
  void ForgetOwn(size_t i) { own_[i] = Tensor(); }

 private:
  struct Launch {
    const Kernel* kernel;  // null: a dynamic step
    LaunchContext context;
  };
  // The block, and the pointers into it; false where there is no memory.
  bool TakeBlock(const Plan& plan);
  void Point(int place, const void* data) { table_[place] = const_cast<void*>(Present(data)); }
  void Point(const PlaceOf& p, const void* memory) {
    Point(p.place, static_cast<const char*>(memory) + p.offset);
  }
  absl::Status TakeOutputs(const Plan& plan, absl::Span<const Tensor> given, RunContext* run,
                           bool keep);
  absl::Status GiveOutput(const Plan& plan, size_t i, absl::Span<const Tensor> inputs,
                          const Tensor& given, Tensor* result, RunContext* run, bool keep);
  static absl::Status OwnDynamicResults(const Plan& plan, absl::Span<const Tensor> inputs,
                                        absl::Span<const Tensor> given,
                                        std::vector<Tensor>* results);
  // One step; looks at the clock or the token before it, or keeps a profile, where `watched`.
  absl::Status RunWatched(const Plan& plan, size_t index, absl::Span<const Tensor> inputs,
                          RunContext* run, int lane, std::vector<ProfileEvent>* events);
  absl::Status RunSection(const Plan& plan, const Section& section, absl::Span<const Tensor> inputs,
                          RunContext* run, bool watched);
  absl::Status RunStep(const Plan& plan, size_t index, absl::Span<const Tensor> inputs,
                       RunContext* run);
  absl::Status RunDynamic(const Plan& plan, const Step& step, absl::Span<const Tensor> inputs,
                          RunContext* run);
  Tensor View(const Plan& plan, int index, absl::Span<const Tensor> inputs) const;

  Tensor block_;
  std::vector<void*> table_;
  std::vector<Launch> launches_;  // by step
  ThreadPool* pool_ = nullptr;    // that the launches name
  int commit_ = 0;                // of this run: from this step on nothing stops it
  std::vector<Tensor> dynamic_;
  std::vector<Tensor> kept_;  // results of this run, by output
  std::vector<Tensor> own_;   // memory for them that stays from call to call
};

}  // namespace sluice

#endif  // SLUICE_RUNTIME_PLAN_H_
