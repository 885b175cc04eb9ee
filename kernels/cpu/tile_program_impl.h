// What a TileProgram is made of once it is built. Private to tile_program.cc and tile_run.cc.
#ifndef SLUICE_KERNELS_CPU_TILE_PROGRAM_IMPL_H_
#define SLUICE_KERNELS_CPU_TILE_PROGRAM_IMPL_H_

#include <string>
#include <vector>

#include "kernels/cpu/tile_operand.h"
#include "kernels/cpu/tile_program.h"

namespace sluice::cpu {

inline constexpr int kMaxTileNodes = 256;

// How many elements a value has: one, one a row, one a point of the space.
enum class Extent : uint8_t { kOne, kRow, kFull };

struct TileNode {
  enum class Kind : uint8_t { kInput, kRandom, kScalar, kStep, kReduce };
  TileNode(Kind k, Extent e, DType d) : kind(k), extent(e), dtype(d) {}

  Kind kind;
  Extent extent;
  DType dtype;
  std::string name;  // of a step, for reports

  int inputs[3] = {-1, -1, -1};
  int num_inputs = 0;
  sluice::cpu::Step step;  // kStep
  StepParams params;
  ReduceFn reduce = nullptr;  // kReduce
  ReduceColumnsFn reduce_columns = nullptr;
  alignas(8) char constant[8] = {};  // kScalar; the neutral element of kReduce

  int operand = -1;  // kInput: which; kRandom: of the key
  TileOperand box;
  Distribution distribution = Distribution::kUniform;  // kRandom
  uint64_t stream = 0;
  bool keep = false;  // kInput whose gathered elements are the same in every tile

  // Sweeps are counted from 0. A Full value is computed in each sweep that needs it, at the
  // earliest in this one; a One or Row value once, before this one.
  int sweep = 0;
  int direct_output = -1;  // the step writes straight into this output
  int slot = -1;           // its memory in a thread's scratch
  int filled_slot = -1;    // where it is stretched to a higher extent
};

struct TileOutput {
  int value;
  DType dtype;
  Dims strides;
  TileOperand box;
};

struct TileProgram::Impl {
  enum class Mode : uint8_t {
    kRows,     // whole rows, several a tile; without reductions a row is one element
    kLongRow,  // one row at a time, in pieces, one sweep for each level of reductions
    kColumns,  // pieces of the inner extents, going over the reduced ones: sweeps too
  };

  Dims space;
  Range reduced;
  absl::Status status;
  std::vector<TileNode> nodes;
  std::vector<TileOutput> outputs;
  std::vector<DType> input_dtypes;
  std::vector<std::pair<int, int>> in_place;

  // Planned by Finish().
  Mode mode = Mode::kRows;
  int64_t outer = 1, row = 1, inner = 1;  // products of the three groups
  int64_t tile = 0;                       // elements of a slot
  // Rows (points of outer x inner) in blocks, each cut into tiles; a unit of work is one tile.
  int64_t rows_per_tile = 1, block = 0, tiles_per_block = 1, units = 0;
  int64_t chunk = 1;  // kColumns: so many reduced points are taken at once; more than 1 where a
                      // tile holds all columns, so that they are one stretch of memory
  int sweeps = 1;
  std::vector<std::vector<int>> full_nodes;  // by sweep: Full values and reductions, in order
  std::vector<std::vector<int>> row_nodes;   // computed before that sweep (last: after all)
  int slots = 0;
  size_t slot_bytes = 0;
  int max_tasks = 1;
  std::vector<int> stored_outputs;  // those that no step writes itself
  int lone_step = -1;  // the program is this one step, from operands straight into the output

  int Add(TileNode node);
  void Place(TileNode* node, absl::Span<const int64_t> strides) const;  // its box and extent
  void Fail(absl::Status s) {
    if (status.ok()) status = std::move(s);
  }
  bool ok(int id) const { return id >= 0 && id < static_cast<int>(nodes.size()); }
  void ChooseMode();
  void PlanSweeps();
  void PlanTiles(int threads);
  void AssignDirectOutputs();
  void AssignSlots();
  void FindInPlace();
  void FindLoneStep();
  size_t widest() const;
};

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_TILE_PROGRAM_IMPL_H_
