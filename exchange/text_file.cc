#include "exchange/text_file.h"

#include <unistd.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "exchange/file.h"
#include "exchange/safetensors.h"
#include "exchange/weights.h"
#include "graph/text.h"
#include "ops/op.h"

namespace sluice {
namespace {

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

// The first line of a text whose larger constants lie beside it: a comment to the parser.
constexpr char kWeightsLine[] = "// weights: ", kEnding[] = ".safetensors";

// The file in the text's folder that holds its weights; "" where it has none.
std::string WeightsOf(const std::string& path, absl::string_view text) {
  if (absl::ConsumePrefix(&text, kWeightsLine))
    return std::string(absl::StripAsciiWhitespace(text.substr(0, text.find('\n'))));
  const std::string plain = absl::StrCat(BaseName(path), kEnding);  // as versions before named it
  return Exists(absl::StrCat(FolderOf(path), "/", plain)) ? plain : "";
}

}  // namespace

Likeness LooksLikeText(const Sight& sight) {
  absl::string_view rest = absl::StripLeadingAsciiWhitespace(sight.head);
  while (absl::StartsWith(rest, "//")) {
    rest.remove_prefix(std::min(rest.find('\n'), rest.size()));
    rest = absl::StripLeadingAsciiWhitespace(rest);
  }
  for (absl::string_view word : {"graph", "function", "signature", "metadata"}) {
    if (absl::StartsWith(rest, word) && rest.size() > word.size() &&
        !absl::ascii_isalnum(static_cast<unsigned char>(rest[word.size()])))
      return Likeness::kCertain;
  }
  return sight.IsText() ? Likeness::kLikely : Likeness::kNone;
}

absl::StatusOr<std::unique_ptr<Graph>> ReadText(const std::string& path,
                                                const ReadOptions& options) {
  absl::StatusOr<std::shared_ptr<const MappedFile>> file = MappedFile::Open(path, options.access);
  if (!file.ok()) return file.status();
  ParseOptions parse;
  parse.file = BaseName(path);
  parse.max_depth = options.max_depth;
  parse.max_nodes = options.max_nodes;
  const std::string beside = WeightsOf(path, (*file)->bytes());
  if (!beside.empty() && !options.files_beside) {
    return absl::PermissionDeniedError(
        absl::StrCat("its weights lie in another file, ", Shown(beside),
                     ", and there is no folder to look in; read the model by its path"));
  }
  if (!beside.empty()) {
    absl::StatusOr<std::shared_ptr<const Folder>> folder =
        Folder::Open(FolderOf(path), options.access);
    if (!folder.ok()) return folder.status();
    // A name that the text gives is not trusted, one that follows from the user's path is.
    absl::StatusOr<std::shared_ptr<const MappedFile>> opened =
        absl::StartsWith((*file)->bytes(), kWeightsLine)
            ? (*folder)->OpenBelow(beside)
            : MappedFile::Open(absl::StrCat(FolderOf(path), "/", beside), options.access);
    if (!opened.ok()) return opened.status();
    absl::StatusOr<Safetensors> weights = ReadSafetensors(*opened);
    if (!weights.ok()) return weights.status();
    auto store = std::make_shared<WeightStore>(*std::move(weights), options.verify_checksums);
    parse.find_tensor = [store](absl::string_view hash) { return store->Find(hash); };
  }
  return Parse((*file)->bytes(), StandardOps(), parse);
}

absl::Status WriteText(const Graph& graph, const std::string& path, const WriteOptions&) {
  PrintOptions print;
  print.max_inline_elements = kMaxInlineElements;
  const Safetensors weights = CollectWeights(graph);
  absl::StatusOr<std::unique_ptr<AtomicFile>> file = AtomicFile::Create(path);
  if (!file.ok()) return file.status();
  std::unique_ptr<AtomicFile> part;
  absl::Status s;
  if (!weights.tensors.empty()) {
    const std::string name = PartName(path, HashOfWeights(weights), kEnding);
    auto created = AtomicFile::Create(absl::StrCat(FolderOf(path), "/", name));
    if (!created.ok()) return created.status();
    part = *std::move(created);
    s = (*file)->Append(absl::StrCat(kWeightsLine, name, "\n"));
    if (s.ok()) s = AppendSafetensors(weights, part.get());
  }
  if (s.ok()) s = (*file)->Append(Print(graph, print));
  if (!s.ok()) return s;
  return CommitWithPart(file->get(), part.get(), [&]() -> std::string {
    auto old = MappedFile::Open(path);
    const std::string name = old.ok() ? WeightsOf(path, (*old)->bytes()) : "";
    const bool ours =
        IsPartName(path, name, kEnding) || name == absl::StrCat(BaseName(path), kEnding);
    return ours ? name : "";
  });
}

}  // namespace sluice
