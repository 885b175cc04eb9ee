// LSTM, GRU and RNN: one product of all inputs with W for many steps at once, then for each step a
// product of the state with R (packed once) and the gates' functions. Directions, and blocks of the
// batch, run side by side: nothing flows between them.
#include "ops/recurrent.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "kernels/cpu/brgemm.h"
#include "kernels/cpu/tile_step.h"
#include "kernels/kernel.h"

namespace sluice::cpu {
namespace {

using Activation = GateActivation::Kind;

enum class Cell { kLstm, kGru, kRnn };

// Bytes of gates that one task computes ahead: they stay in the second-level cache.
constexpr int64_t kChunkBytes = 512 << 10;
constexpr int64_t kTileRows = 32;
// Elements of R (times rows, where arithmetic and not memory decides) from which one step takes so
// long, some 5 us, that several threads share it.
constexpr int64_t kSpreadElements = 128 << 10;

int64_t Align(int64_t bytes) { return (bytes + 63) / 64 * 64; }

// Arithmetic of T over arrays, by the steps that the ops of the same names run.
template <typename T>
class Math {
 public:
  static void Unary(StepOp op, T* x, int64_t n, double a = 0, double b = 0) {
    const void* in[] = {x};
    Find(op)->fn(in, x, n, {a, b});
  }
  static void Binary(StepOp op, const T* x, const T* y, T* out, int64_t n) {
    const void* in[] = {x, y};
    Find(op)->fn(in, out, n, {});
  }
  static void Activate(const GateActivation& f, T* x, int64_t n) {
    const T a = f.alpha, b = f.beta;
    switch (f.kind) {
      case Activation::kSigmoid:
        return Unary(StepOp::kSigmoid, x, n);
      case Activation::kTanh:
        return Unary(StepOp::kTanh, x, n);
      case Activation::kRelu:
        return Unary(StepOp::kRelu, x, n);
      case Activation::kLeakyRelu:
        return Unary(StepOp::kLeakyRelu, x, n, f.alpha);
      case Activation::kHardSigmoid:
        return Unary(StepOp::kHardSigmoid, x, n, f.alpha, f.beta);
      case Activation::kElu:
        return Unary(StepOp::kElu, x, n, f.alpha);
      case Activation::kSoftsign:
        return Unary(StepOp::kSoftsign, x, n);
      case Activation::kSoftplus:
        return Unary(StepOp::kSoftplus, x, n);
      case Activation::kAffine:
        for (int64_t i = 0; i < n; ++i) x[i] = a * x[i] + b;
        return;
      case Activation::kThresholdedRelu:  // unlike the op, at least alpha
        for (int64_t i = 0; i < n; ++i) x[i] = x[i] >= a ? x[i] : T(0);
        return;
      case Activation::kScaledTanh:
        for (int64_t i = 0; i < n; ++i) x[i] *= b;
        Unary(StepOp::kTanh, x, n);
        for (int64_t i = 0; i < n; ++i) x[i] *= a;
        return;
    }
  }
  static void Clip(T limit, T* x, int64_t n) {
    if (limit == 0) return;
    for (int64_t i = 0; i < n; ++i) x[i] = x[i] < -limit ? -limit : x[i] > limit ? limit : x[i];
  }

