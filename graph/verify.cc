#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/no_throw.h"
#include "graph/effects.h"
#include "graph/graph.h"
#include "graph/order.h"
#include "graph/signature.h"
#include "graph/text.h"

namespace sluice {
namespace {

constexpr int kMaxDepth = 64;

template <typename... Args>
absl::Status Broken(const Node& node, const Args&... args) {
  return NodeError(node, absl::StatusCode::kFailedPrecondition, absl::StrCat(args...));
}

// Nodes with state or bodies see plain values only, and bodies themselves do.
absl::Status VerifyLayouts(const Node& node) {
  const bool loop = node.Is("FusedLoop");  // inside there are elements only
  const bool fixed = (node.op().effects & (kReads | kWrites)) != 0 ||
                     (!node.bodies().empty() && !loop) || node.Is("Constant") || node.Is("Call");
  const auto check = [&](const Value* v, const char* what) -> absl::Status {
    if (v == nullptr || v->type().layout() == Layout::kPlain) return absl::OkStatus();
    const Type& type = v->type();
    if (type.layout() != Layout::kChannelsLast || type.rank() < 3) {
      return Broken(node, what, " '", v->name(), "' is ", type.ToString(),
                    "; expected plain, or channels_last of rank 3 and more");
    }
    if (!fixed && v->graph() == node.graph()) return absl::OkStatus();
    return Broken(node, what, " '", v->name(), "' is ", type.ToString(),
                  "; expected a plain layout: reorder it first");
  };
  for (const Value* v : node.inputs()) {
    if (absl::Status s = check(v, "input"); !s.ok()) return s;
  }
  for (size_t i = 0; i < node.num_outputs(); ++i) {
    if (absl::Status s = check(node.output(i), "output"); !s.ok()) return s;
  }
  return absl::OkStatus();
}

// What enters and leaves a graph is plain.
absl::Status VerifyBorder(const Graph& graph) {
  for (const auto* list : {&graph.inputs(), &graph.outputs()}) {
    for (const Value* v : *list) {
      if (v->type().layout() == Layout::kPlain) continue;
      return absl::FailedPreconditionError(
          absl::StrCat("graph '", graph.name(), "': '", v->name(), "' is ", v->type().ToString(),
                       "; inputs and outputs of a graph are plain"));
    }
  }
  return absl::OkStatus();
}

class Verifier {
 public:
  absl::Status VerifyGraph(const Graph& graph, int depth) {
    if (depth > kMaxDepth) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "graph ", Shown(graph.name()), ": bodies are nested deeper than ", kMaxDepth));
    }
    std::vector<const Value*> mine;
    auto define = [&](const Value* v) -> absl::Status {
      for (const Graph* g = graph.parent(); g != nullptr; g = g->parent()) {
        if (g->FindValue(v->name()) != nullptr) {
          return absl::FailedPreconditionError(absl::StrCat("value ", Shown(v->name()), " of body ",
                                                            Shown(graph.name()),
                                                            " has the name of a value around it"));
        }
      }
      if (graph.FindValue(v->name()) != v) {
        return absl::FailedPreconditionError(absl::StrCat(
            "graph ", Shown(graph.name()), ": two values are called ", Shown(v->name())));
      }
      defined_.insert(v);
      mine.push_back(v);
      return absl::OkStatus();
    };
    for (const Value* v : graph.inputs()) {
      if (absl::Status s = define(v); !s.ok()) return s;
    }
    absl::flat_hash_set<const Node*> before;
    for (const auto& node : graph.nodes()) {
      if (absl::Status s = VerifyNode(*node, before, depth); !s.ok()) return s;
      before.insert(node.get());
      for (size_t i = 0; i < node->num_outputs(); ++i) {
        if (absl::Status s = define(node->output(i)); !s.ok()) return s;
      }
    }
    if (absl::Status s = VerifyBorder(graph); !s.ok()) return s;
    for (const Value* v : graph.outputs()) {
      if (!defined_.contains(v)) {
        return absl::FailedPreconditionError(absl::StrCat("graph ", Shown(graph.name()),
                                                          " returns ", Shown(v->name()),
                                                          ", which nothing before defines"));
      }
    }
    for (const Value* v : mine) defined_.erase(v);  // not visible to sibling bodies
    return absl::OkStatus();
  }

 private:
  absl::Status VerifyNode(const Node& node, const absl::flat_hash_set<const Node*>& before,
                          int depth) {
    if (absl::Status s = CheckSignature(node); !s.ok()) return s;
    if (absl::Status s = CheckInputTypes(node); !s.ok()) return s;
    for (size_t i = 0; i < node.num_inputs(); ++i) {
      const Value* v = node.input(i);
      if (v == nullptr) continue;
      if (!defined_.contains(v)) {
        return Broken(node, "input ", i, " (", Shown(v->name()),
                      ") is not defined before it: the order is wrong or there is a cycle");
      }
    }
    if (absl::Status s = VerifyLayouts(node); !s.ok()) return s;
    for (const Node* control : node.control_inputs()) {
      if (!before.contains(control)) {
        return Broken(node, "control input ", Shown(control->name()),
                      " does not stand before it: the order is wrong or there is a cycle");
      }
    }
    for (size_t i = 0; i < node.num_outputs(); ++i) {
      for (const Use& use : node.output(i)->uses()) {
        if (use.node->input(use.index) != node.output(i))
          return Broken(node, "its use list is inconsistent");
      }
    }
    for (const auto& [name, body] : node.bodies()) {
      if (body->owner() != &node)
        return Broken(node, "body ", Shown(name), " belongs to another node");
      if (absl::Status s = VerifyGraph(*body, depth + 1); !s.ok()) return s;
    }
    return absl::OkStatus();
  }

  absl::flat_hash_set<const Value*> defined_;
};

