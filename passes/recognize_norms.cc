#include "passes/recognize_norms.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "graph/patch.h"
#include "passes/match.h"
#include "passes/rewrite.h"

namespace sluice {
namespace {

constexpr char kPass[] = "recognize_norms";

// A norm as it is found, from its division up and then down to its scale and bias.
struct Norm {
  Value* x = nullptr;  // as the mean reads it
  bool centred = false;
  double epsilon = 0;
  int axis = 0;  // the first of the axes, non-negative
  Value *scale = nullptr, *bias = nullptr;
  std::vector<Node*> inside;  // all of its nodes but the last
  Node* last = nullptr;
  std::string refusal;  // it is a norm, but
};

bool IsFloatCast(const Node& node) {
  return node.Is("Identity") ||
         (node.Is("Cast") && IsFloat(DTypeOf(node.input(0))) && IsFloat(DTypeOf(node.output())));
}

class Matcher {
 public:
  // The norm whose division, or product with the inverse spread, `node` is.
  std::optional<Norm> Match(Node& node) {
    if (!IsFloat(DTypeOf(node.output())) || node.num_inputs() != 2) return std::nullopt;
    norm_.last = &node;
    if (node.Is("Div")) {
      if (!Spread(node.input(1)) || !Top(node.input(0))) return std::nullopt;
    } else if (node.Is("Mul")) {
      bool found = false;
      for (size_t side : {0, 1}) {
        const Norm saved = norm_;
        found = InverseOrScaled(node.input(side)) && Top(node.input(1 - side));
        if (found) break;
        norm_ = saved;
      }
      if (!found) return std::nullopt;
    } else {
      return std::nullopt;
    }
    FollowDown();
    return std::move(norm_);
  }

 private:
  // The producer where it is an `op` without control edges; it becomes part of the norm.
  Node* Inside(Value* v, absl::string_view op) {
    Node* node = ProducedBy(v, op);
    if (node == nullptr || !node->control_inputs().empty() || !node->control_uses().empty()) {
      return nullptr;
    }
    norm_.inside.push_back(node);
    return node;
  }
  // What `v` is before casts from float to float.
  Value* Uncast(Value* v) {
    while (v != nullptr && v->producer() != nullptr && IsFloatCast(*v->producer())) {
      norm_.inside.push_back(v->producer());
      v = v->producer()->input(0);
    }
    return v;
  }
  static Value* Source(Value* v) {
    while (v->producer() != nullptr && IsFloatCast(*v->producer())) v = v->producer()->input(0);
    return v;
  }

  bool PowerOf(Node* pow, double exponent) {
    const std::optional<double> e = ConstantScalar(pow->input(1));
    return e.has_value() && *e == exponent;
  }

  bool InverseOrScaled(Value* v) {
    const Norm saved = norm_;
    v = Uncast(v);
    if (Inverse(v)) return true;
    norm_ = saved;
    // inverse * scale, which then multiplies the rest.
    Node* mul = Inside(v, "Mul");
    if (mul == nullptr) return false;
    for (size_t side : {0, 1}) {
      const Norm before = norm_;
      if (Inverse(Uncast(mul->input(side)))) {
        norm_.scale = mul->input(1 - side);
        return true;
      }
      norm_ = before;
    }
    return false;
  }

  bool Inverse(Value* v) {
    const Norm saved = norm_;
    if (Node* r = Inside(v, "Reciprocal"); r != nullptr && Spread(r->input(0))) return true;
    norm_ = saved;
    if (Node* d = Inside(v, "Div"); d != nullptr && IsFilledWith(d->input(0), 1) &&
                                    ConstantScalar(d->input(0)).has_value() &&
                                    Spread(d->input(1))) {
      return true;
    }
    norm_ = saved;
    if (Node* p = Inside(v, "Pow"); p != nullptr && PowerOf(p, -0.5)) return Variance(p->input(0));
    norm_ = saved;
    return false;
  }

  // sqrt(variance + epsilon)
  bool Spread(Value* v) {
    const Norm saved = norm_;
    v = Uncast(v);
    if (Node* s = Inside(v, "Sqrt"); s != nullptr) return Variance(s->input(0));
    if (Node* p = Inside(v, "Pow"); p != nullptr && PowerOf(p, 0.5)) return Variance(p->input(0));
    norm_ = saved;
    return false;
  }

