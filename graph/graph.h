// Graph: the program in memory. Nodes produce values; values know their uses.
//
// Ownership: a Graph owns its nodes and inputs; a Node owns its output values and bodies. Pointers
// stay valid until the thing they point to is erased. A body (subgraph of If, Loop, Scan) may use
// values of the graphs around it directly; such a use is in the value's use list like any other.
//
// Order: nodes() is a topological order, kept by every edit through Patch and checked by Verify().
// Names: every value has a name, unique in its graph and not that of a value of an enclosing one.
// Errors: an edit that cannot be made (a null value where one must stand, a value or node of a
// graph that is neither this one nor around it, an erasure of what is used) changes nothing and is
// kept: status() and Verify() return the first, and so does everything that reads the whole graph.
//
// Threads: const access from many threads is safe; edits are exclusive.
#ifndef SLUICE_GRAPH_GRAPH_H_
#define SLUICE_GRAPH_GRAPH_H_

#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "graph/attribute.h"
#include "graph/op_def.h"
#include "graph/type.h"

namespace sluice {

class Graph;
class Node;
class Value;

// Where a node came from: shown in errors and profiles, never part of equality.
struct Origin {
  std::string file;    // of the C++ source or the imported model
  int line = 0;        // in C++ source or text; 0 where there is none
  std::string name;    // the node's name in the imported model
  std::string passes;  // the passes that made it: "fold_constants,fuse_conv"

  std::string ToString()
      const;  // "model.onnx node 'conv1' via fuse_conv" or "main.cc:12"; "" if empty
};

// One input slot of a node that reads a value.
struct Use {
  Node* node;
  size_t index;
  friend bool operator==(const Use&, const Use&) = default;
};

class Value {
 public:
  const std::string& name() const { return name_; }
  const Type& type() const { return type_; }
  void set_type(Type type) { type_ = std::move(type); }

  Node* producer() const { return producer_; }  // null for a graph input
  size_t output_index() const { return output_index_; }
  Graph* graph() const { return graph_; }  // whose node or input it is
  bool is_input() const { return producer_ == nullptr; }

  const std::vector<Use>& uses() const { return uses_; }
  // Also true where it is an output of its graph or of a body inside (those hold no Use).
  bool is_graph_output() const { return output_uses_ > 0; }
  bool used() const { return !uses_.empty() || output_uses_ > 0; }

  // The contents where the producer is a Constant; null else.
  const Tensor* constant() const;
  // Contents of a small integer tensor (rank 0 or 1) as expressions, where inference knows them; a
  // single element may still be Dim::Unknown().
  const std::optional<Shape>& known_dims() const { return known_dims_; }
  void set_known_dims(std::optional<Shape> dims) { known_dims_ = std::move(dims); }
  // The same from run to run: a constant, an input that is set so (a variable in a program that
  // only reads it: the same while the state has one version), and what inference sees to be made
  // of nothing else. Such values are computed, and brought into the forms of kernels, once.
  bool held() const { return held_ || constant() != nullptr; }
  void set_held(bool held) { held_ = held; }

 private:
  friend class Graph;
  friend class Node;
  std::string name_;
  Type type_;
  std::optional<Shape> known_dims_;
  bool held_ = false;
  Node* producer_ = nullptr;
  size_t output_index_ = 0;
  Graph* graph_ = nullptr;
  std::vector<Use> uses_;
  int output_uses_ = 0;
};

class Node {
 public:
  const OpDef& op() const { return *op_; }
  absl::string_view op_name() const { return op_->name; }
  bool Is(absl::string_view op_name) const { return op_->name == op_name; }
  Graph* graph() const { return graph_; }

  size_t num_inputs() const { return inputs_.size(); }
  Value* input(size_t i) const {
    return i < inputs_.size() ? inputs_[i] : nullptr;
  }  // null: absent
  const std::vector<Value*>& inputs() const { return inputs_; }
  size_t num_outputs() const { return outputs_.size(); }
  Value* output(size_t i = 0) const {
    return i < outputs_.size() ? outputs_[i].get() : nullptr;
  }  // null past the last
  bool HasOutput(size_t i) const { return i < outputs_.size(); }
  // The name of its first output: how messages and the text form call a node; "" without outputs,
  // which no op allows.
  const std::string& name() const;

  // Null makes it absent; grows the list as needed.
  void SetInput(size_t i, Value* value);

  // Nodes of the same graph that must have run before this one although no value flows.
  const std::vector<Node*>& control_inputs() const { return control_inputs_; }
  void AddControlInput(Node* node);
  void ClearControlInputs();
  const std::vector<Node*>& control_uses() const { return control_uses_; }

