#include "ops/op.h"

namespace sluice {
namespace {

absl::Status InferTraining(InferContext& c) {
  c.SetOutput(0, Type::Tensor(DType::kBool, Shape{}));
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(Training) {
  return Op("Training", "sluice")
      .Doc(
          "Whether the program that runs trains: true in a signature that says so "
          "(Signature::training), false in every other and in a graph without signatures. What "
          "depends on it alone, an If or Dropout's mode, is decided when a session is made.")
      .Output("training", "")
      .Infer(InferTraining)
      .NotDifferentiable("it is no number");
}

}  // namespace sluice
