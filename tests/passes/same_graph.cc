#include "tests/passes/same_graph.h"

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

constexpr double kRounding = 1e-5;

bool SameAttribute(const Attribute& a, const Attribute& b) {
  if (a == b) return true;
  if (a.kind() != b.kind()) return false;
  auto near = [](float x, float y) { return std::abs(x - y) <= kRounding * std::abs(y); };
  if (a.kind() == AttrKind::kFloat) return near(a.as_float(), b.as_float());
  if (a.kind() == AttrKind::kFloats) {
    if (a.as_floats().size() != b.as_floats().size()) return false;
    for (size_t i = 0; i < a.as_floats().size(); ++i) {
      const float x = a.as_floats()[i], y = b.as_floats()[i];
      if (x != y && !near(x, y)) return false;
    }
    return true;
  }
  if (a.kind() != AttrKind::kTensor) return false;
  return IsFloat(a.as_tensor().dtype()) && Difference(a.as_tensor(), b.as_tensor()) <= kRounding;
}

class Comparer {
 public:
  explicit Comparer(std::string* difference) : difference_(difference) {}

  bool Graphs(const Graph& a, const Graph& b) {
    if (a.inputs().size() != b.inputs().size()) return Differ("another number of inputs");
    for (size_t i = 0; i < a.inputs().size(); ++i) Pair(a.inputs()[i], b.inputs()[i]);
    // Those of a body are fetched by nobody.
    if (a.owner() == nullptr && a.output_names() != b.output_names()) {
      return Differ("the names of the outputs differ");
    }
    for (size_t i = 0; i < a.outputs().size(); ++i) {
      if (!Values(a.outputs()[i], b.outputs()[i])) return false;
    }
    if (!Kept(a, b)) return false;
    if (a.num_nodes() == b.num_nodes()) return true;
    return Differ(absl::StrCat(a.num_nodes(), " nodes, expected ", b.num_nodes()));
  }

 private:
  // Nodes that no output needs: those with effects, in order.
  bool Kept(const Graph& a, const Graph& b) {
    auto effects = [](const Graph& g) {
      std::vector<const Node*> nodes;
      for (const auto& node : g.nodes()) {
        if (node->op().effects != 0) nodes.push_back(node.get());
      }
      return nodes;
    };
    const std::vector<const Node*> x = effects(a), y = effects(b);
    if (x.size() != y.size()) return Differ("another number of nodes with effects");
    for (size_t i = 0; i < x.size(); ++i) {
      if (!Values(x[i]->output(), y[i]->output())) return false;
    }
    return true;
  }

  bool Values(const Value* a, const Value* b) {
    if (a == nullptr || b == nullptr) return a == b || Differ("an input is absent in one");
    auto left = pairs_.find(a);
    auto right = reverse_.find(b);
    if (left != pairs_.end() || right != reverse_.end()) {
      if (left != pairs_.end() && right != reverse_.end() && left->second == b) return true;
      return Differ(absl::StrCat("'", a->name(), "' and '", b->name(), "' are shared differently"));
    }
    if (a->is_input() || b->is_input()) {
      return Differ(absl::StrCat("'", a->name(), "' against '", b->name(), "': an input in one"));
    }
    const Node &x = *a->producer(), &y = *b->producer();
    auto differ = [&](absl::string_view what) {
      return Differ(absl::StrCat(what, ":\n  ", NodeToString(x), "\n  ", NodeToString(y)));
    };
    if (&x.op() != &y.op() || a->output_index() != b->output_index()) return differ("op");
    if (x.num_outputs() != y.num_outputs()) return differ("number of outputs");
    if (x.control_inputs().size() != y.control_inputs().size()) return differ("control inputs");
    if (a->type().ToString() != b->type().ToString()) return differ("type");
    for (size_t i = 0; i < x.num_outputs(); ++i) Pair(x.output(i), y.output(i));
    for (size_t i = 0; i < std::max(x.num_inputs(), y.num_inputs()); ++i) {
      if (!Values(x.input(i), y.input(i))) return false;
    }
    for (const AttrDef& def : x.op().attrs) {
      const Attribute *p = x.FindAttr(def.name), *q = y.FindAttr(def.name);
      if ((p == nullptr) != (q == nullptr) || (p != nullptr && !SameAttribute(*p, *q))) {
        return differ(absl::StrCat("attribute ", def.name));
      }
    }
    for (const auto& [name, body] : x.bodies()) {
      const Graph* other = y.body(name);
      if (other == nullptr || !Graphs(*body, *other)) return differ(absl::StrCat("body ", name));
    }
    return true;
  }

  void Pair(const Value* a, const Value* b) {
    pairs_[a] = b;
    reverse_[b] = a;
  }

  bool Differ(absl::string_view what) {
    if (difference_->empty()) *difference_ = std::string(what);
    return false;
  }

  std::string* difference_;
  absl::flat_hash_map<const Value*, const Value*> pairs_, reverse_;
};

}  // namespace

bool SameGraph(const Graph& a, const Graph& b, std::string* difference) {
  difference->clear();
  return Comparer(difference).Graphs(a, b);
}

double Difference(const Tensor& a, const Tensor& b) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  if (a.dtype() != b.dtype() || a.dims() != b.dims()) return kInf;
  if (a == b) return 0;
  double largest = 0, difference = 0;
  const bool numbers = VisitDType(
      a.dtype(),
      [&]<typename T>() {
        for (int64_t i = 0; i < a.elements(); ++i) {
          const double x = static_cast<double>(a.data<T>()[i]);
          const double y = static_cast<double>(b.data<T>()[i]);
          if (std::isnan(x) && std::isnan(y)) continue;
          if (x == y) {
            if (std::isfinite(y)) largest = std::max(largest, std::abs(y));
            continue;
          }
          if (!std::isfinite(x) || !std::isfinite(y)) return difference = kInf, true;
          largest = std::max(largest, std::abs(y));
          difference = std::max(difference, std::abs(x - y));
        }
        return true;
      },
      [] { return false; });
  return !numbers ? kInf : difference == 0 ? 0 : difference / largest;
}

}  // namespace sluice
