// Attention without the matrix of scores: for a tile of query rows, the keys go by in blocks, and
// the softmax is carried along (running maximum and sum, as in Milakov and Gimelshein 2018, Dao et
// al. 2022). Keys are packed transposed once for all tiles that share them. f16 and bf16 compute in
// f32.
#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "kernels/cpu/attention_rows.h"
#include "kernels/cpu/gemm/brgemm.h"
#include "kernels/cpu/tile/function.h"
#include "kernels/kernel.h"
#include "ops/fused_attention.h"

namespace sluice::cpu {
namespace {

constexpr int64_t kTileRows = 32;
constexpr int64_t kBlockColumns = 4 * kPanel;
constexpr int64_t kPackRows = 16;  // converted at a time
// Up to so many query rows share a key, it is not transposed but multiplied as it lies.
constexpr int64_t kFewRows = 8;
// From so many tiles on, values are brought together: rows that lie far apart, often by a power of
// two, push one another out of the caches.
constexpr int64_t kManyTiles = 8;

enum Input { kQ, kK, kV, kMask, kPastKey, kPastValue, kKvLengths };
enum QkMode { kScores, kCapped, kMasked, kProbabilities };

// [batch, heads, sequence, size] wherever it lies; strides in elements.
struct Heads {
  int64_t batch = 0, heads = 0, sequence = 0, size = 0;
  int64_t batch_stride = 0, head_stride = 0, row_stride = 0, column_stride = 1, first = 0;

  // Of ONNX's op: [batch, heads, sequence, size] or [batch, sequence, heads * size].
  static Heads Of(const Dims& dims, int64_t heads) {
    if (dims.size() == 4) return Of(dims, HeadLayout());
    HeadLayout at;
    std::swap(at.head, at.sequence);
    return Of({dims[0], dims[1], heads, dims[2] / heads}, at);
  }
  static Heads Of(const Dims& dims, const HeadLayout& at) {
    int64_t strides[4] = {0, 0, 0, 1};
    for (int i = 3; i-- > 0;) strides[i] = strides[i + 1] * dims[i + 1];
    Heads h{dims[at.batch],    dims[at.head],    dims[at.sequence],    dims[at.size],
            strides[at.batch], strides[at.head], strides[at.sequence], strides[at.size]};
    if (at.sliced) {
      h.heads = at.head_end - at.head_begin;
      h.size = at.size_end - at.size_begin;
      h.first = at.head_begin * h.head_stride + at.size_begin * h.column_stride;
    }
    return h;
  }
  int64_t At(int64_t b, int64_t h, int64_t s) const {
    return first + b * batch_stride + h * head_stride + s * row_stride;
  }
};

// What Attention and FusedAttention ask for, in one form.
struct AttentionProblem {
  Heads q, k, v, y;
  Dims mask;  // aligned at the end; empty: none, or one number
  int64_t past = 0;
  double scale = 1, softcap = 0, mask_value = -std::numeric_limits<double>::infinity();
  bool causal = false, zero_masked = false;
  bool pads_mask = false;  // columns past the mask's last one are masked; else one column stretches
  bool wants_scores = false;
  QkMode mode = kScores;

