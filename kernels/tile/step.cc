#include "kernels/tile/step.h"

namespace sluice {
namespace {

enum class Result : uint8_t { kSame, kBool };
struct Entry {
  const char* text;
  int inputs;
  Result result;
};
constexpr Entry kEntries[] = {
#define SLUICE_TILE_STEP(name, text, inputs, result) {text, inputs, Result::result},
#include "kernels/tile/step_list.inc"
#undef SLUICE_TILE_STEP
};

const Entry& Of(TileStep step) { return kEntries[static_cast<int>(step)]; }

}  // namespace

const char* TileStepName(TileStep step) { return Of(step).text; }
int TileStepInputs(TileStep step) { return Of(step).inputs; }
DType TileStepResult(TileStep step, DType dtype) {
  return Of(step).result == Result::kBool ? DType::kBool : dtype;
}

const char* ReduceOpName(ReduceOp op) {
  static constexpr const char* kNames[] = {"sum", "prod", "rmax", "rmin"};
  return kNames[static_cast<int>(op)];
}

}  // namespace sluice
