#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/unfinished_message.h"
#include "google/protobuf/io/coded_stream.h"
#include "graph/effects.h"
#include "graph/graph_def.h"
#include "graph/order.h"
#include "graph/text.h"

namespace sluice {
namespace {

constexpr int kMaxTypeDepth = 64;
constexpr size_t kMaxListed = 100;

template <typename... Args>
absl::Status Invalid(const Args&... args) {
  return absl::InvalidArgumentError(absl::StrCat(args...));
}

std::string ShownNode(const proto::NodeDef& def) {
  return absl::StrCat("node ", Shown(def.outputs_size() > 0 ? def.outputs(0).name() : ""), " (",
                      Shown(def.op()), ")");
}

absl::StatusOr<DType> ImportDType(uint32_t number) {
  if (number < 64 && ByteSize(static_cast<DType>(number)) > 0) return static_cast<DType>(number);
  return Invalid("dtype ", number, " is not known to this build");
}

// Before version 2 a read behind an Assign, and a variable that a graph returns, were of what had
// been written. Now they are of what was there at the entry, so they read what the Assign gives;
// behind a node whose bodies write they still see that.
void ReadWhatWasWritten(Graph* graph) {
  std::vector<Node*> writers;
  for (const auto& node : graph->nodes()) {
    for (const auto& [name, body] : node->bodies()) ReadWhatWasWritten(body.get());
    if (!Assigned(*node).empty()) writers.push_back(node.get());
  }
  const auto writes = [](const Node* node, const Value* v) { return Assigned(*node).contains(v); };
  for (auto it = writers.rbegin(); it != writers.rend(); ++it) {  // the last one before a read
    Node& assign = **it;
    if (!assign.Is("Assign")) continue;
    Value* variable = assign.input(0);
    absl::flat_hash_set<const Node*> behind = Followers(assign);
    for (const Node* later : writers) {
      if (later->Is("Assign") || !behind.contains(later) || !writes(later, variable)) continue;
      for (const Node* node : Followers(*later)) behind.erase(node);
    }
    const std::vector<Use> uses = variable->uses();
    for (const Use& use : uses) {
      const bool written = use.node->Is("Assign") && use.index == 0;
      if (use.node->graph() == graph && !written && behind.contains(use.node))
        use.node->SetInput(use.index, assign.output());
    }
  }
  for (size_t i = 0; i < graph->outputs().size(); ++i) {
    Value* variable = graph->outputs()[i];
    const auto last = std::find_if(writers.rbegin(), writers.rend(),
                                   [&](const Node* node) { return writes(node, variable); });
    if (last == writers.rend()) continue;
    if ((*last)->Is("Assign")) {
      graph->SetOutput(i, (*last)->output());
      continue;
    }
    Node* read = graph->AddNode(*graph->ops().Find("Identity"), {variable}, {std::string()});
    read->output()->set_type(variable->type());
    read->AddControlInput(*last);
    graph->SetOutput(i, read->output());
  }
}

// They did whatever the graph did.
void DoEverything(Graph* graph) {
  for (auto& [name, signature] : graph->signatures()) {
    for (const auto& node : graph->nodes()) {
      if (HasEffects(*node)) signature.does.push_back(node->name());
    }
  }
}

class Importer {
 public:
  Importer(const OpRegistry& ops, const TensorSource& source, const ImportOptions& options,
           const proto::GraphDef& program)
      : ops_(ops), source_(source), options_(options), program_(program) {}

