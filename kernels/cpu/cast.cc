// Casts from and to strings; numbers are cast by tile programs.
#include <charconv>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "graph/text.h"
#include "kernels/cpu/tile/functors.h"
#include "kernels/kernel.h"

namespace sluice::cpu {
namespace {

// Shortest text that reads back as the same number; infinities and NaN as ONNX spells them.
template <typename T>
std::string Print(T value) {
  if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>) {
    return Print(static_cast<float>(value));
  } else if constexpr (std::is_integral_v<T>) {
    return absl::StrCat(+value);
  } else {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "INF" : "-INF";
    char buffer[64];
    const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value);
    return std::string(buffer, end.ptr);
  }
}

absl::StatusOr<double> ParseDouble(absl::string_view text) {
  absl::string_view body = absl::StripAsciiWhitespace(text);
  double value = 0;
  if (absl::SimpleAtod(body, &value)) return value;  // knows inf and nan in any case
  const std::string lower = absl::AsciiStrToLower(body);
  if (lower == "true") return 1;
  if (lower == "false") return 0;
  return absl::InvalidArgumentError(absl::StrCat("cannot read ", Shown(text), " as a number"));
}

template <typename T>
absl::Status ParseInto(absl::string_view text, T* out) {
  if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    using Wide = std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>;
    Wide wide;
    if (absl::SimpleAtoi(text, &wide) && wide == static_cast<Wide>(static_cast<T>(wide))) {
      *out = static_cast<T>(wide);
      return absl::OkStatus();
    }
  }
  const absl::StatusOr<double> value = ParseDouble(text);
  if (!value.ok()) return value.status();
  if constexpr (std::is_same_v<T, bool>) {
    *out = *value != 0;
  } else if constexpr (std::is_integral_v<T>) {
    *out = SaturatingCast<T>(*value);
  } else if constexpr (std::is_floating_point_v<T>) {
    *out = static_cast<T>(*value);
  } else {
    *out = T(static_cast<float>(*value));
  }
  return absl::OkStatus();
}

class StringCastKernel : public Kernel {
 public:
  StringCastKernel(DType from, DType to, int64_t elements)
      : from_(from), to_(to), elements_(elements) {}

  absl::Status Launch(const LaunchContext& c) const override {
    if (to_ == DType::kString && from_ == DType::kString) {
      std::copy_n(c.input<std::string>(0), elements_, c.output<std::string>(0));
      return absl::OkStatus();
    }
    if (to_ == DType::kString) {
      std::string* out = c.output<std::string>(0);
      VisitDType(
          from_,
          [&]<typename T>() {
            if constexpr (std::is_same_v<T, bool>) {
              const uint8_t* in = c.input<uint8_t>(0);
              for (int64_t i = 0; i < elements_; ++i) out[i] = in[i] != 0 ? "1" : "0";
            } else {
              const T* in = c.input<T>(0);
              for (int64_t i = 0; i < elements_; ++i) out[i] = Print(in[i]);
            }
          },
          [] {});
      return absl::OkStatus();
    }
    const std::string* in = c.input<std::string>(0);
    return VisitDType(
        to_,
        [&]<typename T>() -> absl::Status {
          T* out = c.output<T>(0);
          for (int64_t i = 0; i < elements_; ++i) {
            if (absl::Status s = ParseInto(in[i], &out[i]); !s.ok()) {
              return absl::InvalidArgumentError(absl::StrCat("element ", i, ": ", s.message()));
            }
          }
          return absl::OkStatus();
        },
        [] { return absl::OkStatus(); });
  }
  std::string Description() const override { return "strings"; }

 private:
  const DType from_, to_;
  const int64_t elements_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareStringCast(const PrepareContext& context) {
  const DType from = context.input_dtype(0), to = context.output_dtype(0);
  if (from != DType::kString && to != DType::kString) {
    return absl::UnimplementedError("works on strings only");
  }
  absl::StatusOr<int64_t> elements = ElementCount(context.input_dims(0));
  if (!elements.ok()) return elements.status();
  return std::make_unique<StringCastKernel>(from, to, *elements);
}

}  // namespace sluice::cpu
