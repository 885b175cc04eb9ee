// fuse_pads: a Pad with zeros goes into the window that reads it.
//
//   before:  %p = Pad(%x, [0,0,1,1,0,0,1,1])      after:  %y = Conv(%x, %w) {pads = [1,1,1,1]}
//            %y = Conv(%p, %w)
//
// Covered: Conv, and AveragePool where every padded element counts: it counts its own pads, or has
// none. Needs: constant pads of 0 and more along spatial axes alone, filled with zero; a window
// whose own pads are written (auto_pad NOTSET or VALID) and whose number is not rounded up. Where
// others read the Pad too it stays for them.
// Never: MaxPool, for which padding is -infinity and not zero; a mode other than constant.
#ifndef SLUICE_PASSES_FUSE_PADS_H_
#define SLUICE_PASSES_FUSE_PADS_H_

#include "passes/pass.h"

namespace sluice {

class FusePads final : public Pass {
 public:
  const char* name() const override { return "fuse_pads"; }
  absl::StatusOr<bool> Run(Graph& graph, PassContext& context) const override;
};

}  // namespace sluice

#endif  // SLUICE_PASSES_FUSE_PADS_H_
