#include "passes/sink_transposes.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "graph/effects.h"
#include "graph/patch.h"
#include "passes/match.h"
#include "passes/product.h"
#include "passes/rewrite.h"

namespace sluice {
namespace {

constexpr char kPass[] = "sink_transposes";
constexpr size_t kMaxPerms = 16;  // each is one walk over the graph

using Perm = std::vector<int64_t>;

Perm Inverted(const Perm& perm) {
  Perm inverse(perm.size());
  for (size_t i = 0; i < perm.size(); ++i)
    inverse[static_cast<size_t>(perm[i])] = static_cast<int64_t>(i);
  return inverse;
}

bool IsTransposeBy(const Node* node, const Perm& perm) {
  return node != nullptr && node->Is("Transpose") && Permutation(*node) == perm;
}

bool HasControl(const Node& node) {
  return !node.control_inputs().empty() || !node.control_uses().empty();
}

bool IsOneElement(const Value& v) {
  const std::optional<Dims> dims = v.type().is_tensor() ? v.type().StaticDims() : std::nullopt;
  return dims.has_value() &&
         std::all_of(dims->begin(), dims->end(), [](int64_t d) { return d == 1; });
}

// The axes of a reduction, sorted and none negative; empty where they are open.
std::optional<Perm> ReducedAxes(const Node& node, int rank) {
  std::optional<Perm> axes = ConstantInts(node.input(1));
  if (!axes.has_value() || axes->empty()) return std::nullopt;
  for (int64_t& a : *axes) {
    if (a < 0) a += rank;
    if (a < 0 || a >= rank) return std::nullopt;
  }
  std::sort(axes->begin(), axes->end());
  return axes;
}

bool IsReduction(const Node& node) { return node.op().loop_role == LoopRole::kReduce; }

// What a tensor operand that is not transposed means to an op.
enum class Others { kStop, kTranspose };

// One permutation: its transposes and all that they may sink through.
class Sinker {
 public:
  Sinker(Graph& graph, Perm perm, Others others, PassContext& context)
      : graph_(graph),
        perm_(std::move(perm)),
        inverse_(Inverted(perm_)),
        others_(others),
        context_(context) {}

  absl::StatusOr<bool> Run() {
    for (const auto& node : graph_.nodes()) {
      if (IsTransposeBy(node.get(), perm_)) {
        if (HasControl(*node)) continue;
        moved_[node->output()] = NewPart();
      } else if (MaySink(*node)) {
        Join(*node);
      }
    }
    Count();
    bool changed = false;
    for (const auto& [node, joined] : ops_) {
      Part& part = parts_[Root(joined)];
      const bool pays = part.after < part.before || (part.after == part.before && part.behind);
      if (!pays) continue;
      if (!part.spent) {
        if (!context_.Spend()) break;
        part.spent = true;
        context_.Applied(kPass, *node,
                         absl::StrCat("of ", part.before, " transposes ", part.after, " are left"));
      }
      if (absl::Status s = Sink(*node, joined); !s.ok()) return s;
      changed = true;
    }
    return changed;
  }

 private:
  // Connected transposes and ops.
  struct Part {
    int parent;
    int before = 0, after = 0;  // transposes
    bool behind = false;        // one is all that reads a product
    bool spent = false;
  };

  size_t rank() const { return perm_.size(); }
  int NewPart() {
    parts_.push_back({static_cast<int>(parts_.size())});
    return parts_.back().parent;
  }
  int Root(int i) {
    while (parts_[i].parent != i) i = parts_[i].parent = parts_[parts_[i].parent].parent;
    return i;
  }
  bool IsMoved(const Value* v) const { return v != nullptr && moved_.contains(v); }

