#include "kernels/cpu/layout/mapped_copy.h"

#include <algorithm>
#include <string>

namespace sluice::cpu {
namespace {

bool IsIdentity(const std::vector<int64_t>& map, int64_t extent) {
  if (static_cast<int64_t>(map.size()) != extent) return false;
  for (int64_t i = 0; i < extent; ++i) {
    if (map[i] != i) return false;
  }
  return true;
}

template <size_t N>
void Gather(const char* src, char* dst, const int64_t* offsets, int64_t n) {
  for (int64_t i = 0; i < n; ++i) std::memcpy(dst + i * N, src + offsets[i], N);
}

void CopyUnit(bool strings, const char* src, char* dst, int64_t bytes) {
  if (!strings) return CopyRun(dst, src, static_cast<size_t>(bytes));
  std::copy_n(reinterpret_cast<const std::string*>(src), bytes / sizeof(std::string),
              reinterpret_cast<std::string*>(dst));
}

void FillUnits(bool strings, int64_t size, const char* value, char* dst, int64_t bytes) {
  if (strings) {
    std::fill_n(reinterpret_cast<std::string*>(dst), bytes / sizeof(std::string),
                *reinterpret_cast<const std::string*>(value));
    return;
  }
  for (int64_t at = 0; at < bytes; at += size) {
    std::memcpy(dst + at, value, static_cast<size_t>(size));
  }
}

}  // namespace

MappedCopy::MappedCopy(DType dtype, absl::Span<const int64_t> in,
                       std::vector<std::vector<int64_t>> maps)
    : strings_(dtype == DType::kString),
      size_(static_cast<int64_t>(ByteSize(dtype))),
      unit_(size_) {
  for (const std::vector<int64_t>& map : maps) {
    if (map.empty()) rows_ = 0;
  }
  if (rows_ == 0) return;
  const Dims strides = RowMajorStrides(in);
  size_t axes = in.size();
  while (axes > 1 && IsIdentity(maps[axes - 1], in[axes - 1])) unit_ *= in[--axes];
  if (unit_ == 0) rows_ = 0;
  for (size_t a = 0; a < axes; ++a) {
    for (int64_t& i : maps[a]) {
      if (i != kFill) i *= strides[a] * size_;
    }
    if (a + 1 < axes) {
      rows_ *= static_cast<int64_t>(maps[a].size());
      outer_.push_back(std::move(maps[a]));
    }
  }
  inner_ = axes == 0 ? std::vector<int64_t>{0} : std::move(maps[axes - 1]);
  CutSegments();
}

void MappedCopy::CutSegments() {
  const int64_t n = static_cast<int64_t>(inner_.size());
  for (int64_t begin = 0; begin < n;) {
    int64_t end = begin + 1;
    Segment::Kind kind = Segment::Kind::kGather;
    if (inner_[begin] == kFill) {
      while (end < n && inner_[end] == kFill) ++end;
      kind = Segment::Kind::kFill;
    } else {
      while (end < n && inner_[end] == inner_[end - 1] + unit_) ++end;
      if ((end - begin) * unit_ >= 64 || end - begin == n) kind = Segment::Kind::kRun;
    }
    if (kind == Segment::Kind::kGather && !segments_.empty() && segments_.back().kind == kind) {
      segments_.back().count += end - begin;
    } else {
      segments_.push_back({kind, begin, end - begin});
    }
    gathers_ |= kind == Segment::Kind::kGather;
    begin = end;
  }
}

void MappedCopy::Row(const char* src, char* dst, const char* fill) const {
  for (const Segment& s : segments_) {
    char* to = dst + s.begin * unit_;
    const int64_t* offsets = inner_.data() + s.begin;
    if (s.kind == Segment::Kind::kFill) {
      FillUnits(strings_, size_, fill, to, s.count * unit_);
    } else if (s.kind == Segment::Kind::kRun) {
      CopyUnit(strings_, src + offsets[0], to, s.count * unit_);
    } else if (!strings_ && unit_ == 1) {
      Gather<1>(src, to, offsets, s.count);
    } else if (!strings_ && unit_ == 2) {
      Gather<2>(src, to, offsets, s.count);
    } else if (!strings_ && unit_ == 4) {
      Gather<4>(src, to, offsets, s.count);
    } else if (!strings_ && unit_ == 8) {
      Gather<8>(src, to, offsets, s.count);
    } else {
      for (int64_t i = 0; i < s.count; ++i) {
        CopyUnit(strings_, src + offsets[i], to + i * unit_, unit_);
      }
    }
  }
}

void MappedCopy::Run(const void* src, void* dst, const void* fill, ThreadPool* pool) const {
  const int64_t row_bytes = static_cast<int64_t>(inner_.size()) * unit_;
  if (rows_ == 0 || row_bytes == 0) return;
  const char* from = static_cast<const char*>(src);
  char* to = static_cast<char*>(dst);
  auto body = [&](int64_t begin, int64_t end) {
    int64_t previous = -2;  // source offset of the row before; rows often repeat
    for (int64_t row = begin; row < end; ++row) {
      int64_t rest = row, offset = 0;
      for (size_t a = outer_.size(); a-- > 0;) {
        const int64_t extent = static_cast<int64_t>(outer_[a].size());
        const int64_t step = outer_[a][rest % extent];
        rest /= extent;
        offset = step == kFill || offset == kFill ? kFill : offset + step;
      }
      char* out = to + row * row_bytes;
      if (offset == kFill) {
        FillUnits(strings_, size_, static_cast<const char*>(fill), out, row_bytes);
      } else if (offset == previous && gathers_) {
        CopyUnit(strings_, out - row_bytes, out, row_bytes);
      } else {
        Row(from + offset, out, static_cast<const char*>(fill));
      }
      previous = offset;
    }
  };
  const int64_t grain = std::max<int64_t>(1, (64 << 10) / row_bytes);
  if (pool == nullptr) {
    body(0, rows_);
  } else {
    pool->ParallelFor(rows_, grain, body);
  }
}

}  // namespace sluice::cpu
