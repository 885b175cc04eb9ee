#include "passes/fold_constants.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "graph/effects.h"
#include "graph/infer.h"
#include "graph/patch.h"
#include "passes/match.h"
#include "passes/rewrite.h"

namespace sluice {
namespace {

constexpr char kPass[] = "fold_constants";

bool AllInputsConstant(const Node& node) {
  return std::all_of(node.inputs().begin(), node.inputs().end(),
                     [](const Value* v) { return v == nullptr || v->constant() != nullptr; });
}

// What inference knows of an integer value, as a tensor; invalid where it is not all numbers.
Tensor FromKnownDims(const Value& value) {
  const DType dtype = DTypeOf(&value);
  const std::optional<int> rank = RankOf(&value);
  if (!value.known_dims().has_value() || !IsInt(dtype) || !rank.has_value() || *rank > 1) return {};
  const Shape& known = *value.known_dims();
  if (*rank == 0 && known.size() != 1) return {};
  Dims dims;
  if (*rank == 1) dims.push_back(static_cast<int64_t>(known.size()));
  absl::StatusOr<Tensor> tensor = Tensor::Allocate(dtype, dims);
  if (!tensor.ok()) return {};
  for (size_t i = 0; i < known.size(); ++i) {
    if (!known[i].is_number()) return {};
    VisitDType(
        dtype,
        [&]<typename T>() {
          if constexpr (std::is_integral_v<T>) {
            tensor->mutable_data<T>()[i] = static_cast<T>(known[i].number());
          }
        },
        [] {});
  }
  return *std::move(tensor);
}

// Bytes of the constants that go away with the node.
int64_t BytesFreed(const Node& node) {
  int64_t bytes = 0;
  for (const Value* v : node.inputs()) {
    if (v != nullptr && OnlyUse(*v) == &node) bytes += static_cast<int64_t>(v->constant()->bytes());
  }
  return bytes;
}

// The size of the results where the types tell it; empty else. An overflowing size counts as huge.
std::optional<int64_t> BytesNeeded(const Node& node) {
  double bytes = 0;
  for (size_t i = 0; i < node.num_outputs(); ++i) {
    const Type& type = node.output(i)->type();
    std::optional<Dims> dims = type.is_tensor() ? type.StaticDims() : std::nullopt;
    if (!dims.has_value()) return std::nullopt;
    double size = static_cast<double>(ByteSize(type.dtype()));
    for (int64_t d : *dims) size *= static_cast<double>(d);
    bytes += size;
  }
  return bytes < 0x1p62 ? static_cast<int64_t>(bytes) : INT64_MAX;
}

// `refined`: set where a result tells more than its type did.
absl::StatusOr<bool> Replace(Node& node, PassContext& context, std::vector<Tensor> results,
                             bool* refined) {
  int64_t bytes = 0;
  for (size_t i = 0; i < results.size(); ++i)
    *refined |= node.output(i)->used() && Type::Of(results[i]) != node.output(i)->type();
  for (const Tensor& t : results) bytes += static_cast<int64_t>(t.bytes());
  context.fold_total_bytes -= bytes;
  Patch patch(node.graph(), &node, kPass);
  for (size_t i = 0; i < results.size(); ++i) {
    if (!node.output(i)->used() && i > 0) continue;
    patch.Replace(node.output(i), patch.builder().Constant(std::move(results[i])));
  }
  context.Applied(kPass, node, absl::StrCat("computed ", node.op_name(), " (", bytes, " bytes)"));
  if (absl::Status s = patch.Commit(); !s.ok()) return s;
  return true;
}

absl::StatusOr<bool> Fold(Node& node, PassContext& context, bool* refined) {
  if (node.Is("Constant") || !IsPure(node) || !node.bodies().empty() ||
      !node.control_inputs().empty() || !node.control_uses().empty()) {
    return false;
  }
  if (node.num_outputs() == 1) {
    if (Tensor known = FromKnownDims(*node.output());
        known.valid() && context.fold_total_bytes > 0) {
      if (!context.Spend()) return false;
      std::vector<Tensor> results;
      results.push_back(std::move(known));
      return Replace(node, context, std::move(results), refined);
    }
  }
  if (!context.evaluate || !AllInputsConstant(node)) return false;
  const int64_t one = std::max(context.fold_result_bytes, BytesFreed(node));
  const int64_t limit = std::min(one, context.fold_total_bytes);
  const char* budget = one <= context.fold_total_bytes ? "one result" : "all results";
  if (std::optional<int64_t> needed = BytesNeeded(node); needed.has_value() && *needed > limit) {
    context.Refused(kPass, node,
                    absl::StrCat("its result has ", *needed, " bytes, over the ", limit,
                                 " that are left for ", budget));
    return false;
  }
  if (!context.Spend()) return false;
  std::vector<Tensor> inputs;
  for (const Value* v : node.inputs()) inputs.push_back(v == nullptr ? Tensor() : *v->constant());
  absl::StatusOr<std::vector<Tensor>> results = context.evaluate(node, inputs, limit);
  if (!results.ok() || results->size() != node.num_outputs()) {
    if (context.fuel < INT64_MAX) ++context.fuel;  // nothing was applied
    const std::string why(results.ok() ? "it gave another number of results"
                                       : results.status().message().substr(0, 200));
    context.Refused(kPass, node, absl::StrCat("cannot be computed ahead: ", why));
    return false;
  }
  return Replace(node, context, *std::move(results), refined);
}

}  // namespace

absl::StatusOr<bool> FoldConstants::Run(Graph& graph, PassContext& context) const {
  bool refined = false;
  absl::StatusOr<bool> changed = VisitNodes(graph, [&](Node& node) -> absl::StatusOr<bool> {
    const bool kept =
        keep_quantized_ && node.Is("DequantizeLinear") && ByteSize(DTypeOf(node.input(0))) == 1;
    if (kept) return false;
    return Fold(node, context, &refined);
  });
  // Extents that depended on data are numbers now, and so are those that follow from them. What
  // contradicts them fails when it runs, if it does.
  if (refined) static_cast<void>(InferTypes(&graph));
  return changed;
}

}  // namespace sluice
