#include "passes/fold_batch_norm.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "graph/text.h"
#include "passes/match.h"
#include "passes/product.h"
#include "passes/rewrite.h"

namespace sluice {
namespace {

bool IsProductOp(const Node* node) {
  return node != nullptr &&
         (node->Is("Conv") || node->Is("ConvTranspose") || node->Is("Gemm") || node->Is("MatMul"));
}

// Asks whether nothing else reads the product `x`, and what it is.
std::optional<Product> ProductBefore(Site& s, Value* x) {
  std::optional<Product> p = FindProduct(x);
  if (!p.has_value()) {
    if (IsProductOp(x->producer())) {
      s.Refuse(absl::StrCat("the weights or the bias of the ", x->producer()->op_name(),
                            " before it are not constant floats"));
    }
    return std::nullopt;
  }
  if (OnlyUse(*x) != &s.node) {
    s.Refuse(absl::StrCat(p->node->op_name(), " before it: ", WhyNotOnlyUse(*x)));
    return std::nullopt;
  }
  return p;
}

Value* Fold(Site& s, const Product& p, absl::Span<const double> scale,
            absl::Span<const double> shift) {
  Value* y = ScaledProduct(s.b, p, scale, shift);
  return y != nullptr ? y : s.Refuse("a weight would leave the range of its type");
}

bool IsVector(const Value* v, int64_t elements) {
  return v->type().is_tensor() && v->type().StaticDims() == Dims{elements};
}

// The same as nodes, for weights and parameters that are variables: they run once a version.
Value* HeldBatchNorm(Site& s) {
  const Node& node = s.node;
  const std::optional<Product> p = FindHeldProduct(node.input(0));
  if (!p.has_value() || p->channel_axis != 1 || node.Int("training_mode") != 0 ||
      OnlyUse(*node.input(0)) != &node)
    return nullptr;
  GraphBuilder& b = s.b;
  Value* wide[4];  // scale, bias, mean, variance
  for (size_t i = 0; i < 4; ++i) {
    Value* v = node.input(i + 1);
    if (!v->held() || !IsVector(v, p->channels)) return nullptr;
    wide[i] = b.Op("Cast", {v}, {{"to", DType::kF64}});
  }
  Value* variance = b.Op("Add", {wide[3], b.ScalarLike(wide[3], node.Float("epsilon"))});
  Value* scale = b.Op("Div", {wide[0], b.Op("Sqrt", {variance})});
  Value* shift = b.Op("Sub", {wide[1], b.Op("Mul", {wide[2], scale})});
  return HeldScaledProduct(b, *p, scale, shift);
}

Value* BatchNormRule(Site& s) {
  const Node& node = s.node;
  if (node.input(0)->producer() == nullptr) return nullptr;
  bool known = true;
  for (size_t i = 1; i < 5; ++i) known &= node.input(i)->constant() != nullptr;
  const Node& before = *node.input(0)->producer();
  for (size_t i = 1; i < before.num_inputs() && i < 3 && IsProductOp(&before); ++i)
    known &= before.input(i) == nullptr || before.input(i)->constant() != nullptr;
  if (!known) {
    if (Value* held = HeldBatchNorm(s); held != nullptr) return held;
  }
  const std::optional<Product> p = ProductBefore(s, node.input(0));
  if (!p.has_value()) return nullptr;
  if (node.Int("training_mode") != 0) return s.Refuse("it is in training mode");
  if (p->channel_axis != 1) return s.Refuse("its channels are not those of the product before it");
  std::vector<double> parameters[4];  // scale, bias, mean, variance
  for (size_t i = 0; i < 4; ++i) {
    std::optional<std::vector<double>> values = PerChannel(node.input(i + 1), 1, 0, p->channels);
    if (!values.has_value() || values->size() != static_cast<size_t>(p->channels)) {
      return s.Refuse(absl::StrCat("its parameter '", node.op().inputs[i + 1].name,
                                   "' is not a constant of one number a channel"));
    }
    parameters[i] = *std::move(values);
  }
  const double epsilon = node.Float("epsilon");
  std::vector<double> scale(p->channels), shift(p->channels);
  for (int64_t c = 0; c < p->channels; ++c) {
    const double variance = parameters[3][c] + epsilon;
    if (!(variance > 0)) return s.Refuse("a variance plus epsilon is not positive");
    scale[c] = parameters[0][c] / std::sqrt(variance);
    shift[c] = parameters[1][c] - parameters[2][c] * scale[c];
  }
  return Fold(s, *p, scale, shift);
}

// y = x op constant, or constant op x, as x * scale + shift with one number for all of a channel.
Value* ArithmeticRule(Site& s) {
  const Node& node = s.node;
  for (size_t side : {0, 1}) {
    Value *x = node.input(side), *constant = node.input(1 - side);
    if (x->producer() == nullptr || constant->constant() == nullptr) continue;
    if (node.Is("Div") && side == 1) continue;
    // The Add of a bias is what MatMul has for one already.
    if ((node.Is("Add") || node.Is("Sub")) && x->producer()->Is("MatMul")) continue;
    const std::optional<Product> p = ProductBefore(s, x);
    if (!p.has_value()) continue;
    if (node.Is("Add") && p->node->Is("MatMul")) continue;  // two biases: simplify_algebra's
    std::optional<std::vector<double>> c =
        PerChannel(constant, p->rank, p->channel_axis, p->channels);
    if (!c.has_value() || !SameType(*x, *node.output())) {
      return s.Refuse(absl::StrCat("the constant ", Shown(constant->name()),
                                   " is not one number, or one a channel, of the ",
                                   p->node->op_name(), " before it"));
    }
    std::vector<double> scale(p->channels, 1), shift(p->channels, 0);
    for (int64_t i = 0; i < p->channels; ++i) {
      const double v = (*c)[i];
      if ((node.Is("Mul") || node.Is("Div")) && v != 0 && !IsModerate(v, kModerateWeight)) {
        return s.Refuse("its factor is so large or small that the product needs it behind");
      }
      if (node.Is("Mul")) scale[i] = v;
      if (node.Is("Div")) scale[i] = 1 / v;
      if (node.Is("Add")) shift[i] = v;
      if (node.Is("Sub")) shift[i] = side == 0 ? -v : v;
      if (node.Is("Sub") && side == 1) scale[i] = -1;
    }
    return Fold(s, *p, scale, shift);
  }
  return nullptr;
}

constexpr Rule kRules[] = {
    {"BatchNormalization", "folded into the weights before it", BatchNormRule},
    {"Mul", "folded into the weights before it", ArithmeticRule},
    {"Div", "folded into the weights before it", ArithmeticRule},
    {"Add", "folded into the bias before it", ArithmeticRule},
    {"Sub", "folded into the bias before it", ArithmeticRule},
};

}  // namespace

absl::StatusOr<bool> FoldBatchNorm::Run(Graph& graph, PassContext& context) const {
  return ApplyRules(graph, context, name(), kRules);
}

}  // namespace sluice
