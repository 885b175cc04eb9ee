#include "passes/lift_state.h"

#include <algorithm>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "graph/effects.h"
#include "graph/order.h"
#include "graph/text.h"

namespace sluice {
namespace {

// What stands for the variables in a graph or body, by variable.
using Variables = std::vector<Value*>;

// A node that leaves a variable with another value, and the value.
struct Write {
  const Node* node;  // as a key: it may be gone
  int variable;
  bool direct;  // an Assign of this very graph, else in a body of the node
  std::string effect;
  Value* value = nullptr;
};

class Lifter {
 public:
  Lifter(Graph* graph, const std::vector<std::string>* does) : graph_(*graph), does_(does) {}

  absl::StatusOr<LiftedState> Run() {
    if (absl::Status s = TakeVariables(graph_); !s.ok()) return s;
    FindWrites(graph_, /*counts=*/true);
    state_.signatures = std::move(graph_.signatures());
    graph_.signatures().clear();
    const std::vector<Write> writes = Lift(graph_, Variables(roots_));
    for (const Write& w : writes) {
      const std::string& name = state_.variables[w.variable].name;
      state_.updates.push_back({w.effect, w.variable, static_cast<int>(graph_.outputs().size())});
      graph_.AddOutput(w.value, absl::StrCat("new value of ", name));
    }
    // Only now: what an Assign gives is a value, no read of the variable that it may have been.
    for (Node* assign : assigns_) {
      assign->graph()->ReplaceAllUses(assign->output(), assign->input(1));
      assign->ClearControlInputs();
      assign->graph()->EraseNode(assign);
    }
    DropControlEdges(graph_);
    if (!trouble_.ok()) return trouble_;
    if (!graph_.status().ok()) return graph_.status();
    return std::move(state_);
  }

 private:
  // A variable belongs to the program, wherever it is declared: all become inputs of the whole.
  absl::Status TakeVariables(Graph& graph) {
    std::vector<Node*> found;
    for (const auto& node : graph.nodes()) {
      for (const auto& [name, body] : node->bodies()) {
        if (absl::Status s = TakeVariables(*body); !s.ok()) return s;
      }
      if (node->Is("Variable")) found.push_back(node.get());
    }
    for (Node* node : found) {
      const std::string name = node->String("name"), value_name = node->output()->name();
      if (!names_.insert(name).second) {
        return NodeError(*node, absl::StatusCode::kFailedPrecondition,
                         absl::StrCat("a second variable is named ", Shown(name)));
      }
      const Tensor* initial = node->GetTensor("value");
      if (initial == nullptr || !initial->valid()) {
        return NodeError(*node, absl::StatusCode::kFailedPrecondition,
                         "the variable has no initial value");
      }
      state_.variables.push_back(
          {name, *initial, node->origin(), static_cast<int>(graph_.inputs().size())});
      Value* input = graph_.AddInput(graph_.UniqueName(value_name), node->output()->type());
      input->set_known_dims(std::nullopt);
      graph.ReplaceAllUses(node->output(), input);
      node->ClearControlInputs();
      graph.EraseNode(node);
      graph_.RenameValue(input, value_name);
      variable_of_[input] = static_cast<int>(roots_.size());
      roots_.push_back(input);
    }
    return absl::OkStatus();
  }

  // Which variables the bodies of each node write; returns those that `graph` does, itself or in
  // bodies. What the program does not do writes nothing.
  std::vector<int> FindWrites(const Graph& graph, bool counts) {
    std::vector<int> all;
    for (const auto& node : graph.nodes()) {
      const bool does =
          counts && (&graph != &graph_ || does_ == nullptr ||
                     std::find(does_->begin(), does_->end(), node->name()) != does_->end());
      if (node->Is("Assign") && does) {
        all.push_back(variable_of_.at(node->input(0)));
        writes_.insert(node.get());
      }
      std::vector<int> inside;
      for (const auto& [name, body] : node->bodies()) {
        const std::vector<int> written = FindWrites(*body, does);
        inside.insert(inside.end(), written.begin(), written.end());
      }
      if (inside.empty()) continue;
      std::sort(inside.begin(), inside.end());
      inside.erase(std::unique(inside.begin(), inside.end()), inside.end());
      all.insert(all.end(), inside.begin(), inside.end());
      written_inside_[node.get()] = std::move(inside);
    }
    return all;
  }

