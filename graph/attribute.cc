#include "graph/attribute.h"

#include <cstring>

namespace sluice {

absl::string_view ToString(AttrKind kind) {
  switch (kind) {
    case AttrKind::kInt:
      return "int";
    case AttrKind::kFloat:
      return "float";
    case AttrKind::kString:
      return "string";
    case AttrKind::kInts:
      return "ints";
    case AttrKind::kFloats:
      return "floats";
    case AttrKind::kStrings:
      return "strings";
    case AttrKind::kDType:
      return "dtype";
    case AttrKind::kTensor:
      return "tensor";
    case AttrKind::kType:
      return "type";
  }
  return "invalid";
}

bool operator==(const Attribute& a, const Attribute& b) {
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case AttrKind::kFloat:
      return std::bit_cast<uint32_t>(a.as_float()) == std::bit_cast<uint32_t>(b.as_float());
    case AttrKind::kFloats: {
      const std::vector<float>&x = a.as_floats(), &y = b.as_floats();
      return x.size() == y.size() &&
             (x.empty() || std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0);
    }
    default:
      return a.value_ == b.value_;
  }
}

}  // namespace sluice
