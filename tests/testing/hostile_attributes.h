// Values of every kind of attribute that a hostile file may hold (ATTACKS.md, class 10).
#ifndef SLUICE_TESTS_TESTING_HOSTILE_ATTRIBUTES_H_
#define SLUICE_TESTS_TESTING_HOSTILE_ATTRIBUTES_H_

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "graph/attribute.h"
#include "tests/testing/run_op.h"

namespace sluice {

inline std::vector<Attribute> HostileValues(AttrKind kind) {
  constexpr int64_t lo = INT64_MIN, hi = INT64_MAX;
  constexpr float inf = std::numeric_limits<float>::infinity();
  using Ints = std::vector<int64_t>;
  using Floats = std::vector<float>;
  using Strings = std::vector<std::string>;
  switch (kind) {
    case AttrKind::kInt:
      return {lo, lo + 1, int64_t{INT32_MIN}, -1, 0, 1, 3, int64_t{INT32_MAX} + 1, hi};
    case AttrKind::kFloat:
      return {0.f, -1.f, 1e38f, -1e38f, 1e-45f, inf, -inf, std::nanf("")};
    case AttrKind::kString:
      return {"",         "nonsense", std::string(1 << 16, '(').c_str(), "->", "i,,->i",
              "...->...", "\xff"};
    case AttrKind::kInts: {
      std::vector<Attribute> lists;
      for (int64_t v : {lo, int64_t{-1}, int64_t{0}, int64_t{1}, int64_t{3}, hi / 2, hi}) {
        for (size_t n : {1, 2, 4}) lists.push_back(Ints(n, v));
      }
      for (const Ints& v : {Ints{}, Ints{lo, hi}, Ints{hi, lo, hi, lo}, Ints{0, 0, 1, 1},
                            Ints{1, 1, hi, hi}, Ints(1 << 16, 1)})
        lists.push_back(v);
      return lists;
    }
    case AttrKind::kFloats:
      return {Floats{}, Floats{std::nanf("")}, Floats(1 << 16, inf)};
    case AttrKind::kStrings:
      return {Strings{}, Strings{""}, Strings{"nonsense", "Tanh", "Tanh"},
              Strings(1 << 12, "Tanh")};
    case AttrKind::kTensor:
      return {Tensor(), *Tensor::Allocate(DType::kF32, {0}), Tensor::Scalar<std::string>("x"),
              MakeTensor<int64_t>({2}, {lo, hi})};
    case AttrKind::kDType:
      return {DType::kInvalid, DType::kString, DType::kBool, DType::kF16};
    case AttrKind::kType:
      return {Type()};
  }
  return {};
}

}  // namespace sluice

#endif  // SLUICE_TESTS_TESTING_HOSTILE_ATTRIBUTES_H_
