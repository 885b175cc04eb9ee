#include "passes/move_quantization.h"

#include <algorithm>

#include "passes/match.h"
#include "passes/quantization.h"
#include "passes/rewrite.h"

namespace sluice {
namespace {

AttrList AttrsOf(const Node& node) { return {node.attrs().begin(), node.attrs().end()}; }

// The op of `site` on the 8-bit tensor below `d`.
Value* OnQuantized(Site& site, const QuantizedValue& d) {
  std::vector<Value*> inputs(site.node.inputs());
  inputs[0] = d.x;
  return site.b.Op(site.node.op_name(), inputs, AttrsOf(site.node));
}

Value* Dequantized(Site& site, Value* y, const QuantizedValue& d, int64_t axis = 1) {
  return site.b.Op("DequantizeLinear", {y, d.scale, d.zero}, {{"axis", axis}});
}

Value* SinkBelow(Site& site) {
  const std::optional<QuantizedValue> d = ReadDequantize(site.node.input(0));
  if (!d.has_value() || !d->per_tensor) return nullptr;
  return Dequantized(site, OnQuantized(site, *d), *d);
}

// A window of nothing but padding has -infinity for its maximum, for which 8 bits have no place.
bool EveryWindowSeesAnElement(const Node& pool) {
  const std::vector<int64_t> kernel = pool.Ints("kernel_shape"), pads = pool.Ints("pads"),
                             dilations = pool.Ints("dilations");
  if (std::all_of(pads.begin(), pads.end(), [](int64_t p) { return p <= 0; }) &&
      (pool.String("auto_pad").empty() || pool.String("auto_pad") == "NOTSET"))
    return true;
  if (std::any_of(dilations.begin(), dilations.end(), [](int64_t d) { return d != 1; }))
    return false;
  for (size_t i = 0; i < pads.size(); ++i) {
    if (pads[i] >= kernel[i % kernel.size()]) return false;
  }
  return true;
}

Value* SinkBelowMaxPool(Site& site) {
  const std::optional<QuantizedValue> d = ReadDequantize(site.node.input(0));
  if (!d.has_value() || !d->per_tensor) return nullptr;
  if (!RangeOf(*d).has_value()) return site.Refuse("the scale is not known to be positive");
  if (!EveryWindowSeesAnElement(site.node)) return site.Refuse("a window may see padding alone");
  return Dequantized(site, OnQuantized(site, *d), *d);
}

Value* SinkBelowTranspose(Site& site) {
  const std::optional<QuantizedValue> d = ReadDequantize(site.node.input(0));
  const std::optional<int> rank = RankOf(site.node.input(0));
  if (!d.has_value()) return nullptr;
  if (d->per_tensor) return SinkBelow(site);
  if (!rank.has_value()) return nullptr;
  const int64_t from = d->axis < 0 ? d->axis + *rank : d->axis;
  const std::vector<int64_t> perm = site.node.Ints("perm");
  int64_t axis = *rank - 1 - from;  // the default turns all axes round
  for (size_t i = 0; i < perm.size(); ++i) {
    if (perm[i] == from || perm[i] + *rank == from) axis = static_cast<int64_t>(i);
  }
  return Dequantized(site, OnQuantized(site, *d), *d, axis);
}

Value* SinkBelowConcat(Site& site) {
  std::vector<Value*> inputs;
  std::optional<QuantizedValue> first;
  for (Value* v : site.node.inputs()) {
    const std::optional<QuantizedValue> d = ReadDequantize(v);
    if (!d.has_value() || !d->per_tensor) return nullptr;
    if (!first.has_value()) first = d;
    const std::optional<QuantizedRange> range = RangeOf(*d);
    if (!range.has_value() || range != RangeOf(*first)) return nullptr;
    inputs.push_back(d->x);
  }
  if (!first.has_value()) return nullptr;
  return Dequantized(site, site.b.Op("Concat", inputs, AttrsOf(site.node)), *first);
}

Value* RiseAboveConcat(Site& site) {
  const std::optional<QuantizedValue> q = ReadQuantize(&site.node);
  if (!q.has_value() || !q->per_tensor) return nullptr;
  Node* concat = ProducedBy(q->x, "Concat");
  if (concat == nullptr || !concat->control_inputs().empty()) return nullptr;
  if (OnlyUse(*q->x) == nullptr) return site.Refuse(WhyNotOnlyUse(*q->x));
  std::vector<Value*> inputs;
  for (Value* v : concat->inputs()) {
    inputs.push_back(site.b.Op("QuantizeLinear", {v, q->scale, q->zero}, AttrsOf(site.node)));
  }
  return site.b.Op("Concat", inputs, AttrsOf(*concat));
}

Value* CancelPair(Site& site) {
  const std::optional<QuantizedValue> q = ReadQuantize(&site.node);
  if (!q.has_value() || !q->per_tensor) return nullptr;
  const std::optional<QuantizedValue> d = ReadDequantize(q->x);
  if (!d.has_value() || !d->per_tensor || !RangeOf(*q).has_value() || RangeOf(*q) != RangeOf(*d)) {
    return nullptr;
  }
  return d->x;
}

constexpr char kSinks[] = "it reads the 8-bit tensor and is dequantized after";
constexpr Rule kRules[] = {
    {"Reshape", kSinks, SinkBelow},
    {"Flatten", kSinks, SinkBelow},
    {"Squeeze", kSinks, SinkBelow},
    {"Unsqueeze", kSinks, SinkBelow},
    {"Slice", kSinks, SinkBelow},
    {"Identity", kSinks, SinkBelow},
    {"Transpose", kSinks, SinkBelowTranspose},
    {"MaxPool", kSinks, SinkBelowMaxPool},
    {"Concat", kSinks, SinkBelowConcat},
    {"QuantizeLinear", "quantizing what was just dequantized is nothing", CancelPair},
    {"QuantizeLinear", "each part is quantized before they are joined", RiseAboveConcat},
};

}  // namespace

absl::StatusOr<bool> MoveQuantization::Run(Graph& graph, PassContext& context) const {
  return ApplyRules(graph, context, name(), kRules);
}

}  // namespace sluice
