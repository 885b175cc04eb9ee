// LSTM and GRU as most models have them (f32, weights that stay, sigmoid and tanh, no peepholes, no
// lengths): the inputs' products of many steps in one, then one sweep over R for each step
// (recurrent_step.h). Directions, and blocks of the batch, run side by side.
#include <algorithm>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "kernels/cpu/gemm/packed_gemm.h"
#include "kernels/cpu/recurrent_step.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/staging.h"
#include "kernels/kernel.h"
#include "kernels/packed_weights.h"
#include "ops/recurrent.h"

namespace sluice::cpu {
namespace {

// Bytes of gates that are computed ahead: they stay in the second-level cache.
constexpr int64_t kChunkBytes = 256 << 10;
// Elements of R from which one step takes so long, some 5 us, that several threads share it.
constexpr int64_t kSpreadElements = 128 << 10;

class FusedRecurrent final : public Kernel {
 public:
  FusedRecurrent(const PrepareContext& c, const RecurrentConfig& config)
      : config_(config),
        cell_(c.node.Is("LSTM") ? StepCell::kLstm : StepCell::kGru),
        threads_(std::max(1, c.threads)),
        has_bias_(c.HasInput(3)),
        lanes_(StepLanes()) {
    const Dims x = c.input_dims(0);
    steps_ = x[config_.batch_first ? 1 : 0];
    batch_ = x[config_.batch_first ? 0 : 1];
    features_ = x[2];
    hidden_ = c.input_dims(2)[2];
    blocks_ = (hidden_ + lanes_ - 1) / lanes_;
    units_ = blocks_ * lanes_;
    width_ = config_.gates * units_;
    chunk_ = std::clamp<int64_t>(
        kChunkBytes / std::max<int64_t>(1, batch_ * width_ * int64_t{sizeof(float)}), 1,
        std::max<int64_t>(1, steps_));
    // Rows of the batch that one task takes.
    const int64_t cuts = std::clamp<int64_t>(
        (threads_ + config_.directions - 1) / config_.directions, 1, std::max<int64_t>(batch_, 1));
    rows_ = std::max<int64_t>(1, (batch_ + cuts - 1) / cuts);
    tasks_ = (batch_ + rows_ - 1) / rows_ * config_.directions;
    spread_ = tasks_ < threads_ && width_ * hidden_ >= kSpreadElements && blocks_ > 1;

    const size_t state = static_cast<size_t>(config_.directions * batch_ * units_) * sizeof(float);
    gates_at_ = layout_.Take(static_cast<size_t>(config_.directions * chunk_ * batch_ * width_) *
                             sizeof(float));
    for (size_t& at : h_at_) at = layout_.Take(state);
    if (cell_ == StepCell::kLstm) c_at_ = layout_.Take(state);
  }

  absl::Status Pack(const PrepareContext& c);
  absl::Status Launch(const LaunchContext& context) const override;

  std::string Description() const override {
    return absl::StrCat("fused ", ChooseIsa(), ", ", tasks_, tasks_ == 1 ? " task" : " tasks",
                        " of ", chunk_, " steps", spread_ ? ", spread" : "");
  }
  size_t scratch_bytes() const override { return layout_.bytes(); }
  std::vector<int> unread_inputs() const override {
    return has_bias_ ? std::vector<int>{1, 2, 3} : std::vector<int>{1, 2};
  }
  size_t packed_bytes() const override { return packed_.bytes(); }
  absl::Span<const InputForm> forms() const override { return packed_.forms(); }

 private:
  struct Row {
    int64_t direction, gate, unit;
    const float* data;
  };
  void ForRows(const float* from, int64_t k, absl::FunctionRef<void(const Row&)> row) const;
  absl::StatusOr<Tensor> PackInput(const float* from) const;
  absl::StatusOr<Tensor> PackRecurrent(const float* from) const;
  // For each direction what is added to the products with X, then what GRU's last gate adds to its
  // product with R. `from`: null where there is none.
  absl::StatusOr<Tensor> PackBias(const float* from) const;

  // One launch.
  struct Frame {
    const LaunchContext& c;
    const float *w, *r, *bias, *recurrent_bias;
    float* gates;
    float* h[2];
    float* cell;
  };

  bool Reverse(int64_t direction) const { return config_.reverse || direction == 1; }
  // The column of gate `gate` of unit `unit`.
  int64_t Column(int64_t gate, int64_t unit) const {
    return (unit / lanes_ * config_.gates + gate) * lanes_ + unit % lanes_;
  }
  // Rows of gates of one direction: as the rows of X lie, so that a chunk is one product.
  int64_t StepRow() const { return config_.batch_first ? 1 : batch_; }
  int64_t BatchRow() const { return config_.batch_first ? chunk_ : 1; }
  // Where a state of the graph keeps a row.
  int64_t StateAt(int64_t direction, int64_t b) const {
    return (config_.batch_first ? b * config_.directions + direction : direction * batch_ + b) *
           hidden_;
  }

