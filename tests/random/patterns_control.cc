// Branches that must not be taken, bodies that must not run, loops of changing length.
#include "ops/control_flow_builders.h"
#include "tests/random/lines.h"
#include "tests/random/parts.h"

namespace sluice::random {
namespace {

// What would fail if it ran, where the first extent of x is not 1. Rules rewrite what they find
// there, and what they make of it is as wrong. `shape`: that of x, which x itself may not tell.
Value* OnlyForOne(Maker& inner, Value* x, const Shape& shape) {
  Random& r = inner.random();
  const DType d = x->type().dtype();
  Dims dims = {7};
  for (int64_t i = 1; i < RankOf(x); ++i) dims.push_back(1);
  const auto seven = [&] {
    Tensor t = *Tensor::Random(d, dims, {.seed = 5, .scale = 4, .offset = 1});
    return inner.Constant(std::move(t));
  };
  switch (r.Below(7)) {
    case 0:
      return inner.NeverWrong(inner.Op("Squeeze", {x, inner.Ints({0}, 0)}));
    case 1:
      return inner.NeverWrong(inner.Op("Reshape", {x, inner.Ints({1, -1}, 0)}));
    case 2: {
      const char* op = r.Of<const char*>({"Add", "Mul"});
      Value* y = inner.NeverWrong(inner.Op(op, {x, seven()}));
      return inner.NeverWrong(inner.Op(op, {y, seven()}));
    }
    case 3:
    case 4: {  // no kernel takes it, and how many extents it wants shows when all are known
      const bool alone = std::any_of(shape.begin() + 1, shape.end(),
                                     [&](const Dim& n) { return inner.Least(n).value_or(0) < 2; });
      if (alone || RankOf(x) < 2)
        return inner.NeverWrong(inner.Op("Squeeze", {x, inner.Ints({0}, 0)}));
      Value* y = inner.NeverWrong(inner.Op("Squeeze", {x, nullptr}));
      const std::vector<int64_t> two(static_cast<size_t>(RankOf(x) - 1), 2);
      return inner.NeverWrong(inner.Op("CenterCropPad", {y, inner.Ints(two, 0)}));
    }
    default:
      return inner.NeverWrong(inner.Op("Add", {x, seven()}));
  }
}

// Whether x has one row in a run: computed from its shape, or fed, when nothing tells before.
Value* FirstIsOne(Maker& m, Value* x, bool fed) {
  if (fed) {
    std::vector<Tensor> values;
    for (size_t run = 0; run < m.runs(); ++run)
      values.push_back(Tensor::Scalar<bool>((*m.DimsIn(x, run))[0] == 1));
    return m.Fed(DType::kBool, {}, values);
  }
  Value* first = m.Op("Gather", {m.Op("Shape", {x}), m.IntScalar(0, 0)});
  return m.Op("Equal", {first, m.IntScalar(1, 0)});
}

// x, whose extents only constant folding finds out.
Value* Hidden(Maker& m, Value* x) {
  const std::optional<Dims> dims = x->type().StaticDims();
  if (!dims.has_value()) return x;
  // Inference follows integers, and no floats.
  Value* extents = m.Ints(std::vector<int64_t>(dims->begin(), dims->end()), 0);
  extents = m.Op("Cast", {m.Op("Cast", {extents}, {{"to", DType::kF32}})}, {{"to", DType::kI64}});
  return m.Op("Reshape", {x, extents}, {{"allowzero", 1}});
}

Value* Erased(Maker& m, GraphBuilder& b) {
  for (auto it = b.added().rbegin(); it != b.added().rend(); ++it) m.graph()->EraseNode(*it);
  return nullptr;
}

// if x has one row: what holds for one row alone.
Value* Guarded(Maker& m, const std::string&) {
  if (m.depth() > 1) return nullptr;
  Value* x = m.Pick([&](const Value* v) {
    return v->type().dtype() == DType::kF32 && v->type().rank() > 0 && m.Known(v);
  });
  if (x == nullptr) return nullptr;
  const bool number = DimOf(x, 0).is_number();
  const Shape shape = x->type().shape();
  Value* one = FirstIsOne(m, x, /*fed=*/number || m.random().Chance(50));
  if (number) x = Hidden(m, x);
  if (one == nullptr || x == nullptr) return nullptr;
  GraphBuilder b(m.graph());
  const ops::Values y = ops::If(
      b, one,
      [&](GraphBuilder& g) {
        Maker inner(&m.program(), &m.random(), g.graph(), &m);
        return ops::Values{OnlyForOne(inner, x, shape)};
      },
      [&](GraphBuilder& g) {
        Maker inner(&m.program(), &m.random(), g.graph(), &m);
        if (m.random().Chance(30)) OnlyForOne(inner, x, shape);  // nobody reads it
        return ops::Values{inner.Op(m.random().Of<const char*>({"Identity", "Relu"}), {x})};
      });
  return b.status().ok() && !y.empty() && y[0] != nullptr ? y[0] : Erased(m, b);
}

// A loop of no iteration whose body could not run.
Value* NeverRun(Maker& m, const std::string&) {
  if (m.depth() > 1) return nullptr;
  Value* x = m.Pick([&](const Value* v) {
    return v->type().dtype() == DType::kF32 && v->type().rank() > 0 &&
           m.Least(v->type().dim(0)).value_or(0) > 0 && !v->type().dim(0).is_number();
  });
  if (x == nullptr) return nullptr;
  std::vector<Tensor> trips;
  for (size_t run = 0; run < m.runs(); ++run) {
    const bool may = (*m.DimsIn(x, run))[0] == 1;
    trips.push_back(Tensor::Scalar<int64_t>(may ? m.random().Between(0, 3) : 0));
  }
  Value* count = m.Fed(DType::kI64, {}, trips);
  Value* start = m.Constant(m.Contents(DType::kF32, {4}));
  GraphBuilder b(m.graph());
  const ops::LoopOutputs y =
      ops::Loop(b, count, nullptr, {start},
                [&](GraphBuilder& g, Value*, Value*, absl::Span<Value* const> carried) {
                  Maker inner(&m.program(), &m.random(), g.graph(), &m);
                  Value* bad = OnlyForOne(inner, x, x->type().shape());
                  Value* sum = inner.Op("ReduceSum", {bad}, {{"keepdims", 0}});
                  ops::LoopBody body;
                  body.carried = {inner.Op("Add", {carried[0], sum})};
                  return body;
                });
  return b.status().ok() && !y.carried.empty() && y.carried[0] != nullptr ? y.carried[0]
                                                                          : Erased(m, b);
}

// Rows start .. start + length of x, summed: other lengths in every trip.
Value* Bags(Maker& m, const std::string&) {
  if (m.depth() > 1) return nullptr;
  Random& r = m.random();
  Value* x = m.KnownOperand(DTypeSet{DType::kF32}, 1, 3);
  if (x == nullptr) return nullptr;
  const int64_t trips = r.Between(1, 5);
  std::vector<int64_t> begin;
  for (int64_t i = 0; i <= trips; ++i) begin.push_back(r.Between(0, 6));
  Value* offsets = m.Ints(begin, 50);
  GraphBuilder b(m.graph());
  const ops::LoopOutputs y = ops::Loop(
      b, m.Constant(Tensor::Scalar<int64_t>(trips)), nullptr, {},
      [&](GraphBuilder& g, Value* iteration, Value*, absl::Span<Value* const>) {
        Maker inner(&m.program(), &r, g.graph(), &m);
        Value* zero = inner.Ints({0}, 0);
        Value* one = inner.Op("Add", {iteration, inner.Constant(Tensor::Scalar<int64_t>(1))});
        Value* from = inner.Op("Unsqueeze", {inner.Op("Gather", {offsets, iteration}), zero});
        Value* to = inner.Op("Unsqueeze", {inner.Op("Gather", {offsets, one}), zero});
        Value* rows = inner.Op("Slice", {x, from, to, zero});
        if (r.Chance(40)) rows = Cheap(inner, rows, 2);
        ops::LoopBody body;
        body.stacked = {inner.Op(r.Of<const char*>({"ReduceSum", "ReduceMean"}), {rows, zero},
                                 {{"keepdims", 0}})};
        return body;
      });
  return b.status().ok() && !y.stacked.empty() && y.stacked[0] != nullptr ? y.stacked[0]
                                                                          : Erased(m, b);
}

// Chains over the same elements around a branch that reads the first of them.
Value* AroundBranch(Maker& m, const std::string&) {
  if (m.depth() > 1) return nullptr;
  Random& r = m.random();
  Value* x = m.Operand(DTypeSet{DType::kF32}, 1, 4);
  Value* a = Cheap(m, x, 2);
  if (a == nullptr) return nullptr;
  std::vector<Tensor> values;
  for (size_t run = 0; run < m.runs(); ++run) values.push_back(Tensor::Scalar<bool>(r.Chance(50)));
  Value* condition = m.Fed(DType::kBool, {}, values);
  GraphBuilder b(m.graph());
  const ops::Values y = ops::If(
      b, condition,
      [&](GraphBuilder& g) {
        return ops::Values{g.Op(r.Of<const char*>({"Identity", "Neg"}), {a})};
      },
      [&](GraphBuilder& g) { return ops::Values{g.Op("Relu", {a})}; });
  if (!b.status().ok() || y.empty() || y[0] == nullptr) return Erased(m, b);
  Value* sum = m.Op("Add", {y[0], r.Chance(60) ? a : x});
  if (sum == nullptr) return y[0];
  if (r.Chance(50)) return Cheap(m, sum, 3);
  const Dim& n = DimOf(sum, RankOf(sum) - 1);
  Value* scale = m.Like(DType::kF32, {n});
  Value* norm = m.Op("LayerNormalization", {m.Op("Sigmoid", {sum}), scale, scale});
  return norm == nullptr ? sum : Cheap(m, norm, 2);
}

// Bodies in bodies that hand out what they only see.
Value* PassedThrough(Maker& m, const std::string&) {
  if (m.depth() > 1) return nullptr;
  Random& r = m.random();
  Value* x = m.Operand(DTypeSet{DType::kF32}, 1, 3);
  auto condition = [&] {
    return m.Fed(DType::kBool, {},
                 std::vector<Tensor>(m.runs(), Tensor::Scalar<bool>(r.Chance(50))));
  };
  Value *outer = condition(), *inner = condition();
  GraphBuilder b(m.graph());
  auto same = [&](GraphBuilder&) { return ops::Values{x}; };
  auto nested = [&](GraphBuilder& g) {
    const ops::Values y =
        ops::If(g, inner, same, [&](GraphBuilder& h) { return ops::Values{h.Op("Neg", {x})}; });
    return ops::Values{x, y.empty() ? nullptr : y[0]};
  };
  const ops::Values y = ops::If(b, outer, nested, [&](GraphBuilder& g) {
    return ops::Values{r.Chance(50) ? x : g.Op("Relu", {x}), x};
  });
  if (!b.status().ok() || y.size() < 2 || y[1] == nullptr) return Erased(m, b);
  m.Add(y[0]);
  return y[1];
}

// What nobody reads may be wrong, in the graph or in a body.
Value* Unread(Maker& m, const std::string&) {
  Value* x = m.Pick([&](const Value* v) {
    return v->type().dtype() == DType::kF32 && v->type().rank() > 0 && m.Known(v) &&
           !v->type().dim(0).is_number();
  });
  if (x == nullptr || OnlyForOne(m, x, x->type().shape()) == nullptr) return nullptr;
  return m.Op(m.random().Of<const char*>({"Identity", "Relu"}), {x});
}

constexpr Line kLines[] = {{"guarded", 8, Guarded},
                           {"unread", 5, Unread},
                           {"never run", 6, NeverRun},
                           {"bags", 4, Bags},
                           {"around a branch", 6, AroundBranch},
                           {"passed through", 3, PassedThrough}};

}  // namespace

absl::Span<const Line> ControlPatterns() { return kLines; }

}  // namespace sluice::random
