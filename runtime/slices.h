// Slices: stretches of a plan that run for a few rows of the batch at a time, depth first, so that
// what one step writes is still in a cache when the next reads it. Layer by layer, a batch of light
// convolutions waits for memory at every step.
//
//   layer by layer:  conv(rows 0-7)  pool(rows 0-7)  conv2(rows 0-7)
//   in two slices:   conv(0-3) pool(0-3) conv2(0-3)  conv(4-7) pool(4-7) conv2(4-7)
//
// A row is what lies at one index of axis 0. Results are the same rows of the same ops; the kernels
// are those that a batch of the slice's size would have.
#ifndef SLUICE_RUNTIME_SLICES_H_
#define SLUICE_RUNTIME_SLICES_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "graph/graph.h"

namespace sluice {

// What a node of the plan means for slicing, in order.
struct SliceNode {
  enum class Kind : uint8_t {
    kNoStep,   // a constant: no matter where it stands
    kRowWise,  // may run slice by slice
    kOther,    // ends a stretch
  };
  Kind kind = Kind::kOther;
  double row_bytes = 0;    // of the inputs and outputs that have rows, all of them
  double whole_bytes = 0;  // of the other inputs, weights mostly: read by each slice
};

// The nodes of a graph of concrete types with a batch of so many rows. Row-wise by declaration: to
// be confirmed by IsRowWise().
std::vector<SliceNode> SliceNodes(absl::Span<Node* const> nodes, int64_t batch);

// Whether `part`, the same node inferred for `rows` of `batch` rows, gives those rows of what
// `whole` gives.
bool IsRowWise(const Node& whole, const Node& part, int64_t batch, int64_t rows);

// Whether a value has rows: `whole` and `part` are its types in the two graphs.
bool HasRows(const Type& whole, const Type& part, int64_t batch, int64_t rows);

struct Stretch {
  int first, last;  // nodes [first, last)
};
struct Slicing {
  int64_t rows = 0;  // of a slice, a divisor of the batch; 0: nothing is sliced
  std::vector<Stretch> stretches;
  double saved_ns = 0;  // by the estimate
};
// The stretches that pay, and how many rows a slice should have. `rows` > 0: so many.
Slicing FindSlices(absl::Span<const SliceNode> nodes, int64_t batch, int threads, int64_t rows = 0);

}  // namespace sluice

#endif  // SLUICE_RUNTIME_SLICES_H_
