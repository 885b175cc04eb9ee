// HeadView: where the batch, heads, sequence and size of an operand of attention lie in a tensor,
// followed through nodes that only move elements. Each axis of the tensor is a row of parts, outer
// to inner; a Transpose permutes axes, a Reshape groups the same parts anew, a Gather or Slice
// leaves a part of which only some is used, an Expand drops one. So no spelling is special.
#ifndef SLUICE_PASSES_HEAD_VIEW_H_
#define SLUICE_PASSES_HEAD_VIEW_H_

#include <optional>
#include <string>
#include <vector>

#include "graph/builder.h"
#include "graph/graph.h"

namespace sluice {

struct HeadView {
  struct Part {
    char label = 'x';  // b, h, s or d; x: an axis of which one index is taken
    Dim extent = 1;    // what is used
    Dim inner = 1;     // elements of the same label below one of this part
    int64_t begin = 0;
    Dim total = 1;  // what lies in memory; `extent` unless sliced
  };
  Value* value = nullptr;
  std::vector<std::vector<Part>> axes;  // of the value
  double scale = 1;                     // what the operand is of the value

  // An operand [..., rows, columns] labelled by `last` ("sd" or "ds"). The leading axes are the
  // batch and, the last one of several, the heads; a lone one is split where `heads` is over 0.
  static std::optional<HeadView> Of(Value* value, const char* last, int64_t heads);
  // From the value to the input of its producer; false (and nothing changes) where that does more.
  bool Up();
  // From the value to the result of `user`, a Transpose or a view.
  bool Down(const Node& user);
  // The batch as [outer, heads] where the parts say so; 0 else.
  int64_t SplitBatch() const;
};

// A view in the terms of FusedAttention.
struct HeadForm {
  std::string layout;            // "bshd"
  Shape shape;                   // the value's elements as those four axes
  Dim batch, heads, rows, size;  // that are used
  Dim repeats = 1;               // how many heads in a row share each
  int64_t head_begin = 0, size_begin = 0;
  bool sliced = false;
};
// Empty where no four axes describe it.
std::optional<HeadForm> FormOf(const HeadView& view);

}  // namespace sluice

#endif  // SLUICE_PASSES_HEAD_VIEW_H_
