// TileProgram: a short list of steps over tiles that stay in the L1 cache. One small interpreter
// runs every element-wise kernel, fused loop, reduction, softmax and norm.
//
// The space is a box of extents in three groups, outermost first: outer, reduced, inner. Each value
// of the program is either Full (an element for each point of the space) or Row (one for each point
// of outer x inner: what reductions give). Row values broadcast over the reduced extents by
// themselves. Operands are arrays with a stride (in elements, 0 to broadcast) per extent.
//
// Softmax over the last axis of f32[64,1000]:
//   TileProgram p({64, 1000}, /*reduced=*/{1, 2});
//   auto x = p.Input(DType::kF32, {1000, 1});
//   auto e = p.Step(StepOp::kExp, {p.Step(StepOp::kSub, {x, p.Reduce(ReduceOp::kMax, x)})});
//   p.Output(p.Step(StepOp::kDiv, {e, p.Reduce(ReduceOp::kSum, e)}), DType::kF32, {1000, 1});
//   absl::Status s = p.Finish(threads);
//   p.Run(inputs, outputs, scratch, pool);
//
// How it runs: without reductions the space is one flat range, cut into tiles. With them, rows that
// fit a tile are taken several at a time; longer rows, and reductions that have inner extents, run
// in phases: one sweep over the row for each level of reductions, recomputing what is cheaper to
// compute than to keep. Loads and stores of contiguous operands in the compute type cost nothing:
// the steps read and write the operand itself.
//
// Build once (Finish() checks everything), run from many threads.
#ifndef SLUICE_KERNELS_CPU_TILE_PROGRAM_H_
#define SLUICE_KERNELS_CPU_TILE_PROGRAM_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "graph/tensor.h"
#include "kernels/cpu/philox.h"
#include "kernels/cpu/tile_step.h"
#include "kernels/device/thread_pool.h"

namespace sluice::cpu {

class TileProgram {
 public:
  using ValueId = int;

  // The extents [first, last) are reduced.
  struct Range {
    int first = 0, last = 0;
  };
  explicit TileProgram(Dims space, Range reduced = {0, 0});
  TileProgram(TileProgram&&) noexcept;
  TileProgram& operator=(TileProgram&&) noexcept;
  ~TileProgram();

  // The next operand to read; f16 and bf16 are converted to f32. Row, where every stride over a
  // reduced extent is 0 (and there are some).
  ValueId Input(DType dtype, absl::Span<const int64_t> strides);
  // The same in the dtype that is stored: for Convert(), and for kWhere, which only moves elements.
  ValueId InputAsStored(DType dtype, absl::Span<const int64_t> strides);
  // Random numbers, f32 or f64: those of an operand's elements (philox.h), if it had these strides.
  // `key`: the input that is the run's key, u64[2], with strides of 0.
  ValueId Random(Distribution distribution, ValueId key, uint64_t stream, DType dtype,
                 absl::Span<const int64_t> strides);
  // A number.
  ValueId Scalar(DType dtype, double value);
  // An element-wise step on values of one dtype (kWhere: bool first). Row if all inputs are.
  ValueId Step(StepOp op, std::initializer_list<ValueId> inputs, StepParams params = {});
  ValueId Convert(ValueId value, DType to);
  // Over the reduced extents, in the value's dtype.
  ValueId Reduce(ReduceOp op, ValueId value);
  // The next operand to write, converted to `dtype`. Of a Row value, the strides over reduced
  // extents are ignored.
  void Output(ValueId value, DType dtype, absl::Span<const int64_t> strides);

  DType dtype(ValueId value) const;

  // Plans registers and tiles for up to `threads` threads. InvalidArgument names the first misuse;
  // Unimplemented a step that does not exist for its dtype.
  absl::Status Finish(int threads);

  size_t scratch_bytes() const;
  // (output, input) pairs that may share memory.
  std::vector<std::pair<int, int>> in_place() const;
  void Run(absl::Span<const void* const> inputs, absl::Span<void* const> outputs, void* scratch,
           ThreadPool* pool) const;
  // "tile[sub exp div]", for reports.
  std::string ToString() const;

  struct Impl;  // tile_program_impl.h

 private:
  std::unique_ptr<Impl> impl_;
};

// Row-major strides of `dims` as an operand that broadcasts (numpy's rule) to a space of `rank`
// extents, 0 where it is stretched.
Dims BroadcastStrides(absl::Span<const int64_t> dims, absl::Span<const int64_t> space);

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_TILE_PROGRAM_H_
