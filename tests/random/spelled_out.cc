#include "graph/builder.h"
#include "graph/infer.h"
#include "tests/random/variants.h"
#include "tests/testing/candidates.h"

namespace sluice::random {
namespace {

DType DTypeOf(const Value* v) { return v->type().dtype(); }

// The mean toward zero, in 64 bits: of quotients rounded down and what they leave.
Value* Mean(GraphBuilder& b, const Node& node) {
  const AttrList attrs(node.attrs().begin(), node.attrs().end());
  auto sum = [&](Value* v) { return b.Op("ReduceSum", {v, node.input(1)}, attrs); };
  Value* x = b.Op("Cast", {node.input(0)}, {{"to", DType::kI64}});
  Value* zero = b.Scalar<int64_t>(0);
  Value* n = b.Op("Div", {b.Op("Size", {x}), b.Op("Size", {sum(x)})});
  Value* left = b.Op("Mod", {x, n});
  Value* lefts = sum(left);
  Value* below =
      b.Op("Add", {sum(b.Op("Div", {b.Op("Sub", {x, left}), n})), b.Op("Div", {lefts, n})});
  Value* inexact = b.Op("Greater", {b.Op("Mod", {lefts, n}), zero});
  Value* up = b.Op("And", {b.Op("Less", {below, zero}), inexact});
  Value* mean = b.Op("Where", {up, b.Op("Add", {below, b.Scalar<int64_t>(1)}), below});
  return b.Op("Cast", {mean}, {{"to", DTypeOf(node.input(0))}});
}

// In f64, which holds every quotient to more than the tie that it may be.
Value* Quantized(GraphBuilder& b, const Node& node) {
  auto wide = [&](Value* v) { return b.Op("Cast", {v}, {{"to", DType::kF64}}); };
  const DType to = DTypeOf(node.output());
  Value* y = b.Op("Round", {b.Op("Div", {wide(node.input(0)), wide(node.input(1))})});
  if (node.input(2) != nullptr) y = b.Op("Add", {y, wide(node.input(2))});
  double low = 0, high = 0;
  VisitDType(
      to,
      [&]<typename T>() {
        low = static_cast<double>(std::numeric_limits<T>::lowest());
        high = static_cast<double>(std::numeric_limits<T>::max());
      },
      [] {});
  return b.Op("Cast", {b.Op("Clip", {y, b.Scalar(low), b.Scalar(high)})}, {{"to", to}});
}

// The exponent, where it is one known number that f32 would round.
bool HasLongExponent(const Node& pow) {
  const Tensor* y = pow.input(1)->constant();
  if (y == nullptr || y->elements() != 1 || DTypeOf(pow.input(0)) != DType::kF32) return false;
  const double exponent = Converted(*y, DType::kF64).values<double>()[0];
  return static_cast<double>(static_cast<float>(exponent)) != exponent;
}

Value* PowInF64(GraphBuilder& b, const Node& node) {
  auto wide = [&](Value* v) { return b.Op("Cast", {v}, {{"to", DType::kF64}}); };
  return b.Op("Cast", {b.Op("Pow", {wide(node.input(0)), wide(node.input(1))})},
              {{"to", DType::kF32}});
}

struct Spelling {
  bool (*applies)(const Node& node);
  Value* (*spell)(GraphBuilder& b, const Node& node);
};
constexpr Spelling kSpellings[] = {
    {[](const Node& n) {
       return n.Is("ReduceMean") && IsInt(DTypeOf(n.input(0))) &&
              DTypeOf(n.input(0)) != DType::kU64;
     },
     Mean},
    {[](const Node& n) {
       return n.Is("QuantizeLinear") && DTypeOf(n.input(0)) == DType::kI32 &&
              n.input(1)->type().Elements() == Dim(1) && !n.HasAttr("precision");
     },
     Quantized},
    {[](const Node& n) { return n.Is("Pow") && HasLongExponent(n); }, PowInF64},
};

}  // namespace

absl::StatusOr<Case> SpelledOut(const Case& c) {
  Case made;
  made.graph = c.graph->Clone();
  made.feeds = c.feeds;
  bool any = false;
  std::vector<Node*> nodes;
  for (const auto& node : made.graph->nodes()) nodes.push_back(node.get());
  for (Node* node : nodes) {
    for (const Spelling& s : kSpellings) {
      if (!s.applies(*node)) continue;
      GraphBuilder b(made.graph.get(), node);
      Value* y = s.spell(b, *node);
      if (y == nullptr) return b.status();
      made.graph->ReplaceAllUses(node->output(), y);
      made.graph->EraseNode(node);
      any = true;
      break;
    }
  }
  if (!any) return absl::UnimplementedError("there is no such op");
  return made;
}

}  // namespace sluice::random
