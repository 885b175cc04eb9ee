#include "runtime/node_checks.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "graph/error_details.h"

namespace sluice {

absl::Status AtNode(const Node& node, const absl::Status& status) {
  if (status.ok() || DetailsOf(status).has_value()) return status;
  return NodeError(node, status.code(), status.message());
}

absl::Status CheckOutputSizes(const Node& node, absl::Span<const Type> inputs,
                              absl::Span<const Type> outputs, int64_t max_bytes) {
  constexpr int64_t kAddressable = int64_t{1} << 47;
  const int64_t limit = max_bytes > 0 ? std::min(max_bytes, kAddressable) : kAddressable;
  auto bytes_of = [](const Type& type) -> std::optional<int64_t> {  // INT64_MAX: overflows
    if (!type.has_static_shape()) return std::nullopt;
    const size_t size = ByteSize(type.dtype());
    absl::StatusOr<int64_t> n = ElementCount(*type.StaticDims(), size);
    return n.ok() ? *n * static_cast<int64_t>(size) : INT64_MAX;
  };
  int64_t largest_input = 0;
  for (const Type& t : inputs) largest_input = std::max(largest_input, bytes_of(t).value_or(0));
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::optional<int64_t> bytes = bytes_of(outputs[i]);
    if (!bytes.has_value() || *bytes <= limit || *bytes <= largest_input) continue;
    return NodeError(node, absl::StatusCode::kResourceExhausted,
                     absl::StrCat("output ", i, ", ", outputs[i].ToString(), ", needs ",
                                  *bytes == INT64_MAX ? "more than 2^63" : absl::StrCat(*bytes),
                                  " bytes, the limit is ", limit));
  }
  return absl::OkStatus();
}

}  // namespace sluice