  // What the nodes of one graph see of its variables. Followers are found before anything moves,
  // and only for writes that somebody may have to be behind of.
  class Level {
   public:
    Level(const Lifter& lifter, const Graph& graph, const Variables& entry)
        : entry_(entry), writes_of_(entry.size()) {
      for (const auto& node : graph.nodes()) {
        if (lifter.writes_.contains(node.get())) {
          Add({node.get(), lifter.variable_of_.at(node->input(0)), true, node->name()});
        } else if (auto it = lifter.written_inside_.find(node.get());
                   it != lifter.written_inside_.end()) {
          for (int v : it->second) Add({node.get(), v, false, node->name()});
        }
      }
      if (writes.empty()) return;
      absl::flat_hash_set<int> read_inside;
      for (const auto& node : graph.nodes()) {
        for (const Value* v : Captures(*node)) {
          if (auto it = lifter.variable_of_.find(v); it != lifter.variable_of_.end())
            read_inside.insert(it->second);
        }
      }
      for (const Write& w : writes) {
        if ((!w.direct || read_inside.contains(w.variable)) && !followers_.contains(w.node))
          followers_[w.node] = Followers(*w.node);
      }
    }

    // The variable for the node itself, or for its bodies.
    Value* Seen(int variable, const Node* node, bool inside) const {
      Value* seen = entry_[variable];
      for (size_t i : writes_of_[variable]) {
        const Write& w = writes[i];
        if (w.node == node) break;
        if (w.direct && !inside) continue;
        auto after = followers_.find(w.node);
        if (after != followers_.end() && after->second.contains(node)) seen = w.value;
      }
      return seen;
    }
    Variables Inside(const Node* node) const {
      Variables seen;
      for (size_t v = 0; v < entry_.size(); ++v)
        seen.push_back(Seen(static_cast<int>(v), node, true));
      return seen;
    }
    void Set(const Node* node, int variable, Value* value) {
      for (size_t i : writes_of_[variable]) {
        if (writes[i].node == node) writes[i].value = value;
      }
    }

    std::vector<Write> writes;

   private:
    void Add(Write w) {
      writes_of_[w.variable].push_back(writes.size());
      writes.push_back(std::move(w));
    }
    const Variables& entry_;
    std::vector<std::vector<size_t>> writes_of_;
    absl::flat_hash_map<const Node*, absl::flat_hash_set<const Node*>> followers_;
  };

  // Rewrites `graph` and all bodies in it, `entry` standing for the variables. Returns what it
  // leaves, in order.
  std::vector<Write> Lift(Graph& graph, const Variables& entry) {
    Level level(*this, graph, entry);
    std::vector<Node*> nodes;
    for (const auto& node : graph.nodes()) nodes.push_back(node.get());
    for (Node* node : nodes) {
      const bool assign = node->Is("Assign");
      for (size_t i = assign ? 1 : 0; i < node->num_inputs(); ++i) {
        if (const std::optional<int> v = VariableOf(node->input(i))) {
          Value* seen = level.Seen(*v, node, false);
          if (seen != entry[static_cast<size_t>(*v)]) NoteSeen(*node, *v);
          node->SetInput(i, seen);
        }
      }
      if (assign) {
        level.Set(node, variable_of_.at(node->input(0)), node->output());
        assigns_.push_back(node);
      } else if (!node->bodies().empty()) {
        LiftBodies(node, level);
      }
    }
    for (size_t i = 0; i < graph.outputs().size(); ++i) {
      if (const std::optional<int> v = VariableOf(graph.outputs()[i]))
        graph.SetOutput(i, entry[*v]);
    }
    return std::move(level.writes);
  }

  // What a body leaves of each of these variables.
  static std::vector<Value*> Leaves(const std::vector<Write>& writes, const std::vector<int>& which,
                                    const Variables& entry) {
    std::vector<Value*> left;
    for (int v : which) {
      Value* value = entry[v];
      for (const Write& w : writes) {
        if (w.variable == v) value = w.value;
      }
      left.push_back(value);
    }
    return left;
  }

