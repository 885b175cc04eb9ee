#include "ops/flops.h"

namespace sluice {

double Elements(const Type& type) {
  const std::optional<Dims> dims = type.is_tensor() ? type.StaticDims() : std::nullopt;
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
  static const auto* const unknown = new Type;
  return node.input(i) == nullptr ? *unknown : node.input(i)->type();
}

double ProductFlops(const Node& node) {
  const bool transposed =
      node.op().FindAttr("transpose_a") != nullptr && node.Int("transpose_a") != 0;
  const double out = Elements(node.output()->type());
  const double k = Extent(InputType(node, 0), transposed ? -2 : -1);
  return out < 0 || k < 0 ? -1 : 2 * out * k;
}

double ConvFlops(const Node& node, size_t weights) {
  const Type& w = InputType(node, weights);
  const double out = Elements(node.output()->type()), n = Elements(w), channels = Extent(w, 0);
  return out < 0 || n < 0 || channels <= 0 ? -1 : 2 * out * n / channels;
}

}  // namespace sluice
