#include "graph/infer.h"

#include <algorithm>

#include "base/no_throw.h"
#include "graph/effects.h"
#include "graph/signature.h"
#include "graph/text.h"

namespace sluice {

InferContext::InferContext(Node* node)
    : node_(node), types_(node->num_outputs()), dims_(node->num_outputs()) {}

const Type& InferContext::InputType(size_t i) const {
  static const Type unknown;
  return node_->input(i) == nullptr ? unknown : node_->input(i)->type();
}

const Tensor* InferContext::InputTensor(size_t i) const {
  return node_->input(i) == nullptr ? nullptr : node_->input(i)->constant();
}

std::optional<Shape> InferContext::InputDims(size_t i) const {
  const Value* v = node_->input(i);
  if (v == nullptr) return std::nullopt;
  if (v->known_dims().has_value()) return v->known_dims();
  const Tensor* t = v->constant();
  if (t == nullptr || t->rank() > 1) return std::nullopt;
  std::optional<std::vector<int64_t>> ints = t->AsInts();
  if (!ints.has_value()) return std::nullopt;
  return Shape(ints->begin(), ints->end());
}

std::optional<std::vector<int64_t>> InferContext::InputInts(size_t i) const {
  std::optional<Shape> dims = InputDims(i);
  if (!dims.has_value()) return std::nullopt;
  std::vector<int64_t> ints;
  for (const Dim& d : *dims) {
    if (!d.is_number()) return std::nullopt;
    ints.push_back(d.number());
  }
  return ints;
}

void InferContext::SetOutput(size_t i, Type type) {
  if (i < types_.size()) types_[i] = std::move(type);
}

void InferContext::SetOutputDims(size_t i, Shape contents) {
  if (i < dims_.size()) dims_[i] = std::move(contents);
}

Dim InferContext::FreshDim() { return Dim::Unknown(); }

absl::StatusOr<int> InferContext::Axis(int64_t axis, int rank) const {
  if (axis < -rank || axis >= rank) {
    return Error("axis ", axis, " is out of range for rank ", rank, "; expected ", -rank, " to ",
                 rank - 1);
  }
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

namespace {

constexpr char kByShapes[] = "sluice/by_shapes";  // of errors that an op's own inference found

// Every Unknown() extent becomes the symbol that the value has there already, or a fresh one: so
// that repeated inference invents nothing new.
Type NameUnknownDims(const Type& type, const Type& present, Graph* graph) {
  if (!type.is_tensor() || !type.has_shape()) return type;
  Shape shape = type.shape();
  bool changed = false;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (!shape[i].is_unknown()) continue;
    const bool known = present.is_tensor() && present.has_shape() &&
                       present.shape().size() == shape.size() && !present.shape()[i].is_unknown();
    shape[i] = known ? present.shape()[i] : graph->FreshDim();
    changed = true;
  }
  return changed ? Type::Tensor(type.dtype(), std::move(shape), type.layout()) : type;
}

// In a body that is inferred again for other inputs, what was inferred before gives way.
absl::Status InferNodeImpl(Node* node, bool overwrite);

absl::Status InferGraph(Graph* graph, bool overwrite) {
  for (const auto& node : graph->nodes()) {
    if (absl::Status s = InferNodeImpl(node.get(), overwrite); !s.ok()) return s;
  }
  return absl::OkStatus();
}

}  // namespace

bool InferContext::FailedByShapes(const absl::Status& status) {
  return status.GetPayload(kByShapes).has_value();
}

// Gives the implementation below its access to the context's results.
absl::Status InferNode(Node* node) {
  if (node == nullptr) return absl::InvalidArgumentError("no node to infer: it is null");
  return InferNodeImpl(node, false);
}

struct InferResults {
  std::vector<Type> types;
  std::vector<std::optional<Shape>> dims;
};

absl::StatusOr<InferResults> RunInfer(Node* node) {
  InferContext context(node);
  if (node->op().infer != nullptr) {
    if (absl::Status s = node->op().infer(context); !s.ok()) {
      s.SetPayload(kByShapes, absl::Cord());
      return s;
    }
  }
  return InferResults{std::move(context.types_), std::move(context.dims_)};
}

namespace {

bool MakesHeld(const Node& node) {
  return node.num_inputs() > 0 && node.bodies().empty() &&
         std::all_of(node.inputs().begin(), node.inputs().end(),
                     [](const Value* v) { return v == nullptr || v->held(); }) &&
         IsPure(node);
}

absl::Status InferNodeImpl(Node* node, bool overwrite) {
  if (absl::Status s = CheckSignature(*node); !s.ok()) return s;
  if (absl::Status s = CheckInputTypes(*node); !s.ok()) return s;
  absl::StatusOr<InferResults> results = RunInfer(node);
  if (!results.ok()) return results.status();
  const bool held = MakesHeld(*node);
  for (size_t i = 0; i < node->num_outputs(); ++i) {
    Value* out = node->output(i);
    out->set_held(held);
    Type inferred = NameUnknownDims(results->types[i], out->type(), node->graph());
    absl::StatusOr<Type> merged = MergeTypes(inferred, out->type());
    if (!merged.ok() && !overwrite) {
      return NodeError(
          *node, absl::StatusCode::kInvalidArgument,
          absl::StrCat("output ", Shown(out->name()), " is declared ", out->type().ToString(),
                       ", but inferred ", inferred.ToString(), ": ", merged.status().message()));
    }
    out->set_type(merged.ok() ? *std::move(merged) : std::move(inferred));
    out->set_known_dims(std::move(results->dims[i]));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<Type>> InferContext::InferBody(absl::string_view name,
                                                          absl::Span<const Type> inputs) {
  Graph* body = node_->body(name);
  if (body == nullptr) return Error("body ", Shown(name), " is missing");
  if (body->inputs().size() != inputs.size()) {
    return Error("body ", Shown(name), " takes ", body->inputs().size(), " inputs, but gets ",
                 inputs.size());
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    Value* input = body->inputs()[i];
    const DType declared = input->type().is_tensor() ? input->type().dtype() : DType::kInvalid;
    if (inputs[i].is_tensor() && declared != DType::kInvalid &&
        inputs[i].dtype() != DType::kInvalid && declared != inputs[i].dtype()) {
      return Error("input ", Shown(input->name()), " of body ", Shown(name), " is declared ",
                   input->type().ToString(), ", but gets ", inputs[i].ToString());
    }
    if (!inputs[i].is_unknown()) input->set_type(NameUnknownDims(inputs[i], input->type(), body));
  }
  if (absl::Status s = InferGraph(body, /*overwrite=*/true); !s.ok()) return s;
  std::vector<Type> outputs;
  for (const Value* v : body->outputs()) outputs.push_back(v->type());
  return outputs;
}

absl::Status InferTypes(Graph* graph) try {
  if (graph == nullptr) return absl::InvalidArgumentError("no graph to infer: it is null");
  for (auto& [name, function] : graph->functions()) {
    if (absl::Status s = InferTypes(function.get()); !s.ok()) return s;
  }
  return InferGraph(graph, /*overwrite=*/false);
} catch (...) {
  return ExceptionStatus();
}

absl::StatusOr<Shape> BroadcastShapes(const Shape& a, const Shape& b,
                                      const std::function<Dim()>& fresh) {
  const Shape& longer = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  Shape result = longer;
  const size_t skip = longer.size() - shorter.size();
  for (size_t i = 0; i < shorter.size(); ++i) {
    Dim& x = result[skip + i];
    const Dim& y = shorter[i];
    if (x.is_number() && x.number() == 1) {
      x = y;
    } else if ((y.is_number() && y.number() == 1) || (!y.is_unknown() && x == y)) {
      continue;
    } else if (x.is_number() && y.is_number()) {
      return absl::InvalidArgumentError(
          absl::StrCat("shapes ", ShapeToString(a), " and ", ShapeToString(b),
                       " do not broadcast: ", x.number(), " against ", y.number()));
    } else if (y.is_number()) {
      x = y;  // the symbol must be 1 or this number
    } else if (!x.is_number()) {
      x = fresh ? fresh() : Dim::Unknown();
    }
  }
  return result;
}

}  // namespace sluice
