#include "absl/strings/match.h"
#include "graph/infer.h"
#include "graph/text.h"
#include "ops/op.h"

namespace sluice {
namespace {

absl::Status InferVariable(InferContext& c) {
  const Tensor* initial = c.node().GetTensor("value");
  if (initial == nullptr || !initial->valid())
    return c.Error("attribute value must hold the initial value");
  const std::string name = c.String("name");
  if (name.empty()) return c.Error("attribute name must not be empty");
  if (absl::StartsWith(name, "sluice.")) {
    return c.Error("attribute name is ", Shown(name),
                   ": names that begin with 'sluice.' are for sessions' own variables");
  }
  c.SetOutput(0, Type::Of(*initial));
  return absl::OkStatus();
}

absl::Status InferAssign(InferContext& c) {
  const Value* variable = c.node().input(0);
  if (variable->producer() == nullptr || !variable->producer()->Is("Variable")) {
    return c.Error("its first input must be a Variable, but ", Shown(variable->name()), " is ",
                   variable->producer() == nullptr ? absl::string_view("a graph input")
                                                   : variable->producer()->op_name());
  }
  absl::StatusOr<Type> merged = MergeTypes(variable->type(), c.InputType(1));
  if (!merged.ok()) {
    return c.Error("the variable is ", variable->type().ToString(), ", but the value is ",
                   c.InputType(1).ToString(), ": ", merged.status().message());
  }
  c.SetOutput(0, variable->type());
  return absl::OkStatus();
}

absl::Status AssignGradient(GradientContext& c) {
  c.SetInputGrad(1, c.output_grad());  // the old state has no part in the result
  return absl::OkStatus();
}

// Types come from the function as it is declared: its extents are symbols of its own, so those of
// its inputs stand for what this call passes, and the rest are unknown. Once the call is inlined
// all is known.
absl::Status InferCall(InferContext& c) {
  const Graph* root = c.node().graph();
  while (root->parent() != nullptr) root = root->parent();
  const auto found = root->functions().find(c.String("function"));
  if (found == root->functions().end() || found->second == nullptr)
    return absl::OkStatus();  // a call inside a function
  const Graph& function = *found->second;
  if (function.inputs().size() < c.num_inputs() || function.outputs().size() < c.num_outputs()) {
    return c.Error("function ", Shown(function.name()), " takes ", function.inputs().size(),
                   " inputs and returns ", function.outputs().size(), ", but the call has ",
                   c.num_inputs(), " and ", c.num_outputs());
  }
  absl::flat_hash_map<std::string, Dim> extents;
  for (size_t i = 0; i < c.num_inputs(); ++i) {
    const Type& formal = function.inputs()[i]->type();
    const Type& actual = c.InputType(i);
    if (!formal.is_tensor() || !actual.is_tensor()) continue;
    if (formal.dtype() != actual.dtype() && formal.dtype() != DType::kInvalid &&
        actual.dtype() != DType::kInvalid) {
      return c.Error("input ", i, " of function ", Shown(function.name()), " is ",
                     formal.ToString(), ", but gets ", actual.ToString());
    }
    if (!formal.has_shape() || !actual.has_shape() || formal.rank() != actual.rank()) continue;
    for (int d = 0; d < formal.rank(); ++d) {
      if (const auto symbol = formal.dim(d).AsSymbol()) extents.emplace(*symbol, actual.dim(d));
    }
  }
  auto map = [&](absl::string_view symbol) -> std::optional<Dim> {
    const auto it = extents.find(std::string(symbol));
    return it == extents.end() ? Dim::Unknown() : it->second;
  };
  for (size_t i = 0; i < c.num_outputs(); ++i) {
    const Type& type = function.outputs()[i]->type();
    if (!type.is_tensor() || !type.has_shape()) {
      c.SetOutput(i, type);
      continue;
    }
    Shape shape = type.shape();
    for (Dim& d : shape) d = d.Substitute(map);
    c.SetOutput(i, Type::Tensor(type.dtype(), std::move(shape), type.layout()));
  }
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(Variable) {
  return Op("Variable", "sluice")
      .Doc(
          "State, by name. The output is its value at the entry of the graph or body that runs, "
          "whatever is assigned meanwhile. Behind an If, Loop or Scan whose bodies assign it, by "
          "data, it is what they leave.")
      .Types("T", kAllTypes)
      .Output("value", "T")
      .RequiredAttr("name", AttrKind::kString,
                    "Unique in the program; none that begins with 'sluice.'.")
      .RequiredAttr("value", AttrKind::kTensor, "The value a new session starts with.")
      .Reads()
      .Infer(InferVariable)
      .NotDifferentiable("a variable depends on nothing inside the graph")
      .Costs(ElementCost::kMove);
}

SLUICE_DECLARE_OP(Assign) {
  return Op("Assign", "sluice")
      .Doc(
          "Gives `variable`, the output of a Variable, a new value for whoever runs next, and "
          "returns that. It happens on each run of its program or body, whatever is fetched.")
      .Types("T", kAllTypes)
      .Input("variable", "T")
      .Input("value", "T")
      .Output("new_value", "T")
      .Writes()
      .Infer(InferAssign)
      .Gradient(AssignGradient);
}

SLUICE_DECLARE_OP(Call) {
  return Op("Call", "sluice")
      .Doc("Calls a function of the program. Inlined before it runs.")
      .VariadicInput("inputs", "", 0, /*homogeneous=*/false)
      .VariadicOutput("outputs", "", 1, /*homogeneous=*/false)
      .RequiredAttr("function", AttrKind::kString, "The function's name.")
      .Infer(InferCall)
      .GradientPending();
}

}  // namespace sluice
