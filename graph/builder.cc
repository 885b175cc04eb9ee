#include "graph/builder.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "graph/infer.h"
#include "graph/text.h"

namespace sluice {
namespace {

constexpr size_t kMostOutputs = 5'000'000;  // of one node

Origin OriginOf(const GraphBuilder::Location& where) {
  return {.file = where.file_name(), .line = static_cast<int>(where.line())};
}

std::string At(const GraphBuilder::Location& where) {
  return absl::StrCat("\n  at ", where.file_name(), ":", where.line());
}

}  // namespace

GraphBuilder::GraphBuilder(Graph* graph, Node* before) : graph_(graph), before_(before) {
  if (graph == nullptr) {
    Fail(absl::InvalidArgumentError("a GraphBuilder needs a graph; got null"));
  } else if (before != nullptr && before->graph() != graph) {
    Fail(absl::InvalidArgumentError(absl::StrCat("a GraphBuilder of graph ", Shown(graph->name()),
                                                 " shall build before ", Shown(before->name()),
                                                 ", a node of another graph")));
  }
}

void GraphBuilder::Fail(absl::Status status) {
  if (status_.ok()) status_ = std::move(status);
}

bool GraphBuilder::CheckSeen(const Value* value, absl::string_view what, const Location* where) {
  if (value == nullptr || graph_->Sees(value)) return true;
  Fail(absl::InvalidArgumentError(
      absl::StrCat(what, ": ", Shown(value->name()), " is a value of graph ",
                   Shown(value->graph()->name()), "; expected one of graph ", Shown(graph_->name()),
                   ", or of one around it", where == nullptr ? "" : At(*where))));
  return false;
}

Value* GraphBuilder::Input(absl::string_view name, Type type, Location where) {
  if (!status_.ok()) return nullptr;
  const std::string full = absl::StrCat(scope_, name);
  for (int i = 0; type.is_tensor() && type.has_shape() && i < type.rank(); ++i) {
    if (!type.dim(i).is_number() || type.dim(i).number() >= 0) continue;
    Fail(absl::InvalidArgumentError(absl::StrCat(
        "input ", Shown(full), " is ", type.ToString(), ": dimension ", i,
        " is negative; expected a number from 0, or a symbol where it is open", At(where))));
    return nullptr;
  }
  if (graph_->FindVisibleValue(full) != nullptr) {
    Fail(absl::AlreadyExistsError(
        absl::StrCat("input ", Shown(full), ": the name is taken", At(where))));
    return nullptr;
  }
  return graph_->AddInput(full, std::move(type));
}

Value* GraphBuilder::Constant(Tensor value, absl::string_view name, Location where) {
  if (!status_.ok()) return nullptr;
  const OpDef* op = graph_->ops().Find("Constant");
  if (op == nullptr || !value.valid()) {
    Fail(absl::InvalidArgumentError(absl::StrCat(
        "Constant: ", op ? "the tensor is invalid" : "the op is not registered", At(where))));
    return nullptr;
  }
  const std::string full =
      name.empty() && scope_.empty() ? "" : absl::StrCat(scope_, name.empty() ? "constant" : name);
  Node* node = graph_->AddNode(*op, {}, {full}, before_);
  node->mutable_origin() = origin_.value_or(OriginOf(where));
  node->SetAttr("value", std::move(value));
  added_.push_back(node);
  Finish(node);
  return node->output();
}

Value* GraphBuilder::ScalarLike(Value* like, double value, Location where) {
  if (like == nullptr || !status_.ok()) return nullptr;
  const DType dtype = like->type().is_tensor() ? like->type().dtype() : DType::kInvalid;
  Tensor t = VisitDType(
      dtype,
      [&]<typename T>() {
        if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
          // The upper limit of a 64-bit type rounds up, hence <.
          const bool fits = value >= static_cast<double>(std::numeric_limits<T>::min()) &&
                            value < static_cast<double>(std::numeric_limits<T>::max()) + 1;
          if (!fits) return Tensor();
        }
        return Tensor::Scalar<T>(static_cast<T>(value));
      },
      [] { return Tensor(); });
  if (!t.valid()) {
    Fail(absl::InvalidArgumentError(absl::StrCat("a scalar like ", Shown(like->name()),
                                                 ": its dtype is not known, or cannot hold ", value,
                                                 At(where))));
    return nullptr;
  }
  return Constant(std::move(t), "", where);
}

