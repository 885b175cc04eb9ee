#include "kernels/cpu/tile/operand.h"

#include <algorithm>
#include <cstring>

namespace sluice::cpu {
namespace {

// Calls f.operator()<T>() with an unsigned integer of `size` bytes.
template <typename F>
void WithSize(size_t size, F f) {
  switch (size) {
    case 1:
      return f.template operator()<uint8_t>();
    case 2:
      return f.template operator()<uint16_t>();
    case 4:
      return f.template operator()<uint32_t>();
    default:
      return f.template operator()<uint64_t>();
  }
}

}  // namespace

void FillElements(void* out, const void* value, size_t element_size, size_t n) {
  WithSize(element_size, [&]<typename T>() {
    T v;
    std::memcpy(&v, value, sizeof(T));
    std::fill_n(static_cast<T*>(out), n, v);
  });
}

TileOperand::TileOperand(size_t element_size, absl::Span<const int64_t> dims,
                         absl::Span<const int64_t> strides)
    : element_size_(element_size) {
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 1) continue;
    if (!dims_.empty() && strides_.back() == strides[i] * dims[i]) {
      dims_.back() *= dims[i];
      strides_.back() = strides[i];
    } else {
      dims_.push_back(dims[i]);
      strides_.push_back(strides[i]);
    }
  }
}

int64_t TileOperand::period() const {
  if (dims_.size() < 2 || strides_[0] != 0) return 0;
  int64_t period = 1;
  for (size_t i = 1; i < dims_.size(); ++i) period *= dims_[i];
  return period;
}

int64_t TileOperand::repeated_run() const {
  return dims_.size() > 1 && strides_.back() == 0 ? dims_.back() : 0;
}

void TileOperand::Carry(int from, int64_t* index, int64_t* offset) const {
  for (int i = from; i > 0 && index[i] == dims_[i]; --i) {
    *offset += strides_[i - 1] - dims_[i] * strides_[i];
    index[i] = 0;
    ++index[i - 1];
  }
}

// Calls run(offset, stride, count, position) for the pieces along the innermost extent, as many
// times as `repeats` says with the offset `step` further each time.
template <typename Run>
void TileOperand::ForRuns(int64_t begin, int64_t n, Run run) const {
  const int rank = static_cast<int>(dims_.size());
  if (rank == 0) return run(int64_t{0}, int64_t{1}, n, int64_t{0}, int64_t{1}, int64_t{0});
  int64_t index[kMaxTileRank];
  int64_t offset = 0, rest = begin;
  for (int i = rank - 1; i > 0; --i) {
    index[i] = rest % dims_[i];
    rest /= dims_[i];
    offset += index[i] * strides_[i];
  }
  index[0] = rest;
  offset += rest * strides_[0];
  const int last = rank - 1;
  for (int64_t done = 0;;) {
    if (rank > 1 && index[last] == 0 && n - done >= 2 * dims_[last]) {
      // Whole runs, up to the end of the extent around them: short ones would drown in this loop.
      const int outer = last - 1;
      const int64_t repeats = std::min((n - done) / dims_[last], dims_[outer] - index[outer]);
      run(offset, strides_[last], dims_[last], done, repeats, strides_[outer]);
      done += repeats * dims_[last];
      if (done == n) return;
      offset += repeats * strides_[outer];
      index[outer] += repeats;
      Carry(outer, index, &offset);
      continue;
    }
    const int64_t count = std::min(n - done, dims_[last] - index[last]);
    run(offset, strides_[last], count, done, int64_t{1}, int64_t{0});
    done += count;
    if (done == n) return;
    offset += count * strides_[last];
    index[last] += count;
    Carry(last, index, &offset);
  }
}

void TileOperand::FillRandom(Distribution distribution, RandomKey key, int64_t begin, int64_t n,
                             void* buffer) const {
  const auto fill = [&]<typename T>(T* to) {
    ForRuns(begin, n,
            [&](int64_t offset, int64_t stride, int64_t count, int64_t position, int64_t repeats,
                int64_t step) {
              for (int64_t r = 0; r < repeats; ++r, offset += step, position += count) {
                T* target = to + position;
                const int64_t at_once = stride == 1 ? count : 1;
                for (int64_t i = 0; i < (stride == 0 ? 1 : count); i += at_once) {
                  cpu::FillRandom(distribution, key, static_cast<uint64_t>(offset + i * stride),
                                  static_cast<size_t>(at_once), target + i);
                }
                if (stride == 0) std::fill_n(target, count, *target);
              }
            });
  };
  if (element_size_ == sizeof(double)) {
    fill(static_cast<double*>(buffer));
  } else {
    fill(static_cast<float*>(buffer));
  }
}

const void* TileOperand::Load(const void* base, int64_t begin, int64_t n, void* buffer,
                              bool* single) const {
  *single = false;
  const char* from = static_cast<const char*>(base);
  if (contiguous()) return from + begin * element_size_;
  const void* direct = nullptr;
  char* to = static_cast<char*>(buffer);
  WithSize(element_size_, [&]<typename T>() {
    ForRuns(begin, n,
            [&](int64_t offset, int64_t stride, int64_t count, int64_t position, int64_t repeats,
                int64_t step) {
              const T* source = reinterpret_cast<const T*>(from) + offset;
              if (count == n && stride <= 1) {
                direct = source;
                *single = stride == 0 && n > 1;
                return;
              }
              T* target = reinterpret_cast<T*>(to) + position;
              for (int64_t r = 0; r < repeats; ++r, source += step, target += count) {
                if (stride == 1) {
                  std::copy_n(source, count, target);
                } else if (stride == 0) {
                  std::fill_n(target, count, *source);
                } else {
                  for (int64_t i = 0; i < count; ++i) target[i] = source[i * stride];
                }
              }
            });
  });
  return direct != nullptr ? direct : buffer;
}

void TileOperand::Store(const void* from, void* base, int64_t begin, int64_t n) const {
  WithSize(element_size_, [&]<typename T>() {
    const T* source = static_cast<const T*>(from);
    ForRuns(begin, n,
            [&](int64_t offset, int64_t stride, int64_t count, int64_t position, int64_t repeats,
                int64_t step) {
              T* target = static_cast<T*>(base) + offset;
              for (int64_t r = 0; r < repeats; ++r, target += step, position += count) {
                if (stride == 1) {
                  std::memmove(target, source + position, count * sizeof(T));
                } else {
                  for (int64_t i = 0; i < count; ++i) target[i * stride] = source[position + i];
                }
              }
            });
  });
}

void RepeatElements(void* out, const void* values, size_t element_size, int64_t count,
                    int64_t repeats) {
  WithSize(element_size, [&]<typename T>() {
    const T* from = static_cast<const T*>(values);
    T* to = static_cast<T*>(out);
    for (int64_t i = 0; i < count; ++i, to += repeats) std::fill_n(to, repeats, from[i]);
  });
}

}  // namespace sluice::cpu
