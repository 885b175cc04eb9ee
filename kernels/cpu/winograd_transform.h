// Winograd's minimal filtering for 3x3 filters with stride 1: Y = A^T [(G g G^T) . (B^T x B)] A for
// tiles of m x m results from (m+2) x (m+2) pixels (A. Lavin and S. Gray, "Fast Algorithms for
// Convolutional Neural Networks", 2015; the matrices are Cook and Toom's).
//
// m = 2 interpolates at 0, 1, -1, infinity; m = 4 at 0, +-sqrt(1/2), +-sqrt(2), infinity, whose
// products with each other are 1: as many operations as with the usual +-1, +-2, half the error.
// Filters are transformed in f64.
//
// Error of a whole convolution (root mean square, relative; tests/kernels/winograd_test.cc bounds
// it) for 128 channels: m = 2 2e-7 to 4e-7, m = 4 3e-7 to 1.1e-6, where adding term by term in f32
// makes 5e-7 to 6e-7; it grows with the square root of the channels. A pixel that is not finite, or
// so large that a sum overflows, spoils all results of its tile, not only the nine that it is part
// of: `output` tells, and such tiles are computed again by the definition.
#ifndef SLUICE_KERNELS_CPU_WINOGRAD_TRANSFORM_H_
#define SLUICE_KERNELS_CPU_WINOGRAD_TRANSFORM_H_

#include <cstdint>

namespace sluice::cpu {

// Frequencies and pixels are numbered row by row. Channels lie side by side.
struct WinogradTransform {
  // Frequency f of channel c of the tile whose pixel p begins at pixels[p] goes to v[f*stride + c].
  void (*input)(const float* const* pixels, int64_t channels, float* v, int64_t stride);
  // The reverse, clamped to [low, high] (NaN stays) after the bias was added (null: none). False
  // where a sum, without the bias, was not finite; it may say so of the largest numbers, too.
  bool (*output)(const float* m, int64_t stride, int64_t features, const float* bias, float low,
                 float high, float* const* pixels);
  // `count` 3x3 filters, w_stride elements apart, to u[f * u_stride + i].
  void (*filters)(const float* w, int64_t w_stride, int64_t count, float* u, int64_t u_stride);
};

// `tile` is 2 or 4: the m above.
WinogradTransform FindWinograd(int tile);

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_WINOGRAD_TRANSFORM_H_
