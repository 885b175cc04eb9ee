#include "runtime/prepare.h"

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "graph/builder.h"
#include "graph/infer.h"
#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/layouts.h"

namespace sluice {
namespace {

bool IsContent(const Tensor& t) { return t.elements() <= kContentElements; }

// Gives a kernel's data-dependent outputs fresh tensors.
class TensorAllocator : public OutputAllocator {
 public:
  TensorAllocator(absl::Span<const Type> types, std::vector<Tensor>* outputs,
                  const Accountant& account)
      : types_(types), outputs_(outputs), account_(account) {}
  absl::StatusOr<void*> Allocate(size_t output, absl::Span<const int64_t> dims) override {
    absl::StatusOr<int64_t> count = ElementCount(dims, ByteSize(types_[output].dtype()));
    if (!count.ok()) return count.status();
    if (account_) {
      absl::Status s = account_(*count * static_cast<int64_t>(ByteSize(types_[output].dtype())));
      if (!s.ok()) return s;
    }
    absl::StatusOr<Tensor> t = Tensor::Allocate(types_[output].dtype(), dims);
    if (!t.ok()) return t.status();
    (*outputs_)[output] = *std::move(t);
    return (*outputs_)[output].mutable_raw();
  }

 private:
  absl::Span<const Type> types_;
  std::vector<Tensor>* outputs_;
  const Accountant& account_;
};

}  // namespace

absl::Status AtNode(const Node& node, const absl::Status& status) {
  if (status.ok() || absl::StrContains(status.message(), "\n  at ")) return status;
  return NodeError(node, status.code(), status.message());
}

absl::Status CheckOutputSizes(const Node& node, absl::Span<const Type> inputs,
                              absl::Span<const Type> outputs, int64_t max_bytes) {
  constexpr int64_t kAddressable = int64_t{1} << 47;
  const int64_t limit = max_bytes > 0 ? std::min(max_bytes, kAddressable) : kAddressable;
  auto bytes_of = [](const Type& type) -> std::optional<int64_t> {  // INT64_MAX: overflows
    if (!type.has_static_shape()) return std::nullopt;
    const size_t size = ByteSize(type.dtype());
    absl::StatusOr<int64_t> n = ElementCount(*type.StaticDims(), size);
    return n.ok() ? *n * static_cast<int64_t>(size) : INT64_MAX;
  };
  int64_t largest_input = 0;
  for (const Type& t : inputs) largest_input = std::max(largest_input, bytes_of(t).value_or(0));
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::optional<int64_t> bytes = bytes_of(outputs[i]);
    if (!bytes.has_value() || *bytes <= limit || *bytes <= largest_input) continue;
    return NodeError(node, absl::StatusCode::kResourceExhausted,
                     absl::StrCat("output ", i, ", ", outputs[i].ToString(), ", needs ",
                                  *bytes == INT64_MAX ? "more than 2^63" : absl::StrCat(*bytes),
                                  " bytes, the limit is ", limit));
  }
  return absl::OkStatus();
}

absl::Status CopyBodies(const Node& from, Node* to) {
  for (const auto& [name, body] : from.bodies()) {
    Graph* copy = to->AddBody(name);
    absl::flat_hash_map<const Value*, Value*> map;
    for (const Value* v : body->inputs()) map[v] = copy->AddInput(v->name(), v->type());
    if (absl::Status s = CopyNodes(*body, copy, &map); !s.ok()) return s;
    for (const Value* v : body->outputs()) copy->AddOutput(map.at(v));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Tensor>> LaunchAlone(const Kernel& kernel, absl::Span<const Type> types,
                                                absl::Span<const Tensor> inputs, ThreadPool* pool,
                                                const Accountant& account) {
  std::vector<Tensor> outputs(types.size());
  TensorAllocator allocator(types, &outputs, account);
  std::vector<const void*> in;
  std::vector<void*> out(types.size(), nullptr);
  for (const Tensor& t : inputs) in.push_back(t.valid() ? t.raw() : nullptr);
  if (!kernel.dynamic_outputs()) {
    for (size_t i = 0; i < types.size(); ++i) {
      std::optional<Dims> dims = types[i].StaticDims();
      if (!dims.has_value())
        return absl::InternalError("an output of a kernel with fixed outputs has no static shape");
      absl::StatusOr<void*> memory = allocator.Allocate(i, *dims);
      if (!memory.ok()) return memory.status();
      out[i] = *memory;
    }
  }
  Tensor scratch;
  if (kernel.scratch_bytes() > 0) {
    const int64_t bytes = static_cast<int64_t>(kernel.scratch_bytes());
    if (account) {
      if (absl::Status s = account(bytes); !s.ok()) return s;
    }
    absl::StatusOr<Tensor> t = Tensor::Allocate(DType::kU8, {bytes});
    if (!t.ok()) return t.status();
    scratch = *std::move(t);
  }
  LaunchContext context{in, out, scratch.mutable_raw(), pool, &allocator};
  if (absl::Status s = kernel.Launch(context); !s.ok()) return s;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].valid())
      return absl::InternalError(absl::StrCat("the kernel made no output ", i));
  }
  return outputs;
}

