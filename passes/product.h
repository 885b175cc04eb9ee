// Product: what convolution and matrix multiplication have in common for the passes that improve
// what follows them: a weight, perhaps a bias, and an axis of output channels.
#ifndef SLUICE_PASSES_PRODUCT_H_
#define SLUICE_PASSES_PRODUCT_H_

#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "graph/builder.h"
#include "graph/graph.h"

namespace sluice {

struct Product {
  Node* node = nullptr;     // Conv, ConvTranspose, Gemm or MatMul
  Value* output = nullptr;  // of the node, or of the Add of a constant bias after a MatMul
  Value* weight = nullptr;  // held
  Value* bias = nullptr;    // held; null where there is none
  float bias_scale = 1;     // Gemm's beta
  int channel_axis = 0;     // of the output, non-negative
  int rank = 0;             // of the output
  int64_t channels = 0;
  // The weight as [outer, inner_channels, inner]; row o holds the channels from
  // o / outer_per_group * inner_channels on.
  int64_t outer = 1, inner_channels = 0, inner = 1, outer_per_group = 1;
};

// The product that makes `value`; empty where there is none with constant float weights and a bias
// that is constant, one number a channel, or absent.
std::optional<Product> FindProduct(Value* value);

// The same where weights and bias may be held values that nobody knows yet (variables); the bias is
// then a vector.
std::optional<Product> FindHeldProduct(Value* value);

// One number for each channel, from a constant that broadcasts along nothing but the channel axis
// of a tensor of `rank`; empty else.
std::optional<std::vector<double>> PerChannel(const Value* constant, int rank, int channel_axis,
                                              int64_t channels);

// The product with weights scaled and shifted by channel. Null where a number would overflow.
Value* ScaledProduct(GraphBuilder& b, const Product& product, absl::Span<const double> scale,
                     absl::Span<const double> shift);

// The same with vectors of held values, for what FindHeldProduct() found. Null where the channels
// of the weights lie along no one axis. Numbers that overflow are not looked for.
Value* HeldScaledProduct(GraphBuilder& b, const Product& product, Value* scale, Value* shift);

// Calls `fuse` for each node of an op of `ops`, bodies included; true where one call says true.
// `fuse` may erase its node and nodes that are of no such op.
absl::StatusOr<bool> FuseEach(const Graph& graph, absl::Span<const absl::string_view> ops,
                              absl::FunctionRef<absl::StatusOr<bool>(Node&)> fuse);

}  // namespace sluice

#endif  // SLUICE_PASSES_PRODUCT_H_
