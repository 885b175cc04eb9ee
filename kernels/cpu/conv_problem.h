// What the convolutions ask for, in one form for every kernel of them.
#ifndef SLUICE_KERNELS_CPU_CONV_PROBLEM_H_
#define SLUICE_KERNELS_CPU_CONV_PROBLEM_H_

#include <algorithm>
#include <vector>

#include "absl/status/statusor.h"
#include "graph/tensor.h"
#include "kernels/cpu/post_ops.h"
#include "kernels/kernel.h"
#include "ops/window.h"

namespace sluice::cpu {

struct ConvProblem : PostOps {
  DType dtype = DType::kInvalid;  // of the input
  int64_t batch = 0, channels = 0, features = 0, group = 1;
  Dims in, out;   // spatial extents
  Window window;  // pads resolved
  int bias = -1;  // the input that holds it; -1: none
  // As the types say. Where plain and channels last are one for a value, either may be meant.
  Layout x_layout = Layout::kPlain, y_layout = Layout::kPlain;
  bool plain = true;  // every layout is

  // `x`, `w`, `bias`: which inputs of the node.
  static absl::StatusOr<ConvProblem> Read(const PrepareContext& context, size_t x, size_t w,
                                          size_t bias);

  int spatial() const { return window.rank(); }
  int64_t in_size() const;
  int64_t out_size() const;
  int64_t taps() const;  // elements of the window
  int64_t group_channels() const { return channels / group; }
  int64_t group_features() const { return features / group; }
  int64_t depth() const { return group_channels() * taps(); }  // terms of one result
  Dims OutDims() const;                                        // [N, M, out...]
  Dims InDims() const;
  bool empty() const { return batch == 0 || features == 0 || out_size() == 0; }
};

// Copies the elements under windows [first, last) (flat output positions) of `channels` planes of
// `x`: element (channel, tap) of window p goes to out[(channel * taps + tap) * row + (p - first) *
// step], as To(element) - zero; padding gives 0.
template <typename From, typename To>
void GatherWindows(const ConvProblem& p, const From* x, int64_t channels, int64_t first,
                   int64_t last, int32_t zero, To* out, int64_t row, int64_t step) {
  const Window& w = p.window;
  const int rank = w.rank(), inner = rank - 1;
  const int64_t width = p.out[inner], taps = p.taps(), in_size = p.in_size();
  const int64_t stride = w.strides[inner], in_width = p.in[inner];
  for (int64_t begin = first; begin < last;) {
    // A piece of one output line: the outer coordinates are the same for all of it.
    const int64_t at = begin % width, count = std::min(width - at, last - begin);
    int64_t origin[64];
    for (int64_t rest = begin / width, i = inner - 1; i >= 0; --i) {
      origin[i] = rest % p.out[i] * w.strides[i] - w.pads_begin[i];
      rest /= p.out[i];
    }
    for (int64_t tap = 0; tap < taps; ++tap) {
      int64_t rest = tap / w.kernel[inner], line = 0, scale = in_width;
      const int64_t shift =
          tap % w.kernel[inner] * w.dilations[inner] - w.pads_begin[inner] + at * stride;
      bool inside = true;
      for (int i = inner - 1; i >= 0; --i) {
        const int64_t y = origin[i] + rest % w.kernel[i] * w.dilations[i];
        rest /= w.kernel[i];
        inside = inside && y >= 0 && y < p.in[i];
        line += y * scale;
        scale *= p.in[i];
      }
      // Positions [lo, hi) of the piece read inside the line.
      int64_t lo = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
      int64_t hi = shift >= in_width ? 0 : (in_width - 1 - shift) / stride + 1;
      lo = inside ? std::min(lo, count) : count;
      hi = inside ? std::clamp<int64_t>(hi, lo, count) : count;
      for (int64_t c = 0; c < channels; ++c) {
        To* to = out + (c * taps + tap) * row + (begin - first) * step;
        const From* from = x + c * in_size + line + shift;
        for (int64_t j = 0; j < lo; ++j) to[j * step] = To{};
        for (int64_t j = lo; j < hi; ++j) {
          if constexpr (sizeof(From) == 1) {
            to[j * step] = static_cast<To>(from[j * stride] - zero);
          } else {
            to[j * step] = static_cast<To>(from[j * stride]);
          }
        }
        for (int64_t j = hi; j < count; ++j) to[j * step] = To{};
      }
    }
    begin += count;
  }
}

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_CONV_PROBLEM_H_
