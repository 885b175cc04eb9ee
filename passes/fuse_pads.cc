#include "passes/fuse_pads.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "passes/match.h"
#include "passes/rewrite.h"

namespace sluice {
namespace {

constexpr int64_t kMost = std::numeric_limits<int32_t>::max();  // of one pad

// Pads of every axis, [begin..., end...]; empty with `reason` where they cannot go into a window.
std::optional<std::vector<int64_t>> ZeroPads(const Node& pad, int rank, std::string* reason) {
  const auto refuse = [&](absl::string_view why) {
    *reason = std::string(why);
    return std::nullopt;
  };
  if (pad.String("mode") != "constant") return refuse("its mode is not constant");
  if (pad.input(2) != nullptr && !IsFilledWith(pad.input(2), 0)) return refuse("it is no zero");
  const std::optional<std::vector<int64_t>> list = ConstantInts(pad.input(1));
  if (!list.has_value()) return refuse("its pads are not constant");
  std::vector<int64_t> axes;
  if (pad.input(3) != nullptr) {
    const std::optional<std::vector<int64_t>> given = ConstantInts(pad.input(3));
    if (!given.has_value()) return refuse("its axes are not constant");
    axes = *given;
  } else {
    for (int i = 0; i < rank; ++i) axes.push_back(i);
  }
  if (list->size() != 2 * axes.size()) return refuse("its pads do not fit its axes");
  std::vector<int64_t> all(static_cast<size_t>(2 * rank));
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
    if (axis < 0 || axis >= rank) return refuse("an axis is out of range");
    for (size_t end : {size_t{0}, size_t{1}}) {
      const int64_t n = (*list)[i + end * axes.size()];
      if (n < 0 || n > kMost) return refuse("it crops, or pads by too much");
      if (n > 0 && axis < 2) return refuse("it pads batch or channels");
      all[static_cast<size_t>(axis) + end * static_cast<size_t>(rank)] += n;
    }
  }
  return all;
}

Value* IntoWindow(Site& s) {
  const Node* pad = ProducedBy(s.node.input(0), "Pad");
  if (pad == nullptr) return nullptr;
  const std::optional<int> rank = RankOf(s.node.input(0));
  if (!rank.has_value() || *rank < 3) return nullptr;
  const std::string auto_pad = s.node.String("auto_pad");
  if (auto_pad != "NOTSET" && auto_pad != "VALID") {
    return s.Refuse("the padding before it stays: its own is automatic");
  }
  std::string reason;
  const std::optional<std::vector<int64_t>> zeros = ZeroPads(*pad, *rank, &reason);
  if (!zeros.has_value()) return s.Refuse(absl::StrCat("the Pad before it stays: ", reason));
  const size_t spatial = static_cast<size_t>(*rank - 2);
  std::vector<int64_t> pads = auto_pad == "VALID" ? std::vector<int64_t>() : s.node.Ints("pads");
  pads.resize(2 * spatial);
  const bool own = std::any_of(pads.begin(), pads.end(), [](int64_t p) { return p != 0; });
  AttrList attrs;
  for (const auto& [name, value] : s.node.attrs()) {
    if (name != "pads" && name != "auto_pad" && name != "count_include_pad") {
      attrs.push_back({name, value});
    }
  }
  if (s.node.Is("AveragePool")) {
    if (own && s.node.Int("count_include_pad") == 0) {
      return s.Refuse("the Pad before it stays: its own padding does not count");
    }
    if (s.node.Int("ceil_mode") != 0) {
      return s.Refuse("the Pad before it stays: the number of windows is rounded up");
    }
    attrs.push_back({"count_include_pad", 1});
  }
  for (size_t i = 0; i < spatial; ++i) {
    pads[i] += (*zeros)[i + 2];
    pads[i + spatial] += (*zeros)[i + 2 + static_cast<size_t>(*rank)];
    if (std::max(pads[i], pads[i + spatial]) > kMost) return nullptr;
  }
  attrs.push_back({"pads", pads});
  std::vector<Value*> inputs = s.node.inputs();
  inputs[0] = pad->input(0);
  return s.b.Op(s.node.op_name(), inputs, attrs);
}

constexpr Rule kRules[] = {
    {"Conv", "the Pad before it is its own padding", IntoWindow},
    {"AveragePool", "the Pad before it is its own padding", IntoWindow},
};

}  // namespace

absl::StatusOr<bool> FusePads::Run(Graph& graph, PassContext& context) const {
  // A Pad before another one stands before the window once that is gone.
  bool changed = false;
  while (true) {
    const absl::StatusOr<bool> more = ApplyRules(graph, context, name(), kRules);
    if (!more.ok()) return more;
    if (!*more) return changed;
    changed = true;
  }
}

}  // namespace sluice
