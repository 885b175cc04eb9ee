#include "ops/expect_shape.h"

namespace sluice {
namespace {

std::string NameOf(const InferContext& c, size_t i) {
  const ParamDef* param = c.node().op().InputParam(i);
  return param != nullptr ? param->name : absl::StrCat("input ", i);
}

}  // namespace

absl::Status ExpectShape(const InferContext& c, size_t i, const Shape& expected) {
  const Type& type = c.InputType(i);
  if (!type.is_tensor() || !type.has_shape()) return absl::OkStatus();
  bool fits = type.shape().size() == expected.size();
  for (size_t d = 0; fits && d < expected.size(); ++d) {
    fits = !ProvablyDifferent(type.shape()[d], expected[d]);
  }
  if (fits) return absl::OkStatus();
  return c.Error(NameOf(c, i), " must have the shape ", ShapeToString(expected), ", but has ",
                 ShapeToString(type.shape()));
}

absl::StatusOr<std::optional<Shape>> ShapeOfRank(const InferContext& c, size_t i, int rank) {
  const Type& type = c.InputType(i);
  if (!type.is_tensor() || !type.has_shape()) return std::nullopt;
  if (type.rank() != rank) {
    return c.Error(NameOf(c, i), " must have ", rank, " dimensions, but has the shape ",
                   ShapeToString(type.shape()));
  }
  return type.shape();
}

}  // namespace sluice
