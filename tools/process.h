// What the command asks of its process, so that it ends with a sentence and an exit code: the
// standard descriptors, and the signals that limits and lost files send. The library leaves all of
// this to its host.
#ifndef SLUICE_TOOLS_PROCESS_H_
#define SLUICE_TOOLS_PROCESS_H_

#include "absl/status/status.h"

namespace sluice::cli {

// Called first. From then on: a standard descriptor that is closed stays unusable (no file that is
// opened later takes its number); writing to a closed pipe or past a limit of file size is an
// error, not a signal; a mapped file that became shorter ends the process with a sentence and exit
// code 1; and a signal that ends it leaves no temporary file behind.
void PrepareProcess();

// What was printed so far has been taken, or why not. An error stays: once is enough.
absl::Status FlushOutput();

}  // namespace sluice::cli

#endif  // SLUICE_TOOLS_PROCESS_H_
