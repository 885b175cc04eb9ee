// LoopSpace: the loops that a group of element-wise, reducing and reshaping nodes runs over as one.
//
// Two axes are one loop where an element-wise op pairs them: in y = x + b with x: f32[n,8] and
// b: f32[8] there are two loops, n and 8, and b runs over the second alone. A Transpose renames
// axes and moves nothing. All reductions of a group go over the same loops.
//
// What passes group and what kernels lower are both decided here, on symbolic extents as on
// numbers: what holds for a symbol holds for each number in its place, 1 too.
#ifndef SLUICE_OPS_LOOP_SPACE_H_
#define SLUICE_OPS_LOOP_SPACE_H_

#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "graph/graph.h"

namespace sluice {

// The op's; kNone of a node with effects or bodies.
LoopRole RoleInLoop(const Node& node);
// Input `i` says which axes or which shape; it must be constant.
bool IsLoopParameter(const Node& node, size_t i);
// The axes that a kReduce or kNormalize node goes over, sorted, non-negative; empty optional where
// they, or the rank, are not known.
std::optional<std::vector<int>> ReducedAxes(const Node& node);

struct LoopSpace {
  std::vector<Dim> extents;   // of the loops; none is the number 1
  std::vector<bool> reduced;  // by loop
  // The loop of each axis of a value; -1 where the extent is 1. All inputs and outputs of the
  // nodes, parameters left out.
  absl::flat_hash_map<const Value*, std::vector<int>> axes;

  enum class Cover : uint8_t {
    kAll,   // an element for each point
    kKept,  // one for each point of the loops that are not reduced
    kOne,   // one element, while there are loops
    kPart,
  };
  Cover CoverOf(const Value& value) const;
  bool reduces() const;
};

// `nodes` in order; what they read and none of them makes are the inputs. Unimplemented with the
// reason where they have no common loops.
absl::StatusOr<LoopSpace> FindLoopSpace(absl::Span<const Node* const> nodes);

}  // namespace sluice

#endif  // SLUICE_OPS_LOOP_SPACE_H_
