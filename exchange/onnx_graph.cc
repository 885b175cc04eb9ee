#include "exchange/onnx_graph.h"

#include <algorithm>
#include <queue>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "exchange/onnx_types.h"
#include "exchange/onnx_upgrade.h"
#include "graph/default_inputs.h"
#include "graph/infer.h"
#include "graph/text.h"

namespace sluice {
namespace {

using onnx::AttributeProto;
using onnx::FunctionProto;
using onnx::GraphProto;
using onnx::NodeProto;

absl::Status At(const NodeProto& node, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat("node ", Shown(OnnxNodeName(node)), " (",
                                                  Shown(node.op_type()), "): ", status.message()));
}

template <typename... Args>
absl::Status Invalid(const Args&... args) {
  return absl::InvalidArgumentError(absl::StrCat(args...));
}

// The order to import `nodes` in: theirs where every name is made before it is read, else a
// topological one that stays close to it.
template <typename NodeList>
absl::StatusOr<std::vector<int>> ImportOrder(const NodeList& nodes) {
  absl::flat_hash_map<absl::string_view, int> producer;
  for (int i = 0; i < nodes.size(); ++i) {
    for (const std::string& name : nodes[i].output()) {
      if (!name.empty()) producer.emplace(name, i);
    }
  }
  std::vector<int> order(nodes.size()), waiting(nodes.size(), 0);
  std::vector<std::pair<int, int>> edges;  // from producer to reader
  bool sorted = true;
  for (int i = 0; i < nodes.size(); ++i) {
    order[i] = i;
    for (const std::string* name : NamesRead(nodes[i])) {
      auto it = producer.find(*name);
      if (it == producer.end()) continue;
      edges.push_back({it->second, i});
      ++waiting[i];
      sorted &= it->second < i;
    }
  }
  if (sorted) return order;
  std::sort(edges.begin(), edges.end());
  std::priority_queue<int, std::vector<int>, std::greater<>> ready;
  for (int i = 0; i < nodes.size(); ++i) {
    if (waiting[i] == 0) ready.push(i);
  }
  order.clear();
  while (!ready.empty()) {
    const int i = ready.top();
    ready.pop();
    order.push_back(i);
    for (auto e = std::lower_bound(edges.begin(), edges.end(), std::pair(i, -1));
         e != edges.end() && e->first == i; ++e) {
      if (--waiting[e->second] == 0) ready.push(e->second);
    }
  }
  if (order.size() == waiting.size()) return order;
  std::string stuck;
  for (int i = 0, shown = 0; i < nodes.size() && shown < 8; ++i) {
    if (waiting[i] == 0) continue;
    absl::StrAppend(&stuck, shown++ ? ", " : "", Shown(OnnxNodeName(nodes[i])));
  }
  return Invalid("the nodes form a cycle; it runs through or before ", stuck);
}

}  // namespace

// ---- Names

Value* const* OnnxGraphImporter::Find(const Scope& scope, const std::string& name) const {
  for (const Scope* s = &scope; s != nullptr; s = s->parent) {
    if (auto it = s->values.find(name); it != s->values.end()) return &it->second;
  }
  return nullptr;
}

absl::Status OnnxGraphImporter::Define(const std::string& name, Value* value, Scope* scope) const {
  if (name.empty() || scope->values.emplace(name, value).second) return absl::OkStatus();
  return Invalid("value ", Shown(name), " is defined twice");
}

std::string OnnxGraphImporter::FreeName(const std::string& name, const Scope& scope) {
  if (name.empty()) return "";
  const std::string base = absl::StrCat(scope.prefix, name);
  auto taken = [&](const std::string& n) {
    for (const Scope* s = scope.around; s != nullptr; s = s->around) {
      if (s->reserved.contains(n)) return true;
    }
    return false;
  };
  std::string result = base;
  while (taken(result)) result = absl::StrCat(base, "_", ++renamed_);
  return result;
}

absl::Status OnnxGraphImporter::Count(int64_t nodes) {
  nodes_ += nodes;
  if (nodes_ <= options_.max_nodes) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("the model has more than ", options_.max_nodes, " nodes"));
}

// ---- Extents

