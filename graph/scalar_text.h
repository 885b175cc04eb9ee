// Numbers and strings as text: shortest digits that read back to the same bits.
#ifndef SLUICE_GRAPH_SCALAR_TEXT_H_
#define SLUICE_GRAPH_SCALAR_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"
#include "graph/dtype.h"
#include "graph/tensor.h"

namespace sluice {

// Always recognisable as a float: "1.0", "1e+30", "-inf", "nan". A NaN other than the default quiet
// one is written by its bits: "nan(0x7fc00001)". A half is written with the digits it needs.
void AppendFloat(std::string* out, double value);
void AppendFloat(std::string* out, float value);
void AppendFloat(std::string* out, Float16 value);
void AppendFloat(std::string* out, BFloat16 value);

// The reverse for any decimal number, "inf", "nan", "nan(0x...)"; false where `text` is none of
// these or does not fit.
bool ParseFloat(absl::string_view text, double* value);
bool ParseFloat(absl::string_view text, float* value);
bool ParseFloat(absl::string_view text, Float16* value);
bool ParseFloat(absl::string_view text, BFloat16* value);

void AppendInt(std::string* out, int64_t value);
void AppendInt(std::string* out, uint64_t value);

// As Quote() in graph/text.h.
void AppendQuoted(std::string* out, absl::string_view text);
// The same without the quotes around; `quote` is the one that is escaped inside, '\0' for none.
void AppendEscaped(std::string* out, absl::string_view text, char quote);

// The bytes of the valid UTF-8 character that `text` begins with, where it is neither ASCII nor one
// that hides or reorders what a terminal shows; 0 else.
size_t PrintableUtf8(absl::string_view text);

// Element `i` as the text form writes it; `i` is in range.
void AppendElement(std::string* out, const Tensor& tensor, int64_t i);

}  // namespace sluice

#endif  // SLUICE_GRAPH_SCALAR_TEXT_H_