  absl::StatusOr<std::unique_ptr<Graph>> Run() {
    if (absl::Status s = CheckVersions(); !s.ok()) return s;
    if (absl::Status s = Survey(program_, 0); !s.ok()) return s;
    for (const proto::FunctionDef& f : program_.functions()) {
      if (absl::Status s = Survey(f.graph(), 0); !s.ok()) return s;
    }
    if (unknown_count_ > 0) return UnknownOps();
    auto graph = std::make_unique<Graph>(ops_);
    if (absl::Status s = ImportGraph(program_, graph.get()); !s.ok()) return s;
    for (const proto::FunctionDef& f : program_.functions()) {
      if (!Known(f)) return Damaged();
      auto function = std::make_unique<Graph>(ops_);
      if (absl::Status s = ImportGraph(f.graph(), function.get()); !s.ok()) return s;
      if (!graph->functions().try_emplace(f.name(), std::move(function)).second)
        return Invalid("function ", Shown(f.name()), " is defined twice");
    }
    for (const proto::SignatureDef& s : program_.signatures()) {
      if (!Known(s)) return Damaged();
      Signature signature{{s.inputs().begin(), s.inputs().end()},
                          {s.outputs().begin(), s.outputs().end()},
                          {s.does().begin(), s.does().end()},
                          s.training()};
      if (!graph->signatures().try_emplace(s.name(), std::move(signature)).second)
        return Invalid("signature ", Shown(s.name()), " is defined twice");
    }
    for (const proto::MetadataDef& m : program_.metadata()) {
      if (!Known(m)) return Damaged();
      if (!graph->metadata().try_emplace(m.key(), m.value()).second)
        return Invalid("metadata ", Shown(m.key()), " is given twice");
    }
    if (absl::Status s = Verify(*graph); !s.ok()) return s;
    if (program_.format_version() < 2) {
      ReadWhatWasWritten(graph.get());
      DoEverything(graph.get());
      for (const auto& [name, function] : graph->functions()) ReadWhatWasWritten(function.get());
    }
    return graph;
  }

 private:
  absl::Status CheckVersions() const {
    if (program_.format_version() == 0) {
      return Invalid("not a sluice graph: it has no format version");
    }
    if (program_.min_reader_version() > kFormatVersion) {
      return Invalid("the file needs a reader of format ", program_.min_reader_version(),
                     "; this build reads up to ", kFormatVersion, ": use a newer sluice");
    }
    return absl::OkStatus();
  }

  // A newer writer may have added fields that can be passed over; in a file of our version or an
  // older one a field that we do not know means damage.
  template <typename Message>
  bool Known(const Message& def) const {
    return program_.format_version() > kFormatVersion ||
           def.GetReflection()->GetUnknownFields(def).empty();
  }
  static absl::Status Damaged() {
    return Invalid("the file is damaged: it has a field that its format version does not");
  }

  // Depth, number of nodes and ops, before anything is built.
  absl::Status Survey(const proto::GraphDef& def, int depth) {
    if (depth > options_.max_depth) {
      return absl::ResourceExhaustedError(
          absl::StrCat("bodies are nested deeper than ", options_.max_depth));
    }
    nodes_ += def.nodes_size();
    if (nodes_ > options_.max_nodes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the graph has more than ", options_.max_nodes, " nodes"));
    }
    for (const proto::NodeDef& node : def.nodes()) {
      if (ops_.Find(node.op()) == nullptr && ++unknown_count_ <= kMaxListed) {
        absl::StrAppend(&unknown_, unknown_.empty() ? "" : ", ", Shown(node.op()), " (",
                        Shown(node.outputs_size() > 0 ? node.outputs(0).name() : ""), ")");
      }
      for (const proto::BodyDef& body : node.bodies()) {
        if (absl::Status s = Survey(body.graph(), depth + 1); !s.ok()) return s;
      }
    }
    return absl::OkStatus();
  }

  absl::Status UnknownOps() const {
    std::string text = absl::StrCat("unknown ops: ", unknown_);
    if (unknown_count_ > kMaxListed)
      absl::StrAppend(&text, " and ", unknown_count_ - kMaxListed, " more");
    if (program_.opset_version() > kOpsetVersion) {
      absl::StrAppend(&text, "; the file is of opset ", program_.opset_version(),
                      ", this build knows up to ", kOpsetVersion, ": use a newer sluice");
    }
    return Invalid(text);
  }

