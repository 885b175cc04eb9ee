// Specialiser: from a graph and concrete input types to a flat plan. Read Make() first
// (specialise.cc); kernels are chosen in specialise_kernels.cc, batches cut into slices in
// specialise_slices.cc.
#ifndef SLUICE_RUNTIME_SPECIALISER_H_
#define SLUICE_RUNTIME_SPECIALISER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "kernels/kernel.h"
#include "runtime/program.h"
#include "runtime/slices.h"

namespace sluice {

// Makes one plan.
class Specialiser {
 public:
  explicit Specialiser(const ProgramOptions& options)
      : options_(options), plan_(std::make_shared<Plan>()) {}

  absl::StatusOr<std::shared_ptr<const Plan>> Make(const Graph& graph,
                                                   absl::Span<const Type> inputs,
                                                   absl::Span<const Tensor> contents,
                                                   absl::Span<const int> fetches,
                                                   absl::Span<const int> renews);

 private:
  // The graph.
  // A copy of the graph for the fetches, typed for inputs of the given types; those whose contents
  // are given are read by nobody, constants stand in their place.
  absl::StatusOr<std::unique_ptr<Graph>> Concrete(const Graph& graph, absl::Span<const Type> inputs,
                                                  absl::Span<const Tensor> contents,
                                                  absl::Span<const int> fetches) const;
  void FindNeeded(const Graph& g);
  // Small integer results that inference knows as numbers: constants of this plan.
  static bool KnownContents(const Node& node);
  static absl::StatusOr<Tensor> Materialise(const Value& v);

  // Slots: where values lie.
  int AddSlot(const Value& v, SlotKind kind, int index = -1);
  int AddConstantSlot(const Value& v, Tensor tensor);
  void AddInputSlots(const Graph& g);
  // Of input slot `input` in a form of `kernel`'s.
  int FormSlot(int input, const InputForm& form, std::shared_ptr<const Kernel> kernel);

  int SlotOf(const Value* v) const { return v == nullptr ? 0 : slot_of_.at(v); }
  const Tensor& ConstantOf(const Value* v) const { return plan_->constants_[SlotOf(v)]; }

  // Steps.
  absl::Status AddNode(const Node& node);
  // The node's expansion in its place: where no kernel takes it, and nothing more will be known.
  absl::Status AddExpansion(const Node& node);
  // Whether contents that only the run gives could let a kernel take the node.
  bool MoreToKnow(const Node& node) const;
  Step StepOf(const Node& node) const;
  // Of the step that comes next.
  void NoteReads(const Step& step);

  // Kernels.
  struct Prepared {
    absl::StatusOr<std::unique_ptr<Kernel>> kernel;
    std::string choice;
  };
  // Without inputs.
  PrepareContext ContextOf(const Node& node) const;
  // From many threads at once.
  Prepared Prepare(const PrepareContext& context) const;
  // Packing weights and generating code take their time: all threads do it, each node by one. Left
  // to ChooseKernel(): what depends on contents that follow the shapes, and what cannot run.
  void PrepareAhead(absl::Span<const Node* const> nodes);
  // Leaves a step without kernel where the node is to be expanded.
  absl::Status ChooseKernel(const Node& node, Step* step);
  // Constants that are read at run time, or fetched: an importer may have left them anywhere.
  absl::Status AlignConstants(absl::Span<const int> fetched);

  // Slices.
  // Where the batch should go slice by slice: positions in needed_. The slices' graph is made here.
  std::vector<Stretch> FindStretches(const Graph& graph, absl::Span<const Type> inputs,
                                     absl::Span<const int> fetches);
  // The stretch for one slice after the other; as a whole where a kernel of it is none for slices.
  absl::Status AddStretch(const Stretch& stretch);
  // False where it cannot be: the caller takes back what was added. `wholes`: the values of the
  // stretch that got a slot for all rows, since somebody outside reads them.
  absl::StatusOr<bool> AddSlices(const Stretch& stretch, std::vector<const Value*>* wholes);
  // The rows of slice `slice` of the slot `whole`, for the slices' value `part`.
  int AddPart(const Value& part, int whole, int64_t slice);
  // Of what all slices read alike: the slot of all rows, or a shape that is the slices' `own`.
  absl::StatusOr<int> SharedSlot(const Value& part, const Value& all, bool own);

  const ProgramOptions& options_;
  std::shared_ptr<Plan> plan_;
  Value none_;
  std::vector<Node*> needed_;
  int expanding_ = 0;  // how deep in expansions
  absl::flat_hash_map<const Value*, int> slot_of_;
  absl::flat_hash_map<const Node*, Prepared> prepared_;
  std::vector<int> last_read_;  // by slot: the last step that reads it
  // Where the batch goes slice by slice: by position in needed_, the same node for a slice, and
  // whether it makes a step.
  Slicing slicing_;
  int64_t slices_ = 0;
  std::vector<const Node*> twins_;
  std::vector<bool> step_nodes_;
};

}  // namespace sluice

#endif  // SLUICE_RUNTIME_SPECIALISER_H_