  void Inputs(const Frame& f, int64_t direction, int64_t done, ThreadPool* pool) const;
  void Steps(const Frame& f, int64_t direction, int64_t first_row, int64_t rows,
             int64_t done) const;
  void Begin(const Frame& f, int64_t direction) const;
  void End(const Frame& f, int64_t direction) const;

  const RecurrentConfig config_;
  const StepCell cell_;
  const int64_t threads_;
  const bool has_bias_;
  const int64_t lanes_;
  int64_t steps_ = 0, batch_ = 0, features_ = 0, hidden_ = 0;
  int64_t blocks_ = 0, units_ = 0;  // of units, filled up
  int64_t width_ = 0;               // columns of one step's gates
  int64_t chunk_ = 1, rows_ = 1, tasks_ = 0;
  bool spread_ = false;  // each step over all threads
  PackedInputs packed_;
  int w_ = -1, r_ = -1, bias_ = -1;
  Tensor no_bias_;
  ScratchLayout layout_;
  size_t gates_at_ = 0, h_at_[2] = {0, 0}, c_at_ = 0;
};

// Rows of `from`, [directions, gates * hidden, k], each with the column of its gate and unit.
void FusedRecurrent::ForRows(const float* from, int64_t k,
                             absl::FunctionRef<void(const Row&)> row) const {
  for (int64_t d = 0; d < config_.directions; ++d) {
    for (int64_t gate = 0; gate < config_.gates; ++gate) {
      for (int64_t u = 0; u < hidden_; ++u) {
        row({d, gate, u, from + ((d * config_.gates + gate) * hidden_ + u) * k});
      }
    }
  }
}

// In panels of the columns.
absl::StatusOr<Tensor> FusedRecurrent::PackInput(const float* from) const {
  const int64_t panel_floats = PackedFloats(features_, width_);
  absl::StatusOr<Tensor> packed =
      Tensor::Allocate(DType::kF32, {config_.directions * panel_floats});
  absl::StatusOr<Tensor> columns =
      Tensor::Allocate(DType::kF32, {config_.directions * width_, features_});
  if (!packed.ok()) return packed;
  if (!columns.ok()) return columns;
  float* const c = columns->mutable_data<float>();
  std::fill_n(c, columns->elements(), 0.0f);
  // Rows of W as rows again, in the order of columns: PackPanels reads them across.
  ForRows(from, features_, [&](const Row& row) {
    std::copy_n(row.data, features_,
                c + (row.direction * width_ + Column(row.gate, row.unit)) * features_);
  });
  for (int64_t d = 0; d < config_.directions; ++d) {
    PackPanels(c + d * width_ * features_, 1, features_, features_, width_, 1,
               packed->mutable_data<float>() + d * panel_floats);
  }
  return packed;
}

// In blocks of `lanes_` units: all gates of a block one after the other for each k.
absl::StatusOr<Tensor> FusedRecurrent::PackRecurrent(const float* from) const {
  absl::StatusOr<Tensor> packed =
      Tensor::Allocate(DType::kF32, {config_.directions * hidden_ * width_});
  if (!packed.ok()) return packed;
  float* const r = packed->mutable_data<float>();
  std::fill_n(r, packed->elements(), 0.0f);
  const int64_t block = config_.gates * lanes_;
  ForRows(from, hidden_, [&](const Row& row) {
    float* const to = r + row.direction * hidden_ * width_ + row.unit / lanes_ * hidden_ * block +
                      row.gate * lanes_ + row.unit % lanes_;
    for (int64_t k = 0; k < hidden_; ++k) to[k * block] = row.data[k];
  });
  return packed;
}

absl::StatusOr<Tensor> FusedRecurrent::PackBias(const float* from) const {
  const int64_t gates = config_.gates, directions = config_.directions;
  absl::StatusOr<Tensor> packed = Tensor::Allocate(DType::kF32, {directions * (width_ + units_)});
  if (!packed.ok()) return packed;
  float* const bias = packed->mutable_data<float>();
  float* const recurrent = bias + directions * width_;
  std::fill_n(bias, packed->elements(), 0.0f);
  for (int64_t d = 0; d < directions && from != nullptr; ++d) {
    // Each direction holds Wb of all gates, then Rb; only GRU's last gate needs them apart.
    for (int64_t gate = 0; gate < gates; ++gate) {
      for (int64_t u = 0; u < hidden_; ++u) {
        const float* const b = from + 2 * d * gates * hidden_ + gate * hidden_ + u;
        float* const to = bias + d * width_ + Column(gate, u);
        *to = b[0];
        if (cell_ == StepCell::kGru && gate == 2) {
          recurrent[d * units_ + u] = b[gates * hidden_];
        } else {
          *to += b[gates * hidden_];
        }
      }
    }
  }
  return packed;
}

absl::Status FusedRecurrent::Pack(const PrepareContext& c) {
  const int64_t directions = config_.directions;
  const std::string shape = absl::StrCat(directions, " x ", config_.gates, " gates of ", hidden_,
                                         ", ", lanes_, " lanes, width ", width_);
  const int64_t bytes = directions * static_cast<int64_t>(sizeof(float));
  const auto add = [&](size_t input, std::string format, int64_t floats, PackedInputs::Pack pack,
                       int* index) -> absl::Status {
    absl::StatusOr<int> added =
        packed_.Add(c, input, absl::StrCat(format, shape), bytes * floats, std::move(pack));
    if (added.ok()) *index = *added;
    return added.status();
  };
  absl::Status s = add(
      1, absl::StrCat("recurrent inputs ", features_, ", panels ", PanelColumns(), ", "),
      PackedFloats(features_, width_),
      [this](const Tensor& t) { return PackInput(t.data<float>()); }, &w_);
  if (!s.ok()) return s;
  s = add(
      2, "recurrent state, ", hidden_ * width_,
      [this](const Tensor& t) { return PackRecurrent(t.data<float>()); }, &r_);
  if (!s.ok()) return s;
  if (has_bias_) {
    return add(
        3, absl::StrCat("recurrent bias, ", cell_ == StepCell::kGru ? "GRU, " : ""),
        width_ + units_, [this](const Tensor& t) { return PackBias(t.data<float>()); }, &bias_);
  }
  absl::StatusOr<Tensor> none = PackBias(nullptr);
  if (!none.ok()) return none.status();
  no_bias_ = *std::move(none);
  return absl::OkStatus();
}

// Bias plus X W^T of the chunk behind `done` steps.
void FusedRecurrent::Inputs(const Frame& f, int64_t direction, int64_t done,
                            ThreadPool* pool) const {
  const int64_t steps = std::min(chunk_, steps_ - done);
  const int64_t begin = Reverse(direction) ? steps_ - done - steps : done;
  PackedGemmArgs g;
  g.n = width_;
  g.k = features_;
  g.a_row = features_;
  g.panels = f.w + direction * PackedFloats(features_, width_);
  g.bias = f.bias + direction * width_;
  g.c_row = width_;
  float* const gates = f.gates + direction * chunk_ * batch_ * width_;
  const int64_t products = config_.batch_first ? batch_ : 1;
  for (int64_t b = 0; b < products; ++b) {
    g.m = config_.batch_first ? steps : steps * batch_;
    g.a = f.c.input<float>(0) +
          (config_.batch_first ? b * steps_ + begin : begin * batch_) * features_;
    g.c = gates + b * BatchRow() * width_;
    PackedGemm(g, pool, nullptr);
  }
}

void FusedRecurrent::Steps(const Frame& f, int64_t direction, int64_t first_row, int64_t rows,
                           int64_t done) const {
  const int64_t steps = std::min(chunk_, steps_ - done);
  const bool reverse = Reverse(direction);
  RecurrentStep s;
  s.cell = cell_;
  s.rows = rows;
  s.alone = batch_ == 1;
  s.hidden = hidden_;
  s.blocks = blocks_;
  s.r = f.r + direction * hidden_ * width_;
  s.recurrent_bias = f.recurrent_bias + direction * units_;
  s.gates_row = BatchRow() * width_;
  s.state_row = units_;
  s.y_row = (config_.batch_first ? steps_ * config_.directions : 1) * hidden_;
  const int64_t state = (direction * batch_ + first_row) * units_;
  s.c = f.cell == nullptr ? nullptr : f.cell + state;
  float* const y = f.c.outputs.empty() ? nullptr : f.c.output<float>(0);
  for (int64_t i = 0; i < steps; ++i) {
    const int64_t in_chunk = reverse ? steps - 1 - i : i;
    const int64_t t = reverse ? steps_ - 1 - done - i : done + i;
    s.gates =
        f.gates +
        (direction * chunk_ * batch_ + in_chunk * StepRow() + first_row * BatchRow()) * width_;
    s.h = f.h[(done + i) % 2] + state;
    s.next_h = f.h[(done + i + 1) % 2] + state;
    if (y != nullptr) {
      s.y = y + (config_.batch_first ? (first_row * steps_ + t) * config_.directions + direction
                                     : (t * config_.directions + direction) * batch_ + first_row) *
                    hidden_;
    }
    s.backward = (done + i) % 2 != 0;
    if (!spread_) {
      RunRecurrentStep(s);
      continue;
    }
    f.c.pool->RunTasks(static_cast<int>(std::min(threads_, blocks_)), [&](int part, int parts) {
      RecurrentStep share = s;
      share.first = blocks_ * part / parts;
      share.blocks = blocks_ * (part + 1) / parts - share.first;
      RunRecurrentStep(share);
    });
  }
}

void FusedRecurrent::Begin(const Frame& f, int64_t direction) const {
  for (const auto& [input, state] : {std::pair(5, f.h[0]), std::pair(6, f.cell)}) {
    if (state == nullptr) continue;
    const float* initial = f.c.input<float>(input);
    for (int64_t b = 0; b < batch_; ++b) {
      float* row = state + (direction * batch_ + b) * units_;
      std::fill_n(row, units_, 0.0f);
      if (initial != nullptr) std::copy_n(initial + StateAt(direction, b), hidden_, row);
    }
  }
}

void FusedRecurrent::End(const Frame& f, int64_t direction) const {
  for (const auto& [output, state] : {std::pair(1, f.h[steps_ % 2]), std::pair(2, f.cell)}) {
    const size_t i = static_cast<size_t>(output);
    if (state == nullptr || i >= f.c.outputs.size() || f.c.outputs[i] == nullptr) continue;
    for (int64_t b = 0; b < batch_; ++b) {
      std::copy_n(state + (direction * batch_ + b) * units_, hidden_,
                  f.c.output<float>(i) + StateAt(direction, b));
    }
  }
}

absl::Status FusedRecurrent::Launch(const LaunchContext& context) const {
  if (batch_ == 0) return absl::OkStatus();
  char* const scratch = static_cast<char*>(context.scratch);
  auto at = [&](size_t offset) { return reinterpret_cast<float*>(scratch + offset); };
  const float* const bias =
      has_bias_ ? packed_.data<float>(bias_, context) : static_cast<const float*>(no_bias_.raw());
  const Frame f{context,
                packed_.data<float>(w_, context),
                packed_.data<float>(r_, context),
                bias,
                bias + config_.directions * width_,
                at(gates_at_),
                {at(h_at_[0]), at(h_at_[1])},
                cell_ == StepCell::kLstm ? at(c_at_) : nullptr};
  const int directions = config_.directions;
  if (tasks_ == directions && !spread_) {
    context.pool->RunTasks(directions, [&](int direction, int) {
      Begin(f, direction);
      for (int64_t done = 0; done < steps_; done += chunk_) {
        Inputs(f, direction, done, directions < threads_ ? context.pool : nullptr);
        Steps(f, direction, 0, batch_, done);
      }
      End(f, direction);
    });
    return absl::OkStatus();
  }
  for (int d = 0; d < directions; ++d) Begin(f, d);
  for (int64_t done = 0; done < steps_; done += chunk_) {
    for (int d = 0; d < directions; ++d) Inputs(f, d, done, context.pool);
    const auto share = [&](int task, int) {
      const int64_t first = task / directions * rows_;
      Steps(f, task % directions, first, std::min(rows_, batch_ - first), done);
    };
    if (spread_) {  // the pool is for the steps
      for (int task = 0; task < tasks_; ++task) share(task, 0);
    } else {
      context.pool->RunTasks(static_cast<int>(tasks_), share);
    }
  }
  for (int d = 0; d < directions; ++d) End(f, d);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareFusedRecurrent(const PrepareContext& context) {
  absl::StatusOr<RecurrentConfig> config = ReadRecurrentConfig(context.node);
  if (!config.ok()) return config.status();
  const bool lstm = context.node.Is("LSTM");
  auto refuse = [](absl::string_view why) { return absl::UnimplementedError(why); };
  if (context.input_dtype(0) != DType::kF32) return refuse("computes in f32 alone");
  if (!context.IsPackable(1) || !context.IsPackable(2) ||
      (context.HasInput(3) && !context.IsPackable(3))) {
    return refuse("weights or biases change from run to run");
  }
  if (context.HasInput(4)) return refuse("sequences have lengths of their own");
  if (lstm && context.HasInput(7)) return refuse("peepholes");
  if (config->clip != 0) return refuse("gates are clipped");
  if (config->input_forget) return refuse("input and forget gates are one");
  if (!lstm && !config->linear_before_reset) {
    return refuse("the reset gate comes before the product with R");
  }
  for (size_t i = 0; i < config->activations.size(); ++i) {
    const bool first = i % config->activations_per_direction == 0;
    const auto kind = config->activations[i].kind;
    if (kind != (first ? GateActivation::Kind::kSigmoid : GateActivation::Kind::kTanh)) {
      return refuse("activations are not sigmoid and tanh");
    }
  }
  const Dims r = context.input_dims(2);
  if (r[2] == 0 || context.input_dims(0)[2] == 0) return refuse("an extent is 0");
  auto kernel = std::make_unique<FusedRecurrent>(context, *config);
  if (absl::Status s = kernel->Pack(context); !s.ok()) return s;
  return kernel;
}

}  // namespace sluice::cpu
