#include "tests/random/exceptions.h"

#include <algorithm>
#include <cmath>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
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
  bool max = false;     // of Max, which has two zeros to choose from
  bool number = false;  // the reference is one, where the form is not
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

// The graph with all that its outputs from `first` on are made of as outputs.
std::unique_ptr<Graph> Traced(const Graph& graph, size_t first) {
  std::unique_ptr<Graph> traced = graph.Clone();
  const auto outputs = traced->outputs();
  std::vector<Value*> open(outputs.begin() + static_cast<int64_t>(first), outputs.end());
  absl::flat_hash_set<Value*> seen;
  traced->ClearOutputs();
  while (!open.empty()) {
    Value* v = open.back();
    open.pop_back();
    if (v == nullptr || v->graph() != traced.get() || !seen.insert(v).second) continue;
    if (v->type().is_tensor() && v->type().layout() == Layout::kPlain) traced->AddOutput(v);
    if (v->producer() == nullptr) continue;
    for (Value* input : v->producer()->inputs()) open.push_back(input);
    for (Value* captured : Captures(*v->producer())) open.push_back(captured);
  }
  return traced;
}

// A difference of special values speaks for itself. Where the reference is a number, or extents
// that data decides, a step makes those of them, as a quantizer, Hardmax or NonZero does: then they
// must be found before it.
Specials Reason(const Case& c, const Difference& difference, const Evidence& evidence) {
  const auto expected = [&](const char* what) {
    return absl::StrContains(difference.detail, absl::StrCat("expected ", what)) ||
           absl::StrContains(difference.detail, absl::StrCat("expected -", what));
  };
  Specials reason;
  const bool special = difference.kind == "nan" || difference.kind == "infinite";
  reason.number = special && !expected("nan") && !expected("inf");
  reason.nan = reason.infinity = special && !reason.number;
  const std::unique_ptr<Graph> traced = Traced(*c.graph, difference.output);
  const Results values = evidence.reference(*traced);
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
    reason.max |= node->Is("Max");
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
  if (form == "strict") return false;
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
  if ((reason.nan && !reason.number) || reason.infinity)
    without({"recognize_activations", "recognize_norms"});
  if (reason.infinity) without({"fold_batch_norm"});
  // Max(x, 0) and the library's Gelu may give the other zero, whose reciprocal is the other
  // infinity.
  if (reason.minus_zero) without({"fuse_bias_activation"});
  if (reason.minus_zero && reason.max) without({"simplify_algebra"});
  // Between the steps of a fused node 16-bit floats are neither infinite above their range nor 0
  // below it.
  if ((reason.nan || reason.infinity) && UsesHalves(*c.graph))
    without({"fuse_loops", "fuse_bias_activation"});
  return !spelled.without.empty() && evidence.agrees(spelled);
}

}  // namespace sluice::random
