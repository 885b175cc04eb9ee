#include "tests/random/exceptions.h"

#include <algorithm>
#include <cmath>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "tests/testing/candidates.h"

namespace sluice::random {
namespace {

bool UsesHalves(const Graph& graph) {
  for (const auto& node : graph.nodes()) {
    for (size_t i = 0; i < node->num_outputs(); ++i) {
      const Type& type = node->output(i)->type();
      if (type.is_tensor() && IsFloat(type.dtype()) && ByteSize(type.dtype()) == 2) return true;
    }
    for (const auto& [name, body] : node->bodies()) {
      if (UsesHalves(*body)) return true;
    }
  }
  return false;
}

// What the exceptions are about, among the numbers that a result was made of.
struct Specials {
  bool nan = false, infinity = false, minus_zero = false;
};

Specials In(const Tensor& t) {
  Specials found;
  if (!IsFloat(t.dtype())) return found;
  const Tensor wide = Converted(t, DType::kF64);
  for (double x : wide.values<double>()) {
    found.nan |= std::isnan(x);
    found.infinity |= std::isinf(x);
    found.minus_zero |= x == 0 && std::signbit(x);
  }
  return found;
}

// The graph with all that its output `output` is made of as outputs.
std::unique_ptr<Graph> Traced(const Graph& graph, size_t output) {
  std::unique_ptr<Graph> traced = graph.Clone();
  std::vector<Value*> open = {traced->outputs()[output]};
  absl::flat_hash_set<Value*> seen;
  traced->ClearOutputs();
  while (!open.empty()) {
    Value* v = open.back();
    open.pop_back();
    if (v == nullptr || v->graph() != traced.get() || !seen.insert(v).second) continue;
    if (v->type().is_tensor()) traced->AddOutput(v);
    if (v->producer() == nullptr) continue;
    for (Value* input : v->producer()->inputs()) open.push_back(input);
    for (Value* captured : Captures(*v->producer())) open.push_back(captured);
  }
  return traced;
}

// A difference of special values speaks for itself. Behind a step that makes numbers of them, a
// quantizer or Hardmax, it is one of numbers: then they must be found before it.
Specials Reason(const Case& c, const Difference& difference, const Evidence& evidence) {
  const bool other_zero = absl::StrContains(difference.detail, "is -inf, expected inf") ||
                          absl::StrContains(difference.detail, "is inf, expected -inf");
  if (difference.kind == "nan" || difference.kind == "infinite")
    return {.nan = true, .infinity = true, .minus_zero = other_zero};
  const std::unique_ptr<Graph> traced = Traced(*c.graph, difference.output);
  const Results values = evidence.reference(*traced);
  Specials reason;
  if (!values.ok()) return reason;
  absl::flat_hash_map<const Value*, Specials> specials;
  for (size_t i = 0; i < values->size(); ++i) {
    const Specials here = specials[traced->outputs()[i]] = In((*values)[i]);
    reason.nan |= here.nan;
    reason.minus_zero |= here.minus_zero;
  }
  // Infinities of a mask are none that a step overflowed to.
  for (const Value* v : traced->outputs()) {
    const Node* node = v->producer();
    if (node == nullptr || node->Is("Constant")) continue;
    const std::vector<Value*> inputs = node->inputs();
    reason.infinity |= specials[v].infinity &&
                       std::none_of(inputs.begin(), inputs.end(),
                                    [&](const Value* input) { return specials[input].infinity; });
  }
  return reason;
}

}  // namespace

bool Excused(const Case& c, const std::string& form, const Difference& difference,
             const Evidence& evidence) {
  // An extent that Reshape is to take from another tensor's, by a computed shape, and that is 0 in
  // this run: the passes see the symbol, not the 0 that copies.
  if (difference.kind == "error")
    return absl::StartsWith(difference.detail, kWorks) &&
           absl::StrContains(difference.detail, "is 0, which copies extent");
  // Sums of the largest numbers overflow in one order and not in another, in any kernel: and what
  // is infinite here is another finite number there behind the next step.
  if (c.regime >= Regime::kLarge) return true;
  if (form == "strict" || difference.kind == "extents") return false;
  const Specials reason = Reason(c, difference, evidence);
  PassOptions spelled;
  const auto without = [&](std::initializer_list<const char*> passes) {
    spelled.without.insert(spelled.without.end(), passes.begin(), passes.end());
  };
  // Attention does not compute the scores that its mask hides: a NaN among them is lost.
  if (reason.nan) without({"fuse_attention"});
  // An activation or norm that is known from its spelling does not overflow where a step of the
  // spelling does: x / (1 + e^-x) of -infinity. A factor that crosses a product moves the place
  // where its sums overflow, and with it the sign of what is then infinite.
  if (reason.nan || reason.infinity) without({"recognize_activations", "recognize_norms"});
  if (reason.infinity) without({"fold_batch_norm"});
  // Max(x, 0) and the library's Gelu may give the other zero, whose reciprocal is the other
  // infinity.
  if (reason.minus_zero) without({"simplify_algebra", "fuse_bias_activation"});
  // Between the steps of a fused node 16-bit floats are neither infinite above their range nor 0
  // below it.
  if ((reason.nan || reason.infinity) && UsesHalves(*c.graph))
    without({"fuse_loops", "fuse_bias_activation"});
  return !spelled.without.empty() && evidence.agrees(spelled);
}

}  // namespace sluice::random