  bool MaySink(const Node& node) const {
    if (!IsMoved(node.input(0)) && !IsMoved(node.input(1)) && !IsMoved(node.input(2))) return false;
    if (HasControl(node) || !IsPure(node) || !node.bodies().empty() || node.num_outputs() != 1)
      return false;
    const int r = static_cast<int>(rank());
    const std::vector<Value*>& in = node.inputs();
    if (IsReduction(node)) {
      if (!IsMoved(in[0]) || in.size() != 2) return false;
      const std::optional<Perm> axes = ReducedAxes(node, r);
      if (!axes.has_value()) return false;
      if (node.Int("keepdims") != 0) return true;
      Perm left;  // the axes that stay must stay in order
      for (int64_t i = 0; i < r; ++i) {
        if (!std::binary_search(axes->begin(), axes->end(), i))
          left.push_back(perm_[static_cast<size_t>(i)]);
      }
      return std::is_sorted(left.begin(), left.end());
    }
    if (node.Is("Concat")) {
      return std::all_of(in.begin(), in.end(), [&](const Value* v) { return IsMoved(v); });
    }
    if (node.Is("Pad")) {
      const std::optional<Perm> pads = ConstantInts(node.input(1));
      return IsMoved(in[0]) && node.input(3) == nullptr && pads.has_value() &&
             pads->size() == 2 * rank();
    }
    if (!node.op().elementwise || node.op().FindAttr("axis") != nullptr) return false;
    return std::all_of(in.begin(), in.end(), [&](const Value* v) {
      if (v == nullptr || IsMoved(v)) return true;
      const std::optional<int> other = RankOf(v);
      if (!other.has_value() || *other > r) return false;
      return v->constant() != nullptr || IsOneElement(*v) ||
             (others_ == Others::kTranspose && *other == r);
    });
  }

  // Needs a transpose of its own where what reads it sinks.
  bool IsOther(const Value* v) const {
    return v != nullptr && !IsMoved(v) && v->constant() == nullptr && !IsOneElement(*v);
  }

  // A reduction that drops its axes ends the part: its result lies as it did.
  bool Ends(const Node& node) const { return IsReduction(node) && node.Int("keepdims") == 0; }

  void Join(Node& node) {
    int part = -1;
    for (const Value* v : node.inputs()) {
      if (!IsMoved(v)) continue;
      const int other = Root(moved_.at(v));
      if (part >= 0) parts_[other].parent = part;
      if (part < 0) part = other;
    }
    ops_.push_back({&node, part});
    inside_.insert(&node);
    if (node.op().elementwise) {
      for (const Value* v : node.inputs()) {
        if (IsOther(v)) needed_.push_back({v, part});
      }
    }
    if (!Ends(node)) moved_[node.output()] = part;
  }

  // A transpose back, which is no source of this permutation.
  bool Undoes(const Use& use) const {
    return use.node != nullptr && use.node->graph() == &graph_ &&
           IsTransposeBy(use.node, inverse_) && !HasControl(*use.node) &&
           !IsMoved(use.node->output());
  }

  // The transposes of each part now, and when it has moved: one for each value that is read
  // outside, by other than an inverse.
  void Count() {
    absl::flat_hash_set<std::pair<const Value*, int>> counted;
    for (const auto& [v, joined] : needed_) {
      const int root = Root(joined);
      if (counted.insert({v, root}).second) ++parts_[root].after;
    }
    for (const auto& node : graph_.nodes()) {
      auto it = node->num_outputs() == 1 ? moved_.find(node->output()) : moved_.end();
      if (it == moved_.end()) continue;
      Part& part = parts_[Root(it->second)];
      const bool source = !inside_.contains(node.get());
      if (source) {
        ++part.before;
        part.behind |=
            OnlyUse(*node->input(0)) == node.get() && FindProduct(node->input(0)).has_value();
      }
      bool outside = node->output()->is_graph_output();
      for (const Use& use : node->output()->uses()) {
        if (inside_.contains(use.node)) continue;
        if (Undoes(use)) {
          ++part.before;
        } else {
          outside = true;
        }
      }
      part.after += outside;
    }
  }

  // The operand before its transpose; others as they broadcast there.
  Value* Before(GraphBuilder& b, Value* v) {
    if (v == nullptr) return nullptr;
    if (IsMoved(v)) return v->producer()->input(0);  // a transpose, or one that has sunk
    if (IsOneElement(*v)) return v;
    if (IsOther(v)) {
      Value*& made = others_made_[v];
      if (made == nullptr) made = b.Op("Transpose", {v}, {{"perm", inverse_}});
      return made;
    }
    const Dims dims = *v->type().StaticDims();
    Perm full(rank() - dims.size(), 1);
    full.insert(full.end(), dims.begin(), dims.end());
    const bool empty = v->constant()->elements() == 0;  // its 0 is an extent, and copies none
    const AttrList attrs = empty ? AttrList{{"allowzero", 1}} : AttrList{};
    return b.Op("Transpose", {b.Op("Reshape", {v, b.Ints(full)}, attrs)}, {{"perm", inverse_}});
  }

