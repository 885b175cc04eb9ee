#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernels/cpu/recurrent_kernel.h"
#include "kernels/packed_weights.h"

namespace sluice::cpu {
namespace {

// Bytes of gates that one task computes ahead: they stay in the second-level cache.
constexpr int64_t kChunkBytes = 512 << 10;
// Elements of R (times rows, where arithmetic and not memory decides) from which one step takes so
// long, some 5 us, that several threads share it.
constexpr int64_t kSpreadElements = 128 << 10;

int64_t Align(int64_t bytes) { return (bytes + 63) / 64 * 64; }

}  // namespace

template <typename T>
RecurrentKernel<T>::RecurrentKernel(const PrepareContext& c, RecurrentConfig config)
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

template <typename T>
void RecurrentKernel<T>::PlanGemms() {
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

template <typename T>
void RecurrentKernel<T>::Pack(const void* from, int64_t k, T* to, int64_t begin, int64_t end,
                              T* row_buffer) const {
  const int64_t panels = width_ / kPanel;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t direction = i / panels, column = i % panels * kPanel;
    const Segment& s =
        segments_.size() > 1 && column >= segments_[1].column ? segments_[1] : segments_[0];
    const int64_t first = column - s.column, count = std::clamp<int64_t>(s.rows - first, 0, kPanel);
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

template <typename T>
void RecurrentKernel<T>::PackConstants(const PrepareContext& c) {
  const int64_t panels = config_.directions * width_ / kPanel;
  auto pack = [&](int input, int64_t k, int* index) {
    if (!c.IsPackable(input)) return;
    std::string format = absl::StrCat("recurrent ", c.inputs[input].ToString(), " panels of ",
                                      kPanel, ", width ", width_, ", columns");
    for (const Segment& s : segments_)
      absl::StrAppend(&format, " ", s.row, "+", s.rows, " at ", s.column);
    const int64_t bytes = PackedElements(k) * static_cast<int64_t>(sizeof(T));
    absl::StatusOr<int> added = packed_.Add(
        c, static_cast<size_t>(input), format, bytes,
        [this, k, panels](const Tensor& from) -> absl::StatusOr<Tensor> {
          std::vector<T> row(static_cast<size_t>(k));
          absl::StatusOr<Tensor> to = Tensor::Allocate(kDTypeOf<T>, {PackedElements(k)});
          if (!to.ok()) return to;
          Pack(from.raw(), k, to->template mutable_data<T>(), 0, panels, row.data());
          return to;
        });
    if (!added.ok()) return;
    *index = *added;
    unread_.push_back(input);
  };
  pack(1, features_, &packed_w_);
  pack(2, hidden_, &packed_r_);
}

template <typename T>
void RecurrentKernel<T>::PlanScratch(const PrepareContext& c) {
  auto take = [&](int64_t elements) {
    const int64_t at = scratch_bytes_;
    scratch_bytes_ += Align(elements * sizeof(T));
    return at;
  };
  const int64_t directions = config_.directions, state = directions * batch_ * hidden_;
  at_.row = take(std::max(features_, hidden_) * threads_);
  if (packed_w_ < 0) at_.w = take(PackedElements(features_));
  if (packed_r_ < 0) at_.r = take(PackedElements(hidden_));
  at_.bias = take(directions * width_);
  at_.recurrent_bias = take(directions * hidden_);
  at_.peepholes = take(directions * 3 * hidden_);
  if (dtype_ != kDTypeOf<T>) at_.x = take(steps_ * batch_ * features_);
  at_.gates = take(tasks_ * chunk_ * block_ * width_);
  at_.h = take(state);
  at_.cell = take(state);
  at_.temp = take(tasks_ * block_ * std::max(hidden_, hidden_width_));
}

template <typename T>
std::string RecurrentKernel<T>::Description() const {
  return absl::StrCat("recurrent ", recurrent_[0].name(), ", ", tasks_,
                      tasks_ == 1 ? " task" : " tasks", " of ", chunk_, " steps");
}

// Of the members that are defined here.
template class RecurrentKernel<float>;
template class RecurrentKernel<double>;

}  // namespace sluice::cpu
