// TopK by integer keys: a key holds the value, in an order-preserving form, above the index, so
// that keys are distinct, compare in one instruction and break ties as ONNX demands. A row's keys
// pass a threshold into a small buffer, which is cut back to the k best whenever it is full.
#include <algorithm>
#include <bit>
#include <functional>

#include "absl/strings/str_cat.h"
#include "kernels/kernel.h"

namespace sluice::cpu {
namespace {

// Unsigned integers in the order of the values. NaN is above all, -0 equals 0.
template <typename T>
auto Ordered(T v) {
  if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>) {
    return Ordered(static_cast<float>(v));
  } else if constexpr (std::is_floating_point_v<T>) {
    using U = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
    constexpr U kSign = U{1} << (8 * sizeof(T) - 1);
    if (v != v) return static_cast<U>(~U{0});
    const U bits = std::bit_cast<U>(v + T{0});
    return static_cast<U>((bits & kSign) != 0 ? ~bits : bits | kSign);
  } else if constexpr (std::is_signed_v<T>) {
    using U = std::make_unsigned_t<T>;
    return static_cast<U>(static_cast<U>(v) ^ (U{1} << (8 * sizeof(T) - 1)));
  } else {
    return v;
  }
}

// Larger keys are wanted more.
template <typename Key, int kIndexBits>
struct Coder {
  Key value_flip;  // all ones where the smallest values are wanted

  template <typename T>
  Key Encode(T v, int64_t index) const {
    using U = decltype(Ordered(v));
    constexpr Key kMask = static_cast<Key>(static_cast<U>(~U{0}));
    const Key value = (static_cast<Key>(Ordered(v)) ^ value_flip) & kMask;
    return (value << kIndexBits) | (static_cast<Key>(~static_cast<uint64_t>(index)) & kIndexMask);
  }
  static int64_t Index(Key key) {
    return static_cast<int64_t>(~static_cast<uint64_t>(key & kIndexMask) &
                                static_cast<uint64_t>(kIndexMask));
  }
  static constexpr Key kIndexMask = (Key{1} << kIndexBits) - 1;
};
using Coder64 = Coder<uint64_t, 32>;
using Coder128 = Coder<unsigned __int128, 64>;

class TopKKernel : public Kernel {
 public:
  TopKKernel(DType dtype, int64_t outer, int64_t n, int64_t inner, int64_t k, bool largest,
             int threads)
      : dtype_(dtype), outer_(outer), n_(n), inner_(inner), k_(k), largest_(largest) {
    wide_ = ByteSize(dtype) == 8 || n > UINT32_MAX;
    // Room for as many again as are kept: each cut costs O(k) and makes room for k more.
    capacity_ = std::min(n, 2 * k + 256);
    tasks_ = static_cast<int>(std::min<int64_t>(
        {std::max<int64_t>(1, outer * inner * n / 16384), outer * inner, int64_t{threads} * 2}));
  }

  absl::Status Launch(const LaunchContext& c) const override {
    if (k_ == 0 || outer_ * inner_ == 0) return absl::OkStatus();
    VisitDType(
        dtype_,
        [&]<typename T>() {
          if constexpr (!std::is_same_v<T, bool>) {
            if (wide_) {
              Rows<T>(c, Coder128{largest_ ? 0 : ~static_cast<unsigned __int128>(0)});
            } else if constexpr (sizeof(T) < 8) {
              Rows<T>(c, Coder64{largest_ ? 0 : ~uint64_t{0}});
            }
          }
        },
        [] {});
    return absl::OkStatus();
  }
  std::string Description() const override { return "threshold buffer"; }
  size_t scratch_bytes() const override { return static_cast<size_t>(tasks_) * BufferBytes(); }

 private:
  size_t BufferBytes() const {
    return (static_cast<size_t>(capacity_) * (wide_ ? 16 : 8) + 63) / 64 * 64;
  }

  template <typename T, typename Key, int kIndexBits>
  void Rows(const LaunchContext& c, Coder<Key, kIndexBits> coder) const {
    c.pool->RunTasks(tasks_, [&](int task, int tasks) {
      Key* keys = reinterpret_cast<Key*>(static_cast<char*>(c.scratch) +
                                         static_cast<size_t>(task) * BufferBytes());
      const int64_t rows = outer_ * inner_;
      const int64_t end = rows / tasks * (task + 1) + std::min<int64_t>(task + 1, rows % tasks);
      for (int64_t row = rows / tasks * task + std::min<int64_t>(task, rows % tasks); row < end;
           ++row) {
        const int64_t o = row / inner_, i = row % inner_;
        const T* x = c.input<T>(0) + o * n_ * inner_ + i;
        Select(x, coder, keys);
        T* values = c.output<T>(0) + o * k_ * inner_ + i;
        int64_t* indices = c.output<int64_t>(1) + o * k_ * inner_ + i;
        for (int64_t j = 0; j < k_; ++j) {
          const int64_t index = coder.Index(keys[j]);
          values[j * inner_] = x[index * inner_];
          indices[j * inner_] = index;
        }
      }
    });
  }

  // The k best keys of a row, best first.
  template <typename T, typename Key, int kIndexBits>
  void Select(const T* x, const Coder<Key, kIndexBits>& coder, Key* keys) const {
    int64_t count = 0;
    Key threshold = 0;
    bool full = false;
    for (int64_t j = 0; j < n_; ++j) {
      const Key key = coder.Encode(x[j * inner_], j);
      if (full && key < threshold) continue;
      if (count == capacity_) {
        std::nth_element(keys, keys + k_ - 1, keys + count, std::greater<Key>());
        count = k_;
        threshold = keys[k_ - 1];
        full = true;
        if (key < threshold) continue;
      }
      keys[count++] = key;
    }
    if (count > k_) std::nth_element(keys, keys + k_ - 1, keys + count, std::greater<Key>());
    std::sort(keys, keys + k_, std::greater<Key>());
  }

  const DType dtype_;
  const int64_t outer_, n_, inner_, k_;
  const bool largest_;
  bool wide_;
  int64_t capacity_;
  int tasks_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareTopK(const PrepareContext& context) {
  if (!context.IsConstant(1)) return absl::UnimplementedError("K is not constant");
  const Dims dims = context.input_dims(0);
  const int64_t rank = static_cast<int64_t>(dims.size());
  const int64_t given = context.node.Int("axis");
  const int64_t axis = given < 0 ? given + rank : given;
  const Tensor& k_tensor = context.constants[1];
  const int64_t k = k_tensor.elements() == 1 ? *k_tensor.data<int64_t>() : -1;
  if (k < 0 || k > dims[axis]) {
    return absl::InvalidArgumentError(
        absl::StrCat("K is ", k, "; expected 0 to ", dims[axis], ", the extent of axis ", axis));
  }
  int64_t outer = 1, inner = 1;
  for (int64_t i = 0; i < axis; ++i) outer *= dims[i];
  for (int64_t i = axis + 1; i < rank; ++i) inner *= dims[i];
  return std::make_unique<TopKKernel>(context.input_dtype(0), outer, dims[axis], inner, k,
                                      context.node.Int("largest") != 0, context.threads);
}

}  // namespace sluice::cpu
