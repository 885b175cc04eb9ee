// Arithmetic that passes know by another name: activations, norms, identities.
#include <cmath>
#include <limits>

#include "tests/random/lines.h"
#include "tests/random/parts.h"

namespace sluice::random {
namespace {

Value* X(Maker& m, int low = 0, int high = 4) {
  return m.Operand(DTypeSet{DType::kF32, DType::kF32, DType::kF16, DType::kF64}, low, high);
}
// One time in eight another number: a near miss.
Value* Number(Maker& m, Value* x, double value) {
  if (m.random().Chance(12)) value *= m.random().Of({1.01, 2.0, -1.0});
  return m.Scalar(x->type().dtype(), value);
}
Value* Either(Maker& m, const char* op, Value* a, Value* b) {
  return m.random().Chance(50) ? m.Op(op, {a, b}) : m.Op(op, {b, a});
}

// x, sometimes without its infinities: a near miss as well.
Value* Bounded(Maker& m, Value* x) {
  const DType d = x->type().dtype();
  if (d == DType::kF16 || m.random().Chance(65)) return x;
  return m.Op("Clip", {x, m.Scalar(d, -1e32), m.Scalar(d, 1e32)});
}

Value* Activation(Maker& m, const std::string&) {
  Random& r = m.random();
  Value* x = r.Chance(25) ? m.Input(DType::kF32, m.AnyShape(1, 3)) : X(m);
  switch (r.Below(6)) {
    case 0: {  // Gelu by erf
      Value* e = m.Op("Erf", {r.Chance(50) ? m.Op("Div", {x, Number(m, x, std::sqrt(2.0))})
                                           : m.Op("Mul", {x, Number(m, x, std::sqrt(0.5))})});
      if (e == nullptr) return nullptr;
      Value* y = Either(m, "Mul", Bounded(m, x), Either(m, "Add", e, Number(m, x, 1)));
      return y == nullptr ? nullptr : Either(m, "Mul", y, Number(m, x, 0.5));
    }
    case 1: {  // Gelu by tanh
      Value* cube = r.Chance(50) ? m.Op("Pow", {x, m.Scalar(x->type().dtype(), 3)})
                                 : m.Op("Mul", {m.Op("Mul", {x, x}), x});
      if (cube == nullptr) return nullptr;
      Value* inner = m.Op("Add", {x, m.Op("Mul", {cube, Number(m, x, 0.044715)})});
      Value* t = m.Op("Tanh", {m.Op("Mul", {inner, Number(m, x, std::sqrt(2 / M_PI))})});
      return m.Op("Mul", {m.Op("Mul", {x, Number(m, x, 0.5)}), m.Op("Add", {t, Number(m, x, 1)})});
    }
    case 2: {  // Swish
      Value* s = m.Op("Sigmoid", {r.Chance(60) ? x : m.Op("Mul", {x, Number(m, x, 1.702)})});
      return s == nullptr ? nullptr : Either(m, "Mul", Bounded(m, x), s);
    }
    case 3: {  // x / (1 + e^-x)
      Value* e = m.Op("Exp", {m.Op("Neg", {x})});
      return m.Op("Div", {x, m.Op("Add", {e, Number(m, x, 1)})});
    }
    case 4: {  // HardSwish
      Value* line = m.Op("Add", {x, Number(m, x, 3)});
      Value* clipped =
          m.Op("Clip", {line, m.Scalar(x->type().dtype(), 0), m.Scalar(x->type().dtype(), 6)});
      return m.Op("Div", {m.Op("Mul", {x, clipped}), Number(m, x, 6)});
    }
    default:  // Mish
      return m.Op(
          "Mul", {x, m.Op("Tanh", {r.Chance(50) ? m.Op("Softplus", {x})
                                                : m.Op("Log", {m.Op("Add", {m.Op("Exp", {x}),
                                                                            Number(m, x, 1)})})})});
  }
}

Value* Norm(Maker& m, const std::string&) {
  Random& r = m.random();
  Value* x = X(m, 1, 4);
  const DType d = x->type().dtype();
  // Of f64 epsilon keeps its digits, which show where the spread is no larger.
  if (d == DType::kF64 && r.Chance(60)) x = m.Op("Mul", {x, m.Scalar(d, 1e-3)});
  const int64_t last = r.Chance(80) || RankOf(x) < 2 ? -1 : -2;
  Value* axes = r.Chance(85) ? m.Ints({last}, 0) : m.Ints({-2, -1}, 0);
  const AttrList keep = {{"keepdims", r.Chance(92)}};
  const bool rms = r.Chance(40);
  Value* c = rms ? x : m.Op("Sub", {x, m.Op("ReduceMean", {x, axes}, keep)});
  if (c == nullptr) return nullptr;
  Value* square = r.Chance(50) ? m.Op("Mul", {c, c}) : m.Op("Pow", {c, m.Scalar(d, 2)});
  Value* variance = m.Op(r.Chance(92) ? "ReduceMean" : "ReduceSum", {square, axes}, keep);
  Value* epsilon = r.Chance(90) ? m.Scalar(d, r.Of({1e-5, 1e-3, 0.01})) : m.Like(d, {});
  Value* spread = m.Op("Sqrt", {m.Op("Add", {variance, epsilon})});
  if (spread == nullptr) return nullptr;
  Value* y =
      r.Chance(60) ? m.Op("Div", {c, spread}) : m.Op("Mul", {c, m.Op("Reciprocal", {spread})});
  const Dim& n = DimOf(x, RankOf(x) - 1);
  if (y == nullptr || r.Chance(25)) return y;
  y = Either(m, "Mul", y, m.Like(d, {n}));
  return y == nullptr || rms || r.Chance(25) ? y : Either(m, "Add", y, m.Like(d, {n}));
}

// Reductions over axes of equal contents, each a constant of its own.
Value* Reductions(Maker& m, const std::string&) {
  Random& r = m.random();
  Value* x = X(m, 2, 4);
  const int64_t axis = r.Of<int64_t>({1, -1});
  const char* op = r.Of<const char*>({"ReduceSum", "ReduceMean", "ReduceMax"});
  const bool keep = r.Chance(50);
  Value* s = m.Op(op, {x, m.Ints({axis}, 0)}, {{"keepdims", keep}});
  if (r.Chance(30)) m.Add(m.Op("Reshape", {x, m.Ints({axis}, 0)}));
  Value* again = s;
  if (!keep) again = m.Op("Unsqueeze", {s, m.Ints({axis}, 0)});
  Value* y = m.Op(r.Of<const char*>({"Sub", "Div", "Add"}), {x, again});
  if (y == nullptr) return s;
  y = m.Op("Mul", {y, y});
  Value* v = m.Op(op, {y, m.Ints({axis}, 0)}, {{"keepdims", r.Chance(50)}});
  return v == nullptr ? y : m.Op(r.Of<const char*>({"Sqrt", "Exp", "Neg"}), {v});
}

Value* Identities(Maker& m, const std::string&) {
  Random& r = m.random();
  // What was computed has lost most of its special values.
  Value* x = r.Chance(35) ? m.Input(DType::kF32, m.AnyShape(1, 3)) : X(m);
  const DType d = x->type().dtype();
  auto n = [&](double value) {
    if (r.Chance(70)) return m.Scalar(d, value);
    Tensor t = *Tensor::Allocate(d, {1});
    VisitDType(d, [&]<typename T>() { *t.mutable_data<T>() = static_cast<T>(value); }, [] {});
    return m.Constant(t);
  };
  for (int64_t i = r.Between(1, 3); i > 0 && x != nullptr; --i) {
    switch (r.Below(17)) {
      case 0:
      case 16:
        x = r.Chance(60) ? m.Op("Add", {x, n(r.Of({0.0, 0.0, -0.0}))}) : m.Op("Sub", {x, n(0)});
        // Behind it the sign of a zero shows.
        if (r.Chance(40)) x = m.Op("Reciprocal", {x});
        break;
      case 1:
        x = r.Chance(50) ? m.Op("Mul", {x, n(1)}) : m.Op("Div", {x, n(1)});
        break;
      case 2:
        x = m.Op("Pow", {x, n(r.Of({2.0, 3.0, -1.0, 1.0, 0.5, 0.5, -0.5, 0.0}))});
        break;
      case 3: {
        const auto [inner, outer] = r.Of<std::pair<double, double>>(
            {{3, 0.5}, {1e-3, 1e3}, {1e20, 1e-20}, {3e38, 1e-20}, {1e-30, 1e20}});
        x = m.Op("Mul", {m.Op("Mul", {x, n(inner)}), n(outer)});
        break;
      }
      case 4:
        x = m.Op("Add", {m.Op("Add", {x, n(r.Of({1.5, 1000.0}))}), n(r.Of({-0.5, -1000.0}))});
        break;
      case 5:
        x = m.Op("Neg", {m.Op("Neg", {x})});
        break;
      case 6:
        x = m.Op("Clip", {m.Op("Clip", {x, n(-1), n(2)}), n(0), n(r.Of({1.0, 6.0}))});
        break;
      case 7:
        x = m.Op("Max", {x, n(0)});
        if (r.Chance(40)) x = m.Op("Reciprocal", {x});
        break;
      case 8:
        x = m.Op("Relu", {m.Op("Relu", {x})});
        break;
      case 9:
        x = m.Op("Div", {x, n(r.Of({4.0, 3.0}))});
        break;
      case 10:
        x = m.Op("Where",
                 {m.Constant(Tensor::Scalar<bool>(r.Chance(50))), x, m.Broadcasting(x, false)});
        break;
      case 11:
        x = m.Op(r.Of<const char*>({"Min", "Max", "Sum", "Mean"}), {x});
        break;
      case 12:
        x = m.Op("Sub", {n(1), x});
        break;
      case 13:
        x = m.Op("Cast", {m.Op("Cast", {x}, {{"to", r.Of({DType::kF64, DType::kF16})}})},
                 {{"to", d}});
        break;
      case 14:
        x = m.Op("Abs", {m.Op("Abs", {x})});
        break;
      default:
        x = m.Op("Reciprocal", {x});
    }
  }
  return x;
}

// Several chains over the same elements, read by each other and by what stands between.
Value* Loops(Maker& m, const std::string&) {
  Random& r = m.random();
  Value* x = X(m, 1, 4);
  std::vector<Value*> all = {x};
  const bool far = x->type().dtype() == DType::kF16 && r.Chance(60);
  for (int64_t i = r.Between(3, 8); i > 0; --i) {
    Value* v = r.Of(all);
    Value* y = far && r.Chance(20) ? ThereAndBack(m, v)
               : r.Chance(45) ? m.Op(r.Of<const char*>({"Sinh", "Elu", "Sigmoid", "Selu", "Tanh",
                                                        "Neg", "Sqrt", "Exp"}),
                                     {v})
               : r.Chance(60)
                   ? m.Op(r.Of<const char*>({"Add", "Mul", "Min", "Max", "Sub"}),
                          {v, r.Chance(60) ? r.Of(all) : m.Broadcasting(v, r.Chance(30))})
               : r.Chance(50) ? m.Op(r.Of<const char*>({"ReduceMean", "ReduceMax", "ReduceSum"}),
                                     {v, m.Ints({-1}, 0)})
                              : m.Op(r.Of<const char*>({"Softmax", "LogSoftmax"}), {v});
    if (y != nullptr) all.push_back(y);
  }
  for (Value* v : all) {
    if (r.Chance(20)) m.Add(v);
  }
  return all.back();
}

constexpr Line kLines[] = {{"activation", 8, Activation},
                           {"norm", 9, Norm},
                           {"reductions", 6, Reductions},
                           {"identities", 14, Identities},
                           {"loops", 12, Loops}};

}  // namespace

absl::Span<const Line> ArithmeticPatterns() { return kLines; }

}  // namespace sluice::random
