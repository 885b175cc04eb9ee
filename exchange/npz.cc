// Zip archives of .npy files, by PKWARE's APPNOTE: the central directory decides, the local headers
// must agree; stored and deflated entries; zip64.
#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "exchange/file.h"
#include "exchange/npy.h"
#include "exchange/npy_format.h"
#include "graph/text.h"

namespace sluice {
namespace {

constexpr uint32_t kLocal = 0x04034b50, kCentral = 0x02014b50, kEnd = 0x06054b50,
                   kEnd64 = 0x06064b50, kEnd64Locator = 0x07064b50;
constexpr uint64_t kMax32 = 0xffffffff;
constexpr uint64_t kMaxEntries = 1'000'000;
constexpr size_t kFirstChunk = 1 << 16;  // an npy header is nearly always smaller

template <typename... Args>
absl::Status Invalid(const Args&... args) {
  return absl::InvalidArgumentError(absl::StrCat(args...));
}

// A little-endian number; 0 past the end (callers have checked the range).
uint64_t Le(absl::string_view bytes, size_t at, int size) {
  uint64_t value = 0;
  for (int i = 0; i < size && at + static_cast<size_t>(i) < bytes.size(); ++i)
    value |= uint64_t{static_cast<unsigned char>(bytes[at + static_cast<size_t>(i)])} << (8 * i);
  return value;
}

void PutLe(uint64_t value, int size, std::string* out) {
  for (int i = 0; i < size; ++i) out->push_back(static_cast<char>(value >> (8 * i)));
}

struct Entry {
  std::string name;
  bool deflated = false;
  uint32_t crc = 0;
  uint64_t packed = 0, unpacked = 0, local = 0;
  absl::string_view data;  // packed
};

// The zip64 extra field replaces those numbers that did not fit.
void ReadZip64(absl::string_view extra, Entry* e) {
  while (extra.size() >= 4) {
    const uint64_t id = Le(extra, 0, 2), size = Le(extra, 2, 2);
    if (size > extra.size() - 4) return;
    absl::string_view field = extra.substr(4, size);
    extra.remove_prefix(4 + size);
    if (id != 1) continue;
    for (uint64_t* n : {&e->unpacked, &e->packed, &e->local}) {
      if (*n != kMax32 || field.size() < 8) continue;
      *n = Le(field, 0, 8);
      field.remove_prefix(8);
    }
    return;
  }
}

absl::Status CheckName(absl::string_view name) {
  bool bad = name.empty() || name[0] == '/' || name.find('\\') != absl::string_view::npos ||
             name.find('\0') != absl::string_view::npos;
  for (absl::string_view part : absl::StrSplit(name, '/')) bad |= part == "..";
  if (!bad) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat("the entry name ", Shown(name), " leads out of the archive"));
}

absl::StatusOr<std::vector<Entry>> ReadDirectory(absl::string_view zip) {
  const absl::Status broken = Invalid("it is not an npz file, or is truncated");
  if (zip.size() < 22) return broken;
  size_t end = zip.size() - 22;
  const size_t lowest = end > 65535 ? end - 65535 : 0;  // a comment may follow
  while (Le(zip, end, 4) != kEnd) {
    if (end-- == lowest) return broken;
  }
  uint64_t count = Le(zip, end + 10, 2), size = Le(zip, end + 12, 4), at = Le(zip, end + 16, 4);
  if (end >= 20 && Le(zip, end - 20, 4) == kEnd64Locator) {
    const uint64_t end64 = Le(zip, end - 12, 8);
    if (end64 > zip.size() || zip.size() - end64 < 56 || Le(zip, end64, 4) != kEnd64) return broken;
    count = Le(zip, end64 + 32, 8);
    size = Le(zip, end64 + 40, 8);
    at = Le(zip, end64 + 48, 8);
  }
  if (at > zip.size() || size > zip.size() - at || count > kMaxEntries) return broken;
  absl::string_view directory = zip.substr(at, size);
  std::vector<Entry> entries;
  for (uint64_t i = 0; i < count; ++i) {
    if (directory.size() < 46 || Le(directory, 0, 4) != kCentral) return broken;
    const uint64_t method = Le(directory, 10, 2), name = Le(directory, 28, 2),
                   extra = Le(directory, 30, 2), comment = Le(directory, 32, 2);
    if (directory.size() < 46 + name + extra + comment) return broken;
    Entry e;
    e.name = std::string(directory.substr(46, name));
    e.crc = static_cast<uint32_t>(Le(directory, 16, 4));
    e.packed = Le(directory, 20, 4);
    e.unpacked = Le(directory, 24, 4);
    e.local = Le(directory, 42, 4);
    ReadZip64(directory.substr(46 + name, extra), &e);
    if (absl::Status s = CheckName(e.name); !s.ok()) return s;
    if (Le(directory, 8, 2) & 1) return Invalid("entry ", Shown(e.name), " is encrypted");
    if (method != 0 && method != 8)
      return Invalid("entry ", Shown(e.name), " is packed by method ", method,
                     "; understood are stored and deflated");
    e.deflated = method == 8;
    if (e.local > zip.size() || zip.size() - e.local < 30 || Le(zip, e.local, 4) != kLocal)
      return broken;
    const uint64_t begin = e.local + 30 + Le(zip, e.local + 26, 2) + Le(zip, e.local + 28, 2);
    if (begin > zip.size() || e.packed > zip.size() - begin) return broken;
    e.data = zip.substr(begin, e.packed);
    directory.remove_prefix(46 + name + extra + comment);
    entries.push_back(std::move(e));
  }
  // Entries that share bytes are how zip bombs multiply.
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  for (const Entry& e : entries)
    ranges.push_back({e.local, static_cast<uint64_t>(e.data.data() - zip.data()) + e.packed});
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].first < ranges[i - 1].second) return Invalid("entries of the npz file overlap");
  }
  return entries;
}