Dim OnnxGraphImporter::SymbolOf(const std::string& param) {
  auto it = symbols_.find(param);
  if (it != symbols_.end()) return it->second;
  const std::string legal = LegalSymbol(param);
  int64_t n = 0;
  if (legal[0] == '_' && absl::SimpleAtoi(legal.substr(1), &n))
    return symbols_.emplace(param, graph_->FreshDim()).first->second;
  std::string symbol = legal;
  for (int i = 2; !taken_.insert(symbol).second; ++i) symbol = absl::StrCat(legal, "_", i);
  return symbols_.emplace(param, Dim::Symbol(symbol)).first->second;
}

Dim OnnxGraphImporter::DimOf(const std::string& param, bool expressions) {
  if (param.empty()) return graph_->FreshDim();
  if (!expressions || symbols_.contains(param)) return SymbolOf(param);
  absl::StatusOr<Dim> parsed = Dim::Parse(param);
  if (!parsed.ok() || parsed->is_unknown()) return SymbolOf(param);
  std::vector<std::string> symbols;
  parsed->CollectSymbols(&symbols);
  for (const std::string& s : symbols) {
    if (!(SymbolOf(s) == Dim::Symbol(s))) return SymbolOf(param);
  }
  return *std::move(parsed);
}

// ---- Graphs

absl::Status OnnxGraphImporter::ImportMain(const GraphProto& proto, const OnnxOpsets& opsets,
                                           const std::vector<RawPayload>& payloads, Graph* graph) {
  absl::flat_hash_set<absl::string_view> constants;
  for (const auto& t : proto.initializer()) constants.insert(t.name());
  for (const auto& t : proto.sparse_initializer()) constants.insert(t.values().name());
  Scope scope{.graph = graph};
  graph_ = graph;
  for (const auto& input : proto.input()) {
    if (constants.contains(input.name())) continue;
    if (input.name().empty()) return Invalid("a graph input has no name");
    absl::StatusOr<Type> type =
        TypeFromOnnx(input.type(), [&](const auto& p) { return DimOf(p, false); });
    if (!type.ok()) {
      return absl::Status(type.status().code(), absl::StrCat("input ", Shown(input.name()), ": ",
                                                             type.status().message()));
    }
    Value* value = graph->AddInput(input.name(), *std::move(type));
    if (absl::Status s = Define(input.name(), value, &scope); !s.ok()) return s;
  }
  if (absl::Status s = ImportGraph(proto, {.opsets = &opsets}, &payloads, &scope); !s.ok())
    return s;
  for (const auto& output : proto.output()) {
    absl::StatusOr<Type> declared =
        TypeFromOnnx(output.type(), [](const auto&) { return Dim::Unknown(); });
    const Type& type = (*Find(scope, output.name()))->type();
    if (declared.ok() && declared->is_tensor() && type.is_tensor() &&
        declared->dtype() != type.dtype()) {
      return Invalid("output ", Shown(output.name()), " is declared ", declared->ToString(),
                     ", but is ", type.ToString());
    }
  }
  return absl::OkStatus();
}

absl::Status OnnxGraphImporter::ImportGraph(const GraphProto& proto, const Environment& env,
                                            const std::vector<RawPayload>* payloads, Scope* scope) {
  if (env.depth > options_.max_depth) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "subgraphs and function calls nest deeper than ", options_.max_depth, " levels"));
  }
  for (const auto& v : proto.value_info()) scope->declared[v.name()] = &v.type();
  for (const auto& v : proto.output()) scope->declared.try_emplace(v.name(), &v.type());
  absl::flat_hash_set<absl::string_view> used;
  for (const NodeProto& node : proto.node()) {
    scope->reserved.insert(node.output().begin(), node.output().end());
    for (const std::string* name : NamesRead(node)) used.insert(*name);
  }
  for (const auto& v : proto.input()) scope->reserved.insert(v.name());
  for (const auto& v : proto.output()) used.insert(v.name());
  if (absl::Status s = ImportInitializers(proto, used, payloads, scope); !s.ok()) return s;
  if (absl::Status s = ImportNodes(proto.node(), env, scope); !s.ok()) return s;
  for (const auto& output : proto.output()) {
    Value* const* value = Find(*scope, output.name());
    if (value == nullptr || *value == nullptr)
      return Invalid("output ", Shown(output.name()), " is not made by any node");
    scope->graph->AddOutput(*value, output.name());
  }
  return absl::OkStatus();
}