  // mean(square) + epsilon
  bool Variance(Value* v) {
    v = Uncast(v);
    if (Node* add = Inside(v, "Add"); add != nullptr) {
      const size_t side = ConstantScalar(add->input(1)).has_value() ? 0 : 1;
      const std::optional<double> epsilon = ConstantScalar(add->input(1 - side));
      if (!epsilon.has_value() || !(*epsilon >= 0)) return false;
      norm_.epsilon = *epsilon;
      v = Uncast(add->input(side));
    }
    Node* mean = Inside(v, "ReduceMean");
    if (mean == nullptr || mean->Int("keepdims") == 0 || !Axes(*mean, &axes_)) return false;
    Value* square = Uncast(mean->input(0));
    if (Node* pow = Inside(square, "Pow"); pow != nullptr) {
      if (!PowerOf(pow, 2)) return false;
      squared_ = Uncast(pow->input(0));
      return true;
    }
    Node* mul = Inside(square, "Mul");
    if (mul == nullptr || Source(mul->input(0)) != Source(mul->input(1))) return false;
    squared_ = Uncast(mul->input(0));
    Uncast(mul->input(1));
    return true;
  }

  // What is divided: what was squared.
  bool Top(Value* v) {
    if (Source(v) != squared_) return false;
    Value* given = v;
    if (Source(v) != v) Uncast(v);
    Node* sub = ProducedBy(squared_, "Sub");
    if (sub != nullptr) {
      Node* mean = ProducedBy(Source(sub->input(1)), "ReduceMean");
      std::vector<int64_t> axes;
      if (mean != nullptr && mean->Int("keepdims") != 0 && Axes(*mean, &axes) && axes == axes_ &&
          Source(mean->input(0)) == Source(sub->input(0))) {
        norm_.centred = true;
        Inside(squared_, "Sub");
        Uncast(sub->input(1));
        norm_.inside.push_back(mean);
        norm_.x = sub->input(0);
      }
    }
    if (norm_.x == nullptr) norm_.x = given;
    const std::optional<int> rank = RankOf(norm_.x);
    if (!rank.has_value()) return false;
    norm_.axis = *rank - static_cast<int>(axes_.size());
    for (size_t i = 0; i < axes_.size(); ++i) {
      if (axes_[i] != norm_.axis + static_cast<int64_t>(i)) {
        norm_.refusal = "its mean does not go over the last axes";
      }
    }
    return !axes_.empty();
  }

  static bool Axes(const Node& mean, std::vector<int64_t>* axes) {
    const std::optional<int> rank = RankOf(mean.input(0));
    std::optional<std::vector<int64_t>> given = ConstantInts(mean.input(1));
    if (!rank.has_value() || !given.has_value()) return false;
    for (int64_t& axis : *given) axis += axis < 0 ? *rank : 0;
    std::sort(given->begin(), given->end());
    *axes = *std::move(given);
    return true;
  }

  // Stretches over nothing but the axes of the norm.
  bool IsParameter(const Value* v) const {
    const Type& x = norm_.x->type();
    if (v == nullptr || !v->type().is_tensor() || !v->type().has_shape()) return false;
    const Type& p = v->type();
    if (p.rank() > x.rank()) return false;
    for (int i = 1; i <= p.rank(); ++i) {
      const Dim& d = p.dim(p.rank() - i);
      if (d == Dim(1)) continue;
      if (x.rank() - i < norm_.axis || d != x.dim(x.rank() - i)) return false;
    }
    return true;
  }

  void FollowDown() {
    if (norm_.scale != nullptr && !IsParameter(norm_.scale)) {
      norm_.refusal = "its scale stretches over other axes";
      return;
    }
    bool casted = false;
    while (true) {
      Value& v = *norm_.last->output();
      Node* next = OnlyUse(v);
      if (next == nullptr || !next->control_inputs().empty() || !next->control_uses().empty()) {
        return;
      }
      if (IsFloatCast(*next) && norm_.scale == nullptr && !casted) {
        casted = next->Is("Cast");
      } else if (next->Is("Mul") && norm_.scale == nullptr && norm_.bias == nullptr &&
                 IsParameter(Other(*next, v))) {
        norm_.scale = Other(*next, v);
      } else if (next->Is("Add") && norm_.centred && IsParameter(Other(*next, v))) {
        norm_.bias = Other(*next, v);
      } else {
        return;
      }
      norm_.inside.push_back(norm_.last);
      norm_.last = next;
      if (norm_.bias != nullptr) return;
    }
  }
  static Value* Other(const Node& node, const Value& v) {
    return node.input(0) == &v ? node.input(1) : node.input(0);
  }

