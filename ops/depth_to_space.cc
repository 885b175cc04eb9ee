// DepthToSpace and SpaceToDepth: channels to pixels and back.
#include "ops/movement_gradient.h"
#include "ops/op.h"
#include "ops/shape_util.h"

namespace sluice {
namespace {

// The block size, and the input's shape where it is known.
absl::Status CheckBlock(const InferContext& c, int64_t* block) {
  *block = c.Int("blocksize");
  if (*block < 1 || *block > INT32_MAX) {
    return c.Error("blocksize is ", *block, "; expected 1 or more");
  }
  const Type& x = c.InputType(0);
  if (x.is_tensor() && x.has_shape() && x.rank() != 4) {
    return c.Error("the input is ", x.ToString(), "; expected [N,C,H,W]");
  }
  return absl::OkStatus();
}

Dim Quotient(const Dim& a, int64_t b) { return ExactDiv(a, b).value_or(FloorDiv(a, b)); }

absl::Status InferDepthToSpace(InferContext& c) {
  int64_t block = 0;
  if (absl::Status s = CheckBlock(c, &block); !s.ok()) return s;
  if (absl::Status s = CheckChoice(c, "mode", {"DCR", "CRD"}); !s.ok()) return s;
  const Type& x = c.InputType(0);
  if (!x.is_tensor() || !x.has_shape()) {
    c.SetOutput(0, WithShape(x, Shape(4, Dim::Unknown())));
    return absl::OkStatus();
  }
  if (x.dim(1).is_number() && x.dim(1).number() % (block * block) != 0) {
    return c.Error(x.dim(1).number(), " channels do not divide by blocksize^2 = ", block * block);
  }
  c.SetOutput(0, WithShape(x, Shape{x.dim(0), Quotient(x.dim(1), block * block),
                                    x.dim(2) * Dim(block), x.dim(3) * Dim(block)}));
  return absl::OkStatus();
}

absl::Status InferSpaceToDepth(InferContext& c) {
  int64_t block = 0;
  if (absl::Status s = CheckBlock(c, &block); !s.ok()) return s;
  const Type& x = c.InputType(0);
  if (!x.is_tensor() || !x.has_shape()) {
    c.SetOutput(0, WithShape(x, Shape(4, Dim::Unknown())));
    return absl::OkStatus();
  }
  for (int axis : {2, 3}) {
    if (x.dim(axis).is_number() && x.dim(axis).number() % block != 0) {
      return c.Error("extent ", x.dim(axis).number(), " of axis ", axis,
                     " does not divide by blocksize ", block);
    }
  }
  c.SetOutput(0, WithShape(x, Shape{x.dim(0), x.dim(1) * Dim(block * block),
                                    Quotient(x.dim(2), block), Quotient(x.dim(3), block)}));
  return absl::OkStatus();
}

absl::Status SpaceToDepthGradient(GradientContext& c) {
  c.SetInputGrad(0, c.builder().Op("DepthToSpace", {c.output_grad()},
                                   {{"blocksize", c.node().Int("blocksize")}}));
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(DepthToSpace) {
  return Op("DepthToSpace")
      .Doc(
          "[N,C,H,W] to [N,C/b/b,H*b,W*b]: channels become blocks of b x b pixels. Mode DCR takes "
          "the block's place from the outer part of the channel index, CRD from the inner.")
      .Input("input", "T")
      .Output("output", "T")
      .Types("T", kAllTypes)
      .RequiredAttr("blocksize", AttrKind::kInt)
      .Attr("mode", "DCR", "DCR or CRD")
      .Infer(InferDepthToSpace)
      .Gradient(MovementGradient)
      .RowWise()
      .Costs(ElementCost::kMove);
}

SLUICE_DECLARE_OP(SpaceToDepth) {
  return Op("SpaceToDepth")
      .Doc("[N,C,H,W] to [N,C*b*b,H/b,W/b]: blocks of b x b pixels become channels.")
      .Input("input", "T")
      .Output("output", "T")
      .Types("T", kAllTypes)
      .RequiredAttr("blocksize", AttrKind::kInt)
      .Infer(InferSpaceToDepth)
      .Gradient(SpaceToDepthGradient)
      .RowWise()
      .Costs(ElementCost::kMove);
}

}  // namespace sluice
