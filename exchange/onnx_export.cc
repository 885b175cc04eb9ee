#include "exchange/onnx_export.h"

#include <limits>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "exchange/file.h"
#include "exchange/onnx_lower.h"
#include "exchange/onnx_types.h"
#include "exchange/tensor_proto.h"
#include "graph/text.h"
#include "proto/onnx.pb.h"

namespace sluice {
namespace {

using onnx::AttributeProto;
using onnx::GraphProto;
using onnx::ModelProto;
using onnx::NodeProto;

constexpr size_t kDataAlignment = 64;
constexpr size_t kSmallTensor = 1024;  // stays in the model even beside a data file

// IR version that each opset came with.
int64_t IrVersionFor(int64_t opset) {
  if (opset <= 22) return 10;
  if (opset == 23) return 11;
  if (opset == 24) return 12;
  return 13;
}

class Writer {
 public:
  // Large tensors go to `data`, called `data_name`, where it is not null.
  Writer(AtomicFile* data, std::string data_name) : data_(data), data_name_(std::move(data_name)) {}

  absl::Status WriteGraph(const Graph& graph, GraphProto* proto) {
    const bool main = graph.owner() == nullptr;
    proto->set_name(graph.name());
    for (const Value* input : graph.inputs()) {
      names_[input] = input->name();
      WriteValueInfo(input->name(), input->type(), main, proto->add_input());
    }
    if (absl::Status s = NameOutputs(graph, main, proto); !s.ok()) return s;
    for (const auto& node : graph.nodes()) {
      absl::Status s = node->Is("Constant") || node->Is("Variable")
                           ? WriteTensor(*node->GetTensor("value"), Name(node->output()),
                                         proto->add_initializer())
                           : WriteNode(*node, proto->add_node());
      if (!s.ok()) return s;
    }
    for (const auto& [from, to] : copies_[&graph]) {
      NodeProto* copy = proto->add_node();
      copy->set_op_type("Identity");
      copy->add_input(Name(from));
      copy->add_output(to);
    }
    return absl::OkStatus();
  }

 private:
  // A caller fetches the main graph's outputs by name, of which ONNX has one a value, made by a
  // node inside: a value takes over its output's name where it can, and is copied where it cannot.
  absl::Status NameOutputs(const Graph& graph, bool main, GraphProto* proto) {
    absl::flat_hash_set<std::string> taken;
    for (size_t i = 0; i < graph.outputs().size(); ++i) {
      const Value* value = graph.outputs()[i];
      const bool made_here = value->graph() == &graph && !value->is_input() &&
                             !value->producer()->Is("Constant") &&
                             !value->producer()->Is("Variable") && !names_.contains(value);
      std::string name = main        ? graph.output_names()[i]
                         : made_here ? value->name()
                                     : graph.UniqueName(absl::StrCat(value->name(), "_out", i));
      const Value* other = graph.FindValue(name);
      if (made_here && (other == value || other == nullptr)) {
        names_[value] = name;
      } else if (other != value || !value->is_input()) {  // an input may go straight out
        if (other != nullptr && other->is_input()) {
          return absl::FailedPreconditionError(absl::StrCat(
              "output ", Shown(name), " has the name of an input, which ONNX does not allow"));
        }
        if (other != nullptr && !names_.contains(other))
          names_[other] = graph.UniqueName(absl::StrCat(name, "_inner", i));
        copies_[&graph].push_back({value, name});
      }
      if (!taken.insert(name).second) {
        return absl::FailedPreconditionError(
            absl::StrCat("two outputs are called ", Shown(name), ", which ONNX does not allow"));
      }
      WriteValueInfo(name, value->type(), main, proto->add_output());
    }
    return absl::OkStatus();
  }

  const std::string& Name(const Value* value) const {
    auto it = names_.find(value);
    return it == names_.end() ? value->name() : it->second;
  }

  // The imported node's name; ONNX Runtime wants each to stand once, and passes make several nodes
  // of one.
  std::string NodeName(const Node& node) {
    const std::string& first = node.origin().name.empty() ? node.name() : node.origin().name;
    std::string name = first;
    while (!node_names_.insert(name).second) name = absl::StrCat(first, "_", ++renamed_nodes_);
    return name;
  }

