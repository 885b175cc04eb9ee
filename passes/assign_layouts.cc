#include "passes/assign_layouts.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "graph/builder.h"
#include "graph/layout.h"
#include "passes/min_cut.h"
#include "passes/rewrite.h"

namespace sluice {
namespace {

constexpr char kPass[] = "assign_layouts";
constexpr int64_t kSymbol = 64;  // what a symbol counts as

bool HasLayouts(const Graph& graph) {
  for (const auto& node : graph.nodes()) {
    if (node->Is("Reorder")) return true;
    for (size_t i = 0; i < node->num_outputs(); ++i) {
      if (node->output(i)->type().layout() != Layout::kPlain) return true;
    }
  }
  return false;
}

// What bodies at any depth return, which may be a value around them.
void CollectReturned(const Node& node, absl::flat_hash_set<const Value*>* returned) {
  for (const auto& [name, body] : node.bodies()) {
    returned->insert(body->outputs().begin(), body->outputs().end());
    for (const auto& inner : body->nodes()) CollectReturned(*inner, returned);
  }
}

int64_t BytesOf(const Type& type) {
  Bindings bindings;
  std::vector<std::string> symbols;
  for (const Dim& d : type.shape()) d.CollectSymbols(&symbols);
  for (const std::string& s : symbols) bindings[s] = kSymbol;
  int64_t bytes = static_cast<int64_t>(ByteSize(type.dtype()));
  for (const Dim& d : type.shape()) {
    const int64_t extent = std::clamp<int64_t>(d.Evaluate(bindings).value_or(kSymbol), 1, 1 << 20);
    bytes = std::min<int64_t>(bytes * extent, int64_t{1} << 40);
  }
  return bytes;
}

// One graph without its bodies, which are looked at by themselves.
class Assigner {
 public:
  Assigner(Graph& graph, PassContext& context) : graph_(graph), context_(context) {}

  bool Run() {
    CollectForms();
    if (worth_it_) {
      Cut();
      JoinRegions();
    }
    bool changed = false;
    for (std::vector<Node*>& region : regions_) changed |= Take(region);
    if (changed) InsertReorders();
    TellRefused();
    return changed;
  }

 private:
  // How a node would run channels last, and the cut's node for it.
  struct Candidate {
    NodeLayouts form;
    int vertex = -1;
    bool chosen = false, taken = false;
  };

  void CollectForms() {
    absl::flat_hash_set<const Value*> leave;
    for (const auto& node : graph_.nodes()) CollectReturned(*node, &leave);
    int order = 0;
    for (const auto& node : graph_.nodes()) {
      order_[node.get()] = order++;
      if (node->Is("Constant") || (!node->bodies().empty() && !IsSealed(*node))) continue;
      absl::StatusOr<NodeLayouts> form = context_.target.layouts(*node, Layout::kChannelsLast);
      if (!form.ok()) {
        refused_[node.get()] = std::string(form.status().message());
        continue;
      }
      const bool marked = std::count(form->inputs.begin(), form->inputs.end(), true) +
                              std::count(form->outputs.begin(), form->outputs.end(), true) >
                          0;
      bool leaves = false;
      for (size_t i = 0; i < node->num_outputs(); ++i) leaves |= leave.contains(node->output(i));
      if (!marked || leaves) continue;
      worth_it_ |= form->plain_moves;
      candidates_[node.get()].form = *std::move(form);
      nodes_.push_back(node.get());
    }
  }

  Candidate* Find(const Node* node) {
    auto it = candidates_.find(node);
    return it == candidates_.end() ? nullptr : &it->second;
  }
  // The candidate that would write `value` channels last; null where it is plain in any case.
  Candidate* Writer(const Value* value) {
    Candidate* c = value->is_input() ? nullptr : Find(value->producer());
    return c != nullptr && c->form.outputs[value->output_index()] ? c : nullptr;
  }
  Candidate* Reader(const Use& use) {
    Candidate* c = Find(use.node);
    return c != nullptr && c->form.inputs[use.index] ? c : nullptr;
  }