absl::Status OnnxGraphImporter::ImportInitializers(
    const GraphProto& proto, const absl::flat_hash_set<absl::string_view>& used,
    const std::vector<RawPayload>* payloads, Scope* scope) {
  const bool main = scope->graph->owner() == nullptr;
  absl::flat_hash_map<absl::string_view, int> inputs;
  for (int i = 0; i < proto.input_size(); ++i) inputs[proto.input(i).name()] = i;
  auto add = [&](const std::string& name, auto read) -> absl::Status {
    if (name.empty()) return Invalid("an initializer has no name");
    scope->reserved.insert(name);
    const auto input = inputs.find(name);
    if (input != inputs.end() && !main) return absl::OkStatus();  // always fed
    if (input == inputs.end() && !used.contains(name)) return Define(name, nullptr, scope);
    if (absl::Status s = Count(1); !s.ok()) return s;
    absl::StatusOr<Tensor> tensor = read();
    if (!tensor.ok()) return tensor.status();
    Type type = Type::Of(*tensor);
    if (input != inputs.end()) {
      absl::StatusOr<Type> declared =
          TypeFromOnnx(proto.input(input->second).type(),
                       [this](const auto& p) { return p.empty() ? Dim::Unknown() : SymbolOf(p); });
      if (!declared.ok()) return declared.status();
      if (!MergeTypes(*declared, type).ok()) {
        return Invalid("input ", Shown(name), " is declared ", declared->ToString(),
                       ", but its initializer is ", tensor->TypeString());
      }
      if (declared->is_tensor() && declared->has_shape()) type = *std::move(declared);
    }
    Value* value = AddConstant(name, *std::move(tensor), name, scope);
    if (value == nullptr) return absl::InternalError("op Constant is not registered");
    if (input != inputs.end()) MakeDefaultInput(value, input->second, type);
    return Define(name, value, scope);
  };
  for (int i = 0; i < proto.initializer_size(); ++i) {
    const onnx::TensorProto& t = proto.initializer(i);
    const RawPayload* payload =
        payloads != nullptr && (*payloads)[i].bytes.data() != nullptr ? &(*payloads)[i] : nullptr;
    absl::Status s = add(t.name(), [&] { return tensors_.Read(t, payload); });
    if (!s.ok()) return s;
  }
  for (const auto& t : proto.sparse_initializer()) {
    absl::Status s = add(t.values().name(), [&] { return tensors_.ReadSparse(t); });
    if (!s.ok()) return s;
  }
  return absl::OkStatus();
}

template <typename NodeList>
absl::Status OnnxGraphImporter::ImportNodes(const NodeList& nodes, const Environment& env,
                                            Scope* scope) {
  absl::StatusOr<std::vector<int>> order = ImportOrder(nodes);
  if (!order.ok()) return order.status();
  for (int i : *order) {
    if (absl::Status s = Count(1); !s.ok()) return s;
    if (absl::Status s = ImportNode(nodes[i], env, scope); !s.ok()) return At(nodes[i], s);
  }
  return absl::OkStatus();
}

// ---- Nodes

absl::Status OnnxGraphImporter::ImportNode(const NodeProto& node, const Environment& env,
                                           Scope* scope) {
  if (node.output_size() == 0) return Invalid("it has no outputs");
  std::vector<Value*> inputs;
  for (const std::string& name : node.input()) {
    Value* const* value = Find(*scope, name);
    if (value == nullptr && !name.empty())
      return Invalid("input ", Shown(name), " is not made by any node, input or initializer");
    inputs.push_back(value == nullptr ? nullptr : *value);
  }
  absl::StatusOr<AttributeMap> attributes = ResolveAttributes(node, env);
  if (!attributes.ok()) return attributes.status();
  if (const FunctionProto* function = functions_.Find(node))
    return ImportCall(*function, node, env, inputs, *attributes, scope);
  if (node.op_type() == "Constant" && OnnxDomain(node.domain()).empty())
    return ImportConstant(node, *attributes, scope);
  return ImportOp(node, env, inputs, *attributes, scope);
}

