// inline_calls: puts the bodies of functions where they are called.
//
//   before:  %y = Call(%x) {function = "twice"}     after:  %y = Add(%x, %x)
//            function twice(%a) { %b = Add(%a, %a)  return %b }
//
// Needed before anything runs, so it spends no fuel. Calls in bodies and in functions count too.
// Errors: a function that calls itself in any way (InvalidArgument names the circle), calls nested
// deeper than 64, more than kMaxNodes nodes in all (ResourceExhausted, before any is copied), a
// call whose inputs or outputs do not fit its function.
#ifndef SLUICE_PASSES_INLINE_CALLS_H_
#define SLUICE_PASSES_INLINE_CALLS_H_

#include "passes/pass.h"

namespace sluice {

class InlineCalls final : public Pass {
 public:
  static constexpr int64_t kMaxNodes = 5'000'000;
  static constexpr int kMaxDepth = 64;

  const char* name() const override { return "inline_calls"; }
  absl::StatusOr<bool> Run(Graph& graph, PassContext& context) const override;
};

}  // namespace sluice

#endif  // SLUICE_PASSES_INLINE_CALLS_H_
