// How far a kernel may depart from an op's definition. Trading precision itself (a narrower dtype)
// is no matter of this: that is an edit of the graph.
#ifndef SLUICE_KERNELS_ACCURACY_H_
#define SLUICE_KERNELS_ACCURACY_H_

#include <cstdint>

namespace sluice {

enum class Accuracy : uint8_t {
  kStrict,    // the very products and sums of the definition, in any order
  kStandard,  // also algebraic rewritings in the same dtype whose stated error is of the order of a
              // plain sum's (Winograd's convolutions)
};

}  // namespace sluice

#endif  // SLUICE_KERNELS_ACCURACY_H_
