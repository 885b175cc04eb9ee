#include "ops/movement_gradient.h"

namespace sluice {

Value* ZerosLike(GraphBuilder& b, Value* like) {
  return b.Op("Expand", {b.ScalarLike(like, 0), b.Op("Shape", {like})});
}

absl::Status MovementGradient(GradientContext& c) {
  GraphBuilder& b = c.builder();
  Value* x = c.input(0);
  Value* shape = b.Op("Shape", {x});
  Value* count = b.Op("Size", {x});
  Value* positions = b.Op("Range", {b.Scalar<int64_t>(0), count, b.Scalar<int64_t>(1)});
  std::vector<Value*> inputs = c.node().inputs();
  inputs[0] = b.Op("Reshape", {positions, shape}, {{"allowzero", 1}});
  const AttrList attrs(c.node().attrs().begin(), c.node().attrs().end());
  Value* came_from = b.Op(c.node().op_name(), inputs, attrs);

  Value* zeros = b.Op("Expand", {b.ScalarLike(x, 0), b.Op("Reshape", {count, b.Ints({1})})});
  Value* sums = b.Op("ScatterND",
                     {zeros, b.Op("Reshape", {came_from, b.Ints({-1, 1})}),
                      b.Op("Reshape", {c.output_grad(), b.Ints({-1})})},
                     {{"reduction", "add"}});
  c.SetInputGrad(0, b.Op("Reshape", {sums, shape}, {{"allowzero", 1}}));
  return absl::OkStatus();
}

}  // namespace sluice
