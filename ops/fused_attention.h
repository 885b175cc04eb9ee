// FusedAttention, of domain "sluice": softmax(scale * Q K^T + mask) V over heads that lie anywhere
// in their tensors, so that the transposes and slices that split heads off a projection vanish.
//
// `layouts` says for Q, K, V and Y which axis is which: "bhsd" is [batch, head, sequence, size];
// "sbhd" has the sequence first. `ranges` (empty: everything) takes heads [begin, end) and elements
// [begin, end) of each head out of larger tensors, for Q, K and V: twelve numbers
// {head begin, head end, size begin, size end} x 3. Example, the packed projection of 12 heads:
//
//   %qkv = Reshape(%projection, [0, 0, 36, 64])
//   %y = FusedAttention(%qkv, %qkv, %qkv) {layouts = ["bshd", "bshd", "bshd", "bshd"],
//                                          ranges = [0,12,0,64, 12,24,0,64, 24,36,0,64]}
//
// Sizes are the innermost axis of Q, V and Y; of K either the size or the sequence is ("bhds" are
// transposed keys). The heads of Q are a multiple of those of K and V; neighbours share one.
#ifndef SLUICE_OPS_FUSED_ATTENTION_H_
#define SLUICE_OPS_FUSED_ATTENTION_H_

#include <array>

#include "absl/status/statusor.h"
#include "graph/graph.h"

namespace sluice {

// Where the heads of one tensor are.
struct HeadLayout {
  int batch = 0, head = 1, sequence = 2, size = 3;  // axes
  bool sliced = false;
  int64_t head_begin = 0, head_end = 0, size_begin = 0, size_end = 0;  // where sliced
};

// Of Q, K, V and Y. InvalidArgument where the attributes are not as above.
absl::StatusOr<std::array<HeadLayout, 4>> ReadHeadLayouts(const Node& node);

}  // namespace sluice

#endif  // SLUICE_OPS_FUSED_ATTENTION_H_
