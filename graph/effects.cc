#include "graph/effects.h"

#include <algorithm>

namespace sluice {
namespace {

// Ops that draw random numbers (Dropout) have an input that says so: training_mode.
bool MayDraw(const Node& node) {
  for (size_t i = 0; i < node.op().inputs.size(); ++i) {
    if (node.op().inputs[i].name != "training_mode") continue;
    const Value* mode = node.input(i);
    if (mode == nullptr) return false;
    const Tensor* known = mode->constant();
    return known == nullptr || known->dtype() != DType::kBool || known->elements() != 1 ||
           *static_cast<const uint8_t*>(known->raw()) != 0;
  }
  return false;
}

}  // namespace

bool IsPure(const Node& node) {
  if (node.op().stateful) return false;
  for (const auto& [name, body] : node.bodies()) {
    for (const auto& inner : body->nodes()) {
      if (!IsPure(*inner)) return false;
    }
  }
  return !MayDraw(node);
}

bool HasEffects(const Node& node) {
  if (node.op().stateful) return true;
  for (const auto& [name, body] : node.bodies()) {
    for (const auto& inner : body->nodes()) {
      if (HasEffects(*inner)) return true;
    }
  }
  return false;
}

bool IsAssigned(const Value& value) {
  if (value.producer() == nullptr || !value.producer()->Is("Variable")) return false;
  return std::any_of(value.uses().begin(), value.uses().end(),
                     [](const Use& use) { return use.index == 0 && use.node->Is("Assign"); });
}

}  // namespace sluice