Value* GraphBuilder::Ints(absl::Span<const int64_t> values, Location where) {
  return Constant(Tensor::Vector<int64_t>(values), "", where);
}

Value* GraphBuilder::Variable(absl::string_view name, Tensor initial, Location where) {
  const std::string full = absl::StrCat(scope_, name);
  Node* node = RawOp("Variable", {}, 1, {{"name", full}, {"value", std::move(initial)}}, where);
  if (node == nullptr) return nullptr;
  if (graph_->FindVisibleValue(full) == nullptr) graph_->RenameValue(node->output(), full);
  Finish(node);
  return status_.ok() ? node->output() : nullptr;
}

Value* GraphBuilder::Op(absl::string_view op, absl::Span<Value* const> inputs,
                        const AttrList& attrs, Location where) {
  std::vector<Value*> outputs = OpN(op, inputs, 1, attrs, where);
  return outputs.empty() ? nullptr : outputs[0];
}

std::vector<Value*> GraphBuilder::OpN(absl::string_view op, absl::Span<Value* const> inputs,
                                      size_t outputs, const AttrList& attrs, Location where) {
  Node* node = RawOp(op, inputs, outputs, attrs, where);
  if (node == nullptr) return std::vector<Value*>(std::min(outputs, kMostOutputs), nullptr);
  Finish(node);
  std::vector<Value*> values;
  for (size_t i = 0; i < outputs; ++i) values.push_back(status_.ok() ? node->output(i) : nullptr);
  return values;
}

Node* GraphBuilder::RawOp(absl::string_view op, absl::Span<Value* const> inputs, size_t outputs,
                          const AttrList& attrs, Location where) {
  if (!status_.ok()) return nullptr;
  const OpDef* def = graph_->ops().Find(op);
  if (def == nullptr) {
    Fail(absl::NotFoundError(absl::StrCat("no op is called ", Shown(op), "", At(where))));
    return nullptr;
  }
  if (outputs < 1 || outputs > std::min(def->max_outputs(), kMostOutputs)) {
    Fail(absl::InvalidArgumentError(absl::StrCat(op, " with ", outputs, " outputs; expected 1 to ",
                                                 std::min(def->max_outputs(), kMostOutputs),
                                                 At(where))));
    return nullptr;
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!CheckSeen(inputs[i], op, &where)) return nullptr;
  }
  size_t count = inputs.size();
  while (count > 0 && inputs[count - 1] == nullptr) --count;  // absent at the end: leave out
  const std::string base = scope_.empty() ? "" : absl::StrCat(scope_, op);
  Node* node =
      graph_->AddNode(*def, inputs.first(count), std::vector<std::string>(outputs, base), before_);
  node->mutable_origin() = origin_.value_or(OriginOf(where));
  for (const auto& [name, value] : attrs) node->SetAttr(name, value);
  added_.push_back(node);
  return node;
}

void GraphBuilder::Finish(Node* node) {
  if (node == nullptr || !status_.ok()) return;
  if (node->graph() != graph_) {
    Fail(absl::InvalidArgumentError(
        absl::StrCat(Shown(node->name()), " is a node of another graph than the builder's")));
    return;
  }
  if (absl::Status s = InferNode(node); !s.ok()) Fail(std::move(s));
}

void GraphBuilder::Output(Value* value, absl::string_view name) {
  if (status_.ok() && value == nullptr)
    Fail(absl::InvalidArgumentError(absl::StrCat("output ", Shown(name), " is null")));
  if (status_.ok() && CheckSeen(value, absl::StrCat("output ", Shown(name)), nullptr)) {
    const std::string full(name.empty() ? absl::string_view(value->name()) : name);
    const auto [it, first] = outputs_.try_emplace(full, value);
    if (first || it->second == value) {
      graph_->AddOutput(value, name);
      return;
    }
    Fail(absl::AlreadyExistsError(absl::StrCat("output ", Shown(full), " is ",
                                               Shown(it->second->name()), " already and cannot be ",
                                               Shown(value->name()), ", too; name it otherwise")));
  }
  // A body tells the builder around it; nobody else hears of a whole program.
  if (graph_ != nullptr && graph_->owner() == nullptr) graph_->Fail(status_);
}

NameScope::NameScope(GraphBuilder& builder, absl::string_view name)
    : builder_(builder), saved_(builder.scope_) {
  absl::StrAppend(&builder_.scope_, name, "/");
}

NameScope::~NameScope() { builder_.scope_ = std::move(saved_); }

}  // namespace sluice