  // Attributes as written; the typed readers below fall back to the op's default.
  const absl::btree_map<std::string, Attribute>& attrs() const { return attrs_; }
  const Attribute* FindAttr(
      absl::string_view name) const;  // written or default; null where neither
  bool HasAttr(absl::string_view name) const { return attrs_.contains(std::string(name)); }
  void SetAttr(absl::string_view name, Attribute value) {
    attrs_[std::string(name)] = std::move(value);
  }
  void EraseAttr(absl::string_view name) { attrs_.erase(std::string(name)); }
  // Typed reads of a verified node; without value or default: 0, 0, "", {}, {}, kInvalid.
  int64_t Int(absl::string_view name) const;
  float Float(absl::string_view name) const;
  std::string String(absl::string_view name) const;
  std::vector<int64_t> Ints(absl::string_view name) const;
  std::vector<float> Floats(absl::string_view name) const;
  std::vector<std::string> Strings(absl::string_view name) const;
  DType GetDType(absl::string_view name) const;
  const Tensor* GetTensor(absl::string_view name) const;

  // Subgraphs by name, sorted.
  const absl::btree_map<std::string, std::unique_ptr<Graph>>& bodies() const { return bodies_; }
  Graph* body(absl::string_view name) const;
  Graph* AddBody(absl::string_view name);
  // Takes over the bodies of `from`, another node of this graph.
  void TakeBodies(Node* from);

  const std::string& device() const { return device_; }  // "gpu:0"; "" is not placed
  void set_device(std::string device) { device_ = std::move(device); }
  const Origin& origin() const { return origin_; }
  Origin& mutable_origin() { return origin_; }

  ~Node();

 private:
  friend class Graph;
  Node() = default;
  const OpDef* op_ = nullptr;
  Graph* graph_ = nullptr;
  std::vector<Value*> inputs_;
  std::vector<std::unique_ptr<Value>> outputs_;
  std::vector<Node*> control_inputs_, control_uses_;
  absl::btree_map<std::string, Attribute> attrs_;
  absl::btree_map<std::string, std::unique_ptr<Graph>> bodies_;
  std::string device_;
  Origin origin_;
  std::vector<uint32_t> use_slots_;  // where input i stands in its value's use list
  std::list<std::unique_ptr<Node>>::iterator position_;
};

// A named entry, a program of its own: which inputs are fed, which outputs come back (names of
// graph inputs and outputs), and what it does to state: the nodes of the graph that write some, by
// name, all of which happen on each of its runs. Nothing else that writes does.
struct Signature {
  std::vector<std::string> inputs, outputs, does;
  bool training = false;  // what the op Training says in this program
  friend bool operator==(const Signature&, const Signature&) = default;
};

class Graph {
 public:
  using NodeList = std::list<std::unique_ptr<Node>>;

  explicit Graph(const OpRegistry& ops, absl::string_view name = "main");
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  const OpRegistry& ops() const { return *ops_; }
  const std::string& name() const { return name_; }
  void set_name(absl::string_view name) { name_ = std::string(name); }
  // OK, or the first edit of this program (bodies included) that could not be made. Fail() keeps
  // the first: for whoever edits and must give up halfway.
  const absl::Status& status() const { return Root()->status_; }
  void Fail(absl::Status status);

  // The node this graph is a body of, and the graph around that; null for a whole program.
  Node* owner() const { return owner_; }
  Graph* parent() const { return owner_ ? owner_->graph() : nullptr; }

  // A name is used as given if it is free; else a number is appended. "" picks "v0", "v1", ...
  std::string UniqueName(absl::string_view base) const;
  Value* FindValue(absl::string_view name) const;         // in this graph only
  Value* FindVisibleValue(absl::string_view name) const;  // here, then outward

  // Whether a node of this graph may read `value`: it is of this graph or of one around it.
  bool Sees(const Value* value) const;

  Value* AddInput(absl::string_view name, Type type);
  // Before input `place` (the number of them: at the end).
  Value* InsertInput(size_t place, absl::string_view name, Type type);
  const std::vector<Value*>& inputs() const { return inputs_; }
  void EraseInput(Value* input);  // an unused one

  // The outputs; one value may stand more than once. The name under which a caller fetches output i
  // is output_names()[i] (the value's own name unless set otherwise), so it survives every pass.
  const std::vector<Value*>& outputs() const { return outputs_; }
  const std::vector<std::string>& output_names() const { return output_names_; }
  void AddOutput(Value* value, absl::string_view name = "");
  void SetOutput(size_t i, Value* value);  // keeps the name
  void ClearOutputs();