  static AttentionProblem Of(const PrepareContext& c) {
    const Node& node = c.node;
    AttentionProblem p;
    p.q = Heads::Of(c.input_dims(kQ), node.Int("q_num_heads"));
    p.k = Heads::Of(c.input_dims(kK), node.Int("kv_num_heads"));
    p.v = Heads::Of(c.input_dims(kV), node.Int("kv_num_heads"));
    p.y = Heads::Of(c.output_dims(0), p.q.heads);
    p.past = c.HasInput(kPastKey) ? c.input_dims(kPastKey)[2] : 0;
    p.scale = node.FindAttr("scale") != nullptr ? node.Float("scale")
                                                : 1.0 / std::sqrt(static_cast<double>(p.q.size));
    p.softcap = node.Float("softcap");
    p.causal = node.Int("is_causal") != 0;
    p.pads_mask = true;
    if (c.HasInput(kMask)) p.mask = c.input_dims(kMask);
    p.wants_scores = c.HasOutput(3);
    if (p.wants_scores) p.mode = static_cast<QkMode>(node.Int("qk_matmul_output_mode"));
    return p;
  }
  static absl::StatusOr<AttentionProblem> OfFused(const PrepareContext& c) {
    const Node& node = c.node;
    auto layouts = ReadHeadLayouts(node);
    if (!layouts.ok()) return layouts.status();
    AttentionProblem p;
    p.q = Heads::Of(c.input_dims(kQ), (*layouts)[0]);
    p.k = Heads::Of(c.input_dims(kK), (*layouts)[1]);
    p.v = Heads::Of(c.input_dims(kV), (*layouts)[2]);
    p.y = Heads::Of(c.output_dims(0), (*layouts)[3]);
    p.scale = node.Float("scale");
    p.softcap = node.Float("softcap");
    p.mask_value = node.Float("mask_value");
    p.causal = node.Int("is_causal") != 0;
    p.zero_masked = node.Int("zero_masked") != 0;
    if (c.HasInput(kMask)) p.mask = c.input_dims(kMask);
    if (absl::Status s = p.Check(); !s.ok()) return s;
    return p;
  }
  // Extents that inference could not compare while they were symbols.
  absl::Status Check() const {
    if (q.batch != k.batch || k.batch != v.batch || k.heads != v.heads ||
        k.sequence != v.sequence || q.size != k.size || k.heads < 1 || q.heads % k.heads != 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "Q, K and V do not fit: batches of ", q.batch, ", ", k.batch, ", ", v.batch, ", heads ",
          q.heads, ", ", k.heads, ", ", v.heads, ", keys ", k.sequence, ", ", v.sequence));
    }
    const int64_t scores[] = {q.batch, q.heads, q.sequence, k.sequence};
    for (size_t i = 0; i < mask.size(); ++i) {
      if (mask.size() > 4 || (mask[i] != 1 && mask[i] != scores[4 - mask.size() + i]))
        return absl::InvalidArgumentError("the mask does not broadcast to the scores");
    }
    return absl::OkStatus();
  }
};

// The keys or values of one head: the past, then the new ones.
struct Source {
  const char* past = nullptr;
  const char* current = nullptr;
  int64_t past_rows = 0, past_stride = 0, stride = 0, column_stride = 0;  // bytes

  const char* Row(int64_t t) const {
    return t < past_rows ? past + t * past_stride : current + (t - past_rows) * stride;
  }
};

template <typename T>
class AttentionKernel : public Kernel {
 public:
  AttentionKernel(const PrepareContext& c, const AttentionProblem& p)
      : threads_(std::max(1, c.threads)), p_(p), q_(p_.q), k_(p_.k), v_(p_.v), y_(p_.y) {
    q_type_ = c.input_dtype(kQ);
    k_type_ = c.input_dtype(kK);
    v_type_ = c.input_dtype(kV);
    q_convert_ = FindConversion(q_type_, kDTypeOf<T>);
    y_convert_ = FindConversion(kDTypeOf<T>, q_type_);
    past_ = p.past;
    total_ = past_ + k_.sequence;
    group_ = k_.heads == 0 ? 0 : q_.heads / k_.heads;
    if (c.HasInput(kMask)) PlanMask(c);

    units_ = k_.batch * k_.heads;
    few_ = group_ * q_.sequence <= kFewRows && k_.column_stride == 1;
    // Tiles stay within a head where it fills them: a causal tile then ends early.
    per_head_ = q_.sequence >= kTileRows;
    tiles_per_run_ = ((per_head_ ? q_.sequence : group_ * q_.sequence) + kTileRows - 1) / kTileRows;
    tiles_ = tiles_per_run_ * (per_head_ ? group_ : 1);
    block_ = p_.wants_scores && p_.mode == kProbabilities
                 ? std::max<int64_t>(Panels(total_), 1) * kPanel
                 : kBlockColumns;
    block_ = std::min(block_, std::max<int64_t>(Panels(total_), 1) * kPanel);
    shared_packing_ = units_ < threads_;
    value_direct_ =
        v_type_ == kDTypeOf<T> && past_ == 0 && (v_.row_stride == v_.size || tiles_ < kManyTiles);
    value_stride_ = value_direct_ ? v_.row_stride : v_.size;
    PlanGemms();
    PlanScratch();
  }

