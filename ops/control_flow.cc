#include <utility>

#include "graph/infer.h"
#include "ops/infer_util.h"
#include "ops/op.h"

namespace sluice {
namespace {

Dim Unknown() { return Dim::Unknown(); }

absl::Status ExpectCondition(const InferContext& c, const Type& type, absl::string_view what) {
  if (type.is_unknown()) return absl::OkStatus();
  if (!type.is_tensor() || (type.dtype() != DType::kBool && type.dtype() != DType::kInvalid)) {
    return c.Error(what, " must be a bool tensor, but is ", type.ToString());
  }
  if (const auto n = type.Elements(); n && ProvablyDifferent(*n, 1)) {
    return c.Error(what, " must have one element, but is ", type.ToString());
  }
  return absl::OkStatus();
}

// The value of a constant condition.
std::optional<bool> ConstantBool(const Tensor* t) {
  if (t == nullptr || t->dtype() != DType::kBool || t->elements() != 1) return std::nullopt;
  return t->data<uint8_t>()[0] != 0;
}

// The condition where it is constant, or follows from shapes.
std::optional<bool> KnownCondition(const InferContext& c, size_t i) {
  const std::optional<Shape> value = SmallInputDims(c, i);
  if (!value || value->size() != 1 || !(*value)[0].is_number()) return std::nullopt;
  return (*value)[0].number() != 0;
}

absl::Status InferIf(InferContext& c) {
  if (absl::Status s = ExpectCondition(c, c.InputType(0), "cond"); !s.ok()) return s;
  const absl::StatusOr<std::vector<Type>> then_types = c.InferBody("then_branch", {});
  const absl::StatusOr<std::vector<Type>> else_types = c.InferBody("else_branch", {});
  const std::optional<bool> cond = KnownCondition(c, 0);
  // A branch that is not taken may be wrong for these shapes: that is what conditions are for. If
  // it is entered after all, the run fails there.
  const auto certain = [&](const absl::Status& s, bool taken, const absl::Status& other) {
    return !s.ok() && (cond == taken || !InferContext::FailedByShapes(s) || (!cond && !other.ok()));
  };
  if (certain(then_types.status(), true, else_types.status())) return then_types.status();
  if (certain(else_types.status(), false, then_types.status())) return else_types.status();
  for (const char* branch : {"then_branch", "else_branch"}) {
    const size_t returns = c.node().body(branch)->outputs().size();
    if (returns == c.num_outputs()) continue;
    return c.Error(branch, " returns ", returns, " values, but the node has ", c.num_outputs(),
                   " outputs");
  }
  for (size_t i = 0; i < c.num_outputs(); ++i) {
    if (cond || !then_types.ok() || !else_types.ok()) {
      const bool taken = cond.value_or(then_types.ok());
      c.SetOutput(i, taken ? (*then_types)[i] : (*else_types)[i]);
      continue;
    }
    const Type& a = (*then_types)[i];
    const Type& b = (*else_types)[i];
    if (!a.is_unknown() && !b.is_unknown() && a.kind() == b.kind() && a.dtype() != b.dtype() &&
        a.dtype() != DType::kInvalid && b.dtype() != DType::kInvalid) {
      return c.Error("output ", i, " is ", a.ToString(), " from then_branch and ", b.ToString(),
                     " from else_branch; the element types must be the same");
    }
    c.SetOutput(i, JoinTypes(a, b, Unknown));
  }
  return absl::OkStatus();
}

// Inference of a body under narrower inputs than it will get leaves extents behind that inference
// under wider inputs must not see. Symbols stay, so that repeated inference finds the names it
// gave.
class Snapshot {
 public:
  explicit Snapshot(const Graph& graph) { Add(graph); }
  void RestoreWithoutNumbers() const {
    for (const auto& [value, type] : types_) {
      value->set_type(type);
      value->set_known_dims(std::nullopt);
    }
  }
  // What inference could not say again is not known.
  void Finish() const {
    for (const auto& [value, type] : types_) {
      const Type& now = value->type();
      if (!now.is_tensor() || !now.has_shape()) continue;
      for (const Dim& d : now.shape()) {
        if (!d.is_unknown()) continue;
        value->set_type(Type::Tensor(now.dtype()));
        break;
      }
    }
  }

