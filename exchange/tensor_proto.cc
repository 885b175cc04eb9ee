#include "exchange/tensor_proto.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/unfinished_message.h"
#include "exchange/onnx_types.h"
#include "graph/text.h"

namespace sluice {
namespace {

constexpr int kMaxRank = 32;

template <typename... Args>
absl::Status Invalid(const Args&... args) {
  return absl::InvalidArgumentError(absl::StrCat(args...));
}

constexpr size_t kStaysInFile = 64 << 10;  // bytes

absl::StatusOr<Dims> CheckedDims(const google::protobuf::RepeatedField<int64_t>& dims,
                                 DType dtype) {
  if (dims.size() > kMaxRank) return Invalid("rank ", dims.size(), " is above ", kMaxRank);
  Dims result(dims.begin(), dims.end());
  absl::StatusOr<int64_t> count = ElementCount(result, ByteSize(dtype));
  if (!count.ok()) return count.status();
  return result;
}

// A bool is 0 or 1 in memory, whatever the file says.
void NormaliseBools(uint8_t* data, size_t size) {
  for (size_t i = 0; i < size; ++i) data[i] = data[i] != 0;
}

// Which of the message's fields hold elements.
struct Filled {
  size_t count = 0;
  std::string names;
  void Add(const char* name, int size) {
    if (size == 0) return;
    ++count;
    absl::StrAppend(&names, names.empty() ? "" : ", ", name);
  }
};

Filled FilledFields(const onnx::TensorProto& p, const RawPayload* payload) {
  Filled filled;
  filled.Add("raw_data", payload != nullptr ? !payload->bytes.empty() : !p.raw_data().empty());
  filled.Add("float_data", p.float_data_size());
  filled.Add("int32_data", p.int32_data_size());
  filled.Add("int64_data", p.int64_data_size());
  filled.Add("double_data", p.double_data_size());
  filled.Add("uint64_data", p.uint64_data_size());
  filled.Add("string_data", p.string_data_size());
  return filled;
}

template <typename To, typename Field>
absl::StatusOr<Tensor> FromField(DType dtype, const Dims& dims, const char* name,
                                 const Field& field) {
  const int64_t elements = *ElementCount(dims);  // before any memory is taken
  if (static_cast<int64_t>(field.size()) != elements) {
    return Invalid(name, " holds ", field.size(), " elements, but ", ToString(dtype),
                   DimsToString(dims), " has ", elements);
  }
  absl::StatusOr<Tensor> t = Tensor::Allocate(dtype, dims);
  if (!t.ok()) return t.status();
  std::transform(field.begin(), field.end(), t->mutable_data<To>(),
                 [](const auto& v) { return static_cast<To>(v); });
  return t;
}

absl::StatusOr<Tensor> FromTypedField(const onnx::TensorProto& p, DType dtype, const Dims& dims) {
  switch (dtype) {
    case DType::kF32:
      return FromField<float>(dtype, dims, "float_data", p.float_data());
    case DType::kF64:
      return FromField<double>(dtype, dims, "double_data", p.double_data());
    case DType::kI64:
      return FromField<int64_t>(dtype, dims, "int64_data", p.int64_data());
    case DType::kU64:
      return FromField<uint64_t>(dtype, dims, "uint64_data", p.uint64_data());
    case DType::kU32:
      return FromField<uint32_t>(dtype, dims, "uint64_data", p.uint64_data());
    case DType::kI32:
      return FromField<int32_t>(dtype, dims, "int32_data", p.int32_data());
    case DType::kI16:
      return FromField<int16_t>(dtype, dims, "int32_data", p.int32_data());
    case DType::kI8:
      return FromField<int8_t>(dtype, dims, "int32_data", p.int32_data());
    case DType::kU16:
    case DType::kF16:
    case DType::kBF16:  // the bits
      return FromField<uint16_t>(dtype, dims, "int32_data", p.int32_data());
    case DType::kU8:
      return FromField<uint8_t>(dtype, dims, "int32_data", p.int32_data());
    case DType::kBool:
      return FromField<bool>(dtype, dims, "int32_data", p.int32_data());
    case DType::kString:
      return FromField<std::string>(dtype, dims, "string_data", p.string_data());
    case DType::kInvalid:
      break;
  }
  return Invalid("no element type");
}

// What stays where it lies in a file, aligned or not: what kernels mostly pack, and pay for a copy.
bool StaysInFile(DType dtype, const Dims& dims, size_t bytes) {
  return IsFloat(dtype) && dims.size() >= 2 && bytes >= kStaysInFile;
}

absl::StatusOr<Tensor> FromRaw(DType dtype, const Dims& dims, const RawPayload& raw) {
  if (dtype == DType::kString) return Invalid("strings cannot stand in raw_data");
  const int64_t bytes = *ElementCount(dims, ByteSize(dtype)) * ByteSize(dtype);
  if (static_cast<uint64_t>(bytes) != raw.bytes.size()) {
    return Invalid("raw_data has ", raw.bytes.size(), " bytes, but ", ToString(dtype),
                   DimsToString(dims), " needs ", bytes);
  }
  if (raw.file != nullptr && StaysInFile(dtype, dims, raw.bytes.size()))
    return Tensor::Wrap(dtype, dims, raw.bytes.data(), raw.file);
  absl::StatusOr<Tensor> t = Tensor::Allocate(dtype, dims);
  if (!t.ok() || bytes == 0) return t;
  if (raw.file != nullptr) {
    const size_t offset = static_cast<size_t>(raw.bytes.data() - raw.file->bytes().data());
    absl::Status s = raw.file->Read(offset, raw.bytes.size(), t->mutable_raw());
    if (!s.ok()) return s;
  } else {
    std::memcpy(t->mutable_raw(), raw.bytes.data(), raw.bytes.size());
  }
  if (dtype == DType::kBool)
    NormaliseBools(static_cast<uint8_t*>(t->mutable_raw()), raw.bytes.size());
  return t;
}

template <typename... Args>
absl::Status WithName(const absl::Status& status, const onnx::TensorProto& proto) {
  if (status.ok()) return status;
  return absl::Status(status.code(),
                      absl::StrCat("tensor ", Shown(proto.name()), ": ", status.message()));
}

}  // namespace

absl::StatusOr<Tensor> TensorProtoReader::Read(const onnx::TensorProto& proto,
                                               const RawPayload* payload) {
  absl::StatusOr<Tensor> result = [&]() -> absl::StatusOr<Tensor> {
    absl::StatusOr<DType> dtype = DTypeFromOnnx(proto.data_type());
    if (!dtype.ok()) return dtype.status();
    absl::StatusOr<Dims> dims = CheckedDims(proto.dims(), *dtype);
    if (!dims.ok()) return dims.status();
    const Filled filled = FilledFields(proto, payload);
    if (proto.data_location() == onnx::TensorProto::EXTERNAL) {
      if (filled.count > 0) return Invalid("it is external and also holds ", filled.names);
      return ReadExternal(proto, *dtype, *dims);
    }
    if (proto.external_data_size() > 0)
      return Invalid("it names external data, but is not marked external");
    if (filled.count > 1) return Invalid("its elements stand twice: in ", filled.names);
    if (filled.names == "raw_data")
      return FromRaw(*dtype, *dims, payload ? *payload : RawPayload{proto.raw_data()});
    if (filled.count == 1 && *ElementCount(*dims) == 0)
      return Invalid("it has no elements, but ", filled.names, " is filled");
    return FromTypedField(proto, *dtype, *dims);
  }();
  if (!result.ok()) return WithName(result.status(), proto);
  return result;
}

absl::StatusOr<Tensor> TensorProtoReader::ReadExternal(const onnx::TensorProto& proto, DType dtype,
                                                       const Dims& dims) {
  if (dtype == DType::kString) return Invalid("strings cannot be external");
  absl::flat_hash_map<std::string, std::string> entries;
  for (const auto& e : proto.external_data()) {
    if (e.key() != "location" && e.key() != "offset" && e.key() != "length" &&
        e.key() != "checksum")
      return Invalid("external data has the unknown key ", Shown(e.key()));
    if (!entries.emplace(e.key(), e.value()).second)
      return Invalid("external data has ", Shown(e.key()), " twice");
  }
  const uint64_t needed =
      static_cast<uint64_t>(*ElementCount(dims, ByteSize(dtype))) * ByteSize(dtype);
  uint64_t offset = 0, length = needed;
  for (auto [key, number] : {std::pair("offset", &offset), std::pair("length", &length)}) {
    auto it = entries.find(key);
    if (it != entries.end() && !absl::SimpleAtoi(it->second, number)) {
      return Invalid("external data's ", key, " ", Shown(it->second), " is not a number of bytes");
    }
  }
  if (folder_path_.empty()) {
    return absl::PermissionDeniedError(
        "its data lies in another file, but the model came from memory, so there is no folder to "
        "look in; read the model by its path");
  }
  if (length != needed) {
    return Invalid("external data has length ", length, ", but ", ToString(dtype),
                   DimsToString(dims), " needs ", needed);
  }
  const std::string& location = entries["location"];
  if (folder_ == nullptr) {
    absl::StatusOr<std::shared_ptr<const Folder>> folder = Folder::Open(folder_path_, access_);
    if (!folder.ok()) return folder.status();
    folder_ = *std::move(folder);
  }
  std::shared_ptr<const MappedFile>& file = files_[location];
  if (file == nullptr) {
    absl::StatusOr<std::shared_ptr<const MappedFile>> opened = folder_->OpenBelow(location);
    if (!opened.ok()) return opened.status();
    file = *std::move(opened);
  }
  const absl::string_view bytes = file->bytes();
  if (offset > bytes.size() || needed > bytes.size() - offset) {
    return Invalid("external data needs ", needed, " bytes from offset ", offset, ", but ",
                   Shown(location), " has ", bytes.size());
  }
  const RawPayload raw = {bytes.substr(offset, needed), file};
  const bool aligned = reinterpret_cast<uintptr_t>(raw.bytes.data()) % ByteSize(dtype) == 0;
  const bool clean = dtype != DType::kBool || std::all_of(raw.bytes.begin(), raw.bytes.end(),
                                                          [](char c) { return c == 0 || c == 1; });
  if (!aligned || !clean) return FromRaw(dtype, dims, raw);
  return Tensor::Wrap(dtype, dims, raw.bytes.data(), file);
}

absl::StatusOr<Tensor> TensorProtoReader::ReadSparse(const onnx::SparseTensorProto& proto) {
  absl::StatusOr<Tensor> values = Read(proto.values());
  if (!values.ok()) return values.status();
  absl::StatusOr<Tensor> indices = Read(proto.indices());
  if (!indices.ok()) return indices.status();
  auto fail = [&](const auto&... what) {
    return Invalid("sparse tensor ", Shown(proto.values().name()), ": ", what...);
  };
  const DType dtype = values->dtype();
  absl::StatusOr<Dims> dims = CheckedDims(proto.dims(), dtype);
  if (!dims.ok()) return fail(dims.status().message());
  const int64_t count = *ElementCount(*dims), bytes = count * ByteSize(dtype);
  if (bytes > sparse_budget_) {
    return absl::ResourceExhaustedError(absl::StrCat("sparse tensor ", Shown(proto.values().name()),
                                                     ": as a dense tensor it has ", bytes,
                                                     " bytes; all of one model may have 1 GiB"));
  }
  sparse_budget_ -= bytes;
  const int64_t nnz = values->elements(), rank = static_cast<int64_t>(dims->size());
  const bool linear = indices->rank() == 1;
  if (values->rank() != 1 || indices->dtype() != DType::kI64 ||
      !(linear || (indices->rank() == 2 && indices->dims()[1] == rank)) ||
      indices->dims()[0] != nnz)
    return fail("values ", values->TypeString(), " and indices ", indices->TypeString(),
                " do not fit; expected [n] and i64[n] or i64[n,", rank, "]");
  absl::StatusOr<Tensor> dense = Tensor::Allocate(dtype, *dims);
  if (!dense.ok()) return dense.status();
  if (dtype != DType::kString) std::memset(dense->mutable_raw(), 0, dense->bytes());
  for (int64_t i = 0; i < nnz; ++i) {
    int64_t at = 0;
    if (linear) {
      at = indices->data<int64_t>()[i];
      if (at < 0 || at >= count) return fail("index ", at, " is outside of ", count, " elements");
    } else {
      for (int64_t k = 0; k < rank; ++k) {
        const int64_t index = indices->data<int64_t>()[i * rank + k];
        if (index < 0 || index >= (*dims)[k])
          return fail("index ", index, " is outside of extent ", (*dims)[k]);
        at = at * (*dims)[k] + index;
      }
    }
    if (dtype == DType::kString) {
      dense->mutable_data<std::string>()[at] = values->data<std::string>()[i];
    } else {
      std::memcpy(dense->mutable_data<char>() + at * ByteSize(dtype),
                  values->data<char>() + i * ByteSize(dtype), ByteSize(dtype));
    }
  }
  return dense;
}

void TensorToProto(const Tensor& tensor, onnx::TensorProto* proto) {
  proto->set_data_type(DTypeToOnnx(tensor.dtype()));
  for (int64_t d : tensor.dims()) proto->add_dims(d);
  if (tensor.dtype() == DType::kString) {
    for (const std::string& s : tensor.values<std::string>()) proto->add_string_data(s);
  } else {
    proto->set_raw_data(tensor.raw(), tensor.bytes());
  }
}

absl::StatusOr<Tensor> ReadTensorPb(const std::string& path, FileAccess access) {
  absl::StatusOr<std::shared_ptr<const MappedFile>> file = MappedFile::Open(path, access);
  if (!file.ok()) return file.status();
  UnfinishedMessage<onnx::TensorProto> proto;
  const absl::string_view bytes = (*file)->bytes();
  if (bytes.size() > std::numeric_limits<int>::max() ||
      !proto->ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return Invalid(Quote(path), " is not a TensorProto, or is truncated");
  absl::StatusOr<Tensor> tensor = TensorProtoReader("").Read(*proto);
  if (!tensor.ok()) {
    return absl::Status(tensor.status().code(),
                        absl::StrCat(Quote(path), ": ", tensor.status().message()));
  }
  return tensor;
}

absl::Status WriteTensorPb(const Tensor& tensor, const std::string& name, const std::string& path) {
  UnfinishedMessage<onnx::TensorProto> proto;
  proto->set_name(name);
  if (tensor.dtype() != DType::kString && tensor.bytes() > (size_t{1} << 31) - (1 << 20))
    return Invalid(Quote(path), ": a TensorProto holds less than 2 GiB; write npy");
  TensorToProto(tensor, proto.get());
  return WriteFileAtomically(path, proto->SerializeAsString());
}

}  // namespace sluice
