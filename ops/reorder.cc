#include "absl/strings/str_cat.h"
#include "graph/layout.h"
#include "ops/op.h"

namespace sluice {
namespace {

absl::Status InferReorder(InferContext& c) {
  const std::optional<Layout> layout = ParseLayout(c.String("layout"));
  if (layout != Layout::kPlain && layout != Layout::kChannelsLast) {
    return c.Error("layout is '", c.String("layout"), "'; expected plain or channels_last");
  }
  const Type& x = c.InputType(0);
  if (!x.is_tensor() || !x.has_shape()) {
    if (*layout != Layout::kPlain) {
      return c.Error("the input is ", x.ToString(), "; a layout needs a known rank");
    }
    c.SetOutput(0, x);
    return absl::OkStatus();
  }
  if (*layout == Layout::kChannelsLast && x.rank() < 3) {
    return c.Error("the input is ", x.ToString(), "; channels_last needs [N,C,D1,...]");
  }
  c.SetOutput(0, WithLayout(x, *layout));
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(Reorder) {
  return Op("Reorder", "sluice")
      .Doc("The same tensor, laid out in memory as `layout` says; every extent stays.")
      .Input("X", "T")
      .Output("Y", "T")
      .Types("T", kNumericTypes | kBoolType)
      .RequiredAttr("layout", AttrKind::kString, "plain or channels_last")
      .Infer(InferReorder)
      // Of plain values, where layouts mean nothing: an export, say.
      .Expansion(+[](GraphBuilder& b, const Node& node) -> absl::StatusOr<std::vector<Value*>> {
        return std::vector<Value*>{b.Op("Identity", {node.input(0)})};
      })
      .Gradient(+[](GradientContext& g) {
        const Type& x = g.node().input(0)->type();
        const absl::string_view layout = ToString(x.layout());
        g.SetInputGrad(0, g.builder().Op("Reorder", {g.output_grad()}, {{"layout", layout}}));
        return absl::OkStatus();
      })
      .RowWise()
      .Costs(ElementCost::kMove);
}

}  // namespace sluice
