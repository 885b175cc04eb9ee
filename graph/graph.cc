#include "graph/graph.h"

#include <algorithm>
#include <queue>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "graph/error_details.h"
#include "graph/text.h"

namespace sluice {

std::string Origin::ToString() const {
  std::string text = Escaped(file);
  if (line > 0) absl::StrAppend(&text, ":", line);
  if (!name.empty()) absl::StrAppend(&text, text.empty() ? "" : " ", "node ", Shown(name));
  if (!passes.empty()) absl::StrAppend(&text, text.empty() ? "" : " ", "via ", Escaped(passes));
  return text;
}

const Tensor* Value::constant() const {
  if (producer_ == nullptr || producer_->op().name != "Constant") return nullptr;
  return producer_->GetTensor("value");
}

// ---- Node

Node::~Node() = default;

const std::string& Node::name() const {
  static const std::string* const none = new std::string();
  return outputs_.empty() ? *none : outputs_[0]->name();
}

void Node::SetInput(size_t i, Value* value) {
  if (value != nullptr && !graph_->CheckSeen(value, op_name())) return;
  if (i >= inputs_.size()) {
    use_slots_.resize(i + 1, 0);  // first: never fewer than inputs
    inputs_.resize(i + 1, nullptr);
  }
  if (inputs_[i] == value) return;
  if (inputs_[i] != nullptr) graph_->RemoveUse(this, i);
  if (value != nullptr) graph_->AddUse(this, i, value);
}

void Node::AddControlInput(Node* node) {
  if (node == nullptr || node->graph_ != graph_) {
    graph_->Fail(absl::InvalidArgumentError(
        absl::StrCat("a control input of ", Shown(name()),
                     node == nullptr ? " is null" : " is a node of another graph",
                     "; expected one of graph ", Shown(graph_->name()))));
    return;
  }
  if (std::find(control_inputs_.begin(), control_inputs_.end(), node) != control_inputs_.end())
    return;
  node->control_uses_.reserve(node->control_uses_.size() + 1);  // both lists change, or none
  control_inputs_.push_back(node);
  node->control_uses_.push_back(this);
}

void Node::ClearControlInputs() {
  for (Node* from : control_inputs_) std::erase(from->control_uses_, this);
  control_inputs_.clear();
}

const Attribute* Node::FindAttr(absl::string_view name) const {
  if (auto it = attrs_.find(name); it != attrs_.end()) return &it->second;
  const AttrDef* def = op_->FindAttr(name);
  return def != nullptr && def->value.has_value() ? &*def->value : nullptr;
}

namespace {
const Attribute* Read(const Node& node, absl::string_view name, AttrKind kind) {
  const Attribute* a = node.FindAttr(name);
  return a != nullptr && a->kind() == kind ? a : nullptr;
}
}  // namespace

int64_t Node::Int(absl::string_view name) const {
  const Attribute* a = Read(*this, name, AttrKind::kInt);
  return a ? a->as_int() : 0;
}
float Node::Float(absl::string_view name) const {
  const Attribute* a = Read(*this, name, AttrKind::kFloat);
  return a ? a->as_float() : 0;
}
std::string Node::String(absl::string_view name) const {
  const Attribute* a = Read(*this, name, AttrKind::kString);
  return a ? a->as_string() : "";
}
std::vector<int64_t> Node::Ints(absl::string_view name) const {
  const Attribute* a = Read(*this, name, AttrKind::kInts);
  return a ? a->as_ints() : std::vector<int64_t>();
}
std::vector<float> Node::Floats(absl::string_view name) const {
  const Attribute* a = Read(*this, name, AttrKind::kFloats);
  return a ? a->as_floats() : std::vector<float>();
}
std::vector<std::string> Node::Strings(absl::string_view name) const {
  const Attribute* a = Read(*this, name, AttrKind::kStrings);
  return a ? a->as_strings() : std::vector<std::string>();
}
DType Node::GetDType(absl::string_view name) const {
  const Attribute* a = Read(*this, name, AttrKind::kDType);
  return a ? a->as_dtype() : DType::kInvalid;
}
const Tensor* Node::GetTensor(absl::string_view name) const {
  const Attribute* a = Read(*this, name, AttrKind::kTensor);
  return a ? &a->as_tensor() : nullptr;
}

Graph* Node::body(absl::string_view name) const {
  auto it = bodies_.find(name);
  return it == bodies_.end() ? nullptr : it->second.get();
}

Graph* Node::AddBody(absl::string_view name) {
  auto body = std::make_unique<Graph>(graph_->ops(), name);
  body->owner_ = this;
  Graph* raw = body.get();
  bodies_[std::string(name)] = std::move(body);
  return raw;
}

void Node::TakeBodies(Node* from) {
  if (from == nullptr || from == this || from->graph_ != graph_) {
    graph_->Fail(absl::InvalidArgumentError(
        absl::StrCat(Shown(name()), " takes the bodies of no other node of its graph")));
    return;
  }
  for (auto it = from->bodies_.begin(); it != from->bodies_.end(); it = from->bodies_.erase(it)) {
    std::unique_ptr<Graph>& mine = bodies_[it->first];
    it->second->owner_ = this;
    mine = std::move(it->second);
  }
}

// ---- Graph: ownership and names
//
// Memory that runs out (std::bad_alloc) leaves an edit half made, but all that is reachable owned
// and every use in both of its lists: so a thing is owned before anything points to it.

Graph::Graph(const OpRegistry& ops, absl::string_view name) : ops_(&ops), name_(name) {}

Graph::~Graph() {
  DropUses();
  for (auto& node : nodes_) node->bodies_.clear();
  // A body dies with its owner, whose root may be half gone: names are the root's affair only.
}

void Graph::DropUses() {
  for (auto& node : nodes_) {
    for (auto& [name, body] : node->bodies_) body->DropUses();
    for (size_t i = 0; i < node->inputs_.size(); ++i) {
      if (node->inputs_[i] != nullptr) RemoveUse(node.get(), i);
    }
    node->control_inputs_.clear();
    node->control_uses_.clear();
  }
  ClearOutputs();
}

const Graph* Graph::Root() const {
  const Graph* g = this;
  while (g->owner_ != nullptr) g = g->owner_->graph_;
  return g;
}

void Graph::Fail(absl::Status status) {
  absl::Status& first = Root()->status_;
  if (first.ok()) first = std::move(status);
}

bool Graph::Sees(const Value* value) const {
  for (const Graph* g = this; g != nullptr; g = g->parent()) {
    if (value->graph_ == g) return true;
  }
  return false;
}

bool Graph::CheckSeen(const Value* value, absl::string_view what) {
  if (value != nullptr && Sees(value)) return true;
  if (value == nullptr) {
    Fail(absl::InvalidArgumentError(
        absl::StrCat(what, " of graph ", Shown(name_), ": the value is null")));
  } else {
    Fail(absl::InvalidArgumentError(absl::StrCat(
        what, " of graph ", Shown(name_), ": ", Shown(value->name()), " is a value of graph ",
        Shown(value->graph()->name()), "; expected one of this graph, or of one around it")));
  }
  return false;
}

std::string Graph::UniqueName(absl::string_view base) const {
  if (!base.empty()) {
    bool taken = all_names_.contains(base);  // here, or in a body inside, which sees this graph
    for (const Graph* g = parent(); g != nullptr && !taken; g = g->parent())
      taken = g->values_.contains(base);
    if (!taken) return std::string(base);
  }
  // Invented names are unique in the whole program, so that no later edit of an outer graph or a
  // body clashes.
  const Graph* root = Root();
  int& suffix = root->next_suffix_[std::string(base)];
  std::string name;
  do {
    name = base.empty() ? absl::StrCat("v", suffix++) : absl::StrCat(base, "_", ++suffix);
  } while (root->all_names_.contains(name));
  return name;
}

Value* Graph::FindValue(absl::string_view name) const {
  auto it = values_.find(name);
  return it == values_.end() ? nullptr : it->second;
}

Value* Graph::FindVisibleValue(absl::string_view name) const {
  for (const Graph* g = this; g != nullptr; g = g->parent()) {
    if (Value* v = g->FindValue(name)) return v;
  }
  return nullptr;
}

void Graph::RegisterValue(Value* value, absl::string_view name) {
  value->name_ = UniqueName(name);
  value->graph_ = this;
  values_[value->name_] = value;
  for (Graph* g = this; g != nullptr; g = g->parent()) ++g->all_names_[value->name_];
}

void Graph::UnregisterValue(Value* value) {
  values_.erase(value->name_);
  for (Graph* g = this; g != nullptr; g = g->parent()) {
    auto it = g->all_names_.find(value->name_);  // not there where its registering failed
    if (it != g->all_names_.end() && --it->second == 0) g->all_names_.erase(it);
  }
}

void Graph::RenameValue(Value* value, absl::string_view name) {
  if (value == nullptr) {
    Fail(absl::InvalidArgumentError(
        absl::StrCat("graph ", Shown(name_), ": no value is named ", Shown(name))));
    return;
  }
  if (value->graph_ != this) return value->graph_->RenameValue(value, name);
  if (value->name_ == name) return;
  UnregisterValue(value);
  RegisterValue(value, name);
}

// ---- Graph: inputs and outputs

Value* Graph::AddInput(absl::string_view name, Type type) {
  return InsertInput(inputs_.size(), name, std::move(type));
}

Value* Graph::InsertInput(size_t place, absl::string_view name, Type type) {
  owned_inputs_.push_back(std::make_unique<Value>());
  Value* value = owned_inputs_.back().get();
  value->type_ = std::move(type);
  RegisterValue(value, name);
  inputs_.insert(inputs_.begin() + static_cast<int64_t>(std::min(place, inputs_.size())), value);
  return value;
}

void Graph::EraseInput(Value* input) {
  if (!CheckSeen(input, "an erased input")) return;
  if (input->graph_ != this || !input->is_input() || input->used()) {
    Fail(absl::FailedPreconditionError(
        absl::StrCat("graph ", Shown(name_), ": ", Shown(input->name()), " cannot be erased: ",
                     input->used() ? "it is still used" : "it is no input of this graph")));
    return;
  }
  UnregisterValue(input);
  std::erase(inputs_, input);
  std::erase_if(owned_inputs_, [&](const auto& v) { return v.get() == input; });
}

void Graph::AddOutput(Value* value, absl::string_view name) {
  if (!CheckSeen(value, absl::StrCat("output ", Shown(name)))) return;
  output_names_.push_back(std::string(name.empty() ? absl::string_view(value->name()) : name));
  outputs_.push_back(value);
  ++value->output_uses_;
}

void Graph::SetOutput(size_t i, Value* value) {
  if (i >= outputs_.size()) {
    Fail(absl::InvalidArgumentError(absl::StrCat("graph ", Shown(name_), " has ", outputs_.size(),
                                                 " outputs; output ", i, " cannot be set")));
    return;
  }
  if (!CheckSeen(value, absl::StrCat("output ", i))) return;
  --outputs_[i]->output_uses_;
  ++value->output_uses_;
  outputs_[i] = value;
}

void Graph::ClearOutputs() {
  for (Value* v : outputs_) --v->output_uses_;
  outputs_.clear();
  output_names_.clear();
}

// ---- Graph: nodes

void Graph::AddUse(Node* node, size_t index, Value* value) {
  value->uses_.push_back({node, index});
  node->inputs_[index] = value;
  node->use_slots_[index] = static_cast<uint32_t>(value->uses_.size() - 1);
}

void Graph::RemoveUse(Node* node, size_t index) {
  Value* value = node->inputs_[index];
  const uint32_t slot = node->use_slots_[index];
  const Use last = value->uses_.back();  // takes the free place: constant time
  value->uses_[slot] = last;
  last.node->use_slots_[last.index] = slot;
  value->uses_.pop_back();
  node->inputs_[index] = nullptr;
}

Node* Graph::AddNode(const OpDef& op, absl::Span<Value* const> inputs,
                     absl::Span<const std::string> output_names, Node* before) {
  std::unique_ptr<Node> owned(new Node());
  Node* node = owned.get();
  node->op_ = &op;
  node->graph_ = this;
  const bool elsewhere = before != nullptr && before->graph_ != this;
  node->position_ = nodes_.insert(
      before != nullptr && !elsewhere ? before->position_ : nodes_.end(), std::move(owned));
  node->inputs_.resize(inputs.size(), nullptr);
  node->use_slots_.resize(inputs.size(), 0);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i] != nullptr && CheckSeen(inputs[i], op.name)) AddUse(node, i, inputs[i]);
  }
  for (const std::string& name : output_names) AddNodeOutput(node, name);
  if (elsewhere) {
    Fail(absl::InvalidArgumentError(absl::StrCat(op.name, " of graph ", Shown(name_),
                                                 " shall stand before ", Shown(before->name()),
                                                 ", a node of another graph")));
  }
  return node;
}

