// ONNX's TensorProto and SparseTensorProto; what is read is written, and that reads as the same.
#include "exchange/tensor_proto.h"
#include "tests/fuzz/fuzz.h"

namespace sluice::fuzz {

std::vector<std::string> Seeds() {
  std::vector<std::string> seeds;
  auto add = [&](const auto& proto) { seeds.push_back(proto.SerializeAsString()); };
  for (DType d : {DType::kF32, DType::kF16, DType::kBool, DType::kI64, DType::kU8, DType::kI32}) {
    onnx::TensorProto proto;
    TensorToProto(*Tensor::Random(d, {2, 3}, {.seed = 1}), &proto);
    add(proto);
    proto.clear_raw_data();
    for (int i = 0; i < 6; ++i) {
      d == DType::kF32   ? proto.add_float_data(1)
      : d == DType::kI64 ? proto.add_int64_data(1)
                         : proto.add_int32_data(1);
    }
    add(proto);
  }
  onnx::TensorProto strings;
  TensorToProto(Tensor::Scalar<std::string>("text"), &strings);
  add(strings);
  onnx::SparseTensorProto sparse;
  for (int rank : {1, 2}) {
    sparse.add_dims(4);
    TensorToProto(*Tensor::Random(DType::kF32, {2}, {.seed = 1}), sparse.mutable_values());
    auto* indices = sparse.mutable_indices();
    indices->Clear();
    indices->set_data_type(onnx::TensorProto::INT64);
    indices->add_dims(2);
    if (rank == 2) indices->add_dims(2);
    for (int i = 0; i < 2 * rank; ++i) indices->add_int64_data(i);
    add(sparse);
  }
  return seeds;
}

void One(absl::string_view bytes) {
  const int size = static_cast<int>(bytes.size());
  if (onnx::TensorProto proto; proto.ParseFromArray(bytes.data(), size)) {
    absl::StatusOr<Tensor> tensor = TensorProtoReader("").Read(proto);
    if (Fine(tensor.status())) {
      onnx::TensorProto again;
      TensorToProto(*tensor, &again);
      absl::StatusOr<Tensor> back = TensorProtoReader("").Read(again);
      Require(back.ok() && *back == *tensor, "what was written reads as another tensor");
    }
  }
  onnx::SparseTensorProto sparse;
  if (!sparse.ParseFromArray(bytes.data(), size)) return;
  double elements = 1;  // a dense gigabyte is allowed, but slow
  for (int64_t d : sparse.dims()) elements *= static_cast<double>(d);
  if (elements < 1 << 20) (void)Fine(TensorProtoReader("").ReadSparse(sparse).status());
}

}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::fuzz::One({reinterpret_cast<const char*>(data), size});
  return 0;
}
