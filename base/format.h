// printf() into a string, for code that must survive a lack of memory: absl::StrFormat empties its
// buffer in a destructor, where std::bad_alloc ends the process.
#ifndef SLUICE_BASE_FORMAT_H_
#define SLUICE_BASE_FORMAT_H_

#include <string>

namespace sluice {

[[gnu::format(printf, 2, 3)]] void AppendFormat(std::string* text, const char* format, ...);
[[gnu::format(printf, 1, 2)]] std::string Format(const char* format, ...);

}  // namespace sluice

#endif  // SLUICE_BASE_FORMAT_H_
