#include "ops/loop_space.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "graph/effects.h"

namespace sluice {
namespace {

class Finder {
 public:
  absl::StatusOr<LoopSpace> Find(absl::Span<const Node* const> nodes) {
    constexpr size_t kMaxNodes = 1024;
    if (nodes.size() > kMaxNodes) return No(absl::StrCat("more than ", kMaxNodes, " nodes"));
    for (const Node* node : nodes) {
      if (absl::Status s = Add(*node); !s.ok()) {
        return absl::UnimplementedError(
            absl::StrCat(node->op_name(), " '", node->name(), "': ", s.message()));
      }
    }
    return Collect();
  }

 private:
  using Axes = std::vector<int>;

  static absl::Status No(absl::string_view why) { return absl::UnimplementedError(why); }

  int Root(int loop) const {
    while (parent_[loop] != loop) loop = parent_[loop];
    return loop;
  }
  absl::Status Join(int* loop, int other) {
    if (*loop < 0) return *loop = other, absl::OkStatus();
    const int a = Root(*loop), b = Root(other);
    if (a != b && extents_[a] != extents_[b]) {
      return No(absl::StrCat("extents ", extents_[a].ToString(), " and ", extents_[b].ToString(),
                             " may differ"));
    }
    parent_[std::max(a, b)] = std::min(a, b);
    return absl::OkStatus();
  }

  // Of a value that none of the nodes made: loops of its own.
  absl::StatusOr<Axes> AxesOf(const Value& v) {
    if (auto known = axes_.find(&v); known != axes_.end()) return known->second;
    if (!v.type().is_tensor() || !v.type().has_shape())
      return No("the rank of an input is unknown");
    Axes axes;
    for (const Dim& d : v.type().shape()) {
      if (d.is_unknown()) return No("an extent is unknown");
      const bool one = d.is_number() && d.number() == 1;
      axes.push_back(one ? -1 : static_cast<int>(parent_.size()));
      if (one) continue;
      parent_.push_back(axes.back());
      extents_.push_back(d);
    }
    return axes_[&v] = std::move(axes);
  }

  absl::Status Add(const Node& node) {
    for (size_t i = 0; i < node.num_outputs(); ++i) {
      const Type& type = node.output(i)->type();
      if (!type.is_tensor() || !type.has_shape()) return No("the rank of its output is unknown");
    }
    switch (RoleInLoop(node)) {
      case LoopRole::kPointwise:
        return Broadcast(node, 0);
      case LoopRole::kGenerate:
        if (node.input(2) == nullptr) return AxesOf(*node.output()).status();
        return Broadcast(node, 1);
      case LoopRole::kView:
        return View(node);
      case LoopRole::kReduce:
      case LoopRole::kNormalize:
        return Reduce(node);
      case LoopRole::kNone:
        break;
    }
    return No("it is no loop");
  }

  absl::Status JoinRight(const Axes& from, Axes* to) {
    for (size_t k = 1; k <= from.size(); ++k) {
      const int loop = from[from.size() - k];
      if (loop < 0) continue;
      if (k > to->size()) return No("an input has a higher rank than the result");
      if (absl::Status s = Join(&(*to)[to->size() - k], loop); !s.ok()) return s;
    }
    return absl::OkStatus();
  }

  // Of the inputs from `first` on.
  absl::Status Broadcast(const Node& node, size_t first) {
    Axes out(node.output()->type().rank(), -1);
    for (size_t i = first; i < node.num_inputs(); ++i) {
      const Value* v = node.input(i);
      if (v == nullptr) continue;
      absl::StatusOr<Axes> in = AxesOf(*v);
      if (!in.ok()) return in.status();
      if (absl::Status s = JoinRight(*in, &out); !s.ok()) return s;
    }
    axes_[node.output()] = std::move(out);
    return absl::OkStatus();
  }

  absl::Status View(const Node& node) {
    absl::StatusOr<Axes> in = AxesOf(*node.input(0));
    if (!in.ok()) return in.status();
    const Shape& from = node.input(0)->type().shape();
    const Shape& to = node.output()->type().shape();
    Axes out;
    if (node.Is("Transpose")) {
      std::vector<int64_t> perm = node.Ints("perm");
      if (perm.empty()) {
        for (size_t i = from.size(); i-- > 0;) perm.push_back(static_cast<int64_t>(i));
      }
      for (int64_t p : perm) out.push_back((*in)[p]);
      axes_[node.output()] = std::move(out);
      return absl::OkStatus();
    }
    size_t next = 0;
    const auto skip_ones = [&] {
      while (next < in->size() && (*in)[next] < 0) ++next;
      return next < in->size();
    };
    for (const Dim& d : to) {
      if (d.is_number() && d.number() == 1) {
        out.push_back(-1);
      } else if (skip_ones() && from[next] == d) {
        out.push_back((*in)[next++]);
      } else {
        return No("it merges or splits axes");
      }
    }
    if (skip_ones()) return No("it merges or splits axes");
    axes_[node.output()] = std::move(out);
    return absl::OkStatus();
  }