 private:
  static const Step* Find(StepOp op) {
    static const Step* const* const steps = [] {
      auto** table = new const Step*[static_cast<size_t>(StepOp::kCount)];
      for (int i = 0; i < static_cast<int>(StepOp::kCount); ++i) {
        table[i] = FindStep(static_cast<StepOp>(i), kDTypeOf<T>);
      }
      return table;
    }();
    return steps[static_cast<int>(op)];
  }
};

template <typename T>
class RecurrentKernel : public Kernel {
 public:
  explicit RecurrentKernel(const PrepareContext& c, RecurrentConfig config)
      : config_(std::move(config)),
        cell_(c.node.Is("LSTM")  ? Cell::kLstm
              : c.node.Is("GRU") ? Cell::kGru
                                 : Cell::kRnn),
        dtype_(c.input_dtype(0)),
        load_(FindConversion(dtype_, kDTypeOf<T>)),
        store_(FindConversion(kDTypeOf<T>, dtype_)),
        threads_(std::max(1, c.threads)) {
    const Dims x = c.input_dims(0);
    steps_ = x[config_.batch_first ? 1 : 0];
    batch_ = x[config_.batch_first ? 0 : 1];
    features_ = x[2];
    hidden_ = c.input_dims(2)[2];
    // Rows of W and R; GRU's hidden gate is apart, since its recurrent part differs.
    const int64_t first = (cell_ == Cell::kGru ? 2 : config_.gates) * hidden_;
    segments_ = {{0, first, 0}};
    width_ = Panels(first) * kPanel;
    if (cell_ == Cell::kGru) {
      segments_.push_back({first, hidden_, width_});
      hidden_width_ = Panels(hidden_) * kPanel;
      width_ += hidden_width_;
    }

    const int64_t directions = config_.directions;
    const int64_t blocks = std::clamp<int64_t>((threads_ + directions - 1) / directions, 1,
                                               std::max<int64_t>(batch_, 1));
    block_ = std::max<int64_t>(1, (batch_ + blocks - 1) / blocks);
    tasks_ = static_cast<int>((batch_ + block_ - 1) / block_ * directions);
    spread_input_ = tasks_ < threads_;
    spread_steps_ =
        spread_input_ && width_ * hidden_ * std::max<int64_t>(block_ / 2, 1) >= kSpreadElements;
    flat_ = batch_ == 1 || (block_ == batch_ && !config_.batch_first);
    const int64_t chunk_rows = std::max<int64_t>(kTileRows, kChunkBytes / (width_ * sizeof(T)));
    chunk_ = std::max<int64_t>(1, chunk_rows / block_);
    if (chunk_ > kTileRows) chunk_ -= chunk_ % kTileRows;
    chunk_ = std::min(chunk_, std::max<int64_t>(steps_, 1));

    PlanGemms();
    PackConstants(c);
    PlanScratch(c);
  }

  absl::Status Launch(const LaunchContext& c) const override {
    const int32_t* lengths = c.input<int32_t>(4);
    for (int64_t b = 0; lengths != nullptr && b < batch_; ++b) {
      if (lengths[b] < 0 || lengths[b] > steps_) {
        return absl::OutOfRangeError(absl::StrCat("sequence_lens[", b, "] is ", lengths[b],
                                                  ", which is not within [0, ", steps_, "]"));
      }
    }
    if (tasks_ == 0) return absl::OkStatus();  // an empty batch
    const Frame f = MakeFrame(c, lengths);
    if (!spread_input_) {
      c.pool->RunTasks(tasks_, [&](int task, int) {
        Begin(f, task);
        for (int64_t done = 0; done < steps_; done += chunk_) {
          const Chunk chunk = ChunkAt(task, done);
          for (int64_t p = 0; p < width_ / kPanel; ++p) InputPanel(f, chunk, p);
          RunChunk(f, chunk);
        }
        End(f, task);
      });
      return absl::OkStatus();
    }
    c.pool->RunTasks(tasks_, [&](int task, int) { Begin(f, task); });
    for (int64_t done = 0; done < steps_; done += chunk_) {
      const int64_t panels = width_ / kPanel;
      c.pool->ParallelFor(tasks_ * panels, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          InputPanel(f, ChunkAt(static_cast<int>(i / panels), done), i % panels);
        }
      });
      if (spread_steps_) {
        for (int task = 0; task < tasks_; ++task) RunChunk(f, ChunkAt(task, done));
      } else {
        c.pool->RunTasks(tasks_, [&](int task, int) { RunChunk(f, ChunkAt(task, done)); });
      }
    }
    c.pool->RunTasks(tasks_, [&](int task, int) { End(f, task); });
    return absl::OkStatus();
  }