Value* Graph::AddNodeOutput(Node* node, absl::string_view name) {
  if (node->graph_ != this) return node->graph_->AddNodeOutput(node, name);
  node->outputs_.push_back(std::make_unique<Value>());
  Value* value = node->outputs_.back().get();
  value->producer_ = node;
  value->output_index_ = node->outputs_.size() - 1;
  RegisterValue(value, name);
  return value;
}

void Graph::EraseNode(Node* node) {
  const char* wrong = node == nullptr ? "there is none" : nullptr;
  if (wrong == nullptr && node->graph_ != this) wrong = "it is a node of another graph";
  for (size_t i = 0; wrong == nullptr && i < node->outputs_.size(); ++i) {
    if (node->outputs_[i]->used()) wrong = "it is still used";
  }
  if (wrong != nullptr) {
    Fail(absl::FailedPreconditionError(absl::StrCat("graph ", Shown(name_), ": node ",
                                                    node == nullptr ? "" : Shown(node->name()),
                                                    " cannot be erased: ", wrong)));
    return;
  }
  for (size_t i = 0; i < node->inputs_.size(); ++i) {
    if (node->inputs_[i] != nullptr) RemoveUse(node, i);
  }
  for (Node* from : node->control_inputs_) std::erase(from->control_uses_, node);
  for (Node* to : node->control_uses_) std::erase(to->control_inputs_, node);
  const auto free_names = [&](const auto& self, const Node& of) -> void {
    for (const auto& [body_name, body] : of.bodies_) {
      for (const auto& [name, value] : body->values_) {
        for (Graph* outer = this; outer != nullptr; outer = outer->parent()) {
          auto it = outer->all_names_.find(name);
          if (it != outer->all_names_.end() && --it->second == 0) outer->all_names_.erase(it);
        }
      }
      for (const auto& inner : body->nodes_) self(self, *inner);
    }
  };
  free_names(free_names, *node);
  for (const auto& [name, body] : node->bodies_) body->DropUses();
  for (auto& value : node->outputs_) UnregisterValue(value.get());
  nodes_.erase(node->position_);
}

