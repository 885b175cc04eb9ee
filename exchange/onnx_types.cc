#include "exchange/onnx_types.h"

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

using onnx::TensorProto;

constexpr int kMaxTypeDepth = 16;

struct Pair {
  DType ours;
  int32_t onnx;
};
constexpr Pair kPairs[] = {
    {DType::kF64, TensorProto::DOUBLE},  {DType::kF32, TensorProto::FLOAT},
    {DType::kF16, TensorProto::FLOAT16}, {DType::kBF16, TensorProto::BFLOAT16},
    {DType::kI64, TensorProto::INT64},   {DType::kI32, TensorProto::INT32},
    {DType::kI16, TensorProto::INT16},   {DType::kI8, TensorProto::INT8},
    {DType::kU64, TensorProto::UINT64},  {DType::kU32, TensorProto::UINT32},
    {DType::kU16, TensorProto::UINT16},  {DType::kU8, TensorProto::UINT8},
    {DType::kBool, TensorProto::BOOL},   {DType::kString, TensorProto::STRING},
};

absl::StatusOr<Type> TensorType(int32_t elem_type, bool has_shape,
                                const onnx::TensorShapeProto& dims, const ExtentOf& extent) {
  DType dtype = DType::kInvalid;
  if (elem_type != TensorProto::UNDEFINED) {
    absl::StatusOr<DType> d = DTypeFromOnnx(elem_type);
    if (!d.ok()) return d.status();
    dtype = *d;
  }
  if (dtype == DType::kInvalid) return Type();
  if (!has_shape) return Type::Tensor(dtype);
  Shape shape;
  for (const auto& dim : dims.dim()) {
    if (dim.has_dim_value() && dim.dim_value() >= 0) {
      shape.push_back(Dim(dim.dim_value()));
    } else {
      shape.push_back(extent(dim.dim_param() == "?" ? "" : dim.dim_param()));
    }
  }
  return Type::Tensor(dtype, std::move(shape));
}

absl::StatusOr<Type> FromOnnx(const onnx::TypeProto& proto, const ExtentOf& extent, int depth) {
  if (depth > kMaxTypeDepth)
    return absl::InvalidArgumentError("a type is nested deeper than 16 levels");
  using onnx::TypeProto;
  switch (proto.value_case()) {
    case TypeProto::kTensorType: {
      const auto& t = proto.tensor_type();
      return TensorType(t.elem_type(), t.has_shape(), t.shape(), extent);
    }
    case TypeProto::kSequenceType: {
      auto element = FromOnnx(proto.sequence_type().elem_type(), extent, depth + 1);
      if (!element.ok()) return element.status();
      return Type::Sequence(*std::move(element));
    }
    case TypeProto::kOptionalType: {
      auto element = FromOnnx(proto.optional_type().elem_type(), extent, depth + 1);
      if (!element.ok()) return element.status();
      return Type::Optional(*std::move(element));
    }
    case TypeProto::kMapType: {
      absl::StatusOr<DType> key = DTypeFromOnnx(proto.map_type().key_type());
      if (!key.ok()) return key.status();
      auto element = FromOnnx(proto.map_type().value_type(), extent, depth + 1);
      if (!element.ok()) return element.status();
      return Type::Map(*key, *std::move(element));
    }
    case TypeProto::kSparseTensorType:
      return absl::UnimplementedError("sparse tensors as values are not supported");
    case TypeProto::VALUE_NOT_SET:
      return Type();
  }
  return Type();
}

constexpr const char* kNames[] = {
    "undefined",      "float",    "uint8",        "int8",           "uint16",
    "int16",          "int32",    "int64",        "string",         "bool",
    "float16",        "double",   "uint32",       "uint64",         "complex64",
    "complex128",     "bfloat16", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2",
    "float8e5m2fnuz", "uint4",    "int4",         "float4e2m1",     "float8e8m0",
    "uint2",          "int2"};

}  // namespace

absl::StatusOr<DType> DTypeFromOnnx(int32_t data_type) {
  for (const Pair& p : kPairs) {
    if (p.onnx == data_type) return p.ours;
  }
  if (data_type <= 0 || data_type >= static_cast<int32_t>(std::size(kNames))) {
    return absl::InvalidArgumentError(
        absl::StrCat("data type ", data_type, " does not exist in ONNX"));
  }
  return absl::UnimplementedError(
      absl::StrCat("ONNX's data type ", kNames[data_type], " is not supported"));
}

int32_t DTypeToOnnx(DType dtype) {
  for (const Pair& p : kPairs) {
    if (p.ours == dtype) return p.onnx;
  }
  return TensorProto::UNDEFINED;
}

absl::StatusOr<Type> TypeFromOnnx(const onnx::TypeProto& proto, const ExtentOf& extent) {
  return FromOnnx(proto, extent, 0);
}

void TypeToOnnx(const Type& type, onnx::TypeProto* proto) {
  switch (type.kind()) {
    case TypeKind::kUnknown:
      return;
    case TypeKind::kTensor: {
      auto* t = proto->mutable_tensor_type();
      t->set_elem_type(DTypeToOnnx(type.dtype()));
      if (!type.has_shape()) return;
      t->mutable_shape();
      for (const Dim& d : type.shape()) {
        auto* dim = t->mutable_shape()->add_dim();
        if (d.is_number()) {
          dim->set_dim_value(d.number());
        } else if (!d.is_unknown()) {
          dim->set_dim_param(d.ToString());
        }
      }
      return;
    }
    case TypeKind::kSequence:
      return TypeToOnnx(type.element(), proto->mutable_sequence_type()->mutable_elem_type());
    case TypeKind::kOptional:
      return TypeToOnnx(type.element(), proto->mutable_optional_type()->mutable_elem_type());
    case TypeKind::kMap:
      proto->mutable_map_type()->set_key_type(DTypeToOnnx(type.dtype()));
      return TypeToOnnx(type.element(), proto->mutable_map_type()->mutable_value_type());
  }
}

}  // namespace sluice
