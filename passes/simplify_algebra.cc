#include "passes/simplify_algebra.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "graph/infer.h"
#include "passes/match.h"
#include "passes/rewrite.h"

namespace sluice {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

Value* KeepsType(Site& s, Value* x) { return SameType(*x, *s.node.output()) ? x : nullptr; }

// The other operand where one of the two is a constant filled with `neutral`.
Value* Neutral(Site& s, double neutral, bool either_side) {
  Value *x = s.node.input(0), *y = s.node.input(1);
  if (IsFilledWith(y, neutral)) return KeepsType(s, x);
  return either_side && IsFilledWith(x, neutral) ? KeepsType(s, y) : nullptr;
}

// A constant of zeros of one sign.
bool IsZero(const Value* v, bool negative) {
  if (!IsFilledWith(v, 0)) return false;
  const std::vector<double> values = *ConstantDoubles(v);
  return std::all_of(values.begin(), values.end(),
                     [&](double zero) { return std::signbit(zero) == negative; });
}

// Whether the sign of a zero in x means nothing, since a sum made it: how that begins, and in which
// order it goes on, is a kernel's choice.
bool IsSum(const Value* x) {
  static constexpr absl::string_view kSums[] = {"MatMul",        "Gemm",       "Conv",
                                                "ConvTranspose", "Einsum",     "ReduceSum",
                                                "ReduceMean",    "AveragePool"};
  for (int steps = 0; steps < 8 && x != nullptr && x->producer() != nullptr; ++steps) {
    const Node& node = *x->producer();
    if (std::find(std::begin(kSums), std::end(kSums), node.op_name()) != std::end(kSums)) {
      return true;
    }
    if (IsView(&node) || node.Is("Transpose")) {
      x = node.input(0);
    } else if (const std::optional<Scaling> scaling = ScalingOf(node); scaling.has_value()) {
      x = scaling->value;
    } else {
      return false;
    }
  }
  return false;
}

// -0 + 0 is 0, so floats are left but where nobody minds; x + -0 and x - 0 are x.
Value* AddZero(Site& s) {
  if (!IsFloat(DTypeOf(s.node.output()))) return Neutral(s, 0, true);
  for (size_t i : {0, 1}) {
    Value *x = s.node.input(i), *zero = s.node.input(1 - i);
    if (IsZero(zero, true) || (IsFilledWith(zero, 0) && IsSum(x))) return KeepsType(s, x);
  }
  return nullptr;
}
Value* SubZero(Site& s) {
  Value *x = s.node.input(0), *zero = s.node.input(1);
  if (IsZero(zero, false) || (IsFilledWith(zero, 0) && IsSum(x))) return KeepsType(s, x);
  return nullptr;
}
Value* TimesOne(Site& s) { return Neutral(s, 1, true); }
Value* OverOne(Site& s) { return Neutral(s, 1, false); }

Value* DivideByPowerOfTwo(Site& s) {
  Value *x = s.node.input(0), *y = s.node.input(1);
  const std::optional<double> c = ConstantScalar(y);
  if (!c.has_value() || !IsFloat(DTypeOf(x)) || !SameType(*x, *s.node.output())) return nullptr;
  int exponent = 0;
  // Exact, and the inverse is a normal number in every float type.
  if (std::abs(std::frexp(*c, &exponent)) != 0.5 || std::abs(exponent) > 12 || *c == 1)
    return nullptr;
  return s.b.Op("Mul", {x, s.b.ScalarLike(x, 1 / *c)});
}

Value* PowerRule(Site& s) {
  Value* x = s.node.input(0);
  const std::optional<double> power = ConstantScalar(s.node.input(1));
  if (!power.has_value() || !SameType(*x, *s.node.output())) return nullptr;
  if (*power == 1) return x;
  if (!IsFloat(DTypeOf(x))) return nullptr;
  if (*power == 2) return s.b.Op("Mul", {x, x});
  if (*power == 3) return s.b.Op("Mul", {s.b.Op("Mul", {x, x}), x});
  if (*power == -1) return s.b.Op("Reciprocal", {x});
  return nullptr;
}

// ---- (x op c) op d  =  x op (c op d)

struct Operand {
  Value *x = nullptr, *constant = nullptr;
};

Operand SplitConstant(const Node& node) {
  Value *a = node.input(0), *b = node.input(1);
  if (a->constant() != nullptr && b->constant() != nullptr) return {};  // folds as it is
  if (b->constant() != nullptr) return {a, b};
  return a->constant() != nullptr ? Operand{b, a} : Operand{};
}

// All numbers of both constants.
bool All(const Operand& a, const Operand& b, bool (*holds)(double)) {
  for (const Value* constant : {a.constant, b.constant}) {
    const std::optional<std::vector<double>> values = ConstantDoubles(constant);
    if (!values.has_value() || !std::all_of(values->begin(), values->end(), holds)) return false;
  }
  return true;
}

Value* MergeConstants(Site& s, bool (*joins)(const Operand& inner, const Operand& outer)) {
  if (s.strict) return nullptr;  // it rounds elsewhere
  const std::string op(s.node.op_name());
  const Operand outer = SplitConstant(s.node);
  if (outer.x == nullptr) return nullptr;
  Node* inner_node = ProducedBy(outer.x, op);
  if (inner_node == nullptr || OnlyUse(*outer.x) != &s.node) return nullptr;
  const Operand inner = SplitConstant(*inner_node);
  if (inner.x == nullptr) return nullptr;
  // The joint constant must be no larger than the larger one.
  absl::StatusOr<Shape> joint =
      BroadcastShapes(inner.constant->type().shape(), outer.constant->type().shape(), Dim::Unknown);
  if (!joint.ok() ||
      (*joint != inner.constant->type().shape() && *joint != outer.constant->type().shape())) {
    return nullptr;
  }
  const DType dtype = DTypeOf(s.node.output());
  if (IsFloat(dtype) && !joins(inner, outer)) {
    return s.Refuse("joined, the two constants would change more of a result than its rounding");
  }
  if (!IsFloat(dtype) && !IsInt(dtype)) return nullptr;
  return s.b.Op(op, {inner.x, s.b.Op(op, {inner.constant, outer.constant})});
}

// What overflows, or loses digits near 0, after the first factor would after both: they go the same
// way. Their product stays a normal number also in f16.
Value* MulMul(Site& s) {
  return MergeConstants(s, [](const Operand& a, const Operand& b) {
    return All(a, b, [](double v) { return std::abs(v) >= 1 && std::abs(v) <= 64; }) ||
           All(a, b, [](double v) { return std::abs(v) >= 1.0 / 64 && std::abs(v) <= 1; });
  });
}
// Of one sign, so that the second does not take away what the first has rounded to.
Value* AddAdd(Site& s) {
  return MergeConstants(s, [](const Operand& a, const Operand& b) {
    return All(a, b, [](double v) { return v >= 0 && v <= 1024; }) ||
           All(a, b, [](double v) { return v <= 0 && v >= -1024; });
  });
}

// ---- Unary pairs

Value* InverseOfItself(Site& s) {
  Node* inner = ProducedBy(s.node.input(0), s.node.op_name());
  return inner == nullptr ? nullptr : inner->input(0);
}

Value* Idempotent(Site& s) {
  return ProducedBy(s.node.input(0), s.node.op_name()) == nullptr ? nullptr : s.node.input(0);
}

Value* AbsOfNeg(Site& s) {
  Node* inner = ProducedBy(s.node.input(0), "Neg");
  return inner == nullptr ? nullptr : s.b.Op("Abs", {inner->input(0)});
}

// ---- Clip and Relu: both keep x inside an interval

struct Interval {
  Value* x = nullptr;  // null: none, or its bounds are not known
  double low = -kInf, high = kInf;
};

Interval IntervalOf(Node* node) {
  if (node == nullptr) return {};
  if (node->Is("Relu")) return {node->input(0), 0, kInf};
  if (!node->Is("Clip")) return {};
  Interval result{node->input(0)};
  for (size_t i : {1, 2}) {
    if (node->input(i) == nullptr) continue;
    const std::optional<double> bound = ConstantScalar(node->input(i));
    if (!bound.has_value() || std::isnan(*bound)) return {};
    (i == 1 ? result.low : result.high) = *bound;
  }
  return result;
}

Value* MakeClip(Site& s, const Interval& interval) {
  Value* x = interval.x;
  if (interval.low == -kInf && interval.high == kInf) return x;
  if (interval.low == 0 && interval.high == kInf) return s.b.Op("Relu", {x});
  Value* low = interval.low == -kInf ? nullptr : s.b.ScalarLike(x, interval.low);
  Value* high = interval.high == kInf ? nullptr : s.b.ScalarLike(x, interval.high);
  return s.b.Op("Clip", {x, low, high});
}

Value* ClipOfClip(Site& s) {
  const Interval outer = IntervalOf(&s.node);
  if (outer.x == nullptr || !IsFloat(DTypeOf(outer.x))) return nullptr;
  const Interval inner = IntervalOf(outer.x->producer());
  if (inner.x == nullptr) return nullptr;
  const Interval both{inner.x, std::max(inner.low, outer.low), std::min(inner.high, outer.high)};
  // Intervals that do not meet have a meaning of their own (a constant); leave them.
  if (inner.low > inner.high || outer.low > outer.high || both.low > both.high) return nullptr;
  return MakeClip(s, both);
}

Value* OneSidedClip(Site& s) {
  const Interval interval = IntervalOf(&s.node);
  if (interval.x == nullptr) return nullptr;
  if (!IsFloat(DTypeOf(interval.x))) {
    return s.node.input(1) == nullptr && s.node.input(2) == nullptr ? interval.x : nullptr;
  }
  const bool unbounded = interval.low == -kInf && interval.high == kInf;
  const bool relu = interval.low == 0 && interval.high == kInf;
  return unbounded || relu ? MakeClip(s, interval) : nullptr;
}

// ---- Several inputs, conditions

Value* OfOne(Site& s) { return s.node.num_inputs() == 1 ? s.node.input(0) : nullptr; }

// Which zero is the larger one of two is left open, but in a strict session it stays as it was.
Value* MaxZero(Site& s) {
  if (s.node.num_inputs() != 2 || s.strict) return nullptr;
  for (size_t i : {0, 1}) {
    Value* x = s.node.input(i);
    if (ConstantScalar(s.node.input(1 - i)) == 0.0 && x->constant() == nullptr &&
        IsFloat(DTypeOf(x)) && SameType(*x, *s.node.output())) {
      return s.b.Op("Relu", {x});
    }
  }
  return nullptr;
}

Value* WhereRule(Site& s) {
  Value *x = s.node.input(1), *y = s.node.input(2);
  if (x == y) return KeepsType(s, x);
  if (IsFilledWith(s.node.input(0), 1)) return KeepsType(s, x);
  return IsFilledWith(s.node.input(0), 0) ? KeepsType(s, y) : nullptr;
}

constexpr Rule kRules[] = {
    {"Add", "x + 0 is x", AddZero},
    {"Sub", "x - 0 is x", SubZero},
    {"Mul", "x * 1 is x", TimesOne},
    {"Div", "x / 1 is x", OverOne},
    {"Div", "x / 2^k is x * 2^-k", DivideByPowerOfTwo},
    {"Pow", "a small power by multiplication", PowerRule},
    {"Mul", "(x * c) * d is x * (c * d)", MulMul},
    {"Add", "(x + c) + d is x + (c + d)", AddAdd},
    {"Neg", "-(-x) is x", InverseOfItself},
    {"Not", "not not x is x", InverseOfItself},
    {"Abs", "||x|| is |x|", Idempotent},
    {"Abs", "|-x| is |x|", AbsOfNeg},
    {"Relu", "of a Relu", Idempotent},
    {"Relu", "joined with the Clip before it", ClipOfClip},
    {"Clip", "joined with the Clip or Relu before it", ClipOfClip},
    {"Clip", "it has no bounds, or those of Relu", OneSidedClip},
    {"Max", "of one input", OfOne},
    {"Min", "of one input", OfOne},
    {"Sum", "of one input", OfOne},
    {"Mean", "of one input", OfOne},
    {"Max", "Max(x, 0) is Relu(x)", MaxZero},
    {"And", "x and true is x", TimesOne},
    {"Or", "x or false is x", AddZero},
    {"Xor", "x xor false is x", AddZero},
    {"Where", "its condition is constant", WhereRule},
};

}  // namespace

absl::StatusOr<bool> SimplifyAlgebra::Run(Graph& graph, PassContext& context) const {
  return ApplyRules(graph, context, name(), kRules);
}

}  // namespace sluice
