// The border of the library, which no exception crosses. The standard containers throw where memory
// cannot be had, and sizes come from models: a public function that returns a Status is written
//
//   absl::Status Run(...) try {
//     ...
//   } catch (...) {
//     return ExceptionStatus();
//   }
#ifndef SLUICE_BASE_NO_THROW_H_
#define SLUICE_BASE_NO_THROW_H_

#include "absl/status/status.h"

namespace sluice {

// The exception under way as an error: ResourceExhausted for memory and threads that cannot be had,
// Internal for anything else. Precondition: called in a handler.
absl::Status ExceptionStatus();

}  // namespace sluice

#endif  // SLUICE_BASE_NO_THROW_H_
