// A 128-bit content hash: names weights in files and tells caches apart. Fast (four independent
// 64-bit lanes) and stable over machines and versions: written files depend on it. It is no
// protection against someone who builds collisions on purpose: a reader that must trust its bytes
// compares them or checks a checksum.
#ifndef SLUICE_BASE_HASH_H_
#define SLUICE_BASE_HASH_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace sluice {

class Hasher {
 public:
  // Each call is a unit of its own: AddBytes("ab") differs from AddBytes("a"), AddBytes("b").
  void AddBytes(const void* data, size_t size);
  void AddWord(uint64_t word) { AddBytes(&word, sizeof(word)); }
  std::string Hex() const;  // 32 hex digits

 private:
  uint64_t lanes_[4] = {0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0,
                        0x082efa98ec4e6c89};  // digits of pi
};

}  // namespace sluice

#endif  // SLUICE_BASE_HASH_H_
