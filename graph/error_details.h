// What went wrong, for programs: errors about a node carry it as Status payloads, so that nobody
// has to read the message.
#ifndef SLUICE_GRAPH_ERROR_DETAILS_H_
#define SLUICE_GRAPH_ERROR_DETAILS_H_

#include <optional>
#include <string>

#include "absl/status/status.h"

namespace sluice {

struct ErrorDetails {
  std::string node, op;  // the node's name; where a body's failed, that one's
  std::string origin;    // where the node came from: a line of C++, or a file and a name; or empty
  std::string hint;      // what to do; or empty
};

// Nothing where the error is about no node. The kind of the error is status.code().
std::optional<ErrorDetails> DetailsOf(const absl::Status& status);

// The same status with these details in place of others.
absl::Status WithDetails(absl::Status status, const ErrorDetails& details);

}  // namespace sluice

#endif  // SLUICE_GRAPH_ERROR_DETAILS_H_