  absl::Status Launch(const LaunchContext& c) const override {
    const int64_t* lengths = c.input<int64_t>(kKvLengths);
    for (int64_t b = 0; lengths != nullptr && b < q_.batch; ++b) {
      if (lengths[b] < 0 || lengths[b] > total_) {
        return absl::OutOfRangeError(absl::StrCat("nonpad_kv_seqlen[", b, "] is ", lengths[b],
                                                  ", which is not within [0, ", total_, "]"));
      }
    }
    WritePresent(c);
    if (units_ == 0 || tiles_ == 0) return absl::OkStatus();
    if (!shared_packing_) {
      c.pool->RunTasks(static_cast<int>(std::min<int64_t>(threads_, units_)),
                       [&](int task, int tasks) {
                         for (int64_t unit = task; unit < units_; unit += tasks) {
                           PackRange(c, unit, 0, Panels(total_), task, task);
                           for (int64_t tile = 0; tile < tiles_; ++tile)
                             ComputeTile(c, unit, tile, task, task);
                         }
                       });
      return absl::OkStatus();
    }
    const int64_t panels = Panels(total_);
    c.pool->RunTasks(threads_, [&](int task, int tasks) {
      for (int64_t i = task; i < units_ * panels; i += tasks) {
        PackRange(c, i / panels, i % panels, i % panels + 1, task, i / panels);
      }
    });
    c.pool->RunTasks(threads_, [&](int task, int tasks) {
      for (int64_t i = task; i < units_ * tiles_; i += tasks)
        ComputeTile(c, i / tiles_, i % tiles_, task, i / tiles_);
    });
    return absl::OkStatus();
  }

  std::string Description() const override {
    return absl::StrCat("fused attention, ", few_ ? "dot products" : qk_[0].name(), ", ",
                        units_ * tiles_, " tiles");
  }
  size_t scratch_bytes() const override {
    return slot_bytes_ * threads_ + packed_bytes_ * packed_slots_;
  }

 private:
  struct Slot {
    T *q, *scores, *out, *row, *rows, *maximum, *sum;
  };
  struct Packed {
    T *keys, *values;
  };

  // The mask as [batch, heads, query, key] with a stride of 0 where it is stretched.
  void PlanMask(const PrepareContext& c) {
    const Dims& dims = p_.mask;
    mask_type_ = c.input_dtype(kMask);
    mask_convert_ = FindConversion(mask_type_, kDTypeOf<T>);
    mask_columns_ = dims.empty() ? 1 : dims.back();
    mask_stretched_ = !p_.pads_mask && mask_columns_ == 1 && total_ != 1;
    if (mask_stretched_) mask_columns_ = total_;
    int64_t stride = dims.empty() ? 1 : dims.back();
    for (int i = 2, d = static_cast<int>(dims.size()) - 2; d >= 0; --i, --d) {
      mask_strides_[i] = dims[d] == 1 ? 0 : stride;
      stride *= dims[d];
    }
  }

  void PlanGemms() {
    const int64_t rows = per_head_ ? q_.sequence : group_ * q_.sequence;
    const int64_t m[2] = {std::min(rows, kTileRows), rows % kTileRows};
    for (int i = 0; i < 2; ++i) {
      if (!few_) qk_[i] = TileGemm<T>({m[i], kPanel, q_.size, q_.size, kPanel, block_, false});
      pv_[i] = TileGemm<T>({m[i], v_.size, kPanel, block_, value_stride_, v_.size, true});
      pv_block_[i] = TileGemm<T>({m[i], v_.size, block_, block_, value_stride_, v_.size, true});
    }
  }

