// The compile report: what each pass did and refused, which kernels run and why, where memory goes.
#ifndef SLUICE_RUNTIME_EXPLAIN_H_
#define SLUICE_RUNTIME_EXPLAIN_H_

#include <string>

#include "runtime/compile.h"

namespace sluice {

std::string ExplainText(const Compiled& compiled, int threads);
std::string ExplainJson(const Compiled& compiled, int threads);

}  // namespace sluice

#endif  // SLUICE_RUNTIME_EXPLAIN_H_
