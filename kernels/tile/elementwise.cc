#include "kernels/tile/elementwise.h"

#include <functional>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

using Id = TileProgram::ValueId;

struct Lowering {
  TileProgram& program;
  const Node& node;
  absl::Span<const TileValue> inputs;

  Id input(size_t i) const { return i < inputs.size() ? inputs[i].id : -1; }
  double Attr(absl::string_view name) const { return node.Float(name); }
  Id Step(TileStep op, TileParams params = {}) const {
    return program.Step(op, {input(0)}, params);
  }
};
using LowerFn = Id (*)(const Lowering&);

template <TileStep kOp>
Id Unary(const Lowering& l) {
  return l.Step(kOp);
}
template <TileStep kOp>
Id Alpha(const Lowering& l) {
  return l.Step(kOp, {.a = l.Attr("alpha")});
}
template <TileStep kOp>
Id Binary(const Lowering& l) {
  return l.program.Step(kOp, {l.input(0), l.input(1)});
}
template <TileStep kOp>
Id Swapped(const Lowering& l) {
  return l.program.Step(kOp, {l.input(1), l.input(0)});
}
template <TileStep kOp>
Id Fold(const Lowering& l) {
  Id result = l.input(0);
  for (size_t i = 1; i < l.inputs.size(); ++i) result = l.program.Step(kOp, {result, l.input(i)});
  return result;
}

Id LowerMean(const Lowering& l) {
  const Id sum = Fold<TileStep::kAdd>(l);
  const DType dtype = l.program.dtype(sum);
  const double n = static_cast<double>(l.inputs.size());
  return l.program.Step(TileStep::kDiv, {sum, l.program.Scalar(dtype, n)});
}

Id LowerClip(const Lowering& l) {
  Id x = l.input(0);
  if (l.input(1) >= 0) x = l.program.Step(TileStep::kMax, {x, l.input(1)});
  if (l.input(2) >= 0) x = l.program.Step(TileStep::kMin, {x, l.input(2)});
  return x;
}

Id LowerMod(const Lowering& l) {
  return l.node.Int("fmod") != 0 ? Binary<TileStep::kFmod>(l) : Binary<TileStep::kMod>(l);
}
Id LowerBitShift(const Lowering& l) {
  return l.node.String("direction") == "LEFT" ? Binary<TileStep::kShiftLeft>(l)
                                              : Binary<TileStep::kShiftRight>(l);
}
Id LowerIsInf(const Lowering& l) {
  return l.Step(TileStep::kIsInf, {.a = static_cast<double>(l.node.Int("detect_positive")),
                                   .b = static_cast<double>(l.node.Int("detect_negative"))});
}
Id LowerGelu(const Lowering& l) {
  return l.Step(l.node.String("approximate") == "tanh" ? TileStep::kGeluTanh : TileStep::kGelu);
}
Id LowerSelu(const Lowering& l) {
  return l.Step(TileStep::kSelu, {.a = l.Attr("alpha"), .b = l.Attr("gamma")});
}
Id LowerHardSigmoid(const Lowering& l) {
  return l.Step(TileStep::kHardSigmoid, {.a = l.Attr("alpha"), .b = l.Attr("beta")});
}
Id LowerShrink(const Lowering& l) {
  return l.Step(TileStep::kShrink, {.a = l.Attr("lambd"), .b = l.Attr("bias")});
}
Id LowerCast(const Lowering& l) {
  const DType to = l.node.output()->type().dtype();
  // To a 16-bit float and what is computed from it: rounded as its storage would.
  const Id converted = l.program.Convert(l.input(0), to);
  return l.program.Convert(converted, ComputeType(to));
}

// The exponent where it is one number, known at preparation.
std::optional<double> ConstantExponent(const Lowering& l) {
  const Tensor& t = l.inputs[1].constant;
  if (!t.valid() || t.elements() != 1) return std::nullopt;
  return VisitDType(
      t.dtype(),
      [&]<typename T>() -> std::optional<double> { return static_cast<double>(t.data<T>()[0]); },
      []() -> std::optional<double> { return std::nullopt; });
}

