// Resize, linear and cubic: one pass an axis, and the order of the passes.
#ifndef SLUICE_KERNELS_CPU_RESIZE_PASS_H_
#define SLUICE_KERNELS_CPU_RESIZE_PASS_H_

#include <algorithm>
#include <optional>
#include <vector>

#include "kernels/cpu/layout/mapped_copy.h"
#include "kernels/cpu/resize_axis.h"
#include "kernels/device/thread_pool.h"

namespace sluice::cpu {

// One axis resized: [outer, in, inner] to [outer, out, inner].
template <typename C>
struct ResizePass {
  int64_t outer = 1, in = 1, out = 1, inner = 1, taps = 0;
  std::vector<int64_t> first, partial;  // see ResizeTaps
  std::vector<C> weights, bias;
  // Rows that no later pass reads are left out: row o counts where needed[o / stride % size].
  std::vector<uint8_t> needed;
  int64_t stride = 1;

  int64_t out_elements() const { return outer * out * inner; }
  void Run(const C* src, C* dst, ThreadPool* pool) const {
    const int64_t rows = inner == 1 ? outer : outer * out;
    const int64_t grain =
        std::max<int64_t>(1, 8192 / std::max<int64_t>(1, inner == 1 ? out : inner));
    auto body = [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const int64_t o = inner == 1 ? r : r / out;
        if (!needed.empty() && needed[o / stride % static_cast<int64_t>(needed.size())] == 0) {
          continue;
        }
        inner == 1 ? Gather(src + r * in, dst + r * out) : Blend(src, dst, o, r % out);
      }
    };
    if (pool == nullptr) return body(0, rows);
    pool->ParallelFor(rows, grain, body);
  }

 private:
  // The whole axis, which lies dense.
  void Gather(const C* s, C* d) const {
    const int64_t* f = first.data();
    const C *w = weights.data(), *b = bias.data();
    if (taps == 2) {
      for (int64_t i = 0; i < out; ++i) {
        d[i] = b[i] + w[2 * i] * s[f[i]] + w[2 * i + 1] * s[f[i] + 1];
      }
    } else if (taps == 4) {
      for (int64_t i = 0; i < out; ++i) {
        const C *v = w + 4 * i, *x = s + f[i];
        d[i] = b[i] + (v[0] * x[0] + v[1] * x[1]) + (v[2] * x[2] + v[3] * x[3]);
      }
    } else {
      for (int64_t i = 0; i < out; ++i) {
        C sum = b[i];
        for (int64_t k = 0; k < taps; ++k) sum += w[i * taps + k] * s[f[i] + k];
        d[i] = sum;
      }
    }
    for (int64_t i : partial) {
      d[i] = b[i];
      for (int64_t k = 0; k < taps; ++k) {
        if (w[i * taps + k] != 0) d[i] += w[i * taps + k] * s[f[i] + k];
      }
    }
  }
  // One output position: a weighted sum of rows.
  void Blend(const C* src, C* dst, int64_t o, int64_t i) const {
    const C* s = src + (o * in + first[i]) * inner;
    C* d = dst + (o * out + i) * inner;
    const C *w = weights.data() + i * taps, b = bias[i];
    int64_t k = 0;
    const bool beside = std::binary_search(partial.begin(), partial.end(), i);
    if (beside) {
      std::fill(d, d + inner, b);
    } else if (taps >= 4) {
      for (int64_t j = 0; j < inner; ++j) {
        d[j] = b + (w[0] * s[j] + w[1] * s[inner + j]) +
               (w[2] * s[2 * inner + j] + w[3] * s[3 * inner + j]);
      }
      k = 4;
    } else if (taps >= 2) {
      for (int64_t j = 0; j < inner; ++j) d[j] = b + w[0] * s[j] + w[1] * s[inner + j];
      k = 2;
    } else {
      for (int64_t j = 0; j < inner; ++j) d[j] = b + w[0] * s[j];
      k = 1;
    }
    for (; k < taps; ++k) {
      if (beside && w[k] == 0) continue;
      const C* x = s + k * inner;
      for (int64_t j = 0; j < inner; ++j) d[j] += w[k] * x[j];
    }
  }
};

// What is worked out before the first element moves.
struct ResizeLayout {
  Dims out;
  std::optional<MappedCopy> mapped;  // nearest, or nothing to do
  // Linear and cubic: the axes before the first resized one are planes, resized one by one.
  int64_t planes = 1, plane_in = 1, plane_out = 1, between = 0;
  std::vector<ResizeAxis> axes;
  std::vector<int> order;  // of the passes
  std::vector<ResizePass<float>> single_passes;
  std::vector<ResizePass<double>> double_passes;
};

