#include "tests/testing/candidates.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "graph/infer.h"
#include "kernels/cpu/cpu_kernels.h"
#include "ops/op.h"
#include "runtime/dynamic_steps.h"
#include "runtime/evaluate.h"

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

bool SameBytes(const Tensor& a, const Tensor& b) {
  if (a.dtype() == DType::kString) return a == b;
  return a.bytes() == b.bytes() &&
         (a.bytes() == 0 || std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.bytes())) == 0);
}

// What the kernel says of views and of results in place of inputs, which the planner of memory
// goes by and a launch into fresh memory does not show.
absl::Status CheckMemory(const Kernel& kernel, absl::Span<const Tensor> inputs,
                         absl::Span<const Tensor> outputs, ThreadPool* pool) {
  const auto sized = [&](int out, int in) {
    return inputs[in].valid() && inputs[in].dtype() != DType::kString &&
           outputs[out].dtype() != DType::kString && inputs[in].bytes() == outputs[out].bytes();
  };
  for (const auto& [out, in] : kernel.views()) {
    if (sized(out, in) && !SameBytes(outputs[out], inputs[in])) {
      return absl::InternalError(absl::StrCat("views() says that output ", out, " is input ", in,
                                              ", but the launch made another"));
    }
  }
  if (kernel.dynamic_outputs()) return absl::OkStatus();
  for (const auto& [out, in] : kernel.in_place()) {
    if (!sized(out, in)) continue;
    std::vector<const void*> from;
    std::vector<Tensor> to;
    std::vector<void*> into;
    for (const Tensor& t : inputs) from.push_back(t.valid() ? t.raw() : nullptr);
    for (const Tensor& t : outputs) {
      to.push_back(*Tensor::Allocate(t.dtype(), t.dims()));
      into.push_back(to.back().mutable_raw());
    }
    if (inputs[in].bytes() > 0)
      std::memcpy(into[out], inputs[in].raw(), static_cast<size_t>(inputs[in].bytes()));
    from[in] = into[out];
    Tensor scratch =
        *Tensor::Allocate(DType::kU8, {static_cast<int64_t>(kernel.scratch_bytes()) + 1});
    const LaunchContext context{from, into, scratch.mutable_raw(), pool, nullptr};
    if (absl::Status s = kernel.Launch(context); !s.ok()) return s;
    for (size_t i = 0; i < to.size(); ++i) {
      if (SameBytes(to[i], outputs[i])) continue;
      return absl::InternalError(absl::StrCat("in_place() says that output ", out,
                                              " may lie over input ", in, ", but then output ", i,
                                              " is another"));
    }
  }
  return absl::OkStatus();
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
      RunContext run;
      run.pool = &pool;
      outputs = LaunchAlone(**kernel, types, fed, &run);
      if (!outputs.ok()) return outputs.status();
    }
    if (absl::Status s = CheckMemory(**kernel, fed, *outputs, &pool); !s.ok()) {
      return absl::Status(s.code(), absl::StrCat(op, " by ", c.name, ": ", s.message()));
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
