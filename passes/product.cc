#include "passes/product.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include "absl/algorithm/container.h"
#include "graph/file_pages.h"
#include "passes/match.h"

namespace sluice {
namespace {

int64_t ProductOf(absl::Span<const int64_t> dims) {
  int64_t n = 1;
  for (int64_t d : dims) n *= d;
  return n;
}

// Fills in what the weight's extents tell. False where they make no sense.
bool ReadWeight(Product* p) {
  const Node& node = *p->node;
  const std::optional<Dims> known = p->weight->type().StaticDims();
  if (!known.has_value()) return false;
  const absl::Span<const int64_t> dims = *known;
  const bool transposed_conv = node.Is("ConvTranspose");
  if (node.Is("Conv") || transposed_conv) {
    if (dims.size() < 3) return false;
    p->rank = static_cast<int>(dims.size());
    p->channel_axis = 1;
    p->inner = ProductOf(dims.subspan(2));
    if (!transposed_conv) {
      p->channels = p->inner_channels = dims[0];
      p->inner *= dims[1];
      return true;
    }
    const int64_t group = std::max<int64_t>(1, node.Int("group"));
    if (dims[0] % group != 0 || dims[0] == 0) return false;
    p->outer = dims[0];
    p->outer_per_group = dims[0] / group;
    p->inner_channels = dims[1];
    p->channels = dims[1] * group;
    return true;
  }
  if (dims.size() != 2) return false;  // batched weights have channels of their own in each batch
  const std::optional<int> rank = RankOf(node.output());
  if (!rank.has_value() || *rank < 1) return false;
  p->rank = *rank;
  p->channel_axis = *rank - 1;
  const bool rows_first = node.Is("Gemm") && node.Int("transB") != 0;
  p->channels = p->inner_channels = dims[rows_first ? 0 : 1];
  p->outer = rows_first ? 1 : dims[0];
  p->inner = rows_first ? dims[1] : 1;
  p->outer_per_group = std::max<int64_t>(1, p->outer);
  return true;
}

std::optional<Product> FromNode(Node* node) {
  if (node == nullptr || (!node->Is("Conv") && !node->Is("ConvTranspose") && !node->Is("Gemm") &&
                          !node->Is("MatMul"))) {
    return std::nullopt;
  }
  Product p;
  p.node = node;
  p.output = node->output();
  p.weight = node->input(1);
  p.bias = node->input(2);
  if (!p.weight->held() || !p.weight->type().is_tensor() || !IsFloat(DTypeOf(p.weight)) ||
      !ReadWeight(&p)) {
    return std::nullopt;
  }
  if (node->Is("Gemm")) p.bias_scale = node->Float("beta");
  return p;
}

// A MatMul has no bias; the Add behind it is one.
std::optional<Product> FromBiasAdd(Node* add) {
  if (add == nullptr || !add->Is("Add")) return std::nullopt;
  for (size_t i : {0, 1}) {
    Node* matmul = ProducedBy(add->input(i), "MatMul");
    if (matmul == nullptr || OnlyUse(*matmul->output()) != add) continue;
    std::optional<Product> p = FromNode(matmul);
    if (!p.has_value() || !SameType(*p->output, *add->output())) continue;
    p->bias = add->input(1 - i);
    p->output = add->output();
    return p;
  }
  return std::nullopt;
}

// False where a number left the range of T. The largest magnitude is found by its bits, which a
// compiler turns into vectors: models have a hundred million weights.
template <typename T>
bool ScaleRows(const Tensor& weight, const Product& p, absl::Span<const double> scale, Tensor* to) {
  using Bits = std::conditional_t<sizeof(T) == 8, uint64_t,
                                  std::conditional_t<sizeof(T) == 4, uint32_t, uint16_t>>;
  constexpr Bits kMagnitude = static_cast<Bits>(-1) >> 1;
  const Bits infinite = std::bit_cast<Bits>(static_cast<T>(std::numeric_limits<float>::infinity()));
  Bits before = 0, after = 0;
  const T* from = weight.data<T>();
  T* out = to->mutable_data<T>();
  for (int64_t o = 0; o < p.outer; ++o) {
    const double* row = scale.data() + o / p.outer_per_group * p.inner_channels;
    for (int64_t c = 0; c < p.inner_channels; ++c, from += p.inner, out += p.inner) {
      for (int64_t i = 0; i < p.inner; ++i) {
        out[i] = static_cast<T>(static_cast<double>(from[i]) * row[c]);
        before = std::max<Bits>(before, std::bit_cast<Bits>(from[i]) & kMagnitude);
        after = std::max<Bits>(after, std::bit_cast<Bits>(out[i]) & kMagnitude);
      }
    }
  }
  return after < infinite || before >= infinite;
}

void Collect(const Graph& graph, absl::Span<const absl::string_view> ops,
             std::vector<Node*>* products) {
  for (const auto& node : graph.nodes()) {
    if (absl::c_linear_search(ops, node->op().name)) products->push_back(node.get());
    for (const auto& [name, body] : node->bodies()) Collect(*body, ops, products);
  }
}

}  // namespace

std::optional<std::vector<double>> PerChannel(const Value* constant, int rank, int channel_axis,
                                              int64_t channels) {
  const Tensor* t = constant == nullptr ? nullptr : constant->constant();
  if (t == nullptr || !IsFloat(t->dtype()) || t->rank() > rank || t->elements() == 0) return {};
  for (int i = 0; i < t->rank(); ++i) {
    const int axis = rank - t->rank() + i;
    if (t->dims()[i] != 1 && (axis != channel_axis || t->dims()[i] != channels)) return {};
  }
  std::optional<std::vector<double>> values = ConstantDoubles(constant);
  if (values.has_value() && values->size() == 1) values->resize(channels, values->front());
  return values;
}

std::optional<Product> FindProduct(Value* value) {
  if (value == nullptr) return std::nullopt;
  std::optional<Product> p = FromNode(value->producer());
  if (!p.has_value()) p = FromBiasAdd(value->producer());
  if (p.has_value() && p->weight->constant() == nullptr) return std::nullopt;
  if (!p.has_value() || p->bias == nullptr) return p;
  const bool conv = p->channel_axis == 1 && p->node->op().FindAttr("group") != nullptr;
  const bool fits = conv ? PerChannel(p->bias, 1, 0, p->channels).has_value()
                         : PerChannel(p->bias, p->rank, p->channel_axis, p->channels).has_value();
  return fits ? p : std::nullopt;
}

std::optional<Product> FindHeldProduct(Value* value) {
  if (value == nullptr) return std::nullopt;
  std::optional<Product> p = FromNode(value->producer());
  if (!p.has_value() || p->bias == nullptr) return p;
  const bool vector = p->bias->held() && p->bias->type().is_tensor() &&
                      p->bias->type().StaticDims() == Dims{p->channels};
  return vector ? p : std::nullopt;
}

Value* HeldScaledProduct(GraphBuilder& b, const Product& p, Value* scale, Value* shift) {
  const Dims dims = *p.weight->type().StaticDims();
  if (p.outer_per_group != p.outer) return nullptr;  // ConvTranspose in groups
  std::vector<int64_t> along(dims.size(), 1);
  const bool first = p.outer == 1 && dims[0] == p.channels;
  along[first ? 0 : 1] = p.channels;
  const auto same_type = [&](Value* v) { return b.Op("Cast", {v}, {{"to", DTypeOf(p.weight)}}); };
  Value* factors = same_type(b.Op("Reshape", {scale, b.Ints(along)}));
  Value* weight = b.Op("Mul", {p.weight, factors});
  if (p.bias != nullptr) {
    Value* bias = b.Op("Cast", {p.bias}, {{"to", DTypeOf(scale)}});
    if (p.bias_scale != 1) bias = b.Op("Mul", {bias, b.ScalarLike(bias, p.bias_scale)});
    shift = b.Op("Add", {b.Op("Mul", {bias, scale}), shift});
  }
  AttrList attrs(p.node->attrs().begin(), p.node->attrs().end());
  std::erase_if(attrs, [](const auto& a) { return a.first == "beta"; });
  if (!p.node->Is("MatMul"))
    return b.Op(p.node->op_name(), {p.node->input(0), weight, same_type(shift)}, attrs);
  return b.Op("Add", {b.Op("MatMul", {p.node->input(0), weight}, attrs), same_type(shift)});
}

Value* ScaledProduct(GraphBuilder& b, const Product& p, absl::Span<const double> scale,
                     absl::Span<const double> shift) {
  const Tensor& weight = *p.weight->constant();
  Value* new_weight = p.weight;
  bool finite = true;
  if (std::any_of(scale.begin(), scale.end(), [](double s) { return s != 1; })) {
    absl::StatusOr<Tensor> aligned = weight.Aligned();
    absl::StatusOr<Tensor> scaled = Tensor::Allocate(weight.dtype(), weight.dims());
    if (!aligned.ok() || !scaled.ok()) return nullptr;
    VisitDType(
        weight.dtype(),
        [&]<typename T>() {
          if constexpr (!std::is_integral_v<T>) finite = ScaleRows<T>(*aligned, p, scale, &*scaled);
        },
        [] {});
    ReleasePages(weight);
    new_weight = b.Constant(*std::move(scaled));
  }
  std::vector<double> bias(p.channels, 0);
  if (p.bias != nullptr) {
    const bool vector = p.bias->constant()->rank() <= 1;
    bias = *PerChannel(p.bias, vector ? 1 : p.rank, vector ? 0 : p.channel_axis, p.channels);
  }
  bool any_bias = p.bias != nullptr;
  for (int64_t c = 0; c < p.channels; ++c) {
    bias[c] = bias[c] * p.bias_scale * scale[c] + shift[c];
    any_bias |= bias[c] != 0;
  }
  absl::StatusOr<Tensor> rounded = FromDoubles(weight.dtype(), {p.channels}, bias);
  if (!rounded.ok()) return nullptr;
  Value* new_bias = any_bias ? b.Constant(*std::move(rounded)) : nullptr;
  if (any_bias) {
    const std::optional<std::vector<double>> after = ConstantDoubles(new_bias);
    finite &= after.has_value() &&
              std::all_of(after->begin(), after->end(), [](double v) { return std::isfinite(v); });
  }
  if (!finite) return nullptr;
  AttrList attrs(p.node->attrs().begin(), p.node->attrs().end());
  if (!p.node->Is("MatMul")) {
    if (p.node->Is("Gemm")) {
      std::erase_if(attrs, [](const auto& a) { return a.first == "beta"; });
    }
    return b.Op(p.node->op_name(), {p.node->input(0), new_weight, new_bias}, attrs);
  }
  Value* y = b.Op("MatMul", {p.node->input(0), new_weight}, attrs);
  return new_bias == nullptr ? y : b.Op("Add", {y, new_bias});
}

absl::StatusOr<bool> FuseEach(const Graph& graph, absl::Span<const absl::string_view> ops,
                              absl::FunctionRef<absl::StatusOr<bool>(Node&)> fuse) {
  std::vector<Node*> products;
  Collect(graph, ops, &products);
  bool changed = false;
  for (Node* node : products) {
    absl::StatusOr<bool> fused = fuse(*node);
    if (!fused.ok()) return fused;
    changed |= *fused;
  }
  return changed;
}

}  // namespace sluice