  // Extents inside bodies may change from one iteration to the next: left out. Scalars stay; ONNX
  // Runtime wants to see that a loop's counter is one.
  static void WriteValueInfo(const std::string& name, const Type& type, bool shapes,
                             onnx::ValueInfoProto* proto) {
    proto->set_name(name);
    const bool scalar = type.is_tensor() && type.has_shape() && type.rank() == 0;
    TypeToOnnx(type.is_tensor() && !shapes && !scalar ? Type::Tensor(type.dtype()) : type,
               proto->mutable_type());
  }

  absl::Status WriteNode(const Node& node, NodeProto* proto) {
    if (node.op().domain == "sluice") {
      return NodeError(node, absl::StatusCode::kFailedPrecondition,
                       "it cannot be written as ONNX, which has no such op");
    }
    proto->set_op_type(std::string(node.op_name()));
    proto->set_domain(node.op().domain);
    proto->set_name(NodeName(node));
    for (const Value* input : node.inputs()) proto->add_input(input ? Name(input) : "");
    for (size_t i = 0; i < node.num_outputs(); ++i) proto->add_output(Name(node.output(i)));
    for (const auto& [name, value] : node.attrs()) {
      AttributeProto* a = proto->add_attribute();
      a->set_name(name);
      if (absl::Status s = WriteAttribute(value, a); !s.ok()) return s;
    }
    for (const auto& [name, body] : node.bodies()) {
      AttributeProto* a = proto->add_attribute();
      a->set_name(name);
      a->set_type(AttributeProto::GRAPH);
      if (absl::Status s = WriteGraph(*body, a->mutable_g()); !s.ok()) return s;
    }
    return absl::OkStatus();
  }

  absl::Status WriteAttribute(const Attribute& value, AttributeProto* a) {
    switch (value.kind()) {
      case AttrKind::kInt:
        a->set_type(AttributeProto::INT);
        a->set_i(value.as_int());
        break;
      case AttrKind::kDType:
        a->set_type(AttributeProto::INT);
        a->set_i(DTypeToOnnx(value.as_dtype()));
        break;
      case AttrKind::kFloat:
        a->set_type(AttributeProto::FLOAT);
        a->set_f(value.as_float());
        break;
      case AttrKind::kString:
        a->set_type(AttributeProto::STRING);
        a->set_s(value.as_string());
        break;
      case AttrKind::kInts:
        a->set_type(AttributeProto::INTS);
        a->mutable_ints()->Add(value.as_ints().begin(), value.as_ints().end());
        break;
      case AttrKind::kFloats:
        a->set_type(AttributeProto::FLOATS);
        a->mutable_floats()->Add(value.as_floats().begin(), value.as_floats().end());
        break;
      case AttrKind::kStrings:
        a->set_type(AttributeProto::STRINGS);
        for (const std::string& s : value.as_strings()) a->add_strings(s);
        break;
      case AttrKind::kTensor:
        a->set_type(AttributeProto::TENSOR);
        return WriteTensor(value.as_tensor(), "", a->mutable_t());
      case AttrKind::kType:
        a->set_type(AttributeProto::TYPE_PROTO);
        TypeToOnnx(value.as_type(), a->mutable_tp());
        break;
    }
    return absl::OkStatus();
  }

  absl::Status WriteTensor(const Tensor& tensor, const std::string& name,
                           onnx::TensorProto* proto) {
    if (!name.empty()) proto->set_name(name);
    if (data_ == nullptr || tensor.dtype() == DType::kString || tensor.bytes() <= kSmallTensor ||
        name.empty()) {
      TensorToProto(tensor, proto);
      return absl::OkStatus();
    }
    const size_t gap = (kDataAlignment - data_->size() % kDataAlignment) % kDataAlignment;
    if (absl::Status s = data_->Append(std::string(gap, '\0')); !s.ok()) return s;
    const size_t offset = data_->size();
    absl::Status s = data_->Append({static_cast<const char*>(tensor.raw()), tensor.bytes()});
    if (!s.ok()) return s;
    proto->set_data_type(DTypeToOnnx(tensor.dtype()));
    for (int64_t d : tensor.dims()) proto->add_dims(d);
    proto->set_data_location(onnx::TensorProto::EXTERNAL);
    for (const auto& [key, value] : {std::pair<std::string, std::string>("location", data_name_),
                                     {"offset", absl::StrCat(offset)},
                                     {"length", absl::StrCat(tensor.bytes())}}) {
      auto* entry = proto->add_external_data();
      entry->set_key(key);
      entry->set_value(value);
    }
    return absl::OkStatus();
  }