  void LiftBodies(Node* node, Level& level) {
    const Variables outside = level.Inside(node);
    for (const Value* v : Captures(*node)) {
      const std::optional<int> variable = VariableOf(v);
      if (variable.has_value() && outside[static_cast<size_t>(*variable)] != v &&
          node->graph() == &graph_)
        NoteSeen(*node, *variable);
    }
    auto found = written_inside_.find(node);
    if (found == written_inside_.end()) {
      for (const auto& [name, body] : node->bodies()) Lift(*body, outside);
      return;
    }
    const std::vector<int> written = found->second;
    // Where its new inputs and outputs stand: behind the values that a loop carries. The branches
    // of an If take nothing, and give it behind the rest.
    const bool branches = node->Is("If"), loop = node->Is("Loop");
    const size_t fixed = loop ? 2 : 0;  // the trip count and the condition
    const size_t scanned = node->Is("Scan") ? static_cast<size_t>(node->Int("num_scan_inputs")) : 0;
    const size_t inputs = branches ? 0 : std::max(fixed, node->num_inputs() - scanned);
    const size_t carried = branches ? node->num_outputs() : inputs - fixed;
    for (const auto& [name, body] : node->bodies()) {
      Variables entry = outside;
      for (size_t i = 0; !branches && i < written.size(); ++i) {
        Value* root = roots_[written[i]];
        entry[written[i]] =
            body->InsertInput(fixed + carried + i, body->UniqueName(root->name()), root->type());
      }
      const std::vector<Value*> left = Leaves(Lift(*body, entry), written, entry);
      const std::vector<Value*> outputs = body->outputs();
      const std::vector<std::string> names = body->output_names();
      const size_t at = std::min(outputs.size(), (loop ? 1 : 0) + carried);
      body->ClearOutputs();
      for (size_t i = 0; i < at; ++i) body->AddOutput(outputs[i], names[i]);
      for (size_t i = 0; i < left.size(); ++i) {
        body->AddOutput(left[i], absl::StrCat("new value of ", state_.variables[written[i]].name));
      }
      for (size_t i = at; i < outputs.size(); ++i) body->AddOutput(outputs[i], names[i]);
    }
    Widen(node, written, outside, inputs, carried, level);
  }

  // The node with inputs and outputs for the state that its bodies now take and give.
  void Widen(Node* node, const std::vector<int>& written, const Variables& outside, size_t inputs,
             size_t carried, Level& level) {
    Graph& graph = *node->graph();
    std::vector<Value*> in = node->inputs();
    if (!node->Is("If")) {
      in.resize(std::max(in.size(), inputs), nullptr);
      std::vector<Value*> state;
      for (int v : written) state.push_back(outside[v]);
      in.insert(in.begin() + static_cast<int64_t>(inputs), state.begin(), state.end());
    }
    carried = std::min(carried, node->num_outputs());
    const size_t outputs = node->num_outputs() + written.size();
    Node* wide =
        graph.AddNode(node->op(), in, std::vector<std::string>(outputs, std::string()), node);
    for (const auto& [name, value] : node->attrs()) wide->SetAttr(name, value);
    wide->TakeBodies(node);
    wide->set_device(node->device());
    wide->mutable_origin() = node->origin();
    for (size_t i = 0; i < written.size(); ++i) {
      wide->output(carried + i)->set_type(roots_[written[i]]->type());
      level.Set(node, written[i], wide->output(carried + i));
    }
    std::vector<std::pair<Value*, std::string>> names;
    for (size_t i = 0; i < node->num_outputs(); ++i) {
      Value* now = wide->output(i < carried ? i : i + written.size());
      now->set_type(node->output(i)->type());
      names.push_back({now, node->output(i)->name()});
      graph.ReplaceAllUses(node->output(i), now);
    }
    node->ClearControlInputs();
    graph.EraseNode(node);
    for (const auto& [value, name] : names) graph.RenameValue(value, name);
  }

  // They ordered state. What communicates keeps its place among the like.
  static void DropControlEdges(Graph& graph) {
    for (const auto& node : graph.nodes()) {
      for (const auto& [name, body] : node->bodies()) DropControlEdges(*body);
      if (node->control_inputs().empty()) continue;
      std::vector<Node*> kept;
      for (Node* before : node->control_inputs()) {
        if ((EffectsOf(*node) & EffectsOf(*before) & kCommunicates) != 0) kept.push_back(before);
      }
      node->ClearControlInputs();
      for (Node* before : kept) node->AddControlInput(before);
    }
  }

  // Whether `node` sees what another has written is for each signature to say, by what it does: all
  // of them at once have no one answer.
  void NoteSeen(const Node& node, int variable) {
    if (does_ != nullptr || state_.signatures.empty() || node.graph() != &graph_) return;
    if (!trouble_.ok()) return;
    trouble_ = NodeError(
        node, absl::StatusCode::kUnimplemented,
        absl::StrCat("it reads variable ",
                     Shown(state_.variables[static_cast<size_t>(variable)].name),
                     " behind a node that writes it, which some signatures do and others may not: "
                     "compile it as it is, or read what that node gives"));
  }

