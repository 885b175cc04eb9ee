// The geometry of ConvTranspose: which pads and output extents its attributes mean.
#ifndef SLUICE_OPS_CONV_TRANSPOSE_H_
#define SLUICE_OPS_CONV_TRANSPOSE_H_

#include "ops/window.h"

namespace sluice {

// A transposed convolution over the output, seen as the window of the convolution that it reverses:
// output position = stride * i + dilation * k - pad_begin.
struct TransposedWindow {
  Window window;
  std::vector<int64_t> output_padding;
  std::vector<int64_t> output_shape;  // empty: from the formula

  static absl::StatusOr<TransposedWindow> Read(const Node& node, absl::Span<const int64_t> kernel);
  absl::StatusOr<Dim> Output(int i, const Dim& in) const;
  // Fills the window's pads for these extents. pads_end may come out negative.
  void Resolve(absl::Span<const int64_t> in, absl::Span<const int64_t> out);
};

}  // namespace sluice

#endif  // SLUICE_OPS_CONV_TRANSPOSE_H_