  void PlanScratch() {
    auto align = [](int64_t n) { return (n + 15) / 16 * 16; };
    int64_t at = 0;
    auto take = [&](int64_t n) {
      const int64_t here = at;
      at += align(n);
      return here;
    };
    q_at_ = take(kTileRows * q_.size);
    scores_at_ = take(kTileRows * block_);
    out_at_ = take(kTileRows * v_.size);
    row_at_ = take(block_);
    rows_at_ = take(std::max(kPackRows, few_ ? kPanel : 0) * std::max(q_.size, v_.size));
    maximum_at_ = take(kTileRows);
    sum_at_ = take(kTileRows);
    slot_bytes_ = at * sizeof(T);
    at = 0;
    take(few_ ? 0 : Panels(total_) * kPanel * q_.size);
    values_at_ = take(value_direct_ ? 0 : total_ * v_.size);
    packed_bytes_ = at * sizeof(T);
    packed_slots_ = shared_packing_ ? units_ : threads_;
  }

  Slot SlotOf(const LaunchContext& c, int64_t i) const {
    T* base = reinterpret_cast<T*>(static_cast<char*>(c.scratch) + i * slot_bytes_);
    return {base + q_at_,    base + scores_at_,  base + out_at_, base + row_at_,
            base + rows_at_, base + maximum_at_, base + sum_at_};
  }
  Packed PackedOf(const LaunchContext& c, int64_t i) const {
    T* base = reinterpret_cast<T*>(static_cast<char*>(c.scratch) + threads_ * slot_bytes_ +
                                   i * packed_bytes_);
    return {base, base + values_at_};
  }

  Source SourceOf(const LaunchContext& c, int64_t unit, bool value) const {
    const Heads& shape = value ? v_ : k_;
    const int64_t size = static_cast<int64_t>(ByteSize(value ? v_type_ : k_type_));
    const int64_t b = unit / k_.heads, h = unit % k_.heads;
    Source s;
    s.past = c.input<char>(value ? kPastValue : kPastKey);
    if (s.past != nullptr) s.past += unit * past_ * shape.size * size;
    s.past_rows = past_;
    s.past_stride = shape.size * size;
    s.current = c.input<char>(value ? kV : kK) + shape.At(b, h, 0) * size;
    s.stride = shape.row_stride * size;
    s.column_stride = shape.column_stride * size;
    return s;
  }

  void WritePresent(const LaunchContext& c) const {
    for (size_t output : {1, 2}) {
      if (output >= c.outputs.size() || c.outputs[output] == nullptr) continue;
      const bool value = output == 2;
      const int64_t bytes =
          (value ? v_.size : k_.size) * static_cast<int64_t>(ByteSize(value ? v_type_ : k_type_));
      const int64_t grain = std::max<int64_t>(1, (1 << 16) / std::max<int64_t>(1, total_ * bytes));
      c.pool->ParallelFor(units_, grain, [&](int64_t begin, int64_t end) {
        for (int64_t unit = begin; unit < end; ++unit) {
          const Source source = SourceOf(c, unit, value);
          char* to = c.output<char>(output) + unit * total_ * bytes;
          for (int64_t t = 0; t < total_; ++t) std::copy_n(source.Row(t), bytes, to + t * bytes);
        }
      });
    }
  }

  // Rows [begin, end) of a source as T: where they lie, or converted into `to`; sets the stride.
  const T* Rows(const Source& s, DType dtype, int64_t size, int64_t begin, int64_t end, T* to,
                int64_t* stride) const {
    if (dtype == kDTypeOf<T> && (begin >= s.past_rows || end <= s.past_rows)) {
      *stride = (begin < s.past_rows ? s.past_stride : s.stride) / static_cast<int64_t>(sizeof(T));
      return reinterpret_cast<const T*>(s.Row(begin));
    }
    *stride = size;
    const TileFn convert = FindConversion(dtype, kDTypeOf<T>);
    for (int64_t t = begin; t < end; ++t) {
      const void* in[] = {s.Row(t)};
      convert(in, to + (t - begin) * size, size, {});
    }
    return to;
  }