  void Cut() {
    MinCut cut;
    for (Node* node : nodes_) candidates_[node].vertex = cut.AddNode();
    absl::flat_hash_set<const Value*> seen;
    for (Node* node : nodes_) {
      const Candidate& c = candidates_[node];
      int64_t moved = 0;
      const auto visit = [&](const Value* v) {
        moved += BytesOf(v->type());
        if (seen.insert(v).second) AddValue(*v, &cut);
      };
      for (size_t i = 0; i < node->num_inputs(); ++i) {
        if (c.form.inputs[i]) visit(node->input(i));
      }
      for (size_t i = 0; i < node->num_outputs(); ++i) {
        if (c.form.outputs[i]) visit(node->output(i));
      }
      // A transpose that is free between two orders moves the one value that it has twice.
      if (moved == 0) moved = BytesOf(node->output()->type());
      if (c.form.plain_moves) cut.AddEdge(MinCut::kSource, c.vertex, moved);
    }
    const std::vector<bool> side = cut.SourceSide();
    for (Node* node : nodes_) {
      Candidate& c = candidates_[node];
      c.chosen = side[static_cast<size_t>(c.vertex)];
    }
  }

  // A reorder is paid once a value and direction, however many nodes read the result.
  void AddValue(const Value& value, MinCut* cut) {
    const int64_t bytes = BytesOf(value.type());
    const Candidate* writer = Writer(&value);
    const int from = writer != nullptr ? writer->vertex : MinCut::kSink;
    const int to_plain = cut->AddNode(), to_last = cut->AddNode();
    if (writer != nullptr) cut->AddEdge(from, to_plain, bytes);
    cut->AddEdge(to_last, from, bytes);
    bool plain_reader = value.is_graph_output();
    for (const Use& use : value.uses()) {
      if (const Candidate* reader = Reader(use)) {
        cut->AddEdge(to_plain, reader->vertex, MinCut::kNever);
        cut->AddEdge(reader->vertex, to_last, MinCut::kNever);
      } else {
        plain_reader = true;
      }
    }
    if (plain_reader) cut->AddEdge(to_plain, MinCut::kSink, MinCut::kNever);
  }

  // Chosen nodes that hand channels-last values to each other are one region.
  void JoinRegions() {
    absl::flat_hash_set<const Node*> seen;
    for (Node* first : nodes_) {
      if (!candidates_[first].chosen || !seen.insert(first).second) continue;
      std::vector<Node*> region = {first};
      for (size_t i = 0; i < region.size(); ++i) {
        const auto join = [&](Node* n) {
          const Candidate* c = Find(n);
          if (c != nullptr && c->chosen && seen.insert(n).second) region.push_back(n);
        };
        for (const Value* v : region[i]->inputs()) {
          if (v != nullptr && v->producer() != nullptr) join(v->producer());
          for (const Use& use : v != nullptr ? v->uses() : std::vector<Use>()) join(use.node);
        }
        for (size_t k = 0; k < region[i]->num_outputs(); ++k) {
          for (const Use& use : region[i]->output(k)->uses()) join(use.node);
        }
      }
      regions_.push_back(std::move(region));
    }
  }

  bool Take(std::vector<Node*>& region) {
    if (!context_.Spend()) return false;
    Node* first = *std::min_element(region.begin(), region.end(),
                                    [&](Node* a, Node* b) { return order_[a] < order_[b]; });
    for (Node* node : region) {
      Candidate& c = candidates_[node];
      c.taken = true;
      for (size_t i = 0; i < node->num_outputs(); ++i) {
        Value* v = node->output(i);
        if (c.form.outputs[i]) v->set_type(WithLayout(v->type(), Layout::kChannelsLast));
      }
    }
    context_.Applied(kPass, *first, absl::StrCat(region.size(), " nodes run channels last"));
    return true;
  }

  // The node of this graph in which `node` runs.
  Node* Here(Node* node) const {
    while (node->graph() != &graph_) node = node->graph()->owner();
    return node;
  }