  // The name of a new value of `graph`.
  static absl::Status CheckNewName(const Graph& graph, const std::string& name) {
    if (name.empty()) return Invalid("a value without a name");
    if (graph.FindVisibleValue(name) != nullptr)
      return Invalid("value ", Shown(name), " is defined twice");
    return absl::OkStatus();
  }

  absl::Status ImportGraph(const proto::GraphDef& def, Graph* graph) {
    absl::Status s = ImportGraphContents(def, graph);
    if (s.ok() || absl::StartsWith(s.message(), "graph ")) return s;
    return absl::Status(s.code(), absl::StrCat("graph ", Shown(def.name()), ": ", s.message()));
  }

  absl::Status ImportGraphContents(const proto::GraphDef& def, Graph* graph) {
    if (!Known(def)) return Damaged();
    graph->set_name(def.name());
    for (const proto::ValueDef& input : def.inputs()) {
      if (!Known(input)) return Damaged();
      if (absl::Status s = CheckNewName(*graph, input.name()); !s.ok()) return s;
      absl::StatusOr<Type> type = ImportType(input.type(), 0);
      if (!type.ok()) return Invalid("input ", Shown(input.name()), ": ", type.status().message());
      graph->AddInput(input.name(), *std::move(type));
    }
    for (const proto::NodeDef& node : def.nodes()) {
      if (absl::Status s = ImportNode(node, graph); !s.ok()) {
        if (absl::StartsWith(s.message(), "graph ")) return s;
        return absl::Status(s.code(), absl::StrCat(ShownNode(node), ": ", s.message()));
      }
    }
    for (const proto::OutputDef& output : def.outputs()) {
      if (!Known(output)) return Damaged();
      Value* value = graph->FindVisibleValue(output.value());
      if (value == nullptr) return Invalid("output ", Shown(output.value()), " is defined nowhere");
      graph->AddOutput(value, output.name());
    }
    return absl::OkStatus();
  }

  absl::Status ImportNode(const proto::NodeDef& def, Graph* graph) {
    if (!Known(def)) return Damaged();
    if (def.outputs_size() == 0) return Invalid("a node needs at least one output");
    std::vector<Value*> inputs;
    inputs.reserve(static_cast<size_t>(def.inputs_size()));
    for (const std::string& name : def.inputs()) {
      Value* value = name.empty() ? nullptr : graph->FindVisibleValue(name);
      if (value == nullptr && !name.empty()) {
        return Invalid("input ", Shown(name),
                       " is defined nowhere before it: it is missing, out of order or in a cycle");
      }
      inputs.push_back(value);
    }
    std::vector<std::string> names;
    names.reserve(static_cast<size_t>(def.outputs_size()));
    for (const proto::ValueDef& output : def.outputs()) {
      if (!Known(output)) return Damaged();
      if (absl::Status s = CheckNewName(*graph, output.name()); !s.ok()) return s;
      names.push_back(output.name());
    }
    Node* node = graph->AddNode(*ops_.Find(def.op()), inputs, names);
    for (int i = 0; i < def.outputs_size(); ++i) {
      Value* output = node->output(static_cast<size_t>(i));
      if (output->name() != def.outputs(i).name())
        return Invalid("two of its outputs are called ", Shown(def.outputs(i).name()),
                       ", or it and a value of a body before it");
      if (!def.outputs(i).has_type()) continue;
      absl::StatusOr<Type> type = ImportType(def.outputs(i).type(), 0);
      if (!type.ok())
        return Invalid("output ", Shown(output->name()), ": ", type.status().message());
      output->set_type(*std::move(type));
    }
    for (const proto::AttributeDef& attribute : def.attributes()) {
      if (node->HasAttr(attribute.name()))
        return Invalid("attribute ", Shown(attribute.name()), " is given twice");
      absl::StatusOr<Attribute> value = ImportAttribute(attribute);
      if (!value.ok()) {
        return absl::Status(
            value.status().code(),
            absl::StrCat("attribute ", Shown(attribute.name()), ": ", value.status().message()));
      }
      node->SetAttr(attribute.name(), *std::move(value));
    }
    for (const proto::BodyDef& body : def.bodies()) {
      if (!Known(body)) return Damaged();
      if (node->body(body.name()) != nullptr)
        return Invalid("body ", Shown(body.name()), " is given twice");
      if (absl::Status s = ImportGraph(body.graph(), node->AddBody(body.name())); !s.ok()) return s;
    }
    for (const std::string& name : def.control_inputs()) {
      const Value* value = graph->FindValue(name);
      if (value == nullptr || value->producer() == nullptr || value->producer() == node) {
        return Invalid("control input ", Shown(name), " is no earlier node of its graph");
      }
      node->AddControlInput(value->producer());
    }
    node->set_device(def.device());
    return ImportOrigin(def, node);
  }

