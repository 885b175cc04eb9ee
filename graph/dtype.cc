#include "graph/dtype.h"

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

struct Info {
  DType dtype;
  absl::string_view name;
};

constexpr Info kInfos[] = {
    {DType::kF64, "f64"},   {DType::kF32, "f32"},       {DType::kF16, "f16"},
    {DType::kBF16, "bf16"}, {DType::kI64, "i64"},       {DType::kI32, "i32"},
    {DType::kI16, "i16"},   {DType::kI8, "i8"},         {DType::kU64, "u64"},
    {DType::kU32, "u32"},   {DType::kU16, "u16"},       {DType::kU8, "u8"},
    {DType::kBool, "bool"}, {DType::kString, "string"},
};

const Info* Find(DType dtype) {
  for (const Info& info : kInfos) {
    if (info.dtype == dtype) return &info;
  }
  return nullptr;
}

}  // namespace

absl::string_view ToString(DType dtype) {
  const Info* info = Find(dtype);
  return info != nullptr ? info->name : "invalid";
}

std::optional<DType> ParseDType(absl::string_view name) {
  for (const Info& info : kInfos) {
    if (info.name == name) return info.dtype;
  }
  return std::nullopt;
}

std::string DTypeSet::ToString() const {
  std::string text;
  for (const Info& info : kInfos) {
    if (Contains(info.dtype)) absl::StrAppend(&text, text.empty() ? "" : ", ", info.name);
  }
  return text;
}

}  // namespace sluice
