// What a TilePlan is made of. Private to plan.cc and run.cc.
#ifndef SLUICE_KERNELS_CPU_TILE_PLAN_DATA_H_
#define SLUICE_KERNELS_CPU_TILE_PLAN_DATA_H_

#include <string>
#include <vector>

#include "kernels/cpu/tile/function.h"
#include "kernels/cpu/tile/operand.h"
#include "kernels/cpu/tile/plan.h"

namespace sluice::cpu {

// A value of the program with what computes it.
struct PlanNode {
  // Conversions are functions like others: kStep.
  TileNode::Kind kind;
  TileExtent extent;
  DType dtype;

  int inputs[3] = {-1, -1, -1};
  int num_inputs = 0;
  TileFunction function;  // kStep
  TileParams params;
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
  int direct_output = -1;  // the function writes straight into this output
  int slot = -1;           // its memory in a thread's scratch
  int filled_slot = -1;    // where it is stretched to a higher extent
};

struct PlanOutput {
  int value;
  DType dtype;
  TileOperand box;
};

struct TilePlan::Data {
  enum class Mode : uint8_t {
    kRows,     // whole rows, several a tile; without reductions a row is one element
    kLongRow,  // one row at a time, in pieces, one sweep for each level of reductions
    kColumns,  // pieces of the inner extents, going over the reduced ones: sweeps too
  };

  std::string text;
  Dims space;
  TileProgram::Range reduced;
  std::vector<PlanNode> nodes;
  std::vector<PlanOutput> outputs;
  std::vector<std::pair<int, int>> in_place;

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

  absl::Status Read(const TileProgram& program);
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

#endif  // SLUICE_KERNELS_CPU_TILE_PLAN_DATA_H_
