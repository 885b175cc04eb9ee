// The names of files under construction, so that a process that a signal ends leaves none behind.
// The library installs no handlers: a program that wants this calls RemoveTemporaryFiles() in its
// own, as the `sluice` command does.
#ifndef SLUICE_EXCHANGE_TEMPORARY_FILES_H_
#define SLUICE_EXCHANGE_TEMPORARY_FILES_H_

#include <string>

namespace sluice {

// While it lives, `path` goes when RemoveTemporaryFiles() is called. Of very many at once (64) the
// last are left out.
class TemporaryName {
 public:
  explicit TemporaryName(const std::string& path);
  ~TemporaryName();
  TemporaryName(const TemporaryName&) = delete;
  TemporaryName& operator=(const TemporaryName&) = delete;

 private:
  char* name_;
  int slot_ = -1;
};

// Removes them all. Safe in a signal handler; files may still be written, but have no name then.
void RemoveTemporaryFiles();

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_TEMPORARY_FILES_H_
