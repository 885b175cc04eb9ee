#include "kernels/tile/program.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace sluice {
namespace {

template <typename... Args>
absl::Status Invalid(const Args&... args) {
  return absl::InvalidArgumentError(absl::StrCat(args...));
}

bool Computes(DType dtype) { return dtype != DType::kInvalid && dtype != DType::kString; }

// One element for all points, of more than one.
bool LiesStill(absl::Span<const int64_t> dims, absl::Span<const int64_t> strides) {
  bool many = false;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 1) continue;
    if (strides[i] != 0) return false;
    many = true;
  }
  return many;
}

}  // namespace

std::string TileNode::Name() const {
  switch (kind) {
    case Kind::kStep:
      return TileStepName(step);
    case Kind::kConvert:
      return std::string(sluice::ToString(dtype));
    case Kind::kReduce:
      return ReduceOpName(reduce);
    case Kind::kRandom:
      return distribution == Distribution::kNormal ? "normal" : "uniform";
    case Kind::kInput:
    case Kind::kScalar:
      return "";
  }
  return "";
}

TileProgram::TileProgram(Dims space, Range reduced) : space_(std::move(space)), reduced_(reduced) {
  const int rank = static_cast<int>(space_.size());
  if (reduced.first < 0 || reduced.last < reduced.first || reduced.last > rank) {
    Fail(Invalid("tile program over ", rank, " extents, reduced from ", reduced.first, " to ",
                 reduced.last));
    return;
  }
  if (absl::StatusOr<int64_t> n = ElementCount(space_, 8); !n.ok()) Fail(n.status());
}

TileProgram::ValueId TileProgram::Fail(absl::Status s) {
  if (status_.ok()) status_ = std::move(s);
  return -1;
}

TileProgram::ValueId TileProgram::Add(TileNode node) {
  if (nodes_.size() == static_cast<size_t>(kMaxNodes)) {
    return Fail(absl::UnimplementedError(
        absl::StrCat("a tile program of more than ", kMaxNodes, " steps")));
  }
  if (!status_.ok()) return -1;
  nodes_.push_back(std::move(node));
  return static_cast<int>(nodes_.size()) - 1;
}

void TileProgram::Place(TileNode* node, absl::Span<const int64_t> strides) const {
  bool row = reduced_.last > reduced_.first;
  for (int i = reduced_.first; i < reduced_.last; ++i) row &= strides[i] == 0;
  node->extent = row ? TileExtent::kRow : TileExtent::kFull;
  const bool still =
      row ? LiesStill(WithoutReduced(space_, reduced_), WithoutReduced(strides, reduced_))
          : LiesStill(space_, strides);
  if (still) node->extent = TileExtent::kOne;
  node->strides.assign(strides.begin(), strides.end());
}

TileProgram::ValueId TileProgram::Input(DType dtype, absl::Span<const int64_t> strides) {
  return Convert(InputAsStored(dtype, strides), ComputeType(dtype));
}

TileProgram::ValueId TileProgram::InputAsStored(DType dtype, absl::Span<const int64_t> strides) {
  const int operand = static_cast<int>(input_dtypes_.size());
  input_dtypes_.push_back(dtype);
  if (!status_.ok()) return -1;
  if (strides.size() != space_.size() || !Computes(dtype)) {
    return Fail(Invalid("input ", operand, " of a tile program: ", sluice::ToString(dtype),
                        " with ", strides.size(), " strides over ", space_.size(), " extents"));
  }
  TileNode node{.kind = TileNode::Kind::kInput, .dtype = dtype, .operand = operand};
  Place(&node, strides);
  return Add(std::move(node));
}

TileProgram::ValueId TileProgram::Random(Distribution distribution, ValueId key, uint64_t stream,
                                         DType dtype, absl::Span<const int64_t> strides) {
  if (!status_.ok()) return -1;
  const bool keyed =
      ok(key) && nodes_[key].kind == TileNode::Kind::kInput && nodes_[key].dtype == DType::kU64;
  const bool floats = dtype == DType::kF32 || dtype == DType::kF64;
  if (!keyed || !floats || strides.size() != space_.size()) {
    return Fail(Invalid("random numbers of a tile program: ", sluice::ToString(dtype), " with ",
                        strides.size(), " strides over ", space_.size(), " extents, and value ",
                        key, " as the key"));
  }
  TileNode node{.kind = TileNode::Kind::kRandom,
                .dtype = dtype,
                .operand = nodes_[key].operand,
                .distribution = distribution,
                .stream = stream};
  Place(&node, strides);
  return Add(std::move(node));
}

TileProgram::ValueId TileProgram::Scalar(DType dtype, double number) {
  if (!Computes(dtype)) return Fail(Invalid("a scalar of ", sluice::ToString(dtype)));
  return Add({.kind = TileNode::Kind::kScalar, .dtype = dtype, .number = number});
}

TileProgram::ValueId TileProgram::Step(TileStep step, std::initializer_list<ValueId> inputs,
                                       TileParams params) {
  if (!status_.ok()) return -1;
  const char* name = TileStepName(step);
  TileNode node{.kind = TileNode::Kind::kStep, .step = step, .params = params};
  if (static_cast<int>(inputs.size()) != TileStepInputs(step)) {
    return Fail(
        Invalid("step ", name, " of a tile program takes ", TileStepInputs(step), " values"));
  }
  for (ValueId id : inputs) {
    if (!ok(id)) return Fail(Invalid("step ", name, " of a tile program reads value ", id));
    const TileNode& in = nodes_[id];
    const bool condition = step == TileStep::kWhere && node.num_inputs == 0;
    const DType wanted = condition || node.dtype == DType::kInvalid ? in.dtype : node.dtype;
    if (in.dtype != wanted || (condition && in.dtype != DType::kBool)) {
      return Fail(Invalid("step ", name, " of a tile program mixes ", sluice::ToString(in.dtype),
                          " and others"));
    }
    if (!condition) node.dtype = in.dtype;
    node.extent = std::max(node.extent, in.extent);
    node.inputs[node.num_inputs++] = id;
  }
  node.dtype = TileStepResult(step, node.dtype);
  return Add(std::move(node));
}

