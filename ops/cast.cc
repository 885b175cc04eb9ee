#include <limits>

#include "graph/text.h"
#include "ops/infer_util.h"
#include "ops/op.h"

namespace sluice {
namespace {

bool FitsExactly(DType to, int64_t value) {
  return VisitDType(
      to,
      [&]<typename T>() {
        if constexpr (std::is_same_v<T, uint64_t>) return value >= 0;
        if constexpr (!std::is_integral_v<T> || std::is_same_v<T, bool>) return false;
        return value == static_cast<int64_t>(static_cast<T>(value));
      },
      [] { return false; });
}

// Known contents survive a cast between integers that holds them, and to bool.
void CastKnownDims(InferContext& c, DType to) {
  std::optional<Shape> dims = SmallInputDims(c, 0);
  if (!dims.has_value() || !(IsInt(to) || to == DType::kBool)) return;
  const bool wide = ByteSize(to) >= 4;
  for (Dim& d : *dims) {
    if (to == DType::kBool) {
      d = d.is_number() ? Dim(d.number() != 0) : d.ProvablyPositive() ? Dim(1) : Dim::Unknown();
    } else if (d.is_number() ? !FitsExactly(to, d.number()) : !wide) {
      d = Dim::Unknown();
    }
  }
  c.SetOutputDims(0, *std::move(dims));
}

absl::Status InferCastTo(InferContext& c, DType to) {
  const std::string mode = c.String("round_mode");
  if (mode != "up" && mode != "down" && mode != "nearest") {
    return c.Error("round_mode is ", Shown(mode), "; expected up, down or nearest");
  }
  c.SetOutput(0, TensorType(to, InputShape(c, 0)));
  CastKnownDims(c, to);
  return absl::OkStatus();
}

// Between floats the gradient is cast back; integers and truth values have none.
absl::Status CastGradient(GradientContext& g) {
  const Type& from = g.input(0)->type();
  if (!from.is_tensor() || !IsFloat(from.dtype()) || !IsFloat(g.output()->type().dtype())) {
    return absl::OkStatus();
  }
  g.SetInputGrad(0, g.builder().Op("Cast", {g.output_grad()}, {{"to", from.dtype()}}));
  return g.builder().status();
}

absl::StatusOr<std::vector<Value*>> ExpandCastLike(GraphBuilder& b, const Node& node) {
  Value* y = b.Op("Cast", {node.input(0)},
                  {{"to", node.output()->type().dtype()},
                   {"saturate", node.Int("saturate")},
                   {"round_mode", node.String("round_mode")}});
  if (!b.status().ok()) return b.status();
  return std::vector<Value*>{y};
}

}  // namespace

SLUICE_DECLARE_OP(Cast) {
  return Op("Cast")
      .Doc(
          "Each element as another dtype: floats to integers truncate and saturate (NaN gives 0), "
          "integers wrap, strings are parsed and printed.")
      .Input("input", "T1")
      .Output("output", "T2")
      .Types("T1", kAllTypes)
      .Types("T2", kAllTypes)
      .RequiredAttr("to", AttrKind::kDType, "the dtype of the result")
      .Attr("saturate", 1, "for 8-bit floats only")
      .Attr("round_mode", "up", "for float8e8m0 only: up, down or nearest")
      .Infer(+[](InferContext& c) { return InferCastTo(c, c.GetDType("to")); })
      .Elementwise()
      .Gradient(CastGradient)
      .Costs(ElementCost::kMove);
}

SLUICE_DECLARE_OP(CastLike) {
  return Op("CastLike")
      .Doc("Each element of the first input as the dtype of the second.")
      .Input("input", "T1")
      .Input("target_type", "T2")
      .Output("output", "T2")
      .Types("T1", kAllTypes)
      .Types("T2", kAllTypes)
      .Attr("saturate", 1, "for 8-bit floats only")
      .Attr("round_mode", "up", "for float8e8m0 only: up, down or nearest")
      .Infer(+[](InferContext& c) { return InferCastTo(c, InputDType(c, 1)); })
      .Expansion(ExpandCastLike)
      .Gradient(CastGradient);
}

}  // namespace sluice
