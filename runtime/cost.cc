#include "runtime/cost.h"

namespace sluice {
namespace {

// Elements of a tensor, or -1 where an extent is open.
double Elements(const Type& type) {
  std::optional<Dims> dims = type.is_tensor() ? type.StaticDims() : std::nullopt;
  if (!dims.has_value()) return -1;
  double n = 1;
  for (int64_t d : *dims) n *= static_cast<double>(d);
  return n;
}

double Extent(const Type& type, int axis) {
  if (!type.is_tensor() || !type.has_shape()) return -1;
  if (axis < 0) axis += type.rank();
  if (axis < 0 || axis >= type.rank() || !type.dim(axis).is_number()) return -1;
  return static_cast<double>(type.dim(axis).number());
}

const Type& InputType(const Node& node, size_t i) {
  static const Type unknown;
  return node.input(i) == nullptr ? unknown : node.input(i)->type();
}

bool MovesOnly(const Node& node) {
  static const char* const kOps[] = {
      "Reshape",  "Transpose",    "Concat",       "Split",   "Slice",          "Gather",
      "Squeeze",  "Unsqueeze",    "Flatten",      "Expand",  "Tile",           "Pad",
      "Identity", "Constant",     "Shape",        "Size",    "GatherElements", "GatherND",
      "Cast",     "DepthToSpace", "SpaceToDepth", "Variable"};
  for (const char* op : kOps) {
    if (node.Is(op)) return true;
  }
  return false;
}

// -1 where unknown.
double Flops(const Node& node) {
  const double out = Elements(node.output()->type());
  if (out < 0) return -1;
  const bool quantized = node.Is("QuantizedConv") || node.Is("QuantizedMatMul") ||
                         node.Is("QLinearConv") || node.Is("QLinearMatMul");
  const Type &x = InputType(node, 0), &w = InputType(node, quantized ? 3 : 1);
  if (node.Is("MatMul") || node.Is("FusedMatMul") || node.Is("MatMulInteger") ||
      node.Is("QuantizedMatMul") || node.Is("QLinearMatMul")) {
    const double k = Extent(x, node.Is("FusedMatMul") && node.Int("transpose_a") != 0 ? -2 : -1);
    return k < 0 ? -1 : 2 * out * k;
  }
  if (node.Is("Gemm")) {
    const double k = Extent(x, node.Int("transA") != 0 ? 0 : 1);
    return k < 0 ? -1 : 2 * out * k;
  }
  if (node.Is("Conv") || node.Is("FusedConv") || node.Is("ConvInteger") ||
      node.Is("QuantizedConv") || node.Is("QLinearConv")) {
    const double weights = Elements(w), channels = Extent(w, 0);
    return weights < 0 || channels <= 0 ? -1 : 2 * out * weights / channels;
  }
  if (node.Is("ConvTranspose") || node.Is("FusedConvTranspose")) {
    const double in = Elements(x), weights = Elements(w), channels = Extent(w, 0);
    return in < 0 || weights < 0 || channels <= 0 ? -1 : 2 * in * weights / channels;
  }
  if (node.Is("FusedAttention")) {  // two products of queries and keys; masks and slices left out
    const std::vector<std::string> layouts = node.Strings("layouts");
    const size_t at = layouts.size() == 4 ? layouts[1].find('s') : std::string::npos;
    const double keys = at == std::string::npos ? -1 : Extent(w, static_cast<int>(at));
    return keys < 0 ? -1 : 4 * out * keys;
  }
  if (node.Is("LSTM") || node.Is("GRU") || node.Is("RNN")) {
    const double in = Elements(w), recurrent = Elements(InputType(node, 2));
    const double steps = Extent(x, 0) * Extent(x, 1);
    return in < 0 || recurrent < 0 || steps < 0 ? -1 : 2 * steps * (in + recurrent);
  }
  if (node.Is("MaxPool") || node.Is("FusedMaxPool") || node.Is("AveragePool") ||
      node.Is("FusedAveragePool") || node.Is("LpPool")) {
    double window = 1;
    for (int64_t k : node.Ints("kernel_shape")) window *= static_cast<double>(k);
    return out * window;
  }
  if (MovesOnly(node)) return 0;
  return std::max(out, Elements(x));
}

}  // namespace

NodeCost CostOf(const Node& node) {
  NodeCost cost;
  if (node.Is("Constant") || node.Is("Variable")) return cost;
  cost.flops = Flops(node);
  auto traffic = [&](const Type& type) {
    const double n = Elements(type);
    if (n < 0) {
      cost.known = false;
    } else {
      cost.bytes += n * static_cast<double>(ByteSize(type.dtype()));
    }
  };
  for (const Value* v : node.inputs()) {
    if (v != nullptr) traffic(v->type());
  }
  for (size_t i = 0; i < node.num_outputs(); ++i) traffic(node.output(i)->type());
  if (cost.flops < 0) {
    cost.flops = 0;
    cost.known = false;
  }
  return cost;
}

NodeCost CostOf(const Graph& graph) {
  NodeCost total;
  auto add = [&](const NodeCost& c) {
    total.flops += c.flops;
    total.bytes += c.bytes;
    total.known &= c.known;
  };
  for (const auto& node : graph.nodes()) {
    add(CostOf(*node));
    for (const auto& [name, body] : node->bodies()) add(CostOf(*body));
  }
  return total;
}

}  // namespace sluice
