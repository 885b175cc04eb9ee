#include "ops/expect_shape.h"
#include "ops/op.h"

namespace sluice {
namespace {

absl::Status InferRotaryEmbedding(InferContext& c) {
  const Type& x = c.InputType(0);
  c.SetOutput(0, x);
  const int64_t heads = c.Int("num_heads"), rotary = c.Int("rotary_embedding_dim");
  if (heads < 0 || rotary < 0 || rotary % 2 != 0) {
    return c.Error(
        "num_heads must not be negative, rotary_embedding_dim must be even and not negative, but "
        "they are ",
        heads, " and ", rotary);
  }
  if (!x.is_tensor() || !x.has_shape()) return absl::OkStatus();
  if (x.rank() != 3 && x.rank() != 4)
    return c.Error("X must have 3 or 4 dimensions, but is ", x.ToString());
  const Dim batch = x.dim(0), sequence = x.dim(x.rank() - 2);
  Dim size = x.dim(x.rank() - 1);
  if (x.rank() == 3) {
    if (heads == 0) return c.Error("X has 3 dimensions; num_heads must be given then");
    const std::optional<Dim> each = ExactDiv(size, heads);
    if (!each && size.is_number()) {
      return c.Error("the last extent of X, ", size.ToString(), ", is no multiple of num_heads, ",
                     heads);
    }
    size = each ? *each : FloorDiv(size, heads);
  }
  if (rotary == 0 ? ProvablyDifferent(Mod(size, 2), 0)
                  : size.is_number() && rotary > size.number()) {
    return c.Error("the head size, ", size.ToString(),
                   ", must be even and at least rotary_embedding_dim, ", rotary);
  }
  const Dim half = rotary == 0 ? FloorDiv(size, 2) : Dim(rotary / 2);
  for (size_t i : {1, 2}) {
    if (c.HasInput(3)) {
      auto cache = ShapeOfRank(c, i, 2);
      if (!cache.ok()) return cache.status();
      if (*cache && ProvablyDifferent((**cache)[1], half)) {
        return c.Error("the last extent of cos_cache and sin_cache must be ", half.ToString(),
                       ", but is ", (**cache)[1].ToString());
      }
    } else if (absl::Status s = ExpectShape(c, i, {batch, sequence, half}); !s.ok()) {
      return s;
    }
  }
  return ExpectShape(c, 3, {batch, sequence});
}

}  // namespace

SLUICE_DECLARE_OP(RotaryEmbedding) {
  return Op("RotaryEmbedding")
      .Doc(
          "Rotates pairs of elements of each head by angles that grow with the position (RoPE). X "
          "is [batch, heads, "
          "sequence, size] or [batch, sequence, heads * size].")
      .Types("T", {DType::kF32, DType::kF16, DType::kBF16})
      .Input("X", "T")
      .Input("cos_cache", "T")
      .Input("sin_cache", "T")
      .OptionalInput("position_ids", "i64")
      .Output("Y", "T")
      .Attr("interleaved", 0, "1: pairs are neighbours; 0: element i and i + half.")
      .OptionalAttr("num_heads", AttrKind::kInt, "Needed where X has 3 dimensions.")
      .Attr("rotary_embedding_dim", 0, "Rotates only so many elements of each head; 0: all.")
      .Infer(InferRotaryEmbedding)
      .GradientPending();
}

}  // namespace sluice
