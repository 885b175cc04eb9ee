// How the bytes of a file are taken.
#ifndef SLUICE_EXCHANGE_FILE_ACCESS_H_
#define SLUICE_EXCHANGE_FILE_ACCESS_H_

namespace sluice {

enum class FileAccess {
  // Mapped: nothing is read before it is needed, and the system may take the pages back. Whoever
  // overwrites the file in place while it is in use changes what is read; whoever truncates it ends
  // the process (SIGBUS).
  kMap,
  // Copied once, on opening, into memory of the process's own: whatever becomes of the file, what
  // was read stays. Costs the file's size in memory; ResourceExhausted where that cannot be had.
  kCopy,
};

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_FILE_ACCESS_H_