void Graph::MoveBefore(Node* node, Node* before) {
  if (node == nullptr || node->graph_ != this || (before != nullptr && before->graph_ != this)) {
    Fail(absl::InvalidArgumentError(
        absl::StrCat("graph ", Shown(name_), ": a node moves within its graph alone")));
    return;
  }
  nodes_.splice(before ? before->position_ : nodes_.end(), nodes_, node->position_);
}

namespace {

void ReplaceOutputs(Graph* graph, Value* from, Value* to) {
  for (size_t i = 0; i < graph->outputs().size(); ++i) {
    if (graph->outputs()[i] == from) graph->SetOutput(i, to);
  }
  if (!from->is_graph_output()) return;
  for (const auto& node : graph->nodes()) {
    for (const auto& [name, body] : node->bodies()) {
      ReplaceOutputs(body.get(), from, to);
      if (!from->is_graph_output()) return;
    }
  }
}

}  // namespace

void Graph::ReplaceAllUses(Value* from, Value* to) {
  if (from == to) return;
  if (from == nullptr || to == nullptr) {
    Fail(absl::InvalidArgumentError(absl::StrCat(
        "graph ", Shown(name_), ": ", from == nullptr ? "nothing" : Shown(from->name()),
        " cannot be replaced by ", to == nullptr ? "nothing" : Shown(to->name()))));
    return;
  }
  const std::vector<Use> uses = from->uses_;
  for (auto use = uses.rbegin(); use != uses.rend(); ++use) use->node->SetInput(use->index, to);
  if (from->is_graph_output()) ReplaceOutputs(from->graph(), from, to);
}

