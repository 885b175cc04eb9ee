#include "exchange/temporary_files.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>

namespace sluice {
namespace {

std::array<std::atomic<char*>, 64> names;

}  // namespace

TemporaryName::TemporaryName(const std::string& path) : name_(strdup(path.c_str())) {
  for (size_t i = 0; i < names.size() && slot_ < 0 && name_ != nullptr; ++i) {
    char* expected = nullptr;
    if (names[i].compare_exchange_strong(expected, name_)) slot_ = static_cast<int>(i);
  }
}

TemporaryName::~TemporaryName() {
  char* mine = name_;
  if (slot_ >= 0 && !names[static_cast<size_t>(slot_)].compare_exchange_strong(mine, nullptr))
    return;  // a handler has it
  std::free(name_);
}

void RemoveTemporaryFiles() {
  for (std::atomic<char*>& slot : names) {
    if (const char* name = slot.exchange(nullptr)) unlink(name);
  }
}

}  // namespace sluice
