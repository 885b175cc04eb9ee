// From the ops of older opsets to the canonical form, the newest one of ONNX 1.22: one table.
#ifndef SLUICE_EXCHANGE_ONNX_UPGRADE_H_
#define SLUICE_EXCHANGE_ONNX_UPGRADE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "graph/builder.h"

namespace sluice {

inline constexpr int64_t kOldestOnnxOpset = 6, kNewestOnnxOpset = 27;

// A node on its way from a file into the graph. A rule rewrites it in place, adds nodes in front
// with `builder`, or builds all of it and leaves the values in `results`.
struct OnnxNode {
  std::string op;
  int64_t opset = 0;
  std::vector<Value*> inputs;  // null: absent
  size_t num_outputs = 0;
  absl::btree_map<std::string, Attribute> attrs;
  GraphBuilder* builder = nullptr;
  std::optional<std::vector<Value*>> results;

  Value* input(size_t i) const { return i < inputs.size() ? inputs[i] : nullptr; }
  void SetInput(size_t i, Value* value);
  // Moves the attribute out; empty where it is not written or of another kind.
  std::optional<int64_t> TakeInt(absl::string_view name);
  std::optional<float> TakeFloat(absl::string_view name);
  std::optional<std::string> TakeString(absl::string_view name);
  std::optional<std::vector<int64_t>> TakeInts(absl::string_view name);
  std::optional<std::vector<float>> TakeFloats(absl::string_view name);
};

// Applies every rule for this op and opset of ONNX's own domain. Messages leave out where: the
// caller adds the node.
absl::Status UpgradeOnnxNode(OnnxNode* node);

// The canonical op of a name that an old opset uses ("Upsample" -> "Resize"); else the name itself.
absl::string_view CanonicalOnnxOp(absl::string_view op);

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_ONNX_UPGRADE_H_
