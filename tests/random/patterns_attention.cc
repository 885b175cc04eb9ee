// softmax(scale Q K^T + mask) V, as exporters spell it, with every kind of mask: those that are a
// causal triangle and those that only look like one.
#include <cmath>
#include <limits>

#include "tests/random/lines.h"
#include "tests/random/parts.h"

namespace sluice::random {
namespace {

struct Extent {
  Dim batch, heads, queries, keys, size;
};

// `rows` x `columns` numbers: 0 where row i sees column j, `fill` elsewhere.
Value* Triangle(Maker& m, DType d, int64_t rows, int64_t columns, int64_t offset, double fill,
                bool bools) {
  Tensor t = *Tensor::Allocate(bools ? DType::kBool : d, {rows, columns});
  for (int64_t at = 0; at < rows * columns; ++at) {
    const bool seen = at % columns <= at / columns + offset;
    if (bools) {
      t.mutable_data<bool>()[at] = seen;
    } else {
      VisitDType(
          d, [&]<typename T>() { t.mutable_data<T>()[at] = static_cast<T>(seen ? 0.0 : fill); },
          [] {});
    }
  }
  return m.Constant(t);
}

Value* Masked(Maker& m, Value* scores, const Extent& e) {
  Random& r = m.random();
  const DType d = scores->type().dtype();
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const double fill =
      d == DType::kF16 ? r.Of({-65504.0, -kInf, -100.0}) : r.Of({-kInf, -kInf, -1e30, -1e9, -3.0});
  const int64_t kind = r.Below(9);
  const bool one_row = r.Chance(40);
  const std::optional<int64_t> queries = e.queries.AsNumber(), keys = e.keys.AsNumber();
  const int64_t offset = r.Chance(70) ? 0 : r.Of({1, -1, 2});
  auto where = [&](Value* seen, bool inverted) {
    Value* low = m.Scalar(d, fill);
    if (r.Chance(50))
      return inverted ? m.Op("Where", {seen, low, scores}) : m.Op("Where", {seen, scores, low});
    Value* zero = m.Scalar(d, 0);
    Value* mask = inverted ? m.Op("Where", {seen, low, zero}) : m.Op("Where", {seen, zero, low});
    return m.Op("Add", {scores, mask});
  };
  switch (kind) {
    case 0:
    case 1:  // constants
      if (!keys || !(one_row || queries)) return scores;
      if (kind == 0)
        return m.Op("Add",
                    {scores, Triangle(m, d, one_row ? 1 : *queries, *keys, offset, fill, false)});
      return where(Triangle(m, d, one_row ? 1 : *queries, *keys, offset, fill, true), false);
    case 2:
    case 3: {  // Trilu of what is filled
      Value* extents = m.Extents({one_row ? Dim(1) : e.queries, e.keys});
      if (extents == nullptr) return scores;
      Tensor number = kind == 2 ? Tensor::FromSpan<float>({1}, {static_cast<float>(fill)})
                                : Tensor::FromSpan<float>({1}, {1.0f});
      Value* filled = m.Op("ConstantOfShape", {extents}, {{"value", number}});
      const bool upper = kind == 2 || r.Chance(50);
      Value* k = m.IntScalar(upper ? 1 + offset : offset, 0);
      Value* tri = m.Op("Trilu", {filled, k}, {{"upper", upper}});
      if (kind == 2) return d == DType::kF32 ? m.Op("Add", {scores, tri}) : scores;
      if (Value* seen = m.Op("Cast", {tri}, {{"to", DType::kBool}})) return where(seen, upper);
      return scores;
    }
    case 4:
    case 5: {  // positions compared
      auto positions = [&](const Dim& n) -> Value* {
        Value* extents = m.Extents({n});
        if (extents == nullptr) return nullptr;
        Value* limit = m.Op("Squeeze", {extents, m.Ints({0}, 0)});
        return m.Op("Range", {m.IntScalar(0, 0), limit, m.IntScalar(1, 0)});
      };
      Value* columns = positions(e.keys);
      Value* rows = one_row ? m.Ints({r.Between(0, 3)}, 30) : positions(e.queries);
      if (rows == nullptr || columns == nullptr) return scores;
      rows = m.Op("Unsqueeze", {rows, m.Ints({1}, 0)});
      columns = m.Op("Unsqueeze", {columns, m.Ints({0}, 0)});
      Value* seen =
          kind == 4 ? m.Op("LessOrEqual", {columns, rows}) : m.Op("Less", {rows, columns});
      return seen == nullptr ? scores : where(seen, kind == 5);
    }
    case 6: {  // padding, fed
      Value* mask = m.Like(DType::kBool, {e.batch, 1, one_row ? Dim(1) : e.queries, e.keys});
      return mask == nullptr ? scores : where(mask, r.Chance(50));
    }
    case 7: {
      Value* mask = m.Broadcasting(d, {e.batch, e.heads, e.queries, e.keys}, false);
      return m.Op("Add", {scores, mask});
    }
    default:
      return scores;
  }
}

Value* SpelledOut(Maker& m, const std::string&) {
  Random& r = m.random();
  Extent e{r.Chance(60) ? Dim(r.Between(1, 2)) : m.AnyDim(), r.Between(1, 3),
           r.Chance(50) ? Dim(r.Between(1, 5)) : m.AnyDim(), 0, r.Of<int64_t>({2, 4, 8})};
  e.keys = r.Chance(55) ? e.queries : r.Chance(50) ? Dim(r.Between(1, 6)) : m.AnyDim();
  if (m.Least(e.keys).value_or(0) < 1 || m.Least(e.queries).value_or(0) < 1 ||
      m.Least(e.batch).value_or(0) < 1)
    return nullptr;
  const DType d = r.Chance(88) ? DType::kF32 : r.Of({DType::kF16, DType::kF64});
  const bool projected = r.Chance(35);
  Value *q, *k, *v;
  if (projected) {  // [batch, sequence, heads * size], split and transposed
    auto split = [&](const Dim& length) -> Value* {
      Value* x = m.Like(d, {e.batch, length, e.heads * e.size});
      if (x == nullptr) return nullptr;
      x = m.Op("Reshape", {x, m.Ints({0, 0, e.heads.number(), e.size.number()}, 0)});
      return m.Op("Transpose", {x}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}});
    };
    q = split(e.queries);
    k = split(e.keys);
    v = split(e.keys);
  } else {
    q = m.Like(d, {e.batch, e.heads, e.queries, e.size});
    k = m.Like(d, {e.batch, e.heads, e.keys, e.size});
    v = m.Like(d, {e.batch, e.heads, e.keys, e.size});
  }
  const double scale = r.Of({0.5, 0.125, 1.0});
  const int64_t where = r.Below(4);
  if (q == nullptr || k == nullptr) return nullptr;
  if (where == 0) q = m.Op("Mul", {q, m.Scalar(d, scale)});
  Value* kt = m.Op("Transpose", {k}, {{"perm", std::vector<int64_t>{0, 1, 3, 2}}});
  Value* scores = m.Op("MatMul", {q, kt});
  if (scores != nullptr && where == 1) scores = m.Op("Mul", {scores, m.Scalar(d, scale)});
  if (scores != nullptr && where == 2) scores = m.Op("Div", {scores, m.Scalar(d, 1 / scale)});
  if (scores == nullptr) return nullptr;
  scores = Masked(m, scores, e);
  if (r.Chance(12) && scores != nullptr) scores = Masked(m, scores, e);
  Value* p = m.Op("Softmax", {scores}, {{"axis", r.Chance(85) ? -1 : -2}});
  if (p == nullptr) return nullptr;
  if (r.Chance(10)) p = m.Op("Where", {m.Op("IsNaN", {p}), m.Scalar(d, 0), p});
  if (r.Chance(8)) m.Add(p);
  Value* y = m.Op("MatMul", {p, v});
  if (y == nullptr || r.Chance(50)) return y;
  y = m.Op("Transpose", {y}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}});
  return r.Chance(50) || y == nullptr ? y : m.Op("Reshape", {y, m.Ints({0, 0, -1}, 0)});
}

