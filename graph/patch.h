// Patch: an edit of a graph that happens whole or not at all.
//
//   Patch patch(conv->graph(), /*before=*/relu, "fuse_conv");
//   Value* y = patch.builder().Op("FusedConv", {...});
//   patch.Replace(relu->output(), y);
//   return patch.Commit();
//
// New nodes stand before `before` and infer as they are added. Without Commit() (an early return:
// the rule refused) the destructor takes them out again and the graph is as it was.
#ifndef SLUICE_GRAPH_PATCH_H_
#define SLUICE_GRAPH_PATCH_H_

#include <utility>
#include <vector>

#include "graph/builder.h"
#include "graph/graph.h"

namespace sluice {

class Patch {
 public:
  // New nodes take the origin of `before`, with `pass` appended.
  Patch(Graph* graph, Node* before, absl::string_view pass);
  ~Patch();
  Patch(const Patch&) = delete;
  Patch& operator=(const Patch&) = delete;

  GraphBuilder& builder() { return builder_; }
  // On commit, `to` takes over every use of `from`, and its name too where `to` is new here. Their
  // types must not contradict each other.
  void Replace(Value* from, Value* to);

  // Replaces, then erases whatever of the replaced values' producers, and of theirs, is no longer
  // used. On an error (the builder's, or types that contradict) nothing has changed.
  absl::Status Commit();

 private:
  Graph* graph_;
  GraphBuilder builder_;
  std::vector<std::pair<Value*, Value*>> replacements_;
  bool committed_ = false;
};

// Erases `node` if nothing uses it and it has no effects, then, likewise, the producers of its
// inputs.
void EraseIfDead(Node* node);

// Erases every node of the graph and its bodies whose results no output, effect or control edge
// needs.
void EraseUnread(Graph* graph);

}  // namespace sluice

#endif  // SLUICE_GRAPH_PATCH_H_