  void InsertReorders() {
    std::vector<Value*> values = graph_.inputs();
    for (const auto& node : graph_.nodes()) {
      for (size_t i = 0; i < node->num_outputs(); ++i) values.push_back(node->output(i));
    }
    for (Value* v : values) {
      if (!v->type().is_tensor() || !v->type().has_shape() || v->type().rank() < 3) continue;
      const bool last = v->type().layout() == Layout::kChannelsLast;
      std::vector<Use> others;
      for (const Use& use : v->uses()) {
        const Candidate* c = Find(use.node);
        const bool wants_last = c != nullptr && c->taken && c->form.inputs[use.index];
        if (wants_last != last) others.push_back(use);
      }
      const bool fetched = last && std::find(graph_.outputs().begin(), graph_.outputs().end(), v) !=
                                       graph_.outputs().end();
      if (others.empty() && !fetched) continue;
      Value* moved = Reordered(v, others, last ? Layout::kPlain : Layout::kChannelsLast);
      for (const Use& use : others) use.node->SetInput(use.index, moved);
      for (size_t i = 0; fetched && i < graph_.outputs().size(); ++i) {
        if (graph_.outputs()[i] == v) graph_.SetOutput(i, moved);
      }
    }
  }

  // In front of the first node that reads it; at the end where it is only fetched.
  Value* Reordered(Value* v, const std::vector<Use>& uses, Layout layout) {
    Node* before = nullptr;
    for (const Use& use : uses) {
      Node* reader = Here(use.node);
      if (before == nullptr || order_.at(reader) < order_.at(before)) before = reader;
    }
    GraphBuilder b(&graph_, before);
    Origin origin = v->producer() != nullptr ? v->producer()->origin() : Origin();
    absl::StrAppend(&origin.passes, origin.passes.empty() ? "" : ",", kPass);
    b.SetOrigin(std::move(origin));
    Value* moved = b.Op("Reorder", {v}, {{"layout", std::string(ToString(layout))}});
    // The same name each time that the program is optimised.
    graph_.RenameValue(moved, absl::StrCat(v->name(), "_", ToString(layout)));
    return moved;
  }

  void TellRefused() {
    for (const auto& node : graph_.nodes()) {
      const Candidate* c = Find(node.get());
      if (c != nullptr && c->form.plain_moves && !c->chosen) {
        context_.Refused(kPass, *node, "reorders around it would move as much as it does inside");
      }
      auto it = refused_.find(node.get());
      if (it == refused_.end()) continue;
      const bool border =
          std::any_of(node->inputs().begin(), node->inputs().end(), [](const Value* v) {
            return v != nullptr && v->producer() != nullptr && v->producer()->Is("Reorder") &&
                   v->type().layout() == Layout::kPlain;
          });
      if (border || node->Is("Conv") || node->Is("FusedConv")) {
        context_.Refused(kPass, *node, it->second);
      }
    }
  }

  Graph& graph_;
  PassContext& context_;
  std::vector<Node*> nodes_;  // the candidates in order
  absl::flat_hash_map<const Node*, Candidate> candidates_;
  absl::flat_hash_map<const Node*, int> order_;
  absl::flat_hash_map<const Node*, std::string> refused_;
  std::vector<std::vector<Node*>> regions_;
  bool worth_it_ = false;
};

bool RunOn(Graph& graph, PassContext& context) {
  bool changed = false;
  for (const auto& node : graph.nodes()) {
    if (IsSealed(*node)) continue;
    for (const auto& [name, body] : node->bodies()) changed |= RunOn(*body, context);
  }
  if (!HasLayouts(graph)) changed |= Assigner(graph, context).Run();
  return changed;
}

}  // namespace

void ClearLayouts(Graph& graph) {
  for (auto it = graph.nodes().begin(); it != graph.nodes().end();) {
    Node& node = **it++;
    for (const auto& [name, body] : node.bodies()) {
      if (!IsSealed(node)) ClearLayouts(*body);
    }
    for (size_t i = 0; i < node.num_outputs(); ++i) {
      Value* v = node.output(i);
      if (v->type().layout() != Layout::kPlain) v->set_type(WithLayout(v->type(), Layout::kPlain));
    }
    if (!node.Is("Reorder")) continue;
    node.SetAttr("layout", std::string(ToString(Layout::kPlain)));
    if (!node.control_inputs().empty() || !node.control_uses().empty()) continue;
    graph.ReplaceAllUses(node.output(), node.input(0));
    graph.EraseNode(&node);
  }
}

absl::StatusOr<bool> AssignLayouts::Run(Graph& graph, PassContext& context) const {
  if (!context.target.layouts) return false;
  return RunOn(graph, context);
}

}  // namespace sluice
