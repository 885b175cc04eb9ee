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

// Symbols come from dim_param; an extent that is absent or negative is fresh_dim(). With
// `expressions`, a dim_param such as "2*seq" is read as one; else it is the name of a symbol.
absl::StatusOr<Type> TypeFromOnnx(const onnx::TypeProto& proto,
                                  const std::function<Dim()>& fresh_dim, bool expressions);
void TypeToOnnx(const Type& type, onnx::TypeProto* proto);

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_ONNX_TYPES_H_
