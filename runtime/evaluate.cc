#include "runtime/evaluate.h"

#include "absl/strings/str_cat.h"
#include "graph/builder.h"
#include "graph/file_pages.h"
#include "graph/infer.h"
#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/layouts.h"
#include "runtime/prepare.h"

namespace sluice {
namespace {

// Whether the kernel takes the loop: asked with a number in the place of each symbol, since what it
// takes does not depend on extents (ops/loop_space.h).
absl::Status TakesLoop(const Node& node) {
  Graph scratch(node.graph()->ops());
  GraphBuilder b(&scratch);
  Bindings bindings;
  std::vector<Type> types, outputs;
  std::vector<Value*> inputs;
  for (const Value* v : node.inputs()) {
    const Type& type = v->type();
    if (!type.is_tensor() || !type.has_shape()) {
      return absl::UnimplementedError("the rank of an input is unknown");
    }
    Shape shape = type.shape();
    for (Dim& d : shape) {
      std::vector<std::string> symbols;
      d.CollectSymbols(&symbols);
      for (const std::string& s : symbols) {
        bindings.try_emplace(s, 3 + 2 * static_cast<int64_t>(bindings.size()));
      }
      d = std::max<int64_t>(1, d.Evaluate(bindings).value_or(1));
    }
    const Type fixed = Type::Tensor(type.dtype(), std::move(shape), type.layout());
    inputs.push_back(b.Input("", fixed));
    types.push_back(fixed);
  }
  Node* copy = b.RawOp(node.op_name(), inputs, node.num_outputs(),
                       AttrList(node.attrs().begin(), node.attrs().end()));
  if (copy == nullptr) return b.status();
  if (absl::Status s = CopyBodies(node, copy); !s.ok()) return s;
  b.Finish(copy);
  if (!b.status().ok()) return absl::UnimplementedError(b.status().message());
  for (size_t i = 0; i < copy->num_outputs(); ++i) {
    outputs.push_back(copy->output(i)->type());
  }
  const PrepareContext context{.node = *copy,
                               .inputs = std::move(types),
                               .outputs = std::move(outputs),
                               .constants = std::vector<Tensor>(inputs.size())};
  return CpuKernels().Prepare(context).status();
}

}  // namespace

absl::StatusOr<std::vector<Tensor>> EvaluateNode(const Node& node, absl::Span<const Tensor> inputs,
                                                 int64_t max_bytes, ThreadPool* pool) {
  if (!node.bodies().empty()) {
    return NodeError(node, absl::StatusCode::kUnimplemented,
                     "a node with bodies is not evaluated by itself");
  }
  // What inference knows of the results stops a bomb before anything is allocated.
  for (size_t i = 0; i < node.num_outputs(); ++i) {
    std::optional<Dims> dims =
        node.output(i)->type().is_tensor() ? node.output(i)->type().StaticDims() : std::nullopt;
    if (!dims.has_value()) continue;
    const int64_t size = static_cast<int64_t>(ByteSize(node.output(i)->type().dtype()));
    absl::StatusOr<int64_t> count = ElementCount(*dims, size);
    if (!count.ok() || *count > max_bytes / std::max<int64_t>(size, 1)) {
      return NodeError(node, absl::StatusCode::kResourceExhausted,
                       absl::StrCat("its result is larger than ", max_bytes, " bytes"));
    }
  }
  std::vector<Tensor> aligned;
  for (const Tensor& t : inputs) {
    absl::StatusOr<Tensor> a = t.Aligned();
    if (!a.ok()) return AtNode(node, a.status());
    aligned.push_back(*std::move(a));
  }
  absl::StatusOr<PreparedNode> prepared =
      PreparedNode::Make(node, aligned, pool->threads(), Accuracy::kStrict, max_bytes);
  if (!prepared.ok()) return AtNode(node, prepared.status());
  int64_t used = 0;
  auto results = prepared->Run(aligned, pool, [&](int64_t bytes) -> absl::Status {
    if (bytes > max_bytes - used) {
      return absl::ResourceExhaustedError(
          absl::StrCat("more than ", max_bytes, " bytes are needed"));
    }
    used += bytes;
    return absl::OkStatus();
  });
  for (const Tensor& t : inputs) ReleasePages(t);
  if (!results.ok()) return AtNode(node, results.status());
  return results;
}

Evaluator CpuEvaluator(ThreadPool* pool) {
  return [pool](const Node& node, absl::Span<const Tensor> inputs, int64_t max_bytes) {
    return EvaluateNode(node, inputs, max_bytes, pool);
  };
}

TargetInfo CpuTarget() {
  TargetInfo target;
  target.takes = [](const Node& node) {
    return node.Is("FusedLoop") ? TakesLoop(node) : CpuTakes(node);
  };
  target.layouts = [](const Node& node, Layout layout) -> absl::StatusOr<NodeLayouts> {
    if (layout != Layout::kChannelsLast) {
      return absl::UnimplementedError("the CPU's kernels know plain and channels_last");
    }
    absl::StatusOr<cpu::LayoutForm> form = cpu::ChannelsLastForm(node);
    if (!form.ok()) return form.status();
    return NodeLayouts{form->inputs, form->outputs, form->plain_moves};
  };
  return target;
}

}  // namespace sluice
