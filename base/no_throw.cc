#include "base/no_throw.h"

#include <new>
#include <stdexcept>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace sluice {

absl::Status ExceptionStatus() {
  try {
    try {
      throw;
    } catch (const std::bad_alloc&) {
      return absl::ResourceExhaustedError(
          "memory ran out; the model or its inputs need more than this process may have");
    } catch (const std::length_error& e) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the model or its inputs need more than memory can hold (", e.what(), ")"));
    } catch (const std::system_error& e) {
      return absl::ResourceExhaustedError(absl::StrCat("the system gave no more: ", e.what()));
    } catch (const std::exception& e) {
      return absl::InternalError(e.what());
    }
  } catch (...) {  // not even the message could be had
    return absl::Status(absl::StatusCode::kResourceExhausted, "");
  }
}

}  // namespace sluice