size_t Graph::num_nodes_with_bodies() const {
  size_t n = 0;
  for (const auto& node : nodes_) {
    ++n;
    for (const auto& [name, body] : node->bodies()) n += body->num_nodes_with_bodies();
  }
  return n;
}

// ---- Graph: order

namespace {

// Calls f(value) for every value that `node` reads, also from inside its bodies.
template <typename F>
void ForEachRead(const Node& node, const F& f) {
  for (Value* v : node.inputs()) {
    if (v != nullptr) f(v);
  }
  for (const auto& [name, body] : node.bodies()) {
    for (const auto& inner : body->nodes()) ForEachRead(*inner, f);
    for (Value* v : body->outputs()) f(v);
  }
}

}  // namespace

absl::Status Graph::SortTopologically() {
  std::vector<Node*> order;
  absl::flat_hash_map<const Node*, size_t> index;
  for (const auto& node : nodes_) {
    index[node.get()] = order.size();
    order.push_back(node.get());
  }
  std::vector<int> waiting(order.size(), 0);
  std::vector<std::vector<size_t>> next(order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    auto depend = [&](const Node* on) {
      auto it = index.find(on);
      if (on == nullptr || it == index.end()) return;
      next[it->second].push_back(i);
      ++waiting[i];
    };
    ForEachRead(*order[i], [&](const Value* v) { depend(v->producer()); });
    for (const Node* n : order[i]->control_inputs()) depend(n);
  }
  std::priority_queue<size_t, std::vector<size_t>, std::greater<>> ready;  // the earliest first
  for (size_t i = 0; i < order.size(); ++i) {
    if (waiting[i] == 0) ready.push(i);
  }
  size_t done = 0;
  while (!ready.empty()) {
    const size_t i = ready.top();
    ready.pop();
    MoveBefore(order[i], nullptr);
    ++done;
    for (size_t j : next[i]) {
      if (--waiting[j] == 0) ready.push(j);
    }
  }
  if (done == order.size()) return absl::OkStatus();
  std::vector<std::string> stuck;
  for (size_t i = 0; i < order.size() && stuck.size() < 8; ++i) {
    if (waiting[i] > 0)
      stuck.push_back(absl::StrCat(Shown(order[i]->name()), " (", order[i]->op_name(), ")"));
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "graph ", Shown(name_), " has a cycle through or before: ", absl::StrJoin(stuck, ", ")));
}

