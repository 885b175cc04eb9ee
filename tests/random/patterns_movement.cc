// Chains of movement that cancel, join or vanish, and sizes that only the data knows.
#include <algorithm>
#include <numeric>

#include "tests/random/lines.h"
#include "tests/random/parts.h"

namespace sluice::random {
namespace {

Value* Chain(Maker& m, const std::string&) {
  Random& r = m.random();
  Value* x = m.Operand(kNumericTypes, 1, 4);
  for (int64_t i = r.Between(2, 5); i > 0 && x != nullptr; --i) {
    const int64_t rank = RankOf(x);
    switch (r.Below(10)) {
      case 0:
      case 1: {
        std::vector<int64_t> perm(static_cast<size_t>(rank));
        std::iota(perm.begin(), perm.end(), 0);
        if (rank > 1) std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
        x = m.Op("Transpose", {x}, {{"perm", perm}});
        break;
      }
      case 2:
        x = m.Op("Reshape", {x, m.Ints({-1}, 0)});
        break;
      case 3:
        if (rank >= 2)
          x = m.Op(
              "Reshape",
              {x,
               m.Ints(rank == 2 ? std::vector<int64_t>{0, -1} : std::vector<int64_t>{0, 0, -1}, 0)},
              {{"allowzero", r.Chance(15)}});
        break;
      case 4:
        x = m.Op("Squeeze",
                 {m.Op("Unsqueeze", {x, m.Ints({r.Below(rank + 1)}, 0)}), m.Ints({0}, 0)});
        break;
      case 5:
        if (rank < 5) x = m.Op("Unsqueeze", {x, m.Ints({r.Below(rank + 1)}, 0)});
        break;
      case 6:
        x = m.Op("Slice", {x, m.Ints({0}, 0), m.Ints({INT32_MAX}, 0)});
        break;
      case 7:
        x = m.Op("Identity", {x});
        break;
      case 8:
        x = m.Op("Flatten", {x}, {{"axis", r.Between(0, rank)}});
        break;
      default:
        x = m.Op("Expand", {x, m.Ints({1}, 0)});
    }
  }
  return x;
}

// Empty extents, static ones, on the way through everything.
Value* Empty(Maker& m, const std::string&) {
  Random& r = m.random();
  const DType d = m.AnyDType(kNumericTypes);
  Shape shape = m.AnyShape(1, 3);
  shape[static_cast<size_t>(r.Below(static_cast<int64_t>(shape.size())))] = 0;
  Value* x = m.Like(d, shape);
  if (x == nullptr) return nullptr;
  const auto axis =
      static_cast<int64_t>(std::find(shape.begin(), shape.end(), Dim(0)) - shape.begin());
  switch (r.Below(11)) {
    case 0:
      x = m.Op("Transpose", {x});
      break;
    case 9:
    case 10: {  // there and back, around what has as few elements
      const auto rank = static_cast<int64_t>(shape.size());
      std::vector<int64_t> there(shape.size()), back(shape.size());
      const int64_t by = r.Between(1, std::max<int64_t>(1, rank - 1));
      for (int64_t i = 0; i < rank; ++i) {
        there[i] = (i + by) % rank;
        back[there[i]] = i;
      }
      x = m.Op("Transpose", {x}, {{"perm", there}});
      if (x == nullptr) return nullptr;
      Dims dims;
      for (const Dim& n : x->type().shape()) dims.push_back(n.is_number() ? n.number() : 1);
      dims.erase(dims.begin(), dims.begin() + r.Below(rank));
      x = m.Op("Add", {x, m.Constant(m.Contents(d, dims))});
      x = m.Op("Transpose", {x}, {{"perm", back}});
      break;
    }
    case 1: {
      Shape full = shape;
      full[axis] = r.Between(1, 4);
      return m.Op("Concat", {x, m.Like(d, full), x}, {{"axis", axis}});
    }
    case 2: {  // other extents, 0 kept or copied
      const bool allow = r.Chance(50);
      if (r.Chance(40)) {
        x = m.Op("Unsqueeze", {x, m.Ints({0}, 0)});
        shape.insert(shape.begin(), 1);
      }
      Value* y = m.Op("Reshape", {x, m.Ints({2, 0, 3}, 0)}, {{"allowzero", allow}});
      const bool none = allow || (shape.size() > 1 && shape[1] == Dim(0));
      return none ? m.Legal(y, "Reshape of no elements to no elements") : y;
    }
    case 3:
      x = m.Op("Reshape", {x, m.Ints({0, 5}, 0)}, {{"allowzero", 1}});
      break;
    case 4:
      x = m.Op("Tile", {x, m.Ints(std::vector<int64_t>(shape.size(), 2), 0)});
      break;
    case 5:
      x = m.Op("ReduceSum", {x, m.Ints({axis}, 0)}, {{"keepdims", r.Below(2)}});
      break;
    case 6:
      x = MatMulOf(m, x);
      break;
    case 7:
      x = m.Op("Pad", {x, m.Ints(std::vector<int64_t>(2 * shape.size(), 1), 0)});
      break;
    default:
      x = m.Op(r.Of<const char*>({"Relu", "Neg", "Abs"}), {x});
  }
  return x;
}

// A view of a view, to the first one's extents in another order. Where one is 0 it may copy.
Value* ViewOfView(Maker& m, const std::string&) {
  Random& r = m.random();
  // Of no elements in some run, where there is such a value.
  Value* x = m.Pick([&](const Value* v) {
    const Shape& shape = v->type().shape();
    return IsNumeric(v->type().dtype()) && shape.size() > 1 && shape.size() < 5 && m.Known(v) &&
           std::any_of(
               shape.begin(), shape.end(),
               [&](const Dim& d) { return !d.is_number() && m.Least(d) == 0; });
  });
  if (x == nullptr) x = m.KnownOperand(kNumericTypes, 1, 4, /*empty=*/true);
  if (x == nullptr) return nullptr;
  Shape shape = x->type().shape();
  Value* y = r.Chance(50)
                 ? m.Op("Unsqueeze", {x, m.Ints({r.Chance(50) ? 0 : r.Below(RankOf(x) + 1)}, 0)})
             : r.Chance(50) ? m.Op("Flatten", {x}, {{"axis", r.Between(0, RankOf(x))}})
                            : m.Op("Reshape", {x, m.Ints({-1}, 0)});
  if (y == nullptr) return nullptr;
  if (r.Chance(25)) return m.Op("Flatten", {y}, {{"axis", r.Between(0, RankOf(y))}});
  const int64_t by = r.Chance(50) ? RankOf(x) - 1 : r.Below(RankOf(x));
  std::rotate(shape.begin(), shape.begin() + by, shape.end());
  bool allow_zero = r.Chance(40);
  if (r.Chance(60)) {
    // Passes take a computed extent for what its symbol says, not for the 0 that copies.
    for (size_t run = 0; run < m.runs(); ++run) {
      const Dims from = m.DimsIn(y, run).value_or(Dims());
      for (size_t i = 0; i < shape.size(); ++i) {
        const bool zero = *shape[i].Evaluate(m.program().bindings[run]) == 0;
        allow_zero |= zero && (i >= from.size() || from[i] != 0);
      }
    }
    return m.Op("Reshape", {y, m.Extents(shape)}, {{"allowzero", allow_zero}});
  }
  std::vector<Tensor> extents;
  for (size_t run = 0; run < m.runs(); ++run) {
    Tensor t = *Tensor::Allocate(DType::kI64, {RankOf(x)});
    for (int64_t i = 0; i < RankOf(x); ++i)
      t.mutable_data<int64_t>()[i] = *shape[i].Evaluate(m.program().bindings[run]);
    extents.push_back(t);
  }
  return m.Op("Reshape", {y, m.Fed(DType::kI64, {RankOf(x)}, extents)},
              {{"allowzero", allow_zero}});
}

// Split, something done to a part, joined again.
Value* SplitJoined(Maker& m, const std::string&) {
  Random& r = m.random();
  Value* x = m.Operand(DTypeSet{DType::kF32, DType::kF64}, 2, 4);
  const int64_t axis = r.Below(RankOf(x));
  const Dim& n = DimOf(x, axis);
  if (!n.is_number() || n.number() < 2) return nullptr;
  const int64_t cut = r.Between(0, n.number());
  std::vector<Value*> parts =
      m.OpN("Split", {x, m.Ints({cut, n.number() - cut}, 5)}, 2, {{"axis", axis}});
  if (parts[0] == nullptr) return nullptr;
  const auto side = static_cast<size_t>(r.Below(2));
  parts[side] = m.Op(r.Of<const char*>({"Relu", "Neg", "Tanh", "Identity"}), {parts[side]});
  if (r.Chance(40)) std::swap(parts[0], parts[1]);
  return m.Op("Concat", parts, {{"axis", axis}});
}

// Computed reshapes: [batch, -1] and the like from the shape itself.
Value* ComputedShape(Maker& m, const std::string&) {
  Random& r = m.random();
  Value* x = m.Operand(kNumericTypes, 2, 4);
  Value* shape = m.Op("Shape", {x});
  if (shape == nullptr) return nullptr;
  if (r.Chance(10)) {  // those of another value, whose elements may be as many or not
    Value* other = m.Pick([&](const Value* v) {
      return v->type().rank() >= 2 && v->type() != x->type() && m.Known(v);
    });
    return other == nullptr ? nullptr : m.Op("Reshape", {x, m.Op("Shape", {other})});
  }
  Value* first = r.Chance(50) ? m.Op("Gather", {shape, m.Ints({0}, 0)})
                              : m.Op("Slice", {shape, m.Ints({0}, 0), m.Ints({1}, 0)});
  if (r.Chance(30)) {
    Value* scalar = m.Op("Gather", {shape, m.IntScalar(0, 0)});
    first = m.Op("Unsqueeze", {scalar, m.Ints({0}, 0)});
  }
  Value* target = m.Op("Concat", {first, m.Ints({-1}, 0)}, {{"axis", 0}});
  Value* y = m.Op("Reshape", {x, target});
  if (y == nullptr || r.Chance(40)) return y;
  return m.Op("Reshape", {Cheap(m, y, 2), shape});
}

// Sizes from data: what is found, cut off, counted or chosen, and then used.
Value* Found(Maker& m, const std::string&) {
  Random& r = m.random();
  const DType d = r.Chance(85) ? DType::kF32 : DType::kF16;
  Value* x = m.KnownOperand(DTypeSet{d}, 1, 3, /*empty=*/true);
  if (x == nullptr) return nullptr;
  const Dim& rows = DimOf(x, 0);
  Value* y = nullptr;
  switch (r.Below(4)) {
    case 0: {
      Value* keep = m.Like(DType::kBool, {rows});
      y = m.Op("Compress", {x, keep}, {{"axis", 0}});
      break;
    }
    case 1: {
      Value* keep = m.Like(DType::kBool, {rows});
      Value* found =
          keep == nullptr ? nullptr : m.Op("Squeeze", {m.Op("NonZero", {keep}), m.Ints({0}, 0)});
      y = m.Op("Gather", {x, found});
      break;
    }
    case 2: {
      std::vector<Tensor> ends;
      for (size_t run = 0; run < m.runs(); ++run)
        ends.push_back(Tensor::FromSpan<int64_t>({1}, {r.Between(-1, 5)}));
      y = m.Op("Slice", {x, m.Ints({0}, 20), m.Fed(DType::kI64, {1}, ends), m.Ints({0}, 0)});
      break;
    }
    default: {
      std::vector<Tensor> counts;
      for (size_t run = 0; run < m.runs(); ++run)
        counts.push_back(Tensor::FromSpan<int64_t>({1}, {r.Between(0, (*m.DimsIn(x, run))[0])}));
      y = m.OpN("TopK", {x, m.Fed(DType::kI64, {1}, counts)}, 2, {{"axis", 0}})[0];
    }
  }
  for (int64_t i = r.Below(4); i > 0 && y != nullptr; --i) {
    switch (r.Below(8)) {
      case 0:
        y = RankOf(y) > 1 ? MatMulOf(m, y) : y;
        break;
      case 1:
        y = m.Op("Transpose", {y});
        break;
      case 2:
        y = m.Op("ReduceSum", {y, m.Ints({0}, 0)}, {{"keepdims", 1}});
        break;
      case 3:
        y = m.Op("Concat", {y, y}, {{"axis", 0}});
        break;
      case 4:
        y = m.Op("Softmax", {y});
        break;
      case 5:
        y = m.Op("Reshape", {y, m.Ints({-1}, 0)});
        break;
      case 6:
        y = m.Op("Add", {m.Op("Mul", {y, y}), m.Scalar(d, 0.5)});
        if (d == DType::kF16) y = ThereAndBack(m, y);
        break;
      default:
        y = m.Op(r.Of<const char*>({"Relu", "Exp", "Sigmoid"}), {y});
    }
  }
  return y;
}

// A batch of a length that only the data knows, into a window.
Value* FoundImage(Maker& m, const std::string&) {
  Random& r = m.random();
  Value* x = Image(m, DTypeSet{DType::kF32});
  if (x == nullptr) return nullptr;
  std::vector<Tensor> ends;
  for (size_t run = 0; run < m.runs(); ++run)
    ends.push_back(Tensor::FromSpan<int64_t>({1}, {r.Between(0, 3)}));
  Value* y = m.Op("Slice", {x, m.Ints({0}, 0), m.Fed(DType::kI64, {1}, ends), m.Ints({0}, 0)});
  if (y == nullptr) return nullptr;
  if (r.Chance(25)) return PoolOf(m, y, r.Of<const char*>({"MaxPool", "AveragePool"}));
  y = ConvOf(m, y, r.Chance(80) ? "Conv" : "ConvTranspose");
  return r.Chance(50) ? Cheap(m, y, 2) : y;
}

constexpr Line kLines[] = {{"movement", 12, Chain},
                           {"empty", 6, Empty},
                           {"view of a view", 10, ViewOfView},
                           {"split and joined", 5, SplitJoined},
                           {"computed shape", 6, ComputedShape},
                           {"found", 10, Found},
                           {"found image", 4, FoundImage}};

}  // namespace

absl::Span<const Line> MovementPatterns() { return kLines; }

}  // namespace sluice::random
