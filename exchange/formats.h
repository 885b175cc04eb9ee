// The table of file formats: how each is told from the others, read and written. ReadModel(),
// WriteModel(), the command and the messages about files ask nothing else.
#ifndef SLUICE_EXCHANGE_FORMATS_H_
#define SLUICE_EXCHANGE_FORMATS_H_

#include <array>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "exchange/model.h"
#include "exchange/sight.h"

namespace sluice {

struct Format {
  absl::string_view name;  // what a message calls a file of it, with its article: "an ONNX model"
  absl::string_view doc = {};  // its line of --help; "" for what is neither read nor written
  // What names of it end in, the usual ending first: by these a writer is chosen, and a reader
  // where the content says nothing.
  std::array<absl::string_view, 2> suffixes = {};
  Likeness (*sniff)(const Sight& sight) = nullptr;
  // Null: it is only named, and `instead` says what the user can do, with the reason if it is not
  // plain.
  absl::StatusOr<std::unique_ptr<Graph>> (*read)(const std::string& path,
                                                 const ReadOptions& options) = nullptr;
  absl::string_view instead = {};
  absl::Status (*write)(const Graph& graph, const std::string& path,
                        const WriteOptions& options) = nullptr;
  ModelFormat id = ModelFormat::kAuto;  // by which options ask for it; kAuto: they cannot
  bool holds_packed = false;            // WriteOptions::packed
  bool holds_default_inputs = false;    // of an optimised graph, too (graph/default_inputs.h)
};

// All rows (format_table.cc).
absl::Span<const Format> Formats();

// The row that the content looks most like, the first of equals; where it is like none, of those
// that can be read the one by whose suffix the path ends. Null: there is none.
const Format* Recognize(const Sight& sight);

// By which ReadModel() reads a path: the format that is `asked` for, or the one that the file has.
// Where it has none that is read: InvalidArgument that says what the file is, or looks like, and
// what can be done.
absl::StatusOr<const Format*> ReadableFormat(const std::string& path,
                                             ModelFormat asked = ModelFormat::kAuto);

// By which WriteModel() writes to a path: the format that is `asked` for, or else the one of the
// suffix, and the folder for a name without any. A name that ends in .something else is taken for a
// mistake (InvalidArgument, which lists the suffixes), unless a folder of that name is there.
absl::StatusOr<const Format*> TargetFormat(const std::string& path,
                                           ModelFormat asked = ModelFormat::kAuto);

// The paragraph of --help: each format's suffixes and doc.
std::string FormatHelp();

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_FORMATS_H_