  // Panels [begin, end) of the transposed keys of one head, and the same rows of its values.
  void PackRange(const LaunchContext& c, int64_t unit, int64_t begin, int64_t end, int slot,
                 int64_t packed) const {
    const Packed out = PackedOf(c, packed);
    const Slot scratch = SlotOf(c, slot);
    const Source keys = SourceOf(c, unit, false), values = SourceOf(c, unit, true);
    for (int64_t p = begin; p < end; ++p) {
      const int64_t first = p * kPanel, last = std::min(first + kPanel, total_);
      if (!few_) {
        T* panel = out.keys + first * q_.size;
        if (last - first < kPanel) std::fill(panel, panel + q_.size * kPanel, T(0));
        for (int64_t t = first; t < last && k_.column_stride == 1; t += kPackRows) {
          const int64_t until = std::min(t + kPackRows, last);
          int64_t stride;
          const T* rows = Rows(keys, k_type_, k_.size, t, until, scratch.rows, &stride);
          TransposeTile(rows, until - t, k_.size, stride, panel + (t - first), kPanel);
        }
        for (int64_t i = 0; i < k_.size && k_.column_stride != 1; ++i) {  // transposed already
          const void* in[] = {keys.Row(first) + i * keys.column_stride};
          FindConversion(k_type_, kDTypeOf<T>)(in, panel + i * kPanel, last - first, {});
        }
      }
      if (value_direct_) continue;
      T* to = out.values + first * v_.size;
      int64_t stride;
      const T* rows = Rows(values, v_type_, v_.size, first, last, to, &stride);
      for (int64_t t = 0; rows != to && t < last - first; ++t)
        std::copy_n(rows + t * stride, v_.size, to + t * v_.size);
    }
  }

  struct Row {
    int64_t head, position;  // of the query
    int64_t limit;           // keys it may see
  };

  void ComputeTile(const LaunchContext& c, int64_t unit, int64_t tile, int slot,
                   int64_t packed) const {
    const Slot s = SlotOf(c, slot);
    const Packed kv = PackedOf(c, packed);
    const int64_t b = unit / k_.heads;
    const int64_t run_rows = per_head_ ? q_.sequence : group_ * q_.sequence;
    const int64_t first_row = tile % tiles_per_run_ * kTileRows;
    const int64_t count = std::min(kTileRows, run_rows - first_row);
    const int64_t* lengths = c.input<int64_t>(kKvLengths);

    Row rows[kTileRows];
    int64_t limit = 0;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t r = first_row + i;
      const int64_t head =
          unit % k_.heads * group_ + (per_head_ ? tile / tiles_per_run_ : r / q_.sequence);
      rows[i] = {head, per_head_ ? r : r % q_.sequence, total_};
      if (p_.causal) rows[i].limit = std::min(total_, rows[i].position + past_ + 1);
      if (lengths != nullptr) rows[i].limit = std::min(rows[i].limit, lengths[b]);
      if (c.input<char>(kMask) != nullptr) rows[i].limit = std::min(rows[i].limit, mask_columns_);
      limit = std::max(limit, rows[i].limit);
      LoadQuery(c, q_.At(b, head, rows[i].position), s.q + i * q_.size);
    }
    if (p_.wants_scores) limit = total_;  // all of them are asked for
    std::fill(s.out, s.out + count * v_.size, T(0));
    std::fill(s.maximum, s.maximum + count, -std::numeric_limits<T>::infinity());
    std::fill(s.sum, s.sum + count, T(0));

