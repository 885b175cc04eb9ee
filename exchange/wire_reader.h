// Protobuf's wire format, field by field: for what is looked at before, or without, a message.
#ifndef SLUICE_EXCHANGE_WIRE_READER_H_
#define SLUICE_EXCHANGE_WIRE_READER_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace sluice {

// The tags of fields, as they stand on the wire.
constexpr uint64_t VarintTag(uint64_t number) { return number << 3; }
constexpr uint64_t BytesTag(uint64_t number) { return number << 3 | 2; }  // length-delimited

// Walks the fields of one message. What is nested in a field is a message for another reader.
class WireReader {
 public:
  enum class Extent {
    kWhole,      // the bytes are the message
    kBeginning,  // they may break off anywhere: of a field cut short, what is there counts
  };
  explicit WireReader(absl::string_view bytes, Extent extent = Extent::kWhole)
      : rest_(bytes), beginning_(extent == Extent::kBeginning) {}

  // The next field: its tag, all its bytes, and its content where length-delimited. False at the
  // end and where the bytes are malformed.
  bool Next() {
    const char* begin = rest_.data();
    if (rest_.empty() || !Varint(&tag)) return false;
    tag &= 0xffffffff;  // as protobuf reads it: a longer one must not look like another field
    uint64_t size = 0;
    content = {};
    switch (tag & 7) {
      case 0:
        if (!Varint(&size)) return false;
        break;
      case 1:
      case 5:
        if (!Take((tag & 7) == 1 ? 8 : 4)) return false;
        break;
      case 2: {
        if (!Varint(&size)) return false;
        const char* from = rest_.data();
        if (!Take(size)) return false;
        content = {from, static_cast<size_t>(rest_.data() - from)};
        break;
      }
      default:
        return Broken();
    }
    field = absl::string_view(begin, static_cast<size_t>(rest_.data() - begin));
    return true;
  }
  bool ok() const { return ok_; }

  uint64_t tag = 0;
  absl::string_view field, content;

 private:
  bool Broken() { return ok_ = false; }
  bool Take(uint64_t n) {
    if (n > rest_.size() && !beginning_) return Broken();
    rest_.remove_prefix(n < rest_.size() ? static_cast<size_t>(n) : rest_.size());
    return true;
  }
  bool Varint(uint64_t* value) {
    *value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) return beginning_ ? false : Broken();
      const uint64_t byte = static_cast<unsigned char>(rest_[0]);
      rest_.remove_prefix(1);
      *value |= (byte & 127) << shift;
      if (byte < 128) return true;
    }
    return Broken();
  }
  absl::string_view rest_;
  bool beginning_, ok_ = true;
};

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_WIRE_READER_H_
