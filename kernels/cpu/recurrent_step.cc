#include "kernels/cpu/recurrent_step.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/recurrent_step.cc"
#include "kernels/cpu/simd.h"
// After simd.h, which sets the targets.
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/tile/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sluice::cpu::HWY_NAMESPACE {

constexpr int64_t kLanes = hn::MaxLanes(DF());
// Rows of the batch side by side: their sums and a step's weights fit in 32 or 16 registers.
constexpr int kMostRows = HWY_TARGET <= HWY_AVX3 ? 6 : 2;

template <int kGates>
struct Sums {
  VF of[kGates];
};

// Where unit `unit`'s block of a row goes: the state, and y as far as there are units.
HWY_INLINE void StoreState(const RecurrentStep& s, int64_t row, int64_t unit, VF h) {
  const DF d;
  float* const next = s.next_h + row * s.state_row + unit;
  hn::Store(h, d, next);
  if (s.y == nullptr) return;
  float* const y = s.y + row * s.y_row + unit;
  if (unit + kLanes <= s.hidden) {
    hn::StoreU(h, d, y);
  } else {
    std::copy(next, next + (s.hidden - unit), y);
  }
}

HWY_INLINE void Lstm(const RecurrentStep& s, int64_t row, int64_t unit, const Sums<4>& g) {
  const DF d;
  float* const c = s.c + row * s.state_row + unit;
  const VF kept = hn::Mul(Sigmoid(g.of[2]), hn::Load(d, c));
  const VF cell = hn::MulAdd(Sigmoid(g.of[0]), Tanh(g.of[3]), kept);
  hn::Store(cell, d, c);
  StoreState(s, row, unit, hn::Mul(Sigmoid(g.of[1]), Tanh(cell)));
}

// h = (1 - z) n + z h = n + z (h - n), by update gate z and candidate n.
HWY_INLINE void Gru(const RecurrentStep& s, int64_t row, int64_t unit, const Sums<3>& g,
                    VF inputs) {
  const DF d;
  const VF n = Tanh(hn::MulAdd(Sigmoid(g.of[1]), g.of[2], inputs));
  const VF h = hn::Load(d, s.h + row * s.state_row + unit);
  StoreState(s, row, unit, hn::MulAdd(Sigmoid(g.of[0]), hn::Sub(h, n), n));
}

// Sums go in the order of k, whatever the rows beside them. A batch of one row has two sums a gate,
// of even and odd k: it would wait for each addition's latency.
template <int kGates, int kRows, bool kAlone>
HWY_INLINE void Block(const RecurrentStep& s, int64_t block, int64_t row) {
  const DF d;
  constexpr bool kLstm = kGates == 4;
  const int64_t unit = block * kLanes;
  const float* HWY_RESTRICT r = s.r + block * s.hidden * kGates * kLanes;
  const float* HWY_RESTRICT h = s.h + row * s.state_row;
  const float* gates = s.gates + row * s.gates_row + block * kGates * kLanes;
  VF sum[kRows][kGates];
  for (int i = 0; i < kRows; ++i) {
    for (int g = 0; g < kGates; ++g) {
      sum[i][g] = kLstm || g < 2 ? hn::Load(d, gates + i * s.gates_row + g * kLanes)
                                 : hn::Load(d, s.recurrent_bias + unit);
    }
  }
  const auto add = [&](int64_t k, VF(&sums)[kRows][kGates]) HWY_ATTR {
    VF weights[kGates];
    for (int g = 0; g < kGates; ++g) weights[g] = hn::Load(d, r + (k * kGates + g) * kLanes);
    for (int i = 0; i < kRows; ++i) {
      const VF x = hn::Set(d, h[i * s.state_row + k]);
      for (int g = 0; g < kGates; ++g) sums[i][g] = hn::MulAdd(x, weights[g], sums[i][g]);
    }
  };
  int64_t k = 0;
  if constexpr (kAlone) {
    VF odd[1][kGates];
    for (int g = 0; g < kGates; ++g) odd[0][g] = hn::Zero(d);
    for (; k + 2 <= s.hidden; k += 2) {
      add(k, sum);
      add(k + 1, odd);
    }
    for (int g = 0; g < kGates; ++g) sum[0][g] = hn::Add(sum[0][g], odd[0][g]);
  }
  for (; k < s.hidden; ++k) add(k, sum);
  for (int i = 0; i < kRows; ++i) {
    Sums<kGates> sums;
    for (int g = 0; g < kGates; ++g) sums.of[g] = sum[i][g];
    if constexpr (kLstm) {
      Lstm(s, row + i, unit, sums);
    } else {
      Gru(s, row + i, unit, sums, hn::Load(d, gates + i * s.gates_row + 2 * kLanes));
    }
  }
}

template <int kGates, int kRows>
void Rows(const RecurrentStep& s, int64_t block, int64_t row, int64_t rows) {
  if (rows == kRows) return Block<kGates, kRows, false>(s, block, row);
  if constexpr (kRows > 1) Rows<kGates, kRows - 1>(s, block, row, rows);
}

template <int kGates>
void Sweep(const RecurrentStep& s) {
  const int64_t groups = (s.rows + kMostRows - 1) / kMostRows;
  for (int64_t i = 0; i < s.blocks; ++i) {
    const int64_t block = s.first + (s.backward ? s.blocks - 1 - i : i);
    if (s.alone) {
      Block<kGates, 1, true>(s, block, 0);
      continue;
    }
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t begin = s.rows * g / groups, end = s.rows * (g + 1) / groups;
      Rows<kGates, kMostRows>(s, block, begin, end - begin);
    }
  }
}

void Run(const RecurrentStep& s) { s.cell == StepCell::kLstm ? Sweep<4>(s) : Sweep<3>(s); }
int64_t Lanes() { return kLanes; }

}  // namespace sluice::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::cpu {
HWY_EXPORT(Run);
HWY_EXPORT(Lanes);

int64_t StepLanes() { return HWY_DYNAMIC_DISPATCH(Lanes)(); }
void RunRecurrentStep(const RecurrentStep& step) { HWY_DYNAMIC_DISPATCH(Run)(step); }

}  // namespace sluice::cpu
#endif  // HWY_ONCE
