#include "passes/inline_calls.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "graph/effects.h"
#include "graph/infer.h"
#include "graph/text.h"

namespace sluice {
namespace {

constexpr char kPass[] = "inline_calls";

// How many nodes each function becomes, found before anything is copied.
class Sizes {
 public:
  explicit Sizes(const Graph& program) : program_(program) {}

  absl::StatusOr<int64_t> Of(const Graph& graph) {
    int64_t nodes = 0;
    for (const auto& node : graph.nodes()) {
      absl::StatusOr<int64_t> more = 1;
      if (node->Is("Call")) more = OfFunction(*node);
      if (!more.ok()) return more;
      nodes += *more;
      for (const auto& [name, body] : node->bodies()) {
        absl::StatusOr<int64_t> inside = Of(*body);
        if (!inside.ok()) return inside;
        nodes += *inside;
      }
      if (nodes > InlineCalls::kMaxNodes) {
        return NodeError(*node, absl::StatusCode::kResourceExhausted,
                         absl::StrCat("with its calls inlined the program has more than ",
                                      InlineCalls::kMaxNodes, " nodes"));
      }
    }
    return nodes;
  }

 private:
  std::string Chain() const {
    std::string chain;
    for (const std::string& open : open_) absl::StrAppend(&chain, Shown(open), " -> ");
    return chain;
  }

  absl::StatusOr<int64_t> OfFunction(const Node& call) {
    const std::string name = call.String("function");
    auto function = program_.functions().find(name);
    if (function == program_.functions().end()) {
      return NodeError(call, absl::StatusCode::kNotFound,
                       absl::StrCat("the program has no function ", Shown(name)));
    }
    if (auto known = sizes_.find(name); known != sizes_.end()) return known->second;
    for (const std::string& open : open_) {
      if (open != name) continue;
      return NodeError(
          call, absl::StatusCode::kInvalidArgument,
          absl::StrCat("function ", Shown(name), " calls itself: ", Chain(), Shown(name)));
    }
    if (open_.size() >= static_cast<size_t>(InlineCalls::kMaxDepth)) {
      return NodeError(call, absl::StatusCode::kResourceExhausted,
                       absl::StrCat("calls are nested deeper than ", InlineCalls::kMaxDepth));
    }
    open_.push_back(name);
    absl::StatusOr<int64_t> size = Of(*function->second);
    open_.pop_back();
    if (size.ok()) sizes_[name] = *size;
    return size;
  }

  const Graph& program_;
  absl::flat_hash_map<std::string, int64_t> sizes_;
  std::vector<std::string> open_;
};

bool NamesSymbols(const Type& type) {
  if (!type.is_tensor() || !type.has_shape()) return false;
  for (const Dim& d : type.shape()) {
    if (!d.is_number()) return true;
  }
  return false;
}

// The function's symbols mean nothing to its caller; what follows from the caller's types is
// inferred again.
void ForgetSymbols(Node& node) {
  for (size_t i = 0; i < node.num_outputs(); ++i) {
    Value* v = node.output(i);
    v->set_known_dims(std::nullopt);
    if (NamesSymbols(v->type())) v->set_type(Type::Tensor(v->type().dtype()));
  }
  for (const auto& [name, body] : node.bodies()) {
    for (Value* v : body->inputs()) {
      v->set_known_dims(std::nullopt);
      if (NamesSymbols(v->type())) v->set_type(Type::Tensor(v->type().dtype()));
    }
    for (const auto& inner : body->nodes()) ForgetSymbols(*inner);
  }
}

absl::Status Inline(Node& call, const Graph& function, PassContext& context) {
  Graph& graph = *call.graph();
  if (call.num_inputs() > function.inputs().size() ||
      call.num_outputs() > function.outputs().size()) {
    return NodeError(
        call, absl::StatusCode::kInvalidArgument,
        absl::StrCat("function ", Shown(function.name()), " has ", function.inputs().size(),
                     " inputs and ", function.outputs().size(), " outputs"));
  }
  absl::flat_hash_map<const Value*, Value*> map;
  for (size_t i = 0; i < function.inputs().size(); ++i) {
    map[function.inputs()[i]] = call.input(i);
  }
  if (absl::Status s = CopyNodes(function, &graph, &map, &call); !s.ok()) return s;
  for (const auto& original : function.nodes()) {
    Node* node = map[original->output()]->producer();
    ForgetSymbols(*node);
    Origin& origin = node->mutable_origin();
    absl::StrAppend(&origin.passes, origin.passes.empty() ? "" : ",", kPass);
    // What the call waits for, all of it waits for; what waits for the call, waits for all of it.
    for (Node* earlier : call.control_inputs()) node->AddControlInput(earlier);
    for (Node* later : call.control_uses()) later->AddControlInput(node);
  }
  // What a signature does by calling, it does by what was called.
  std::vector<std::string> effects;
  for (const auto& original : function.nodes()) {
    if (const Node* copy = map[original->output()]->producer(); HasEffects(*copy))
      effects.push_back(copy->name());
  }
  for (auto& [name, signature] : graph.signatures()) {
    auto at = std::find(signature.does.begin(), signature.does.end(), call.name());
    if (at == signature.does.end()) continue;
    at = signature.does.erase(at);
    signature.does.insert(at, effects.begin(), effects.end());
  }
  context.Applied(
      kPass, call,
      absl::StrCat("inlined ", Shown(function.name()), " (", function.num_nodes(), " nodes)"));
  for (size_t i = 0; i < call.num_outputs(); ++i) {
    Value* result = function.outputs()[i];
    if (auto copy = map.find(result); copy != map.end()) result = copy->second;
    if (result == nullptr) {
      return NodeError(call, absl::StatusCode::kInvalidArgument,
                       absl::StrCat("output ", i, " of function ", Shown(function.name()),
                                    " is an input that the call leaves out"));
    }
    graph.ReplaceAllUses(call.output(i), result);
  }
  graph.EraseNode(&call);
  return absl::OkStatus();
}

absl::StatusOr<bool> InlineIn(Graph& graph, const Graph& program, PassContext& context) {
  bool changed = false;
  auto it = graph.nodes().begin();
  while (it != graph.nodes().end()) {
    Node& node = **it;
    for (const auto& [name, body] : node.bodies()) {
      absl::StatusOr<bool> inside = InlineIn(*body, program, context);
      if (!inside.ok()) return inside;
      changed |= *inside;
    }
    if (!node.Is("Call")) {
      ++it;
      continue;
    }
    const bool first = it == graph.nodes().begin();
    const auto previous = first ? it : std::prev(it);
    const Graph& function = *program.functions().at(node.String("function"));
    if (absl::Status s = Inline(node, function, context); !s.ok()) return s;
    it = first ? graph.nodes().begin() : std::next(previous);  // its own calls come next
    changed = true;
  }
  return changed;
}

}  // namespace

absl::StatusOr<bool> InlineCalls::Run(Graph& graph, PassContext& context) const {
  if (absl::StatusOr<int64_t> size = Sizes(graph).Of(graph); !size.ok()) return size.status();
  absl::StatusOr<bool> changed = InlineIn(graph, graph, context);
  if (!changed.ok() || !*changed) return changed;
  graph.functions().clear();  // nothing calls them now
  if (absl::Status s = InferTypes(&graph); !s.ok()) return s;
  return true;
}

}  // namespace sluice