  absl::Status ImportOrigin(const proto::NodeDef& def, Node* node) const {
    if (!def.has_origin()) return absl::OkStatus();
    if (!Known(def.origin())) return Damaged();
    Origin& origin = node->mutable_origin();
    auto string = [&](uint32_t number, std::string* text) {
      if (number > static_cast<uint32_t>(program_.origin_strings_size())) return false;
      if (number > 0) *text = program_.origin_strings(static_cast<int>(number - 1));
      return true;
    };
    if (!string(def.origin().file(), &origin.file) ||
        !string(def.origin().passes(), &origin.passes)) {
      return Invalid("its origin points past the list of strings");
    }
    origin.line = static_cast<int>(std::min<uint32_t>(def.origin().line(), INT32_MAX));
    origin.name = def.origin().name();
    return absl::OkStatus();
  }

  absl::StatusOr<Type> ImportType(const proto::TypeDef& def, int depth) const {
    if (depth > kMaxTypeDepth) return Invalid("types are nested deeper than ", kMaxTypeDepth);
    if (!Known(def)) return Damaged();
    switch (def.kind_case()) {
      case proto::TypeDef::kTensor:
        return ImportTensorType(def.tensor());
      case proto::TypeDef::kSequence:
      case proto::TypeDef::kOptional: {
        const bool sequence = def.kind_case() == proto::TypeDef::kSequence;
        absl::StatusOr<Type> element =
            ImportType(sequence ? def.sequence() : def.optional(), depth + 1);
        if (!element.ok()) return element;
        return sequence ? Type::Sequence(*std::move(element)) : Type::Optional(*std::move(element));
      }
      case proto::TypeDef::kMap: {
        if (!Known(def.map())) return Damaged();
        absl::StatusOr<DType> key = ImportDType(def.map().key());
        if (!key.ok()) return key.status();
        absl::StatusOr<Type> element = ImportType(def.map().element(), depth + 1);
        if (!element.ok()) return element;
        return Type::Map(*key, *std::move(element));
      }
      case proto::TypeDef::KIND_NOT_SET:
        break;
    }
    return Type();
  }

  absl::StatusOr<Type> ImportTensorType(const proto::TensorTypeDef& def) const {
    if (!Known(def)) return Damaged();
    DType dtype = DType::kInvalid;
    if (def.dtype() != 0) {
      absl::StatusOr<DType> imported = ImportDType(def.dtype());
      if (!imported.ok()) return imported.status();
      dtype = *imported;
    }
    if (!def.has_shape()) return Type::Tensor(dtype);
    if (!Known(def.shape())) return Damaged();
    if (def.layout() > static_cast<uint32_t>(Layout::kBlocked16))
      return Invalid("layout ", def.layout(), " is not known to this build");
    Shape shape;
    shape.reserve(static_cast<size_t>(def.shape().dims_size()));
    for (const proto::DimDef& d : def.shape().dims()) {
      switch (d.extent_case()) {
        case proto::DimDef::kNumber:
          if (d.number() > static_cast<uint64_t>(INT64_MAX))
            return Invalid("extent ", d.number(), " does not fit 64 bits");
          shape.push_back(static_cast<int64_t>(d.number()));
          break;
        case proto::DimDef::kExpression: {
          absl::StatusOr<Dim> dim = Dim::Parse(d.expression());
          if (!dim.ok()) return Invalid(Shown(dim.status().message()));
          shape.push_back(*std::move(dim));
          break;
        }
        case proto::DimDef::EXTENT_NOT_SET:
          return Invalid("an extent of a kind that is not known to this build");
      }
    }
    return Type::Tensor(dtype, std::move(shape), static_cast<Layout>(def.layout()));
  }

