#include "exchange/safetensors.h"

#include <algorithm>
#include <cstring>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "exchange/safetensors_header.h"
#include "graph/text.h"

namespace sluice {
namespace {

constexpr size_t kAlignment = 64;

template <typename... Args>
absl::Status Invalid(const Args&... args) {
  return absl::InvalidArgumentError(absl::StrCat(args...));
}

struct TypeCode {
  DType dtype;
  const char* code;
};
constexpr TypeCode kCodes[] = {
    {DType::kF64, "F64"},   {DType::kF32, "F32"}, {DType::kF16, "F16"}, {DType::kBF16, "BF16"},
    {DType::kI64, "I64"},   {DType::kI32, "I32"}, {DType::kI16, "I16"}, {DType::kI8, "I8"},
    {DType::kU64, "U64"},   {DType::kU32, "U32"}, {DType::kU16, "U16"}, {DType::kU8, "U8"},
    {DType::kBool, "BOOL"},
};

absl::StatusOr<Tensor> ReadEntry(const SafetensorsEntry& e, absl::string_view data,
                                 const std::shared_ptr<const MappedFile>& file) {
  DType dtype = DType::kInvalid;
  for (const TypeCode& t : kCodes) {
    if (e.dtype == t.code) dtype = t.dtype;
  }
  if (dtype == DType::kInvalid)
    return absl::UnimplementedError(absl::StrCat("dtype ", Shown(e.dtype)));
  absl::StatusOr<int64_t> count = ElementCount(e.shape, ByteSize(dtype));
  if (!count.ok()) return count.status();
  const uint64_t bytes = static_cast<uint64_t>(*count) * ByteSize(dtype);
  if (e.end - e.begin != bytes) {
    return Invalid("its range has ", e.end - e.begin, " bytes, but ", ToString(dtype),
                   DimsToString(e.shape), " needs ", bytes);
  }
  const absl::string_view raw = data.substr(e.begin, bytes);
  const bool aligned = reinterpret_cast<uintptr_t>(raw.data()) % ByteSize(dtype) == 0;
  const bool clean = dtype != DType::kBool ||
                     std::all_of(raw.begin(), raw.end(), [](char c) { return c == 0 || c == 1; });
  if (aligned && clean && bytes > 0) return Tensor::Wrap(dtype, e.shape, raw.data(), file);
  absl::StatusOr<Tensor> t = Tensor::Allocate(dtype, e.shape);
  if (!t.ok() || bytes == 0) return t;
  std::memcpy(t->mutable_raw(), raw.data(), bytes);
  if (!clean) {
    uint8_t* b = static_cast<uint8_t*>(t->mutable_raw());
    for (uint64_t i = 0; i < bytes; ++i) b[i] = b[i] != 0;
  }
  return t;
}

absl::StatusOr<Safetensors> Read(const std::shared_ptr<const MappedFile>& file) {
  const absl::string_view bytes = file->bytes();
  if (bytes.size() < 8)
    return Invalid("it is not a safetensors file: it has ", bytes.size(), " bytes");
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  if (length > kMaxSafetensorsHeader || length > bytes.size() - 8) {
    return Invalid("it is not a safetensors file, or is truncated: its header would have ", length,
                   " bytes, the file has ", bytes.size());
  }
  absl::StatusOr<SafetensorsHeader> header = ParseSafetensorsHeader(bytes.substr(8, length));
  if (!header.ok()) return header.status();
  std::vector<SafetensorsEntry>& entries = header->entries;
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  const absl::string_view data = bytes.substr(8 + length);
  uint64_t at = 0;
  Safetensors result;
  for (const SafetensorsEntry& e : entries) {
    const std::string name = Shown(e.name);
    if (e.begin != at || e.end < e.begin) {
      return Invalid("tensor ", name, " has bytes ", e.begin, " to ", e.end, ", but ", at,
                     " comes next: ranges may not overlap or leave holes");
    }
    if (e.end > data.size())
      return Invalid("tensor ", name, " ends at ", e.end, ", but the data has ", data.size(),
                     " bytes");
    absl::StatusOr<Tensor> tensor = ReadEntry(e, data, file);
    if (!tensor.ok()) {
      return absl::Status(tensor.status().code(),
                          absl::StrCat("tensor ", name, ": ", tensor.status().message()));
    }
    result.tensors.push_back({e.name, *std::move(tensor)});
    at = e.end;
  }
  if (at != data.size())
    return Invalid(data.size() - at, " bytes after the last tensor belong to none");
  result.metadata = std::move(header->metadata);
  return result;
}

}  // namespace

absl::StatusOr<Safetensors> ReadSafetensors(const std::shared_ptr<const MappedFile>& file) {
  absl::StatusOr<Safetensors> result = Read(file);
  if (!result.ok()) {
    return absl::Status(result.status().code(),
                        absl::StrCat(Quote(file->path()), ": ", result.status().message()));
  }
  return result;
}

absl::StatusOr<Safetensors> ReadSafetensors(const std::string& path, FileAccess access) {
  absl::StatusOr<std::shared_ptr<const MappedFile>> file = MappedFile::Open(path, access);
  if (!file.ok()) return file.status();
  return ReadSafetensors(*file);
}

absl::Status AppendSafetensors(const Safetensors& content, AtomicFile* file) {
  std::vector<const std::pair<std::string, Tensor>*> order;
  for (const auto& named : content.tensors) order.push_back(&named);
  auto rank = [](const Tensor& t) {
    return t.bytes() % kAlignment == 0 ? size_t{0} : size_t{64} - ByteSize(t.dtype());
  };
  std::sort(order.begin(), order.end(), [&](const auto* a, const auto* b) {
    const size_t rank_a = rank(a->second), rank_b = rank(b->second);
    return rank_a != rank_b ? rank_a < rank_b : a < b;  // else as given
  });
  SafetensorsHeader header;
  header.metadata = content.metadata;
  uint64_t at = 0;
  for (const auto* named : order) {
    const Tensor& t = named->second;
    SafetensorsEntry e;
    for (const TypeCode& code : kCodes) {
      if (code.dtype == t.dtype()) e.dtype = code.code;
    }
    if (e.dtype.empty()) {
      return absl::UnimplementedError(absl::StrCat(
          "safetensors cannot hold tensor ", Shown(named->first), " of ", ToString(t.dtype())));
    }
    e.name = named->first;
    e.shape.assign(t.dims().begin(), t.dims().end());
    e.begin = at;
    e.end = at += t.bytes();
    header.entries.push_back(std::move(e));
  }
  absl::StatusOr<std::string> json = PrintSafetensorsHeader(header);
  if (!json.ok()) return json.status();
  json->append((kAlignment - (8 + json->size()) % kAlignment) % kAlignment, ' ');
  if (json->size() > kMaxSafetensorsHeader)
    return absl::ResourceExhaustedError("safetensors: the header is over 100 MB");
  const uint64_t length = json->size();
  absl::Status s = file->Append({reinterpret_cast<const char*>(&length), 8});
  if (s.ok()) s = file->Append(*json);
  for (size_t i = 0; s.ok() && i < order.size(); ++i) {
    const Tensor& t = order[i]->second;
    s = file->Append({static_cast<const char*>(t.raw()), t.bytes()});
  }
  return s;
}

absl::Status WriteSafetensors(const Safetensors& content, const std::string& path) {
  absl::StatusOr<std::unique_ptr<AtomicFile>> file = AtomicFile::Create(path);
  if (!file.ok()) return file.status();
  if (absl::Status s = AppendSafetensors(content, file->get()); !s.ok()) return s;
  return (*file)->Commit();
}

}  // namespace sluice