 private:
  void Add(const Graph& graph) {
    for (Value* v : graph.inputs()) Save(v);
    for (const auto& node : graph.nodes()) {
      for (size_t i = 0; i < node->num_outputs(); ++i) {
        if (!node->Is("Constant")) Save(node->output(i));
      }
      for (const auto& [name, body] : node->bodies()) Add(*body);
    }
  }
  void Save(Value* v) {
    Type type = v->type();
    if (type.is_tensor() && type.has_shape()) {
      Shape shape = type.shape();
      for (Dim& d : shape) {
        if (d.is_number()) d = Dim::Unknown();
      }
      type = Type::Tensor(type.dtype(), std::move(shape), type.layout());
    }
    types_.push_back({v, std::move(type)});
  }
  std::vector<std::pair<Value*, Type>> types_;
};

int Depth(const Node& node) {
  int depth = 0;
  for (const Graph* g = node.graph(); g->owner() != nullptr; g = g->parent()) ++depth;
  return depth;
}

// `type` with every extent unknown where `next` differs from it; true where that changed anything.
absl::StatusOr<bool> Widen(const InferContext& c, size_t state, const Type& next, Type* type) {
  if (next.is_unknown() || type->is_unknown()) {
    const bool changed = !type->is_unknown();
    *type = Type();
    return changed;
  }
  if (next.kind() != type->kind() || (next.is_tensor() && next.dtype() != type->dtype())) {
    return c.Error("loop-carried value ", state, " starts as ", type->ToString(),
                   ", but the body returns ", next.ToString(),
                   "; the two must be of the same kind and element type");
  }
  if (!type->is_tensor()) {
    Type joined = JoinTypes(*type, next, Unknown);
    const bool changed = joined.ToString() != type->ToString();
    *type = std::move(joined);
    return changed;
  }
  if (!type->has_shape()) return false;
  if (!next.has_shape() || next.rank() != type->rank()) {
    *type = Type::Tensor(type->dtype());
    return true;
  }
  Shape shape = type->shape();
  bool changed = false;
  for (int i = 0; i < type->rank(); ++i) {
    if (shape[i].is_unknown() || shape[i] == next.dim(i)) continue;
    shape[i] = Dim::Unknown();
    changed = true;
  }
  if (changed) *type = Type::Tensor(type->dtype(), std::move(shape));
  return changed;
}

// With the trip count where it is known before the loop runs: M, if the condition cannot end it
// early.
Dim TripCount(const InferContext& c) {
  const Graph& body = *c.node().body("body");
  const std::optional<bool> cond = KnownCondition(c, 1);
  if (cond == false) return 0;
  if (c.HasInput(1) && !cond) return Dim::Unknown();
  const Value* next = body.outputs()[0];
  while (next->producer() != nullptr && next->producer()->Is("Identity"))
    next = next->producer()->input(0);
  if (next != body.inputs()[1] && ConstantBool(next->constant()) != true) return Dim::Unknown();
  const std::optional<Shape> limit = c.InputDims(0);
  if (!limit || limit->size() != 1) return Dim::Unknown();
  return (*limit)[0].ProvablyNonNegative() ? (*limit)[0] : Max((*limit)[0], 0);
}

// `shape` without the symbols that stand for another number in each iteration.
Shape Outside(Shape shape, const std::vector<std::string>& varying) {
  for (Dim& d : shape) {
    std::vector<std::string> symbols;
    d.CollectSymbols(&symbols);
    for (const std::string& s : symbols) {
      if (std::find(varying.begin(), varying.end(), s) != varying.end()) d = Dim::Unknown();
    }
  }
  return shape;
}

// What a loop returns for the values that its body returns in each iteration.
absl::StatusOr<Type> Stacked(const InferContext& c, const Type& element, size_t i, int64_t axis,
                             const Dim& count, const std::vector<std::string>& varying) {
  if (element.is_unknown()) return Type();
  if (!element.is_tensor()) {
    return c.Error("scan output ", i, " must be a tensor, but the body returns ",
                   element.ToString());
  }
  if (!element.has_shape()) return Type::Tensor(element.dtype());
  absl::StatusOr<int> at = c.Axis(axis, element.rank() + 1);
  if (!at.ok()) return at.status();
  Shape shape = Outside(element.shape(), varying);
  shape.insert(shape.begin() + *at, count);
  return Type::Tensor(element.dtype(), std::move(shape));
}

// Of a loop whose body does not fit these shapes: an error where a trip is certain; else nothing is
// known of its results but their dtypes. `carried`: the types it starts with, first among the
// results; the rest is stacked.
absl::Status InferIdle(InferContext& c, const absl::Status& failure, const Dim& trips,
                       absl::Span<const Type> carried, size_t first_result) {
  if (!InferContext::FailedByShapes(failure) || trips.ProvablyPositive()) return failure;
  const Graph& body = *c.node().body("body");
  for (size_t i = 0; i < c.num_outputs(); ++i) {
    const Type& type = i < carried.size() ? carried[i] : body.outputs()[first_result + i]->type();
    c.SetOutput(i, type.is_tensor() ? Type::Tensor(type.dtype()) : Type());
  }
  return absl::OkStatus();
}

absl::Status InferLoop(InferContext& c) {
  if (const Type& m = c.InputType(0); m.is_tensor()) {
    if (const auto n = m.Elements(); n && ProvablyDifferent(*n, 1)) {
      return c.Error("M must have one element, but is ", m.ToString());
    }
  }
  if (absl::Status s = ExpectCondition(c, c.InputType(1), "cond"); !s.ok()) return s;
  const Graph* body = c.node().body("body");
  const size_t states = c.num_inputs() > 2 ? c.num_inputs() - 2 : 0;
  if (body == nullptr || body->inputs().size() != states + 2) {
    return c.Error("its body must take ", states + 2, " inputs (iteration, condition, ", states,
                   " carried values), but takes ", body == nullptr ? 0 : body->inputs().size());
  }
  if (body->outputs().size() != c.num_outputs() + 1 || c.num_outputs() < states) {
    return c.Error("its body returns ", body->outputs().size(), " values, but a condition, ",
                   states, " carried values and ",
                   c.num_outputs() < states ? 0 : c.num_outputs() - states,
                   " scan outputs are expected");
  }

  // Iteration and condition are scalars, or vectors of one element where the body declares them so.
  auto one = [&](size_t i, DType dtype) {
    const Type& declared = body->inputs()[i]->type();
    const bool vector = declared.is_tensor() && declared.has_shape() && declared.rank() == 1;
    return Type::Tensor(dtype, vector ? Shape{1} : Shape{});
  };
  std::vector<Type> inputs = {one(0, DType::kI64), one(1, DType::kBool)};
  for (size_t i = 0; i < states; ++i) inputs.push_back(c.InputType(i + 2));

  // The carried values have the types that hold in every iteration: begin with the first one's and
  // widen until the body gives nothing new. Deep inside other loops, where every round would
  // multiply with theirs, nothing is assumed from the start.
  constexpr int kRounds = 3, kMaxDepth = 3;
  if (Depth(c.node()) > kMaxDepth) {
    for (size_t i = 0; i < states; ++i) {
      Type& t = inputs[i + 2];
      t = t.is_tensor() ? Type::Tensor(t.dtype()) : Type();
    }
  }
  const Snapshot before(*body);
  std::vector<Type> results;
  for (int round = 0;; ++round) {
    if (round > 0) before.RestoreWithoutNumbers();
    absl::StatusOr<std::vector<Type>> types = c.InferBody("body", inputs);
    if (!types.ok()) {
      std::vector<Type> carried;
      for (size_t i = 0; i < states; ++i) carried.push_back(c.InputType(i + 2));
      before.RestoreWithoutNumbers();
      return InferIdle(c, types.status(), TripCount(c), carried, 1);
    }
    results = *std::move(types);
    bool changed = false;
    for (size_t i = 0; i < states; ++i) {
      absl::StatusOr<bool> widened = Widen(c, i, results[i + 1], &inputs[i + 2]);
      if (!widened.ok()) return widened.status();
      changed |= *widened;
      if (round + 1 >= kRounds && *widened && inputs[i + 2].is_tensor()) {
        inputs[i + 2] = Type::Tensor(inputs[i + 2].dtype());
      }
    }
    if (changed) continue;
    if (round > 0) before.Finish();
    break;
  }
  if (absl::Status s = ExpectCondition(c, results[0], "the body's condition"); !s.ok()) return s;

  std::vector<std::string> varying;
  for (size_t i = 0; i < states; ++i) {
    c.SetOutput(i, inputs[i + 2]);
    const Type& inside = body->inputs()[i + 2]->type();
    if (!inputs[i + 2].is_tensor() || !inputs[i + 2].has_shape() || !inside.is_tensor() ||
        !inside.has_shape())
      continue;
    for (int d = 0; d < inside.rank() && d < inputs[i + 2].rank(); ++d) {
      if (inputs[i + 2].dim(d).is_unknown()) inside.dim(d).CollectSymbols(&varying);
    }
  }
  const Dim trips = TripCount(c);
  for (size_t i = states; i < c.num_outputs(); ++i) {
    absl::StatusOr<Type> type = Stacked(c, results[i + 1], i - states, 0, trips, varying);
    if (!type.ok()) return type.status();
    c.SetOutput(i, *std::move(type));
  }
  return absl::OkStatus();
}

// One number for each of `count` scan inputs or outputs: the attribute, or zeros.
absl::StatusOr<std::vector<int64_t>> PerScan(const InferContext& c, absl::string_view attr,
                                             size_t count, bool is_direction) {
  std::vector<int64_t> list = c.Ints(attr);
  if (list.empty()) list.assign(count, 0);
  if (list.size() != count)
    return c.Error(attr, " must list ", count, " numbers, but lists ", list.size());
  for (int64_t v : list) {
    if (is_direction && v != 0 && v != 1) return c.Error(attr, " must hold 0 or 1, but holds ", v);
  }
  return list;
}

absl::Status InferScan(InferContext& c) {
  const Graph* body = c.node().body("body");
  const int64_t scans = c.Int("num_scan_inputs");
  if (body == nullptr || scans < 1 || static_cast<uint64_t>(scans) > c.num_inputs()) {
    return c.Error("num_scan_inputs must be between 1 and the number of inputs, ", c.num_inputs(),
                   ", but is ", scans);
  }
  const size_t states = c.num_inputs() - static_cast<size_t>(scans);
  if (body->outputs().size() != c.num_outputs() || c.num_outputs() < states) {
    return c.Error("it has ", c.num_outputs(), " outputs and ", states,
                   " states, but its body returns ", body->outputs().size(), " values");
  }
  const size_t results = c.num_outputs() - states;
  auto input_axes = PerScan(c, "scan_input_axes", scans, false);
  auto output_axes = PerScan(c, "scan_output_axes", results, false);
  auto input_directions = PerScan(c, "scan_input_directions", scans, true);
  auto output_directions = PerScan(c, "scan_output_directions", results, true);
  for (const auto* list : {&input_axes, &output_axes, &input_directions, &output_directions}) {
    if (!list->ok()) return list->status();
  }

  std::vector<Type> inputs;
  for (size_t i = 0; i < states; ++i) inputs.push_back(c.InputType(i));
  std::optional<Dim> length;
  for (size_t i = 0; i < static_cast<size_t>(scans); ++i) {
    const Type& type = c.InputType(states + i);
    if (!type.is_tensor() || !type.has_shape()) {
      inputs.push_back(type.is_tensor() ? Type::Tensor(type.dtype()) : Type());
      continue;
    }
    absl::StatusOr<int> axis = c.Axis((*input_axes)[i], type.rank());
    if (!axis.ok()) return axis.status();
    const Dim& extent = type.dim(*axis);
    if (length && ProvablyDifferent(*length, extent)) {
      return c.Error("scan inputs must have one length, but input ", states + i, " has ",
                     extent.ToString(), " and one before it ", length->ToString());
    }
    if (!length || (extent.is_number() && !length->is_number())) length = extent;
    Shape shape = type.shape();
    shape.erase(shape.begin() + *axis);
    inputs.push_back(Type::Tensor(type.dtype(), std::move(shape)));
  }

  absl::StatusOr<std::vector<Type>> types = c.InferBody("body", inputs);
  if (!types.ok()) {
    return InferIdle(c, types.status(), length.value_or(Dim::Unknown()),
                     absl::MakeConstSpan(inputs).first(states), 0);
  }
  for (size_t i = 0; i < states; ++i) {  // a state keeps its type: the specification says so
    absl::StatusOr<Type> merged = MergeTypes(inputs[i], (*types)[i]);
    if (!merged.ok()) {
      return c.Error("state ", i, " starts as ", inputs[i].ToString(), ", but the body returns ",
                     (*types)[i].ToString(), ": ", merged.status().message());
    }
    c.SetOutput(i, *std::move(merged));
  }
  for (size_t i = 0; i < results; ++i) {
    absl::StatusOr<Type> type =
        Stacked(c, (*types)[states + i], i, (*output_axes)[i], length.value_or(Dim::Unknown()), {});
    if (!type.ok()) return type.status();
    c.SetOutput(states + i, *std::move(type));
  }
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(If) {
  return Op("If")
      .Doc(
          "The results of then_branch where `cond` is true, else those of else_branch. Only that "
          "branch runs.")
      .Input("cond", "bool")
      .VariadicOutput("outputs", "", 1, /*homogeneous=*/false)
      .Body("then_branch")
      .Body("else_branch")
      .Infer(InferIf)
      .GradientPending();
}

SLUICE_DECLARE_OP(Loop) {
  return Op("Loop")
      .Doc(
          "Runs the body at most `M` times while its condition holds. The body takes the "
          "iteration, the condition "
          "and the carried values; it returns a condition, the carried values, and values that are "
          "stacked "
          "along a new first axis.")
      .OptionalInput("M", "i64")
      .OptionalInput("cond", "bool")
      .VariadicInput("v_initial", "", 0, /*homogeneous=*/false)
      .VariadicOutput("v_final_and_scan_outputs", "", 1, /*homogeneous=*/false)
      .Body("body")
      .Infer(InferLoop)
      .GradientPending();
}

SLUICE_DECLARE_OP(Scan) {
  return Op("Scan")
      .Doc(
          "Runs the body once for each slice of the scan inputs, carrying states; what else the "
          "body returns is "
          "stacked.")
      .VariadicInput("initial_state_and_scan_inputs", "", 1, /*homogeneous=*/false)
      .VariadicOutput("final_state_and_scan_outputs", "", 1, /*homogeneous=*/false)
      .RequiredAttr("num_scan_inputs", AttrKind::kInt, "The last so many inputs are scanned.")
      .OptionalAttr("scan_input_axes", AttrKind::kInts,
                    "The axis to slice, for each scan input; 0 unless given.")
      .OptionalAttr("scan_input_directions", AttrKind::kInts, "1: from the end.")
      .OptionalAttr("scan_output_axes", AttrKind::kInts,
                    "The axis to stack along, for each scan output.")
      .OptionalAttr("scan_output_directions", AttrKind::kInts, "1: prepends.")
      .Body("body")
      .Infer(InferScan)
      .GradientPending();
}

}  // namespace sluice