  std::string Description() const override {
    return absl::StrCat("recurrent ", recurrent_[0].name(), ", ", tasks_,
                        tasks_ == 1 ? " task" : " tasks", " of ", chunk_, " steps");
  }
  size_t scratch_bytes() const override { return scratch_bytes_; }
  std::vector<int> unread_inputs() const override { return unread_; }
  size_t packed_bytes() const override { return packed_w_.bytes() + packed_r_.bytes(); }

 private:
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

  Chunk ChunkAt(int task, int64_t done) const {
    const int direction = task % config_.directions;
    const int64_t end = std::min(done + chunk_, steps_);
    if (!Reverse(direction)) return {task, direction, done, end, false};
    return {task, direction, steps_ - end, steps_ - done, true};
  }

  // A step's gates of batch row b (within its block) are at gates + (t * block + b) * width.
  void PlanGemms() {
    const int64_t tail = batch_ % block_;
    auto recurrent = [&](int64_t m, int64_t ldc, bool accumulate) {
      return TileGemm<T>({m, kPanel, hidden_, hidden_, kPanel, ldc, accumulate});
    };
    recurrent_[0] = recurrent(block_, width_, true);
    recurrent_[1] = recurrent(tail, width_, true);
    if (cell_ == Cell::kGru && config_.linear_before_reset) {
      linear_[0] = recurrent(block_, hidden_width_, false);
      linear_[1] = recurrent(tail, hidden_width_, false);
    }
    // Rows of the input product: all of a chunk's where they lie together, else one batch row's
    // over time.
    input_.resize(kTileRows + 1);
    auto input = [&](int64_t m) {
      const int64_t lda = flat_ ? features_ : config_.batch_first ? features_ : batch_ * features_;
      const int64_t ldc = flat_ ? width_ : block_ * width_;
      if (m > 0) input_[m] = TileGemm<T>({m, kPanel, features_, lda, kPanel, ldc, true});
    };
    for (int64_t steps : {chunk_, steps_ % chunk_}) {
      const int64_t rows = flat_ ? steps * batch_ : steps;
      if (rows >= kTileRows) input(kTileRows);
      input(rows % kTileRows);
    }
  }

