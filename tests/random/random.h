// Random choices, the same on every machine for the same seed.
#ifndef SLUICE_TESTS_RANDOM_RANDOM_H_
#define SLUICE_TESTS_RANDOM_RANDOM_H_

#include <cstdint>
#include <initializer_list>
#include <vector>

namespace sluice::random {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}

  uint64_t Next() {  // SplitMix64
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // In [0, n); n > 0.
  int64_t Below(int64_t n) { return static_cast<int64_t>(Next() % static_cast<uint64_t>(n)); }
  int64_t Between(int64_t low, int64_t high) { return low + Below(high - low + 1); }
  bool Chance(int percent) { return Below(100) < percent; }
  double Unit() { return static_cast<double>(Next() >> 11) * 0x1p-53; }

  template <typename T>
  T Of(std::initializer_list<T> all) {
    return all.begin()[Below(static_cast<int64_t>(all.size()))];
  }
  template <typename T>
  const T& Of(const std::vector<T>& all) {
    return all[static_cast<size_t>(Below(static_cast<int64_t>(all.size())))];
  }
  template <typename T>
  void Shuffle(std::vector<T>* all) {
    for (size_t i = all->size(); i > 1; --i)
      std::swap((*all)[i - 1], (*all)[static_cast<size_t>(Below(static_cast<int64_t>(i)))]);
  }

 private:
  uint64_t state_;
};

}  // namespace sluice::random

#endif  // SLUICE_TESTS_RANDOM_RANDOM_H_