absl::Status OnnxGraphImporter::ImportOp(const NodeProto& node, const Environment& env,
                                         const std::vector<Value*>& inputs,
                                         const AttributeMap& attributes, Scope* scope) {
  Graph* graph = scope->graph;
  GraphBuilder builder(graph);
  Origin origin;
  origin.file = file_;
  origin.name = OnnxNodeName(node);
  builder.SetOrigin(origin);
  OnnxNode n;
  n.op = node.op_type();
  n.inputs = inputs;
  n.builder = &builder;
  int outputs = node.output_size();
  while (outputs > 1 && node.output(outputs - 1).empty()) --outputs;  // absent at the end
  n.num_outputs = static_cast<size_t>(outputs);
  std::vector<std::pair<std::string, const GraphProto*>> bodies;
  for (const auto& [name, attribute] : attributes) {
    if (attribute->has_g()) {
      bodies.push_back({name, &attribute->g()});
      continue;
    }
    absl::StatusOr<Attribute> value = ToAttribute(*attribute);
    if (!value.ok()) return value.status();
    n.attrs[name] = *std::move(value);
  }
  const absl::string_view domain = OnnxDomain(node.domain());
  if (domain.empty()) {
    auto it = env.opsets->find("");
    if (it == env.opsets->end())
      return Invalid("it uses ONNX's ops, but the model (or function) imports no opset of ONNX");
    n.opset = it->second;
    if (absl::Status s = UpgradeOnnxNode(&n); !s.ok()) return s;
  }
  if (absl::Status s = Count(static_cast<int64_t>(builder.added().size())); !s.ok()) return s;
  if (n.results.has_value()) {
    for (size_t i = 0; i < n.results->size() && i < n.num_outputs; ++i) {
      graph->RenameValue((*n.results)[i], FreeName(node.output(i), *scope));
      if (absl::Status s = Define(node.output(i), (*n.results)[i], scope); !s.ok()) return s;
    }
    return absl::OkStatus();
  }
  const OpDef* op = graph->ops().Find(n.op);
  if (op == nullptr) return absl::UnimplementedError("the op is not known");
  for (auto& [name, value] : n.attrs) {  // numbers that name a dtype
    const AttrDef* def = op->FindAttr(name);
    if (def == nullptr || def->kind != AttrKind::kDType || value.kind() != AttrKind::kInt) continue;
    if (value.as_int() == onnx::TensorProto::UNDEFINED) {
      value = DType::kInvalid;
      continue;
    }
    absl::StatusOr<DType> dtype =
        DTypeFromOnnx(static_cast<int32_t>(std::clamp<int64_t>(value.as_int(), -1, INT32_MAX)));
    if (!dtype.ok()) {
      return absl::Status(dtype.status().code(),
                          absl::StrCat("attribute ", name, ": ", dtype.status().message()));
    }
    value = *dtype;
  }
  while (!n.inputs.empty() && n.inputs.back() == nullptr) n.inputs.pop_back();
  std::vector<std::string> names;
  for (size_t i = 0; i < n.num_outputs; ++i) names.push_back(FreeName(node.output(i), *scope));
  Node* made = graph->AddNode(*op, n.inputs, names);
  made->mutable_origin() = origin;
  for (auto& [name, value] : n.attrs) {
    const AttrDef* def = op->FindAttr(name);
    if (def != nullptr && def->value.has_value() && *def->value == value) continue;  // canonical
    made->SetAttr(name, std::move(value));
  }
  std::sort(bodies.begin(), bodies.end());
  for (const auto& [name, proto] : bodies) {
    Graph* body = made->AddBody(name);
    Scope inner{.graph = body, .parent = scope, .around = scope, .prefix = scope->prefix};
    for (const auto& input : proto->input()) {  // the node feeds them all, defaults or not
      absl::StatusOr<Type> type =
          TypeFromOnnx(input.type(), [&](const auto& p) { return DimOf(p, true); });
      if (!type.ok()) return type.status();
      Value* value = body->AddInput(FreeName(input.name(), inner), *std::move(type));
      if (absl::Status s = Define(input.name(), value, &inner); !s.ok()) return s;
    }
    Environment deeper = env;
    ++deeper.depth;
    if (absl::Status s = ImportGraph(*proto, deeper, nullptr, &inner); !s.ok()) return s;
  }
  for (size_t i = 0; i < n.num_outputs; ++i) {
    if (absl::Status s = Define(node.output(i), made->output(i), scope); !s.ok()) return s;
  }
  return InferAdded(made, node, *scope);
}