  // Panels [begin, end) of W[direction][rows][k].
  void Pack(const void* from, int64_t k, T* to, int64_t begin, int64_t end, T* row_buffer) const {
    const int64_t panels = width_ / kPanel;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t direction = i / panels, column = i % panels * kPanel;
      const Segment& s =
          segments_.size() > 1 && column >= segments_[1].column ? segments_[1] : segments_[0];
      const int64_t first = column - s.column,
                    count = std::clamp<int64_t>(s.rows - first, 0, kPanel);
      T* panel = to + i * k * kPanel;
      if (count < kPanel) std::fill(panel, panel + k * kPanel, T(0));
      const char* source =
          static_cast<const char*>(from) +
          (direction * config_.gates * hidden_ + s.row + first) * k * ByteSize(dtype_);
      if (dtype_ == kDTypeOf<T>) {
        TransposeTile(reinterpret_cast<const T*>(source), count, k, k, panel, kPanel);
        continue;
      }
      for (int64_t r = 0; r < count; ++r) {
        const void* in[] = {source + r * k * ByteSize(dtype_)};
        load_(in, row_buffer, k, {});
        TransposeTile(row_buffer, 1, k, k, panel + r, kPanel);
      }
    }
  }

  int64_t PackedElements(int64_t k) const { return config_.directions * width_ * k; }

  void PackConstants(const PrepareContext& c) {
    const int64_t panels = config_.directions * width_ / kPanel;
    std::vector<T> row(std::max(features_, hidden_));
    auto pack = [&](int input, int64_t k, Tensor* out) {
      if (!c.IsConstant(input)) return;
      absl::StatusOr<Tensor> t = Tensor::Allocate(kDTypeOf<T>, {PackedElements(k)});
      if (!t.ok()) return;
      Pack(c.constants[input].raw(), k, t->template mutable_data<T>(), 0, panels, row.data());
      *out = *std::move(t);
      unread_.push_back(input);
    };
    pack(1, features_, &packed_w_);
    pack(2, hidden_, &packed_r_);
  }

  void PlanScratch(const PrepareContext& c) {
    auto take = [&](int64_t elements) {
      const int64_t at = scratch_bytes_;
      scratch_bytes_ += Align(elements * sizeof(T));
      return at;
    };
    const int64_t directions = config_.directions, state = directions * batch_ * hidden_;
    at_.row = take(std::max(features_, hidden_) * threads_);
    if (!packed_w_.valid()) at_.w = take(PackedElements(features_));
    if (!packed_r_.valid()) at_.r = take(PackedElements(hidden_));
    at_.bias = take(directions * width_);
    at_.recurrent_bias = take(directions * hidden_);
    at_.peepholes = take(directions * 3 * hidden_);
    if (dtype_ != kDTypeOf<T>) at_.x = take(steps_ * batch_ * features_);
    at_.gates = take(tasks_ * chunk_ * block_ * width_);
    at_.h = take(state);
    at_.cell = take(state);
    at_.temp = take(tasks_ * block_ * std::max(hidden_, hidden_width_));
  }

  T* At(const LaunchContext& c, int64_t offset) const {
    return reinterpret_cast<T*>(static_cast<char*>(c.scratch) + offset);
  }
  void Load(const void* from, int64_t offset, int64_t n, T* to) const {
    const void* in[] = {static_cast<const char*>(from) + offset * ByteSize(dtype_)};
    load_(in, to, n, {});
  }
  void Store(const T* from, int64_t n, void* to, int64_t offset) const {
    const void* in[] = {from};
    store_(in, static_cast<char*>(to) + offset * ByteSize(dtype_), n, {});
  }

  Frame MakeFrame(const LaunchContext& c, const int32_t* lengths) const {
    Frame f{c,
            lengths,
            c.input<T>(0),
            nullptr,
            nullptr,
            At(c, at_.bias),
            nullptr,
            At(c, at_.recurrent_bias),
            At(c, at_.gates),
            At(c, at_.h),
            At(c, at_.cell),
            At(c, at_.temp)};
    const int64_t panels = config_.directions * width_ / kPanel;
    auto packed = [&](const Tensor& ready, int64_t at, int input, int64_t k) -> const T* {
      if (ready.valid()) return ready.data<T>();
      T* to = At(c, at);
      const int64_t row = std::max(features_, hidden_);
      c.pool->RunTasks(threads_, [&](int slice, int n) {
        Pack(c.inputs[input], k, to, panels * slice / n, panels * (slice + 1) / n,
             At(c, at_.row) + slice * row);
      });
      return to;
    };
    f.w = packed(packed_w_, at_.w, 1, features_);
    f.r = packed(packed_r_, at_.r, 2, hidden_);
    MakeBias(c, const_cast<T*>(f.bias), const_cast<T*>(f.recurrent_bias));
    if (const void* p = c.input<char>(7)) {
      Load(p, 0, config_.directions * 3 * hidden_, At(c, at_.peepholes));
      f.peepholes = At(c, at_.peepholes);
    }
    if (dtype_ != kDTypeOf<T>) {
      T* x = At(c, at_.x);
      c.pool->ParallelFor(steps_ * batch_ * features_, 1 << 14, [&](int64_t begin, int64_t end) {
        Load(c.inputs[0], begin, end - begin, x + begin);
      });
      f.x = x;
    }
    return f;
  }

  // W's and R's bias added up; where the reset gate multiplies R's part, that of the hidden gate is
  // apart.
  void MakeBias(const LaunchContext& c, T* bias, T* recurrent_bias) const {
    const int64_t rows = config_.gates * hidden_;
    std::fill(bias, bias + config_.directions * width_, T(0));
    std::fill(recurrent_bias, recurrent_bias + config_.directions * hidden_, T(0));
    const void* b = c.input<char>(3);
    if (b == nullptr) return;
    T* part = At(c, at_.temp);
    for (int64_t d = 0; d < config_.directions; ++d) {
      for (const Segment& s : segments_) {
        for (int64_t gate = 0; gate < s.rows; gate += hidden_) {
          T* to = bias + d * width_ + s.column + gate;
          Load(b, d * 2 * rows + s.row + gate, hidden_, to);
          Load(b, d * 2 * rows + rows + s.row + gate, hidden_, part);
          if (s.column > 0 && config_.linear_before_reset) {
            std::copy(part, part + hidden_, recurrent_bias + d * hidden_);
          } else {
            Math<T>::Binary(StepOp::kAdd, to, part, to, hidden_);
          }
        }
      }
    }
  }

  // Where [directions][batch] state of the graph keeps row b.
  int64_t StateAt(int64_t direction, int64_t b) const {
    return (config_.batch_first ? b * config_.directions + direction : direction * batch_ + b) *
           hidden_;
  }

  void Begin(const Frame& f, int task) const {
    const int direction = task % config_.directions;
    for (int64_t i = 0; i < BatchCount(task); ++i) {
      const int64_t b = FirstBatch(task) + i;
      for (auto [input, state] : {std::pair(5, f.h), std::pair(6, f.cell)}) {
        T* row = state + (direction * batch_ + b) * hidden_;
        const void* initial = f.c.template input<char>(input);
        if (initial != nullptr) {
          Load(initial, StateAt(direction, b), hidden_, row);
        } else {
          std::fill(row, row + hidden_, T(0));
        }
      }
    }
  }

  void End(const Frame& f, int task) const {
    const int direction = task % config_.directions;
    for (int64_t i = 0; i < BatchCount(task); ++i) {
      const int64_t b = FirstBatch(task) + i;
      for (auto [output, state] : {std::pair(1, f.h), std::pair(2, f.cell)}) {
        if (static_cast<size_t>(output) >= f.c.outputs.size() || f.c.outputs[output] == nullptr)
          continue;
        Store(state + (direction * batch_ + b) * hidden_, hidden_, f.c.outputs[output],
              StateAt(direction, b));
      }
    }
  }

  T* Gates(const Frame& f, int task) const { return f.gates + task * chunk_ * block_ * width_; }

  // Bias plus X W^T for one panel of columns and all steps of a chunk.
  void InputPanel(const Frame& f, const Chunk& chunk, int64_t panel) const {
    const int64_t count = BatchCount(chunk.task), steps = chunk.end - chunk.begin;
    T* gates = Gates(f, chunk.task) + panel * kPanel;
    const T* bias = f.bias + chunk.direction * width_ + panel * kPanel;
    const T* w = f.w + (chunk.direction * width_ / kPanel + panel) * features_ * kPanel;
    for (int64_t t = 0; t < steps; ++t) {
      for (int64_t b = 0; b < count; ++b)
        std::copy(bias, bias + kPanel, gates + (t * block_ + b) * width_);
    }
    if (features_ == 0) return;
    const int64_t rows = flat_ ? steps * batch_ : steps;
    for (int64_t b = 0; b < (flat_ ? 1 : count); ++b) {
      const int64_t row = FirstBatch(chunk.task) + b;
      const T* x = f.x + (flat_                 ? chunk.begin * batch_
                          : config_.batch_first ? row * steps_ + chunk.begin
                                                : chunk.begin * batch_ + row) *
                             features_;
      const int64_t lda = flat_ || config_.batch_first ? features_ : batch_ * features_;
      const int64_t ldc = flat_ ? width_ : block_ * width_;
      for (int64_t r = 0; r < rows; r += kTileRows) {
        input_[std::min(kTileRows, rows - r)].Run(x + r * lda, w, gates + b * width_ + r * ldc);
      }
    }
  }

  void RunChunk(const Frame& f, const Chunk& chunk) const {
    for (int64_t i = 0; i < chunk.end - chunk.begin; ++i) {
      RunStep(f, chunk, chunk.reverse ? chunk.end - 1 - i : chunk.begin + i);
    }
  }

  void Multiply(const TileGemm<T>& gemm, const Frame& f, const Chunk& chunk, const Segment& s,
                const T* a, T* out) const {
    auto run = [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        const int64_t panel = (chunk.direction * width_ + s.column) / kPanel + p;
        gemm.Run(a, f.r + panel * hidden_ * kPanel, out + p * kPanel);
      }
    };
    const int64_t panels = Panels(s.rows);
    if (!spread_steps_) return run(0, panels);
    f.c.pool->ParallelFor(panels, (panels + threads_ - 1) / threads_, run);
  }

  void RunStep(const Frame& f, const Chunk& chunk, int64_t t) const {
    const int64_t first = FirstBatch(chunk.task), count = BatchCount(chunk.task),
                  at = chunk.direction * batch_ + first;
    T* gates = Gates(f, chunk.task) + (t - chunk.begin) * block_ * width_;
    T* h = f.h + at * hidden_;
    T* temp = f.temp + chunk.task * block_ * std::max(hidden_, hidden_width_);
    const int short_block = count == block_ ? 0 : 1;
    const GateActivation* act =
        &config_.activations[chunk.direction * config_.activations_per_direction];

    Multiply(recurrent_[short_block], f, chunk, segments_[0], h, gates);
    if (cell_ == Cell::kGru) {
      const Segment& s = segments_[1];
      T* hidden_gates = gates + s.column;
      for (int64_t b = 0; b < count; ++b) {  // update and reset
        Math<T>::Clip(config_.clip, gates + b * width_, 2 * hidden_);
        Math<T>::Activate(act[0], gates + b * width_, 2 * hidden_);
      }
      if (config_.linear_before_reset) {
        Multiply(linear_[short_block], f, chunk, s, h, temp);
        for (int64_t b = 0; b < count; ++b) {
          T* y = temp + b * hidden_width_;
          Math<T>::Binary(StepOp::kAdd, y, f.recurrent_bias + chunk.direction * hidden_, y,
                          hidden_);
          Math<T>::Binary(StepOp::kMul, y, gates + b * width_ + hidden_, y, hidden_);
          Math<T>::Binary(StepOp::kAdd, hidden_gates + b * width_, y, hidden_gates + b * width_,
                          hidden_);
        }
      } else {
        for (int64_t b = 0; b < count; ++b) {
          Math<T>::Binary(StepOp::kMul, gates + b * width_ + hidden_, h + b * hidden_,
                          temp + b * hidden_, hidden_);
        }
        Multiply(recurrent_[short_block], f, chunk, s, temp, hidden_gates);
      }
    }

    void* y = f.c.outputs.empty() ? nullptr : f.c.outputs[0];
    for (int64_t b = 0; b < count; ++b) {
      T* g = gates + b * width_;
      T* state = h + b * hidden_;
      const bool ended = f.lengths != nullptr && t >= f.lengths[first + b];
      if (!ended) {
        switch (cell_) {
          case Cell::kLstm:
            LstmCell(f, act, chunk.direction, g, state, f.cell + (at + b) * hidden_);
            break;
          case Cell::kGru:
            GruCell(act[1], g, state);
            break;
          case Cell::kRnn:
            Math<T>::Clip(config_.clip, g, hidden_);
            Math<T>::Activate(act[0], g, hidden_);
            std::copy(g, g + hidden_, state);
            break;
        }
      }
      if (y == nullptr) continue;
      const int64_t row = first + b, directions = config_.directions;
      const int64_t to = config_.batch_first ? (row * steps_ + t) * directions + chunk.direction
                                             : (t * directions + chunk.direction) * batch_ + row;
      if (ended) std::fill(g, g + hidden_, T(0));
      Store(ended ? g : state, hidden_, y, to * hidden_);
    }
  }

  // Gates in the order input, output, forget, cell.
  void LstmCell(const Frame& f, const GateActivation* act, int direction, T* gates, T* h,
                T* cell) const {
    const int64_t n = hidden_;
    T *i = gates, *o = gates + n, *forget = gates + 2 * n, *g = gates + 3 * n;
    const T* p = f.peepholes == nullptr ? nullptr : f.peepholes + direction * 3 * n;
    if (p == nullptr) {
      Math<T>::Clip(config_.clip, gates, 4 * n);
      Math<T>::Activate(act[0], gates, 3 * n);
    } else {
      AddProduct(p, cell, i);
      AddProduct(p + 2 * n, cell, forget);
      for (T* gate : {i, forget, g}) Math<T>::Clip(config_.clip, gate, n);
      Math<T>::Activate(act[0], i, n);
      Math<T>::Activate(act[0], forget, n);
    }
    Math<T>::Activate(act[1], g, n);
    if (config_.input_forget) {
      for (int64_t j = 0; j < n; ++j) forget[j] = T(1) - i[j];
    }
    Math<T>::Binary(StepOp::kMul, forget, cell, cell, n);
    Math<T>::Binary(StepOp::kMul, i, g, g, n);
    Math<T>::Binary(StepOp::kAdd, cell, g, cell, n);
    if (p != nullptr) {
      AddProduct(p + n, cell, o);
      Math<T>::Clip(config_.clip, o, n);
      Math<T>::Activate(act[0], o, n);
    }
    std::copy(cell, cell + n, g);
    Math<T>::Clip(config_.clip, g, n);
    Math<T>::Activate(act[2], g, n);
    Math<T>::Binary(StepOp::kMul, o, g, h, n);
  }

  // h = (1 - z) n + z h = n + z (h - n), by update gate z and candidate n.
  void GruCell(const GateActivation& act, T* gates, T* h) const {
    T* candidate = gates + segments_[1].column;
    Math<T>::Clip(config_.clip, candidate, hidden_);
    Math<T>::Activate(act, candidate, hidden_);
    Math<T>::Binary(StepOp::kSub, h, candidate, h, hidden_);
    Math<T>::Binary(StepOp::kMul, gates, h, h, hidden_);
    Math<T>::Binary(StepOp::kAdd, candidate, h, h, hidden_);
  }

  void AddProduct(const T* x, const T* y, T* sum) const {
    for (int64_t j = 0; j < hidden_; ++j) sum[j] += x[j] * y[j];
  }

  const RecurrentConfig config_;
  const Cell cell_;
  const DType dtype_;
  const StepFn load_, store_;
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
  Tensor packed_w_, packed_r_;
  std::vector<int> unread_;
  struct {
    int64_t row = 0, w = 0, r = 0, bias = 0, recurrent_bias = 0, peepholes = 0, x = 0, gates = 0,
            h = 0, cell = 0, temp = 0;
  } at_;
  size_t scratch_bytes_ = 0;
};

absl::StatusOr<std::unique_ptr<Kernel>> Prepare(const PrepareContext& context) {
  absl::StatusOr<RecurrentConfig> config = ReadRecurrentConfig(context.node);
  if (!config.ok()) return config.status();
  if (context.input_dtype(0) == DType::kF64) {
    return std::make_unique<RecurrentKernel<double>>(context, *std::move(config));
  }
  return std::make_unique<RecurrentKernel<float>>(context, *std::move(config));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareLSTM(const PrepareContext& context) {
  return Prepare(context);
}
absl::StatusOr<std::unique_ptr<Kernel>> PrepareGRU(const PrepareContext& context) {
  return Prepare(context);
}
absl::StatusOr<std::unique_ptr<Kernel>> PrepareRNN(const PrepareContext& context) {
  return Prepare(context);
}

}  // namespace sluice::cpu
