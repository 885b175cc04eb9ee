// Operands of tile programs: strided boxes read and written as flat ranges. Private to the engine.
#ifndef SLUICE_KERNELS_CPU_TILE_OPERAND_H_
#define SLUICE_KERNELS_CPU_TILE_OPERAND_H_

#include <cstddef>
#include <cstdint>

#include "graph/tensor.h"
#include "kernels/cpu/philox.h"

namespace sluice::cpu {

// Of extents larger than 1: the elements of more would not be counted in 64 bits.
inline constexpr size_t kMaxTileRank = 64;

// A box of `dims` seen in row-major order, whose elements lie `strides` apart.
class TileOperand {
 public:
  TileOperand() = default;
  // Extents of 1 are dropped and neighbours that lie alike are merged.
  TileOperand(size_t element_size, absl::Span<const int64_t> dims,
              absl::Span<const int64_t> strides);

  // Elements [begin, begin + n) for n > 0. Where they are contiguous: a pointer to the first, in
  // the operand itself. Where they are all one element: a pointer to it, and *single. Else gathers
  // them into `buffer`.
  const void* Load(const void* base, int64_t begin, int64_t n, void* buffer, bool* single) const;
  // What Load() gathers, where each element of the operand is the random number of its place: f32
  // or f64, by the element size.
  void FillRandom(Distribution distribution, RandomKey key, int64_t begin, int64_t n,
                  void* buffer) const;
  void Store(const void* from, void* base, int64_t begin, int64_t n) const;

  bool contiguous() const { return dims_.empty() || (dims_.size() == 1 && strides_[0] == 1); }
  // Every element is the same one, of more than one.
  bool scalar() const { return dims_.size() == 1 && strides_[0] == 0; }
  // The contents repeat after this many elements; 0 where they do not.
  int64_t period() const;
  // The length of inner runs of one element repeated; 0 where there are none.
  int64_t repeated_run() const;
  size_t element_size() const { return element_size_; }

 private:
  template <typename Run>
  void ForRuns(int64_t begin, int64_t n, Run run) const;
  // Extent `from` may have been gone through: goes on in the one around it.
  void Carry(int from, int64_t* index, int64_t* offset) const;

  size_t element_size_ = 1;
  Dims dims_, strides_;
};

// out[i] = *value for i < n.
void FillElements(void* out, const void* value, size_t element_size, size_t n);
// Each of `count` elements `repeats` times.
void RepeatElements(void* out, const void* values, size_t element_size, int64_t count,
                    int64_t repeats);

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_TILE_OPERAND_H_