Dim Graph::FreshDim() {
  Graph* root = Root();
  if (root->next_dim_ < 0) {
    root->next_dim_ = 0;
    std::vector<std::string> symbols;
    std::vector<const Graph*> graphs = {root};
    while (!graphs.empty()) {
      const Graph* g = graphs.back();
      graphs.pop_back();
      for (const auto& [name, value] : g->values_) {
        if (!value->type().is_tensor() || !value->type().has_shape()) continue;
        for (const Dim& d : value->type().shape()) d.CollectSymbols(&symbols);
      }
      for (const auto& node : g->nodes_) {
        for (const auto& [name, body] : node->bodies()) graphs.push_back(body.get());
      }
    }
    for (const std::string& s : symbols) {
      int64_t n = 0;
      if (s[0] == '_' && absl::SimpleAtoi(s.substr(1), &n))
        root->next_dim_ = std::max(root->next_dim_, n + 1);
    }
  }
  return Dim::Symbol(absl::StrCat("_", root->next_dim_++));
}

// ---- Copies

namespace {

Value* Mapped(Value* value, const absl::flat_hash_map<const Value*, Value*>& map) {
  if (value == nullptr) return nullptr;
  auto it = map.find(value);
  return it == map.end() ? value : it->second;  // captured from around: stays
}

void CopyValue(const Value& from, Value* to) {
  to->set_type(from.type());
  to->set_known_dims(from.known_dims());
  to->set_held(from.held());
}

void CopyBody(const Graph& from, Graph* to, absl::flat_hash_map<const Value*, Value*>* map);

Node* CopyNode(const Node& from, Graph* to, absl::flat_hash_map<const Value*, Value*>* map,
               Node* before) {
  std::vector<Value*> inputs;
  for (Value* v : from.inputs()) inputs.push_back(Mapped(v, *map));
  std::vector<std::string> names;
  for (size_t i = 0; i < from.num_outputs(); ++i) names.push_back(from.output(i)->name());
  Node* node = to->AddNode(from.op(), inputs, names, before);
  for (const auto& [name, attr] : from.attrs()) node->SetAttr(name, attr);
  node->set_device(from.device());
  node->mutable_origin() = from.origin();
  for (size_t i = 0; i < from.num_outputs(); ++i) {
    CopyValue(*from.output(i), node->output(i));
    (*map)[from.output(i)] = node->output(i);
  }
  for (const auto& [name, body] : from.bodies()) CopyBody(*body, node->AddBody(name), map);
  return node;
}

void CopyAll(const Graph& from, Graph* to, absl::flat_hash_map<const Value*, Value*>* map,
             Node* before) {
  absl::flat_hash_map<const Node*, Node*> copies;
  for (const auto& node : from.nodes()) {
    Node* copy = CopyNode(*node, to, map, before);
    copies[node.get()] = copy;
    for (const Node* control : node->control_inputs()) {
      auto it = copies.find(control);
      if (it != copies.end()) copy->AddControlInput(it->second);
    }
  }
}

void CopyBody(const Graph& from, Graph* to, absl::flat_hash_map<const Value*, Value*>* map) {
  to->set_name(from.name());
  for (const Value* input : from.inputs()) {
    Value* copy = to->AddInput(input->name(), input->type());
    copy->set_known_dims(input->known_dims());
    copy->set_held(input->held());
    (*map)[input] = copy;
  }
  CopyAll(from, to, map, nullptr);
  for (size_t i = 0; i < from.outputs().size(); ++i) {
    to->AddOutput(Mapped(from.outputs()[i], *map), from.output_names()[i]);
  }
}

}  // namespace