  // Adds a node before `before` (null: at the end) with `output_names` outputs of unknown type; an
  // empty name asks for a fresh one. Does not infer: see InferNode() in graph/infer.h.
  Node* AddNode(const OpDef& op, absl::Span<Value* const> inputs,
                absl::Span<const std::string> output_names, Node* before = nullptr);
  // One more output, of unknown type: an optional one that nobody had asked for.
  Value* AddNodeOutput(Node* node, absl::string_view name = "");
  // A node of which no output is used. Drops its uses of other values.
  void EraseNode(Node* node);
  void MoveBefore(Node* node, Node* before);  // within this graph
  void ReplaceAllUses(Value* from,
                      Value* to);  // also in bodies and graph outputs; control edges stay
  void RenameValue(Value* value, absl::string_view name);  // a free one, else see UniqueName()

  const NodeList& nodes() const { return nodes_; }  // in order; each is never null
  size_t num_nodes() const { return nodes_.size(); }
  size_t num_nodes_with_bodies() const;

  // A whole program only: functions by name (called through Call), named signatures, metadata.
  absl::btree_map<std::string, std::unique_ptr<Graph>>& functions() { return functions_; }
  const absl::btree_map<std::string, std::unique_ptr<Graph>>& functions() const {
    return functions_;
  }
  absl::btree_map<std::string, Signature>& signatures() { return signatures_; }
  const absl::btree_map<std::string, Signature>& signatures() const { return signatures_; }
  absl::btree_map<std::string, std::string>& metadata() { return metadata_; }
  const absl::btree_map<std::string, std::string>& metadata() const { return metadata_; }

  // Makes nodes() a topological order again, keeping the present order where it can.
  // FailedPrecondition names the nodes of a cycle.
  absl::Status SortTopologically();

  std::unique_ptr<Graph> Clone() const;

  // A symbol "_0", "_1", ... that no type of the program uses yet: an extent that depends on data.
  Dim FreshDim();

 private:
  friend class Node;
  const Graph* Root() const;
  Graph* Root() { return const_cast<Graph*>(static_cast<const Graph*>(this)->Root()); }
  // False, with status() set, where `value` is null or not to be seen. `what` reads it.
  bool CheckSeen(const Value* value, absl::string_view what);
  void RegisterValue(Value* value, absl::string_view name);
  void UnregisterValue(Value* value);
  void AddUse(Node* node, size_t index, Value* value);
  void RemoveUse(Node* node, size_t index);
  // Detaches everything inside from values outside, so that destruction may happen in any order.
  void DropUses();

  const OpRegistry* ops_;
  std::string name_;
  Node* owner_ = nullptr;
  std::vector<std::unique_ptr<Value>> owned_inputs_;
  std::vector<Value*> inputs_, outputs_;
  std::vector<std::string> output_names_;
  NodeList nodes_;
  absl::flat_hash_map<std::string, Value*> values_;
  // Of a root: how often each name is used in it and its bodies, and where to go on numbering.
  absl::flat_hash_map<std::string, int> all_names_;
  mutable absl::flat_hash_map<std::string, int> next_suffix_;
  absl::btree_map<std::string, std::unique_ptr<Graph>> functions_;
  absl::btree_map<std::string, Signature> signatures_;
  absl::btree_map<std::string, std::string> metadata_;
  int64_t next_dim_ = -1;  // of a root; -1: not known yet
  absl::Status status_;    // of a root
};

// Copies all nodes of `from` to the end of `to` (which may be another graph); `map` gives the
// values that stand for from's inputs and captured ones, and receives every copied value.
absl::Status CopyNodes(const Graph& from, Graph* to, absl::flat_hash_map<const Value*, Value*>* map,
                       Node* before = nullptr);

// The values of enclosing graphs that the bodies of `node` use, in order of first use.
std::vector<Value*> Captures(const Node& node);

// Equal in everything but origins, order of independent nodes not ignored.
bool Equal(const Graph& a, const Graph& b, std::string* difference = nullptr);

// No edit has failed (Graph::status()); inputs, attributes, bodies and control inputs agree with
// the op's declaration; names, ownership, order and use lists are consistent; outputs exist; two
// writes of a variable are ordered.
absl::Status Verify(const Graph& graph);

// One line of the text form, for messages.
std::string NodeToString(const Node& node);

// `code` with what and where, as details too (error_details.h): "Conv: <message>\n  at %y =
// Conv(%x, %w) ...\n  from model.onnx node 'c1'".
absl::Status NodeError(const Node& node, absl::StatusCode code, absl::string_view message);

}  // namespace sluice

#endif  // SLUICE_GRAPH_GRAPH_H_
