#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernels/cpu/recurrent_kernel.h"
#include "kernels/cpu/recurrent_math.h"

namespace sluice::cpu {

template <typename T>
absl::Status RecurrentKernel<T>::Launch(const LaunchContext& c) const {
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

template <typename T>
auto RecurrentKernel<T>::ChunkAt(int task, int64_t done) const -> Chunk {
  const int direction = task % config_.directions;
  const int64_t end = std::min(done + chunk_, steps_);
  if (!Reverse(direction)) return {task, direction, done, end, false};
  return {task, direction, steps_ - end, steps_ - done, true};
}

template <typename T>
auto RecurrentKernel<T>::MakeFrame(const LaunchContext& c, const int32_t* lengths) const -> Frame {
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
  auto packed = [&](int ready, int64_t at, int input, int64_t k) -> const T* {
    if (ready >= 0) return packed_.template data<T>(ready, c);
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

template <typename T>
void RecurrentKernel<T>::MakeBias(const LaunchContext& c, T* bias, T* recurrent_bias) const {
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
          Math<T>::Binary(TileStep::kAdd, to, part, to, hidden_);
        }
      }
    }
  }
}

template <typename T>
int64_t RecurrentKernel<T>::StateAt(int64_t direction, int64_t b) const {
  return (config_.batch_first ? b * config_.directions + direction : direction * batch_ + b) *
         hidden_;
}

template <typename T>
void RecurrentKernel<T>::Load(const void* from, int64_t offset, int64_t n, T* to) const {
  const void* in[] = {static_cast<const char*>(from) + offset * ByteSize(dtype_)};
  load_(in, to, n, {});
}

template <typename T>
void RecurrentKernel<T>::Store(const T* from, int64_t n, void* to, int64_t offset) const {
  const void* in[] = {from};
  store_(in, static_cast<char*>(to) + offset * ByteSize(dtype_), n, {});
}

template <typename T>
void RecurrentKernel<T>::Begin(const Frame& f, int task) const {
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

template <typename T>
void RecurrentKernel<T>::End(const Frame& f, int task) const {
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

template <typename T>
void RecurrentKernel<T>::InputPanel(const Frame& f, const Chunk& chunk, int64_t panel) const {
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

template <typename T>
void RecurrentKernel<T>::RunChunk(const Frame& f, const Chunk& chunk) const {
  for (int64_t i = 0; i < chunk.end - chunk.begin; ++i) {
    RunStep(f, chunk, chunk.reverse ? chunk.end - 1 - i : chunk.begin + i);
  }
}

template <typename T>
void RecurrentKernel<T>::Multiply(const TileGemm<T>& gemm, const Frame& f, const Chunk& chunk,
                                  const Segment& s, const T* a, T* out) const {
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

template <typename T>
void RecurrentKernel<T>::RunStep(const Frame& f, const Chunk& chunk, int64_t t) const {
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
        Math<T>::Binary(TileStep::kAdd, y, f.recurrent_bias + chunk.direction * hidden_, y,
                        hidden_);
        Math<T>::Binary(TileStep::kMul, y, gates + b * width_ + hidden_, y, hidden_);
        Math<T>::Binary(TileStep::kAdd, hidden_gates + b * width_, y, hidden_gates + b * width_,
                        hidden_);
      }
    } else {
      for (int64_t b = 0; b < count; ++b) {
        Math<T>::Binary(TileStep::kMul, gates + b * width_ + hidden_, h + b * hidden_,
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

template <typename T>
void RecurrentKernel<T>::LstmCell(const Frame& f, const GateActivation* act, int direction,
                                  T* gates, T* h, T* cell) const {
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
  Math<T>::Binary(TileStep::kMul, forget, cell, cell, n);
  Math<T>::Binary(TileStep::kMul, i, g, g, n);
  Math<T>::Binary(TileStep::kAdd, cell, g, cell, n);
  if (p != nullptr) {
    AddProduct(p + n, cell, o);
    Math<T>::Clip(config_.clip, o, n);
    Math<T>::Activate(act[0], o, n);
  }
  std::copy(cell, cell + n, g);
  Math<T>::Clip(config_.clip, g, n);
  Math<T>::Activate(act[2], g, n);
  Math<T>::Binary(TileStep::kMul, o, g, h, n);
}

template <typename T>
void RecurrentKernel<T>::GruCell(const GateActivation& act, T* gates, T* h) const {
  T* candidate = gates + segments_[1].column;
  Math<T>::Clip(config_.clip, candidate, hidden_);
  Math<T>::Activate(act, candidate, hidden_);
  Math<T>::Binary(TileStep::kSub, h, candidate, h, hidden_);
  Math<T>::Binary(TileStep::kMul, gates, h, h, hidden_);
  Math<T>::Binary(TileStep::kAdd, candidate, h, h, hidden_);
}

// Of the members that are defined here.
template class RecurrentKernel<float>;
template class RecurrentKernel<double>;

}  // namespace sluice::cpu
