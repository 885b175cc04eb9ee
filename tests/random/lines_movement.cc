// Ops that move elements without looking at them.
#include <algorithm>
#include <numeric>

#include "ops/op.h"
#include "tests/random/lines.h"

namespace sluice::random {
namespace {

int64_t RankOf(const Value* v) { return v->type().rank(); }
// An axis counted from either end.
int64_t Axis(Maker& m, int64_t axis, int64_t rank) {
  return m.random().Chance(30) ? axis - rank : axis;
}

Value* DrawIdentity(Maker& m, const std::string& op) { return m.Op(op, {m.Operand(kAllTypes)}); }
Value* DrawGradientEnd(Maker& m, const std::string& op) {
  AttrList attrs;
  if (op == "GradientOf") attrs.push_back({"variable", "v"});
  return m.Op(op, {m.Operand(kFloatTypes)}, attrs);
}

// Merges and splits axes of x, adds and drops ones.
Value* DrawReshape(Maker& m, const std::string& op) {
  Random& r = m.random();
  Value* x = m.Operand(kAllTypes, 0, 5);
  const Shape& from = x->type().shape();
  Shape to = from;
  for (int64_t i = r.Between(1, 3); i > 0; --i) {
    const auto n = static_cast<int64_t>(to.size());
    const int64_t at = n == 0 ? 0 : r.Below(n);
    switch (r.Below(4)) {
      case 0:
        if (at + 1 < n) {
          to[at] = to[at] * to[at + 1];
          to.erase(to.begin() + at + 1);
        }
        break;
      case 1: {
        const int64_t factor = r.Of<int64_t>({2, 3, 4});
        if (at >= n || n > 5) break;
        if (const std::optional<Dim> rest = ExactDiv(to[at], factor)) {
          to[at] = *rest;
          to.insert(to.begin() + at + r.Below(2), factor);
        }
        break;
      }
      case 2:
        if (n < 6) to.insert(to.begin() + at, 1);
        break;
      default:
        if (at < n && to[at] == Dim(1)) to.erase(to.begin() + at);
    }
  }
  if (r.Chance(15))
    to = {std::accumulate(from.begin(), from.end(), Dim(1),
                          [](Dim a, const Dim& b) { return a * b; })};
  const bool allow_zero = r.Chance(20);
  if (r.Chance(15)) {
    if (Value* shape = m.Extents(to)) return m.Op(op, {x, shape}, {{"allowzero", allow_zero}});
  }
  std::vector<int64_t> spec;
  bool inferred = false;
  for (size_t i = 0; i < to.size(); ++i) {
    const bool copied = !allow_zero && i < from.size() && from[i] == to[i];
    if (to[i].is_number() && !(copied && r.Chance(30)) &&
        (to[i].number() != 0 || allow_zero || copied)) {
      spec.push_back(to[i].number());
    } else if (copied) {
      spec.push_back(0);
    } else if (!inferred) {
      inferred = true;
      spec.push_back(-1);
    } else {
      return nullptr;
    }
  }
  const bool empty = std::any_of(from.begin(), from.end(),
                                 [&](const Dim& d) { return m.Least(d).value_or(0) == 0; });
  if (!inferred && !empty && !spec.empty() && r.Chance(40))
    spec[static_cast<size_t>(r.Below(static_cast<int64_t>(spec.size())))] = -1;
  return m.Op(op, {x, m.Ints(spec)}, {{"allowzero", allow_zero}});
}

Value* DrawFlatten(Maker& m, const std::string& op) {
  Value* x = m.Operand(kAllTypes);
  return m.Op(op, {x}, {{"axis", m.random().Between(-RankOf(x), RankOf(x))}});
}

Value* DrawSqueeze(Maker& m, const std::string& op) {
  Value* x = m.Pick([](const Value* v) {
    const Shape& s = v->type().shape();
    return std::find(s.begin(), s.end(), Dim(1)) != s.end();
  });
  if (x == nullptr) return nullptr;
  const Shape& shape = x->type().shape();
  std::vector<int64_t> axes;
  bool whole = true;
  for (int64_t i = 0; i < RankOf(x); ++i) {
    const Dim& d = shape[i];
    if (d == Dim(1) && (axes.empty() || m.random().Chance(60)))
      axes.push_back(Axis(m, i, RankOf(x)));
    whole &= d.is_number();
  }
  if (whole && m.random().Chance(30)) return m.Op(op, {x});
  return m.Op(op, {x, m.Ints(axes)});
}

Value* DrawUnsqueeze(Maker& m, const std::string& op) {
  Value* x = m.Operand(kAllTypes, 0, 4);
  std::vector<int64_t> axes = {m.random().Below(RankOf(x) + 1)};
  if (m.random().Chance(30)) axes.push_back(RankOf(x) + 1);
  if (m.random().Chance(30)) axes[0] -= RankOf(x) + static_cast<int64_t>(axes.size());
  return m.Op(op, {x, m.Ints(axes)});
}

Value* DrawTranspose(Maker& m, const std::string& op) {
  Value* x = m.Operand(kAllTypes, 0, 5);
  if (m.random().Chance(15)) return m.Op(op, {x});
  std::vector<int64_t> perm(static_cast<size_t>(RankOf(x)));
  std::iota(perm.begin(), perm.end(), 0);
  if (perm.size() > 1 && m.random().Chance(40)) {
    std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
  } else if (!m.random().Chance(10)) {
    m.random().Shuffle(&perm);
  }
  return m.Op(op, {x}, {{"perm", perm}});
}

Value* DrawConcat(Maker& m, const std::string& op) {
  Value* x = m.Operand(kAllTypes, 1, 5);
  const int64_t axis = m.random().Below(RankOf(x));
  std::vector<Value*> inputs = {x};
  const int64_t more = m.random().Chance(1) ? 130 : m.random().Below(4);
  for (int64_t i = 0; i < more; ++i) {
    Shape shape = x->type().shape();
    if (m.random().Chance(50)) shape[axis] = m.random().Chance(10) ? Dim(0) : m.AnyDim();
    inputs.push_back(more > 100 || m.random().Chance(15) ? x : m.Like(x->type().dtype(), shape));
  }
  m.random().Shuffle(&inputs);
  return m.Op(op, inputs, {{"axis", Axis(m, axis, RankOf(x))}});
}

Value* DrawSplit(Maker& m, const std::string& op) {
  Value* x = m.Operand(kAllTypes, 1, 5);
  const int64_t axis = m.random().Below(RankOf(x));
  const Dim& dim = x->type().dim(static_cast<int>(axis));
  AttrList attrs = {{"axis", Axis(m, axis, RankOf(x))}};
  std::vector<Value*> parts;
  if (dim.is_number() && m.random().Chance(60)) {
    std::vector<int64_t> sizes;
    int64_t rest = dim.number();
    for (int64_t i = m.random().Below(3); i > 0; --i) {
      sizes.push_back(
          m.random().Between(m.random().Chance(15) ? 0 : std::min<int64_t>(1, rest), rest));
      rest -= sizes.back();
    }
    sizes.push_back(rest);
    parts = m.OpN(op, {x, m.Ints(sizes)}, sizes.size(), attrs);
  } else {
    const std::optional<int64_t> n = m.Least(dim);
    if (!n.has_value() || *n < 1) return nullptr;
    const int64_t count = m.random().Between(1, std::min<int64_t>(3, *n));
    for (size_t run = 0; run < m.runs(); ++run) {  // the last may be smaller, but not below nothing
      const int64_t extent = (*m.DimsIn(x, run))[axis], part = (extent + count - 1) / count;
      if (part * (count - 1) > extent) return nullptr;
    }
    attrs.push_back({"num_outputs", count});
    parts = m.OpN(op, {x}, static_cast<size_t>(count), attrs);
  }
  for (size_t i = 1; i < parts.size(); ++i) m.Add(parts[i]);
  return parts[0];
}

Value* DrawSlice(Maker& m, const std::string& op) {
  Random& r = m.random();
  Value* x = m.Operand(kAllTypes, 1, 5);
  const DType dtype = r.Chance(80) ? DType::kI64 : DType::kI32;
  std::vector<int64_t> starts, ends, axes, steps;
  for (int64_t axis = 0; axis < RankOf(x); ++axis) {
    if (!axes.empty() && r.Chance(60)) continue;
    const int64_t n = m.Most(x->type().dim(static_cast<int>(axis))).value_or(4);
    const bool back = r.Chance(15);
    axes.push_back(r.Chance(20) ? axis - RankOf(x) : axis);
    starts.push_back(back ? r.Of<int64_t>({-1, n, INT32_MAX})
                          : r.Of<int64_t>({0, 0, 1, 2, -1, -n, -n - 1}));
    ends.push_back(back ? r.Of<int64_t>({0, -n - 1, -INT32_MAX})
                        : r.Of<int64_t>({n, INT32_MAX, 1, 2, -1, n - 1}));
    steps.push_back(back ? -r.Between(1, 2) : r.Of<int64_t>({1, 1, 1, 2, 3}));
  }
  const int fed = r.Chance(25) ? 60 : 0;
  const bool leave_axes = axes.size() == static_cast<size_t>(RankOf(x)) && r.Chance(30);
  const bool leave_steps =
      std::all_of(steps.begin(), steps.end(), [](int64_t s) { return s == 1; }) && r.Chance(60);
  if (leave_axes) {  // they are in order then
    for (size_t i = 0; i < axes.size(); ++i) axes[i] = static_cast<int64_t>(i);
  }
  return m.Op(op, {x, m.Ints(starts, fed, dtype), m.Ints(ends, fed, dtype),
                   leave_axes && leave_steps ? nullptr : m.Ints(axes, 0, dtype),
                   leave_steps ? nullptr : m.Ints(steps, 0, dtype)});
}

Value* DrawPad(Maker& m, const std::string& op) {
  Random& r = m.random();
  const char* mode =
      r.Of<const char*>({"constant", "constant", "constant", "reflect", "edge", "wrap"});
  Value* x = m.KnownOperand(kAllTypes, 1, 5, std::string(mode) == "constant");
  if (x == nullptr) return nullptr;
  const int64_t rank = RankOf(x);
  std::vector<int64_t> pads(static_cast<size_t>(2 * rank), 0);
  for (int64_t i = 0; i < 2 * rank; ++i) {
    const int64_t n = *m.Least(x->type().dim(static_cast<int>(i % rank)));
    const int64_t most = std::string(mode) == "constant" ? 3 : std::min<int64_t>(2, n - 1);
    if (r.Chance(45) && most > 0) pads[i] = r.Between(0, most);
    if (r.Chance(6) && n > 2 && std::string(mode) == "constant") pads[i] = -1;
  }
  Value* fill =
      std::string(mode) != "constant" || r.Chance(40) ? nullptr : m.Like(x->type().dtype(), {});
  Value* axes = nullptr;
  if (r.Chance(20)) {
    std::vector<int64_t> all(static_cast<size_t>(rank));
    std::iota(all.begin(), all.end(), r.Chance(50) ? 0 : -rank);
    axes = m.Ints(all, 0);
  }
  return m.Op(op, {x, m.Ints(pads, 12), fill, axes}, {{"mode", mode}});
}

Value* DrawExpand(Maker& m, const std::string& op) {
  Value* x = m.Operand(kAllTypes, 0, 4);
  Shape shape = x->type().shape();
  for (Dim& d : shape) {
    if (d == Dim(1) && m.random().Chance(60))
      d = m.AnyDim();
    else if (m.random().Chance(25))
      d = 1;
  }
  if (m.random().Chance(30) && shape.size() < 5) shape.insert(shape.begin(), m.AnyDim());
  if (m.random().Chance(20) && !shape.empty()) shape.erase(shape.begin());
  return m.Op(op, {x, m.Extents(shape)});
}

Value* DrawTile(Maker& m, const std::string& op) {
  Value* x = m.Operand(kAllTypes, 1, 4);
  std::vector<int64_t> repeats;
  for (int64_t i = 0; i < RankOf(x); ++i)
    repeats.push_back(m.random().Chance(2) ? 0 : m.random().Of<int64_t>({1, 1, 1, 2, 3}));
  return m.Op(op, {x, m.Ints(repeats, 12)});
}

Value* DrawSpace(Maker& m, const std::string& op) {
  const int64_t block = m.random().Of<int64_t>({1, 2, 2, 3});
  const bool to_space = op == "DepthToSpace";
  Value* x = m.Pick([&](const Value* v) {
    if (v->type().rank() != 4) return false;
    for (int axis = to_space ? 1 : 2; axis < (to_space ? 2 : 4); ++axis) {
      if (!ExactDiv(v->type().dim(axis), to_space ? block * block : block)) return false;
    }
    return true;
  });
  if (x == nullptr) {
    const Shape shape = to_space ? Shape{m.AnyDim(), block * block * 2, 3, m.AnyDim()}
                                 : Shape{m.AnyDim(), 3, block * 2, block};
    x = m.Input(m.AnyDType(kNumericTypes), shape);
  }
  AttrList attrs = {{"blocksize", block}};
  if (to_space) attrs.push_back({"mode", m.random().Of<const char*>({"DCR", "CRD"})});
  return m.Op(op, {x}, attrs);
}

Value* DrawTrilu(Maker& m, const std::string& op) {
  Value* x = m.Operand(kNumericTypes | kBoolType, 2, 4);
  Value* k = m.random().Chance(40) ? nullptr : m.IntScalar(m.random().Between(-3, 3), 20);
  return m.Op(op, {x, k}, {{"upper", m.random().Of({0, 1})}});
}

Value* DrawCenterCropPad(Maker& m, const std::string& op) {
  Value* x = m.KnownOperand(kNumericTypes, 1, 4);
  if (x == nullptr) return nullptr;
  std::vector<int64_t> extents, axes;
  for (int64_t i = 0; i < RankOf(x); ++i) {
    if (m.random().Chance(40) && i + 1 < RankOf(x)) continue;
    axes.push_back(Axis(m, i, RankOf(x)));
    extents.push_back(m.random().Between(1, 6));
  }
  return m.Op(op, {x, m.Ints(extents)}, {{"axes", axes}});
}

Value* DrawReverse(Maker& m, const std::string& op) {
  Value* x = m.KnownOperand(kNumericTypes, 2, 4);
  if (x == nullptr) return nullptr;
  const int64_t batch = m.random().Below(2);
  const int64_t time = *m.Least(x->type().dim(static_cast<int>(1 - batch)));
  return m.Op(op, {x, m.Input(DType::kI64, {x->type().dim(static_cast<int>(batch))}, 1, time + 1)},
              {{"batch_axis", batch}, {"time_axis", 1 - batch}});
}

Value* DrawResize(Maker& m, const std::string& op) {
  Random& r = m.random();
  Value* x = m.KnownOperand(DTypeSet{DType::kF32, DType::kF16, DType::kU8}, 3, 4);
  if (x == nullptr) return nullptr;
  const int64_t rank = RankOf(x);
  const char* mode = r.Of<const char*>({"nearest", "linear", "cubic"});
  if (!IsFloat(x->type().dtype())) mode = "nearest";
  AttrList attrs = {{"mode", mode},
                    {"coordinate_transformation_mode",
                     r.Of<const char*>({"half_pixel", "align_corners", "asymmetric",
                                        "pytorch_half_pixel", "half_pixel_symmetric"})}};
  if (r.Chance(50))
    attrs.push_back({"nearest_mode", r.Of<const char*>({"floor", "ceil", "round_prefer_ceil"})});
  if (r.Chance(15) && std::string(mode) != "nearest") attrs.push_back({"antialias", 1});
  std::vector<float> scales(static_cast<size_t>(rank), 1.0f);
  std::vector<int64_t> sizes;
  bool numbers = true;
  for (int64_t i = 0; i < rank; ++i) {
    const Dim& d = x->type().dim(static_cast<int>(i));
    if (i >= 2) scales[i] = r.Of({1.0f, 2.0f, 0.5f, 1.5f, 3.0f});
    if (i >= 2 && *m.Least(d) * scales[i] < 1) scales[i] = 1;
    numbers &= d.is_number();
    sizes.push_back(i >= 2 ? r.Between(1, 7) : d.is_number() ? d.number() : 1);
  }
  if (numbers && r.Chance(50)) return m.Op(op, {x, nullptr, nullptr, m.Ints(sizes)}, attrs);
  Tensor t = *Tensor::Allocate(DType::kF32, {rank});
  std::copy(scales.begin(), scales.end(), t.mutable_data<float>());
  return m.Op(op, {x, nullptr, m.Constant(t)}, attrs);
}

Value* DrawDropout(Maker& m, const std::string& op) {
  Value* x = m.Operand(kFloatTypes);
  if (m.random().Chance(60)) return m.Op(op, {x});
  const std::vector<Value*> both = m.OpN(op, {x, m.Scalar(x->type().dtype(), 0.5)}, 2);
  m.Add(both[1]);
  return both[0];
}

constexpr Line kLines[] = {
    {"Identity", 4, DrawIdentity},
    {"StopGradient", 1, DrawIdentity},
    {"GradientSeed", 1, DrawGradientEnd},
    {"GradientOf", 1, DrawGradientEnd},
    {"Reshape", 14, DrawReshape},
    {"Flatten", 4, DrawFlatten},
    {"Squeeze", 6, DrawSqueeze},
    {"Unsqueeze", 6, DrawUnsqueeze},
    {"Transpose", 12, DrawTranspose},
    {"Concat", 9, DrawConcat},
    {"Split", 7, DrawSplit},
    {"Slice", 10, DrawSlice},
    {"Pad", 7, DrawPad},
    {"Expand", 7, DrawExpand},
    {"Tile", 5, DrawTile},
    {"DepthToSpace", 3, DrawSpace},
    {"SpaceToDepth", 3, DrawSpace},
    {"Trilu", 3, DrawTrilu},
    {"CenterCropPad", 2, DrawCenterCropPad},
    {"ReverseSequence", 2, DrawReverse},
    {"Resize", 4, DrawResize},
    {"Dropout", 2, DrawDropout},
};

}  // namespace

absl::Span<const Line> MovementLines() { return kLines; }

}  // namespace sluice::random
