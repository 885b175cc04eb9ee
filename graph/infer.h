// Inference: from an op's declaration and a node's inputs to the types of its outputs, and, where
// shapes depend on them, to the contents of small integer tensors as expressions.
#ifndef SLUICE_GRAPH_INFER_H_
#define SLUICE_GRAPH_INFER_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "graph/graph.h"

namespace sluice {

struct InferResults;  // private to infer.cc

// What an op's Infer() function sees. Inputs beyond those written count as absent. dtypes have been
// checked against the declaration before Infer() runs; ranks and extents have not.
class InferContext {
 public:
  explicit InferContext(Node* node);

  const Node& node() const { return *node_; }
  size_t num_inputs() const { return node_->num_inputs(); }
  size_t num_outputs() const { return node_->num_outputs(); }
  bool HasInput(size_t i) const { return node_->input(i) != nullptr; }
  const Type& InputType(size_t i) const;  // unknown type where absent
  // The contents where they are constant (of any dtype and size); null else.
  const Tensor* InputTensor(size_t i) const;
  // The contents of an integer tensor of rank 0 or 1 as expressions; empty where unknown.
  std::optional<Shape> InputDims(size_t i) const;
  // The same as numbers only.
  std::optional<std::vector<int64_t>> InputInts(size_t i) const;

  int64_t Int(absl::string_view attr) const { return node_->Int(attr); }
  float Float(absl::string_view attr) const { return node_->Float(attr); }
  std::string String(absl::string_view attr) const { return node_->String(attr); }
  std::vector<int64_t> Ints(absl::string_view attr) const { return node_->Ints(attr); }
  DType GetDType(absl::string_view attr) const { return node_->GetDType(attr); }
  bool HasAttr(absl::string_view attr) const { return node_->FindAttr(attr) != nullptr; }

  void SetOutput(size_t i, Type type);  // ignored past num_outputs()
  void SetOutputDims(size_t i, Shape contents);
  // An extent that only the data knows: it becomes a symbol of its own, the same on every
  // inference.
  Dim FreshDim();

  // The body's inferred output types when fed `inputs`; also stores them on the body's values.
  absl::StatusOr<std::vector<Type>> InferBody(absl::string_view name,
                                              absl::Span<const Type> inputs);
  // Whether InferBody() failed by what extents and contents are, not by ops, attributes or dtypes:
  // a body may be wrong for the shapes at hand and never be entered with them.
  static bool FailedByShapes(const absl::Status& status);

  // `axis` of a value of `rank`, made non-negative. InvalidArgument outside [-rank, rank).
  absl::StatusOr<int> Axis(int64_t axis, int rank) const;

  template <typename... Args>
  absl::Status Error(const Args&... args) const {  // InvalidArgument at this node
    return NodeError(*node_, absl::StatusCode::kInvalidArgument, absl::StrCat(args...));
  }

 private:
  friend absl::StatusOr<InferResults> RunInfer(Node*);
  Node* node_;
  std::vector<Type> types_;
  std::vector<std::optional<Shape>> dims_;
};

// Infers one node's outputs and merges the result with what the values already declare (a
// contradiction is an error). The inputs' types must be up to date.
absl::Status InferNode(Node* node);

// All nodes in order, bodies included. Stops at the first error. Time is linear in nodes.
absl::Status InferTypes(Graph* graph);

// Numpy's rule over symbolic extents: 1 stretches; equal ones stay; a number beats a symbol (which
// must then be 1 or that number at run time); two different symbols give a fresh one (Unknown()
// where `fresh` is not set).
absl::StatusOr<Shape> BroadcastShapes(const Shape& a, const Shape& b,
                                      const std::function<Dim()>& fresh);

}  // namespace sluice

#endif  // SLUICE_GRAPH_INFER_H_