// One of a program's writes of a variable comes after the other: they are in the order of the
// graph.
absl::Status VerifyOrder(const Value& variable, absl::Span<const Node* const> writes) {
  for (size_t i = 0; i + 1 < writes.size(); ++i) {
    const Node *first = writes[i], *second = writes[i + 1];
    if (Followers(*first, second).contains(second)) continue;
    return Broken(*first, "it writes variable ", Shown(variable.producer()->String("name")),
                  ", and so does ", Shown(second->name()),
                  ", with no order between the two; make one depend on the other, or add a control "
                  "input");
  }
  return absl::OkStatus();
}

// Two writes of one variable in one run need an order, in the graph in which they meet. One
// iteration of a loop stands before the next, and of an If one branch alone runs. A read needs
// none: it is of what was there at the entry.
absl::Status VerifyWrites(const Graph& graph) {
  std::vector<const Value*> variables;  // in order
  absl::flat_hash_map<const Value*, std::vector<const Node*>> writes;
  for (const auto& node : graph.nodes()) {
    for (const auto& [name, body] : node->bodies()) {
      if (absl::Status s = VerifyWrites(*body); !s.ok()) return s;
    }
    if (!node->Is("Assign") && node->bodies().empty()) continue;
    for (const Value* v : Assigned(*node)) {
      if (v->producer() == nullptr) continue;  // InferTypes() says what is wrong with it
      std::vector<const Node*>& list = writes[v];
      if (list.empty()) variables.push_back(v);
      list.push_back(node.get());
    }
  }
  for (const Value* v : variables) {
    const std::vector<const Node*>& all = writes[v];
    if (all.size() < 2) continue;
    if (graph.signatures().empty()) {
      if (absl::Status s = VerifyOrder(*v, all); !s.ok()) return s;
    }
    for (const auto& [name, signature] : graph.signatures()) {
      std::vector<const Node*> together;
      for (const Node* node : all) {
        if (std::find(signature.does.begin(), signature.does.end(), node->name()) !=
            signature.does.end())
          together.push_back(node);
      }
      if (absl::Status s = VerifyOrder(*v, together); !s.ok()) return s;
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Verify(const Graph& graph) try {
  if (!graph.status().ok()) return graph.status();
  if (absl::Status s = Verifier().VerifyGraph(graph, 0); !s.ok()) return s;
  if (absl::Status s = VerifyWrites(graph); !s.ok()) return s;
  for (const auto& [name, function] : graph.functions()) {
    if (function == nullptr) {
      return absl::FailedPreconditionError(
          absl::StrCat("graph ", Shown(graph.name()), ": function ", Shown(name), " is null"));
    }
    if (absl::Status s = Verify(*function); !s.ok()) return s;
  }
  auto known = [](const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (const auto& [name, signature] : graph.signatures()) {
    for (const std::string& effect : signature.does) {
      const Value* v = graph.FindValue(effect);
      if (v == nullptr || v->is_input() || !HasEffects(*v->producer()) ||
          v->producer()->name() != effect) {
        return absl::FailedPreconditionError(
            absl::StrCat("signature ", Shown(name), " does ", Shown(effect),
                         ", which is no node of the graph that writes state"));
      }
    }
    for (const std::string& input : signature.inputs) {
      const Value* v = graph.FindValue(input);
      if (v == nullptr || !v->is_input()) {
        return absl::FailedPreconditionError(absl::StrCat(
            "signature ", Shown(name), " names input ", Shown(input), ", which the graph has not"));
      }
    }
    for (const std::string& output : signature.outputs) {
      if (!known(graph.output_names(), output)) {
        return absl::FailedPreconditionError(absl::StrCat("signature ", Shown(name),
                                                          " names output ", Shown(output),
                                                          ", which the graph has not"));
      }
    }
  }
  return absl::OkStatus();
} catch (...) {
  return ExceptionStatus();
}

}  // namespace sluice