  absl::StatusOr<Attribute> ImportAttribute(const proto::AttributeDef& def) {
    if (!Known(def)) return Damaged();
    switch (def.value_case()) {
      case proto::AttributeDef::kInt:
        return Attribute(static_cast<int64_t>(def.int_()));
      case proto::AttributeDef::kFloatBits:
        return Attribute(std::bit_cast<float>(def.float_bits()));
      case proto::AttributeDef::kString:
        return Attribute(def.string());
      case proto::AttributeDef::kInts: {
        const auto& values = def.ints().values();
        return Attribute(std::vector<int64_t>(values.begin(), values.end()));
      }
      case proto::AttributeDef::kFloats: {
        std::vector<float> floats;
        floats.reserve(static_cast<size_t>(def.floats().bits_size()));
        for (uint32_t bits : def.floats().bits()) floats.push_back(std::bit_cast<float>(bits));
        return Attribute(std::move(floats));
      }
      case proto::AttributeDef::kStrings: {
        const auto& values = def.strings().values();
        return Attribute(std::vector<std::string>(values.begin(), values.end()));
      }
      case proto::AttributeDef::kDtype: {
        if (def.dtype() == 0) return Attribute(DType::kInvalid);
        absl::StatusOr<DType> dtype = ImportDType(def.dtype());
        if (!dtype.ok()) return dtype.status();
        return Attribute(*dtype);
      }
      case proto::AttributeDef::kTensor: {
        absl::StatusOr<Tensor> tensor = ImportTensor(def.tensor());
        if (!tensor.ok()) return tensor.status();
        return Attribute(*std::move(tensor));
      }
      case proto::AttributeDef::kType: {
        absl::StatusOr<Type> type = ImportType(def.type(), 0);
        if (!type.ok()) return type.status();
        return Attribute(*std::move(type));
      }
      case proto::AttributeDef::VALUE_NOT_SET:
        break;
    }
    return Invalid("its value is missing or of a kind that is not known to this build");
  }

