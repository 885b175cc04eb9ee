#include "tools/digits.h"

#include <zlib.h>

#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

// The file as it lies in the repository, put into the program by the assembler.
__asm__(
    ".pushsection .rodata\n"
    "sluice_digits_begin: .incbin \"data/digits.csv.gz\"\n"
    "sluice_digits_end: .byte 0\n"
    ".popsection\n");
extern "C" const unsigned char sluice_digits_begin[], sluice_digits_end[];

namespace sluice {

absl::StatusOr<Digits> LoadDigits() {
  std::string text(1 << 20, '\0');
  z_stream stream = {};
  stream.next_in = const_cast<unsigned char*>(sluice_digits_begin);
  stream.avail_in = static_cast<unsigned>(sluice_digits_end - sluice_digits_begin);
  stream.next_out = reinterpret_cast<unsigned char*>(text.data());
  stream.avail_out = static_cast<unsigned>(text.size());
  if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK)
    return absl::InternalError("digits: zlib does not start");
  const int code = inflate(&stream, Z_FINISH);
  text.resize(stream.total_out);
  inflateEnd(&stream);
  if (code != Z_STREAM_END) return absl::DataLossError("digits: the embedded file does not unpack");
  std::vector<float> pixels;
  std::vector<int64_t> labels;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    std::vector<absl::string_view> fields = absl::StrSplit(line, ',');
    if (fields.size() != 65)
      return absl::DataLossError(
          absl::StrCat("digits: ", fields.size(), " fields in a line, expected 65"));
    for (size_t i = 0; i < 65; ++i) {
      int value = 0;
      if (!absl::SimpleAtoi(fields[i], &value))
        return absl::DataLossError(absl::StrCat("digits: '", fields[i], "' is no number"));
      if (i < 64) {
        pixels.push_back(static_cast<float>(value) / 16);
      } else {
        labels.push_back(value);
      }
    }
  }
  const int64_t n = static_cast<int64_t>(labels.size());
  return Digits{Tensor::FromSpan<float>({n, 1, 8, 8}, pixels), Tensor::Vector<int64_t>(labels)};
}

}  // namespace sluice