// A known exponent that f32 holds exactly.
bool FitsF32(const Lowering& l) {
  const std::optional<double> n = ConstantExponent(l);
  return n.has_value() && static_cast<double>(static_cast<float>(*n)) == *n;
}

Id LowerPow(const Lowering& l) {
  TileProgram& p = l.program;
  const Id x = l.input(0);
  const DType dtype = p.dtype(x), exponent = p.dtype(l.input(1));
  if (const std::optional<double> n = ConstantExponent(l); n.has_value()) {
    if (*n == 1) return x;
    if (*n == 2) return p.Step(TileStep::kSquare, {x});
    if (*n == 3) return p.Step(TileStep::kMul, {p.Step(TileStep::kSquare, {x}), x});
    if (*n == 4) return p.Step(TileStep::kSquare, {p.Step(TileStep::kSquare, {x})});
    if (IsFloat(dtype)) {
      if (*n == 0.5) return p.Step(TileStep::kPowHalf, {x});
      if (*n == -0.5) return p.Step(TileStep::kPowMinusHalf, {x});
      if (*n == -1) return p.Step(TileStep::kReciprocal, {x});
    }
  }
  // In f64 where the base's type does not hold every exponent: a large one would lose its parity.
  const bool wider = exponent == DType::kF64 || exponent == DType::kI32 ||
                     exponent == DType::kU32 || exponent == DType::kI64 || exponent == DType::kU64;
  if ((IsInt(dtype) && IsFloat(exponent)) || (dtype == DType::kF32 && wider && !FitsF32(l))) {
    const Id power =
        p.Step(TileStep::kPow, {p.Convert(x, DType::kF64), p.Convert(l.input(1), DType::kF64)});
    return p.Convert(power, dtype);
  }
  if (IsInt(dtype) && exponent != dtype) {
    // In 64 bits, where every exponent is what it is: the result wraps to the base's type.
    const DType wide = exponent == DType::kU64 ? DType::kU64 : DType::kI64;
    const Id power = p.Step(TileStep::kPow, {p.Convert(x, wide), p.Convert(l.input(1), wide)});
    return p.Convert(power, dtype);
  }
  return p.Step(TileStep::kPow, {x, p.Convert(l.input(1), dtype)});
}

Id LowerWhere(const Lowering& l) {
  return l.program.Step(TileStep::kWhere, {l.input(0), l.input(1), l.input(2)});
}

const absl::flat_hash_map<absl::string_view, LowerFn>& Lowerings() {
  static const auto* const map = new absl::flat_hash_map<absl::string_view, LowerFn>{
#define SLUICE_ELEMENTWISE(op, ...) {#op, __VA_ARGS__},
#include "kernels/tile/elementwise_list.inc"
#undef SLUICE_ELEMENTWISE
  };
  return *map;
}

}  // namespace

bool HasTileSteps(absl::string_view op) { return Lowerings().contains(op); }

absl::StatusOr<TileProgram::ValueId> LowerElementwise(TileProgram& program, const Node& node,
                                                      absl::Span<const TileValue> inputs) {
  const auto it = Lowerings().find(node.op_name());
  if (it == Lowerings().end()) {
    return absl::UnimplementedError(absl::StrCat(
        node.op_name(), " has no tile steps (a line in kernels/tile/elementwise_list.inc)"));
  }
  // Clip takes absent bounds; every other operand must be there.
  for (const TileValue& in : inputs) {
    if (in.id < 0 && !node.Is("Clip")) {
      return absl::UnimplementedError(absl::StrCat(node.op_name(), " with an absent operand"));
    }
  }
  return it->second({program, node, inputs});
}

}  // namespace sluice
