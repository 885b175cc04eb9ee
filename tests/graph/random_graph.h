// Graphs built at random that use everything a graph can hold, for round trips.
#ifndef SLUICE_TESTS_GRAPH_RANDOM_GRAPH_H_
#define SLUICE_TESTS_GRAPH_RANDOM_GRAPH_H_

#include <bit>
#include <limits>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace sluice {

// "Any" takes and gives anything and has an attribute of each kind, some with defaults; "Bodies"
// has two bodies; "Constant" and "Variable" are as in ops/.
inline const OpRegistry& TestOps() {
  static const OpRegistry* const registry = [] {
    auto* ops = new OpRegistry;
    const ParamDef any_in{"inputs", "", ParamDef::Arity::kVariadic, 0, false};
    const ParamDef any_out{"outputs", "", ParamDef::Arity::kVariadic, 1, false};
    OpDef any;
    any.name = "Any";
    any.inputs = {any_in};
    any.outputs = {any_out};
    any.attrs = {
        {"a_dtype", AttrKind::kDType, {}},     {"b_float", AttrKind::kFloat, Attribute(1.0f)},
        {"c_floats", AttrKind::kFloats, {}},   {"d_int", AttrKind::kInt, Attribute(-1)},
        {"e_ints", AttrKind::kInts, {}},       {"f_string", AttrKind::kString, Attribute("NOTSET")},
        {"g_strings", AttrKind::kStrings, {}}, {"h_tensor", AttrKind::kTensor, {}},
        {"i_type", AttrKind::kType, {}}};
    OpDef bodies = any;
    bodies.name = "Bodies";
    bodies.bodies = {{"b_body"}, {"z_body"}};
    OpDef constant;
    constant.name = "Constant";
    constant.outputs = {{"output", ""}};
    constant.attrs = {{"value", AttrKind::kTensor, {}, true}};
    constant.infer = nullptr;
    OpDef variable = constant;
    variable.name = "Variable";
    variable.attrs.insert(variable.attrs.begin(), {"name", AttrKind::kString, {}, true});
    for (const OpDef& op : {any, bodies, constant, variable}) (void)ops->Add(op);
    return ops;
  }();
  return *registry;
}

class RandomGraph {
 public:
  explicit RandomGraph(uint32_t seed) : random_(seed) {}

  std::unique_ptr<Graph> Make() {
    auto graph = std::make_unique<Graph>(TestOps(), Name());
    Fill(graph.get(), 12, 3);
    for (int i = Below(3); i > 0; --i) {
      const std::string name = Name();
      auto function = std::make_unique<Graph>(TestOps(), Below(2) ? name : Name());
      Fill(function.get(), 4, 1);
      graph->functions()[name] = std::move(function);
    }
    for (int i = Below(3); i > 0; --i) {
      Signature s;
      for (const Value* v : graph->inputs()) {
        if (Below(2)) s.inputs.push_back(v->name());
      }
      for (const std::string& name : graph->output_names()) {
        if (Below(2)) s.outputs.push_back(name);
      }
      graph->signatures()[Name()] = s;
    }
    for (int i = Below(3); i > 0; --i) graph->metadata()[String()] = String();
    return graph;
  }

  int Below(int n) { return static_cast<int>(random_() % static_cast<uint32_t>(n)); }

  std::string String() {
    switch (Below(6)) {
      case 0:
        return "";
      case 1: {
        std::string s;
        for (int i = Below(20); i > 0; --i) s.push_back(static_cast<char>(random_()));
        return s;
      }
      case 2:
        return "a \"quoted\"\n\\x41 %s\t// no comment {}";
      case 3:
        return "gr\xc3\xbc\xc3\x9f \xe6\xbc\xa2 \xf0\x9f\x98\x80 \xe2\x80\xae \x1b[31m";
      default:
        return "plain";
    }
  }

  std::string Name() {
    static const char* const kStems[] = {
        "x",    "conv1/weight:0", "a/b/c",  "return", "graph", "_",
        "a//b", "/lead",          "trail/", "0",      "v1.2",  "f32"};
    std::string name;
    switch (Below(4)) {
      case 0:
        name = kStems[Below(12)];
        break;
      case 1:
        name = String();
        break;
      default:
        name = "v" + std::to_string(Below(1000));
    }
    return name.empty() ? "e" : name;
  }

