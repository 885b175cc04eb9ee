// TilePlan: a tile program, ready to run on the CPU. One small interpreter runs every element-wise
// kernel, fused loop, reduction, softmax and norm over tiles that stay in the L1 cache.
//
// Without reductions the space is one flat range, cut into tiles. With them, rows that fit a tile
// are taken several at a time; longer rows, and reductions that have inner extents, run in phases:
// one sweep over the row for each level of reductions, recomputing what is cheaper to compute than
// to keep. Loads and stores of contiguous operands in the compute type cost nothing: the functions
// read and write the operand itself.
//
//   absl::StatusOr<TilePlan> plan = TilePlan::Make(program, threads);
//   plan->Run(inputs, outputs, scratch, pool);
//
// Made once, run from many threads.
#ifndef SLUICE_KERNELS_CPU_TILE_PLAN_H_
#define SLUICE_KERNELS_CPU_TILE_PLAN_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/device/thread_pool.h"
#include "kernels/tile/program.h"

namespace sluice::cpu {

class TilePlan {
 public:
  // Slots and tiles for up to `threads` threads. The program's status(); InvalidArgument
  // without outputs; Unimplemented for a step that has no function for its dtype.
  static absl::StatusOr<TilePlan> Make(const TileProgram& program, int threads);
  TilePlan(TilePlan&&) noexcept;
  TilePlan& operator=(TilePlan&&) noexcept;
  ~TilePlan();

  size_t scratch_bytes() const;
  // (output, input) pairs that may share memory.
  std::vector<std::pair<int, int>> in_place() const;
  void Run(absl::Span<const void* const> inputs, absl::Span<void* const> outputs, void* scratch,
           ThreadPool* pool) const;
  const std::string& ToString() const;  // the program's

  struct Data;  // plan_data.h

 private:
  explicit TilePlan(std::unique_ptr<Data> data);
  std::unique_ptr<const Data> data_;
};

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_TILE_PLAN_H_
