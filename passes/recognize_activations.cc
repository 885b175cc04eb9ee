#include "passes/recognize_activations.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "graph/patch.h"
#include "graph/text.h"
#include "passes/match.h"
#include "passes/rewrite.h"
#include "passes/scalar_function.h"

namespace sluice {
namespace {

constexpr char kPass[] = "recognize_activations";
constexpr size_t kMaxNodes = 16;

// x * gate(x), each; the gate goes from 0 to 1.
struct Activation {
  const char* op;
  AttrList attrs;
  std::function<double(double)> gate;
};

double Normal(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }
double TanhNormal(double x) {
  constexpr double kScale = 2 * 0.79788456080286535588;  // 2 sqrt(2 / pi)
  return 1 / (1 + std::exp(-kScale * (x + 0.044715 * x * x * x)));
}
double HardGate(double x) { return std::clamp(x / 6 + 0.5, 0.0, 1.0); }
double TanhSoftplus(double x) { return std::tanh(x > 30 ? x : std::log1p(std::exp(x))); }

// Points that no spelling meets by chance, dense where activations bend; and what is no number.
const std::vector<double>& Points() {
  static const std::vector<double>* const points = [] {
    auto* p = new std::vector<double>;
    for (double x = 0.0137; x < 12; x = x * 1.31 + 0.0191) p->insert(p->end(), {x, -x});
    for (double x = 17.3; x < 1e30; x *= 1.7e3) p->insert(p->end(), {x, -x});
    constexpr double kInf = std::numeric_limits<double>::infinity();
    p->insert(p->end(), {kInf, -kInf, std::numeric_limits<double>::quiet_NaN()});
    return p;
  }();
  return *points;
}

// The activation that has the values of `f`, to `tolerance` of each; null op where there is none.
Activation Recognize(const ScalarFunction& f, double tolerance) {
  auto is = [&](const std::function<double(double)>& gate) {
    for (double x : Points()) {
      const double expected = x * gate(x), actual = f(x);
      if (!std::isfinite(expected)) {
        if (actual == expected || (std::isnan(actual) && std::isnan(expected))) continue;
        return false;
      }
      // Far out the tails differ in how they get to zero, by what no float sum would notice.
      if (!(std::abs(actual - expected) <= tolerance * std::max(std::abs(expected), 1e-2))) {
        return false;
      }
    }
    return true;
  };
  if (is(Normal)) return {"Gelu", {}, Normal};
  if (is(TanhNormal)) return {"Gelu", {{"approximate", "tanh"}}, TanhNormal};
  if (is(HardGate)) return {"HardSwish", {}, HardGate};
  if (is(TanhSoftplus)) return {"Mish", {}, TanhSoftplus};
  // Swish: the gate at 1 tells alpha, of which the attribute keeps an f32; in f64 that is seen.
  const double gate = f(1);
  if (!(gate > 0.5 && gate < 1)) return {nullptr, {}, nullptr};
  double alpha = static_cast<float>(std::log(gate / (1 - gate)));
  if (std::abs(alpha - 1) < 1e-6) alpha = 1;
  auto swish = [alpha](double x) { return 1 / (1 + std::exp(-alpha * x)); };
  if (is(swish)) return {"Swish", {{"alpha", alpha}}, swish};
  return {nullptr, {}, nullptr};
}

// The nodes between `input` and `root`, in order, as they are found going up from the root.
class Region {
 public:
  Region(Node& root, const absl::flat_hash_map<const Node*, size_t>& order) : order_(order) {
    Take(&root);
  }

  // The one value that the region is a function of; null where there are several, or none.
  Value* input() const { return frontier_.size() == 1 && !broken_ ? frontier_.front() : nullptr; }
  std::vector<Node*> nodes() const { return {nodes_.rbegin(), nodes_.rend()}; }

  // Takes in the latest of the values that it reads. False where the region ends.
  bool Grow() {
    if (broken_ || frontier_.empty() || nodes_.size() >= kMaxNodes) return false;
    auto latest =
        std::max_element(frontier_.begin(), frontier_.end(),
                         [&](const Value* a, const Value* b) { return Position(a) < Position(b); });
    Node* node = (*latest)->producer();
    if (node == nullptr || node->graph() != nodes_.front()->graph() || !IsScalarOp(*node) ||
        !order_.contains(node)) {
      return false;
    }
    frontier_.erase(latest);
    Take(node);
    return !broken_;
  }