// Inference goes along, because upgrades ask for ranks. What a body's values are is only known when
// its owner is inferred, so an error inside counts then.
absl::Status OnnxGraphImporter::InferAdded(Node* node, const NodeProto& proto, const Scope& scope) {
  const bool in_body = node->graph()->owner() != nullptr;
  absl::Status status = InferNode(node);
  if (!status.ok()) return in_body ? absl::OkStatus() : status;
  if (in_body) return absl::OkStatus();
  bool changed = false;
  for (size_t i = 0; i < node->num_outputs(); ++i) {
    Value* value = node->output(i);
    if (value->type().is_tensor() ? value->type().has_shape() : !value->type().is_unknown())
      continue;
    auto it = scope.declared.find(proto.output(static_cast<int>(i)));
    if (it == scope.declared.end()) continue;
    absl::StatusOr<Type> declared =
        TypeFromOnnx(*it->second, [&](const auto& p) { return DimOf(p, true); });
    if (!declared.ok()) continue;
    absl::StatusOr<Type> merged = MergeTypes(value->type(), *declared);
    if (!merged.ok()) continue;
    value->set_type(*std::move(merged));
    changed = true;
  }
  return changed ? InferNode(node) : absl::OkStatus();
}

Value* OnnxGraphImporter::AddConstant(const std::string& name, Tensor tensor,
                                      const std::string& origin, Scope* scope) {
  GraphBuilder builder(scope->graph);
  Origin from;
  from.file = file_;
  from.name = origin;
  builder.SetOrigin(std::move(from));
  return builder.Constant(std::move(tensor), FreeName(name, *scope));
}

// The many forms of Constant's value become one.
absl::Status OnnxGraphImporter::ImportConstant(const NodeProto& node,
                                               const AttributeMap& attributes, Scope* scope) {
  if (attributes.size() != 1 || node.output_size() != 1)
    return Invalid("expected exactly one value and one output");
  const auto& [name, a] = *attributes.begin();
  absl::StatusOr<Tensor> tensor = [&, &name = name, &a = a]() -> absl::StatusOr<Tensor> {
    if (name == "value" && a->has_t()) return ToTensor(a->t());
    if (name == "sparse_value" && a->has_sparse_tensor())
      return tensors_.ReadSparse(a->sparse_tensor());
    if (name == "value_float") return Tensor::Scalar<float>(a->f());
    if (name == "value_int") return Tensor::Scalar<int64_t>(a->i());
    if (name == "value_string") return Tensor::Scalar<std::string>(a->s());
    if (name == "value_floats") {
      return Tensor::Vector<float>({a->floats().data(), static_cast<size_t>(a->floats_size())});
    }
    if (name == "value_ints") {
      const std::vector<int64_t> ints(a->ints().begin(), a->ints().end());
      return Tensor::Vector<int64_t>(ints);
    }
    if (name == "value_strings") {
      const std::vector<std::string> strings(a->strings().begin(), a->strings().end());
      return Tensor::Vector<std::string>(strings);
    }
    return Invalid("attribute ", Shown(name), " is none of Constant's, or of the wrong type");
  }();
  if (!tensor.ok()) return tensor.status();
  Value* value = AddConstant(node.output(0), *std::move(tensor), OnnxNodeName(node), scope);
  if (value == nullptr) return absl::InternalError("op Constant is not registered");
  return Define(node.output(0), value, scope);
}

absl::Status OnnxGraphImporter::ImportCall(const FunctionProto& function, const NodeProto& node,
                                           const Environment& env,
                                           const std::vector<Value*>& inputs,
                                           const AttributeMap& attributes, Scope* scope) {
  if (env.depth + 1 > options_.max_depth) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "subgraphs and function calls nest deeper than ", options_.max_depth, " levels"));
  }
  if (node.input_size() > function.input_size() || node.output_size() > function.output_size()) {
    return Invalid("function ", Shown(function.name()), " takes ", function.input_size(),
                   " inputs and gives ", function.output_size(), " outputs, but the call has ",
                   node.input_size(), " and ", node.output_size());
  }
  absl::StatusOr<OnnxOpsets> opsets = ReadOpsets(function.opset_import());
  if (!opsets.ok()) return opsets.status();
  AttributeMap bound;
  for (const auto& a : function.attribute_proto()) bound[a.name()] = &a;  // defaults
  for (const auto& [name, a] : attributes) bound[name] = a;
  Scope inner{.graph = scope->graph,
              .around = scope,
              .prefix = absl::StrCat(scope->prefix, OnnxNodeName(node), "/")};
  for (const NodeProto& n : function.node()) {
    for (const std::string& name : n.output())
      inner.reserved.insert(absl::StrCat(inner.prefix, name));
  }
  for (int i = 0; i < function.input_size(); ++i) {
    Value* value = static_cast<size_t>(i) < inputs.size() ? inputs[i] : nullptr;
    if (absl::Status s = Define(function.input(i), value, &inner); !s.ok()) return s;
  }
  const Environment inside = {&*opsets, &bound, env.depth + 1};
  if (absl::Status s = ImportNodes(function.node(), inside, &inner); !s.ok()) {
    return absl::Status(s.code(),
                        absl::StrCat("in function ", Shown(function.name()), ": ", s.message()));
  }
  for (int i = 0; i < node.output_size(); ++i) {
    if (node.output(i).empty()) continue;
    Value* const* found = Find(inner, function.output(i));
    if (found == nullptr || *found == nullptr) {
      return Invalid("function ", Shown(function.name()), " does not make its output ",
                     Shown(function.output(i)));
    }
    Value* value = *found;
    // The caller's name, unless the function hands an input back.
    if (std::find(inputs.begin(), inputs.end(), value) == inputs.end() && !value->is_input() &&
        value->graph() == scope->graph)
      scope->graph->RenameValue(value, FreeName(node.output(i), *scope));
    if (absl::Status s = Define(node.output(i), value, scope); !s.ok()) return s;
  }
  return absl::OkStatus();
}