absl::Status CopyNodes(const Graph& from, Graph* to, absl::flat_hash_map<const Value*, Value*>* map,
                       Node* before) {
  CopyAll(from, to, map, before);
  return to->status();
}

std::unique_ptr<Graph> Graph::Clone() const {
  auto clone = std::make_unique<Graph>(*ops_, name_);
  absl::flat_hash_map<const Value*, Value*> map;
  CopyBody(*this, clone.get(), &map);
  for (const auto& [name, function] : functions_) {
    clone->functions_[name] = function == nullptr ? nullptr : function->Clone();
    if (function == nullptr)
      clone->Fail(absl::FailedPreconditionError(
          absl::StrCat("graph ", Shown(name_), ": function ", Shown(name), " is null")));
  }
  clone->signatures_ = signatures_;
  clone->metadata_ = metadata_;
  if (clone->status_.ok()) clone->status_ = status();
  return clone;
}

std::vector<Value*> Captures(const Node& node) {
  std::vector<Value*> captures;
  absl::flat_hash_set<const Value*> seen;
  for (const auto& [name, body] : node.bodies()) {
    auto visit = [&](Value* v) {
      for (const Graph* g = node.graph(); g != nullptr; g = g->parent()) {
        if (v->graph() == g && seen.insert(v).second) captures.push_back(v);
      }
    };
    for (const auto& inner : body->nodes()) ForEachRead(*inner, visit);
    for (Value* v : body->outputs()) visit(v);
  }
  return captures;
}

// ---- Equality