// Which rows along `axis` its own pass will read.
inline std::vector<uint8_t> RowsRead(const ResizeTaps& taps, int64_t extent) {
  std::vector<uint8_t> read(extent, 0);
  for (int64_t first : taps.first) {
    for (int64_t k = 0; k < taps.taps; ++k) read[first + k] = 1;
  }
  return read;
}

// The passes for the axes in layout->order, and roughly what they cost.
template <typename C>
absl::StatusOr<double> MakeResizePasses(const std::vector<ResizeTaps>& taps,
                                        absl::Span<const int64_t> in, ResizeLayout* layout,
                                        std::vector<ResizePass<C>>* passes) {
  const int first_axis = *std::min_element(layout->order.begin(), layout->order.end());
  Dims now(in.begin(), in.end());
  double cost = 0;
  layout->planes = layout->plane_in = 1;
  layout->between = 0;
  passes->clear();
  for (int i = 0; i < first_axis; ++i) layout->planes *= in[i];
  for (size_t i = first_axis; i < in.size(); ++i) layout->plane_in *= in[i];
  for (size_t p = 0; p < layout->order.size(); ++p) {
    const int axis = layout->order[p];
    ResizePass<C> pass;
    for (int i = first_axis; i < axis; ++i) pass.outer *= now[i];
    for (size_t i = axis + 1; i < now.size(); ++i) pass.inner *= now[i];
    pass.in = now[axis];
    pass.out = now[axis] = layout->axes[axis].out;
    pass.taps = taps[axis].taps;
    pass.first = taps[axis].first;
    pass.partial = taps[axis].partial;
    pass.weights.assign(taps[axis].weights.begin(), taps[axis].weights.end());
    pass.bias.assign(taps[axis].bias.begin(), taps[axis].bias.end());
    double part = 1;
    if (p + 1 < layout->order.size() && layout->order[p + 1] < axis) {
      const int next = layout->order[p + 1];
      pass.needed = RowsRead(taps[next], now[next]);
      for (int i = next + 1; i < axis; ++i) pass.stride *= now[i];
      part = static_cast<double>(std::count(pass.needed.begin(), pass.needed.end(), 1)) /
             static_cast<double>(pass.needed.size());
    }
    // Between passes an axis may be longer than in either end: it has its own overflow check.
    if (absl::StatusOr<int64_t> n = ElementCount(now, sizeof(C)); !n.ok()) return n.status();
    // A dense axis is gathered element by element, others are blended in vectors.
    cost += part * static_cast<double>(pass.out_elements()) * static_cast<double>(pass.taps) *
            (pass.inner == 1 ? 1.0 : 0.3);
    layout->between = std::max(layout->between, pass.out_elements());
    layout->plane_out = pass.out_elements();
    passes->push_back(std::move(pass));
  }
  return cost;
}

// Takes the cheaper order where there are two axes; else shrinks first and stretches last.
template <typename C>
absl::Status OrderResizePasses(const ResizeMode& mode, absl::Span<const int64_t> in,
                               ResizeLayout* layout, std::vector<ResizePass<C>>* passes) {
  std::vector<ResizeTaps> taps(in.size());
  for (int axis : layout->order) {
    absl::StatusOr<ResizeTaps> t = InterpolationTaps(mode, layout->axes[axis]);
    if (!t.ok()) return t.status();
    taps[axis] = *std::move(t);
  }
  auto ratio = [&](int i) {
    return static_cast<double>(layout->axes[i].out) / static_cast<double>(layout->axes[i].in);
  };
  std::sort(layout->order.begin(), layout->order.end(),
            [&](int a, int b) { return ratio(a) != ratio(b) ? ratio(a) < ratio(b) : a > b; });
  absl::StatusOr<double> cost = MakeResizePasses(taps, in, layout, passes);
  if (!cost.ok() || layout->order.size() != 2) return cost.status();
  ResizeLayout other = *layout;
  std::swap(other.order[0], other.order[1]);
  std::vector<ResizePass<C>> swapped;
  absl::StatusOr<double> other_cost = MakeResizePasses(taps, in, &other, &swapped);
  if (other_cost.ok() && *other_cost < *cost) {
    *layout = std::move(other);
    *passes = std::move(swapped);
  }
  return absl::OkStatus();
}

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_RESIZE_PASS_H_
