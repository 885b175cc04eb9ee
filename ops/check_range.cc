#include <limits>

#include "ops/gradient.h"
#include "ops/infer_util.h"
#include "ops/op.h"

namespace sluice {
namespace {

// What cannot say so is no number at least.
absl::StatusOr<std::vector<Value*>> ExpandCheckRange(GraphBuilder& b, const Node& node) {
  Value* x = node.input(0);
  Value* above = b.Op("GreaterOrEqual", {x, b.ScalarLike(x, node.Float("low"))});
  Value* below = b.Op("LessOrEqual", {x, b.ScalarLike(x, node.Float("high"))});
  Value* no_number = b.ScalarLike(x, std::numeric_limits<double>::quiet_NaN());
  return std::vector<Value*>{b.Op("Where", {b.Op("And", {above, below}), x, no_number})};
}

absl::Status CheckRangeGradient(GradientContext& c) {
  c.SetInputGrad(0, c.output_grad());
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(CheckRange) {
  return Op("CheckRange", "sluice")
      .Doc("The input itself; an error where an element is not from `low` to `high`, or is NaN.")
      .Input("input", "T")
      .Output("output", "T")
      .Types("T", kFloatTypes)
      .Attr("low", 0.0f)
      .Attr("high", 1.0f)
      .Attr("what", "", "what the message calls it")
      .Infer(SameAsInput)
      .Expansion(ExpandCheckRange)
      .Gradient(CheckRangeGradient);
}

}  // namespace sluice
