// LSTM, GRU and RNN in general: one product of all inputs with W for many steps at once, then for
// each step a product of the state with R (packed once) and the gates' functions. Directions, and
// blocks of the batch, run side by side: nothing flows between them. T is float or double.
//
// recurrent_prepare.cc packs and plans, recurrent_run.cc launches.
#ifndef SLUICE_KERNELS_CPU_RECURRENT_KERNEL_H_
#define SLUICE_KERNELS_CPU_RECURRENT_KERNEL_H_

#include <algorithm>
#include <string>
#include <vector>

#include "kernels/cpu/gemm/brgemm.h"
#include "kernels/cpu/tile/function.h"
#include "kernels/kernel.h"
#include "kernels/packed_weights.h"
#include "ops/recurrent.h"

namespace sluice::cpu {

template <typename T>
class RecurrentKernel : public Kernel {
 public:
  explicit RecurrentKernel(const PrepareContext& c, RecurrentConfig config);

  absl::Status Launch(const LaunchContext& c) const override;

  std::string Description() const override;
  size_t scratch_bytes() const override { return scratch_bytes_; }
  std::vector<int> unread_inputs() const override { return unread_; }
  size_t packed_bytes() const override { return packed_.bytes(); }
  absl::Span<const InputForm> forms() const override { return packed_.forms(); }

 private:
  // Rows of one product with W.
  static constexpr int64_t kTileRows = 32;
  enum class Cell { kLstm, kGru, kRnn };
  // A run of rows of W and R, and where its columns stand among the gates of one step.
  struct Segment {
    int64_t row, rows, column;
  };
  // Steps [begin, end) of one task, in the order of time; `reverse` runs them backward.
  struct Chunk {
    int task, direction;
    int64_t begin, end;
    bool reverse;
  };
  // One launch.
  struct Frame {
    const LaunchContext& c;
    const int32_t* lengths;
    const T *x, *w, *r, *bias, *peepholes, *recurrent_bias;
    T *gates, *h, *cell, *temp;
  };

  int64_t FirstBatch(int task) const { return task / config_.directions * block_; }
  int64_t BatchCount(int task) const { return std::min(block_, batch_ - FirstBatch(task)); }
  bool Reverse(int direction) const { return config_.reverse || direction == 1; }

  Chunk ChunkAt(int task, int64_t done) const;

  // A step's gates of batch row b (within its block) are at gates + (t * block + b) * width.
  void PlanGemms();

  // Panels [begin, end) of W[direction][rows][k].
  void Pack(const void* from, int64_t k, T* to, int64_t begin, int64_t end, T* row_buffer) const;

  int64_t PackedElements(int64_t k) const { return config_.directions * width_ * k; }

  void PackConstants(const PrepareContext& c);

  void PlanScratch(const PrepareContext& c);

  T* At(const LaunchContext& c, int64_t offset) const {
    return reinterpret_cast<T*>(static_cast<char*>(c.scratch) + offset);
  }
  void Load(const void* from, int64_t offset, int64_t n, T* to) const;
  void Store(const T* from, int64_t n, void* to, int64_t offset) const;

  Frame MakeFrame(const LaunchContext& c, const int32_t* lengths) const;

  // W's and R's bias added up; where the reset gate multiplies R's part, that of the hidden gate is
  // apart.
  void MakeBias(const LaunchContext& c, T* bias, T* recurrent_bias) const;

  // Where [directions][batch] state of the graph keeps row b.
  int64_t StateAt(int64_t direction, int64_t b) const;

  void Begin(const Frame& f, int task) const;

  void End(const Frame& f, int task) const;

  T* Gates(const Frame& f, int task) const { return f.gates + task * chunk_ * block_ * width_; }

  // Bias plus X W^T for one panel of columns and all steps of a chunk.
  void InputPanel(const Frame& f, const Chunk& chunk, int64_t panel) const;

  void RunChunk(const Frame& f, const Chunk& chunk) const;

  void Multiply(const TileGemm<T>& gemm, const Frame& f, const Chunk& chunk, const Segment& s,
                const T* a, T* out) const;

  void RunStep(const Frame& f, const Chunk& chunk, int64_t t) const;

  // Gates in the order input, output, forget, cell.
  void LstmCell(const Frame& f, const GateActivation* act, int direction, T* gates, T* h,
                T* cell) const;

  // h = (1 - z) n + z h = n + z (h - n), by update gate z and candidate n.
  void GruCell(const GateActivation& act, T* gates, T* h) const;

  void AddProduct(const T* x, const T* y, T* sum) const {
    for (int64_t j = 0; j < hidden_; ++j) sum[j] += x[j] * y[j];
  }

  const RecurrentConfig config_;
  const Cell cell_;
  const DType dtype_;
  const TileFn load_, store_;
  const int threads_;
  int64_t steps_ = 0, batch_ = 0, features_ = 0, hidden_ = 0;
  std::vector<Segment> segments_;
  int64_t width_ = 0;         // columns of one step's gates, panels filled up
  int64_t hidden_width_ = 0;  // of GRU's hidden gate
  int64_t block_ = 1;         // batch rows of one task
  int64_t chunk_ = 1;         // steps computed ahead
  int tasks_ = 0;
  bool flat_ = false;          // a chunk's rows of X are one matrix
  bool spread_input_ = false;  // fewer tasks than threads: input products over all of them
  bool spread_steps_ = false;  // and the products of each step

  std::vector<TileGemm<T>> input_;        // by rows
  TileGemm<T> recurrent_[2], linear_[2];  // of a whole block, and of the last one
  PackedInputs packed_;
  int packed_w_ = -1, packed_r_ = -1;
  std::vector<int> unread_;
  struct {
    int64_t row = 0, w = 0, r = 0, bias = 0, recurrent_bias = 0, peepholes = 0, x = 0, gates = 0,
            h = 0, cell = 0, temp = 0;
  } at_;
  size_t scratch_bytes_ = 0;
};

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_RECURRENT_KERNEL_H_
