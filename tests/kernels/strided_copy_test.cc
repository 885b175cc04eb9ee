#include "kernels/cpu/layout/strided_copy.h"

#include <numeric>
#include <random>

#include "gtest/gtest.h"

namespace sluice::cpu {
namespace {

// Every element moved one by one: what StridedCopy must equal.
void Naive(int64_t size, const Dims& extents, const Dims& src_strides, const Dims& dst_strides,
           const char* src, char* dst) {
  int64_t n = 1;
  for (int64_t e : extents) n *= e;
  for (int64_t i = 0; i < n; ++i) {
    int64_t rest = i, from = 0, to = 0;
    for (size_t a = extents.size(); a-- > 0;) {
      from += rest % extents[a] * src_strides[a];
      to += rest % extents[a] * dst_strides[a];
      rest /= extents[a];
    }
    std::memcpy(dst + to * size, src + from * size, static_cast<size_t>(size));
  }
}

DType OfSize(size_t size) {
  return size == 1 ? DType::kU8 : size == 2 ? DType::kI16 : size == 4 ? DType::kF32 : DType::kF64;
}

TEST(StridedCopyTest, EqualsElementByElementOnRandomBoxes) {
  std::mt19937 rng(7);
  ThreadPool pool(3);
  for (int round = 0; round < 1500; ++round) {
    const size_t size = size_t{1} << rng() % 4;
    const int rank = rng() % 6;
    Dims extents, dims;  // dims: of the source array, which the box is cut from
    for (int i = 0; i < rank; ++i) {
      extents.push_back(rng() % 12 == 0 ? 40 + rng() % 60 : 1 + rng() % (rank > 3 ? 6 : 20));
      dims.push_back(extents.back() + rng() % 3);
    }
    // The source's axes in another order, some of them backwards or repeated.
    std::vector<int> perm(rank);
    std::iota(perm.begin(), perm.end(), 0);
    if (rng() % 2 != 0) std::shuffle(perm.begin(), perm.end(), rng);
    Dims permuted(rank, 0);
    for (int i = 0; i < rank; ++i) permuted[i] = dims[perm[i]];
    const Dims strides = RowMajorStrides(permuted);
    Dims src(rank, 0);
    int64_t offset = 0, src_elements = 1;
    for (int i = 0; i < rank; ++i) {
      src[perm[i]] = strides[i];
      src_elements *= permuted[i];
    }
    for (int i = 0; i < rank; ++i) {
      if (rng() % 8 == 0) {
        src[i] = 0;
      } else if (rng() % 8 == 0) {
        offset += src[i] * (extents[i] - 1);
        src[i] = -src[i];
      }
    }
    Dims wide;  // of the destination array
    for (int64_t e : extents) wide.push_back(e + rng() % 2);
    const Dims dst = RowMajorStrides(wide);
    int64_t dst_elements = 1;
    for (int64_t e : wide) dst_elements *= e;

    std::vector<char> from(src_elements * size), got(dst_elements * size, 1), want(got);
    for (char& c : from) c = static_cast<char>(rng());
    StridedCopy copy(OfSize(size), extents, src, dst);
    copy.Run(from.data() + offset * static_cast<int64_t>(size), got.data(),
             round % 2 == 0 ? &pool : nullptr);
    Naive(static_cast<int64_t>(size), extents, src, dst,
          from.data() + offset * static_cast<int64_t>(size), want.data());
    ASSERT_EQ(got, want) << copy.kind() << " size " << size << " extents " << DimsToString(extents)
                         << " src " << DimsToString(src) << " dst " << DimsToString(dst);
  }
}

TEST(StridedCopyTest, CopiesStringsAsObjects) {
  std::vector<std::string> from = {"a", "bb", std::string(40, 'c'), "d", "", "f"}, to(6);
  StridedCopy(DType::kString, {3, 2}, {1, 3}, {2, 1}).Run(from.data(), to.data(), nullptr);
  EXPECT_EQ(to, (std::vector<std::string>{"a", "d", "bb", "", std::string(40, 'c'), "f"}));
}

TEST(StridedCopyTest, FillsOddCountsOfEachSize) {
  for (int64_t n : {0, 1, 3, 63, 64, 65, 1000}) {
    const uint16_t value = 0xabcd;
    std::vector<uint16_t> to(n + 1, 7);
    FillElements(DType::kU16, to.data(), n, &value, nullptr);
    for (int64_t i = 0; i < n; ++i) ASSERT_EQ(to[i], value);
    EXPECT_EQ(to[n], 7);  // and no further
  }
}

TEST(StridedCopyTest, PicksTheInnerLoopByShape) {
  auto kind = [](const Dims& extents, const Dims& src, const Dims& dst) {
    return StridedCopy(DType::kF32, extents, src, dst).kind();
  };
  EXPECT_EQ(kind({64, 64}, {1, 64}, {64, 1}), "transpose 4x4 blocks");
  EXPECT_EQ(kind({64, 64, 2}, {2, 128, 1}, {128, 2, 1}), "transpose 2x2 blocks");  // widened
  EXPECT_EQ(kind({8, 12, 64}, {64, 512, 1}, {768, 64, 1}), "runs");
  EXPECT_EQ(kind({64, 64}, {0, 0}, {64, 1}), "fill");
  EXPECT_EQ(kind({64, 64}, {128, 2}, {64, 1}), "strided");
  EXPECT_EQ(kind({64, 0}, {128, 2}, {64, 1}), "nothing");
}

}  // namespace
}  // namespace sluice::cpu
