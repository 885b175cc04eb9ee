// Tensor: a typed, shaped view of shared memory. The only carrier of numbers in the public API.
//
// A Tensor is a handle: copies share the bytes. Whoever allocates one may write it before sharing
// it; from then on it is read-only by convention (constants, feeds and results are never written).
// Elements lie contiguous in row-major order. Memory may belong to anyone: a heap block, a mapped
// file, the caller; `owner` keeps it alive.
//
// Elements are aligned to their size, but for one case: large float constants of an imported model
// stay where they lie in its file, at any byte. Their bytes may be read as they are; whoever reads
// numbers asks for Aligned() first. What a session gives out is aligned.
#ifndef SLUICE_GRAPH_TENSOR_H_
#define SLUICE_GRAPH_TENSOR_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "graph/dtype.h"

namespace sluice {

// Concrete extents, outermost first. Every extent is >= 0; rank 0 is a scalar of one element.
using Dims = absl::InlinedVector<int64_t, 6>;

// The product of extents. InvalidArgument where one is negative or the product (also times
// `element_size`) does not fit int64.
absl::StatusOr<int64_t> ElementCount(absl::Span<const int64_t> dims, size_t element_size = 1);
std::string DimsToString(absl::Span<const int64_t> dims);  // "[2,3]"

// How a generated constant was made; see Tensor::Random.
struct RandomSpec {
  uint64_t seed = 0;
  double scale = 1, offset = 0;
  friend bool operator==(const RandomSpec&, const RandomSpec&) = default;
};

class Tensor {
 public:
  Tensor() = default;  // no tensor: dtype() is kInvalid

  // Fresh memory, 64-byte aligned; numbers are uninitialised, strings empty.
  static absl::StatusOr<Tensor> Allocate(DType dtype, absl::Span<const int64_t> dims);
  // Memory that `owner` keeps alive (null: the caller outlives the tensor). `data` must hold
  // ElementCount(dims) elements and be aligned to the element (but see above). No tensor where
  // `dims` have no count, or `data` is null and they have elements.
  static Tensor Wrap(DType dtype, absl::Span<const int64_t> dims, const void* data,
                     std::shared_ptr<const void> owner);
  // Uniform values offset + scale * [-1, 1) (floats), offset + scale * [0, 1) floored (integers),
  // seed bit (bool), from SplitMix64 of (seed, index): the same numbers on every machine. The
  // tensor remembers its spec, so that the text form stays small.
  static absl::StatusOr<Tensor> Random(DType dtype, absl::Span<const int64_t> dims,
                                       RandomSpec spec);

  template <typename T>
  static Tensor Scalar(const T& value) {
    return FromSpan<T>({}, absl::Span<const T>(&value, 1));
  }
  template <typename T>
  static Tensor Vector(absl::Span<const T> values) {
    return FromSpan<T>({static_cast<int64_t>(values.size())}, values);
  }
  // Copies `values`, whose size must be the product of `dims`: no tensor where it is not, or where
  // there is no memory. What takes tensors says so.
  template <typename T>
  static Tensor FromSpan(absl::Span<const int64_t> dims, absl::Span<const T> values) {
    absl::StatusOr<Tensor> t = Allocate(kDTypeOf<T>, dims);
    if (!t.ok() || static_cast<size_t>(t->elements()) != values.size()) return Tensor();
    for (size_t i = 0; i < values.size(); ++i) t->template mutable_data<T>()[i] = values[i];
    return *std::move(t);
  }

  bool valid() const { return dtype_ != DType::kInvalid; }
  DType dtype() const { return dtype_; }
  absl::Span<const int64_t> dims() const { return dims_; }
  int rank() const { return static_cast<int>(dims_.size()); }
  int64_t elements() const { return elements_; }
  size_t bytes() const { return static_cast<size_t>(elements_) * ByteSize(dtype_); }

  // Memory as it lies. data<T>() looks at nothing: T must be the element's type, or the tensor is
  // read as bytes of that kind.
  const void* raw() const { return data_; }
  void* mutable_raw() {
    random_.reset();  // no longer what the generator made
    return const_cast<void*>(data_);
  }
  template <typename T>
  const T* data() const {
    return static_cast<const T*>(data_);
  }
  template <typename T>
  T* mutable_data() {
    return static_cast<T*>(mutable_raw());
  }
  // All elements; none where T is not of the element's size, or one of the two a string alone.
  template <typename T>
  absl::Span<const T> values() const {
    if (!Holds<T>()) return {};
    return absl::Span<const T>(data<T>(), static_cast<size_t>(elements_));
  }
  // One element, of an unaligned tensor too; not of strings. T() where there is none, or of another
  // size.
  template <typename T>
  T At(int64_t i) const {
    static_assert(std::is_trivially_copyable_v<T>);
    T element{};
    if (!Holds<T>() || i < 0 || i >= elements_) return element;
    std::memcpy(&element, static_cast<const char*>(data_) + i * int64_t{sizeof(T)}, sizeof(T));
    return element;
  }
  bool aligned() const;
  // The same numbers, aligned: this tensor, or a copy.
  absl::StatusOr<Tensor> Aligned() const;
  const std::shared_ptr<const void>& owner() const { return owner_; }
  const std::optional<RandomSpec>& random() const { return random_; }

  // The same bytes under other extents of equal product; no tensor where the product is another.
  Tensor Reshaped(absl::Span<const int64_t> dims) const;

  // The elements of an integer tensor as int64 (u64 wraps); empty optional for other dtypes.
  std::optional<std::vector<int64_t>> AsInts() const;

  // Same dtype, extents and bytes (strings: contents; bools: truth). NaNs compare by bits.
  friend bool operator==(const Tensor& a, const Tensor& b);

  // 128 bits of content hash (dtype and dims included) as 32 hex digits.
  std::string ContentHash() const;

  // "f32[2,3]".
  std::string TypeString() const;
  // The first elements for messages: "f32[2,3] [1, 2, 3, ...]".
  std::string ToString(int64_t max_elements = 8) const;

 private:
  template <typename T>
  bool Holds() const {
    return sizeof(T) == ByteSize(dtype_) &&
           std::is_same_v<T, std::string> == (dtype_ == DType::kString);
  }

  DType dtype_ = DType::kInvalid;
  Dims dims_;
  int64_t elements_ = 0;
  const void* data_ = nullptr;
  std::shared_ptr<const void> owner_;
  std::optional<RandomSpec> random_;
};

}  // namespace sluice

#endif  // SLUICE_GRAPH_TENSOR_H_
