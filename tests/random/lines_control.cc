// Ops with bodies, calls of functions, and state.
#include <algorithm>

#include "ops/control_flow_builders.h"
#include "ops/op.h"
#include "tests/random/lines.h"
#include "tests/random/parts.h"

namespace sluice::random {
namespace {

constexpr int kDeepest = 2;

// Takes out what a builder that failed has left.
Value* Built(Maker& m, GraphBuilder& b, const ops::Values& values) {
  if (b.status().ok() && !values.empty() && values[0] != nullptr) {
    for (size_t i = 1; i < values.size(); ++i) m.Add(values[i]);
    return values[0];
  }
  for (auto it = b.added().rbegin(); it != b.added().rend(); ++it) m.graph()->EraseNode(*it);
  return nullptr;
}

Value* Condition(Maker& m) {
  Random& r = m.random();
  if (r.Chance(12)) return m.Constant(Tensor::Scalar<bool>(r.Chance(50)));
  if (r.Chance(40)) {
    Value* x = m.Operand(DTypeSet{DType::kF32, DType::kI64}, 0, 4);
    Value* sum = m.Op("ReduceSum", {x}, {{"keepdims", 0}});
    if (sum == nullptr) return nullptr;
    return m.Op("Greater", {sum, m.Scalar(x->type().dtype(), 0)});
  }
  std::vector<Tensor> values;
  for (size_t run = 0; run < m.runs(); ++run) values.push_back(Tensor::Scalar<bool>(r.Chance(50)));
  return m.Fed(DType::kBool, {}, values);
}

Value* DrawIf(Maker& m, const std::string&) {
  if (m.depth() > kDeepest) return nullptr;
  Random& r = m.random();
  Value* condition = Condition(m);
  if (condition == nullptr) return nullptr;
  const bool two = r.Chance(25);
  GraphBuilder b(m.graph());
  ops::Values first;
  auto then_branch = [&](GraphBuilder& g) {
    Maker inner(&m.program(), &r, g.graph(), &m);
    inner.Grow(static_cast<int>(r.Between(1, 3)));
    first = {inner.values().back()};
    if (two) first.push_back(r.Of(inner.values()));
    return first;
  };
  auto else_branch = [&](GraphBuilder& g) {
    Maker inner(&m.program(), &r, g.graph(), &m);
    if (r.Chance(70)) inner.Grow(static_cast<int>(r.Between(1, 2)));
    ops::Values second;
    for (Value* v : first) {
      if (v == nullptr || !v->type().is_tensor() || !v->type().has_shape()) return second;
      Value* other = r.Chance(75) ? inner.Like(v->type().dtype(), v->type().shape()) : nullptr;
      if (other == nullptr) {
        const int rank = v->type().rank();
        other = inner.Like(v->type().dtype(), inner.AnyShape(rank, rank));
      }
      if (other != nullptr && r.Chance(50) && IsFloat(other->type().dtype()))
        other = inner.Op("Neg", {other});
      second.push_back(other);
    }
    return second;
  };
  return Built(m, b, ops::If(b, condition, then_branch, else_branch));
}

// 0 to 4, sometimes another number in each run.
Value* TripCount(Maker& m) {
  Random& r = m.random();
  if (r.Chance(40)) return m.Constant(Tensor::Scalar<int64_t>(r.Between(r.Chance(20) ? 0 : 1, 4)));
  std::vector<Tensor> counts;
  for (size_t run = 0; run < m.runs(); ++run)
    counts.push_back(Tensor::Scalar<int64_t>(r.Chance(25) ? 0 : r.Between(0, 4)));
  return m.Fed(DType::kI64, {}, counts);
}

// The next value of a carried one: of the same type for the most part, longer now and then.
Value* Next(Maker& inner, Value* carried) {
  Random& r = inner.random();
  const Shape& shape = carried->type().shape();
  const DType d = carried->type().dtype();
  if (!shape.empty() && r.Chance(25) && d != DType::kString) {
    if (r.Chance(50))
      return inner.Op("Concat",
                      {carried, inner.Weight(d,
                                             [&] {
                                               Dims dims;
                                               for (const Dim& e : shape)
                                                 dims.push_back(e.is_number() ? e.number() : 1);
                                               return dims;
                                             }())},
                      {{"axis", 0}});
    return inner.Op("Slice", {carried, inner.Ints({1}, 0), inner.Ints({100}, 0)});
  }
  if (d == DType::kBool) return inner.Op("Not", {carried});
  if (d == DType::kString) return carried;
  if (r.Chance(60)) {
    Value* y = inner.Broadcasting(carried, /*stretches=*/false);
    return inner.Op(r.Of<const char*>({"Add", "Mul", "Sub", "Max"}), {carried, y});
  }
  return IsFloat(d) ? inner.Op(r.Of<const char*>({"Tanh", "Relu", "Neg", "Sigmoid"}), {carried})
                    : carried;
}

Value* DrawLoop(Maker& m, const std::string&) {
  if (m.depth() > kDeepest) return nullptr;
  Random& r = m.random();
  Value* trips = TripCount(m);
  Value* start = r.Chance(70) ? nullptr : Condition(m);
  ops::Values initial;
  for (int64_t i = r.Between(1, 2); i > 0; --i) initial.push_back(m.Operand(kNumericTypes, 0, 3));
  if (r.Chance(30)) initial.pop_back();
  GraphBuilder b(m.graph());
  const ops::LoopOutputs made = ops::Loop(
      b, trips, start, initial,
      [&](GraphBuilder& g, Value* iteration, Value* condition, absl::Span<Value* const> carried) {
        Maker inner(&m.program(), &r, g.graph(), &m);
        inner.Add(iteration);
        for (Value* v : carried) inner.Add(v);
        inner.Grow(static_cast<int>(r.Below(4)));
        ops::LoopBody body;
        if (r.Chance(25))
          body.condition =
              inner.Op("Less", {iteration, inner.Constant(Tensor::Scalar<int64_t>(r.Below(4)))});
        for (Value* v : carried) body.carried.push_back(Next(inner, v));
        if (carried.empty() || r.Chance(50)) {
          Value* v = r.Chance(40) ? iteration : inner.values().back();
          if (r.Chance(30)) v = inner.Op("Cast", {iteration}, {{"to", DType::kF32}});
          body.stacked.push_back(v);
        }
        return body;
      });
  ops::Values all = made.carried;
  all.insert(all.end(), made.stacked.begin(), made.stacked.end());
  return Built(m, b, all);
}

Value* DrawScan(Maker& m, const std::string&) {
  if (m.depth() > kDeepest) return nullptr;
  Random& r = m.random();
  Value* x = m.KnownOperand(kFloatTypes, 1, 4);
  if (x == nullptr) return nullptr;
  const int64_t axis = r.Chance(70) ? 0 : r.Below(RankOf(x));
  ops::Values scanned = {x};
  if (r.Chance(30)) scanned.push_back(m.Like(x->type().dtype(), x->type().shape()));
  Shape slice = x->type().shape();
  slice.erase(slice.begin() + axis);
  ops::Values initial;
  if (r.Chance(70)) initial.push_back(m.Like(x->type().dtype(), slice));
  if (std::find(initial.begin(), initial.end(), nullptr) != initial.end()) return nullptr;
  ops::ScanAttrs attrs;
  attrs.scan_input_axes = std::vector<int64_t>(scanned.size(), axis);
  if (r.Chance(30)) attrs.scan_input_directions = std::vector<int64_t>(scanned.size(), r.Below(2));
  if (r.Chance(25)) attrs.scan_output_directions = std::vector<int64_t>{r.Below(2)};
  if (r.Chance(25)) attrs.scan_output_axes = std::vector<int64_t>{r.Below(RankOf(x))};
  GraphBuilder b(m.graph());
  const ops::ScanBody made = ops::Scan(
      b, initial, scanned,
      [&](GraphBuilder& g, absl::Span<Value* const> states, absl::Span<Value* const> slices) {
        Maker inner(&m.program(), &r, g.graph(), &m);
        for (Value* v : states) inner.Add(v);
        for (Value* v : slices) inner.Add(v);
        inner.Grow(static_cast<int>(r.Below(3)));
        ops::ScanBody body;
        for (Value* v : states)
          body.states.push_back(inner.Op(r.Of<const char*>({"Add", "Max", "Sub"}), {v, slices[0]}));
        Value* y = slices.back();
        if (!states.empty()) y = inner.Op("Mul", {y, body.states[0]});
        if (r.Chance(50)) y = Cheap(inner, y, 2);
        body.stacked = {y};
        return body;
      },
      attrs);
  ops::Values all = made.states;
  all.insert(all.end(), made.stacked.begin(), made.stacked.end());
  return Built(m, b, all);
}

Value* DrawCall(Maker& m, const std::string& op) {
  if (m.depth() > 0) return nullptr;
  Random& r = m.random();
  Value* x = m.Operand(DTypeSet{DType::kF32}, 1, 4);
  Value* y = m.Broadcasting(x, false);
  if (y == nullptr) return nullptr;
  auto& functions = m.graph()->functions();
  std::string name;
  if (!functions.empty() && r.Chance(50)) {
    name = functions.begin()->first;
  } else {
    name = m.FreshName("f");
    auto function = std::make_unique<Graph>(StandardOps(), name);
    Value* a = function->AddInput("a", Type());
    Value* c = function->AddInput("c", Type());
    // Named by the builder: as whoever writes functions by hand would have it.
    GraphBuilder b(function.get());
    Value* v = b.Op(r.Of<const char*>({"Add", "Mul", "Sub"}), {a, c});
    for (int64_t i = r.Below(3); i > 0; --i)
      v = b.Op(r.Of<const char*>({"Relu", "Tanh", "Neg", "Exp"}), {v});
    // A function's names mean nothing outside: its caller may have them, in a body too.
    const std::vector<std::string> names = NamesIn(*m.graph());
    if (v != nullptr && !names.empty() && r.Chance(60)) function->RenameValue(v, r.Of(names));
    b.Output(v, "y");
    if (!b.status().ok()) return nullptr;
    functions[name] = std::move(function);
  }
  return m.Op(op, {x, y}, {{"function", name}});
}

Value* DrawVariable(Maker& m, const std::string&) {
  if (m.depth() > 0) return nullptr;
  const std::optional<Dims> dims = Type::Tensor(DType::kF32, m.AnyShape(0, 3)).StaticDims();
  if (!dims) return nullptr;
  GraphBuilder b(m.graph());
  return b.Variable(m.FreshName("state"), m.Contents(m.AnyDType(kNumericTypes), *dims));
}

Value* DrawAssign(Maker& m, const std::string& op) {
  if (m.depth() > 0) return nullptr;
  // One that nothing else reads: it would have to say whether before or after.
  Value* variable = DrawVariable(m, "Variable");
  if (variable == nullptr) return nullptr;
  const DType d = variable->type().dtype();
  Value* next = m.Broadcasting(variable, false);
  if (next == nullptr) return nullptr;
  return m.Op(op, {variable, m.Op("Add", {variable, IsNumeric(d) ? next : nullptr})});
}

Value* DrawTraining(Maker& m, const std::string& op) { return m.Op(op, {}); }

constexpr Line kLines[] = {
    {"If", 6, DrawIf},
    {"Loop", 7, DrawLoop},
    {"Scan", 5, DrawScan},
    {"Call", 4, DrawCall},
    {"Variable", 1, DrawVariable},
    {"Assign", 1, DrawAssign},
    {"Training", 1, DrawTraining},
};

}  // namespace

absl::Span<const Line> ControlLines() { return kLines; }

}  // namespace sluice::random
