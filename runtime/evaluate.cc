#include "runtime/evaluate.h"

#include <numeric>

#include "absl/strings/str_cat.h"
#include "graph/file_pages.h"
#include "graph/layout.h"
#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/layout/layouts.h"
#include "runtime/node_checks.h"
#include "runtime/node_program.h"

namespace sluice {
namespace {

// Whether the kernel takes the loop: asked with a number in the place of each symbol, since what it
// takes does not depend on extents (ops/loop_space.h).
absl::Status TakesLoop(const Node& node) {
  Bindings bindings;
  std::vector<Type> types, outputs;
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
    types.push_back(Type::Tensor(type.dtype(), std::move(shape), type.layout()));
  }
  absl::StatusOr<std::unique_ptr<Graph>> scratch = GraphOfNode(node, types, /*constants=*/false);
  if (!scratch.ok()) return absl::UnimplementedError(scratch.status().message());
  const Node& copy = *(*scratch)->nodes().back();
  for (size_t i = 0; i < copy.num_outputs(); ++i) outputs.push_back(copy.output(i)->type());
  const std::vector<Tensor> constants(types.size());
  const PrepareContext context{.node = copy,
                               .inputs = std::move(types),
                               .outputs = std::move(outputs),
                               .constants = constants};
  return CpuKernels().Prepare(context).status();
}

}  // namespace

absl::StatusOr<std::vector<Tensor>> EvaluateNode(const Node& node, absl::Span<const Tensor> inputs,
                                                 int64_t max_bytes, ThreadPool* pool) {
  if (absl::Status s = CheckCpu(); !s.ok()) return s;
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
  std::vector<Type> types;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Value* v = node.input(i);
    types.emplace_back();
    if (!inputs[i].valid()) continue;
    const Layout layout = v == nullptr ? Layout::kPlain : v->type().layout();
    types.back() = WithLayout(Type::Of(inputs[i]), layout);
    absl::StatusOr<Tensor> a = inputs[i].Aligned();
    if (!a.ok()) return AtNode(node, a.status());
    aligned.push_back(*std::move(a));
  }
  absl::StatusOr<std::unique_ptr<Graph>> alone = GraphOfNode(node, types, /*constants=*/false);
  if (!alone.ok()) return AtNode(node, alone.status());
  std::vector<int> fetches(node.num_outputs());
  std::iota(fetches.begin(), fetches.end(), 0);
  const int64_t limit = std::max<int64_t>(max_bytes, 1);
  Program program(*std::move(alone), {.threads = pool->threads(),
                                      .deterministic = true,
                                      .max_plans = 1,
                                      .memory_limit = limit,
                                      .accuracy = Accuracy::kStrict,
                                      .deferred = true,
                                      .by_contents = true});
  RunContext run;
  run.pool = pool;
  run.memory_limit = limit;
  absl::StatusOr<std::vector<Tensor>> results = program.Run(aligned, fetches, {}, &run);
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
