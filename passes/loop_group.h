// A group of nodes that may become one FusedLoop, and what speaks for and against it.
#ifndef SLUICE_PASSES_LOOP_GROUP_H_
#define SLUICE_PASSES_LOOP_GROUP_H_

#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "graph/graph.h"

namespace sluice {

// Whether a node may be in a group at all.
bool IsLoopCandidate(const Node& node);

// A view that moves nothing: Reshape and its like, but not Transpose.
bool IsFreeView(const Node& node);

// Bytes of a tensor; of symbolic extents an expression.
Dim BytesOf(const Value& value);
// For comparing: as if each symbol stood for the same middling number.
double RoughBytes(const Value& value);

class LoopGroup {
 public:
  // Nodes of one graph, in order.
  explicit LoopGroup(std::vector<Node*> nodes);

  const std::vector<Node*>& nodes() const { return nodes_; }
  bool contains(const Node* node) const { return set_.contains(node); }
  // Values made inside that something outside reads, in order.
  std::vector<Value*> outputs() const;
  // Values read from outside, but not the constants that a body holds itself.
  std::vector<Value*> inputs() const;
  static bool IsInnerConstant(const Node& node, size_t input);

  // OK, or why these nodes are not worth, or not capable of, running as one.
  absl::Status Check() const;
  // Without views at the border, which cost nothing by themselves.
  LoopGroup Trimmed() const;
  // At least two nodes that do something.
  bool WorthBuilding() const;
  // What need not be written or read.
  Dim BytesSaved() const;

 private:
  bool Escapes(const Value& value) const;
  size_t ReadersInside(const Value& value) const;
  std::vector<Node*> nodes_;
  absl::flat_hash_set<const Node*> set_;
};

}  // namespace sluice

#endif  // SLUICE_PASSES_LOOP_GROUP_H_