namespace {

// The kernel for a node whose inputs are known by type and, where small, by contents.
absl::StatusOr<std::unique_ptr<Kernel>> PrepareKernel(const Node& node, int threads,
                                                      Accuracy accuracy, int64_t max_bytes,
                                                      std::vector<Type>* outputs) {
  PrepareContext context{.node = node, .threads = threads, .accuracy = accuracy};
  for (const Value* v : node.inputs()) {
    context.inputs.push_back(v == nullptr ? Type() : v->type());
    const Tensor* constant = v == nullptr ? nullptr : v->constant();
    context.constants.push_back(constant == nullptr ? Tensor() : *constant);
  }
  for (size_t i = 0; i < node.num_outputs(); ++i) context.outputs.push_back(node.output(i)->type());
  *outputs = context.outputs;
  if (absl::Status s = CheckOutputSizes(node, context.inputs, context.outputs, max_bytes); !s.ok())
    return s;
  return cpu::PrepareInLayouts(context,
                               [](const PrepareContext& c) { return CpuKernels().Prepare(c); });
}

bool StaticInputs(const Node& node) {
  for (const Value* v : node.inputs()) {
    if (v != nullptr && !v->type().has_static_shape()) return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<PreparedNode> PreparedNode::Make(const Node& node, absl::Span<const Tensor> inputs,
                                                int threads, Accuracy accuracy, int64_t max_bytes) {
  PreparedNode prepared;
  prepared.accuracy_ = accuracy;
  prepared.max_bytes_ = max_bytes;
  prepared.graph_ = std::make_unique<Graph>(node.graph()->ops());
  GraphBuilder b(prepared.graph_.get());
  b.SetOrigin(node.origin());
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& t = inputs[i];
    const Layout layout =
        node.input(i) == nullptr ? Layout::kPlain : node.input(i)->type().layout();
    const bool content = t.valid() && IsContent(t) && layout == Layout::kPlain;
    const std::string name = node.input(i) == nullptr ? "" : node.input(i)->name();
    prepared.sources_.push_back(!t.valid() ? nullptr
                                : content  ? b.Constant(t, name)
                                          : b.Input(name.empty() || prepared.graph_->FindValue(name)
                                                        ? prepared.graph_->UniqueName(name)
                                                        : name,
                                                    WithLayout(Type::Of(t), layout)));
    prepared.contents_.push_back(content ? t : Tensor());
    prepared.types_.push_back(t.valid() ? Type::Of(t) : Type());
  }
  AttrList attrs(node.attrs().begin(), node.attrs().end());
  Node* copy = b.RawOp(node.op_name(), prepared.sources_, node.num_outputs(), attrs);
  bool laid_out = false;
  if (copy != nullptr) {
    if (absl::Status s = CopyBodies(node, copy); !s.ok()) return s;
    for (size_t i = 0; i < node.num_outputs(); ++i) {
      const Type& type = node.output(i)->type();
      if (type.layout() == Layout::kPlain) continue;
      copy->output(i)->set_type(type);
      laid_out = true;
    }
  }
  b.Finish(copy);
  if (!b.status().ok()) return b.status();

  Node* source = copy;  // of the expansion
  std::vector<Value*> results;
  if (CpuKernels().Has(node.op_name())) {
    std::vector<Type> outputs;
    absl::StatusOr<std::unique_ptr<Kernel>> kernel =
        PrepareKernel(*copy, threads, accuracy, max_bytes, &outputs);
    if (kernel.ok()) {
      prepared.steps_.push_back({copy, *std::move(kernel), std::move(outputs)});
      for (size_t i = 0; i < copy->num_outputs(); ++i) results.push_back(copy->output(i));
    } else if (!absl::IsUnimplemented(kernel.status()) || node.op().expand == nullptr) {
      return kernel.status();
    }
  }
  if (results.empty()) {
    if (node.op().expand == nullptr) {
      return NodeError(node, absl::StatusCode::kUnimplemented, "the CPU has no kernel for this op");
    }
    // An expansion is of plain values: what is not is reordered around it.
    std::vector<Value*> plain = prepared.sources_;
    for (Value*& v : plain) {
      if (v == nullptr || v->type().layout() == Layout::kPlain) continue;
      v = b.Op("Reorder", {v}, {{"layout", "plain"}});
      laid_out = true;
    }
    if (laid_out) {
      source = b.RawOp(node.op_name(), plain, node.num_outputs(), attrs);
      if (!b.status().ok()) return b.status();
      if (absl::Status s = CopyBodies(node, source); !s.ok()) return s;
      b.Finish(source);
      if (!b.status().ok()) return b.status();
    }
    absl::StatusOr<std::vector<Value*>> expanded = node.op().expand(b, *source);
    if (!expanded.ok()) return expanded.status();
    if (!b.status().ok()) return b.status();
    results = *std::move(expanded);
    for (size_t i = 0; i < results.size(); ++i) {
      if (results[i] == nullptr)
        return NodeError(node, absl::StatusCode::kInternal, "its expansion gave no value");
      const Layout layout = node.output(i)->type().layout();
      if (layout == Layout::kPlain) continue;
      results[i] = b.Op("Reorder", {results[i]}, {{"layout", ToString(layout)}});
      if (!b.status().ok()) return b.status();
    }
  }
  for (Value* v : results) prepared.graph_->AddOutput(v);
  if (prepared.steps_.empty()) {
    for (const auto& inner : prepared.graph_->nodes()) {
      if (inner.get() == copy || inner.get() == source || inner->Is("Constant")) continue;
      Step step{inner.get(), nullptr, {}};
      if (StaticInputs(*inner) && CpuKernels().Has(inner->op_name())) {
        absl::StatusOr<std::unique_ptr<Kernel>> kernel =
            PrepareKernel(*inner, threads, accuracy, max_bytes, &step.outputs);
        if (kernel.ok()) step.kernel = *std::move(kernel);
      }
      prepared.steps_.push_back(std::move(step));
    }
  }
  return prepared;
}

bool PreparedNode::Fits(absl::Span<const Tensor> inputs) const {
  if (inputs.size() != types_.size()) return false;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].valid() == types_[i].is_unknown()) return false;
    if (!inputs[i].valid()) continue;
    if (inputs[i].dtype() != types_[i].dtype() || inputs[i].rank() != types_[i].rank())
      return false;
    for (int d = 0; d < inputs[i].rank(); ++d) {
      if (inputs[i].dims()[d] != types_[i].dim(d).number()) return false;
    }
    if (contents_[i].valid() && !(contents_[i] == inputs[i])) return false;
  }
  return true;
}