  absl::StatusOr<Tensor> ImportTensor(const proto::TensorDef& def) {
    if (!Known(def)) return Damaged();
    absl::StatusOr<DType> dtype = ImportDType(def.dtype());
    if (!dtype.ok()) return dtype.status();
    Dims dims;
    for (uint64_t d : def.dims()) {
      if (d > static_cast<uint64_t>(INT64_MAX)) return Invalid("extent ", d, " is too large");
      dims.push_back(static_cast<int64_t>(d));
    }
    absl::StatusOr<int64_t> count = ElementCount(dims, ByteSize(*dtype));
    if (!count.ok()) return count.status();
    const int64_t bytes = *count * static_cast<int64_t>(ByteSize(*dtype));
    auto shown = [&] { return absl::StrCat(ToString(*dtype), DimsToString(dims)); };
    switch (def.content_case()) {
      case proto::TensorDef::kRaw: {
        if (*dtype == DType::kString || def.raw().size() != static_cast<size_t>(bytes)) {
          return Invalid("a tensor ", shown(), " with ", def.raw().size(), " bytes, expected ",
                         *dtype == DType::kString ? "strings" : absl::StrCat(bytes));
        }
        absl::StatusOr<Tensor> tensor = Tensor::Allocate(*dtype, dims);
        if (tensor.ok() && bytes > 0) {
          uint8_t* to = static_cast<uint8_t*>(tensor->mutable_raw());
          std::memcpy(to, def.raw().data(), def.raw().size());
          if (*dtype == DType::kBool) {  // a C++ bool is 0 or 1
            for (int64_t i = 0; i < bytes; ++i) to[i] = to[i] != 0;
          }
        }
        return tensor;
      }
      case proto::TensorDef::kStrings: {
        if (*dtype != DType::kString || def.strings().values_size() != *count) {
          return Invalid("a tensor ", shown(), " with ", def.strings().values_size(), " strings");
        }
        absl::StatusOr<Tensor> tensor = Tensor::Allocate(*dtype, dims);
        if (!tensor.ok()) return tensor;
        std::string* strings = tensor->mutable_data<std::string>();
        for (const std::string& s : def.strings().values()) *strings++ = s;
        return tensor;
      }
      case proto::TensorDef::kReference: {
        if (source_ == nullptr) {
          return Invalid("tensor ", Shown(def.reference()),
                         " lies in a weights file, and none was given");
        }
        absl::StatusOr<Tensor> tensor = source_(def.reference());
        if (!tensor.ok()) {
          return absl::Status(
              tensor.status().code(),
              absl::StrCat("tensor ", Shown(def.reference()), ": ", tensor.status().message()));
        }
        if (tensor->dtype() != *dtype || tensor->dims() != absl::MakeConstSpan(dims)) {
          return Invalid("tensor ", Shown(def.reference()), " is ", tensor->TypeString(),
                         " in the weights file, expected ", shown());
        }
        return tensor;
      }
      case proto::TensorDef::kRandom: {
        if (!Known(def.random())) return Damaged();
        if (bytes > options_.max_generated_bytes - generated_bytes_) {
          return absl::ResourceExhaustedError(
              absl::StrCat("generated tensors take more than the budget of ",
                           options_.max_generated_bytes, " bytes, with this ", shown()));
        }
        generated_bytes_ += bytes;
        return Tensor::Random(*dtype, dims,
                              {def.random().seed(), def.random().scale(), def.random().offset()});
      }
      case proto::TensorDef::CONTENT_NOT_SET:
        break;
    }
    return Invalid("a tensor ", shown(), " without contents of a kind known to this build");
  }

  const OpRegistry& ops_;
  const TensorSource& source_;
  const ImportOptions options_;
  const proto::GraphDef& program_;
  int64_t nodes_ = 0, generated_bytes_ = 0;
  size_t unknown_count_ = 0;
  std::string unknown_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Graph>> Import(const proto::GraphDef& def, const OpRegistry& ops,
                                              const TensorSource& source,
                                              const ImportOptions& options) {
  return Importer(ops, source, options, def).Run();
}

absl::StatusOr<proto::GraphDef> ParseGraphDef(absl::string_view bytes) {
  if (bytes.size() > static_cast<size_t>(std::numeric_limits<int>::max())) {
    return Invalid("a graph of ", bytes.size(), " bytes; at most 2 GiB are legal");
  }
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const uint8_t*>(bytes.data()),
                                                static_cast<int>(bytes.size()));
  // A body adds three messages, a type inside a map two; Import() has the limits that are meant.
  stream.SetRecursionLimit(3 * 64 + 2 * kMaxTypeDepth + 32);
  UnfinishedMessage<proto::GraphDef> unfinished;
  proto::GraphDef& def = *unfinished;
  if (!def.ParseFromCodedStream(&stream) || !stream.ConsumedEntireMessage()) {
    return Invalid("these ", bytes.size(),
                   " bytes are no sluice graph: cut short, damaged, or nested too deep");
  }
  return std::move(def);
}

}  // namespace sluice