  Norm norm_;
  std::vector<int64_t> axes_;
  Value* squared_ = nullptr;
};

absl::flat_hash_set<const Node*> AllOf(const Norm& norm) {
  absl::flat_hash_set<const Node*> all(norm.inside.begin(), norm.inside.end());
  all.insert(norm.last);
  return all;
}

// A node inside that others read too; null where there is none.
const Value* SharedInside(const Norm& norm) {
  const absl::flat_hash_set<const Node*> inside = AllOf(norm);
  for (const Node* node : norm.inside) {
    const Value& v = *node->output();
    if (IsFloatCast(*node)) continue;  // stays where others read it, at no cost to the norm
    if (v.is_graph_output()) return &v;
    for (const Use& use : v.uses()) {
      if (!inside.contains(use.node)) return &v;
    }
  }
  return nullptr;
}

// x in the dtype that the norm gives: before its cast where that fits.
Value* InputOf(const Norm& norm, DType wanted) {
  Value* best = norm.x;
  for (Value* v = norm.x;; v = v->producer()->input(0)) {
    if (DTypeOf(v) == wanted) best = v;
    if (v->producer() == nullptr || !IsFloatCast(*v->producer())) break;
  }
  return best;
}

absl::StatusOr<bool> Visit(Node& node, PassContext& context) {
  if (!node.control_inputs().empty() || !node.control_uses().empty()) return false;
  std::optional<Norm> norm = Matcher().Match(node);
  if (!norm.has_value()) return false;
  const char* op = norm->centred ? "LayerNormalization" : "RMSNormalization";
  const auto refuse = [&](absl::string_view why) {
    context.Refused(kPass, node, absl::StrCat("it is ", op, ", but ", why));
    return false;
  };
  if (!norm->refusal.empty()) return refuse(norm->refusal);
  if (const Value* shared = SharedInside(*norm); shared != nullptr) {
    return refuse(absl::StrCat("'", shared->name(), "' inside it is read elsewhere"));
  }
  const DType dtype = DTypeOf(norm->last->output());
  if (!FitsAttribute(norm->epsilon, dtype)) return refuse("its epsilon is an f64");
  Value* x = InputOf(*norm, dtype);
  if (norm->centred && DTypeOf(x) != dtype) return refuse("it changes the type of its input");

  Patch patch(node.graph(), norm->last, kPass);
  GraphBuilder& b = patch.builder();
  Value* scale = norm->scale;
  if (scale != nullptr && DTypeOf(scale) != dtype) scale = b.Op("Cast", {scale}, {{"to", dtype}});
  if (scale == nullptr) {
    absl::StatusOr<Tensor> one = FromDoubles(dtype, {1}, {1.0});
    if (!one.ok()) return one.status();
    scale = b.Constant(*std::move(one));
  }
  Value* bias = norm->bias;
  if (bias != nullptr && DTypeOf(bias) != dtype) bias = b.Op("Cast", {bias}, {{"to", dtype}});
  AttrList attrs;
  const int axis = norm->axis - *RankOf(x);
  if (axis != -1) attrs.push_back({"axis", axis});
  attrs.push_back({"epsilon", norm->epsilon});
  std::vector<Value*> inputs = {x, scale};
  if (bias != nullptr) inputs.push_back(bias);
  Value* y = b.Op(op, inputs, attrs);
  if (y == nullptr) return b.status();
  for (Node* added : b.added()) added->set_device(node.device());
  if (!SameType(*y, *norm->last->output())) return refuse("its result has another shape");
  if (!context.Spend()) return false;
  context.Applied(kPass, node, absl::StrCat(AllOf(*norm).size(), " nodes are ", op));
  patch.Replace(norm->last->output(), y);
  if (absl::Status s = patch.Commit(); !s.ok()) return s;
  return true;
}

// A norm's last node stands behind its division, where a walk would go on: after each one the walk
// begins anew.
absl::StatusOr<bool> RecognizeOne(Graph& graph, PassContext& context) {
  for (const auto& node : graph.nodes()) {
    for (const auto& [name, body] : node->bodies()) {
      if (IsSealed(*node)) break;
      absl::StatusOr<bool> inside = RecognizeOne(*body, context);
      if (!inside.ok() || *inside) return inside;
    }
    absl::StatusOr<bool> found = Visit(*node, context);
    if (!found.ok() || *found) return found;
  }
  return false;
}

}  // namespace

absl::StatusOr<bool> RecognizeNorms::Run(Graph& graph, PassContext& context) const {
  for (bool changed = false;; changed = true) {
    absl::StatusOr<bool> found = RecognizeOne(graph, context);
    if (!found.ok()) return found;
    if (!*found) return changed;
  }
}

}  // namespace sluice
