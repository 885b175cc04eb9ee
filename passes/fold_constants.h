// fold_constants: computes, once and now, every node whose result is already known.
//
//   before:  %a = Constant {value = 2.}        after:  %c = Constant {value = 6.}
//            %b = Constant {value = 3.}
//            %c = Mul(%a, %b)
//   before:  %s = Shape(%x) (x: f32[2,3])      after:  %s = Constant {value = i64[2] [2, 3]}
//
// Known is a node all of whose inputs are constants (through the Evaluator), and an integer value
// whose contents inference knows as numbers. Nodes in bodies count too.
// Budgets: one result at most fold_result_bytes, unless the constants that only this node reads are
// at least as large; all results together at most fold_total_bytes. Over budget: Refused.
// Never: folds state or random numbers, nodes with bodies or control edges, or turns an error that
// running the node would give into an error of the compilation (that is Refused as well).
#ifndef SLUICE_PASSES_FOLD_CONSTANTS_H_
#define SLUICE_PASSES_FOLD_CONSTANTS_H_

#include "passes/pass.h"

namespace sluice {

class FoldConstants final : public Pass {
 public:
  // `keep_quantized`: 8-bit constants are not dequantized, since fuse_quantized wants to see them
  // and f32 weights take four times the memory.
  explicit constexpr FoldConstants(bool keep_quantized = false) : keep_quantized_(keep_quantized) {}
  const char* name() const override { return "fold_constants"; }
  absl::StatusOr<bool> Run(Graph& graph, PassContext& context) const override;

 private:
  bool keep_quantized_;
};

}  // namespace sluice

#endif  // SLUICE_PASSES_FOLD_CONSTANTS_H_
