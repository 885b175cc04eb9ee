#include "kernels/tile/reduction.h"

#include <limits>

namespace sluice {
namespace {

using ValueId = TileProgram::ValueId;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

ValueId LogSumExp(TileProgram& p, ValueId x, bool reduces) {
  if (!reduces) return x;
  const ValueId max = p.Reduce(ReduceOp::kMax, x);
  // Where the largest is infinite, subtracting it would give NaN.
  const ValueId infinite = p.Step(TileStep::kIsInf, {max}, {1, 1});
  const ValueId shift = p.Step(TileStep::kWhere, {infinite, p.Scalar(p.dtype(x), 0), max});
  const ValueId e = p.Step(TileStep::kExp, {p.Step(TileStep::kSub, {x, shift})});
  return p.Step(TileStep::kAdd, {p.Step(TileStep::kLog, {p.Reduce(ReduceOp::kSum, e)}), shift});
}

// The mean of integers toward zero, exact whatever their size.
ValueId WholeMean(TileProgram& p, ValueId x, int64_t count) {
  const bool narrow = ByteSize(p.dtype(x)) < 8, natural = IsUnsignedInt(p.dtype(x));
  const DType wide = natural ? DType::kU64 : DType::kI64;
  x = p.Convert(x, wide);
  const ValueId n = p.Scalar(wide, static_cast<double>(count));
  if (narrow) return p.Step(TileStep::kDiv, {p.Reduce(ReduceOp::kSum, x), n});
  // The sum might not fit. The quotients' does, and the remainders': each is less than the count.
  const ValueId quotients = p.Reduce(ReduceOp::kSum, p.Step(TileStep::kDiv, {x, n}));
  const ValueId rests = p.Reduce(ReduceOp::kSum, p.Step(TileStep::kFmod, {x, n}));
  const ValueId mean = p.Step(TileStep::kAdd, {quotients, p.Step(TileStep::kDiv, {rests, n})});
  if (natural) return mean;
  // A remainder of the other sign takes the mean one nearer to zero.
  const ValueId zero = p.Scalar(wide, 0);
  const ValueId sign = p.Step(TileStep::kSign, {p.Step(TileStep::kFmod, {rests, n})});
  const ValueId product = p.Step(TileStep::kMul, {p.Step(TileStep::kSign, {mean}), sign});
  const ValueId differ = p.Step(TileStep::kLess, {product, zero});
  return p.Step(TileStep::kAdd, {mean, p.Step(TileStep::kWhere, {differ, sign, zero})});
}

}  // namespace

Reduction ReductionOf(absl::string_view op, DType dtype) {
  if (op == "ReduceMean" && IsInt(dtype)) return {.whole_mean = true, .of_nothing = kNaN};
  if (op == "ReduceMean") return {.mean = true, .of_nothing = kNaN};
  if (op == "ReduceMax") return {.combine = ReduceOp::kMax, .of_nothing = -kInf};
  if (op == "ReduceMin") return {.combine = ReduceOp::kMin, .of_nothing = kInf};
  if (op == "ReduceProd") return {.combine = ReduceOp::kProd, .of_nothing = 1};
  if (op == "ReduceL1" && !IsUnsignedInt(dtype)) return {.before = TileStep::kAbs};
  if (op == "ReduceL2") {
    return {.before = TileStep::kSquare, .after = TileStep::kSqrt, .fractional = true};
  }
  if (op == "ReduceLogSum") {
    return {.after = TileStep::kLog, .fractional = true, .of_nothing = -kInf};
  }
  if (op == "ReduceLogSumExp") {
    return {.log_sum_exp = true, .fractional = true, .of_nothing = -kInf};
  }
  if (op == "ReduceSumSquare") return {.before = TileStep::kSquare};
  return {};  // ReduceSum, and ReduceL1 of what is never negative
}

ValueId LowerReduction(TileProgram& p, const Reduction& recipe, ValueId v,
                       const ReductionPart& part) {
  if (recipe.fractional && IsInt(p.dtype(v))) v = p.Convert(v, DType::kF64);
  if (recipe.log_sum_exp) return LogSumExp(p, v, part.reduces);
  if (recipe.whole_mean) return part.reduces ? WholeMean(p, v, part.count) : v;
  if (part.first && recipe.before.has_value()) v = p.Step(*recipe.before, {v});
  if (part.reduces) v = p.Reduce(recipe.combine, v);
  if (part.last && recipe.mean) {
    v = p.Step(TileStep::kDiv, {v, p.Scalar(p.dtype(v), static_cast<double>(part.count))});
  }
  if (part.last && recipe.after.has_value()) v = p.Step(*recipe.after, {v});
  return v;
}

TileProgram::ValueId LowerReduction(TileProgram& program, const Node& node,
                                    TileProgram::ValueId value, int64_t count) {
  const DType dtype = program.dtype(value);
  const ReductionPart whole{.reduces = count > 1, .first = true, .last = true, .count = count};
  const ValueId result = LowerReduction(program, ReductionOf(node.op_name(), dtype), value, whole);
  return program.Convert(result, dtype);
}

}  // namespace sluice
