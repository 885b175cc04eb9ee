#include "graph/tensor.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/hash.h"
#include "graph/file_pages.h"
#include "graph/scalar_text.h"

namespace sluice {

absl::StatusOr<int64_t> ElementCount(absl::Span<const int64_t> dims, size_t element_size) {
  int64_t count = 1;
  bool overflow = false, zero = false;
  for (int64_t d : dims) {
    if (d < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("shape ", DimsToString(dims), " has a negative extent"));
    }
    if (d == 0) zero = true;
    overflow |= __builtin_mul_overflow(count, d == 0 ? 1 : d, &count);
  }
  if (zero) return 0;
  int64_t bytes;
  overflow |= __builtin_mul_overflow(count, static_cast<int64_t>(element_size), &bytes);
  if (overflow) {
    return absl::InvalidArgumentError(
        absl::StrCat("shape ", DimsToString(dims), " has more elements than memory can hold"));
  }
  return count;
}

std::string DimsToString(absl::Span<const int64_t> dims) {
  return absl::StrCat("[", absl::StrJoin(dims, ","), "]");
}

namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kSmall = 16 << 10;     // bytes
constexpr size_t kPiece = 4 << 20;      // of such a copy
constexpr size_t kOwnPages = 64 << 10;  // bytes of a copy that is mapped, not in the heap

struct Free {
  void operator()(void* p) const { std::free(p); }
};

std::shared_ptr<void> AllocateStrings(size_t count) {
  void* memory = std::malloc(std::max<size_t>(1, count * sizeof(std::string)));
  if (memory == nullptr) return nullptr;
  std::string* strings = static_cast<std::string*>(memory);
  std::uninitialized_default_construct_n(strings, count);
  return std::shared_ptr<void>(memory, [count](void* p) {
    std::destroy_n(static_cast<std::string*>(p), count);
    std::free(p);
  });
}

}  // namespace

