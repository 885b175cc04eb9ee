#include "kernels/cpu/layout/strided_copy.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>

namespace sluice::cpu {
namespace {

using Box = StridedCopy::Box;

// An element as bytes: no alignment is asked for, so that widened elements may stand anywhere.
template <size_t N>
struct Bytes {
  unsigned char b[N];
};

template <typename T>
const T* At(const char* p, int64_t offset) {
  return reinterpret_cast<const T*>(p + offset);
}
template <typename T>
T* At(char* p, int64_t offset) {
  return reinterpret_cast<T*>(p + offset);
}

void RunsLoop(const char* src, char* dst, const Box& box) {
  const size_t bytes = static_cast<size_t>(box.n0) * box.size;
  if (bytes <= 64) {
    for (int64_t i = 0; i < box.n1; ++i) CopyRun(dst + i * box.dst1, src + i * box.src1, bytes);
  } else {
    for (int64_t i = 0; i < box.n1; ++i) {
      std::memcpy(dst + i * box.dst1, src + i * box.src1, bytes);
    }
  }
}

void FillLoop(const char* src, char* dst, const Box& box) {
  constexpr size_t kPattern = 64;
  char pattern[kPattern];
  const size_t bytes = static_cast<size_t>(box.n0) * box.size;
  for (int64_t i = 0; i < box.n1; ++i) {
    const char* value = src + i * box.src1;
    char* row = dst + i * box.dst1;
    for (size_t k = 0; k < kPattern; k += box.size) std::memcpy(pattern + k, value, box.size);
    size_t k = 0;
    for (; k + kPattern <= bytes; k += kPattern) std::memcpy(row + k, pattern, kPattern);
    CopyRun(row + k, pattern, bytes - k);
  }
}

template <typename T>
void StridedLoop(const char* src, char* dst, const Box& box) {
  for (int64_t i = 0; i < box.n1; ++i) {
    const char* from = src + i * box.src1;
    char* to = dst + i * box.dst1;
    if (box.dst0 == static_cast<int64_t>(sizeof(T))) {
      for (int64_t j = 0; j < box.n0; ++j) *At<T>(to, j * sizeof(T)) = *At<T>(from, j * box.src0);
    } else {
      for (int64_t j = 0; j < box.n0; ++j) *At<T>(to, j * box.dst0) = *At<T>(from, j * box.src0);
    }
  }
}

// N x N elements in N registers of 16 bytes, transposed by log2(N) perfect shuffles.
template <typename Lane>
struct Block {
  static constexpr size_t N = 16 / sizeof(Lane);
  typedef Lane V __attribute__((vector_size(16)));