  std::optional<int> VariableOf(const Value* value) const {
    auto it = variable_of_.find(value);
    return it == variable_of_.end() ? std::nullopt : std::optional(it->second);
  }

  Graph& graph_;
  LiftedState state_;
  Variables roots_;  // the inputs of the whole program
  absl::flat_hash_map<const Value*, int> variable_of_;
  absl::flat_hash_map<const Node*, std::vector<int>> written_inside_;
  absl::flat_hash_set<std::string> names_;
  const std::vector<std::string>* const does_;  // null: everything
  absl::flat_hash_set<const Node*> writes_;     // Assigns that happen
  std::vector<Node*> assigns_;                  // all of them, in order
  absl::Status trouble_;
};

}  // namespace

std::vector<const StateUpdate*> LiftedState::Last(const std::vector<std::string>* does) const {
  std::vector<const StateUpdate*> last(variables.size(), nullptr);
  for (const StateUpdate& u : updates) {
    if (does == nullptr || std::find(does->begin(), does->end(), u.effect) != does->end())
      last[u.variable] = &u;
  }
  return last;
}

absl::StatusOr<LiftedState> LiftState(Graph* graph, const std::vector<std::string>* does) {
  return Lifter(graph, does).Run();
}

absl::StatusOr<bool> LiftStatePass::Run(Graph& graph, PassContext& context) const {
  absl::StatusOr<LiftedState> state = LiftState(&graph);
  if (!state.ok()) return state.status();
  const bool changed = !state->variables.empty();
  *context.state = *std::move(state);
  return changed;
}

void LowerState(const LiftedState& state, Graph* graph) {
  std::vector<Value*> variables, values;
  for (const StateVariable& v : state.variables) variables.push_back(graph->inputs()[v.input]);
  for (const StateUpdate& u : state.updates) values.push_back(graph->outputs()[u.output]);

  const std::vector<Value*> outputs = graph->outputs();
  const std::vector<std::string> names = graph->output_names();
  graph->ClearOutputs();
  for (size_t i = 0; i < outputs.size() - values.size(); ++i)
    graph->AddOutput(outputs[i], names[i]);

  // Without signatures the last assignment of a variable is the only one that anybody sees.
  const std::vector<const StateUpdate*> last = state.Last();
  std::vector<Node*> before(variables.size(), nullptr);
  absl::flat_hash_map<std::string, std::vector<std::string>> now_called;
  for (size_t i = 0; i < values.size(); ++i) {
    const StateUpdate& u = state.updates[i];
    const size_t v = static_cast<size_t>(u.variable);
    if (state.signatures.empty() && last[v] != &u) continue;
    Node* assign = graph->AddNode(*graph->ops().Find("Assign"), {variables[v], values[i]},
                                  {graph->UniqueName(u.effect)});
    assign->output()->set_type(variables[v]->type());
    assign->mutable_origin() = state.variables[v].origin;
    if (before[v] != nullptr) assign->AddControlInput(before[v]);
    before[v] = assign;
    now_called[u.effect].push_back(assign->name());
  }
  Node* const first = graph->nodes().empty() ? nullptr : graph->nodes().front().get();
  for (size_t i = 0; i < variables.size(); ++i) {
    Node* node = graph->AddNode(*graph->ops().Find("Variable"), {}, {std::string()}, first);
    node->SetAttr("name", state.variables[i].name);
    node->SetAttr("value", state.variables[i].initial);
    node->mutable_origin() = state.variables[i].origin;
    node->output()->set_type(variables[i]->type());
    const std::string name = variables[i]->name();
    graph->ReplaceAllUses(variables[i], node->output());
    graph->EraseInput(variables[i]);
    graph->RenameValue(node->output(), name);
  }
  graph->signatures() = state.signatures;
  for (auto& [name, signature] : graph->signatures()) {
    std::vector<std::string> does;
    for (const std::string& effect : signature.does) {
      auto it = now_called.find(effect);
      if (it == now_called.end()) continue;
      does.insert(does.end(), it->second.begin(), it->second.end());
    }
    signature.does = std::move(does);
  }
}

}  // namespace sluice
