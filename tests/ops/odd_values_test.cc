// ATTACKS.md, class 18: bit patterns that arithmetic rarely meets, in every op and dtype. What
// comes out is defined: ubsan finds nothing, bools are true or false whatever their byte.
#include <algorithm>
#include <bit>
#include <limits>

#include "gtest/gtest.h"
#include "tests/ops/every_op.h"
#include "tests/ops/try_op.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

// The extremes of integers; NaN of both kinds, infinities, denormals and -0 of floats.
template <typename T>
std::vector<T> OddValues() {
  if constexpr (std::is_same_v<T, float>) {
    std::vector<float> v;
    for (uint32_t bits : {0x7fa00000u, 0xffa00001u, 0x7fc00000u, 0x7f800000u, 0xff800000u, 1u,
                          0x807fffffu, 0x80000000u, 0x7f7fffffu, 0x3f800000u})
      v.push_back(std::bit_cast<float>(bits));
    return v;
  } else if constexpr (std::is_same_v<T, double>) {
    std::vector<double> v;
    for (uint64_t bits :
         {uint64_t{0x7ff4000000000000}, uint64_t{0x7ff8000000000000}, uint64_t{0xfff0000000000000},
          uint64_t{1}, uint64_t{0x8000000000000000}, uint64_t{0x7fefffffffffffff}})
      v.push_back(std::bit_cast<double>(bits));
    return v;
  } else if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>) {
    std::vector<T> v;
    for (int bits : {0x7d00, 0x7e00, 0x7c00, 0xfc00, 0x0001, 0x8000, 0x7f80, 0x7fa0, 0x3c00})
      v.push_back(std::bit_cast<T>(static_cast<uint16_t>(bits)));
    return v;
  } else {
    using L = std::numeric_limits<T>;
    return {L::min(),
            static_cast<T>(-1),
            T(0),
            T(1),
            L::max(),
            T(2),
            static_cast<T>(8 * sizeof(T)),
            static_cast<T>(8 * sizeof(T) - 1)};
  }
}

void FillOdd(Tensor* t, size_t shift) {
  VisitDType(
      t->dtype(),
      [&]<typename T>() {
        if constexpr (std::is_same_v<T, bool>) {
          static constexpr uint8_t kBytes[] = {2, 0, 255, 1};
          for (int64_t i = 0; i < t->elements(); ++i)
            t->mutable_data<uint8_t>()[i] = kBytes[(static_cast<size_t>(i) + shift) % 4];
        } else {
          const std::vector<T> odd = OddValues<T>();
          for (int64_t i = 0; i < t->elements(); ++i)
            t->mutable_data<T>()[i] = odd[(static_cast<size_t>(i) + shift) % odd.size()];
        }
      },
      [] {});
}

constexpr DType kDTypes[] = {DType::kF32, DType::kF64, DType::kF16, DType::kBF16, DType::kI8,
                             DType::kI16, DType::kI32, DType::kI64, DType::kU8,   DType::kU16,
                             DType::kU32, DType::kU64, DType::kBool};

TEST(OddValues, EveryOpGivesAResultOrAnError) {
  ThreadPool pool(1);
  int64_t good = 0;
  for (const OpDef* op : PlainOps()) {
    for (DType dtype : kDTypes) {
      for (std::vector<Tensor> inputs : InputSets(*op, dtype)) {
        for (size_t shift = 0; shift < 10; ++shift) {
          // All of them in every second round, else the first alone.
          for (size_t i = 0;
               i < (shift % 2 == 0 ? std::min<size_t>(1, inputs.size()) : inputs.size()); ++i) {
            if (inputs[i].valid()) FillOdd(&inputs[i], shift * (i + 1));
          }
          auto result = TryOp(*op, inputs, BaseAttrs(op->name), &pool);
          good += result.ok();
          if (!result.ok()) {
            EXPECT_NE(result.status().code(), absl::StatusCode::kInternal) << result.status();
          }
        }
      }
    }
  }
  EXPECT_GT(good, 10'000);
}

TEST(OddValues, BoolsAreReadByTruth) {
  ThreadPool pool(1);
  int64_t compared = 0;
  for (const OpDef* op : PlainOps()) {
    if (op->effects != 0) continue;  // random numbers
    for (std::vector<Tensor> odd : InputSets(*op, DType::kBool)) {
      std::vector<Tensor> plain = odd;
      bool any = false;
      for (size_t i = 0; i < odd.size(); ++i) {
        if (!odd[i].valid() || odd[i].dtype() != DType::kBool) continue;
        any = true;
        odd[i] = *Tensor::Allocate(DType::kBool, odd[i].dims());
        FillOdd(&odd[i], i);
        plain[i] = *Tensor::Allocate(DType::kBool, odd[i].dims());
        for (int64_t k = 0; k < odd[i].elements(); ++k)
          plain[i].mutable_data<uint8_t>()[k] = odd[i].data<uint8_t>()[k] != 0;
      }
      if (!any) continue;
      auto a = TryOp(*op, odd, BaseAttrs(op->name), &pool);
      auto b = TryOp(*op, plain, BaseAttrs(op->name), &pool);
      ASSERT_EQ(a.ok(), b.ok()) << op->name;
      if (!a.ok()) continue;
      ++compared;
      for (size_t i = 0; i < a->size(); ++i) {
        EXPECT_EQ((*a)[i], (*b)[i])
            << op->name << ": " << (*a)[i].ToString() << " against " << (*b)[i].ToString();
      }
    }
  }
  EXPECT_GT(compared, 100);
}

}  // namespace
}  // namespace sluice
