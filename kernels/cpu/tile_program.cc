#include "kernels/cpu/tile_program.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "kernels/cpu/tile_program_impl.h"

namespace sluice::cpu {
namespace {

constexpr int64_t kMaxTile = 4096;         // elements; steps are called once a tile
constexpr int64_t kSlotBudget = 32 << 10;  // bytes of all slots: they should stay in L1
constexpr int64_t kRowBudget = 256 << 10;  // whole rows are worth going to L2 for
constexpr int64_t kDirectTile = 16384;     // elements, where no slot is needed
constexpr int64_t kMinColumns = 128;       // of a piece, where columns are shared out
constexpr int64_t kMinTaskWork = 1 << 16;  // additions' worth: below, a thread costs more

const char* const kStepNames[] = {
    "abs",       "neg",          "sign",  "floor",     "ceil",      "round",       "sqrt",
    "powhalf",   "powminushalf", "recip", "square",    "exp",       "log",         "sin",
    "cos",       "tan",          "asin",  "acos",      "atan",      "sinh",        "cosh",
    "tanh",      "asinh",        "acosh", "atanh",     "erf",       "sigmoid",     "relu",
    "leakyrelu", "elu",          "selu",  "celu",      "threshold", "hardsigmoid", "hardswish",
    "softplus",  "softsign",     "gelu",  "gelutanh",  "mish",      "swish",       "shrink",
    "not",       "bitnot",       "isnan", "isinf",     "add",       "sub",         "mul",
    "div",       "mod",          "fmod",  "pow",       "max",       "min",         "prelu",
    "and",       "or",           "xor",   "bitand",    "bitor",     "bitxor",      "shl",
    "shr",       "equal",        "less",  "lessequal", "where"};
static_assert(sizeof(kStepNames) / sizeof(kStepNames[0]) == static_cast<size_t>(StepOp::kCount));

const char* const kReduceNames[] = {"sum", "prod", "rmax", "rmin"};

int64_t Product(absl::Span<const int64_t> dims, int first, int last) {
  int64_t product = 1;
  for (int i = first; i < last; ++i) product *= dims[i];
  return product;
}

// The extents or strides outside the reduced range.
Dims WithoutReduced(absl::Span<const int64_t> all, TileProgram::Range reduced) {
  Dims rest(all.begin(), all.begin() + reduced.first);
  rest.insert(rest.end(), all.begin() + reduced.last, all.end());
  return rest;
}

}  // namespace

TileProgram::TileProgram(Dims space, Range reduced) : impl_(std::make_unique<Impl>()) {
  const int rank = static_cast<int>(space.size());
  impl_->space = std::move(space);
  impl_->reduced = reduced;
  if (reduced.first < 0 || reduced.last < reduced.first || reduced.last > rank) {
    impl_->Fail(absl::InvalidArgumentError(absl::StrCat("tile program over ", rank,
                                                        " extents, reduced from ", reduced.first,
                                                        " to ", reduced.last)));
    return;
  }
  if (absl::StatusOr<int64_t> n = ElementCount(impl_->space, 8); !n.ok()) impl_->Fail(n.status());
}
TileProgram::TileProgram(TileProgram&&) noexcept = default;
TileProgram& TileProgram::operator=(TileProgram&&) noexcept = default;
TileProgram::~TileProgram() = default;

int TileProgram::Impl::Add(TileNode node) {
  if (static_cast<int>(nodes.size()) == kMaxTileNodes) {
    Fail(absl::UnimplementedError(
        absl::StrCat("a tile program of more than ", kMaxTileNodes, " steps")));
  }
  if (!status.ok()) return -1;
  nodes.push_back(std::move(node));
  return static_cast<int>(nodes.size()) - 1;
}

TileProgram::ValueId TileProgram::Input(DType dtype, absl::Span<const int64_t> strides) {
  return Convert(InputAsStored(dtype, strides), ComputeType(dtype));
}

TileProgram::ValueId TileProgram::InputAsStored(DType dtype, absl::Span<const int64_t> strides) {
  const int operand = static_cast<int>(impl_->input_dtypes.size());
  impl_->input_dtypes.push_back(dtype);
  if (!impl_->status.ok()) return -1;
  if (strides.size() != impl_->space.size() || FindConversion(dtype, dtype) == nullptr) {
    impl_->Fail(absl::InvalidArgumentError(
        absl::StrCat("input ", operand, " of a tile program: ", sluice::ToString(dtype), " with ",
                     strides.size(), " strides over ", impl_->space.size(), " extents")));
    return -1;
  }
  TileNode node(TileNode::Kind::kInput, Extent::kFull, dtype);
  node.operand = operand;
  impl_->Place(&node, strides);
  return impl_->Add(std::move(node));
}

void TileProgram::Impl::Place(TileNode* node, absl::Span<const int64_t> strides) const {
  bool row = reduced.last > reduced.first;
  for (int i = reduced.first; i < reduced.last; ++i) row &= strides[i] == 0;
  if (row) {
    node->extent = Extent::kRow;
    node->box = TileOperand(ByteSize(node->dtype), WithoutReduced(space, reduced),
                            WithoutReduced(strides, reduced));
  } else {
    node->box = TileOperand(ByteSize(node->dtype), space, strides);
  }
  if (node->box.scalar()) node->extent = Extent::kOne;
}

TileProgram::ValueId TileProgram::Random(Distribution distribution, ValueId key, uint64_t stream,
                                         DType dtype, absl::Span<const int64_t> strides) {
  if (!impl_->status.ok()) return -1;
  const bool keyed = impl_->ok(key) && impl_->nodes[key].kind == TileNode::Kind::kInput &&
                     impl_->nodes[key].dtype == DType::kU64;
  const bool floats = dtype == DType::kF32 || dtype == DType::kF64;
  if (!keyed || !floats || strides.size() != impl_->space.size()) {
    impl_->Fail(absl::InvalidArgumentError(absl::StrCat(
        "random numbers of a tile program: ", sluice::ToString(dtype), " with ", strides.size(),
        " strides over ", impl_->space.size(), " extents, and value ", key, " as the key")));
    return -1;
  }
  TileNode node(TileNode::Kind::kRandom, Extent::kFull, dtype);
  node.name = distribution == Distribution::kNormal ? "normal" : "uniform";
  node.operand = impl_->nodes[key].operand;
  node.distribution = distribution;
  node.stream = stream;
  node.step.cost = distribution == Distribution::kNormal ? 24 : 8;
  impl_->Place(&node, strides);
  return impl_->Add(std::move(node));
}

TileProgram::ValueId TileProgram::Scalar(DType dtype, double value) {
  TileNode node(TileNode::Kind::kScalar, Extent::kOne, dtype);
  const StepFn convert = FindConversion(DType::kF64, dtype);
  if (convert == nullptr) {
    impl_->Fail(absl::InvalidArgumentError(absl::StrCat("a scalar of ", sluice::ToString(dtype))));
    return -1;
  }
  const void* from = &value;
  convert(&from, node.constant, 1, {});
  return impl_->Add(std::move(node));
}

TileProgram::ValueId TileProgram::Step(StepOp op, std::initializer_list<ValueId> inputs,
                                       StepParams params) {
  if (!impl_->status.ok()) return -1;
  const char* name = kStepNames[static_cast<int>(op)];
  TileNode node(TileNode::Kind::kStep, Extent::kOne, DType::kInvalid);
  node.name = name;
  node.params = params;
  if (static_cast<int>(inputs.size()) != StepArity(op)) {
    impl_->Fail(absl::InvalidArgumentError(
        absl::StrCat("step ", name, " of a tile program takes ", StepArity(op), " values")));
    return -1;
  }
  for (ValueId id : inputs) {
    if (!impl_->ok(id)) {
      impl_->Fail(absl::InvalidArgumentError(
          absl::StrCat("step ", name, " of a tile program reads value ", id)));
      return -1;
    }
    const TileNode& in = impl_->nodes[id];
    const bool condition = op == StepOp::kWhere && node.num_inputs == 0;
    const DType wanted = condition || node.dtype == DType::kInvalid ? in.dtype : node.dtype;
    if (in.dtype != wanted || (condition && in.dtype != DType::kBool)) {
      impl_->Fail(absl::InvalidArgumentError(absl::StrCat(
          "step ", name, " of a tile program mixes ", sluice::ToString(in.dtype), " and others")));
      return -1;
    }
    if (!condition) node.dtype = in.dtype;
    node.extent = std::max(node.extent, in.extent);
    node.inputs[node.num_inputs++] = id;
  }
  const sluice::cpu::Step* step = FindStep(op, node.dtype);
  if (step == nullptr) {
    impl_->Fail(absl::UnimplementedError(
        absl::StrCat("step ", name, " in ", sluice::ToString(node.dtype))));
    return -1;
  }
  node.step = *step;
  node.dtype = StepResult(op, node.dtype);
  return impl_->Add(std::move(node));
}

TileProgram::ValueId TileProgram::Convert(ValueId value, DType to) {
  if (!impl_->status.ok()) return -1;
  if (!impl_->ok(value)) {
    impl_->Fail(absl::InvalidArgumentError(absl::StrCat("a conversion reads value ", value)));
    return -1;
  }
  const DType from = impl_->nodes[value].dtype;
  if (from == to) return value;
  // Through f32, whose conversions from and to 16 bits are fast.
  const auto half = [](DType d) { return d == DType::kF16 || d == DType::kBF16; };
  if (half(from) && to != DType::kF32) value = Convert(value, DType::kF32);
  // But not what f32 would round a first time.
  const bool rounds = from == DType::kF64 || (to == DType::kBF16 && ByteSize(from) >= 4);
  if (half(to) && from != DType::kF32 && !rounds) value = Convert(value, DType::kF32);
  if (!impl_->status.ok()) return -1;
  const StepFn fn = FindConversion(impl_->nodes[value].dtype, to);
  if (fn == nullptr) {
    impl_->Fail(absl::UnimplementedError(
        absl::StrCat("a conversion of ", sluice::ToString(from), " to ", sluice::ToString(to))));
    return -1;
  }
  TileNode node(TileNode::Kind::kStep, impl_->nodes[value].extent, to);
  node.name = std::string(sluice::ToString(to));
  node.inputs[0] = value;
  node.num_inputs = 1;
  node.step.fn = fn;
  return impl_->Add(std::move(node));
}

TileProgram::ValueId TileProgram::Reduce(ReduceOp op, ValueId value) {
  if (!impl_->status.ok()) return -1;
  const char* name = kReduceNames[static_cast<int>(op)];
  if (!impl_->ok(value)) {
    impl_->Fail(absl::InvalidArgumentError(absl::StrCat("reduction ", name, " reads ", value)));
    return -1;
  }
  const DType dtype = impl_->nodes[value].dtype;
  TileNode node(TileNode::Kind::kReduce, Extent::kRow, dtype);
  node.name = name;
  node.inputs[0] = value;
  node.num_inputs = 1;
  node.reduce = FindReduce(op, dtype);
  node.reduce_columns = FindReduceColumns(op, dtype);
  if (node.reduce == nullptr) {
    impl_->Fail(absl::UnimplementedError(
        absl::StrCat("reduction ", name, " in ", sluice::ToString(dtype))));
    return -1;
  }
  ReduceIdentity(op, dtype, node.constant);
  return impl_->Add(std::move(node));
}

void TileProgram::Output(ValueId value, DType dtype, absl::Span<const int64_t> strides) {
  if (!impl_->status.ok()) return;
  if (!impl_->ok(value) || strides.size() != impl_->space.size()) {
    impl_->Fail(absl::InvalidArgumentError(
        absl::StrCat("output ", impl_->outputs.size(), " of a tile program writes value ", value,
                     " with ", strides.size(), " strides over ", impl_->space.size(), " extents")));
    return;
  }
  const ValueId converted = Convert(value, dtype);
  if (converted < 0) return;
  TileOutput output{converted, dtype, Dims(strides.begin(), strides.end()), {}};
  if (impl_->nodes[converted].extent == Extent::kRow) {
    output.box = TileOperand(ByteSize(dtype), WithoutReduced(impl_->space, impl_->reduced),
                             WithoutReduced(strides, impl_->reduced));
  } else {
    output.box = TileOperand(ByteSize(dtype), impl_->space, strides);
  }
  impl_->outputs.push_back(std::move(output));
}

DType TileProgram::dtype(ValueId value) const {
  return impl_->ok(value) ? impl_->nodes[value].dtype : DType::kInvalid;
}

size_t TileProgram::Impl::widest() const {
  size_t bytes = 1;
  for (const TileNode& n : nodes) bytes = std::max(bytes, ByteSize(n.dtype));
  return bytes;
}

void TileProgram::Impl::ChooseMode() {
  const int rank = static_cast<int>(space.size());
  const bool reduces = std::any_of(nodes.begin(), nodes.end(),
                                   [](const TileNode& n) { return n.extent == Extent::kRow; });
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
void TileProgram::Impl::PlanSweeps() {
  for (TileNode& n : nodes) {
    n.sweep = 0;
    if (mode == Mode::kRows) continue;
    for (int k = 0; k < n.num_inputs; ++k) n.sweep = std::max(n.sweep, nodes[n.inputs[k]].sweep);
    // A reduction runs in the sweep of its input and is there from the next on.
    if (n.kind == TileNode::Kind::kReduce) ++n.sweep;
  }
  int last = 0;
  bool full_output = false;
  for (const TileOutput& out : outputs) full_output |= nodes[out.value].extent != Extent::kRow;
  for (const TileNode& n : nodes) last = std::max(last, n.sweep);
  // Row outputs alone need no sweep after the last reduction.
  sweeps = mode == Mode::kRows ? 1 : last + (full_output || last == 0 ? 1 : 0);
  std::vector<bool> live(nodes.size(), false);
  for (const TileOutput& out : outputs) live[out.value] = true;
  for (size_t id = nodes.size(); id-- > 0;) {
    for (int k = 0; live[id] && k < nodes[id].num_inputs; ++k) live[nodes[id].inputs[k]] = true;
  }
  full_nodes.assign(sweeps, {});
  row_nodes.assign(sweeps + 1, {});
  for (int s = 0; s < sweeps; ++s) {
    std::vector<bool> needed(nodes.size(), false);
    for (const TileOutput& out : outputs) needed[out.value] = s + 1 == sweeps;
    for (int id = static_cast<int>(nodes.size()) - 1; id >= 0; --id) {
      const TileNode& n = nodes[id];
      if (!live[id]) continue;
      const bool runs = mode == Mode::kRows ? n.extent != Extent::kOne
                        : n.kind == TileNode::Kind::kReduce
                            ? n.sweep == s + 1
                            : n.extent == Extent::kFull && needed[id];
      if (!runs) continue;
      for (int k = 0; k < n.num_inputs; ++k) needed[n.inputs[k]] = true;
      full_nodes[s].push_back(id);
    }
    std::reverse(full_nodes[s].begin(), full_nodes[s].end());
  }
  if (mode == Mode::kRows) return;
  for (int id = 0; id < static_cast<int>(nodes.size()); ++id) {
    const TileNode& n = nodes[id];
    if (live[id] && n.extent == Extent::kRow && n.kind != TileNode::Kind::kReduce) {
      row_nodes[std::min(n.sweep, sweeps)].push_back(id);
    }
  }
}

// A step may write where its result goes, if that lies like a tile, is all of it, and is computed
// in the last sweep only.
void TileProgram::Impl::AssignDirectOutputs() {
  for (size_t i = 0; i < outputs.size(); ++i) {
    TileNode& n = nodes[outputs[i].value];
    bool once = true;
    for (int s = 0; s + 1 < sweeps; ++s) {
      once &= std::count(full_nodes[s].begin(), full_nodes[s].end(), outputs[i].value) == 0;
    }
    if (n.kind == TileNode::Kind::kStep && n.extent == Extent::kFull && once &&
        outputs[i].box.contiguous() && n.direct_output < 0) {
      n.direct_output = static_cast<int>(i);
    } else {
      stored_outputs.push_back(static_cast<int>(i));
    }
  }
}

// Slots for everything but contiguous inputs and direct results. Where a tile is gone through once,
// a step takes over the slot of a value that it is the last to read.
void TileProgram::Impl::AssignSlots() {
  const int count = static_cast<int>(nodes.size());
  std::vector<int> last_use(count, -1);
  for (int id = 0; id < count; ++id) {
    for (int k = 0; k < nodes[id].num_inputs; ++k) last_use[nodes[id].inputs[k]] = id;
  }
  for (const TileOutput& out : outputs) last_use[out.value] = count;
  std::vector<int> free;
  slots = 0;
  for (int id = 0; id < count; ++id) {
    TileNode& n = nodes[id];
    std::vector<int> freed;
    for (int k = 0; mode == Mode::kRows && k < n.num_inputs; ++k) {
      const TileNode& in = nodes[n.inputs[k]];
      const bool made = in.kind == TileNode::Kind::kStep || in.kind == TileNode::Kind::kRandom;
      const bool passing = made && in.extent == Extent::kFull;
      const bool again =
          (k > 0 && n.inputs[0] == n.inputs[k]) || (k > 1 && n.inputs[1] == n.inputs[k]);
      if (passing && in.slot >= 0 && last_use[n.inputs[k]] == id && !again) {
        // Steps may write over an operand of the same element size.
        const bool fits = n.kind == TileNode::Kind::kStep && n.extent == Extent::kFull &&
                          ByteSize(in.dtype) == ByteSize(n.dtype);
        (fits ? free : freed).push_back(in.slot);
      }
    }
    const bool direct = n.direct_output >= 0 ||
                        (n.kind == TileNode::Kind::kInput && n.box.contiguous()) ||
                        n.kind == TileNode::Kind::kScalar;
    if (!direct) {
      const bool reusable = n.kind == TileNode::Kind::kStep && n.extent == Extent::kFull;
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
    TileNode& n = nodes[id];
    single[id] =
        n.extent != Extent::kFull || (n.kind == TileNode::Kind::kInput && !n.box.contiguous());
    if (!single[id] && n.kind == TileNode::Kind::kStep) {
      single[id] = true;
      for (int k = 0; k < n.num_inputs; ++k) single[id] = single[id] && single[n.inputs[k]];
    }
    if (single[id] && last_use[id] >= 0) n.filled_slot = slots++;
  }
}

void TileProgram::Impl::PlanTiles(int threads) {
  const int64_t width = static_cast<int64_t>(widest());
  tile = slots == 0 ? kDirectTile
                    : std::clamp<int64_t>(kSlotBudget / (slots * width) / 64 * 64, 256, kMaxTile);
  const int64_t total = outer * row * inner;
  const auto full_inputs = [this](auto&& visit) {
    for (TileNode& n : nodes) {
      if (n.kind == TileNode::Kind::kInput && n.extent == Extent::kFull) visit(n);
    }
  };
  if (mode == Mode::kRows && row > 1) {
    rows_per_tile = std::max<int64_t>(1, tile / row);
    tile = rows_per_tile * row;
    block = outer;
    full_inputs([this](TileNode& n) {
      const int64_t period = n.box.period();
      n.keep = period > 0 && row % period == 0;
    });
  } else if (mode == Mode::kRows) {
    // Tiles begin where broadcast operands begin anew, so that those lie still or are one element.
    block = outer;
    full_inputs([this](TileNode& n) {
      const int64_t period = n.box.period(), run = n.box.repeated_run();
      if (period > 0 && period <= tile) tile = tile / period * period;
      if (run >= 256) block = std::min(block, run);
    });
    full_inputs([this](TileNode& n) {
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
    for (int id : sweep) cost += std::max(1, nodes[id].step.cost);
  }
  const double work = static_cast<double>(total) * static_cast<double>(std::max<int64_t>(cost, 1));
  max_tasks = static_cast<int>(
      std::clamp<double>(std::min(work / kMinTaskWork, static_cast<double>(units)), 1, threads));
}

// An output may take the place of a contiguous input that nothing reads after the step that writes
// the output.
void TileProgram::Impl::FindInPlace() {
  const int count = static_cast<int>(nodes.size());
  for (size_t o = 0; o < outputs.size(); ++o) {
    const TileNode& value = nodes[outputs[o].value];
    if (value.extent != Extent::kFull || !outputs[o].box.contiguous()) continue;
    const int written = value.direct_output == static_cast<int>(o) ? outputs[o].value : count;
    for (int id = 0; id < count; ++id) {
      const TileNode& in = nodes[id];
      if (in.kind != TileNode::Kind::kInput || in.extent != Extent::kFull || !in.box.contiguous() ||
          ByteSize(in.dtype) != ByteSize(outputs[o].dtype)) {
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
void TileProgram::Impl::FindLoneStep() {
  if (outputs.size() != 1 || mode != Mode::kRows || row != 1) return;
  const TileNode& n = nodes[outputs[0].value];
  if (n.direct_output != 0) return;
  int stretched = 0;
  for (int k = 0; k < n.num_inputs; ++k) {
    const TileNode& in = nodes[n.inputs[k]];
    const bool operand = in.kind == TileNode::Kind::kInput || in.kind == TileNode::Kind::kScalar;
    if (!operand) return;
    if (in.extent == Extent::kOne) {
      ++stretched;
      if (k > 1 || (k == 0 ? n.step.scalar0 : n.step.scalar1) == nullptr) return;
    } else if (in.extent != Extent::kFull || !in.box.contiguous()) {
      return;
    }
  }
  if (stretched <= 1) lone_step = outputs[0].value;
}

absl::Status TileProgram::Finish(int threads) {
  Impl& p = *impl_;
  if (!p.status.ok()) return p.status;
  if (p.outputs.empty()) return absl::InvalidArgumentError("a tile program without outputs");
  p.ChooseMode();
  p.PlanSweeps();
  p.AssignDirectOutputs();
  p.AssignSlots();
  p.PlanTiles(std::max(threads, 1));
  p.FindInPlace();
  p.FindLoneStep();
  return absl::OkStatus();
}

size_t TileProgram::scratch_bytes() const {
  if (impl_->lone_step >= 0) return 0;
  return static_cast<size_t>(impl_->max_tasks) * impl_->slots * impl_->slot_bytes;
}

std::vector<std::pair<int, int>> TileProgram::in_place() const { return impl_->in_place; }

std::string TileProgram::ToString() const {
  std::string text = "tile[";
  for (const TileNode& n : impl_->nodes) {
    if (n.name.empty()) continue;
    if (text.back() != '[') text += ' ';
    text += n.name;
  }
  return text + "]";
}

Dims BroadcastStrides(absl::Span<const int64_t> dims, absl::Span<const int64_t> space) {
  Dims strides(space.size(), 0);
  int64_t stride = 1;
  for (size_t k = 0; k < dims.size() && k < space.size(); ++k) {
    const size_t i = dims.size() - 1 - k;
    strides[space.size() - 1 - k] = dims[i] == 1 ? 0 : stride;
    stride *= dims[i];
  }
  return strides;
}

}  // namespace sluice::cpu
