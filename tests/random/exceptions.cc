#include "tests/random/exceptions.h"

namespace sluice::random {

namespace {

bool Any(const Graph& graph, const std::function<bool(const Node&)>& is) {
  for (const auto& node : graph.nodes()) {
    if (is(*node)) return true;
    for (const auto& [name, body] : node->bodies()) {
      if (Any(*body, is)) return true;
    }
  }
  return false;
}

bool HasSixteenBits(const Node& node) {
  for (size_t i = 0; i < node.num_outputs(); ++i) {
    const Type& type = node.output(i)->type();
    if (type.is_tensor() && IsFloat(type.dtype()) && ByteSize(type.dtype()) == 2) return true;
  }
  return false;
}

bool MayTurnZero(const Node& node) { return node.Is("Max") || node.Is("Gelu"); }

}  // namespace

bool Excused(const Case& c, const std::string& form, const Difference& difference,
             const std::function<bool(const PassOptions&)>& agrees) {
  if (difference.kind == "error") return false;
  // Sums of the largest numbers overflow in one order and not in another, in any kernel: and what
  // is infinite here is another finite number there behind the next step.
  if (c.regime >= Regime::kLarge) return true;
  if (form == "strict") return false;
  auto agrees_without = [&](std::vector<std::string> passes) {
    PassOptions options;
    options.without = std::move(passes);
    return agrees(options);
  };
  // Between the steps of a fused node 16-bit floats are f32: neither rounded, nor 0 below their
  // range.
  if (Any(*c.graph, HasSixteenBits) && agrees_without({"fuse_loops", "fuse_bias_activation"}))
    return true;
  if (difference.kind != "nan" && difference.kind != "infinite") return false;
  // Max(x, 0) and the library's Gelu may give the other zero, whose reciprocal is the other
  // infinity.
  if (Any(*c.graph, MayTurnZero) && agrees_without({"simplify_algebra", "fuse_bias_activation"}))
    return true;
  // Attention does not compute the scores that its mask hides: a NaN among them is lost.
  return agrees_without({"fuse_attention"});
}

}  // namespace sluice::random
