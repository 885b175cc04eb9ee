#include "exchange/packed_file.h"

#include <cstring>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

constexpr char kPrefix[] = "sluice.packed";
constexpr int64_t kAlignment = 64;  // safetensors places multiples of it aligned to it

absl::StatusOr<Tensor> Padded(const Tensor& t) {
  if (t.elements() % kAlignment == 0) return t;
  const int64_t size = (t.elements() + kAlignment - 1) / kAlignment * kAlignment;
  absl::StatusOr<Tensor> padded = Tensor::Allocate(DType::kU8, {size});
  if (!padded.ok()) return padded;
  std::memset(padded->mutable_raw(), 0, padded->bytes());
  std::memcpy(padded->mutable_raw(), t.raw(), t.bytes());
  return padded;
}

}  // namespace

absl::Status AddPacked(const Graph& graph, const PackedSet& set, Safetensors* content) {
  absl::flat_hash_map<absl::string_view, const Value*> constants;
  for (const auto& node : graph.nodes()) {
    if (node->num_outputs() > 0 && node->output(0)->constant() != nullptr)
      constants.emplace(node->output(0)->name(), node->output(0));
  }
  int64_t i = 0;
  for (const PackedSet::Entry& e : set.entries) {
    auto it = constants.find(e.constant);
    if (it == constants.end()) continue;
    if (it->second->constant()->ContentHash() != e.source_hash) continue;  // another by now
    absl::StatusOr<Tensor> bytes = Padded(e.bytes);
    if (!bytes.ok()) return bytes.status();
    const std::string name = absl::StrCat(kPrefix, ".", i++);
    content->tensors.push_back({name, *std::move(bytes)});
    content->metadata[name + ".constant"] = e.constant;
    content->metadata[name + ".format"] = e.format;
    content->metadata[name + ".seal"] = e.seal;
    content->metadata[name + ".bytes"] = absl::StrCat(e.bytes.elements());
    content->metadata[name + ".source"] = e.source_hash;
  }
  if (i > 0) content->metadata[kPrefix] = set.key;
  return absl::OkStatus();
}

PackedSet TakePacked(Safetensors* content) {
  PackedSet set;
  auto key = content->metadata.find(kPrefix);
  if (key == content->metadata.end()) return set;
  set.key = key->second;
  NamedTensors rest;
  for (auto& [name, tensor] : content->tensors) {
    if (!absl::StartsWith(name, absl::StrCat(kPrefix, "."))) {
      rest.push_back({name, std::move(tensor)});
      continue;
    }
    auto field = [&, &n = name](absl::string_view what) {
      auto it = content->metadata.find(absl::StrCat(n, what));
      return it == content->metadata.end() ? std::string() : it->second;
    };
    int64_t bytes = -1;
    if (!absl::SimpleAtoi(field(".bytes"), &bytes) || bytes < 0 || tensor.dtype() != DType::kU8 ||
        bytes > tensor.elements() || field(".constant").empty() || field(".seal").empty()) {
      set.note = absl::StrCat("entry ", name.substr(0, 100), " breaks the rules of the format");
      continue;
    }
    set.entries.push_back(
        {.constant = field(".constant"),
         .source_hash = field(".source"),
         .format = field(".format"),
         .seal = field(".seal"),
         .bytes = Tensor::Wrap(DType::kU8, {bytes}, tensor.raw(), tensor.owner())});
  }
  content->tensors = std::move(rest);
  absl::flat_hash_map<absl::string_view, const Tensor*> constants;
  for (const auto& [name, tensor] : content->tensors) constants.emplace(name, &tensor);
  for (PackedSet::Entry& e : set.entries) {
    auto it = constants.find(e.source_hash);  // its name in the file
    if (it != constants.end()) e.source = *it->second;
  }
  if (!set.note.empty()) set.entries.clear();
  return set;
}

}  // namespace sluice