TileProgram::ValueId TileProgram::Convert(ValueId value, DType to) {
  if (!status_.ok()) return -1;
  if (!ok(value)) return Fail(Invalid("a conversion reads value ", value));
  const DType from = nodes_[value].dtype;
  if (from == to) return value;
  if (!Computes(to)) return Fail(Invalid("a conversion to ", sluice::ToString(to)));
  // Through f32, whose conversions from and to 16 bits are fast.
  const auto half = [](DType d) { return d == DType::kF16 || d == DType::kBF16; };
  if (half(from) && to != DType::kF32) value = Convert(value, DType::kF32);
  // But not what f32 would round a first time.
  const bool rounds = from == DType::kF64 || (to == DType::kBF16 && ByteSize(from) >= 4);
  if (half(to) && from != DType::kF32 && !rounds) value = Convert(value, DType::kF32);
  if (!status_.ok()) return -1;
  TileNode node{.kind = TileNode::Kind::kConvert,
                .extent = nodes_[value].extent,
                .dtype = to,
                .num_inputs = 1};
  node.inputs[0] = value;
  return Add(std::move(node));
}

TileProgram::ValueId TileProgram::Reduce(ReduceOp op, ValueId value) {
  if (!status_.ok()) return -1;
  if (!ok(value)) return Fail(Invalid("reduction ", ReduceOpName(op), " reads ", value));
  TileNode node{.kind = TileNode::Kind::kReduce,
                .extent = TileExtent::kRow,
                .dtype = nodes_[value].dtype,
                .num_inputs = 1,
                .reduce = op};
  node.inputs[0] = value;
  return Add(std::move(node));
}

void TileProgram::Output(ValueId value, DType dtype, absl::Span<const int64_t> strides) {
  if (!status_.ok()) return;
  if (!ok(value) || strides.size() != space_.size()) {
    Fail(Invalid("output ", outputs_.size(), " of a tile program writes value ", value, " with ",
                 strides.size(), " strides over ", space_.size(), " extents"));
    return;
  }
  const ValueId converted = Convert(value, dtype);
  if (converted < 0) return;
  outputs_.push_back({converted, dtype, Dims(strides.begin(), strides.end())});
}

DType TileProgram::dtype(ValueId value) const {
  return ok(value) ? nodes_[value].dtype : DType::kInvalid;
}

std::string TileProgram::ToString() const {
  std::vector<std::string> names;
  for (const TileNode& n : nodes_) {
    if (std::string name = n.Name(); !name.empty()) names.push_back(std::move(name));
  }
  return absl::StrCat("tile[", absl::StrJoin(names, " "), "]");
}

std::string TileProgram::Text() const {
  const auto list = [](absl::Span<const int64_t> values) {
    return absl::StrCat("[", absl::StrJoin(values, ","), "]");
  };
  std::string text = absl::StrCat("tile ", list(space_));
  if (reduced_.last > reduced_.first)
    absl::StrAppend(&text, " reduce ", reduced_.first, "..", reduced_.last);
  absl::StrAppend(&text, " {\n");
  for (size_t id = 0; id < nodes_.size(); ++id) {
    const TileNode& n = nodes_[id];
    const absl::string_view dtype = sluice::ToString(n.dtype);
    absl::StrAppend(&text, "  %", id, " = ");
    switch (n.kind) {
      case TileNode::Kind::kInput:
        absl::StrAppend(&text, "input ", n.operand, " ", dtype, " ", list(n.strides));
        break;
      case TileNode::Kind::kRandom:
        absl::StrAppend(&text, n.Name(), " key ", n.operand, " stream ", n.stream, " ", dtype, " ",
                        list(n.strides));
        break;
      case TileNode::Kind::kScalar:
        absl::StrAppend(&text, n.number, " ", dtype);
        break;
      case TileNode::Kind::kStep:
      case TileNode::Kind::kConvert:
      case TileNode::Kind::kReduce:
        absl::StrAppend(&text, n.Name());
        for (int k = 0; k < n.num_inputs; ++k) absl::StrAppend(&text, " %", n.inputs[k]);
        if (n.params.a != 0 || n.params.b != 0)
          absl::StrAppend(&text, " (", n.params.a, ", ", n.params.b, ")");
        absl::StrAppend(&text, " : ", dtype);
        break;
    }
    if (n.extent == TileExtent::kRow) absl::StrAppend(&text, " row");
    if (n.extent == TileExtent::kOne && n.kind != TileNode::Kind::kScalar)
      absl::StrAppend(&text, " one");
    text += '\n';
  }
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const TileOutput& out = outputs_[i];
    absl::StrAppend(&text, "  output ", i, " ", sluice::ToString(out.dtype), " ", list(out.strides),
                    " = %", out.value, "\n");
  }
  return text + "}\n";
}

Dims WithoutReduced(absl::Span<const int64_t> all, TileProgram::Range reduced) {
  Dims rest(all.begin(), all.begin() + reduced.first);
  rest.insert(rest.end(), all.begin() + reduced.last, all.end());
  return rest;
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

}  // namespace sluice