  AtomicFile* data_;
  std::string data_name_;
  absl::flat_hash_set<std::string> node_names_;
  int64_t renamed_nodes_ = 0;
  absl::flat_hash_map<const Value*, std::string> names_;
  absl::flat_hash_map<const Graph*, std::vector<std::pair<const Value*, std::string>>> copies_;
};

void WriteMetadata(const Graph& graph, ModelProto* model) {
  for (const auto& [key, value] : graph.metadata()) {
    int64_t version = 0;
    if (key == "onnx.doc") {
      model->set_doc_string(value);
    } else if (key == "onnx.domain") {
      model->set_domain(value);
    } else if (key == "onnx.model_version" && absl::SimpleAtoi(value, &version)) {
      model->set_model_version(version);
    } else if (!absl::StartsWith(key, "onnx.")) {
      auto* entry = model->add_metadata_props();
      entry->set_key(key);
      entry->set_value(value);
    }
  }
}

int64_t WeightBytes(const Graph& graph) {
  int64_t bytes = 0;
  for (const auto& node : graph.nodes()) {
    for (const auto& [name, value] : node->attrs()) {
      if (value.kind() == AttrKind::kTensor)
        bytes += static_cast<int64_t>(value.as_tensor().bytes());
    }
    for (const auto& [name, body] : node->bodies()) bytes += WeightBytes(*body);
  }
  return bytes;
}

absl::StatusOr<std::unique_ptr<Graph>> Lowered(const Graph& graph) {
  std::unique_ptr<Graph> copy = graph.Clone();
  if (absl::Status s = LowerToOnnx(copy.get()); !s.ok()) return s;
  return copy;
}

// `graph` is lowered.
absl::StatusOr<std::string> Serialise(const Graph& graph, AtomicFile* data,
                                      const std::string& data_name) {
  ModelProto model;
  int64_t opset = 21;
  absl::flat_hash_set<std::string> domains;
  for (const auto& node : graph.nodes()) {
    opset = std::max(opset, OnnxOpsetOf(*node));
    if (!node->op().domain.empty() && node->op().domain != "sluice")
      domains.insert(node->op().domain);
  }
  model.set_ir_version(IrVersionFor(opset));
  model.set_producer_name("sluice");
  auto* import = model.add_opset_import();
  import->set_domain("");
  import->set_version(opset);
  for (const std::string& domain : domains) {
    auto* other = model.add_opset_import();
    other->set_domain(domain);
    other->set_version(domain == "ai.onnx.ml" ? 5 : 1);
  }
  WriteMetadata(graph, &model);
  absl::Status s = Writer(data, data_name).WriteGraph(graph, model.mutable_graph());
  if (!s.ok()) return s;
  if (model.ByteSizeLong() > static_cast<size_t>(std::numeric_limits<int>::max())) {
    return absl::ResourceExhaustedError(
        "the ONNX model is over 2 GiB, more than protobuf can write");
  }
  return model.SerializeAsString();
}

}  // namespace

absl::Status ExportOnnx(const Graph& graph, const std::string& path,
                        const OnnxExportOptions& options) {
  absl::StatusOr<std::unique_ptr<Graph>> lowered = Lowered(graph);
  if (!lowered.ok()) return lowered.status();
  const std::string data_path = absl::StrCat(path, ".data");
  std::unique_ptr<AtomicFile> data;
  if (WeightBytes(**lowered) > options.max_inline_bytes) {
    absl::StatusOr<std::unique_ptr<AtomicFile>> created = AtomicFile::Create(data_path);
    if (!created.ok()) return created.status();
    data = *std::move(created);
  }
  absl::StatusOr<std::string> bytes = Serialise(**lowered, data.get(), BaseName(data_path));
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<std::unique_ptr<AtomicFile>> file = AtomicFile::Create(path);
  if (!file.ok()) return file.status();
  absl::Status s = (*file)->Append(*bytes);
  if (s.ok()) s = (*file)->Sync();  // both files are on the disk before either is in place
  if (s.ok() && data != nullptr) s = data->Commit();
  return s.ok() ? (*file)->Commit() : s;
}

absl::StatusOr<std::string> ExportOnnxBytes(const Graph& graph) {
  absl::StatusOr<std::unique_ptr<Graph>> lowered = Lowered(graph);
  if (!lowered.ok()) return lowered.status();
  return Serialise(**lowered, nullptr, "");
}

}  // namespace sluice
