// Between ONNX's type messages and ours.
#ifndef SLUICE_EXCHANGE_ONNX_TYPES_H_
#define SLUICE_EXCHANGE_ONNX_TYPES_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "graph/type.h"
#include "proto/onnx.pb.h"

namespace sluice {

// Unimplemented, with ONNX's name of the type, for those that we do not have (complex, 8-bit
// floats, 4 and 2 bits); InvalidArgument for numbers that name nothing.
absl::StatusOr<DType> DTypeFromOnnx(int32_t data_type);
// UNDEFINED for kInvalid.
int32_t DTypeToOnnx(DType dtype);

// An extent that is no number, by its dim_param; "": it has none, or is negative.
using ExtentOf = std::function<Dim(const std::string& param)>;
absl::StatusOr<Type> TypeFromOnnx(const onnx::TypeProto& proto, const ExtentOf& extent);
void TypeToOnnx(const Type& type, onnx::TypeProto* proto);

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_ONNX_TYPES_H_