    const int part = count == std::min(run_rows, kTileRows) ? 0 : 1;
    const Source keys = SourceOf(c, unit, false);
    const T* values = value_direct_ ? c.input<T>(kV) + v_.At(b, unit % k_.heads, 0) : kv.values;
    for (int64_t begin = 0; begin < limit; begin += block_) {
      const int64_t end = std::min(begin + block_, limit);
      for (int64_t t = begin; t < end; t += kPanel) {
        T* scores = s.scores + (t - begin);
        if (!few_) {
          qk_[part].Run(s.q, kv.keys + t * q_.size, scores);
        } else {
          const int64_t until = std::min(t + kPanel, end);
          int64_t stride;
          const T* y = Rows(keys, k_type_, k_.size, t, until, s.rows, &stride);
          DotRows(s.q, count, q_.size, y, until - t, stride, q_.size, scores, block_);
        }
      }
      for (int64_t i = 0; i < count; ++i) SoftmaxRow(c, s, b, rows[i], i, begin, end);
      if (end - begin == block_) {
        pv_block_[part].Run(s.scores, values + begin * value_stride_, s.out);
        continue;
      }
      for (int64_t t = begin; t < end; t += kPanel) {
        const T* p = s.scores + (t - begin);
        const T* v = values + t * value_stride_;
        if (t + kPanel <= end) {
          pv_[part].Run(p, v, s.out);
        } else {  // rows past the end may hold anything, or not be there
          SimdGemm<T>({count, v_.size, end - t, block_, value_stride_, v_.size, true}, p, v, s.out);
        }
      }
    }
    for (int64_t i = 0; i < count; ++i) StoreRow(c, s, b, rows[i], i);
  }

  void LoadQuery(const LaunchContext& c, int64_t offset, T* to) const {
    const char* from = c.input<char>(kQ) + offset * ByteSize(q_type_);
    const T scale = static_cast<T>(p_.scale);
    if (q_type_ == kDTypeOf<T>)
      return ScaleRow(reinterpret_cast<const T*>(from), q_.size, scale, to);
    const void* in[] = {from};
    q_convert_(in, to, q_.size, {});
    ScaleRow<T>(to, q_.size, scale, to);
  }

  // Scores [begin, end) of one row become exp(score - maximum); what was gathered before is
  // rescaled.
  void SoftmaxRow(const LaunchContext& c, const Slot& s, int64_t b, const Row& row, int64_t i,
                  int64_t begin, int64_t end) const {
    constexpr T kNever = -std::numeric_limits<T>::infinity();
    T* x = s.scores + i * block_;
    const int64_t n = end - begin, seen = std::clamp<int64_t>(row.limit - begin, 0, n);
    if (p_.wants_scores && p_.mode == kScores) StoreScores(c, b, row, begin, x, n);
    if (p_.softcap > 0) {
      const T cap = static_cast<T>(p_.softcap), inverse = T(1) / cap;
      for (int64_t j = 0; j < n; ++j) x[j] *= inverse;
      Apply(TileStep::kTanh, {x}, x, n);
      for (int64_t j = 0; j < n; ++j) x[j] *= cap;
    }
    if (p_.wants_scores && p_.mode == kCapped) StoreScores(c, b, row, begin, x, n);
    const T* added = nullptr;
    const uint8_t* keep = nullptr;
    if (c.input<char>(kMask) != nullptr) ReadMask(c, s, b, row, begin, seen, &added, &keep);
    T maximum = MaskedMax<T>(x, seen, added, keep, static_cast<T>(p_.mask_value), s.maximum[i]);
    if (p_.wants_scores && p_.mode == kMasked) {
      std::fill(x + seen, x + n, kNever);
      StoreScores(c, b, row, begin, x, n);
    }
    const T shift = maximum == kNever ? T(0) : maximum;
    if (maximum != s.maximum[i]) {
      const T factor = std::exp(s.maximum[i] - shift);
      s.sum[i] *= factor;
      T* out = s.out + i * v_.size;
      if (begin > 0) ScaleRow<T>(out, v_.size, factor, out);
      s.maximum[i] = maximum;
    }
    s.sum[i] += ExpSum<T>(x, seen, shift);
    std::fill(x + seen, x + n, T(0));
    if (p_.wants_scores && p_.mode == kProbabilities) {
      ScaleRow<T>(x, n, T(1) / s.sum[i], s.row);
      StoreScores(c, b, row, begin, s.row, n);
    }
  }

  // Elements [begin, begin + n) of the mask's row, as numbers to add or as bools.
  void ReadMask(const LaunchContext& c, const Slot& s, int64_t b, const Row& row, int64_t begin,
                int64_t n, const T** added, const uint8_t** keep) const {
    const int64_t at = b * mask_strides_[0] + row.head * mask_strides_[1] +
                       row.position * mask_strides_[2] + (mask_stretched_ ? 0 : begin);
    const char* mask = c.input<char>(kMask) + at * ByteSize(mask_type_);
    if (mask_type_ == DType::kBool) {
      *keep = reinterpret_cast<const uint8_t*>(mask);
      if (!mask_stretched_) return;
      uint8_t* all = reinterpret_cast<uint8_t*>(s.row);
      std::fill(all, all + n, **keep);
      *keep = all;
    } else if (mask_type_ == kDTypeOf<T> && !mask_stretched_) {
      *added = reinterpret_cast<const T*>(mask);
    } else {
      const void* in[] = {mask};
      mask_convert_(in, s.row, mask_stretched_ ? 1 : n, {});
      if (mask_stretched_) std::fill(s.row, s.row + n, T(s.row[0]));
      *added = s.row;
    }
  }

  void StoreScores(const LaunchContext& c, int64_t b, const Row& row, int64_t begin, const T* x,
                   int64_t n) const {
    const int64_t at = ((b * q_.heads + row.head) * q_.sequence + row.position) * total_ + begin;
    const void* in[] = {x};
    y_convert_(in, c.output<char>(3) + at * ByteSize(q_type_), n, {});
  }

  // A row that may see no key at all is 0 / 0, as softmax over nothing but -infinity is, unless
  // such rows count as zeros.
  void StoreRow(const LaunchContext& c, const Slot& s, int64_t b, const Row& row, int64_t i) const {
    T* out = s.out + i * v_.size;
    const bool zero = p_.zero_masked && !(s.sum[i] > 0 && std::isfinite(s.sum[i]));
    const T factor = total_ > 0 ? T(1) / s.sum[i] : T(1);
    char* to = c.output<char>(0) + y_.At(b, row.head, row.position) * ByteSize(q_type_);
    T* scaled = q_type_ == kDTypeOf<T> ? reinterpret_cast<T*>(to) : out;
    if (zero) {
      std::fill(scaled, scaled + v_.size, T(0));
    } else {
      ScaleRow<T>(out, v_.size, factor, scaled);
    }
    if (scaled != out) return;
    const void* in[] = {out};
    y_convert_(in, to, v_.size, {});
  }

  static void Apply(TileStep op, std::initializer_list<const void*> in, T* out, int64_t n) {
    FindTileFunction(op, kDTypeOf<T>)->fn(in.begin(), out, n, {});
  }
  const int threads_;
  const AttentionProblem p_;
  const Heads &q_, &k_, &v_, &y_;
  DType q_type_, k_type_, v_type_;
  int64_t past_ = 0, total_ = 0, group_ = 1;
  DType mask_type_ = DType::kInvalid;
  TileFn q_convert_, y_convert_, mask_convert_ = nullptr;
  int64_t mask_columns_ = 0, mask_strides_[3] = {0, 0, 0};
  bool mask_stretched_ = false;

  int64_t units_ = 0;          // heads of keys in all batches
  int64_t tiles_ = 0;          // of query rows, for each unit
  int64_t tiles_per_run_ = 0;  // of one head, or of all heads that share a unit
  int64_t block_ = kBlockColumns;
  bool few_ = false, per_head_ = false, shared_packing_ = false, value_direct_ = false;
  int64_t value_stride_ = 0;
  TileGemm<T> qk_[2], pv_[2], pv_block_[2];  // of a full tile of rows, and of the last one
  int64_t q_at_ = 0, scores_at_ = 0, out_at_ = 0, row_at_ = 0, rows_at_ = 0, maximum_at_ = 0,
          sum_at_ = 0;
  int64_t values_at_ = 0, slot_bytes_ = 0, packed_bytes_ = 0, packed_slots_ = 0;
};

std::unique_ptr<Kernel> Prepare(const PrepareContext& context, const AttentionProblem& problem) {
  if (context.input_dtype(kQ) == DType::kF64)
    return std::make_unique<AttentionKernel<double>>(context, problem);
  return std::make_unique<AttentionKernel<float>>(context, problem);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareAttention(const PrepareContext& context) {
  return Prepare(context, AttentionProblem::Of(context));
}

absl::StatusOr<std::unique_ptr<Kernel>> PrepareFusedAttention(const PrepareContext& context) {
  auto problem = AttentionProblem::OfFused(context);
  if (!problem.ok()) return problem.status();
  return Prepare(context, *problem);
}

}  // namespace sluice::cpu
