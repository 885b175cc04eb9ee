#include "ops/expect_shape.h"
#include "ops/op.h"

namespace sluice {
namespace {

// [batch, heads, sequence, head size] of a query, key or value of either form; Unknown where not
// known.
absl::StatusOr<Shape> HeadShape(InferContext& c, size_t i, absl::string_view heads_attr) {
  const Type& type = c.InputType(i);
  const char* const name = i == 0 ? "Q" : i == 1 ? "K" : "V";
  if (!type.is_tensor() || !type.has_shape()) {
    const Dim heads = c.HasAttr(heads_attr) ? Dim(c.Int(heads_attr)) : c.FreshDim();
    return Shape{c.FreshDim(), heads, c.FreshDim(), c.FreshDim()};
  }
  if (type.rank() == 4) {
    if (c.HasAttr(heads_attr) && ProvablyDifferent(type.dim(1), c.Int(heads_attr))) {
      return c.Error(heads_attr, " is ", c.Int(heads_attr), ", but ", name, " is ",
                     type.ToString());
    }
    return type.shape();
  }
  if (type.rank() != 3)
    return c.Error(name, " must have 3 or 4 dimensions, but is ", type.ToString());
  if (!c.HasAttr(heads_attr))
    return c.Error(name, " has 3 dimensions; ", heads_attr, " must be given then");
  const int64_t heads = c.Int(heads_attr);
  if (heads < 1) return c.Error(heads_attr, " must be at least 1, but is ", heads);
  const std::optional<Dim> size = ExactDiv(type.dim(2), heads);
  if (!size && type.dim(2).is_number()) {
    return c.Error("the last extent of ", name, ", ", type.dim(2).ToString(),
                   ", is no multiple of ", heads_attr, ", ", heads);
  }
  return Shape{type.dim(0), heads, type.dim(1), size ? *size : FloorDiv(type.dim(2), heads)};
}

// The shape a mask must broadcast to; its last extent may be shorter.
absl::Status CheckMask(const InferContext& c, const Shape& scores) {
  const Type& mask = c.InputType(3);
  if (!mask.is_tensor()) return absl::OkStatus();
  const DType dtype = mask.dtype();
  if (dtype == DType::kString) return c.Error("attn_mask must hold numbers or bool");
  if (!mask.has_shape()) return absl::OkStatus();
  bool fits = mask.rank() >= 1 && mask.rank() <= 4;
  for (int i = 0; fits && i < mask.rank(); ++i) {
    const Dim& expected = scores[4 - mask.rank() + i];
    const Dim& given = mask.dim(i);
    if (i + 1 == mask.rank()) {
      fits = !(given.is_number() && expected.is_number() && given.number() > expected.number());
    } else {
      fits = !(ProvablyDifferent(given, 1) && ProvablyDifferent(given, expected));
    }
  }
  if (fits) return absl::OkStatus();
  return c.Error("attn_mask is ", mask.ToString(),
                 ", which does not broadcast to the scores' shape ", ShapeToString(scores));
}

// The better known one of two extents that must be equal.
Dim Known(const Dim& a, const Dim& b) {
  return a.is_unknown() || (b.is_number() && !a.is_number()) ? b : a;
}

absl::Status InferAttention(InferContext& c) {
  auto q = HeadShape(c, 0, "q_num_heads"), k = HeadShape(c, 1, "kv_num_heads"),
       v = HeadShape(c, 2, "kv_num_heads");
  for (const auto* shape : {&q, &k, &v}) {
    if (!shape->ok()) return shape->status();
  }
  const Dim batch = Known((*q)[0], (*k)[0]), heads = (*q)[1];
  const Dim kv_heads = Known((*k)[1], (*v)[1]), kv_length = Known((*k)[2], (*v)[2]);
  auto differ = [](const Dim& a, const Dim& b) { return ProvablyDifferent(a, b); };
  if (differ((*q)[0], (*k)[0]) || differ((*k)[0], (*v)[0]) || differ((*k)[1], (*v)[1]) ||
      differ((*k)[2], (*v)[2]) || differ((*q)[3], (*k)[3])) {
    return c.Error("Q, K and V as [batch, heads, sequence, size] are ", ShapeToString(*q), ", ",
                   ShapeToString(*k), ", ", ShapeToString(*v),
                   ": batches must agree, Q and K in their size, K and V in heads and ",
                   "sequence");
  }
  if (heads.is_number() && kv_heads.is_number() &&
      (kv_heads.number() < 1 || heads.number() % kv_heads.number() != 0)) {
    return c.Error("the number of query heads, ", heads.number(),
                   ", must be a multiple of that of the key's, ", kv_heads.number());
  }
  const int64_t mode = c.Int("qk_matmul_output_mode");
  if (mode < 0 || mode > 3) return c.Error("qk_matmul_output_mode must be 0 to 3, but is ", mode);
  if (c.HasAttr("softmax_precision") && !IsFloat(c.GetDType("softmax_precision"))) {
    return c.Error("softmax_precision must be a floating-point type");
  }
  if (!(c.Float("softcap") >= 0))
    return c.Error("softcap must be at least 0, but is ", c.Float("softcap"));
  if (c.HasInput(4) != c.HasInput(5)) return c.Error("past_key and past_value go together");
  if (c.HasInput(4) && c.HasInput(6))
    return c.Error("nonpad_kv_seqlen cannot be used together with past_key");

  Dim past = 0;
  if (c.HasInput(4)) {
    auto past_key = ShapeOfRank(c, 4, 4);
    if (!past_key.ok()) return past_key.status();
    past = *past_key ? (**past_key)[2] : c.FreshDim();
    if (absl::Status s = ExpectShape(c, 4, {batch, kv_heads, past, (*k)[3]}); !s.ok()) return s;
    if (absl::Status s = ExpectShape(c, 5, {batch, kv_heads, past, (*v)[3]}); !s.ok()) return s;
  }
  if (absl::Status s = ExpectShape(c, 6, {batch}); !s.ok()) return s;
  const Dim total = past + kv_length;
  const Shape scores = {batch, heads, (*q)[2], total};
  if (absl::Status s = CheckMask(c, scores); !s.ok()) return s;

  const DType dtype = c.InputType(0).dtype();
  const Type& query = c.InputType(0);
  if (query.is_tensor() && query.has_shape()) {
    c.SetOutput(0, Type::Tensor(dtype, query.rank() == 4 ? Shape{batch, heads, (*q)[2], (*v)[3]}
                                                         : Shape{batch, (*q)[2], heads * (*v)[3]}));
  } else {
    c.SetOutput(0, Type::Tensor(dtype));
  }
  c.SetOutput(1, Type::Tensor(c.InputType(1).dtype(), Shape{batch, kv_heads, total, (*k)[3]}));
  c.SetOutput(2, Type::Tensor(c.InputType(2).dtype(), Shape{batch, kv_heads, total, (*v)[3]}));
  c.SetOutput(3, Type::Tensor(dtype, scores));
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(Attention) {
  return Op("Attention")
      .Doc(
          "softmax(Q K^T * scale + mask) V for each head. Q, K and V are [batch, heads, sequence, "
          "size] or [batch, "
          "sequence, heads * size]; fewer key heads than query heads are shared by groups.")
      .Types("T1", kFloatTypes)
      .Types("T2", kFloatTypes)
      .Types("U", kNumericTypes | kBoolType)
      .Input("Q", "T1")
      .Input("K", "T1")
      .Input("V", "T2")
      .OptionalInput("attn_mask", "U")
      .OptionalInput("past_key", "T1")
      .OptionalInput("past_value", "T2")
      .OptionalInput("nonpad_kv_seqlen", "i64")
      .Output("Y", "T1")
      .OptionalOutput("present_key", "T1")
      .OptionalOutput("present_value", "T2")
      .OptionalOutput("qk_matmul_output", "T1")
      .Attr("is_causal", 0,
            "1: a query sees the keys up to its own position, counted from the end of the past.")
      .OptionalAttr("kv_num_heads", AttrKind::kInt,
                    "Heads of K and V; needed where they have 3 dimensions.")
      .OptionalAttr("q_num_heads", AttrKind::kInt, "Heads of Q; needed where it has 3 dimensions.")
      .Attr("qk_matmul_output_mode", 0,
            "qk_matmul_output is 0: the scores; 1: after softcap; 2: after softcap and mask; 3: "
            "after softmax.")
      .OptionalAttr("scale", AttrKind::kFloat, "1 / sqrt(head size) unless given.")
      .Attr("softcap", 0.0f, "Over 0: scores become softcap * tanh(score / softcap).")
      .OptionalAttr("softmax_precision", AttrKind::kDType,
                    "The type softmax is computed in, at least.")
      .Infer(InferAttention)
      .GradientPending();
}

}  // namespace sluice
