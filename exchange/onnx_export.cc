#include "exchange/onnx_export.h"

#include <algorithm>
#include <limits>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/unfinished_message.h"
#include "exchange/file.h"
#include "exchange/onnx_file.h"
#include "exchange/onnx_lower.h"
#include "exchange/onnx_types.h"
#include "exchange/tensor_proto.h"
#include "graph/default_inputs.h"
#include "graph/text.h"
#include "graph/training.h"
#include "proto/onnx.pb.h"

namespace sluice {
namespace {

using onnx::AttributeProto;
using onnx::GraphProto;
using onnx::ModelProto;
using onnx::NodeProto;

constexpr size_t kDataAlignment = 64;
constexpr char kDataEnding[] = ".data";
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

  absl::Status WriteMain(const Graph& graph, GraphProto* proto) {
    CollectNames(graph);
    CollectSymbols(graph);
    if (absl::Status s = NameOutputs(graph); !s.ok()) return s;
    return WriteGraph(graph, proto);
  }

 private:
  using Copy = std::pair<const Value*, std::string>;  // from a value to an output of this name

  absl::Status WriteGraph(const Graph& graph, GraphProto* proto) {
    const bool main = graph.owner() == nullptr;
    proto->set_name(graph.name());
    if (main) {
      for (const GraphInput& input : AllInputs(graph))
        WriteValueInfo(input.value->name(), input.type, main, proto->add_input());
    } else {
      for (const Value* input : graph.inputs())
        WriteValueInfo(Name(input), input->type(), main, proto->add_input());
    }
    std::vector<Copy> copies = main ? std::move(copies_) : CopiesOf(graph);
    auto copy = copies.begin();
    for (size_t i = 0; i < graph.outputs().size(); ++i) {
      const Value* value = graph.outputs()[i];
      const bool copied = copy != copies.end() && copy->first == value &&
                          (!main || copy->second == graph.output_names()[i]);
      WriteValueInfo(copied ? (copy++)->second : Name(value), value->type(), main,
                     proto->add_output());
    }
    for (const auto& node : graph.nodes()) {
      if (absl::Status s = WriteNode(*node, main, proto); !s.ok()) return s;
    }
    for (const auto& [from, to] : copies) {
      NodeProto* node = proto->add_node();
      node->set_op_type("Identity");
      node->set_name(UnusedNodeName(to));
      node->add_input(Name(from));
      node->add_output(to);
    }
    return absl::OkStatus();
  }

  // ---- Names: ONNX wants each to stand once in a graph and all around it.

  void CollectNames(const Graph& graph) {
    auto take = [&](const Value* v) { by_name_[v->name()].push_back(v); };
    for (const Value* v : graph.inputs()) take(v);
    for (const auto& node : graph.nodes()) {
      for (size_t i = 0; i < node->num_outputs(); ++i) take(node->output(i));
      for (const auto& [name, body] : node->bodies()) CollectNames(*body);
    }
  }

  std::string Unused(const std::string& base) {
    std::string name = base;
    for (int i = 1; by_name_.contains(name); ++i) name = absl::StrCat(base, "_", i);
    by_name_[name];
    return name;
  }

  const std::string& Name(const Value* value) const {
    auto it = names_.find(value);
    return it == names_.end() ? value->name() : it->second;
  }

  // The imported node's name; ONNX Runtime wants each to stand once, and passes make several nodes
  // of one.
  std::string UnusedNodeName(const std::string& first) {
    std::string name = first;
    while (!node_names_.insert(name).second) name = absl::StrCat(first, "_", ++renamed_nodes_);
    return name;
  }

  // ONNX has one output a value, made by a node of the same graph.
  static bool CanBeOutput(const Graph& graph, const Value* value) {
    return value->graph() == &graph && !value->is_input() && !value->producer()->Is("Constant") &&
           !value->producer()->Is("Variable");
  }

  static bool IsInput(const Graph& main, const Value* value) {
    return value->graph() == &main && (value->is_input() || IsDefaultInput(*value));
  }