  float Float() {
    switch (Below(5)) {
      case 0:
        return std::bit_cast<float>(static_cast<uint32_t>(random_()));  // any pattern
      case 1:
        return std::bit_cast<float>(0x7f800000u | static_cast<uint32_t>(random_() & 0x807fffff));
      case 2:
        return static_cast<float>(Below(5) - 2);
      case 3:
        return std::bit_cast<float>(static_cast<uint32_t>(random_()) & 0x807fffffu);  // subnormal
      default:
        return static_cast<float>(Below(2000) - 1000) / 8;
    }
  }

  int64_t Int() {
    switch (Below(4)) {
      case 0:
        return static_cast<int64_t>((uint64_t{random_()} << 32) | random_());
      case 1:
        return Below(2) ? std::numeric_limits<int64_t>::min() : std::numeric_limits<int64_t>::max();
      default:
        return Below(20) - 10;
    }
  }

  DType AnyDType() {
    static constexpr DType kAll[] = {DType::kF64,  DType::kF32,   DType::kF16, DType::kBF16,
                                     DType::kI64,  DType::kI32,   DType::kI16, DType::kI8,
                                     DType::kU64,  DType::kU32,   DType::kU16, DType::kU8,
                                     DType::kBool, DType::kString};
    return kAll[Below(14)];
  }

  Tensor AnyTensor() {
    std::vector<int64_t> dims;
    for (int i = Below(4); i > 0; --i) dims.push_back(Below(9) == 0 ? 0 : 1 + Below(4));
    const DType dtype = AnyDType();
    if (Below(4) == 0 && dtype != DType::kString) {
      if (Below(2)) dims = {40, 50};
      RandomSpec spec{static_cast<uint64_t>(Int()), Below(2) ? 1.0 : 0.05, Below(2) ? 0.0 : -3.5};
      return *Tensor::Random(dtype, dims, spec);
    }
    Tensor t = *Tensor::Allocate(dtype, dims);
    if (dtype == DType::kString) {
      for (int64_t i = 0; i < t.elements(); ++i) t.mutable_data<std::string>()[i] = String();
    } else {
      auto* bytes = static_cast<uint8_t*>(t.mutable_raw());
      for (size_t i = 0; i < t.bytes(); ++i) bytes[i] = static_cast<uint8_t>(random_());
      if (dtype == DType::kF32) {
        for (int64_t i = 0; i < t.elements(); ++i) t.mutable_data<float>()[i] = Float();
      }
    }
    return t;
  }

  Dim AnyDim() {
    static const char* const kNames[] = {"batch", "seq", "_0", "h.w"};
    switch (Below(6)) {
      case 0:
        return Dim::Symbol(kNames[Below(4)]);
      case 1:
        return FloorDiv(Dim::Symbol(kNames[Below(4)]) * (1 + Below(3)) - Below(3), 1 + Below(4));
      case 2:
        return Max(Dim::Symbol("a") - Dim::Symbol("b"), Mod(Dim::Symbol("a"), Dim::Symbol("c")));
      case 3:
        return Below(4) == 0 ? Dim::Unknown() : Dim::Symbol("n") * Dim::Symbol("n") + 1;
      default:
        return Below(100);
    }
  }

  // Values of these ops are plain; types as attributes are any.
  Type AnyType(int depth = 3, bool layouts = false) {
    switch (depth == 0 ? 3 : Below(8)) {
      case 0:
        return Type();
      case 1:
        return Type::Sequence(AnyType(depth - 1, layouts));
      case 2:
        return Below(2) ? Type::Optional(AnyType(depth - 1, layouts))
                        : Type::Map(Below(2) ? DType::kString : DType::kI64,
                                    AnyType(depth - 1, layouts));
      default: {
        const DType dtype = Below(20) == 0 ? DType::kInvalid : AnyDType();
        if (Below(5) == 0) return Type::Tensor(dtype);
        Shape shape;
        for (int i = Below(5); i > 0; --i) shape.push_back(AnyDim());
        return Type::Tensor(dtype, shape,
                            !layouts || Below(6) ? Layout::kPlain : static_cast<Layout>(Below(4)));
      }
    }
  }

