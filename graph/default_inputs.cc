#include "graph/default_inputs.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "graph/effects.h"
#include "graph/text.h"

namespace sluice {
namespace {

constexpr char kPlace[] = "input", kType[] = "input_type";
constexpr char kGeneral[] = "sluice.general";

int64_t PlaceOf(const Value& constant) {
  const Attribute* place = constant.producer()->FindAttr(kPlace);
  return place != nullptr && place->kind() == AttrKind::kInt ? place->as_int() : -1;
}

std::vector<Value*> Defaults(const Graph& graph) {
  std::vector<Value*> defaults;
  for (const auto& node : graph.nodes()) {
    if (node->num_outputs() > 0 && IsDefaultInput(*node->output()))
      defaults.push_back(node->output());
  }
  std::stable_sort(defaults.begin(), defaults.end(),
                   [](const Value* a, const Value* b) { return PlaceOf(*a) < PlaceOf(*b); });
  return defaults;
}

void Fix(Value* constant) {
  constant->producer()->EraseAttr(kPlace);
  constant->producer()->EraseAttr(kType);
}

void ForgetTypes(Graph* graph) {
  for (const auto& node : graph->nodes()) {
    if (node->Is("Constant")) continue;
    for (size_t i = 0; i < node->num_outputs(); ++i) {
      node->output(i)->set_type(Type());
      node->output(i)->set_known_dims(std::nullopt);
    }
    for (const auto& [name, body] : node->bodies()) {
      for (Value* v : body->inputs()) {
        v->set_known_dims(std::nullopt);
        if (v->type().is_tensor()) v->set_type(Type::Tensor(v->type().dtype()));
      }
      ForgetTypes(body.get());
    }
  }
}

}  // namespace

bool IsDefaultInput(const Value& value) {
  return value.constant() != nullptr && value.graph()->owner() == nullptr && PlaceOf(value) >= 0;
}

Type DefaultInputType(const Value& value) {
  const Type own = Type::Of(*value.constant());
  const Attribute* declared = value.producer()->FindAttr(kType);
  if (declared == nullptr || declared->kind() != AttrKind::kType) return own;
  const Type& type = declared->as_type();
  const bool fits = type.is_tensor() && type.has_shape() && MergeTypes(type, own).ok();
  return fits ? type : own;
}

Value* InputOr(GraphBuilder& builder, absl::string_view name, Type type, Tensor default_value) {
  if (!builder.status().ok()) return nullptr;
  if (!type.is_tensor() || !type.has_shape() || !MergeTypes(type, Type::Of(default_value)).ok()) {
    builder.Fail(absl::InvalidArgumentError(
        absl::StrCat("input ", Shown(name), " of type ", type.ToString(),
                     " cannot have a default of type ", default_value.TypeString())));
    return nullptr;
  }
  const size_t place = AllInputs(*builder.graph()).size();
  Value* value = builder.Constant(std::move(default_value), name);
  if (value == nullptr) return nullptr;
  MakeDefaultInput(value, static_cast<int64_t>(place), type);
  return value;
}

void MakeDefaultInput(Value* constant, int64_t place, const Type& type) {
  Node* node = constant->producer();
  node->SetAttr(kPlace, place);
  if (!(type == Type::Of(*constant->constant()))) node->SetAttr(kType, type);
}

std::vector<GraphInput> AllInputs(const Graph& graph) {
  const Graph& general = GeneralProgram(graph);
  const std::vector<Value*> defaults = Defaults(general);
  std::vector<GraphInput> all;
  auto next = defaults.begin();
  auto take_default = [&] {
    all.push_back({*next, DefaultInputType(**next), true});
    ++next;
  };
  for (const Value* input : general.inputs()) {
    while (next != defaults.end() && PlaceOf(**next) <= static_cast<int64_t>(all.size()))
      take_default();
    all.push_back({input, input->type(), false});
  }
  while (next != defaults.end()) take_default();
  return all;
}

const Graph& GeneralProgram(const Graph& graph) {
  auto it = graph.functions().find(kGeneral);
  return it == graph.functions().end() ? graph : *it->second;
}

std::unique_ptr<Graph> TakeGeneralProgram(Graph* graph) {
  auto it = graph->functions().find(kGeneral);
  if (it == graph->functions().end()) return nullptr;
  std::unique_ptr<Graph> general = std::move(it->second);
  graph->functions().erase(it);
  return general;
}

std::unique_ptr<Graph> SplitGeneralProgram(Graph* graph) {
  std::unique_ptr<Graph> general = TakeGeneralProgram(graph);
  const std::vector<Value*> defaults = Defaults(*graph);
  if (defaults.empty()) return general;
  // A program that writes state cannot be compiled anew for other inputs.
  const bool writes = std::any_of(graph->nodes().begin(), graph->nodes().end(),
                                  [](const auto& node) { return HasEffects(*node); });
  if (writes) {
    for (Value* v : defaults) Fix(v);
    return nullptr;
  }
  if (general == nullptr) {
    general = graph->Clone();
    general->set_name(kGeneral);
    general->metadata().clear();
    general->signatures().clear();
  }
  for (Value* v : defaults) Fix(v);
  return general;
}

void KeepGeneralProgram(std::unique_ptr<Graph> general, Graph* graph) {
  if (general != nullptr) graph->functions()[kGeneral] = std::move(general);
}

void FeedDefaults(absl::Span<const std::string> names, Graph* graph) {
  for (Value* constant : Defaults(*graph)) {
    const std::string name = constant->name();
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      Fix(constant);
      continue;
    }
    Type type = DefaultInputType(*constant);
    Shape shape = type.shape();
    for (Dim& d : shape) {
      if (d.is_unknown()) d = graph->FreshDim();
    }
    Value* input = graph->AddInput("", Type::Tensor(type.dtype(), std::move(shape)));
    graph->ReplaceAllUses(constant, input);
    graph->EraseNode(constant->producer());
    graph->RenameValue(input, name);  // now that it is free
  }
  ForgetTypes(graph);
}

}  // namespace sluice
