// One time step of an LSTM or GRU in one sweep over the recurrent weights: products, gates and the
// new state of a block of units are made in registers, while the next block's weights arrive.
//
// Gates of one unit lie together: a column block is [gates][StepLanes()] of as many units, so that
// a block's product holds all that its units need. Units are filled up with zeros to whole blocks.
#ifndef SLUICE_KERNELS_CPU_RECURRENT_STEP_H_
#define SLUICE_KERNELS_CPU_RECURRENT_STEP_H_

#include <cstdint>

namespace sluice::cpu {

enum class StepCell { kLstm, kGru };

// Units of a block: the lanes of a vector.
int64_t StepLanes();

struct RecurrentStep {
  StepCell cell = StepCell::kLstm;
  int64_t rows = 0;               // of the batch
  bool alone = false;             // the whole batch is one row
  int64_t hidden = 0;             // units
  int64_t first = 0, blocks = 0;  // blocks of units to compute
  bool backward = false;          // last block first: steps in turns find weights in the cache
  // R as [block][hidden][gates][lanes]. LSTM's gates are input, output, forget, cell; GRU's are
  // update, reset, hidden, where reset multiplies the hidden gate's product (linear_before_reset).
  const float* r = nullptr;
  // Inputs' products and biases: [block][gates][lanes] for each row.
  const float* gates = nullptr;
  int64_t gates_row = 0;
  const float* recurrent_bias = nullptr;  // GRU: the hidden gate's part of R's bias, a unit each
  // States have whole blocks of units for each row, `state_row` apart.
  const float* h = nullptr;
  float* next_h = nullptr;
  float* c = nullptr;  // LSTM: read and written
  int64_t state_row = 0;
  float* y = nullptr;  // also gets the new h, `hidden` numbers a row; null: nobody asked
  int64_t y_row = 0;
};
void RunRecurrentStep(const RecurrentStep& step);

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_RECURRENT_STEP_H_