absl::StatusOr<Tensor> Tensor::Allocate(DType dtype, absl::Span<const int64_t> dims) {
  if (ByteSize(dtype) == 0) {
    return absl::InvalidArgumentError("a tensor needs a dtype; got an invalid one");
  }
  absl::StatusOr<int64_t> count = ElementCount(dims, ByteSize(dtype));
  if (!count.ok()) return count.status();
  const size_t bytes = static_cast<size_t>(*count) * ByteSize(dtype);
  std::shared_ptr<void> memory;
  if (dtype == DType::kString) {
    memory = AllocateStrings(static_cast<size_t>(*count));
  } else if (bytes <= kSmall) {
    // malloc() has lists for small sizes, aligned_alloc() has none: loops make such tensors.
    if (void* p = std::malloc(bytes + kAlignment)) {
      const uintptr_t aligned = (reinterpret_cast<uintptr_t>(p) + kAlignment - 1) & -kAlignment;
      memory =
          std::shared_ptr<void>(std::shared_ptr<void>(p, Free()), reinterpret_cast<void*>(aligned));
    }
  } else {
    const size_t rounded = (std::max<size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
    if (void* p = std::aligned_alloc(kAlignment, rounded)) memory.reset(p, Free());
  }
  if (memory == nullptr) {
    return absl::ResourceExhaustedError(absl::StrCat("no memory for ", sluice::ToString(dtype),
                                                     DimsToString(dims), " (", bytes, " bytes)"));
  }
  const void* data = memory.get();
  return Wrap(dtype, dims, data, std::move(memory));
}

Tensor Tensor::Wrap(DType dtype, absl::Span<const int64_t> dims, const void* data,
                    std::shared_ptr<const void> owner) {
  const absl::StatusOr<int64_t> elements = ElementCount(dims, ByteSize(dtype));
  if (ByteSize(dtype) == 0 || !elements.ok() || (data == nullptr && *elements > 0)) return Tensor();
  Tensor t;
  t.dtype_ = dtype;
  t.dims_.assign(dims.begin(), dims.end());
  t.elements_ = *elements;
  t.data_ = data;
  t.owner_ = std::move(owner);
  return t;
}

namespace {

uint64_t SplitMix64(uint64_t seed, uint64_t index) {
  uint64_t z = seed + (index + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

template <typename T>
T Saturate(double value) {
  if (std::isnan(value)) return 0;
  // The limits as doubles: the upper one of a 64-bit type rounds up, hence >=.
  if (value >= static_cast<double>(std::numeric_limits<T>::max()))
    return std::numeric_limits<T>::max();
  if (value <= static_cast<double>(std::numeric_limits<T>::min()))
    return std::numeric_limits<T>::min();
  return static_cast<T>(value);
}

template <typename T>
void Generate(T* data, int64_t count, const RandomSpec& spec) {
#pragma STDC FP_CONTRACT OFF
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t bits = SplitMix64(spec.seed, static_cast<uint64_t>(i));
    const double unit = static_cast<double>(static_cast<int64_t>(bits >> 11)) * 0x1p-53;  // [0, 1)
    if constexpr (std::is_same_v<T, bool>) {
      data[i] = (bits >> 63) != 0;
    } else if constexpr (std::is_integral_v<T>) {
      const double scaled = spec.scale * unit;
      data[i] = Saturate<T>(std::floor(spec.offset + scaled));
    } else {
      const double centred = 2 * unit - 1;
      const double scaled = spec.scale * centred;
      const double value = spec.offset + scaled;
      if constexpr (std::is_same_v<T, double>) {
        data[i] = value;
      } else {
        data[i] = static_cast<T>(static_cast<float>(value));
      }
    }
  }
}

}  // namespace

absl::StatusOr<Tensor> Tensor::Random(DType dtype, absl::Span<const int64_t> dims,
                                      RandomSpec spec) {
  if (dtype == DType::kString) {
    return absl::InvalidArgumentError("strings cannot be generated from a seed");
  }
  absl::StatusOr<Tensor> t = Allocate(dtype, dims);
  if (!t.ok()) return t;
  VisitDType(
      dtype, [&]<typename T>() { Generate(t->mutable_data<T>(), t->elements(), spec); }, [] {});
  t->random_ = spec;
  return t;
}

bool Tensor::aligned() const {
  return dtype_ == DType::kString ||
         reinterpret_cast<uintptr_t>(data_) % std::max<size_t>(ByteSize(dtype_), 1) == 0;
}

absl::StatusOr<Tensor> Tensor::Aligned() const {
  if (aligned()) return *this;
  if (bytes() < kOwnPages) {
    absl::StatusOr<Tensor> copy = Allocate(dtype_, dims_);
    if (copy.ok()) std::memcpy(copy->mutable_raw(), data_, bytes());
    return copy;
  }
  // Mostly dropped when it has been packed: in the heap it would leave holes that nothing fits.
  void* const copy =
      mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (copy == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no memory for ", TypeString(), " (", bytes(), " bytes)"));
  }
  // What has been copied need not lie in memory twice.
  for (size_t at = 0; at < bytes(); at += kPiece) {
    const char* const from = static_cast<const char*>(data_) + at;
    const size_t size = std::min(kPiece, bytes() - at);
    std::memcpy(static_cast<char*>(copy) + at, from, size);
    ReleasePages(Wrap(DType::kU8, {static_cast<int64_t>(size)}, from, owner_));
  }
  const auto unmap = [size = bytes()](const void* p) { munmap(const_cast<void*>(p), size); };
  return Wrap(dtype_, dims_, copy, std::shared_ptr<const void>(copy, unmap));
}

Tensor Tensor::Reshaped(absl::Span<const int64_t> dims) const {
  const absl::StatusOr<int64_t> elements = ElementCount(dims);
  if (!valid() || !elements.ok() || *elements != elements_) return Tensor();
  Tensor t = *this;
  t.dims_.assign(dims.begin(), dims.end());
  return t;
}

std::optional<std::vector<int64_t>> Tensor::AsInts() const {
  if (!IsInt(dtype_)) return std::nullopt;
  std::vector<int64_t> ints(static_cast<size_t>(elements_));
  VisitDType(
      dtype_,
      [&]<typename T>() {
        if constexpr (std::is_integral_v<T>) {
          for (int64_t i = 0; i < elements_; ++i) ints[i] = static_cast<int64_t>(data<T>()[i]);
        }
      },
      [] {});
  return ints;
}

bool operator==(const Tensor& a, const Tensor& b) {
  if (a.dtype_ != b.dtype_ || a.dims_ != b.dims_) return false;
  if (a.data_ == b.data_ || a.elements_ == 0) return true;
  if (a.random_.has_value() && a.random_ == b.random_) return true;
  const size_t n = static_cast<size_t>(a.elements_);
  switch (a.dtype_) {
    case DType::kString:
      return a.values<std::string>() == b.values<std::string>();
    case DType::kBool: {
      const auto* x = static_cast<const uint8_t*>(a.data_);
      const auto* y = static_cast<const uint8_t*>(b.data_);
      for (size_t i = 0; i < n; ++i) {
        if ((x[i] != 0) != (y[i] != 0)) return false;
      }
      return true;
    }
    default:
      return std::memcmp(a.data_, b.data_, a.bytes()) == 0;
  }
}

std::string Tensor::ContentHash() const {
  Hasher hasher;
  hasher.AddWord(static_cast<uint64_t>(dtype_));
  hasher.AddWord(dims_.size());
  for (int64_t d : dims_) hasher.AddWord(static_cast<uint64_t>(d));
  if (dtype_ == DType::kString) {
    for (const std::string& s : values<std::string>()) {
      hasher.AddWord(s.size());
      hasher.AddBytes(s.data(), s.size());
    }
  } else if (dtype_ == DType::kBool) {
    const auto* x = static_cast<const uint8_t*>(data_);
    for (int64_t i = 0; i < elements_; ++i) hasher.AddWord(x[i] != 0);
  } else {
    hasher.AddBytes(data_, bytes());
  }
  return hasher.Hex();
}

std::string Tensor::TypeString() const {
  return absl::StrCat(sluice::ToString(dtype_), DimsToString(dims_));
}

std::string Tensor::ToString(int64_t max_elements) const {
  std::string text = absl::StrCat(TypeString(), " [");
  const int64_t shown = std::min(std::max<int64_t>(max_elements, 0), elements_);
  for (int64_t i = 0; i < shown; ++i) {
    if (i > 0) text.append(", ");
    AppendElement(&text, *this, i);
  }
  if (shown < elements_) text.append(shown > 0 ? ", ..." : "...");
  text.push_back(']');
  return text;
}

}  // namespace sluice