namespace {

// Every attribute written on `a` has the same value on `b`, written or by default.
bool EqualAttributes(const Node& a, const Node& b) {
  for (const auto& [name, value] : a.attrs()) {
    const Attribute* other = b.FindAttr(name);
    if (other == nullptr || !(*other == value)) return false;
  }
  return true;
}

bool EqualBodies(const Graph& a, const Graph& b, std::string* difference) {
  auto differ = [&](const std::string& what) {
    if (difference != nullptr) *difference = absl::StrCat("graph ", Shown(a.name()), ": ", what);
    return false;
  };
  auto name = [](const Value* v) { return v == nullptr ? std::string("_") : v->name(); };
  if (a.name() != b.name()) return differ(absl::StrCat("name ", Shown(b.name())));
  if (a.inputs().size() != b.inputs().size()) return differ("number of inputs");
  for (size_t i = 0; i < a.inputs().size(); ++i) {
    if (a.inputs()[i]->name() != b.inputs()[i]->name() ||
        a.inputs()[i]->type() != b.inputs()[i]->type()) {
      return differ(absl::StrCat("input ", Shown(a.inputs()[i]->name())));
    }
  }
  if (a.num_nodes() != b.num_nodes()) {
    return differ(absl::StrCat(a.num_nodes(), " nodes against ", b.num_nodes()));
  }
  auto j = b.nodes().begin();
  for (auto i = a.nodes().begin(); i != a.nodes().end(); ++i, ++j) {
    const Node &x = **i, &y = **j;
    auto node_differs = [&](absl::string_view what) {
      return differ(absl::StrCat(what, ":\n  ", NodeToString(x), "\n  ", NodeToString(y)));
    };
    if (&x.op() != &y.op() && x.op_name() != y.op_name()) return node_differs("op");
    if (x.num_inputs() != y.num_inputs() || x.num_outputs() != y.num_outputs())
      return node_differs("arity");
    for (size_t k = 0; k < x.num_inputs(); ++k) {
      if (name(x.input(k)) != name(y.input(k))) return node_differs("input");
    }
    for (size_t k = 0; k < x.num_outputs(); ++k) {
      if (name(x.output(k)) != name(y.output(k))) return node_differs("output name");
      if (x.output(k)->type() != y.output(k)->type()) return node_differs("output type");
    }
    if (x.control_inputs().size() != y.control_inputs().size())
      return node_differs("control inputs");
    for (size_t k = 0; k < x.control_inputs().size(); ++k) {
      if (x.control_inputs()[k]->name() != y.control_inputs()[k]->name())
        return node_differs("control inputs");
    }
    if (!EqualAttributes(x, y) || !EqualAttributes(y, x)) return node_differs("attributes");
    if (x.device() != y.device()) return node_differs("device");
    if (x.bodies().size() != y.bodies().size()) return node_differs("bodies");
    for (const auto& [body_name, body] : x.bodies()) {
      const Graph* other = y.body(body_name);
      if (other == nullptr) return node_differs("bodies");
      if (!EqualBodies(*body, *other, difference)) return false;
    }
  }
  if (a.output_names() != b.output_names()) return differ("output names");
  for (size_t i = 0; i < a.outputs().size(); ++i) {
    if (a.outputs()[i]->name() != b.outputs()[i]->name()) return differ(absl::StrCat("output ", i));
  }
  return true;
}

}  // namespace

bool Equal(const Graph& a, const Graph& b, std::string* difference) {
  if (!EqualBodies(a, b, difference)) return false;
  auto differ = [&](absl::string_view what) {
    if (difference != nullptr) *difference = std::string(what);
    return false;
  };
  if (a.signatures() != b.signatures()) return differ("signatures");
  if (a.metadata() != b.metadata()) return differ("metadata");
  if (a.functions().size() != b.functions().size()) return differ("functions");
  for (const auto& [name, function] : a.functions()) {
    auto it = b.functions().find(name);
    if (it == b.functions().end()) return differ(absl::StrCat("function ", Shown(name)));
    if (function == nullptr || it->second == nullptr) {
      if (function != it->second) return differ(absl::StrCat("function ", Shown(name)));
      continue;
    }
    if (!Equal(*function, *it->second, difference)) return false;
  }
  return true;
}

absl::Status NodeError(const Node& node, absl::StatusCode code, absl::string_view message) {
  // Types and lists out of a file may be long; a message is for a reader.
  constexpr size_t kLongest = 4000;
  const absl::string_view rest = message.size() > kLongest ? "..." : "";
  std::string text = absl::StrCat(node.op_name(), ": ", message.substr(0, kLongest), rest,
                                  "\n  at ", NodeToString(node));
  const std::string origin = node.origin().ToString();
  if (!origin.empty()) absl::StrAppend(&text, "\n  from ", origin);
  return WithDetails(
      absl::Status(code, text),
      {.node = node.name(), .op = std::string(node.op_name()), .origin = origin, .hint = ""});
}

}  // namespace sluice