  absl::Status Reduce(const Node& node) {
    const Value& x = *node.input(0);
    absl::StatusOr<Axes> in = AxesOf(x);
    if (!in.ok()) return in.status();
    const std::optional<std::vector<int>> reduced = ReducedAxes(node);
    if (!reduced.has_value()) return No("its axes are not known");
    Axes loops, kept = *in;
    for (int axis : *reduced) {
      if (kept[axis] >= 0) loops.push_back(kept[axis]);
      kept[axis] = -1;
    }
    if (!loops.empty()) reductions_.push_back(std::move(loops));
    if (RoleInLoop(node) == LoopRole::kReduce) {
      if (node.Int("keepdims") == 0) {
        for (size_t k = reduced->size(); k-- > 0;) kept.erase(kept.begin() + (*reduced)[k]);
      }
      axes_[node.output()] = std::move(kept);
      return absl::OkStatus();
    }
    for (size_t i = 1; i < node.num_inputs(); ++i) {  // scale and bias
      if (node.input(i) == nullptr) continue;
      absl::StatusOr<Axes> parameter = AxesOf(*node.input(i));
      if (!parameter.ok()) return parameter.status();
      if (absl::Status s = JoinRight(*parameter, &*in); !s.ok()) return s;
    }
    axes_[node.output()] = *std::move(in);
    for (size_t i = 1; i < node.num_outputs(); ++i) axes_[node.output(i)] = kept;
    return absl::OkStatus();
  }

  // Numbers the loops that are left, and checks that they fit together.
  absl::StatusOr<LoopSpace> Collect() {
    LoopSpace space;
    std::vector<int> number(parent_.size(), -1);
    for (size_t i = 0; i < parent_.size(); ++i) {
      const int root = Root(static_cast<int>(i));
      if (number[root] < 0) {
        number[root] = static_cast<int>(space.extents.size());
        space.extents.push_back(extents_[root]);
      }
      number[i] = number[root];
    }
    for (auto& [value, axes] : axes_) {
      std::vector<bool> seen(space.extents.size(), false);
      for (int& loop : axes) {
        if (loop < 0) continue;
        loop = number[loop];
        if (seen[loop]) {
          return No(absl::StrCat("'", value->name(), "' would run over one loop with two axes"));
        }
        seen[loop] = true;
      }
    }
    space.reduced.assign(space.extents.size(), false);
    for (size_t r = 0; r < reductions_.size(); ++r) {
      std::vector<bool> reduced(space.extents.size(), false);
      for (int loop : reductions_[r]) reduced[number[loop]] = true;
      if (r > 0 && reduced != space.reduced) return No("reductions go over different loops");
      space.reduced = std::move(reduced);
    }
    space.axes = std::move(axes_);
    return space;
  }

  std::vector<int> parent_;  // of a loop in its set
  std::vector<Dim> extents_;
  std::vector<Axes> reductions_;
  absl::flat_hash_map<const Value*, Axes> axes_;
};

}  // namespace

LoopRole RoleInLoop(const Node& node) {
  return IsPure(node) && node.bodies().empty() ? node.op().loop_role : LoopRole::kNone;
}

bool IsLoopParameter(const Node& node, size_t i) {
  return RoleInLoop(node) != LoopRole::kNone && node.op().InputParam(i)->role != InputRole::kData;
}

std::optional<std::vector<int>> ReducedAxes(const Node& node) {
  const Type& x = node.input(0)->type();
  if (!x.is_tensor() || !x.has_shape()) return std::nullopt;
  std::vector<int64_t> given;
  if (RoleInLoop(node) == LoopRole::kNormalize) {
    given.push_back(node.Int("axis"));
  } else if (node.input(1) != nullptr) {
    const Tensor* axes = node.input(1)->constant();
    if (axes == nullptr || !axes->AsInts().has_value()) return std::nullopt;
    given = *axes->AsInts();
  }
  std::vector<int> all(x.rank());
  std::iota(all.begin(), all.end(), 0);
  if (given.empty()) return node.Int("noop_with_empty_axes") != 0 ? std::vector<int>() : all;
  std::vector<int> axes;
  for (int64_t axis : given) {
    if (axis < -x.rank() || axis >= x.rank()) return std::nullopt;
    axes.push_back(static_cast<int>(axis < 0 ? axis + x.rank() : axis));
  }
  std::sort(axes.begin(), axes.end());
  axes.erase(std::unique(axes.begin(), axes.end()), axes.end());
  if (node.Is("LayerNormalization") || node.Is("RMSNormalization")) {
    all.erase(all.begin(), all.begin() + axes[0]);
    return all;
  }
  return axes;
}

absl::StatusOr<LoopSpace> FindLoopSpace(absl::Span<const Node* const> nodes) {
  return Finder().Find(nodes);
}

LoopSpace::Cover LoopSpace::CoverOf(const Value& value) const {
  std::vector<bool> has(extents.size(), false);
  bool any = false;
  for (int loop : axes.at(&value)) {
    if (loop >= 0) has[loop] = any = true;
  }
  bool all = true, kept = true;
  for (size_t i = 0; i < extents.size(); ++i) {
    all &= has[i];
    kept &= has[i] != reduced[i];
  }
  return all ? Cover::kAll : kept ? Cover::kKept : any ? Cover::kPart : Cover::kOne;
}

bool LoopSpace::reduces() const {
  return std::find(reduced.begin(), reduced.end(), true) != reduced.end();
}

}  // namespace sluice