 private:
  size_t Position(const Value* v) const {
    auto it = order_.find(v->producer());
    return it == order_.end() ? 0 : it->second + 1;
  }

  void Take(Node* node) {
    nodes_.push_back(node);
    for (Value* v : node->inputs()) {
      if (v == nullptr || std::find(frontier_.begin(), frontier_.end(), v) != frontier_.end()) {
        continue;
      }
      if (v->constant() == nullptr) {
        frontier_.push_back(v);
      } else {
        broken_ |=
            !ConstantScalar(v).has_value();  // one number a channel is no function of x alone
      }
    }
  }

  const absl::flat_hash_map<const Node*, size_t>& order_;
  std::vector<Node*> nodes_;  // the root first
  std::vector<Value*> frontier_;
  bool broken_ = false;
};

// Why the nodes inside are needed by others too; empty where they are not.
std::string SharedInside(const std::vector<Node*>& nodes) {
  const absl::flat_hash_set<const Node*> inside(nodes.begin(), nodes.end());
  for (size_t i = 0; i + 1 < nodes.size(); ++i) {
    const Value& v = *nodes[i]->output();
    if (v.is_graph_output()) return absl::StrCat(Shown(v.name()), " inside it is fetched");
    for (const Use& use : v.uses()) {
      if (!inside.contains(use.node))
        return absl::StrCat(Shown(v.name()), " inside it is also read elsewhere");
    }
  }
  return "";
}

absl::StatusOr<bool> Replace(Node& root, const std::vector<Node*>& nodes, Value* x,
                             const Activation& activation, PassContext& context) {
  if (const std::string shared = SharedInside(nodes); !shared.empty()) {
    context.Refused(kPass, root, absl::StrCat("it is ", activation.op, ", but ", shared));
    return false;
  }
  if (!context.Spend()) return false;
  Patch patch(root.graph(), &root, kPass);
  Value* y = patch.builder().Op(activation.op, {x}, activation.attrs);
  if (y == nullptr) return patch.builder().status();
  y->producer()->set_device(root.device());
  context.Applied(kPass, root, absl::StrCat(nodes.size(), " nodes are ", activation.op));
  patch.Replace(root.output(), y);
  if (absl::Status s = patch.Commit(); !s.ok()) return s;
  return true;
}

// What rounding the constants of a spelling to the type does to its values.
double ToleranceOf(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return 1e-12;
    case DType::kF16:
      return 1e-3;
    case DType::kBF16:
      return 4e-3;
    default:
      return 1e-6;
  }
}

absl::StatusOr<bool> Visit(Node& root, const absl::flat_hash_map<const Node*, size_t>& order,
                           PassContext& context) {
  // All of them end in a product, or in the division that a product can be.
  if (!(root.Is("Mul") || root.Is("Div")) || !IsScalarOp(root) || !order.contains(&root)) {
    return false;
  }
  const double tolerance = ToleranceOf(DTypeOf(root.output()));
  for (Region region(root, order); region.Grow();) {
    Value* x = region.input();
    if (x == nullptr || !SameType(*x, *root.output())) continue;
    const std::vector<Node*> nodes = region.nodes();
    const Activation found =
        Recognize([&](double v) { return Evaluate(nodes, x, root.output(), v); }, tolerance);
    if (found.op != nullptr) return Replace(root, nodes, x, found, context);
  }
  return false;
}

void Number(const Graph& graph, absl::flat_hash_map<const Node*, size_t>* order) {
  for (const auto& node : graph.nodes()) {
    order->emplace(node.get(), order->size());
    for (const auto& [name, body] : node->bodies()) Number(*body, order);
  }
}

}  // namespace

absl::StatusOr<bool> RecognizeActivations::Run(Graph& graph, PassContext& context) const {
  absl::flat_hash_map<const Node*, size_t> order;
  Number(graph, &order);
  return VisitNodes(graph, [&](Node& node) { return Visit(node, order, context); });
}

}  // namespace sluice
