// simplify_shapes: takes out what only moves a tensor to where it already is, and joins what moves
// it twice.
//
//   before:  %a = Reshape(%x, %s)                       after:  %t = Constant {value = i64[1] [6]}
//            %b = Reshape(%a, %t)                               %b = Reshape(%x, %t)
//   before:  %a = Transpose(%x) {perm = [0,2,1]}        after:  %x
//            %b = Transpose(%a) {perm = [0,2,1]}
//
// Covered: Identity, Dropout at inference; Reshape, Flatten, Squeeze, Unsqueeze (no-ops, pairs, and
// computed shapes that inference knows); Transpose; Expand, Tile, Slice, Pad, Concat and Split that
// change nothing; a Transpose between a Reshape that merges axes and one that splits them again;
// Cast to the same type, Cast after a Cast that lost nothing, and CastLike. Preconditions: extents
// are equal as numbers or as expressions over the symbols. Never: assumes that two unknown extents
// are equal, or that an extent is not zero.
#ifndef SLUICE_PASSES_SIMPLIFY_SHAPES_H_
#define SLUICE_PASSES_SIMPLIFY_SHAPES_H_

#include "passes/pass.h"

namespace sluice {

class SimplifyShapes final : public Pass {
 public:
  const char* name() const override { return "simplify_shapes"; }
  absl::StatusOr<bool> Run(Graph& graph, PassContext& context) const override;
};

}  // namespace sluice

#endif  // SLUICE_PASSES_SIMPLIFY_SHAPES_H_
