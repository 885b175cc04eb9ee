#include "ops/gradient.h"

#include "ops/gradient_util.h"

namespace sluice {

void GradientContext::SetBroadcastInputGrad(size_t i, Value* grad) {
  if (wants(i)) SetInputGrad(i, SumToShapeOf(builder_, grad, input(i)));
}

}  // namespace sluice
