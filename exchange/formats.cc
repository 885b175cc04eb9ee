#include "exchange/formats.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "exchange/file.h"
#include "graph/text.h"

namespace sluice {
namespace {

// The row with the longest suffix in which the path ends, of those that `counts`.
template <typename Counts>
const Format* BySuffix(absl::string_view path, Counts counts) {
  const Format* found = nullptr;
  size_t longest = 0;
  for (const Format& f : Formats()) {
    for (absl::string_view suffix : f.suffixes) {
      if (suffix.size() <= longest || !absl::EndsWith(path, suffix) || !counts(f)) continue;
      found = &f;
      longest = suffix.size();
    }
  }
  return found;
}

bool IsRead(const Format& f) { return f.read != nullptr; }
bool IsWritten(const Format& f) { return f.write != nullptr; }

// ".onnx (an ONNX model), ..." of those that `counts`.
std::string List(bool (*counts)(const Format&)) {
  std::string list;
  for (const Format& f : Formats()) {
    if (counts(f))
      absl::StrAppend(&list, list.empty() ? "" : ", ", f.suffixes[0], " (", f.name, ")");
  }
  return list;
}

absl::StatusOr<const Format*> Asked(ModelFormat format, bool (*counts)(const Format&)) {
  for (const Format& f : Formats()) {
    if (f.id == format && counts(f)) return &f;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("no such format: the options ask for number ", static_cast<int>(format)));
}

std::string FirstBytes(const Sight& sight) {
  constexpr size_t kShown = 8;
  std::string bytes;
  for (char c : absl::string_view(sight.head).substr(0, kShown)) {
    absl::StrAppend(&bytes, bytes.empty() ? "" : " ",
                    absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
  }
  return bytes;
}

}  // namespace

const Format* Recognize(const Sight& sight) {
  const Format* found = nullptr;
  Likeness most = Likeness::kNone;
  for (const Format& f : Formats()) {
    const Likeness likeness = f.sniff(sight);
    if (likeness <= most) continue;
    found = &f;
    most = likeness;
  }
  return found != nullptr || sight.folder ? found : BySuffix(sight.path, IsRead);
}

absl::StatusOr<const Format*> ReadableFormat(const std::string& path, ModelFormat asked) {
  if (asked != ModelFormat::kAuto) return Asked(asked, IsRead);
  absl::StatusOr<Sight> sight = LookAt(path);
  if (!sight.ok()) return sight.status();
  if (!sight->folder && sight->size == 0)
    return absl::InvalidArgumentError(absl::StrCat(Quote(path), " is empty"));
  const Format* format = Recognize(*sight);
  if (format == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quote(path), " has no format that is known: it begins with the bytes ",
                     FirstBytes(*sight), "; what can be read is ", List(IsRead)));
  }
  if (format->read == nullptr) {
    const bool certain = format->sniff(*sight) == Likeness::kCertain;
    return absl::InvalidArgumentError(absl::StrCat(Quote(path), certain ? " is " : " looks like ",
                                                   format->name, "; ", format->instead));
  }
  return format;
}

absl::StatusOr<const Format*> TargetFormat(const std::string& path, ModelFormat asked) {
  if (asked != ModelFormat::kAuto) return Asked(asked, IsWritten);
  if (const Format* format = BySuffix(path, IsWritten); format != nullptr) return format;
  const absl::StatusOr<Sight> there = LookAt(path);
  const bool folder = there.ok() && there->folder;
  if (BaseName(path).find('.', 1) == std::string::npos || folder)
    return Asked(ModelFormat::kFolder, IsWritten);
  const Format* foreign = BySuffix(path, [](const Format&) { return true; });
  return absl::InvalidArgumentError(absl::StrCat(
      "the target ", Quote(path),
      foreign == nullptr
          ? " has an ending that says no format"
          : absl::StrCat(" would be ", foreign->name, ", which is no form of a model to write"),
      "; there are ", List(IsWritten), "; if it is to be a folder of that name, write ",
      Quote(path + "/")));
}

std::string FormatHelp() {
  std::string help =
      "Models, told by their content where they are read, by their ending where they are written:";
  for (const Format& f : Formats()) {
    if (f.doc.empty()) continue;
    const std::string suffixes =
        absl::StrCat(f.suffixes[0], f.suffixes[1].empty() ? "" : ", ", f.suffixes[1]);
    absl::StrAppend(&help, "\n  ", suffixes,
                    std::string(std::max<size_t>(20, suffixes.size() + 2) - suffixes.size(), ' '),
                    f.doc);
  }
  return help;
}

}  // namespace sluice
