// Random numbers are pure functions: of a key, a stream and an element's index, by Philox4x32-10
// (Salmon, Moraes, Dror, Shaw: Parallel random numbers, as easy as 1, 2, 3; SC 2011).
//
//   block(key, i) = Philox4x32-10(counter = (i, key[1]), key = key[0])    128 bits, i of 64 bits
//   Fold(key, d)  = block(key, d) as two words of 64 bits, the first 32 bits lowest: a new key
//   the run's key = (seed, run)                                           `RandomKey` gives it
//   a trip's key  = Fold(the key around the loop, trip)                   of Loop and Scan
//   numbers       = block(Fold(key, stream), 0), block(.., 1), ...        of one node
//
// Element i of a node's numbers in row-major order has the i-th 32 bits of these blocks, or the
// i-th 64 bits where it is f64. So neither layouts nor slices, passes or threads move a bit.
#ifndef SLUICE_OPS_RANDOM_H_
#define SLUICE_OPS_RANDOM_H_

#include "graph/builder.h"

namespace sluice {

// The stream of a node that draws: a hash of its name, with the names of the nodes and bodies
// around it before that, each followed by a zero byte, outermost first. FNV-1a of 64 bits, mixed by
// the finaliser of SplitMix64; of that the upper 62 bits, and bit 62 set, so that it is positive
// and no trip. Stable: written files depend on it.
int64_t StreamOf(const Node& node);

// Of a tensor that is drawn: as they are (i64[rank]), or those of another tensor.
struct Extents {
  Value *shape = nullptr, *like = nullptr;
};

// Numbers in f32 or f64, of the node's stream. Its attribute `seed`, where written, takes the place
// of the session's.
Value* DrawUniform(GraphBuilder& b, const Node& node, Extents extents, DType dtype);  // [0, 1)
Value* DrawNormal(GraphBuilder& b, const Node& node, Extents extents, DType dtype);  // mean 0, sd 1

// The dtype that numbers for results of `dtype` are drawn in.
constexpr DType DrawnType(DType dtype) { return dtype == DType::kF64 ? dtype : DType::kF32; }

}  // namespace sluice

#endif  // SLUICE_OPS_RANDOM_H_
