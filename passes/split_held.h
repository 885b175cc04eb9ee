// split_held: what a program makes of held values alone goes into a program of its own, which runs
// once a version of the state; its results are held inputs of the program that stays.
//
//   before:  graph (%x, %w held) {          after:  graph (%x, %w held, %t held) {
//              %t = Transpose(%w)                     %y = MatMul(%x, %t)
//              %y = MatMul(%x, %t)                    return %y
//              return %y                            }
//            }                              and:    graph (%w held) {
//                                                     %t = Transpose(%w)
//                                                     return %t
//                                                   }
//
// Constant folding for weights that are variables. Only in a session that runs one signature: in a
// graph that is to be saved no input is held. Never: takes what is larger than fold_constants would
// keep, or what has no static shape.
#ifndef SLUICE_PASSES_SPLIT_HELD_H_
#define SLUICE_PASSES_SPLIT_HELD_H_

#include "passes/pass.h"

namespace sluice {

class SplitHeld final : public Pass {
 public:
  const char* name() const override { return "split_held"; }
  absl::StatusOr<bool> Run(Graph& graph, PassContext& context) const override;
};

}  // namespace sluice

#endif  // SLUICE_PASSES_SPLIT_HELD_H_
