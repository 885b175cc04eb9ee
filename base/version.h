// The version of the library, MAJOR.MINOR.PATCH. Before 1.0 a new MINOR may change the API and the
// ABI, after it a new MAJOR alone; a PATCH changes neither. The shared library's soname is made of
// what may change them (libsluice.so.0.1). Files of older versions are always read
// (proto/README.md).
#ifndef SLUICE_BASE_VERSION_H_
#define SLUICE_BASE_VERSION_H_

#define SLUICE_VERSION_MAJOR 0
#define SLUICE_VERSION_MINOR 1
#define SLUICE_VERSION_PATCH 0
#define SLUICE_VERSION "0.1.0"  // of the headers that a program was compiled with

namespace sluice {

const char* Version();  // of the library that it runs with

}  // namespace sluice

#endif  // SLUICE_BASE_VERSION_H_