  template <size_t Half, size_t... I>
  static V Zip(V a, V b, std::index_sequence<I...>) {
    return __builtin_shufflevector(a, b, (Half * N / 2 + I / 2 + (I % 2) * N)...);
  }
  static void Shuffle(V* r) {
    constexpr auto lanes = std::make_index_sequence<N>();
    V t[N];
    for (size_t i = 0; i < N / 2; ++i) {
      t[2 * i] = Zip<0>(r[i], r[i + N / 2], lanes);
      t[2 * i + 1] = Zip<1>(r[i], r[i + N / 2], lanes);
    }
    for (size_t i = 0; i < N; ++i) r[i] = t[i];
  }
  static void Transpose(const char* src, int64_t src_row, char* dst, int64_t dst_row) {
    V r[N];
    constexpr int64_t kRows = N;
    for (int64_t i = 0; i < kRows; ++i) std::memcpy(&r[i], src + i * src_row, 16);
    for (size_t n = 1; n < N; n *= 2) Shuffle(r);
    for (int64_t i = 0; i < kRows; ++i) std::memcpy(dst + i * dst_row, &r[i], 16);
  }
};

// Axis 1 lies dense in the source, axis 0 in the destination.
template <typename Lane>
void TransposeLoop(const char* src, char* dst, const Box& box) {
  constexpr int64_t N = Block<Lane>::N, kSize = sizeof(Lane);
  using T = Bytes<sizeof(Lane)>;
  const int64_t whole1 = box.n1 - box.n1 % N, whole0 = box.n0 - box.n0 % N;
  for (int64_t i = 0; i < whole1; i += N) {
    for (int64_t j = 0; j < whole0; j += N) {
      Block<Lane>::Transpose(src + i * kSize + j * box.src0, box.src0,
                             dst + i * box.dst1 + j * kSize, box.dst1);
    }
    for (int64_t j = whole0; j < box.n0; ++j) {
      for (int64_t k = i; k < i + N; ++k) {
        *At<T>(dst, k * box.dst1 + j * kSize) = *At<T>(src, k * kSize + j * box.src0);
      }
    }
  }
  for (int64_t i = whole1; i < box.n1; ++i) {
    for (int64_t j = 0; j < box.n0; ++j) {
      *At<T>(dst, i * box.dst1 + j * kSize) = *At<T>(src, i * kSize + j * box.src0);
    }
  }
}

// Few rows woven into one, or one taken apart into few: J dense elements on one side, J rows on the
// other. A constant J lets the compiler turn both into shuffles.
template <typename Lane, int64_t J>
void WeaveLoop(const char* src, char* dst, const Box& box) {  // axis 0 is the J elements of dst
  typedef Lane T __attribute__((aligned(1), may_alias));
  T* to = At<T>(dst, 0);
  const T* from[J];
  for (int64_t j = 0; j < J; ++j) from[j] = At<T>(src, j * box.src0);
  for (int64_t i = 0; i < box.n1; ++i) {
    for (int64_t j = 0; j < J; ++j) to[i * J + j] = from[j][i];
  }
}
template <typename Lane, int64_t J>
void UnweaveLoop(const char* src, char* dst, const Box& box) {  // axis 1 is the J elements of src
  typedef Lane T __attribute__((aligned(1), may_alias));
  const T* from = At<T>(src, 0);
  T* to[J];
  for (int64_t j = 0; j < J; ++j) to[j] = At<T>(dst, j * box.dst1);
  for (int64_t i = 0; i < box.n0; ++i) {
    for (int64_t j = 0; j < J; ++j) to[j][i] = from[i * J + j];
  }
}

template <typename Lane>
StridedCopy::Loop WeaveOf(bool weave, int64_t count) {
  switch (count) {
    case 2:
      return weave ? WeaveLoop<Lane, 2> : UnweaveLoop<Lane, 2>;
    case 3:
      return weave ? WeaveLoop<Lane, 3> : UnweaveLoop<Lane, 3>;
    default:
      return weave ? WeaveLoop<Lane, 4> : UnweaveLoop<Lane, 4>;
  }
}

constexpr bool IsPowerUpTo16(int64_t n) { return n == 1 || n == 2 || n == 4 || n == 8 || n == 16; }

}  // namespace

int64_t Product(absl::Span<const int64_t> extents) {
  if (std::find(extents.begin(), extents.end(), 0) != extents.end()) return 0;
  int64_t product = 1;
  for (int64_t e : extents) {
    if (__builtin_mul_overflow(product, e, &product)) return INT64_MAX;
  }
  return product;
}

StridedCopy::StridedCopy(DType dtype, absl::Span<const int64_t> extents,
                         absl::Span<const int64_t> src_strides,
                         absl::Span<const int64_t> dst_strides)
    : size_(ByteSize(dtype)) {
  const int64_t size = static_cast<int64_t>(size_);
  const bool strings = dtype == DType::kString;
  absl::InlinedVector<Axis, 6> axes;
  if (std::find(extents.begin(), extents.end(), 0) != extents.end()) return;
  for (size_t i = 0; i < extents.size(); ++i) {
    if (extents[i] != 1) {
      axes.push_back({extents[i], src_strides[i] * size, dst_strides[i] * size});
    }
  }
  std::sort(axes.begin(), axes.end(), [](const Axis& a, const Axis& b) { return a.dst > b.dst; });
  for (const Axis& a : axes) {
    if (!outer_.empty() && outer_.back().src == a.src * a.extent &&
        outer_.back().dst == a.dst * a.extent) {
      outer_.back() = {outer_.back().extent * a.extent, a.src, a.dst};
    } else {
      outer_.push_back(a);
    }
  }
  if (!strings && !outer_.empty()) {
    const Axis& inner = outer_.back();
    if (inner.src == size && inner.dst == size && inner.extent <= 16 &&
        IsPowerUpTo16(inner.extent * size)) {
      size_ *= static_cast<size_t>(inner.extent);
      outer_.pop_back();
    }
  }
  auto take_inner = [this] {
    const Axis dense{1, static_cast<int64_t>(size_), static_cast<int64_t>(size_)};
    if (outer_.empty()) return dense;
    const Axis axis = outer_.back();
    outer_.pop_back();
    return axis;
  };
  axis0_ = take_inner();
  axis1_ = outer_.empty() ? Axis{1, 0, 0} : take_inner();
  ChooseLoop(strings);
}

void StridedCopy::ChooseLoop(bool strings) {
  const int64_t size = static_cast<int64_t>(size_);
  constexpr int64_t kUnitBytes = 32 << 10;
  const bool dense = axis0_.dst == size;
  auto other =
      std::find_if(outer_.begin(), outer_.end(), [&](const Axis& a) { return a.src == size; });
  const int64_t lanes = 16 / size;
  // Two to four elements that lie side by side where the other axis steps over all of them.
  auto few = [&](const Axis& a, int64_t step) {
    return a.extent >= 2 && a.extent <= 4 && step == a.extent * size;
  };
  auto pays = [&](const Axis& a) { return a.extent >= lanes && axis0_.extent >= lanes; };

  if (!strings && dense && axis0_.src == size) {
    kind_ = Kind::kRuns;
    loop_ = RunsLoop;
  } else if (!strings && dense && axis0_.src == 0 && axis0_.extent * size >= 32) {
    kind_ = Kind::kFill;
    loop_ = FillLoop;
  } else if (!strings && dense && lanes > 1 &&
             ((axis1_.src == size && pays(axis1_)) || (other != outer_.end() && pays(*other)))) {
    kind_ = Kind::kTranspose;
    if (axis1_.src != size) std::swap(axis1_, *other);
    loop_ = size == 1   ? TransposeLoop<uint8_t>
            : size == 2 ? TransposeLoop<uint16_t>
            : size == 4 ? TransposeLoop<uint32_t>
                        : TransposeLoop<uint64_t>;
  } else if (!strings && dense && lanes > 1 && axis1_.src == size &&
             (few(axis0_, axis1_.dst) || few(axis1_, axis0_.src))) {
    kind_ = Kind::kWeave;
    const bool weave = few(axis0_, axis1_.dst);
    const int64_t count = weave ? axis0_.extent : axis1_.extent;
    loop_ = size == 1   ? WeaveOf<uint8_t>(weave, count)
            : size == 2 ? WeaveOf<uint16_t>(weave, count)
            : size == 4 ? WeaveOf<uint32_t>(weave, count)
                        : WeaveOf<uint64_t>(weave, count);
  } else {
    kind_ = Kind::kStrided;
    if (axis0_.extent < 8 && axis1_.extent > axis0_.extent) std::swap(axis0_, axis1_);
    loop_ = strings     ? StridedLoop<std::string>
            : size == 1 ? StridedLoop<Bytes<1>>
            : size == 2 ? StridedLoop<Bytes<2>>
            : size == 4 ? StridedLoop<Bytes<4>>
            : size == 8 ? StridedLoop<Bytes<8>>
                        : StridedLoop<Bytes<16>>;
  }

  if (kind_ == Kind::kTranspose) {  // 256 bytes of each source row: both sides stay in the L1 cache
    block1_ = std::max<int64_t>(16, 256 / size);
    block0_ = std::max<int64_t>(16, 128 / size);
  } else {
    // A strided pair of axes goes over the same lines once for each step: keep those in the cache.
    block0_ = kind_ == Kind::kRuns || kind_ == Kind::kFill ? kUnitBytes / size : 1024;
    block1_ = std::max<int64_t>(1, kUnitBytes / (std::min(block0_, axis0_.extent) * size));
  }
  block1_ = std::min(block1_, axis1_.extent);
  block0_ = std::min(block0_, axis0_.extent);
  blocks1_ = (axis1_.extent + block1_ - 1) / block1_;
  blocks0_ = (axis0_.extent + block0_ - 1) / block0_;
  units_ = blocks1_ * blocks0_;
  for (const Axis& a : outer_) units_ *= a.extent;
}

void StridedCopy::RunUnits(const char* src, char* dst, int64_t begin, int64_t end) const {
  int64_t rest = begin;
  int64_t b0 = rest % blocks0_;
  rest /= blocks0_;
  int64_t b1 = rest % blocks1_;
  rest /= blocks1_;
  absl::InlinedVector<int64_t, 6> index(outer_.size());
  for (size_t i = outer_.size(); i-- > 0;) {
    index[i] = rest % outer_[i].extent;
    rest /= outer_[i].extent;
    src += index[i] * outer_[i].src;
    dst += index[i] * outer_[i].dst;
  }
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t i = b1 * block1_, j = b0 * block0_;
    loop_(src + i * axis1_.src + j * axis0_.src, dst + i * axis1_.dst + j * axis0_.dst,
          Box{std::min(block1_, axis1_.extent - i), axis1_.src, axis1_.dst,
              std::min(block0_, axis0_.extent - j), axis0_.src, axis0_.dst, size_});
    if (++b0 < blocks0_) continue;
    b0 = 0;
    if (++b1 < blocks1_) continue;
    b1 = 0;
    for (size_t a = outer_.size(); a-- > 0;) {
      src += outer_[a].src;
      dst += outer_[a].dst;
      if (++index[a] < outer_[a].extent) break;
      src -= outer_[a].src * outer_[a].extent;
      dst -= outer_[a].dst * outer_[a].extent;
      index[a] = 0;
    }
  }
}

