// Windows that slide over the spatial axes of [N,C,D1,...,Dn]: what convolutions and pools share.
#ifndef SLUICE_OPS_WINDOW_H_
#define SLUICE_OPS_WINDOW_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "graph/graph.h"

namespace sluice {

struct Window {
  enum class AutoPad : uint8_t { kNone, kValid, kSameUpper, kSameLower };

  // One entry a spatial axis; all >= 1, pads >= 0, and no extent() overflows.
  std::vector<int64_t> kernel, strides, dilations;
  std::vector<int64_t> pads_begin, pads_end;  // zeros where auto_pad is set, until Resolve()
  AutoPad auto_pad = AutoPad::kNone;
  bool ceil_mode = false;

  int rank() const { return static_cast<int>(kernel.size()); }
  // Elements from the first to the last that the window covers on axis `i`.
  int64_t extent(int i) const { return (kernel[i] - 1) * dilations[i] + 1; }

  // Reads strides, dilations, pads, auto_pad and ceil_mode of `node` (defaults where it lacks them)
  // for windows of `kernel` elements. InvalidArgument names the attribute that does not fit.
  static absl::StatusOr<Window> Read(const Node& node, absl::Span<const int64_t> kernel);

  // How many windows fit on axis `i` of extent `in`. InvalidArgument where both are numbers and the
  // padded input is smaller than the window. An empty axis gives an empty one.
  absl::StatusOr<Dim> Positions(int i, const Dim& in) const;

  // Turns auto_pad into the pads that it means for these input extents.
  void Resolve(absl::Span<const int64_t> in);
};

// kernel_shape of a convolution: the attribute, which must agree with the weights' extents after
// the first two, or those extents. Empty where neither is known.
absl::StatusOr<std::optional<std::vector<int64_t>>> ConvKernel(const Node& node,
                                                               const Type& weights);

// [N, M, out...] of a convolution, after checking everything that is known of input, weights [M,
// C/group, k...] and bias (unknown type: absent). Returns an unknown type where nothing is known.
absl::StatusOr<Type> ConvOutput(const Node& node, const Type& x, const Type& w, const Type& bias,
                                DType dtype);

}  // namespace sluice

#endif  // SLUICE_OPS_WINDOW_H_