// Unpacks in steps; never more than is asked for.
class Inflater {
 public:
  explicit Inflater(absl::string_view packed) : rest_(packed) {
    ok_ = inflateInit2(&stream_, -MAX_WBITS) == Z_OK;
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // Bytes written: fewer than `size` at the end of the stream or where it is broken.
  size_t Read(char* to, size_t size) {
    size_t done = 0;
    while (ok_ && !ended_ && done < size) {
      const size_t in = std::min<size_t>(rest_.size(), 1 << 30);
      const size_t out = std::min<size_t>(size - done, 1 << 30);
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(rest_.data()));
      stream_.avail_in = static_cast<uInt>(in);
      stream_.next_out = reinterpret_cast<Bytef*>(to + done);
      stream_.avail_out = static_cast<uInt>(out);
      const int result = inflate(&stream_, Z_NO_FLUSH);
      rest_.remove_prefix(in - stream_.avail_in);
      done += out - stream_.avail_out;
      ended_ = result == Z_STREAM_END;
      ok_ = ended_ || (result == Z_OK && (stream_.avail_in < in || stream_.avail_out < out));
    }
    return done;
  }

 private:
  absl::string_view rest_;
  z_stream stream_ = {};
  bool ok_ = false, ended_ = false;
};

uint32_t Crc(absl::string_view bytes) {
  uLong crc = crc32(0, nullptr, 0);
  return static_cast<uint32_t>(
      crc32_z(crc, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

absl::StatusOr<Tensor> ReadEntry(const Entry& e, const std::shared_ptr<const MappedFile>& file) {
  if (!e.deflated) {
    if (e.packed != e.unpacked) return Invalid("it is stored, but its two sizes differ");
    if (Crc(e.data) != e.crc) return absl::DataLossError("its checksum is wrong");
    return ParseNpy(e.data, file);
  }
  // The npy header says how much must follow; nothing is allocated on the directory's word alone.
  Inflater inflater(e.data);
  std::string bytes(std::min<uint64_t>(e.unpacked, kFirstChunk), '\0');
  bytes.resize(inflater.Read(bytes.data(), bytes.size()));
  absl::StatusOr<NpyHeader> header = ParseNpyHeader(bytes);
  if (absl::IsOutOfRange(header.status()) && bytes.size() < e.unpacked) {
    const size_t have = bytes.size();
    bytes.resize(std::min<uint64_t>(e.unpacked, have + (2 << 20)));
    bytes.resize(have + inflater.Read(bytes.data() + have, bytes.size() - have));
    header = ParseNpyHeader(bytes);
  }
  if (absl::IsOutOfRange(header.status())) return Invalid(header.status().message());
  if (!header.ok()) return header.status();
  if (header->data_offset + static_cast<uint64_t>(header->data_bytes()) != e.unpacked) {
    return Invalid("it unpacks to ", e.unpacked, " bytes, but ", ToString(header->dtype),
                   DimsToString(header->dims), " needs ", header->data_bytes());
  }
  // Deflate cannot shrink below 1/1032: a larger claim is a lie, found before memory is taken.
  if (e.unpacked / 1040 > e.packed) return Invalid("it claims to unpack to ", e.unpacked, " bytes");
  const size_t have = bytes.size();
  bytes.resize(e.unpacked);
  char past = 0;
  if (inflater.Read(bytes.data() + have, bytes.size() - have) != bytes.size() - have ||
      inflater.Read(&past, 1) != 0)
    return Invalid("it does not unpack to the ", e.unpacked, " bytes that are announced");
  if (Crc(bytes) != e.crc) return absl::DataLossError("its checksum is wrong");
  auto owner = std::make_shared<const std::string>(std::move(bytes));
  return ParseNpy(*owner, owner);
}

}  // namespace

absl::StatusOr<NamedTensors> ReadNpz(const std::string& path, const NpzOptions& options) {
  absl::StatusOr<std::shared_ptr<const MappedFile>> file = MappedFile::Open(path, options.access);
  if (!file.ok()) return file.status();
  auto fail = [&](const absl::Status& s, absl::string_view entry) {
    return absl::Status(s.code(),
                        absl::StrCat(Quote(path), entry.empty() ? "" : " entry ",
                                     entry.empty() ? "" : Shown(entry), ": ", s.message()));
  };
  absl::StatusOr<std::vector<Entry>> entries = ReadDirectory((*file)->bytes());
  if (!entries.ok()) return fail(entries.status(), "");
  uint64_t total = 0;
  absl::flat_hash_set<std::string> names;
  for (const Entry& e : *entries) {
    if (__builtin_add_overflow(total, e.unpacked, &total) ||
        total > static_cast<uint64_t>(options.max_bytes)) {
      return fail(absl::ResourceExhaustedError(
                      absl::StrCat("it unpacks to more than ", options.max_bytes, " bytes")),
                  "");
    }
    if (!names.insert(e.name).second) return fail(Invalid("the name stands twice"), e.name);
  }
  NamedTensors tensors;
  for (const Entry& e : *entries) {
    absl::StatusOr<Tensor> tensor = ReadEntry(e, *file);
    if (!tensor.ok()) return fail(tensor.status(), e.name);
    std::string name = e.name;
    if (absl::EndsWith(name, ".npy")) name.resize(name.size() - 4);
    tensors.push_back({std::move(name), *std::move(tensor)});
  }
  return tensors;
}

absl::Status WriteNpz(const NamedTensors& tensors, const std::string& path) {
  absl::StatusOr<std::unique_ptr<AtomicFile>> created = AtomicFile::Create(path);
  if (!created.ok()) return created.status();
  AtomicFile& file = **created;
  std::string directory;
  absl::flat_hash_set<std::string> names;
  for (const auto& [name, tensor] : tensors) {
    const std::string entry = absl::StrCat(name, ".npy");
    if (absl::Status s = CheckName(entry); !s.ok()) return s;
    if (entry.size() > 65535 || !names.insert(entry).second)
      return Invalid("npz entry ", Shown(name), ": the name is taken or too long");
    int64_t string_width = 0;
    absl::StatusOr<std::string> header = NpyHeaderFor(tensor, &string_width);
    if (!header.ok()) return header.status();
    std::string strings;
    absl::string_view data(static_cast<const char*>(tensor.raw()), tensor.bytes());
    if (tensor.dtype() == DType::kString) data = strings = NpyStringData(tensor, string_width);
    const uint64_t size = header->size() + data.size(), at = file.size();
    uLong crc = crc32_z(0, reinterpret_cast<const Bytef*>(header->data()), header->size());
    crc = crc32_z(crc, reinterpret_cast<const Bytef*>(data.data()), data.size());
    // Zip64 sizes always, so that no array is too large; the extra field is filled up so that the
    // elements lie at a multiple of 64 and can be mapped.
    const size_t fill = (64 - (at + 30 + entry.size() + 20 + 4) % 64) % 64;
    std::string local;
    PutLe(kLocal, 4, &local);
    PutLe(45, 2, &local);          // needs version 4.5
    PutLe(1 << 11, 2, &local);     // names are UTF-8
    PutLe(0, 2, &local);           // stored
    PutLe(0x00210000, 4, &local);  // 1 January 1980: equal contents give equal files
    PutLe(crc, 4, &local);
    PutLe(kMax32, 4, &local);
    PutLe(kMax32, 4, &local);
    PutLe(entry.size(), 2, &local);
    PutLe(20 + 4 + fill, 2, &local);
    local += entry;
    PutLe(1, 2, &local);
    PutLe(16, 2, &local);
    PutLe(size, 8, &local);
    PutLe(size, 8, &local);
    PutLe(0x4b50, 2, &local);  // an id that nobody reads
    PutLe(fill, 2, &local);
    local.append(fill, '\0');
    for (absl::string_view part : {absl::string_view(local), absl::string_view(*header), data}) {
      if (absl::Status s = file.Append(part); !s.ok()) return s;
    }
    PutLe(kCentral, 4, &directory);
    PutLe(45, 2, &directory);
    PutLe(45, 2, &directory);
    PutLe(1 << 11, 2, &directory);
    PutLe(0, 2, &directory);
    PutLe(0x00210000, 4, &directory);
    PutLe(crc, 4, &directory);
    PutLe(kMax32, 4, &directory);
    PutLe(kMax32, 4, &directory);
    PutLe(entry.size(), 2, &directory);
    PutLe(28, 2, &directory);
    directory.append(10, '\0');  // comment, disk, attributes
    PutLe(kMax32, 4, &directory);
    directory += entry;
    PutLe(1, 2, &directory);
    PutLe(24, 2, &directory);
    for (uint64_t n : {size, size, at}) PutLe(n, 8, &directory);
  }
  const uint64_t at = file.size(), end64 = at + directory.size();
  PutLe(kEnd64, 4, &directory);
  PutLe(44, 8, &directory);
  PutLe(45, 2, &directory);
  PutLe(45, 2, &directory);
  PutLe(0, 8, &directory);  // disks
  for (uint64_t n : {uint64_t{tensors.size()}, uint64_t{tensors.size()}, end64 - at, at})
    PutLe(n, 8, &directory);
  PutLe(kEnd64Locator, 4, &directory);
  PutLe(0, 4, &directory);
  PutLe(end64, 8, &directory);
  PutLe(1, 4, &directory);
  PutLe(kEnd, 4, &directory);
  PutLe(0, 4, &directory);
  const uint64_t count16 = std::min<uint64_t>(tensors.size(), 0xffff);
  PutLe(count16, 2, &directory);
  PutLe(count16, 2, &directory);
  PutLe(kMax32, 4, &directory);
  PutLe(kMax32, 4, &directory);
  PutLe(0, 2, &directory);
  if (absl::Status s = file.Append(directory); !s.ok()) return s;
  return file.Commit();
}

}  // namespace sluice