  void AddAttributes(Node* node) {
    if (Below(3) == 0) node->SetAttr("a_dtype", AnyDType());
    if (Below(3) == 0) node->SetAttr("b_float", Float());
    if (Below(3) == 0) {
      std::vector<float> floats;
      for (int i = Below(4); i > 0; --i) floats.push_back(Float());
      node->SetAttr("c_floats", floats);
    }
    if (Below(3) == 0) node->SetAttr("d_int", Int());
    if (Below(3) == 0) {
      std::vector<int64_t> ints;
      for (int i = Below(4); i > 0; --i) ints.push_back(Int());
      node->SetAttr("e_ints", ints);
    }
    if (Below(3) == 0) node->SetAttr("f_string", String());
    if (Below(3) == 0) {
      std::vector<std::string> strings;
      for (int i = Below(4); i > 0; --i) strings.push_back(String());
      node->SetAttr("g_strings", strings);
    }
    if (Below(3) == 0) node->SetAttr("h_tensor", AnyTensor());
    if (Below(3) == 0) node->SetAttr("i_type", AnyType(/*depth=*/3, /*layouts=*/true));
  }

 private:
  // A name that nothing in the program has, so that no body shadows.
  std::string FreshName(Graph* graph) {
    std::string name = Name();
    while (!used_.insert(name).second) name += std::to_string(Below(10));
    return graph->UniqueName(name);
  }

  void Fill(Graph* graph, int max_nodes, int depth) {
    std::vector<Value*> visible;
    for (const Graph* g = graph->parent(); g != nullptr; g = g->parent()) {
      for (Value* v : g->inputs()) visible.push_back(v);
      for (const auto& node : g->nodes()) {
        bool around = false;
        for (const Graph* inner = graph; inner != nullptr; inner = inner->parent())
          around |= inner->owner() == node.get();
        if (around) continue;
        for (size_t i = 0; i < node->num_outputs(); ++i) visible.push_back(node->output(i));
      }
    }
    for (int i = Below(4); i > 0; --i) {
      visible.push_back(graph->AddInput(FreshName(graph), AnyType()));
    }
    std::vector<Node*> nodes;
    for (int i = 1 + Below(max_nodes); i > 0; --i) {
      const int kind = Below(8);
      std::vector<Value*> inputs;
      if (kind > 1) {
        for (int k = Below(4); k > 0; --k) {
          inputs.push_back(
              visible.empty() || Below(6) == 0
                  ? nullptr
                  : visible[static_cast<size_t>(Below(static_cast<int>(visible.size())))]);
        }
      }
      std::vector<std::string> names = {FreshName(graph)};
      if (kind > 1) {
        for (int k = Below(3); k > 0; --k) names.push_back(FreshName(graph));
      }
      const char* op = kind == 0                ? "Constant"
                       : kind == 1              ? "Variable"
                       : kind == 2 && depth > 0 ? "Bodies"
                                                : "Any";
      Node* node = graph->AddNode(*TestOps().Find(op), inputs, names);
      if (kind <= 1) {
        node->SetAttr("value", AnyTensor());
        if (kind == 1) node->SetAttr("name", Name());
      } else {
        AddAttributes(node);
      }
      for (size_t k = 0; k < node->num_outputs(); ++k) {
        if (Below(2)) node->output(k)->set_type(AnyType());
      }
      if (node->Is("Bodies")) {
        for (const char* name : {"b_body", "z_body"}) {
          Graph* body = node->AddBody(name);
          if (Below(3) == 0) body->set_name(Name());
          Fill(body, 4, depth - 1);
        }
      }
      if (Below(4) == 0) node->set_device(Below(2) ? "gpu:0" : String());
      if (!nodes.empty() && Below(3) == 0) {
        node->AddControlInput(nodes[static_cast<size_t>(Below(static_cast<int>(nodes.size())))]);
      }
      node->mutable_origin() = {Name(), Below(100), Below(2) ? Name() : "", Below(2) ? "fold" : ""};
      nodes.push_back(node);
      for (size_t k = 0; k < node->num_outputs(); ++k) visible.push_back(node->output(k));
    }
    for (int i = Below(4); i > 0 && !visible.empty(); --i) {
      Value* v = visible[static_cast<size_t>(Below(static_cast<int>(visible.size())))];
      graph->AddOutput(v, Below(2) ? "" : Name());
    }
  }

  std::mt19937 random_;
  std::set<std::string> used_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_GRAPH_RANDOM_GRAPH_H_
