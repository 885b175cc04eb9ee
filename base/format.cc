#include "base/format.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

namespace sluice {
namespace {

void Append(std::string* text, const char* format, va_list arguments) {
  va_list measured;
  va_copy(measured, arguments);
  const int length = std::max(0, std::vsnprintf(nullptr, 0, format, measured));
  va_end(measured);
  const size_t start = text->size();
  text->resize(start + length);
  std::vsnprintf(text->data() + start, length + 1, format, arguments);
}

}  // namespace

void AppendFormat(std::string* text, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  try {
    Append(text, format, arguments);
  } catch (...) {
    va_end(arguments);
    throw;
  }
  va_end(arguments);
}

std::string Format(const char* format, ...) {
  std::string text;
  va_list arguments;
  va_start(arguments, format);
  try {
    Append(&text, format, arguments);
  } catch (...) {
    va_end(arguments);
    throw;
  }
  va_end(arguments);
  return text;
}

}  // namespace sluice