  absl::Status Sink(Node& node, int part) {
    Patch patch(&graph_, &node, kPass);
    GraphBuilder& b = patch.builder();
    AttrList attrs(node.attrs().begin(), node.attrs().end());
    std::vector<Value*> inputs;
    if (IsReduction(node)) {
      Perm axes = *ReducedAxes(node, static_cast<int>(rank()));
      for (int64_t& a : axes) a = perm_[static_cast<size_t>(a)];
      inputs = {Before(b, node.input(0)), b.Ints(axes)};
    } else if (node.Is("Pad")) {
      const Perm pads = *ConstantInts(node.input(1));
      Perm moved(pads.size());
      for (size_t i = 0; i < pads.size(); ++i)
        moved[i / rank() * rank() + static_cast<size_t>(perm_[i % rank()])] = pads[i];
      inputs = {Before(b, node.input(0)), b.Ints(moved), node.input(2)};
    } else {
      for (Value* v : node.inputs()) inputs.push_back(Before(b, v));
    }
    if (node.Is("Concat")) {
      int64_t axis = node.Int("axis");
      if (axis < 0) axis += static_cast<int64_t>(rank());
      std::erase_if(attrs, [](const auto& a) { return a.first == "axis"; });
      attrs.push_back({"axis", perm_[static_cast<size_t>(axis)]});
    }
    Value* result = b.Op(node.op_name(), inputs, attrs);
    if (result != nullptr) result->producer()->set_device(node.device());
    Value* replacement = result;
    if (result != nullptr && !Ends(node))
      replacement = b.Op("Transpose", {result}, {{"perm", perm_}});
    if (replacement == nullptr) return b.status();
    for (const Node* made : b.added()) {  // may lie where an erased one lay
      moved_.erase(made->output());
      others_made_.erase(made->output());
    }
    if (!Ends(node)) {
      moved_[replacement] = part;
      for (const Use& use : node.output()->uses()) {
        if (Undoes(use)) patch.Replace(use.node->output(), result);
      }
    }
    patch.Replace(node.output(), replacement);
    return patch.Commit();
  }

  Graph& graph_;
  const Perm perm_, inverse_;
  const Others others_;
  PassContext& context_;
  std::vector<Part> parts_;
  absl::flat_hash_map<const Value*, int> moved_;  // to its part
  std::vector<std::pair<Node*, int>> ops_;        // that sink, in order, each with its part
  absl::flat_hash_set<const Node*> inside_;
  std::vector<std::pair<const Value*, int>> needed_;  // operands as they are not, each with a part
  absl::flat_hash_map<const Value*, Value*> others_made_;  // their transposes
};

absl::StatusOr<bool> RunOn(Graph& graph, PassContext& context) {
  bool changed = false;
  std::set<Perm> perms;
  for (const auto& node : graph.nodes()) {
    for (const auto& [name, body] : node->bodies()) {
      if (IsSealed(*node)) break;
      absl::StatusOr<bool> inner = RunOn(*body, context);
      if (!inner.ok()) return inner;
      changed |= *inner;
    }
    if (!node->Is("Transpose") || perms.size() == kMaxPerms) continue;
    std::optional<Perm> perm = Permutation(*node);
    if (perm.has_value() && !std::is_sorted(perm->begin(), perm->end()))
      perms.insert(*std::move(perm));
  }
  for (const Perm& perm : perms) {
    // What must bring other operands along joins more, and may pay less: it is asked second.
    for (const Others others : {Others::kStop, Others::kTranspose}) {
      absl::StatusOr<bool> sunk = Sinker(graph, perm, others, context).Run();
      if (!sunk.ok()) return sunk;
      changed |= *sunk;
    }
  }
  return changed;
}

}  // namespace

absl::StatusOr<bool> SinkTransposes::Run(Graph& graph, PassContext& context) const {
  return RunOn(graph, context);
}

}  // namespace sluice
