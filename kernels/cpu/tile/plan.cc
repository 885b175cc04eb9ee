#include "kernels/cpu/tile/plan.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "kernels/cpu/tile/plan_data.h"

namespace sluice::cpu {
namespace {

constexpr int64_t kMaxTile = 4096;         // elements; steps are called once a tile
constexpr int64_t kSlotBudget = 32 << 10;  // bytes of all slots: they should stay in L1
constexpr int64_t kRowBudget = 256 << 10;  // whole rows are worth going to L2 for
constexpr int64_t kDirectTile = 16384;     // elements, where no slot is needed
constexpr int64_t kMinColumns = 128;       // of a piece, where columns are shared out
constexpr int64_t kMinTaskWork = 1 << 16;  // additions' worth: below, a thread costs more

int64_t Product(absl::Span<const int64_t> dims, int first, int last) {
  int64_t product = 1;
  for (int i = first; i < last; ++i) product *= dims[i];
  return product;
}

TileOperand BoxOf(const TileProgram& program, DType dtype, TileExtent extent,
                  absl::Span<const int64_t> strides) {
  if (extent != TileExtent::kRow) return TileOperand(ByteSize(dtype), program.space(), strides);
  return TileOperand(ByteSize(dtype), WithoutReduced(program.space(), program.reduced()),
                     WithoutReduced(strides, program.reduced()));
}

// What computes the value `from`.
absl::Status FindFunctions(const TileProgram& program, const TileNode& from, PlanNode* node) {
  const DType of =
      from.num_inputs > 0 ? program.dtype(from.inputs[from.num_inputs - 1]) : from.dtype;
  const auto missing = [&](absl::string_view what) {
    return absl::UnimplementedError(
        absl::StrCat(what, " ", from.Name(), " in ", sluice::ToString(of)));
  };
  switch (from.kind) {
    case TileNode::Kind::kInput:
      return absl::OkStatus();
    case TileNode::Kind::kRandom:
      node->function.cost = from.distribution == Distribution::kNormal ? 24 : 8;
      return absl::OkStatus();
    case TileNode::Kind::kScalar: {
      const void* number = &from.number;
      FindConversion(DType::kF64, from.dtype)(&number, node->constant, 1, {});
      return absl::OkStatus();
    }
    case TileNode::Kind::kStep: {
      const TileFunction* function = FindTileFunction(from.step, of);
      if (function == nullptr) return missing("step");
      node->function = *function;
      return absl::OkStatus();
    }
    case TileNode::Kind::kConvert:
      node->kind = TileNode::Kind::kStep;
      node->function.fn = FindConversion(of, from.dtype);
      return absl::OkStatus();
    case TileNode::Kind::kReduce:
      node->reduce = FindReduce(from.reduce, of);
      node->reduce_columns = FindReduceColumns(from.reduce, of);
      if (node->reduce == nullptr) return missing("reduction");
      ReduceIdentity(from.reduce, of, node->constant);
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status TilePlan::Data::Read(const TileProgram& program) {
  text = program.ToString();
  space = program.space();
  reduced = program.reduced();
  nodes.reserve(program.nodes().size());
  for (const TileNode& from : program.nodes()) {
    PlanNode& node = nodes.emplace_back(PlanNode{from.kind, from.extent, from.dtype});
    std::copy_n(from.inputs, 3, node.inputs);
    node.num_inputs = from.num_inputs;
    node.params = from.params;
    node.operand = from.operand;
    node.distribution = from.distribution;
    node.stream = from.stream;
    if (from.operand >= 0) {
      // What is one element for all points is a box that says so, over rows or all.
      const bool rows = from.extent == TileExtent::kRow;
      node.box =
          BoxOf(program, from.dtype, rows ? TileExtent::kRow : TileExtent::kFull, from.strides);
    }
    if (absl::Status s = FindFunctions(program, from, &node); !s.ok()) return s;
  }
  for (const TileOutput& out : program.outputs()) {
    const TileExtent extent = nodes[out.value].extent;
    outputs.push_back({out.value, out.dtype, BoxOf(program, out.dtype, extent, out.strides)});
  }
  return absl::OkStatus();
}

size_t TilePlan::Data::widest() const {
  size_t bytes = 1;
  for (const PlanNode& n : nodes) bytes = std::max(bytes, ByteSize(n.dtype));
  return bytes;
}

void TilePlan::Data::ChooseMode() {
  const int rank = static_cast<int>(space.size());
  const bool reduces = std::any_of(nodes.begin(), nodes.end(),
                                   [](const PlanNode& n) { return n.extent == TileExtent::kRow; });
  if (!reduces) {
    outer = Product(space, 0, rank);
    row = inner = 1;
    mode = Mode::kRows;
    return;
  }
  outer = Product(space, 0, reduced.first);
  row = Product(space, reduced.first, reduced.last);
  inner = Product(space, reduced.last, rank);
  if (row == 1) {
    outer *= inner;
    inner = 1;
  }
  const int64_t row_bytes = row * static_cast<int64_t>(nodes.size() * widest());
  mode = inner > 1                                    ? Mode::kColumns
         : row <= kMaxTile || row_bytes <= kRowBudget ? Mode::kRows
                                                      : Mode::kLongRow;
}

// Which values each sweep computes: those that its reductions, or the outputs in the last one,
// depend on.
void TilePlan::Data::PlanSweeps() {
  for (PlanNode& n : nodes) {
    n.sweep = 0;
    if (mode == Mode::kRows) continue;
    for (int k = 0; k < n.num_inputs; ++k) n.sweep = std::max(n.sweep, nodes[n.inputs[k]].sweep);
    // A reduction runs in the sweep of its input and is there from the next on.
    if (n.kind == TileNode::Kind::kReduce) ++n.sweep;
  }
  int last = 0;
  bool full_output = false;
  for (const PlanOutput& out : outputs) full_output |= nodes[out.value].extent != TileExtent::kRow;
  for (const PlanNode& n : nodes) last = std::max(last, n.sweep);
  // Row outputs alone need no sweep after the last reduction.
  sweeps = mode == Mode::kRows ? 1 : last + (full_output || last == 0 ? 1 : 0);
  std::vector<bool> live(nodes.size(), false);
  for (const PlanOutput& out : outputs) live[out.value] = true;
  for (size_t id = nodes.size(); id-- > 0;) {
    for (int k = 0; live[id] && k < nodes[id].num_inputs; ++k) live[nodes[id].inputs[k]] = true;
  }
  full_nodes.assign(sweeps, {});
  row_nodes.assign(sweeps + 1, {});
  for (int s = 0; s < sweeps; ++s) {
    std::vector<bool> needed(nodes.size(), false);
    for (const PlanOutput& out : outputs) needed[out.value] = s + 1 == sweeps;
    for (int id = static_cast<int>(nodes.size()) - 1; id >= 0; --id) {
      const PlanNode& n = nodes[id];
      if (!live[id]) continue;
      const bool runs = mode == Mode::kRows ? n.extent != TileExtent::kOne
                        : n.kind == TileNode::Kind::kReduce
                            ? n.sweep == s + 1
                            : n.extent == TileExtent::kFull && needed[id];
      if (!runs) continue;
      for (int k = 0; k < n.num_inputs; ++k) needed[n.inputs[k]] = true;
      full_nodes[s].push_back(id);
    }
    std::reverse(full_nodes[s].begin(), full_nodes[s].end());
  }
  if (mode == Mode::kRows) return;
  for (int id = 0; id < static_cast<int>(nodes.size()); ++id) {
    const PlanNode& n = nodes[id];
    if (live[id] && n.extent == TileExtent::kRow && n.kind != TileNode::Kind::kReduce) {
      row_nodes[std::min(n.sweep, sweeps)].push_back(id);
    }
  }
}

// A step may write where its result goes, if that lies like a tile, is all of it, and is computed
// in the last sweep only.
void TilePlan::Data::AssignDirectOutputs() {
  for (size_t i = 0; i < outputs.size(); ++i) {
    PlanNode& n = nodes[outputs[i].value];
    bool once = true;
    for (int s = 0; s + 1 < sweeps; ++s) {
      once &= std::count(full_nodes[s].begin(), full_nodes[s].end(), outputs[i].value) == 0;
    }
    if (n.kind == TileNode::Kind::kStep && n.extent == TileExtent::kFull && once &&
        outputs[i].box.contiguous() && n.direct_output < 0) {
      n.direct_output = static_cast<int>(i);
    } else {
      stored_outputs.push_back(static_cast<int>(i));
    }
  }
}

// Slots for everything but contiguous inputs and direct results. Where a tile is gone through once,
// a step takes over the slot of a value that it is the last to read.
void TilePlan::Data::AssignSlots() {
  const int count = static_cast<int>(nodes.size());
  std::vector<int> last_use(count, -1);
  for (int id = 0; id < count; ++id) {
    for (int k = 0; k < nodes[id].num_inputs; ++k) last_use[nodes[id].inputs[k]] = id;
  }
  for (const PlanOutput& out : outputs) last_use[out.value] = count;
  std::vector<int> free;
  slots = 0;
  for (int id = 0; id < count; ++id) {
    PlanNode& n = nodes[id];
    std::vector<int> freed;
    for (int k = 0; mode == Mode::kRows && k < n.num_inputs; ++k) {
      const PlanNode& in = nodes[n.inputs[k]];
      const bool made = in.kind == TileNode::Kind::kStep || in.kind == TileNode::Kind::kRandom;
      const bool passing = made && in.extent == TileExtent::kFull;
      const bool again =
          (k > 0 && n.inputs[0] == n.inputs[k]) || (k > 1 && n.inputs[1] == n.inputs[k]);
      if (passing && in.slot >= 0 && last_use[n.inputs[k]] == id && !again) {
        // Steps may write over an operand of the same element size.
        const bool fits = n.kind == TileNode::Kind::kStep && n.extent == TileExtent::kFull &&
                          ByteSize(in.dtype) == ByteSize(n.dtype);
        (fits ? free : freed).push_back(in.slot);
      }
    }
    const bool direct = n.direct_output >= 0 ||
                        (n.kind == TileNode::Kind::kInput && n.box.contiguous()) ||
                        n.kind == TileNode::Kind::kScalar;
    if (!direct) {
      const bool reusable = n.kind == TileNode::Kind::kStep && n.extent == TileExtent::kFull;
      if (reusable && !free.empty()) {
        n.slot = free.back();
        free.pop_back();
      } else {
        n.slot = slots++;
      }
    }
    free.insert(free.end(), freed.begin(), freed.end());
  }
  // Values that may be one element, repeated, in some tile: stretched where a step needs them all.
  std::vector<bool> single(count);
  for (int id = 0; id < count; ++id) {
    PlanNode& n = nodes[id];
    single[id] =
        n.extent != TileExtent::kFull || (n.kind == TileNode::Kind::kInput && !n.box.contiguous());
    if (!single[id] && n.kind == TileNode::Kind::kStep) {
      single[id] = true;
      for (int k = 0; k < n.num_inputs; ++k) single[id] = single[id] && single[n.inputs[k]];
    }
    if (single[id] && last_use[id] >= 0) n.filled_slot = slots++;
  }
}

void TilePlan::Data::PlanTiles(int threads) {
  const int64_t width = static_cast<int64_t>(widest());
  tile = slots == 0 ? kDirectTile
                    : std::clamp<int64_t>(kSlotBudget / (slots * width) / 64 * 64, 256, kMaxTile);
  const int64_t total = outer * row * inner;
  const auto full_inputs = [this](auto&& visit) {
    for (PlanNode& n : nodes) {
      if (n.kind == TileNode::Kind::kInput && n.extent == TileExtent::kFull) visit(n);
    }
  };
  if (mode == Mode::kRows && row > 1) {
    rows_per_tile = std::max<int64_t>(1, tile / row);
    tile = rows_per_tile * row;
    block = outer;
    full_inputs([this](PlanNode& n) {
      const int64_t period = n.box.period();
      n.keep = period > 0 && row % period == 0;
    });
  } else if (mode == Mode::kRows) {
    // Tiles begin where broadcast operands begin anew, so that those lie still or are one element.
    block = outer;
    full_inputs([this](PlanNode& n) {
      const int64_t period = n.box.period(), run = n.box.repeated_run();
      if (period > 0 && period <= tile) tile = tile / period * period;
      if (run >= 256) block = std::min(block, run);
    });
    full_inputs([this](PlanNode& n) {
      const int64_t period = n.box.period();
      n.keep = period > 0 && tile % period == 0 && block % period == 0;
    });
    rows_per_tile = tile;
  } else if (mode == Mode::kColumns) {
    // Pieces for all threads, as long as each is some cache lines wide.
    const bool few = inner < 2 * kMinColumns;
    const int64_t pieces = few ? 1 : std::max<int64_t>(1, threads / std::max<int64_t>(outer, 1));
    const int64_t each = std::max((inner / pieces + 15) / 16 * 16, kMinColumns);
    rows_per_tile = std::min({tile, each, (inner + 15) / 16 * 16});
    if (rows_per_tile >= inner)
      chunk = std::clamp<int64_t>(tile / inner, 1, std::max<int64_t>(row, 1));
    tile = std::max(rows_per_tile, chunk * inner);
    block = inner;
  } else {
    block = rows_per_tile = 1;
  }
  tiles_per_block = std::max<int64_t>(1, (block + rows_per_tile - 1) / rows_per_tile);
  const int64_t all_rows = outer * inner;
  units = block == 0 ? 0 : all_rows / block * tiles_per_block;
  slot_bytes = (static_cast<size_t>(tile) * width + 127) / 64 * 64;
  int64_t cost = 0;
  for (const auto& sweep : full_nodes) {
    for (int id : sweep) cost += std::max(1, nodes[id].function.cost);
  }
  const double work = static_cast<double>(total) * static_cast<double>(std::max<int64_t>(cost, 1));
  max_tasks = static_cast<int>(
      std::clamp<double>(std::min(work / kMinTaskWork, static_cast<double>(units)), 1, threads));
}

// An output may take the place of a contiguous input that nothing reads after the step that writes
// the output.
void TilePlan::Data::FindInPlace() {
  const int count = static_cast<int>(nodes.size());
  for (size_t o = 0; o < outputs.size(); ++o) {
    const PlanNode& value = nodes[outputs[o].value];
    if (value.extent != TileExtent::kFull || !outputs[o].box.contiguous()) continue;
    const int written = value.direct_output == static_cast<int>(o) ? outputs[o].value : count;
    for (int id = 0; id < count; ++id) {
      const PlanNode& in = nodes[id];
      if (in.kind != TileNode::Kind::kInput || in.extent != TileExtent::kFull ||
          !in.box.contiguous() || ByteSize(in.dtype) != ByteSize(outputs[o].dtype)) {
        continue;
      }
      int last_read = id;
      for (int k = id + 1; k < count; ++k) {
        for (int j = 0; j < nodes[k].num_inputs; ++j) {
          if (nodes[k].inputs[j] == id) last_read = k;
        }
      }
      for (size_t p = 0; p < outputs.size(); ++p) {
        if (p != o && outputs[p].value == id) last_read = count + 1;
      }
      if (last_read <= written) in_place.emplace_back(static_cast<int>(o), in.operand);
    }
  }
}

// One step over whole operands needs no tiles.
void TilePlan::Data::FindLoneStep() {
  if (outputs.size() != 1 || mode != Mode::kRows || row != 1) return;
  const PlanNode& n = nodes[outputs[0].value];
  if (n.direct_output != 0) return;
  int stretched = 0;
  for (int k = 0; k < n.num_inputs; ++k) {
    const PlanNode& in = nodes[n.inputs[k]];
    const bool operand = in.kind == TileNode::Kind::kInput || in.kind == TileNode::Kind::kScalar;
    if (!operand) return;
    if (in.extent == TileExtent::kOne) {
      ++stretched;
      if (k > 1 || (k == 0 ? n.function.scalar0 : n.function.scalar1) == nullptr) return;
    } else if (in.extent != TileExtent::kFull || !in.box.contiguous()) {
      return;
    }
  }
  if (stretched <= 1) lone_step = outputs[0].value;
}

TilePlan::TilePlan(std::unique_ptr<Data> data) : data_(std::move(data)) {}
TilePlan::TilePlan(TilePlan&&) noexcept = default;
TilePlan& TilePlan::operator=(TilePlan&&) noexcept = default;
TilePlan::~TilePlan() = default;

absl::StatusOr<TilePlan> TilePlan::Make(const TileProgram& program, int threads) {
  if (!program.status().ok()) return program.status();
  if (program.outputs().empty()) {
    return absl::InvalidArgumentError("a tile program without outputs");
  }
  auto plan = std::make_unique<Data>();
  if (absl::Status s = plan->Read(program); !s.ok()) return s;
  plan->ChooseMode();
  plan->PlanSweeps();
  plan->AssignDirectOutputs();
  plan->AssignSlots();
  plan->PlanTiles(std::max(threads, 1));
  plan->FindInPlace();
  plan->FindLoneStep();
  return TilePlan(std::move(plan));
}

size_t TilePlan::scratch_bytes() const {
  if (data_->lone_step >= 0) return 0;
  return static_cast<size_t>(data_->max_tasks) * data_->slots * data_->slot_bytes;
}

std::vector<std::pair<int, int>> TilePlan::in_place() const { return data_->in_place; }

const std::string& TilePlan::ToString() const { return data_->text; }

}  // namespace sluice::cpu