void StridedCopy::Run(const void* src, void* dst, ThreadPool* pool) const {
  if (units_ == 0) return;
  const char* from = static_cast<const char*>(src);
  char* to = static_cast<char*>(dst);
  const int64_t bytes = block1_ * block0_ * static_cast<int64_t>(size_);
  const int64_t grain = std::max<int64_t>(1, (64 << 10) / bytes);
  if (pool == nullptr || units_ <= grain) {
    RunUnits(from, to, 0, units_);
  } else {
    pool->ParallelFor(units_, grain,
                      [&](int64_t begin, int64_t end) { RunUnits(from, to, begin, end); });
  }
}

absl::string_view StridedCopy::kind() const {
  switch (kind_) {
    case Kind::kNothing:
      return "nothing";
    case Kind::kRuns:
      return "runs";
    case Kind::kFill:
      return "fill";
    case Kind::kTranspose:
      return size_ == 1   ? "transpose 16x16 blocks"
             : size_ == 2 ? "transpose 8x8 blocks"
             : size_ == 4 ? "transpose 4x4 blocks"
                          : "transpose 2x2 blocks";
    case Kind::kWeave:
      return "weave";
    case Kind::kStrided:
      return "strided";
  }
  return "";
}

void FillElements(DType dtype, void* dst, int64_t n, const void* value, ThreadPool* pool) {
  StridedCopy(dtype, {n}, {0}, {1}).Run(value, dst, pool);
}

void CopyElements(DType dtype, const void* src, void* dst, int64_t n, ThreadPool* pool) {
  StridedCopy(dtype, {n}, {1}, {1}).Run(src, dst, pool);
}

const void* ZeroElement(DType dtype) {
  static const std::string* const empty = new std::string;
  static const char zeros[16] = {};
  return dtype == DType::kString ? static_cast<const void*>(empty) : zeros;
}

}  // namespace sluice::cpu