  // A caller fetches the main graph's outputs by name: a value takes over its output's name where
  // it can, and is copied where it cannot. Whatever else has that name, here or in a body, gets
  // another.
  absl::Status NameOutputs(const Graph& graph) {
    absl::flat_hash_set<absl::string_view> taken;
    for (size_t i = 0; i < graph.outputs().size(); ++i) {
      const Value* value = graph.outputs()[i];
      const std::string& name = graph.output_names()[i];
      if (!taken.insert(name).second) {
        return absl::FailedPreconditionError(
            absl::StrCat("two outputs are called ", Shown(name), ", which ONNX does not allow"));
      }
      if (IsInput(graph, value) && value->name() == name) continue;  // it may go straight out
      if (CanBeOutput(graph, value) && names_.try_emplace(value, name).second) continue;
      copies_.push_back({value, name});
    }
    for (const std::string& name : graph.output_names()) {
      for (const Value* other : std::vector<const Value*>(by_name_[name])) {
        if (names_.contains(other)) continue;  // an output as well
        if (!IsInput(graph, other)) {
          names_[other] = Unused(absl::StrCat(name, "_inner"));
        } else if (std::any_of(copies_.begin(), copies_.end(),
                               [&](const Copy& c) { return c.second == name; }) ||
                   std::any_of(names_.begin(), names_.end(),
                               [&](const auto& n) { return n.second == name; })) {
          return absl::FailedPreconditionError(absl::StrCat(
              "output ", Shown(name), " has the name of an input, which ONNX does not allow"));
        }
      }
    }
    return absl::OkStatus();
  }

  // A body's outputs are known by their places, so their names may be any.
  std::vector<Copy> CopiesOf(const Graph& body) {
    std::vector<Copy> copies;
    absl::flat_hash_set<const Value*> seen;
    for (const Value* value : body.outputs()) {
      if (CanBeOutput(body, value) && seen.insert(value).second) continue;
      copies.push_back({value, Unused(absl::StrCat(Name(value), "_out"))});
    }
    return copies;
  }

  // ---- Types

  // The symbols that the caller's extents are named by.
  void CollectSymbols(const Graph& graph) {
    std::vector<std::string> symbols;
    for (const Value* v : graph.inputs()) {
      if (!v->type().is_tensor() || !v->type().has_shape()) continue;
      for (const Dim& d : v->type().shape()) d.CollectSymbols(&symbols);
    }
    symbols_.insert(symbols.begin(), symbols.end());
  }

  // Inside bodies a symbol may stand for another number in each iteration, which ONNX has no word
  // for: such extents are left open.
  Type InBody(const Type& type) const {
    if (!type.is_tensor() || !type.has_shape()) return type;
    Shape shape = type.shape();
    for (Dim& d : shape) {
      std::vector<std::string> symbols;
      d.CollectSymbols(&symbols);
      for (const std::string& s : symbols) {
        if (!symbols_.contains(s)) d = Dim::Unknown();
      }
    }
    return Type::Tensor(type.dtype(), std::move(shape));
  }

  void WriteValueInfo(const std::string& name, const Type& type, bool main,
                      onnx::ValueInfoProto* proto) const {
    proto->set_name(name);
    TypeToOnnx(main ? type : InBody(type), proto->mutable_type());
  }

  // What others may not find out themselves: the results of nodes with bodies.
  void WriteResultTypes(const Node& node, bool main, GraphProto* proto) const {
    if (node.bodies().empty()) return;
    for (size_t i = 0; i < node.num_outputs(); ++i) {
      const Value* v = node.output(i);
      const bool is_output =
          std::find(node.graph()->outputs().begin(), node.graph()->outputs().end(), v) !=
          node.graph()->outputs().end();
      if (!is_output && v->type().is_tensor() && v->type().has_shape())
        WriteValueInfo(Name(v), v->type(), main, proto->add_value_info());
    }
  }

  // ---- Nodes

