#include "ops/fused_attention.h"

#include <limits>

#include "ops/flops.h"
#include "ops/norm_expansion.h"
#include "ops/op.h"

namespace sluice {
namespace {

constexpr const char* kNames[] = {"Q", "K", "V", "Y"};

absl::Status Wrong(const Node& node, const std::string& what) {
  return NodeError(node, absl::StatusCode::kInvalidArgument, what);
}

// [batch, heads, sequence, size] of input `i`; empty where unknown.
absl::StatusOr<std::optional<Shape>> HeadShape(const InferContext& c, size_t i,
                                               const HeadLayout& at) {
  const Type& type = c.InputType(i);
  if (!type.is_tensor() || !type.has_shape()) return std::nullopt;
  if (type.rank() != 4)
    return c.Error(kNames[i], " must have 4 dimensions, but is ", type.ToString());
  Shape shape = {type.dim(at.batch), type.dim(at.head), type.dim(at.sequence), type.dim(at.size)};
  if (!at.sliced) return shape;
  auto beyond = [](const Dim& extent, int64_t end) {
    return extent.is_number() && extent.number() < end;
  };
  if (beyond(shape[1], at.head_end) || beyond(shape[3], at.size_end))
    return c.Error("ranges of ", kNames[i], " reach beyond its type, ", type.ToString());
  shape[1] = at.head_end - at.head_begin;
  shape[3] = at.size_end - at.size_begin;
  return shape;
}

absl::Status InferFusedAttention(InferContext& c) {
  auto layouts = ReadHeadLayouts(c.node());
  if (!layouts.ok()) return layouts.status();
  std::optional<Shape> shapes[3];
  for (size_t i = 0; i < 3; ++i) {
    auto shape = HeadShape(c, i, (*layouts)[i]);
    if (!shape.ok()) return shape.status();
    shapes[i] = *std::move(shape);
  }
  const DType dtype = c.InputType(0).dtype();
  const auto& [q, k, v] = shapes;
  if (!q || !k || !v) {
    c.SetOutput(0, Type::Tensor(dtype));
    return absl::OkStatus();
  }
  auto differ = [](const Dim& a, const Dim& b) { return ProvablyDifferent(a, b); };
  if (differ((*q)[0], (*k)[0]) || differ((*k)[0], (*v)[0]) || differ((*k)[1], (*v)[1]) ||
      differ((*k)[2], (*v)[2]) || differ((*q)[3], (*k)[3])) {
    return c.Error("Q, K and V as [batch, heads, sequence, size] are ", ShapeToString(*q), ", ",
                   ShapeToString(*k), ", ", ShapeToString(*v),
                   ": batches must agree, Q and K in their size, K and V in heads and sequence");
  }
  if ((*q)[1].is_number() && (*k)[1].is_number() &&
      ((*k)[1].number() < 1 || (*q)[1].number() % (*k)[1].number() != 0)) {
    return c.Error("the number of query heads, ", (*q)[1].number(),
                   ", must be a multiple of that of the key's, ", (*k)[1].number());
  }
  const Type& mask = c.InputType(3);
  if (mask.is_tensor() && mask.has_shape()) {
    const Shape scores = {(*q)[0], (*q)[1], (*q)[2], (*k)[2]};
    bool fits = mask.rank() <= 4;
    for (int i = 0; fits && i < mask.rank(); ++i) {
      fits = !differ(mask.dim(i), 1) || !differ(mask.dim(i), scores[4 - mask.rank() + i]);
    }
    if (!fits) {
      return c.Error("mask is ", mask.ToString(), ", which does not broadcast to the scores, ",
                     ShapeToString(scores));
    }
  }
  const HeadLayout& y = (*layouts)[3];
  Shape result(4);
  result[y.batch] = (*q)[0];
  result[y.head] = (*q)[1];
  result[y.sequence] = (*q)[2];
  result[y.size] = (*v)[3];
  c.SetOutput(0, Type::Tensor(dtype, std::move(result)));
  return absl::OkStatus();
}

// The input as [batch, heads, sequence, size].
Value* Plain(GraphBuilder& b, Value* x, const HeadLayout& at) {
  if (at.sliced) {
    const std::vector<int64_t> axes = {at.head, at.size};
    x = b.Op("Slice", {x, b.Ints({at.head_begin, at.size_begin}),
                       b.Ints({at.head_end, at.size_end}), b.Ints(axes)});
  }
  const std::vector<int64_t> perm = {at.batch, at.head, at.sequence, at.size};
  return b.Op("Transpose", {x}, {{"perm", perm}});
}

// [batch, heads, ...] with each head repeated, so that there are as many as in `like`.
Value* Repeated(GraphBuilder& b, Value* x, Value* like, bool repeat) {
  if (!repeat) return x;
  auto extent = [&](Value* of, int64_t axis) {
    return b.Op("Shape", {of}, {{"start", axis}, {"end", axis + 1}});
  };
  Value* heads = extent(like, 1);
  Value* one = b.Ints({1});
  Value* group = b.Op("Div", {heads, extent(x, 1)});
  Value* spread =
      b.Op("Expand", {b.Op("Unsqueeze", {x, b.Ints({2})}),
                      b.Op("Concat", {one, one, group, one, one}, {{"axis", int64_t{0}}})});
  return b.Op("Reshape",
              {spread, b.Op("Concat", {extent(x, 0), heads, extent(x, 2), extent(x, 3)},
                            {{"axis", int64_t{0}}})},
              {{"allowzero", int64_t{1}}});
}

absl::StatusOr<std::vector<Value*>> ExpandFusedAttention(GraphBuilder& b, const Node& node) {
  auto layouts = ReadHeadLayouts(node);
  if (!layouts.ok()) return layouts.status();
  Value* q = Plain(b, node.input(0), (*layouts)[0]);
  Value* k = Plain(b, node.input(1), (*layouts)[1]);
  Value* v = Plain(b, node.input(2), (*layouts)[2]);
  if (!b.status().ok()) return b.status();
  if (!q->type().has_shape() || !k->type().has_shape())
    return Wrong(node, "FusedAttention expands only where ranks are known");
  const bool grouped = q->type().dim(1) != k->type().dim(1);
  k = Repeated(b, k, q, grouped);
  v = Repeated(b, v, q, grouped);
  Value* keys = b.Op("Transpose", {k}, {{"perm", std::vector<int64_t>{0, 1, 3, 2}}});
  Value* scaled = b.Op("Mul", {q, b.ScalarLike(q, node.Float("scale"))});
  Value* scores = b.Op("MatMul", {scaled, keys});
  if (!b.status().ok()) return b.status();
  if (const float cap = node.Float("softcap"); cap > 0) {
    Value* limit = b.ScalarLike(scores, cap);
    scores = b.Op("Mul", {b.Op("Tanh", {b.Op("Div", {scores, limit})}), limit});
  }
  if (Value* mask = node.input(3); mask != nullptr) {
    scores = mask->type().dtype() == DType::kBool
                 ? b.Op("Where", {mask, scores, b.ScalarLike(scores, node.Float("mask_value"))})
                 : b.Op("Add", {scores, CastLike(b, mask, scores->type().dtype())});
  }
  if (node.Int("is_causal") != 0) {
    Value* ones = b.Op("ConstantOfShape", {b.Op("Shape", {scores}, {{"start", int64_t{2}}})},
                       {{"value", Tensor::Vector<float>({1})}});  // as ONNX Runtime takes it
    Value* seen =
        b.Op("Cast", {b.Op("Trilu", {ones}, {{"upper", int64_t{0}}})}, {{"to", DType::kBool}});
    scores = b.Op("Where",
                  {seen, scores, b.ScalarLike(scores, -std::numeric_limits<double>::infinity())});
  }
  Value* p = b.Op("Softmax", {scores});
  if (!b.status().ok()) return b.status();
  if (node.Int("zero_masked") != 0) p = b.Op("Where", {b.Op("IsNaN", {p}), b.ScalarLike(p, 0), p});
  Value* y = b.Op("MatMul", {p, CastLike(b, v, p->type().dtype())});
  const HeadLayout& at = (*layouts)[3];
  std::vector<int64_t> perm(4);
  perm[at.batch] = 0;
  perm[at.head] = 1;
  perm[at.sequence] = 2;
  perm[at.size] = 3;
  return std::vector<Value*>{b.Op("Transpose", {y}, {{"perm", perm}})};
}

// The two products; masks and slices are left out.
double AttentionFlops(const Node& node) {
  const std::vector<std::string> layouts = node.Strings("layouts");
  const size_t at = layouts.size() == 4 ? layouts[1].find('s') : std::string::npos;
  if (at == std::string::npos) return -1;
  const double out = Elements(node.output()->type());
  const double keys = Extent(InputType(node, 1), static_cast<int>(at));
  return out < 0 || keys < 0 ? -1 : 4 * out * keys;
}

}  // namespace

absl::StatusOr<std::array<HeadLayout, 4>> ReadHeadLayouts(const Node& node) {
  const std::vector<std::string> layouts = node.Strings("layouts");
  const std::vector<int64_t> ranges = node.Ints("ranges");
  if (layouts.size() != 4) return Wrong(node, "layouts must be four: of Q, K, V and Y");
  if (!ranges.empty() && ranges.size() != 12)
    return Wrong(node, "ranges must be empty or twelve numbers");
  std::array<HeadLayout, 4> result;
  for (size_t i = 0; i < 4; ++i) {
    const std::string& text = layouts[i];
    HeadLayout& at = result[i];
    int* const axes[] = {&at.batch, &at.head, &at.sequence, &at.size};
    bool legal = text.size() == 4;
    for (int letter = 0; legal && letter < 4; ++letter) {
      const size_t found = text.find("bhsd"[letter]);
      legal = found != std::string::npos;
      *axes[letter] = static_cast<int>(found);
    }
    if (!legal || (at.size != 3 && (i != 1 || at.sequence != 3))) {
      return Wrong(node, absl::StrCat("'", text, "' is no layout of ", kNames[i],
                                      ": it must be the letters b, h, s and d once, d last",
                                      i == 1 ? " or s last" : ""));
    }
    if (i == 3 || ranges.empty()) continue;
    at.sliced = true;
    const int64_t* range = &ranges[i * 4];
    at.head_begin = range[0];
    at.head_end = range[1];
    at.size_begin = range[2];
    at.size_end = range[3];
    if (range[0] < 0 || range[1] <= range[0] || range[2] < 0 || range[3] <= range[2])
      return Wrong(node, absl::StrCat("ranges of ", kNames[i], " must be ascending from 0"));
  }
  return result;
}

SLUICE_DECLARE_OP(FusedAttention) {
  const std::vector<std::string> plain(4, "bhsd");
  return Op("FusedAttention", "sluice")
      .Doc("softmax(Q K^T * scale + mask) V by heads, wherever they lie: ops/fused_attention.h.")
      .Types("T", kFloatTypes)
      .Types("U", kFloatTypes | kBoolType)
      .Input("Q", "T")
      .Input("K", "T")
      .Input("V", "T")
      .OptionalInput("mask", "U")
      .Output("Y", "T")
      .Attr("is_causal", 0, "1: a query sees the keys up to its own position.")
      .Attr("layouts", plain, "the axes of Q, K, V and Y")
      .Attr("mask_value", -std::numeric_limits<float>::infinity(),
            "the score where a mask of bools is false")
      .Attr("ranges", std::vector<int64_t>{}, "heads and sizes taken of Q, K and V")
      .Attr("scale", 1.0f)
      .Attr("softcap", 0.0f, "Over 0: scores become softcap * tanh(score / softcap).")
      .Attr("zero_masked", 0, "1: a row whose softmax is NaN counts as zeros.")
      .Infer(InferFusedAttention)
      .Expansion(ExpandFusedAttention)
      .GradientPending()
      .Flops(AttentionFlops);
}

}  // namespace sluice
