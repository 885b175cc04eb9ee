// The cheap ops behind a product, as the steps that a fused op takes (ops/fused.h).
#ifndef SLUICE_PASSES_POST_OP_CHAIN_H_
#define SLUICE_PASSES_POST_OP_CHAIN_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "graph/graph.h"
#include "ops/fused.h"

namespace sluice {

// One node of the chain: a step of the fused op, or nothing at all (`def` null).
struct ChainStep {
  Node* node = nullptr;
  const PostOpDef* def = nullptr;
  std::vector<float> params;
  Value* operand = nullptr;
};

// `node` as a step applied to `value`. NotFound where it is something else, FailedPrecondition with
// the reason where it nearly is a step.
absl::StatusOr<ChainStep> StepOf(Node* node, Value* value);

// The steps behind `value`, each read by the next alone, and why there are no more.
struct PostOpChain {
  std::vector<ChainStep> steps;
  std::string stop;  // empty: the next node is just something else
};
PostOpChain FollowPostOps(Value* value);

}  // namespace sluice

#endif  // SLUICE_PASSES_POST_OP_CHAIN_H_