  absl::Status WriteNode(const Node& node, bool main, GraphProto* graph) {
    if (node.Is("Constant") || node.Is("Variable"))
      return WriteTensor(*node.GetTensor("value"), Name(node.output()), graph->add_initializer());
    WriteResultTypes(node, main, graph);
    NodeProto* proto = graph->add_node();
    if (node.op().domain == "sluice") {
      return NodeError(node, absl::StatusCode::kFailedPrecondition,
                       "it cannot be written as ONNX, which has no such op");
    }
    proto->set_op_type(std::string(node.op_name()));
    proto->set_domain(node.op().domain);
    proto->set_name(UnusedNodeName(node.origin().name.empty() ? node.name() : node.origin().name));
    for (const Value* input : node.inputs()) proto->add_input(input ? Name(input) : "");
    // ONNX wants a Loop to say that it has no limit and no condition, though both are optional.
    while (node.Is("Loop") && proto->input_size() < 2) proto->add_input("");
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
  const std::string data_name_;
  absl::flat_hash_map<std::string, std::vector<const Value*>> by_name_;  // of the whole program
  absl::flat_hash_set<std::string> node_names_, symbols_;
  int64_t renamed_nodes_ = 0;
  absl::flat_hash_map<const Value*, std::string> names_;  // of those that have another
  std::vector<Copy> copies_;                              // of the main graph
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

// One hash of all that WeightBytes() counts.
void AddWeights(const Graph& graph, Hasher* hasher) {
  for (const auto& node : graph.nodes()) {
    for (const auto& [name, value] : node->attrs()) {
      if (value.kind() != AttrKind::kTensor) continue;
      const std::string hash = value.as_tensor().ContentHash();
      hasher->AddBytes(hash.data(), hash.size());
    }
    for (const auto& [name, body] : node->bodies()) AddWeights(*body, hasher);
  }
}
std::string HashOfWeights(const Graph& graph) {
  Hasher hasher;
  AddWeights(graph, &hasher);
  return hasher.Hex();
}

// The file beside the model at `path` that a writer of ours put its weights into; "" where none.
std::string DataOf(const std::string& path) {
  auto file = MappedFile::Open(path);
  if (!file.ok()) return "";
  auto old = ParseOnnx((*file)->bytes(), *file, /*max_depth=*/64);
  if (!old.ok()) return "";
  for (const auto& tensor : old->model.graph().initializer()) {
    for (const auto& entry : tensor.external_data()) {
      if (entry.key() == "location" &&
          (IsPartName(path, entry.value(), kDataEnding) ||
           entry.value() == absl::StrCat(BaseName(path), kDataEnding)))  // as versions before
        return entry.value();
    }
  }
  return "";
}

absl::StatusOr<std::unique_ptr<Graph>> Lowered(const Graph& graph) {
  std::unique_ptr<Graph> copy = graph.Clone();
  (void)TakeGeneralProgram(copy.get());  // ONNX has no place for it
  BindTraining(copy.get(), false);
  if (absl::Status s = LowerToOnnx(copy.get()); !s.ok()) return s;
  return copy;
}

// `graph` is lowered.
absl::StatusOr<std::string> Serialise(const Graph& graph, AtomicFile* data,
                                      const std::string& data_name) {
  UnfinishedMessage<ModelProto> unfinished;
  ModelProto& model = *unfinished;
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
  absl::Status s = Writer(data, data_name).WriteMain(graph, model.mutable_graph());
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
  std::unique_ptr<AtomicFile> data;
  if (WeightBytes(**lowered) > options.max_inline_bytes) {
    const std::string name = PartName(path, HashOfWeights(**lowered), kDataEnding);
    auto created = AtomicFile::Create(absl::StrCat(FolderOf(path), "/", name));
    if (!created.ok()) return created.status();
    data = *std::move(created);
  }
  absl::StatusOr<std::string> bytes =
      Serialise(**lowered, data.get(), data == nullptr ? "" : BaseName(data->path()));
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<std::unique_ptr<AtomicFile>> file = AtomicFile::Create(path);
  if (!file.ok()) return file.status();
  if (absl::Status s = (*file)->Append(*bytes); !s.ok()) return s;
  return CommitWithPart(file->get(), data.get(), [&] { return DataOf(path); });
}

absl::StatusOr<std::string> ExportOnnxBytes(const Graph& graph) {
  absl::StatusOr<std::unique_ptr<Graph>> lowered = Lowered(graph);
  if (!lowered.ok()) return lowered.status();
  return Serialise(**lowered, nullptr, "");
}

}  // namespace sluice
