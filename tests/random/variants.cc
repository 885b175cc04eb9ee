#include "tests/random/variants.h"

#include "absl/strings/match.h"
#include "graph/default_inputs.h"
#include "graph/infer.h"
#include "graph/signature.h"
#include "tests/testing/candidates.h"

namespace sluice::random {
namespace {

constexpr DType kFrom = DType::kF32, kTo = DType::kF64;

std::vector<Node*> NodesOf(const Graph& graph) {
  std::vector<Node*> nodes;
  for (const auto& node : graph.nodes()) nodes.push_back(node.get());
  return nodes;
}

Node* After(const Node* node) {
  bool found = false;
  for (const auto& other : node->graph()->nodes()) {
    if (found) return other.get();
    found = other.get() == node;
  }
  return nullptr;
}

bool IsF32(const Type& type) { return type.is_tensor() && type.dtype() == kFrom; }

absl::Status WidenNode(Node* node) {
  Graph* graph = node->graph();
  for (size_t i = 0; i < node->num_outputs(); ++i) node->output(i)->set_type(Type());
  for (const auto& [name, value] :
       std::map<std::string, Attribute>(node->attrs().begin(), node->attrs().end())) {
    if (value.kind() == AttrKind::kTensor && value.as_tensor().dtype() == kFrom)
      node->SetAttr(name, Converted(value.as_tensor(), kTo));
    if (value.kind() == AttrKind::kDType && value.as_dtype() == kFrom) node->SetAttr(name, kTo);
  }
  if (CheckInputTypes(*node).ok() && InferNode(node).ok()) return absl::OkStatus();
  for (const AttrDef& def : node->op().attrs) {  // dtypes back as they were
    if (node->HasAttr(def.name) && node->FindAttr(def.name)->kind() == AttrKind::kDType &&
        node->GetDType(def.name) == kTo)
      node->SetAttr(def.name, kFrom);
  }
  GraphBuilder before(graph, node);
  for (size_t i = 0; i < node->num_inputs(); ++i) {
    Value* v = node->input(i);
    if (v != nullptr && v->type().is_tensor() && v->type().dtype() == kTo)
      node->SetInput(i, before.Op("Cast", {v}, {{"to", kFrom}}));
  }
  if (!before.status().ok()) return before.status();
  for (size_t i = 0; i < node->num_outputs(); ++i) node->output(i)->set_type(Type());
  if (absl::Status s = InferNode(node); !s.ok()) return s;
  GraphBuilder after(graph, After(node));
  for (size_t i = 0; i < node->num_outputs(); ++i) {
    Value* v = node->output(i);
    if (!IsF32(v->type())) continue;
    Value* wide = after.Op("Cast", {v}, {{"to", kTo}});
    if (wide == nullptr) break;
    graph->ReplaceAllUses(v, wide);
    wide->producer()->SetInput(0, v);
  }
  return after.status();
}

double UnitOf(DType dtype) {
  switch (dtype) {
    case DType::kF16:
      return 0x1p-10;
    case DType::kBF16:
      return 0x1p-7;
    case DType::kF64:
      return 0x1p-50;
    default:
      return 0x1p-21;
  }
}

Tensor DisturbedTensor(const Tensor& t, Random& r) {
  if (!IsFloat(t.dtype())) return t;
  Tensor made = *Tensor::Allocate(t.dtype(), t.dims());
  VisitDType(
      t.dtype(),
      [&]<typename T>() {
        for (int64_t i = 0; i < t.elements(); ++i) {
          const double factor = 1 + UnitOf(t.dtype()) * (2 * r.Unit() - 1);
          made.mutable_data<T>()[i] = static_cast<T>(static_cast<double>(t.At<T>(i)) * factor);
        }
      },
      [] {});
  return made;
}

// Some numbers decide extents.
bool DecidesExtents(const Value* v) {
  for (const Use& use : v->uses()) {
    if (use.node->Is("Resize") || use.node->Is("Range")) return true;
  }
  return false;
}

// What is another number is another function: of a negative one there is no root.
bool IsExponent(const Value* v) {
  for (const Use& use : v->uses()) {
    if (use.node->Is("Pow") && use.index == 1) return true;
  }
  return false;
}

// One factor an element where the extents are known, else one for all.
Value* AboutOne(GraphBuilder& b, Value* v, Random& r) {
  const DType dtype = v->type().dtype();
  const std::optional<Dims> dims = v->type().StaticDims();
  if (!dims.has_value()) return b.ScalarLike(v, 1 + UnitOf(dtype) * (2 * r.Unit() - 1));
  Tensor factors = *Tensor::Allocate(dtype, *dims);
  VisitDType(
      dtype,
      [&]<typename T>() {
        for (int64_t i = 0; i < factors.elements(); ++i)
          factors.mutable_data<T>()[i] = static_cast<T>(1 + UnitOf(dtype) * (2 * r.Unit() - 1));
      },
      [] {});
  return b.Constant(std::move(factors));
}

// Rounding where a factor for each result says too little of it follows.

// `v` with what is as good as zero beside `size` made zero.
Value* Snapped(GraphBuilder& b, Value* v, Value* size) {
  Value* limit = b.Op("Mul", {size, b.ScalarLike(v, UnitOf(v->type().dtype()))});
  Value* small = b.Op("Less", {b.Op("Abs", {v}), limit});
  return b.Op("Where", {small, b.ScalarLike(v, 0), v});
}

// What should have been zero counts as another number for a cast to bool.
void DisturbCastToBool(GraphBuilder& b, Node* cast) {
  Value* v = cast->input(0);
  cast->SetInput(0,
                 Snapped(b, v, b.Op("ReduceMax", {b.Op("Abs", {v})}, {{"keepdims", int64_t{0}}})));
}

// Gelu is x times a sum that nearly cancels below zero: what is left has the error of the sum. Far
// below nothing is left.
Value* DisturbedGelu(GraphBuilder& b, Value* v, Value* x, Random& r) {
  Value* far = b.Op("Greater", {b.Op("Abs", {x}), b.ScalarLike(x, 32)});
  Value* near = b.Op("Where", {far, b.ScalarLike(x, 0), x});
  if (r.Chance(50)) return Snapped(b, v, b.Op("Abs", {near}));
  Value* unit = b.ScalarLike(x, UnitOf(x->type().dtype()) * (2 * r.Unit() - 1));
  return b.Op("Add", {v, b.Op("Mul", {near, unit})});
}

// A state is what is left of sums of its old and new parts, of which one may cancel the other: its
// error is that of the largest, and of 1, what the gates reach.
Value* DisturbedState(GraphBuilder& b, Value* v, Random& r) {
  Value* largest = b.Op("ReduceMax", {b.Op("Abs", {v})}, {{"keepdims", int64_t{0}}});
  Value* part = b.Op("Max", {largest, b.ScalarLike(v, 1)});
  Value* unit = b.ScalarLike(v, 2 * UnitOf(v->type().dtype()) * (2 * r.Unit() - 1));
  return b.Op("Add", {v, b.Op("Mul", {part, unit})});
}

absl::Status DisturbGraph(Graph* graph, Random& r) {
  const bool snap = r.Chance(50);
  for (Node* node : NodesOf(*graph)) {
    if (snap && node->Is("Cast") && node->output()->type().is_tensor() &&
        node->output()->type().dtype() == DType::kBool && node->input(0)->type().is_tensor() &&
        IsFloat(node->input(0)->type().dtype())) {
      GraphBuilder b(graph, node);
      DisturbCastToBool(b, node);
      if (!b.status().ok()) return b.status();
    }
    if (node->Is("Constant") && !DecidesExtents(node->output()) && !IsExponent(node->output()))
      node->SetAttr("value", DisturbedTensor(*node->GetTensor("value"), r));
    if (node->Is("Constant") || node->Is("Variable") || node->Is("FusedLoop")) continue;
    for (const auto& [name, body] : node->bodies()) {
      if (absl::Status s = DisturbGraph(body.get(), r); !s.ok()) return s;
    }
    GraphBuilder b(graph, After(node));
    for (size_t i = 0; i < node->num_outputs(); ++i) {
      Value* v = node->output(i);
      const Type& type = v->type();
      if (!type.is_tensor() || !IsFloat(type.dtype()) || type.layout() != Layout::kPlain) continue;
      if (DecidesExtents(v)) continue;
      Value* product = b.Op("Mul", {v, AboutOne(b, v, r)});
      Value* disturbed = product;
      if (product != nullptr && node->Is("Gelu"))
        disturbed = DisturbedGelu(b, product, node->input(0), r);
      if (product != nullptr && (node->Is("GRU") || node->Is("LSTM") || node->Is("RNN")))
        disturbed = DisturbedState(b, product, r);
      if (disturbed == nullptr) return b.status();
      graph->ReplaceAllUses(v, disturbed);
      product->producer()->SetInput(0, v);
    }
  }
  return absl::OkStatus();
}

bool HasBodies(const Graph& graph) {
  for (const auto& node : graph.nodes()) {
    if (!node->bodies().empty() || node->Is("Call")) return true;
  }
  return false;
}

bool HasVariables(const Graph& graph) {
  for (const auto& node : graph.nodes()) {
    if (node->Is("Variable")) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<Case> Widened(const Case& c) {
  if (HasBodies(*c.graph)) return absl::UnimplementedError("the graph has bodies");
  Case wide;
  wide.graph = c.graph->Clone();
  for (Value* v : wide.graph->inputs()) {
    if (!IsF32(v->type())) continue;
    v->set_type(v->type().has_shape() ? Type::Tensor(kTo, v->type().shape()) : Type::Tensor(kTo));
  }
  for (Node* node : NodesOf(*wide.graph)) {
    if (absl::Status s = WidenNode(node); !s.ok()) return s;
  }
  for (const auto& node : wide.graph->nodes()) {
    for (size_t i = 0; i < node->num_outputs(); ++i) {
      Value* v = node->output(i);
      if (v->type().is_tensor() && v->type().dtype() == kTo && !v->is_graph_output() &&
          !absl::StartsWith(v->name(), kNeverWrong))
        wide.graph->AddOutput(v);
    }
  }
  for (const Feeds& feeds : c.feeds) {
    wide.feeds.emplace_back();
    for (const auto& [name, tensor] : feeds)
      wide.feeds.back().push_back(
          {name, tensor.dtype() == kFrom ? Converted(tensor, kTo) : tensor});
  }
  return wide;
}

absl::StatusOr<Case> Disturbed(const Case& c, uint64_t seed) {
  Random r(seed);
  Case made;
  made.graph = c.graph->Clone();
  if (absl::Status s = DisturbGraph(made.graph.get(), r); !s.ok()) return s;
  for (const Feeds& feeds : c.feeds) {
    made.feeds.emplace_back();
    for (const auto& [name, tensor] : feeds) {
      const Value* v = c.graph->FindValue(name);
      made.feeds.back().push_back(
          {name, v != nullptr && DecidesExtents(v) ? tensor : DisturbedTensor(tensor, r)});
    }
  }
  return made;
}

absl::StatusOr<Case> ConstantsFed(const Case& c) {
  if (HasVariables(*c.graph)) return absl::UnimplementedError("no defaults beside variables");
  Case made;
  made.graph = c.graph->Clone();
  made.feeds = c.feeds;
  auto place = static_cast<int64_t>(made.graph->inputs().size());
  bool any = false;
  for (const auto& node : made.graph->nodes()) {
    if (!node->Is("Constant") || DecidesExtents(node->output())) continue;
    if (IsDefaultInput(*node->output())) continue;  // it may be fed already
    const Tensor right = *node->GetTensor("value");
    if (!IsFloat(right.dtype())) continue;
    absl::StatusOr<Tensor> wrong = Tensor::Random(right.dtype(), right.dims(), {.seed = 7});
    if (!wrong.ok()) return wrong.status();
    node->SetAttr("value", *std::move(wrong));
    MakeDefaultInput(node->output(), place++, Type::Of(right));
    for (Feeds& feeds : made.feeds) feeds.push_back({node->output()->name(), right});
    any = true;
  }
  if (!any) return absl::UnimplementedError("there are no float constants");
  return made;
}

}  // namespace sluice::random
