#include "tests/testing/candidates.h"

#include <cmath>
#include <limits>

#include "absl/container/flat_hash_map.h"
#include "graph/infer.h"
#include "kernels/cpu/cpu_kernels.h"
#include "ops/op.h"
#include "runtime/evaluate.h"
#include "runtime/prepare.h"

namespace sluice {
namespace {

absl::StatusOr<Node*> BuildNode(GraphBuilder& b, absl::string_view op,
                                absl::Span<const Tensor> inputs, const AttrList& attrs,
                                const std::set<int>& constants, size_t num_outputs) {
  std::vector<Value*> values;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].valid()) {
      values.push_back(nullptr);
    } else if (constants.contains(static_cast<int>(i))) {
      values.push_back(b.Constant(inputs[i]));
    } else {
      values.push_back(b.Input("in" + std::to_string(i), Type::Of(inputs[i])));
    }
  }
  std::vector<Value*> outputs = b.OpN(op, values, num_outputs, attrs);
  if (!b.status().ok()) return b.status();
  return outputs[0]->producer();
}

}  // namespace

absl::StatusOr<std::vector<CandidateResult>> RunCandidates(absl::string_view op,
                                                           absl::Span<const Tensor> inputs,
                                                           const AttrList& attrs,
                                                           const std::set<int>& constants,
                                                           int threads, size_t num_outputs) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  absl::StatusOr<Node*> node = BuildNode(b, op, inputs, attrs, constants, num_outputs);
  if (!node.ok()) return node.status();
  PrepareContext context{.node = **node, .threads = threads};
  std::vector<Type> types;
  for (size_t i = 0; i < inputs.size(); ++i) {
    context.inputs.push_back(inputs[i].valid() ? Type::Of(inputs[i]) : Type());
    context.constants.push_back(constants.contains(static_cast<int>(i)) ? inputs[i] : Tensor());
  }
  for (size_t i = 0; i < num_outputs; ++i) types.push_back((*node)->output(i)->type());
  context.outputs = types;
  ThreadPool pool(threads);
  std::vector<CandidateResult> results;
  for (const KernelCandidate& c : CpuKernels().Find(op)) {
    absl::StatusOr<std::unique_ptr<Kernel>> kernel = c.prepare(context);
    if (absl::IsUnimplemented(kernel.status())) continue;
    if (!kernel.ok()) return kernel.status();
    // Inputs that the kernel says it does not read are taken away.
    std::vector<Tensor> fed(inputs.begin(), inputs.end());
    for (int i : (*kernel)->unread_inputs()) fed[i] = Tensor();
    absl::StatusOr<std::vector<Tensor>> outputs;
    for (int round = 0; round < 2; ++round) {
      outputs = LaunchAlone(**kernel, types, fed, &pool, nullptr);
      if (!outputs.ok()) return outputs.status();
    }
    results.push_back(
        {c.name, (*kernel)->Description(), *std::move(outputs), (*kernel)->packed_bytes()});
  }
  return results;
}

absl::StatusOr<std::vector<Tensor>> RunExpansion(absl::string_view op,
                                                 absl::Span<const Tensor> inputs,
                                                 const AttrList& attrs) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  std::set<int> all;
  for (size_t i = 0; i < inputs.size(); ++i) all.insert(static_cast<int>(i));
  absl::StatusOr<Node*> node = BuildNode(b, op, inputs, attrs, all, 1);
  if (!node.ok()) return node.status();
  if ((*node)->op().expand == nullptr) return absl::NotFoundError("the op has no expansion");
  absl::StatusOr<std::vector<Value*>> expanded = (*node)->op().expand(b, **node);
  if (!expanded.ok()) return expanded.status();
  if (!b.status().ok()) return b.status();
  ThreadPool pool(1);
  absl::flat_hash_map<const Value*, Tensor> values;
  for (const auto& n : graph.nodes()) {
    if (n.get() == *node) continue;
    if (n->Is("Constant")) {
      values[n->output()] = *n->output()->constant();
      continue;
    }
    std::vector<Tensor> in;
    for (Value* v : n->inputs()) in.push_back(v == nullptr ? Tensor() : values[v]);
    absl::StatusOr<std::vector<Tensor>> out = EvaluateNode(*n, in, INT64_MAX, &pool);
    if (!out.ok()) return out.status();
    for (size_t i = 0; i < out->size(); ++i) values[n->output(i)] = (*out)[i];
  }
  std::vector<Tensor> results;
  for (Value* v : *expanded) results.push_back(values[v]);
  return results;
}

Tensor Converted(const Tensor& t, DType to) {
  Tensor out = *Tensor::Allocate(to, t.dims());
  VisitDType(
      t.dtype(),
      [&]<typename From>() {
        VisitDType(
            to,
            [&]<typename To>() {
              for (int64_t i = 0; i < t.elements(); ++i) {
                if constexpr (std::is_arithmetic_v<From>) {
                  out.mutable_data<To>()[i] = static_cast<To>(t.data<From>()[i]);
                } else {
                  out.mutable_data<To>()[i] =
                      static_cast<To>(static_cast<float>(t.data<From>()[i]));
                }
              }
            },
            [] {});
      },
      [] {});
  return out;
}

double RelativeError(const Tensor& a, const Tensor& b) {
  const double inf = std::numeric_limits<double>::infinity();
  if (a.dtype() != b.dtype() || a.dims() != b.dims()) return inf;
  const Tensor x = Converted(a, DType::kF64), y = Converted(b, DType::kF64);
  double error = 0, scale = 0;
  for (int64_t i = 0; i < x.elements(); ++i) {
    const double u = x.data<double>()[i], v = y.data<double>()[i];
    if (std::isnan(u) != std::isnan(v)) return inf;
    if (std::isnan(u) || u == v) continue;
    error = std::max(error, std::abs(u - v));
    if (std::isfinite(v)) scale = std::max(scale, std::abs(v));
  }
  return error == 0 ? 0 : error / (scale == 0 ? 1 : scale);
}

}  // namespace sluice
