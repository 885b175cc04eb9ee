// GraphBuilder: the way to write graphs, in user code (through the typed functions of ops/ops.h),
// gradients, expansions and passes (untyped: b.Op("Mul", {x, y})).
//
// Errors are sticky: the first one is kept with the source line that caused it, every later call
// returns null, and null inputs are passed over in silence. Ask status() once at the end. An output
// of a whole program that was asked for and could not be made is kept by the graph, too, which then
// makes no session and is not written (Graph::status()).
#ifndef SLUICE_GRAPH_BUILDER_H_
#define SLUICE_GRAPH_BUILDER_H_

#include <initializer_list>
#include <source_location>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "graph/graph.h"

namespace sluice {

using AttrList = std::vector<std::pair<std::string, Attribute>>;

class GraphBuilder {
 public:
  using Location = std::source_location;

  // Appends to `graph`, before its node `before` where given. The graph outlives the builder.
  // Without a graph every call fails.
  explicit GraphBuilder(Graph* graph, Node* before = nullptr);

  Graph* graph() const { return graph_; }
  const absl::Status& status() const { return status_; }
  void Fail(absl::Status status);  // keeps the first

  Value* Input(absl::string_view name, Type type, Location where = Location::current());
  Value* Constant(Tensor value, absl::string_view name = "", Location where = Location::current());
  template <typename T>
  Value* Scalar(T value, Location where = Location::current()) {
    return Constant(Tensor::Scalar<T>(value), "", where);
  }
  // A scalar of any dtype from a double: what gradients and expansions need for "2 * x".
  Value* ScalarLike(Value* like, double value, Location where = Location::current());
  Value* Ints(absl::Span<const int64_t> values, Location where = Location::current());  // i64[n]
  // State that outlives runs: named, starting from `initial`.
  Value* Variable(absl::string_view name, Tensor initial, Location where = Location::current());

  // One node; its first output. Null in `inputs` at an optional place means absent.
  Value* Op(absl::string_view op, absl::Span<Value* const> inputs, const AttrList& attrs = {},
            Location where = Location::current());
  Value* Op(absl::string_view op, std::initializer_list<Value*> inputs, const AttrList& attrs = {},
            Location where = Location::current()) {
    return Op(op, absl::Span<Value* const>(inputs.begin(), inputs.size()), attrs, where);
  }
  // One node with `outputs` outputs.
  std::vector<Value*> OpN(absl::string_view op, absl::Span<Value* const> inputs, size_t outputs,
                          const AttrList& attrs = {}, Location where = Location::current());
  // The same without inference, for nodes that get bodies first; call Finish() on it afterwards.
  Node* RawOp(absl::string_view op, absl::Span<Value* const> inputs, size_t outputs,
              const AttrList& attrs = {}, Location where = Location::current());
  void Finish(Node* node);

  // A second output of a name must be the same value.
  void Output(Value* value, absl::string_view name = "");

  // Origin for every node from now on instead of the source line (passes hand on the original's).
  void SetOrigin(Origin origin) { origin_ = std::move(origin); }
  const std::vector<Node*>& added() const { return added_; }

 private:
  friend class NameScope;
  // Whether `value` may be read here; fails where it is of another graph. Null may.
  bool CheckSeen(const Value* value, absl::string_view what, const Location* where);

  Graph* graph_;
  Node* before_;
  absl::Status status_;
  std::string scope_;
  std::optional<Origin> origin_;
  std::vector<Node*> added_;
  absl::flat_hash_map<std::string, const Value*> outputs_;  // made here, by name
};

// Prefixes the names of values made while it lives: NameScope s(g, "encoder") gives "encoder/v0".
class NameScope {
 public:
  NameScope(GraphBuilder& builder, absl::string_view name);
  ~NameScope();

 private:
  GraphBuilder& builder_;
  std::string saved_;
};

}  // namespace sluice

#endif  // SLUICE_GRAPH_BUILDER_H_
