#include "passes/fuse_quantized.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "graph/patch.h"
#include "ops/quantized.h"
#include "passes/match.h"
#include "passes/post_op_chain.h"
#include "passes/product.h"
#include "passes/quantization.h"

namespace sluice {
namespace {

constexpr char kPass[] = "fuse_quantized";
using In = QuantizedInput;

// The quantized product that a node is, before steps are added.
struct Start {
  const char* op = nullptr;
  std::array<Value*, In::kOperands> inputs{};
  AttrList attrs;
  Value* output = nullptr;  // in f32; what steps follow. Null: the result is quantized already
};

// A step of the fused node: an op of the graph, or a constant that it is applied with.
struct Part {
  const PostOpDef* def;
  std::vector<float> params;
  Value* operand = nullptr;
  std::optional<float> number;  // in place of `operand`
};

// A place where the fused node may end.
struct End {
  Value* value;
  size_t parts = 0;                        // how many come before it
  std::optional<QuantizedValue> quantize;  // the quantizer that makes `value`
};

bool HasElements(const Value* v, int64_t count) {
  const std::optional<Dim> n =
      v->type().is_tensor() && v->type().has_shape() ? v->type().Elements() : std::nullopt;
  return n.has_value() && *n == Dim(count);
}

// One, or a vector along the axis that a product counts its output channels on.
bool FitsChannels(const QuantizedValue& w, int64_t channel_axis) {
  const std::optional<int> rank = RankOf(w.x);
  if (w.per_tensor) return true;
  return rank.has_value() && (w.axis < 0 ? w.axis + *rank : w.axis) == channel_axis;
}

absl::StatusOr<Start> FromDequantized(Node& node) {
  const std::optional<QuantizedValue> x = ReadDequantize(node.input(0)),
                                      w = ReadDequantize(node.input(1));
  if (!x.has_value() && !w.has_value()) return absl::NotFoundError("");
  if (!x.has_value() || !w.has_value()) {
    return absl::FailedPreconditionError(
        absl::StrCat("only one of its inputs is dequantized from 8 bits"));
  }
  if (!x->per_tensor) return absl::FailedPreconditionError("its input has several scales");
  const std::optional<int> rank = RankOf(w->x);
  if (!rank.has_value()) return absl::FailedPreconditionError("the rank of its weights is unknown");
  Start start;
  int64_t channel_axis = 0;
  Value* bias = node.input(2);
  if (node.Is("Conv")) {
    start.op = "QuantizedConv";
    start.attrs.assign(node.attrs().begin(), node.attrs().end());
  } else {
    start.op = "QuantizedMatMul";
    bool transposed = false;
    if (node.Is("Gemm")) {
      if (node.Float("alpha") != 1 || node.Int("transA") != 0 ||
          (bias != nullptr && node.Float("beta") != 1)) {
        return absl::FailedPreconditionError("its input is transposed, or it is scaled");
      }
      if (bias != nullptr && RankOf(bias) != 1) {
        return absl::FailedPreconditionError("its bias is no vector");
      }
      if (bias != nullptr && ProvablyDifferent(bias->type().dim(0), node.output()->type().dim(1))) {
        return absl::FailedPreconditionError("its bias is not one number a column");
      }
      transposed = node.Int("transB") != 0;
      if (transposed) start.attrs = {{"transpose_b", int64_t{1}}};
    }
    channel_axis = *rank < 2 ? 0 : *rank - (transposed ? 2 : 1);
  }
  if (!FitsChannels(*w, channel_axis)) {
    return absl::FailedPreconditionError("the scales of its weights are not by output channel");
  }
  start.inputs = {x->x, x->scale, x->zero, w->x, w->scale, w->zero, nullptr, nullptr, bias};
  start.output = node.output();
  return start;
}

// x_scale * w_scale, one of them constant, or one factor for both.
bool ReadFactor(GraphBuilder& b, Value* factor, Start* start) {
  Value *x = nullptr, *w = factor;
  if (Node* mul = ProducedBy(factor, "Mul")) {
    for (size_t i : {0, 1}) {
      if (HasElements(mul->input(i), 1) && mul->input(1 - i)->constant() != nullptr) {
        x = mul->input(i);
        w = mul->input(1 - i);
      }
    }
  }
  if (!HasElements(w, 1) && RankOf(w) != 1) return false;
  if (DTypeOf(w) != DType::kF32 || RankOf(w).value_or(2) > 1) return false;
  start->inputs[In::kXScale] = x != nullptr ? x : b.Scalar(1.0f);
  start->inputs[In::kWScale] = w;
  return DTypeOf(start->inputs[In::kXScale]) == DType::kF32;
}

absl::StatusOr<Start> FromInteger(GraphBuilder& b, Node& node) {
  Node* cast = OnlyUse(*node.output());
  if (cast == nullptr || !cast->Is("Cast") || DTypeOf(cast->output()) != DType::kF32) {
    return absl::FailedPreconditionError("its result is not cast to f32 alone");
  }
  Node* mul = OnlyUse(*cast->output());
  if (mul == nullptr || !mul->Is("Mul") || !SameType(*mul->output(), *cast->output())) {
    return absl::FailedPreconditionError("its result is not scaled alone");
  }
  const bool conv = node.Is("ConvInteger");
  Start start;
  start.op = conv ? "QuantizedConv" : "QuantizedMatMul";
  start.attrs.assign(node.attrs().begin(), node.attrs().end());
  start.inputs[In::kX] = node.input(0);
  start.inputs[In::kXZero] = node.input(2);
  start.inputs[In::kW] = node.input(1);
  start.inputs[In::kWZero] = node.input(3);
  Value* factor = mul->input(mul->input(0) == cast->output() ? 1 : 0);
  if (!ReadFactor(b, factor, &start) || (conv && !HasElements(start.inputs[In::kWScale], 1))) {
    return absl::FailedPreconditionError("its scale is neither one number nor one a column");
  }
  for (size_t i : {In::kXZero, In::kWZero}) {
    Value* zero = start.inputs[i];
    if (zero != nullptr && !HasElements(zero, 1) && (i == In::kXZero || RankOf(zero) != 1)) {
      return absl::FailedPreconditionError("it has a zero point for each row");
    }
  }
  start.output = mul->output();
  return start;
}

absl::StatusOr<Start> FromQLinear(GraphBuilder& b, Node& node) {
  const bool conv = node.Is("QLinearConv");
  Start start;
  start.op = conv ? "QuantizedConv" : "QuantizedMatMul";
  start.attrs.assign(node.attrs().begin(), node.attrs().end());
  for (size_t i = 0; i < In::kBias; ++i) start.inputs[i] = node.input(i);
  for (size_t i : {In::kXScale, In::kXZero, In::kYScale, In::kYZero}) {
    if (!HasElements(node.input(i), 1)) {
      return absl::FailedPreconditionError("it has several scales, or zero points, for x or y");
    }
  }
  for (size_t i : {In::kXScale, In::kWScale, In::kYScale}) {
    if (DTypeOf(node.input(i)) != DType::kF32) {
      return absl::FailedPreconditionError("its scales are not f32");
    }
  }
  for (size_t i : {In::kWScale, In::kWZero}) {
    if (!HasElements(node.input(i), 1) && RankOf(node.input(i)) != 1) {
      return absl::FailedPreconditionError("its weights have scales by batch");
    }
  }
  if (Value* bias = node.input(In::kBias); bias != nullptr) {
    // In integers, of scale x_scale * w_scale.
    Value* scale = b.Op("Mul", {node.input(In::kXScale), node.input(In::kWScale)});
    Value* number = b.Op("Cast", {bias}, {{"to", DType::kF32}});
    start.inputs[In::kBias] = b.Op("Mul", {number, scale});
  }
  return start;
}

absl::StatusOr<Tensor> LessHalf(const Tensor& from) {
  absl::StatusOr<Tensor> to = Tensor::Allocate(DType::kI8, from.dims());
  if (!to.ok()) return to;
  for (int64_t i = 0; i < from.elements(); ++i) {
    to->mutable_data<int8_t>()[i] = static_cast<int8_t>(from.data<uint8_t>()[i] - 128);
  }
  return to;
}

// Signed weights, which mean the same with their zero point moved along; zero points of 0 left out.
void MakeSigned(GraphBuilder& b, Start* start) {
  Value *&w = start->inputs[In::kW], *&zero = start->inputs[In::kWZero];
  if (DTypeOf(w) == DType::kU8 && w->constant() != nullptr && zero != nullptr &&
      zero->constant() != nullptr) {
    absl::StatusOr<Tensor> weights = LessHalf(*w->constant()), moved = LessHalf(*zero->constant());
    if (!weights.ok() || !moved.ok()) return;
    w = b.Constant(*std::move(weights));
    zero = IsFilledWith(zero, 128) ? nullptr : b.Constant(*std::move(moved));
  }
  for (size_t i : {In::kXZero, In::kWZero}) {
    if (start->inputs[i] != nullptr && IsFilledWith(start->inputs[i], 0)) {
      start->inputs[i] = nullptr;
    }
  }
}

// What follows a product in f32: parts, and where it may end.
struct Rest {
  std::vector<Part> parts;
  std::vector<End> ends;
  std::string stop;  // why nothing more is taken; empty: it is just something else
};

// Rounding to 8 bits and back, as steps.
void AddRounding(const QuantizedRange& range, std::vector<Part>* parts) {
  const float low = static_cast<float>(range.low - range.zero),
              high = static_cast<float>(range.high - range.zero);
  parts->push_back({FindPostOp("Div"), {}, nullptr, range.scale});
  parts->push_back({FindPostOp("Round"), {}, nullptr, std::nullopt});
  parts->push_back({FindPostOp("Clip"), {low, high}, nullptr, std::nullopt});
  parts->push_back({FindPostOp("Mul"), {}, nullptr, range.scale});
}

// Of numbers. 8 bits have no place for NaN: the library makes their largest number of it, where
// QuantizeLinear gives its zero point.
bool MakesNaN(const Part& part) {
  const absl::string_view name = part.def->name;
  if (name == "Sqrt" || name == "Log") return true;
  if (part.operand == nullptr) return false;
  // By 0 it is infinite first, and then what an activation makes of that.
  const bool divides = name == "Div";
  const std::optional<std::vector<double>> by = ConstantDoubles(part.operand);
  if (!by.has_value()) return divides;
  return std::any_of(by->begin(), by->end(),
                     [divides](double x) { return !std::isfinite(x) || (divides && x == 0); });
}

Rest Follow(Value* value) {
  Rest rest;
  rest.ends.push_back({value, 0, std::nullopt});
  while (true) {
    Node* next = OnlyUse(*value);
    if (next == nullptr) {
      // Worth telling only where a step would have followed.
      for (const Use& use : value->uses()) {
        if (use.node->Is("QuantizeLinear") || FindPostOp(use.node->op_name()) != nullptr) {
          rest.stop = WhyNotOnlyUse(*value);
        }
      }
      return rest;
    }
    if (std::optional<QuantizedValue> q = ReadQuantize(next)) {
      if (!q->per_tensor) return rest;
      if (auto nan = std::find_if(rest.parts.begin(), rest.parts.end(), MakesNaN);
          nan != rest.parts.end()) {
        rest.stop = absl::StrCat(nan->def->name, " may give NaN, for which 8 bits have no place");
        return rest;
      }
      rest.ends.push_back({next->output(), rest.parts.size(), q});
      // Beyond it only another operand is worth a rounding in f32.
      const std::optional<QuantizedRange> range = RangeOf(*q);
      Node* back = OnlyUse(*next->output());
      if (!range.has_value() || back == nullptr) return rest;
      const std::optional<QuantizedValue> d = ReadDequantize(back->output());
      Node* after = OnlyUse(*back->output());
      if (!d.has_value() || RangeOf(*d) != range || after == nullptr) return rest;
      absl::StatusOr<ChainStep> step = StepOf(after, back->output());
      if (!step.ok() || step->operand == nullptr) return rest;
      AddRounding(*range, &rest.parts);
      value = back->output();
      continue;
    }
    absl::StatusOr<ChainStep> step = StepOf(next, value);
    if (!step.ok()) {
      if (!absl::IsNotFound(step.status())) {
        rest.stop = absl::StrCat(next->op_name(), ": ", step.status().message());
      }
      return rest;
    }
    value = next->output();
    if (step->def == nullptr) {
      rest.ends.back().value = value;
      continue;
    }
    rest.parts.push_back({step->def, std::move(step->params), step->operand, std::nullopt});
    rest.ends.push_back({value, rest.parts.size(), std::nullopt});
  }
}

// A first Add of a constant vector by channel.
Value* BiasOf(GraphBuilder& b, const Start& start, const Part& part) {
  const std::optional<int> rank = RankOf(start.output);
  const Type& w = start.inputs[In::kW]->type();
  if (absl::string_view(part.def->name) != "Add" || part.operand == nullptr || !rank.has_value() ||
      !w.has_static_shape() || w.rank() < 2 || *rank < 2) {
    return nullptr;
  }
  const bool conv = absl::string_view(start.op) == "QuantizedConv";
  const bool transposed = !conv && !start.attrs.empty() && start.attrs[0].first == "transpose_b";
  const int64_t channels = w.dim(conv ? 0 : w.rank() - (transposed ? 2 : 1)).number();
  std::optional<std::vector<double>> bias =
      PerChannel(part.operand, *rank, conv ? 1 : *rank - 1, channels);
  if (!bias.has_value()) return nullptr;
  absl::StatusOr<Tensor> tensor = FromDoubles(DType::kF32, {channels}, *bias);
  return tensor.ok() ? b.Constant(*std::move(tensor)) : nullptr;
}

// The whole node, ending at `end`.
Value* Build(GraphBuilder& b, const Start& start, const Rest& rest, const End& end,
             std::vector<std::string>* told) {
  std::vector<Value*> inputs(start.inputs.begin(), start.inputs.end());
  size_t first = 0, last = end.parts;
  if (inputs[In::kBias] == nullptr && last > 0) {
    inputs[In::kBias] = BiasOf(b, start, rest.parts[0]);
    first = inputs[In::kBias] != nullptr ? 1 : 0;
    if (first == 1) told->push_back("Add");
  }
  if (end.quantize.has_value()) {
    inputs[In::kYScale] = end.quantize->scale;
    inputs[In::kYZero] = end.quantize->zero;
    if (inputs[In::kYZero] == nullptr) {
      absl::StatusOr<Tensor> zero = Tensor::Allocate(DTypeOf(end.value), {});
      if (!zero.ok()) return nullptr;
      *zero->mutable_data<uint8_t>() = 0;
      inputs[In::kYZero] = b.Constant(*std::move(zero));
    }
    // The type's lowest number stands for 0: quantizing cuts off what Relu would.
    const std::optional<QuantizedRange> range = RangeOf(*end.quantize);
    if (last > first && absl::string_view(rest.parts[last - 1].def->name) == "Relu" &&
        range.has_value() && range->zero == range->low) {
      --last;
    }
  }
  std::vector<std::string> activations;
  std::vector<float> params, scales;
  std::vector<int64_t> zeros;
  for (size_t i = first; i < last; ++i) {
    const Part& part = rest.parts[i];
    activations.push_back(part.def->name);
    told->push_back(part.def->name);
    params.insert(params.end(), part.params.begin(), part.params.end());
    if (!part.def->binary) continue;
    const std::optional<QuantizedValue> d = ReadDequantize(part.operand);
    const std::optional<QuantizedRange> range =
        d.has_value() && d->per_tensor ? RangeOf(*d) : std::nullopt;
    inputs.push_back(part.number.has_value() ? b.Scalar(*part.number)
                     : range.has_value()     ? d->x
                                             : part.operand);
    scales.push_back(range.has_value() ? range->scale : 1);
    zeros.push_back(range.has_value() ? range->zero : 0);
  }
  AttrList attrs = start.attrs;
  if (!activations.empty()) attrs.push_back({"activations", activations});
  if (!params.empty()) attrs.push_back({"activation_params", params});
  const bool scaled = std::any_of(scales.begin(), scales.end(), [](float s) { return s != 1; }) ||
                      std::any_of(zeros.begin(), zeros.end(), [](int64_t z) { return z != 0; });
  if (scaled) {
    attrs.push_back({"operand_scales", scales});
    attrs.push_back({"operand_zero_points", zeros});
  }
  return b.Op(start.op, inputs, attrs);
}

absl::StatusOr<Start> StartOf(GraphBuilder& b, Node& node) {
  if (node.Is("QLinearConv") || node.Is("QLinearMatMul")) return FromQLinear(b, node);
  if (node.Is("ConvInteger") || node.Is("MatMulInteger")) return FromInteger(b, node);
  return FromDequantized(node);
}

// Fuses up to the end of that number from the back. NotFound: there is none. Unimplemented: no
// kernel takes it.
absl::StatusOr<bool> FuseTo(Node& node, size_t from_back, PassContext& context) {
  // What stands behind the product decides where the new node stands, so it is read first.
  Rest rest;
  {
    Patch probe(node.graph(), &node, kPass);
    absl::StatusOr<Start> found = StartOf(probe.builder(), node);
    if (!found.ok()) return found.status();
    if (found->output != nullptr) {
      rest = Follow(found->output);
    } else {
      rest.ends.push_back({node.output(), 0, std::nullopt});
    }
  }
  if (from_back >= rest.ends.size()) return absl::NotFoundError("");
  const End& end = rest.ends[rest.ends.size() - 1 - from_back];
  Node* const last = end.value->producer();
  Patch patch(node.graph(), last, kPass);
  Origin origin = node.origin();
  absl::StrAppend(&origin.passes, origin.passes.empty() ? "" : ",", kPass);
  patch.builder().SetOrigin(std::move(origin));
  absl::StatusOr<Start> start = StartOf(patch.builder(), node);
  if (!start.ok()) return start.status();
  MakeSigned(patch.builder(), &*start);
  std::vector<std::string> told = {std::string(node.op_name())};
  Value* fused = Build(patch.builder(), *start, rest, end, &told);
  if (fused == nullptr) return absl::UnimplementedError(patch.builder().status().message());
  if (end.quantize.has_value()) told.push_back("QuantizeLinear");
  fused->producer()->set_device(node.device());
  if (context.target.takes) {
    if (absl::Status s = context.target.takes(*fused->producer()); !s.ok()) {
      return absl::UnimplementedError(s.message());
    }
  }
  if (!rest.stop.empty() && from_back == 0) {
    context.Refused(kPass, node, absl::StrCat("what follows is not fused: ", rest.stop));
  }
  if (!context.Spend()) return false;
  Finding finding{kPass, node.name(), true,
                  absl::StrCat(absl::StrJoin(told, " + "), " is ", start->op)};
  patch.Replace(end.value, fused);
  if (absl::Status s = patch.Commit(); !s.ok()) return s;
  if (context.findings != nullptr) context.findings->push_back(std::move(finding));
  return true;
}

absl::StatusOr<bool> FuseFrom(Node& node, PassContext& context) {
  if (!node.control_inputs().empty() || !node.control_uses().empty()) return false;
  std::string refusal;
  for (size_t i = 0;; ++i) {
    absl::StatusOr<bool> fused = FuseTo(node, i, context);
    if (fused.ok()) return fused;
    if (absl::IsFailedPrecondition(fused.status())) refusal = std::string(fused.status().message());
    if (!absl::IsUnimplemented(fused.status())) break;
    if (refusal.empty()) refusal = std::string(fused.status().message().substr(0, 200));
  }
  if (!refusal.empty()) context.Refused(kPass, node, refusal);
  return false;
}

}  // namespace

absl::StatusOr<bool> FuseQuantized::Run(Graph& graph, PassContext& context) const {
  // A fusion erases the product itself and nodes behind it, never another product.
  static constexpr absl::string_view kOps[] = {
      "Conv", "MatMul", "Gemm", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"};
  return FuseEach(graph, kOps, [&](Node& node) { return FuseFrom(node, context); });
}

}  // namespace sluice
