// The kernels of a plan's steps.
#include <algorithm>
#include <atomic>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "graph/file_pages.h"
#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/layout/layouts.h"
#include "kernels/packed_weights.h"
#include "runtime/dynamic_steps.h"
#include "runtime/node_checks.h"
#include "runtime/specialiser.h"
#include "runtime/tuner.h"

namespace sluice {
PrepareContext Specialiser::ContextOf(const Node& node) const {
  PrepareContext context{.node = node,
                         .threads = options_.threads,
                         .deterministic = options_.deterministic,
                         .accuracy = options_.accuracy,
                         .packed = options_.packed.get()};
  for (size_t i = 0; i < node.num_outputs(); ++i) context.outputs.push_back(node.output(i)->type());
  return context;
}

namespace {
// Whether a plan can have the input in the forms of kernels.
bool IsHeldInput(const Value* v) { return v != nullptr && v->is_input() && v->held(); }
}  // namespace

Specialiser::Prepared Specialiser::Prepare(const PrepareContext& context) const {
  Prepared prepared;
  const auto prepare = [&](const PrepareContext& c) {
    return options_.tuner == nullptr ? CpuKernels().Prepare(c, &prepared.choice)
                                     : options_.tuner->Prepare(CpuKernels(), c, &prepared.choice);
  };
  prepared.kernel = cpu::PrepareInLayouts(context, prepare);
  if (prepared.kernel.ok()) {
    for (int i : (*prepared.kernel)->unread_inputs()) ReleasePages(context.constants[i]);
  }
  return prepared;
}

void Specialiser::PrepareAhead(absl::Span<const Node* const> nodes) {
  if (options_.pool == nullptr || options_.pool->threads() < 2 || options_.tuner != nullptr) return;
  std::vector<PrepareContext> contexts;
  for (const Node* node : nodes) {
    if (node->Is("Constant") || IsControlFlow(*node) || KnownContents(*node) ||
        !CpuKernels().Has(node->op_name()))
      continue;
    PrepareContext context = ContextOf(*node);
    bool fits = true;
    for (const Value* v : node->inputs()) {
      const Tensor* constant = v == nullptr ? nullptr : v->constant();
      context.constants.push_back(constant == nullptr ? Tensor() : *constant);
      context.held.push_back(IsHeldInput(v));
      context.inputs.push_back(v == nullptr          ? Type()
                               : constant == nullptr ? v->type()
                                                     : Type::Of(*constant));
      fits &= v == nullptr || context.inputs.back().has_static_shape();
      fits &= v == nullptr || constant != nullptr || v->producer() == nullptr ||
              !KnownContents(*v->producer());
    }
    fits = fits &&
           CheckOutputSizes(*node, context.inputs, context.outputs, options_.memory_limit).ok();
    if (fits) contexts.push_back(std::move(context));
  }
  std::vector<Prepared> made(contexts.size());
  std::atomic<size_t> next{0};
  options_.pool->RunTasks(options_.pool->threads(), [&](int, int) {
    for (size_t i; (i = next.fetch_add(1)) < contexts.size();) made[i] = Prepare(contexts[i]);
  });
  for (size_t i = 0; i < contexts.size(); ++i)
    prepared_.emplace(&contexts[i].node, std::move(made[i]));
}

absl::Status Specialiser::ChooseKernel(const Node& node, Step* step) {
  if (IsControlFlow(node)) {
    std::vector<Value*> reads;
    absl::StatusOr<std::unique_ptr<DynamicStep>> dynamic = MakeControlFlow(node, options_, &reads);
    if (!dynamic.ok()) return dynamic.status();
    step->dynamic = *std::move(dynamic);
    for (const Value* v : reads) step->reads.push_back(SlotOf(v));
    return absl::OkStatus();
  }
  PrepareContext context = ContextOf(node);
  bool is_static = true, ranked = true;
  for (const Value* v : node.inputs()) {
    context.inputs.push_back(v == nullptr ? Type() : plan_->slots_[SlotOf(v)].type);
    context.constants.push_back(ConstantOf(v));
    context.held.push_back(IsHeldInput(v));
    const Type& type = context.inputs.back();
    is_static &= v == nullptr || type.has_static_shape();
    ranked &=
        v == nullptr || (type.is_tensor() && type.has_shape() && type.layout() == Layout::kPlain);
  }
  if (absl::Status s =
          CheckOutputSizes(node, context.inputs, context.outputs, options_.memory_limit);
      !s.ok()) {
    return s;
  }
  if (is_static) {
    auto ahead = prepared_.find(&node);
    Prepared prepared = ahead == prepared_.end() ? Prepare(context) : std::move(ahead->second);
    absl::StatusOr<std::unique_ptr<Kernel>>& kernel = prepared.kernel;
    step->choice = std::move(prepared.choice);
    if (kernel.ok()) {
      plan_->packed_bytes_ += static_cast<int64_t>((*kernel)->packed_bytes());
      // Strings are objects: they live in tensors, not in the arena.
      const bool strings = std::any_of(step->output_types.begin(), step->output_types.end(),
                                       [](const Type& t) { return t.dtype() == DType::kString; });
      if ((*kernel)->dynamic_outputs() || strings) {
        if (!(*kernel)->forms().empty()) {
          return NodeError(node, absl::StatusCode::kInternal,
                           "a kernel that sizes its results by the data packs what is held");
        }
        step->dynamic = MakeDynamicKernel(*std::move(kernel), step->output_types);
        return absl::OkStatus();
      }
      const bool outputs_static = std::all_of(step->output_types.begin(), step->output_types.end(),
                                              [](const Type& t) { return t.has_static_shape(); });
      if (outputs_static) {
        step->kernel = *std::move(kernel);
        for (const InputForm& form : step->kernel->forms())
          step->forms.push_back(FormSlot(step->inputs[form.input], form, step->kernel));
        return absl::OkStatus();
      }
    } else if (!absl::IsUnimplemented(kernel.status())) {
      return AtNode(node, kernel.status());
    } else if (!MoreToKnow(node)) {
      const bool last = !options_.deferred || options_.by_contents || expanding_ > 0;
      return node.op().expand != nullptr && last ? absl::OkStatus() : AtNode(node, kernel.status());
    }
  }
  if (!is_static && ranked) {
    if (auto kernel = CpuKernels().PrepareOpen(context); kernel.ok()) {
      step->dynamic = MakeDynamicKernel(*std::move(kernel), step->output_types);
      return absl::OkStatus();
    } else if (!absl::IsUnimplemented(kernel.status())) {
      return AtNode(node, kernel.status());
    }
  }
  if (options_.deferred && expanding_ == 0) {
    return NodeError(node, absl::StatusCode::kUnimplemented,
                     "the extents of its results do not follow from its inputs");
  }
  absl::StatusOr<std::unique_ptr<DynamicStep>> deferred =
      MakeDeferred(node, options_, /*by_contents=*/is_static);
  if (!deferred.ok()) return deferred.status();
  step->dynamic = *std::move(deferred);
  return absl::OkStatus();
}

absl::Status Specialiser::AlignConstants(absl::Span<const int> fetched) {
  absl::flat_hash_set<int> read(fetched.begin(), fetched.end());
  for (const Step& step : plan_->steps_) {
    std::vector<int> unread;
    if (step.kernel != nullptr) unread = step.kernel->unread_inputs();
    for (size_t i = 0; i < step.inputs.size(); ++i) {
      if (!absl::c_linear_search(unread, static_cast<int>(i))) read.insert(step.inputs[i]);
    }
    read.insert(step.reads.begin(), step.reads.end());
  }
  for (int slot : read) {
    Tensor& constant = plan_->constants_[slot];
    if (!constant.valid() || constant.aligned()) continue;
    absl::StatusOr<Tensor> aligned =
        SharedAligned(plan_->slots_[slot].name, constant, options_.packed.get());
    if (!aligned.ok()) return aligned.status();
    ReleasePages(constant);
    constant = *std::move(aligned);
  }
  return absl::OkStatus();
}

}  // namespace sluice
