#include "passes/head_view.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/string_view.h"
#include "passes/match.h"

namespace sluice {
namespace {

using Part = HeadView::Part;
using Axes = std::vector<std::vector<Part>>;

bool Whole(const Part& p) { return p.begin == 0 && p.total == p.extent; }

std::vector<Part> Flat(const Axes& axes) {
  std::vector<Part> parts;
  for (const auto& axis : axes) parts.insert(parts.end(), axis.begin(), axis.end());
  return parts;
}

// The same parts as axes of these extents, split where one reaches over several axes.
std::optional<Axes> Regroup(std::vector<Part> parts, const Shape& shape) {
  Axes axes;
  size_t next = 0;
  for (const Dim& extent : shape) {
    auto& axis = axes.emplace_back();
    Dim product = 1;
    while (product != extent) {
      if (next == parts.size()) return std::nullopt;
      Part& part = parts[next];
      const std::optional<Dim> needed = ExactDiv(extent, product);
      if (!needed.has_value()) return std::nullopt;
      if (ExactDiv(*needed, part.total).has_value()) {
        product = product * part.total;
        axis.push_back(part);
        ++next;
        continue;
      }
      const std::optional<Dim> rest = ExactDiv(part.total, *needed);
      if (!rest.has_value() || !Whole(part)) return std::nullopt;
      axis.push_back({part.label, *needed, part.inner * *rest, 0, *needed});
      part = {part.label, *rest, part.inner, 0, *rest};
      product = extent;
    }
  }
  return next == parts.size() ? std::optional(axes) : std::nullopt;
}

bool KnownShape(const Value* value) {
  if (!RankOf(value).has_value()) return false;
  const Shape& shape = value->type().shape();
  return std::none_of(shape.begin(), shape.end(), [](const Dim& d) { return d.is_unknown(); });
}

std::optional<Axes> ThroughTranspose(const Axes& axes, const Node& node, bool up) {
  const std::optional<std::vector<int64_t>> perm = Permutation(node);
  if (!perm.has_value() || perm->size() != axes.size()) return std::nullopt;
  Axes result(axes.size());
  for (size_t i = 0; i < axes.size(); ++i) {
    const size_t from = static_cast<size_t>((*perm)[i]);
    (up ? result[from] : result[i]) = axes[up ? i : from];
  }
  return result;
}

std::optional<Axes> ThroughExpand(Axes axes, const Node& node) {
  const Shape &in = node.input(0)->type().shape(), &out = node.output()->type().shape();
  if (in.size() != out.size()) return std::nullopt;
  for (size_t i = 0; i < in.size(); ++i) {
    if (in[i] == out[i]) continue;
    if (in[i] != Dim(1)) return std::nullopt;
    axes[i].clear();
  }
  return axes;
}

std::optional<int> AxisOf(const Node& node, int64_t axis) {
  const int rank = *RankOf(node.input(0));
  if (axis < 0) axis += rank;
  return axis < 0 || axis >= rank ? std::nullopt : std::optional(static_cast<int>(axis));
}

// Elements [begin, begin + length) of one axis of `total`.
std::optional<Axes> ThroughRange(Axes axes, int at, int64_t begin, const Dim& length,
                                 const Dim& total) {
  auto& axis = axes[static_cast<size_t>(at)];
  if (!length.is_number() || !total.is_number() || length.number() < 1 || begin < 0 ||
      begin > total.number() - length.number()) {
    return std::nullopt;
  }
  if (axis.empty()) {  // one of them
    axis.push_back({'x', 1, 1, begin, total});
    return axes;
  }
  Part& first = axis.front();
  if (!Whole(first) || !first.extent.is_number() || first.extent.number() < 1) return std::nullopt;
  const int64_t inner = length.number() / first.extent.number();
  if (begin % inner != 0 || total.number() % inner != 0) return std::nullopt;
  first.begin = begin / inner;
  first.total = total.number() / inner;
  return axes;
}

std::optional<Axes> ThroughGather(Axes axes, const Node& node) {
  const std::optional<double> index = ConstantScalar(node.input(1));
  const std::optional<int> at = AxisOf(node, node.Int("axis"));
  if (!index.has_value() || !at.has_value() || RankOf(node.input(1)) > 1) return std::nullopt;
  const Dim& total = node.input(0)->type().dim(*at);
  if (!total.is_number()) return std::nullopt;
  const int64_t i = static_cast<int64_t>(*index) + (*index < 0 ? total.number() : 0);
  if (RankOf(node.input(1)) == 0) axes.insert(axes.begin() + *at, std::vector<Part>());
  return ThroughRange(std::move(axes), *at, i, 1, total);
}

std::optional<Axes> ThroughSlice(Axes axes, const Node& node) {
  const auto starts = ConstantInts(node.input(1)), which = ConstantInts(node.input(3));
  if (!starts.has_value() || starts->size() != 1) return std::nullopt;
  if (node.input(4) != nullptr && !IsFilledWith(node.input(4), 1)) return std::nullopt;
  if (node.input(3) != nullptr && (!which.has_value() || which->size() != 1)) return std::nullopt;
  const std::optional<int> at = AxisOf(node, which.has_value() ? which->front() : 0);
  if (!at.has_value()) return std::nullopt;
  const Dim &length = node.output()->type().dim(*at), &total = node.input(0)->type().dim(*at);
  if (!total.is_number()) return std::nullopt;
  const int64_t begin = starts->front() + (starts->front() < 0 ? total.number() : 0);
  return ThroughRange(std::move(axes), *at, begin, length, total);
}

std::optional<Axes> ThroughSplit(Axes axes, const Node& node, size_t output) {
  const std::optional<int> at = AxisOf(node, node.Int("axis"));
  if (!at.has_value()) return std::nullopt;
  int64_t begin = 0;
  for (size_t i = 0; i < output; ++i) {
    if (!KnownShape(node.output(i)) || !node.output(i)->type().dim(*at).is_number())
      return std::nullopt;
    begin += node.output(i)->type().dim(*at).number();
  }
  return ThroughRange(std::move(axes), *at, begin, node.output(output)->type().dim(*at),
                      node.input(0)->type().dim(*at));
}

}  // namespace

std::optional<HeadView> HeadView::Of(Value* value, const char* last, int64_t heads) {
  if (!KnownShape(value)) return std::nullopt;
  const Shape& shape = value->type().shape();
  const int rank = static_cast<int>(shape.size()), lead = rank - 2;
  if (lead < 0) return std::nullopt;
  HeadView view{value, Axes(shape.size())};
  auto add = [&](int axis, char label, const Dim& extent, const Dim& inner) {
    if (extent != Dim(1))
      view.axes[static_cast<size_t>(axis)].push_back({label, extent, inner, 0, extent});
  };
  if (lead == 1 && heads > 0) {
    const std::optional<Dim> outer = ExactDiv(shape[0], heads);
    if (!outer.has_value()) return std::nullopt;
    add(0, 'b', *outer, 1);
    add(0, 'h', heads, 1);
  } else {
    if (lead > 1) add(lead - 1, 'h', shape[static_cast<size_t>(lead - 1)], 1);
    Dim inner = 1;
    for (int i = lead > 1 ? lead - 2 : lead - 1; i >= 0; --i) {
      add(i, 'b', shape[static_cast<size_t>(i)], inner);
      inner = inner * shape[static_cast<size_t>(i)];
    }
  }
  for (int i = 0; i < 2; ++i) {
    const int axis = lead + i;
    add(axis, last[i], shape[static_cast<size_t>(axis)], 1);
  }
  return view;
}

bool HeadView::Up() {
  const Node* node = value->producer();
  if (node == nullptr || !KnownShape(node->input(0)) || !KnownShape(value)) return false;
  if (!node->control_inputs().empty() || !node->control_uses().empty()) return false;
  Value* from = node->input(0);
  std::optional<Axes> through;
  double factor = 1;
  if (node->Is("Transpose")) {
    through = ThroughTranspose(axes, *node, true);
  } else if (IsView(node)) {
    through = Regroup(Flat(axes), from->type().shape());
  } else if (node->Is("Expand")) {
    through = ThroughExpand(axes, *node);
  } else if (node->Is("Gather")) {
    through = ThroughGather(axes, *node);
  } else if (node->Is("Slice")) {
    through = ThroughSlice(axes, *node);
  } else if (node->Is("Split")) {
    through = ThroughSplit(axes, *node, value->output_index());
  } else if (const std::optional<Scaling> scaling = ScalingOf(*node); scaling.has_value()) {
    from = scaling->value;
    factor = scaling->factor;
    through = axes;
  }
  if (!through.has_value()) return false;
  value = from;
  axes = *std::move(through);
  scale *= factor;
  return true;
}

bool HeadView::Down(const Node& user) {
  if (!KnownShape(user.output())) return false;
  std::optional<Axes> through;
  if (user.Is("Transpose")) through = ThroughTranspose(axes, user, false);
  if (IsView(&user)) through = Regroup(Flat(axes), user.output()->type().shape());
  if (!through.has_value()) return false;
  value = user.output();
  axes = *std::move(through);
  return true;
}

int64_t HeadView::SplitBatch() const {
  const Part* found[2] = {nullptr, nullptr};
  for (const auto& axis : axes) {
    for (const Part& p : axis) {
      if (p.label == 'h') return 0;
      if (p.label == 'b') (p.inner == Dim(1) ? found[1] : found[0]) = &p;
    }
  }
  const bool two = found[0] != nullptr && found[1] != nullptr &&
                   found[0]->inner == found[1]->extent && found[1]->extent.is_number();
  return two ? found[1]->extent.number() : 0;
}

std::optional<HeadForm> FormOf(const HeadView& view) {
  std::vector<Part> parts;
  for (const Part& p : Flat(view.axes)) {
    if (p.total == Dim(1)) continue;
    Part* last = parts.empty() ? nullptr : &parts.back();
    const bool index = last != nullptr && last->label == 'x';
    if (index || (last != nullptr && last->label == p.label && last->inner == p.inner * p.extent)) {
      if (!Whole(p) || (last->begin != 0 && !p.extent.is_number())) return std::nullopt;
      const int64_t begin = last->begin == 0 ? 0 : last->begin * p.extent.number();
      *last = {p.label, index ? p.extent : last->extent * p.extent, p.inner, begin,
               last->total * p.extent};
    } else {
      parts.push_back(p);
    }
  }
  HeadForm form;
  form.batch = form.heads = form.rows = form.size = 1;
  for (const Part& p : parts) {
    if (p.label == 'x' || form.layout.find(p.label) != std::string::npos) return std::nullopt;
    const bool may_slice = p.label == 'h' || p.label == 'd';
    if (!Whole(p) && (!may_slice || !p.extent.is_number())) return std::nullopt;
    if (p.inner != Dim(1) && p.label != 'h') return std::nullopt;
    form.sliced |= !Whole(p);
    switch (p.label) {
      case 'b':
        form.batch = p.extent;
        break;
      case 's':
        form.rows = p.extent;
        break;
      case 'd':
        form.size = p.extent;
        form.size_begin = p.begin;
        break;
      default:
        form.heads = p.extent;
        form.head_begin = p.begin;
        form.repeats = p.inner;
    }
    form.layout += p.label;
    form.shape.push_back(p.total);
  }
  for (char label : {'s', 'h', 'b'}) {
    if (form.layout.find(label) != std::string::npos) continue;
    form.layout.insert(form.layout.begin(), label);
    form.shape.insert(form.shape.begin(), 1);
  }
  return form.layout.size() == 4 ? std::optional(form) : std::nullopt;
}

}  // namespace sluice