// ---- Attributes

absl::StatusOr<OnnxGraphImporter::AttributeMap> OnnxGraphImporter::ResolveAttributes(
    const NodeProto& node, const Environment& env) const {
  AttributeMap result;
  for (const AttributeProto& a : node.attribute()) {
    const AttributeProto* value = &a;
    if (!a.ref_attr_name().empty()) {
      if (env.call_attributes == nullptr)
        return Invalid("attribute ", Shown(a.name()), " refers to a function's, outside of one");
      auto it = env.call_attributes->find(a.ref_attr_name());
      if (it == env.call_attributes->end()) continue;  // the call leaves it out: so do we
      value = it->second;
      if (value->has_g() || value->graphs_size() > 0)
        return absl::UnimplementedError("a graph handed to a function as an attribute");
    }
    if (!result.emplace(a.name(), value).second)
      return Invalid("attribute ", Shown(a.name()), " stands twice");
  }
  return result;
}

absl::StatusOr<Tensor> OnnxGraphImporter::ToTensor(const onnx::TensorProto& proto) {
  Tensor& cached = read_tensors_[&proto];
  if (!cached.valid()) {
    absl::StatusOr<Tensor> tensor = tensors_.Read(proto);
    if (!tensor.ok()) return tensor.status();
    cached = *std::move(tensor);
  }
  return cached;
}

absl::StatusOr<Attribute> OnnxGraphImporter::ToAttribute(const AttributeProto& a) {
  AttributeProto::AttributeType type = a.type();
  if (type == AttributeProto::UNDEFINED) {  // files of IR version 1 say it by the field alone
    type = a.has_f()          ? AttributeProto::FLOAT
           : a.has_i()        ? AttributeProto::INT
           : a.has_s()        ? AttributeProto::STRING
           : a.has_t()        ? AttributeProto::TENSOR
           : a.floats_size()  ? AttributeProto::FLOATS
           : a.ints_size()    ? AttributeProto::INTS
           : a.strings_size() ? AttributeProto::STRINGS
                              : AttributeProto::UNDEFINED;
  }
  switch (type) {
    case AttributeProto::FLOAT:
      return Attribute(a.f());
    case AttributeProto::INT:
      return Attribute(static_cast<int64_t>(a.i()));
    case AttributeProto::STRING:
      return Attribute(a.s());
    case AttributeProto::FLOATS:
      return Attribute(std::vector<float>(a.floats().begin(), a.floats().end()));
    case AttributeProto::INTS:
      return Attribute(std::vector<int64_t>(a.ints().begin(), a.ints().end()));
    case AttributeProto::STRINGS:
      return Attribute(std::vector<std::string>(a.strings().begin(), a.strings().end()));
    case AttributeProto::TENSOR: {
      absl::StatusOr<Tensor> tensor = ToTensor(a.t());
      if (!tensor.ok()) return tensor.status();
      return Attribute(*std::move(tensor));
    }
    case AttributeProto::TYPE_PROTO: {
      absl::StatusOr<Type> parsed = TypeFromOnnx(
          a.tp(), [this](const auto& p) { return p.empty() ? Dim::Unknown() : DimOf(p, true); });
      if (!parsed.ok()) return parsed.status();
      return Attribute(*std::move(parsed));
    }
    default:
      return absl::UnimplementedError(absl::StrCat("attribute ", Shown(a.name()), " is of type ",
                                                   static_cast<int>(type),
                                                   ", which no supported op takes"));
  }
}

}  // namespace sluice
