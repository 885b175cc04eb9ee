#include "base/hash.h"

#include <bit>
#include <cstring>

namespace sluice {
namespace {

static_assert(std::endian::native == std::endian::little, "hashes are over little-endian words");

constexpr uint64_t kPrime1 = 0x9e3779b185ebca87, kPrime2 = 0xc2b2ae3d27d4eb4f;

// One word into a lane: a bijection of the lane for each word (the round of XXH64).
inline uint64_t Round(uint64_t lane, uint64_t word) {
  return std::rotl(lane + word * kPrime2, 31) * kPrime1;
}

// Every bit of the result depends on every bit of x (the finaliser of SplitMix64).
inline uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

void Hasher::AddBytes(const void* data, size_t size) {
  const char* p = static_cast<const char*>(data);
  const size_t total = size;
  uint64_t a = lanes_[0], b = lanes_[1], c = lanes_[2], d = lanes_[3];
  uint64_t words[4];
  for (; size >= sizeof(words); size -= sizeof(words), p += sizeof(words)) {
    std::memcpy(words, p, sizeof(words));
    a = Round(a, words[0]);
    b = Round(b, words[1]);
    c = Round(c, words[2]);
    d = Round(d, words[3]);
  }
  std::memset(words, 0, sizeof(words));
  if (size > 0) std::memcpy(words, p, size);
  // The rest, padded, and the length; each lane then takes in its neighbour, so that the order of
  // calls counts.
  a = Round(a, words[0] ^ Mix(d));
  b = Round(b, words[1] ^ Mix(a));
  c = Round(c, words[2] ^ Mix(b + total));
  d = Round(d, words[3] ^ Mix(c));
  lanes_[0] = a, lanes_[1] = b, lanes_[2] = c, lanes_[3] = d;
}

std::string Hasher::Hex() const {
  const uint64_t high = Mix(lanes_[0] + Mix(lanes_[1] + Mix(lanes_[2] + Mix(lanes_[3]))));
  const uint64_t low = Mix(lanes_[3] ^ Mix(lanes_[2] ^ Mix(lanes_[1] ^ Mix(lanes_[0] ^ high))));
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  text.reserve(32);
  for (uint64_t word : {high, low}) {
    for (int shift = 60; shift >= 0; shift -= 4) text.push_back(kHex[(word >> shift) & 15]);
  }
  return text;
}

}  // namespace sluice