absl::StatusOr<std::vector<Tensor>> PreparedNode::Run(absl::Span<const Tensor> inputs,
                                                      ThreadPool* pool,
                                                      const Accountant& account) const {
  absl::flat_hash_map<const Value*, Tensor> values;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (sources_[i] != nullptr) values[sources_[i]] = inputs[i];
  }
  for (const Step& step : steps_) {
    std::vector<Tensor> in;
    for (Value* v : step.node->inputs()) {
      in.push_back(v == nullptr ? Tensor() : v->constant() != nullptr ? *v->constant() : values[v]);
    }
    absl::StatusOr<std::vector<Tensor>> out;
    if (step.kernel != nullptr) {
      out = LaunchAlone(*step.kernel, step.outputs, in, pool, account);
    } else {
      absl::StatusOr<PreparedNode> inner =
          Make(*step.node, in, pool == nullptr ? 1 : pool->threads(), accuracy_, max_bytes_);
      if (!inner.ok()) return inner.status();
      out = inner->Run(in, pool, account);
    }
    if (!out.ok()) return out.status();
    for (size_t i = 0; i < out->size(); ++i) values[step.node->output(i)] = std::move((*out)[i]);
  }
  std::vector<Tensor> results;
  for (Value* v : graph_->outputs())
    results.push_back(v->constant() != nullptr ? *v->constant() : values[v]);
  return results;
}

std::string PreparedNode::Description() const {
  if (steps_.size() == 1 && steps_[0].kernel != nullptr) return steps_[0].kernel->Description();
  return absl::StrCat("expansion of ", steps_.size(), " nodes");
}

}  // namespace sluice
