#include "exchange/foreign_formats.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "exchange/wire_reader.h"

namespace sluice {
namespace {

Likeness Certain(bool holds) { return holds ? Likeness::kCertain : Likeness::kNone; }
Likeness Likely(bool holds) { return holds ? Likeness::kLikely : Likeness::kNone; }

absl::string_view Trimmed(const Sight& sight) {
  return absl::StripLeadingAsciiWhitespace(absl::StripPrefix(sight.head, "\xEF\xBB\xBF"));
}

// The content of the next field, which must be this one.
bool Next(WireReader* reader, uint64_t tag, absl::string_view* content) {
  if (!reader->Next() || reader->tag != tag) return false;
  *content = reader->content;
  return true;
}
bool Next(WireReader* reader, uint64_t tag) {
  absl::string_view unused;
  return Next(reader, tag, &unused);
}

// The name of the first entry of a zip archive (PKWARE's APPNOTE, 4.3.7); "" of anything else.
absl::string_view FirstEntry(const Sight& sight) {
  constexpr size_t kHeader = 30, kLength = 26;
  const absl::string_view head = sight.head;
  if (!sight.Holds("PK\x03\x04") || head.size() < kHeader) return "";
  const auto byte = [&](size_t at) { return static_cast<unsigned char>(head[at]); };
  return head.substr(kHeader, byte(kLength) | byte(kLength + 1) << 8);
}

}  // namespace

Likeness LooksLikeGitLfsPointer(const Sight& sight) {
  return Certain(absl::StartsWith(Trimmed(sight), "version https://git-lfs"));
}

Likeness LooksLikeMarkup(const Sight& sight) {
  const absl::string_view text = Trimmed(sight);
  if (text.size() < 2 || text[0] != '<' || !sight.IsText()) return Likeness::kNone;
  return Certain(text[1] == '!' || text[1] == '?' ||
                 absl::ascii_isalpha(static_cast<unsigned char>(text[1])));
}

Likeness LooksLikeOpenVino(const Sight& sight) {
  const absl::string_view text = Trimmed(sight);
  return Certain(absl::StartsWith(text, "<") && absl::StrContains(text, "<net ") &&
                 absl::StrContains(text, "<layers"));
}

// SavedModel: its schema's version, which is 1, then a MetaGraphDef, which begins with a
// MetaInfoDef, of which some fields are set, but hardly its name (that of other messages, which
// begin alike).
Likeness LooksLikeSavedModel(const Sight& sight) {
  if (sight.folder)
    return Certain(sight.HasFile("saved_model.pb") || sight.HasFile("saved_model.pbtxt"));
  WireReader model(sight.head, WireReader::Extent::kBeginning);
  absl::string_view meta_graph, info;
  if (!sight.Holds("\x08\x01") || !Next(&model, VarintTag(1)) ||
      !Next(&model, BytesTag(2), &meta_graph))
    return Likeness::kNone;
  WireReader reader(meta_graph, WireReader::Extent::kBeginning);
  return Likely(Next(&reader, BytesTag(1), &info) && !info.empty() &&
                absl::string_view("\x12\x1A\x22\x2A").find(info[0]) != absl::string_view::npos);
}

// GraphDef: nodes, each with a name and the name of an op.
Likeness LooksLikeTensorFlowGraph(const Sight& sight) {
  WireReader graph(sight.head, WireReader::Extent::kBeginning);
  absl::string_view node, name, op;
  if (!Next(&graph, BytesTag(1), &node)) return Likeness::kNone;
  WireReader reader(node, WireReader::Extent::kBeginning);
  if (!Next(&reader, BytesTag(1), &name) || !Next(&reader, BytesTag(2), &op))
    return Likeness::kNone;
  const auto is_printable = [](unsigned char c) { return absl::ascii_isprint(c); };
  const auto is_of_op = [](unsigned char c) { return absl::ascii_isalnum(c) || c == '_'; };
  return Likely(!name.empty() && std::all_of(name.begin(), name.end(), is_printable) &&
                !op.empty() && std::all_of(op.begin(), op.end(), is_of_op));
}

Likeness LooksLikePyTorchZip(const Sight& sight) {
  const absl::string_view entry = FirstEntry(sight);
  return Certain(absl::EndsWith(entry, "/data.pkl") || absl::StrContains(entry, "/data/") ||
                 absl::EndsWith(entry, "/version"));
}

Likeness LooksLikeNpz(const Sight& sight) {
  return Certain(absl::EndsWith(FirstEntry(sight), ".npy"));
}

Likeness LooksLikePickle(const Sight& sight) {
  if (!sight.Holds("\x80") || sight.head.size() < 4) return Likeness::kNone;
  const char protocol = sight.head[1], opcode = sight.head[2];
  // A frame, or the opcodes that objects begin with.
  if (protocol == 4 || protocol == 5) return Likely(opcode == '\x95');
  return Likely((protocol == 2 || protocol == 3) &&
                absl::string_view("](}c\x8AXKJM").find(opcode) != absl::string_view::npos);
}

Likeness LooksLikeGraphPb(const Sight& sight) {
  WireReader graph(sight.head, WireReader::Extent::kBeginning);
  absl::string_view producer;
  return Certain(Next(&graph, VarintTag(1)) && Next(&graph, VarintTag(2)) &&
                 Next(&graph, VarintTag(3)) && Next(&graph, BytesTag(4), &producer) &&
                 producer == "sluice");
}

}  // namespace sluice
