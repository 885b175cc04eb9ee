#include "graph/error_details.h"

#include "absl/strings/cord.h"

namespace sluice {
namespace {

struct Field {
  const char* url;
  std::string ErrorDetails::* member;
};
constexpr Field kFields[] = {
    {"sluice/node", &ErrorDetails::node},
    {"sluice/op", &ErrorDetails::op},
    {"sluice/origin", &ErrorDetails::origin},
    {"sluice/hint", &ErrorDetails::hint},
};

}  // namespace

std::optional<ErrorDetails> DetailsOf(const absl::Status& status) {
  ErrorDetails details;
  for (const Field& field : kFields) {
    if (const auto value = status.GetPayload(field.url); value.has_value())
      details.*field.member = std::string(*value);
  }
  if (details.op.empty()) return std::nullopt;
  return details;
}

absl::Status WithDetails(absl::Status status, const ErrorDetails& details) {
  for (const Field& field : kFields) {
    const std::string& value = details.*field.member;
    if (value.empty()) {
      status.ErasePayload(field.url);
    } else {
      status.SetPayload(field.url, absl::Cord(value));
    }
  }
  return status;
}

}  // namespace sluice