// One packed projection, cut into three.
Value* Packed(Maker& m, const std::string&) {
  Random& r = m.random();
  const int64_t heads = r.Between(1, 2), size = r.Of<int64_t>({2, 4});
  const Dim batch = r.Between(1, 2), length = r.Chance(60) ? Dim(r.Between(1, 5)) : m.AnyDim();
  if (m.Least(length).value_or(0) < 1) return nullptr;
  Value* x = m.Like(DType::kF32, {batch, length, 3 * heads * size});
  const std::vector<Value*> parts =
      m.OpN("Split", {x, m.Ints(std::vector<int64_t>(3, heads * size), 0)}, 3, {{"axis", -1}});
  std::vector<Value*> split;
  for (Value* v : parts) {
    if (v == nullptr) return nullptr;
    v = m.Op("Reshape", {v, m.Ints({0, 0, heads, size}, 0)});
    split.push_back(m.Op("Transpose", {v}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}}));
  }
  Value* kt = m.Op("Transpose", {split[1]}, {{"perm", std::vector<int64_t>{0, 1, 3, 2}}});
  Value* scores = m.Op("MatMul", {split[0], kt});
  if (scores == nullptr) return nullptr;
  scores = Masked(m, m.Op("Mul", {scores, m.Scalar(DType::kF32, 0.5)}),
                  {batch, heads, length, length, size});
  return m.Op("MatMul", {m.Op("Softmax", {scores}), split[2]});
}

constexpr Line kLines[] = {{"attention", 14, SpelledOut}, {"packed attention", 4, Packed}};

}  // namespace

absl::Span<const Line> AttentionPatterns() { return kLines; }

}  // namespace sluice::random
