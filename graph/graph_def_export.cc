#include <bit>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/unfinished_message.h"
#include "graph/effects.h"
#include "graph/graph_def.h"
#include "graph/text.h"

namespace sluice {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are written as they lie");

void ExportType(const Type& type, proto::TypeDef* def) {
  switch (type.kind()) {
    case TypeKind::kUnknown:
      return;
    case TypeKind::kSequence:
      return ExportType(type.element(), def->mutable_sequence());
    case TypeKind::kOptional:
      return ExportType(type.element(), def->mutable_optional());
    case TypeKind::kMap:
      def->mutable_map()->set_key(static_cast<uint32_t>(type.dtype()));
      return ExportType(type.element(), def->mutable_map()->mutable_element());
    case TypeKind::kTensor:
      break;
  }
  proto::TensorTypeDef* tensor = def->mutable_tensor();
  tensor->set_dtype(static_cast<uint32_t>(type.dtype()));
  if (!type.has_shape()) return;
  proto::ShapeDef* shape = tensor->mutable_shape();
  for (const Dim& dim : type.shape()) {
    proto::DimDef* d = shape->add_dims();
    if (dim.is_number() && dim.number() >= 0) {
      d->set_number(static_cast<uint64_t>(dim.number()));
    } else {
      d->set_expression(dim.ToString());
    }
  }
  tensor->set_layout(static_cast<uint32_t>(type.layout()));
}

class Exporter {
 public:
  Exporter(const TensorSink& sink, const ExportOptions& options, proto::GraphDef* program)
      : sink_(sink), options_(options), program_(program) {}

  absl::Status ExportGraph(const Graph& graph, proto::GraphDef* def) {
    def->set_name(graph.name());
    for (const Value* input : graph.inputs()) ExportValue(*input, def->add_inputs());
    def->mutable_nodes()->Reserve(static_cast<int>(graph.num_nodes()));
    for (const auto& node : graph.nodes()) {
      if (absl::Status s = ExportNode(*node, def->add_nodes()); !s.ok()) return s;
    }
    for (size_t i = 0; i < graph.outputs().size(); ++i) {
      proto::OutputDef* output = def->add_outputs();
      output->set_value(graph.outputs()[i]->name());
      if (graph.output_names()[i] != graph.outputs()[i]->name())
        output->set_name(graph.output_names()[i]);
    }
    return absl::OkStatus();
  }

 private:
  void ExportValue(const Value& value, proto::ValueDef* def) {
    def->set_name(value.name());
    if (!value.type().is_unknown()) ExportType(value.type(), def->mutable_type());
  }

  absl::Status ExportNode(const Node& node, proto::NodeDef* def) {
    def->set_op(node.op().name);
    for (const Value* input : node.inputs()) def->add_inputs(input ? input->name() : "");
    for (size_t i = 0; i < node.num_outputs(); ++i)
      ExportValue(*node.output(i), def->add_outputs());
    for (const auto& [name, value] : node.attrs()) {
      proto::AttributeDef* attribute = def->add_attributes();
      attribute->set_name(name);
      if (absl::Status s = ExportAttribute(value, attribute); !s.ok()) {
        return NodeError(node, s.code(),
                         absl::StrCat("attribute ", Shown(name), ": ", s.message()));
      }
    }
    for (const auto& [name, body] : node.bodies()) {
      proto::BodyDef* b = def->add_bodies();
      b->set_name(name);
      if (absl::Status s = ExportGraph(*body, b->mutable_graph()); !s.ok()) return s;
    }
    for (const Node* control : node.control_inputs()) def->add_control_inputs(control->name());
    def->set_device(node.device());
    const Origin& origin = node.origin();
    if (!origin.file.empty() || origin.line > 0 || !origin.name.empty() || !origin.passes.empty()) {
      proto::OriginDef* o = def->mutable_origin();
      o->set_file(OriginString(origin.file));
      o->set_line(static_cast<uint32_t>(std::max(origin.line, 0)));
      o->set_name(origin.name);
      o->set_passes(OriginString(origin.passes));
    }
    return absl::OkStatus();
  }

  uint32_t OriginString(const std::string& text) {
    if (text.empty()) return 0;
    auto [it, added] = strings_.try_emplace(text, static_cast<uint32_t>(strings_.size() + 1));
    if (added) program_->add_origin_strings(text);
    return it->second;
  }

  absl::Status ExportAttribute(const Attribute& value, proto::AttributeDef* def) {
    switch (value.kind()) {
      case AttrKind::kInt:
        def->set_int_(value.as_int());
        break;
      case AttrKind::kFloat:
        def->set_float_bits(std::bit_cast<uint32_t>(value.as_float()));
        break;
      case AttrKind::kString:
        def->set_string(value.as_string());
        break;
      case AttrKind::kInts:
        def->mutable_ints()->mutable_values()->Add(value.as_ints().begin(), value.as_ints().end());
        break;
      case AttrKind::kFloats:
        def->mutable_floats();
        for (float f : value.as_floats())
          def->mutable_floats()->add_bits(std::bit_cast<uint32_t>(f));
        break;
      case AttrKind::kStrings:
        def->mutable_strings();
        for (const std::string& s : value.as_strings()) def->mutable_strings()->add_values(s);
        break;
      case AttrKind::kDType:
        def->set_dtype(static_cast<uint32_t>(value.as_dtype()));
        break;
      case AttrKind::kTensor:
        return ExportTensor(value.as_tensor(), def->mutable_tensor());
      case AttrKind::kType:
        ExportType(value.as_type(), def->mutable_type());
        break;
    }
    return absl::OkStatus();
  }

  absl::Status ExportTensor(const Tensor& tensor, proto::TensorDef* def) {
    def->set_dtype(static_cast<uint32_t>(tensor.dtype()));
    for (int64_t d : tensor.dims()) def->add_dims(static_cast<uint64_t>(d));
    if (tensor.random().has_value()) {
      proto::RandomDef* random = def->mutable_random();
      random->set_seed(tensor.random()->seed);
      random->set_scale(tensor.random()->scale);
      random->set_offset(tensor.random()->offset);
    } else if (tensor.dtype() == DType::kString) {
      def->mutable_strings();
      for (const std::string& s : tensor.values<std::string>())
        def->mutable_strings()->add_values(s);
    } else if (tensor.bytes() <= options_.max_inline_bytes || sink_ == nullptr) {
      def->set_raw(tensor.raw(), tensor.bytes());
      if (tensor.dtype() == DType::kBool) {  // equal tensors, equal bytes
        for (char& c : *def->mutable_raw()) c = c != 0;
      }
    } else {
      absl::StatusOr<std::string> name = sink_(tensor);
      if (!name.ok()) return name.status();
      def->set_reference(*std::move(name));
    }
    return absl::OkStatus();
  }

  const TensorSink& sink_;
  const ExportOptions options_;
  proto::GraphDef* const program_;
  absl::flat_hash_map<std::string, uint32_t> strings_;
};

bool WritesState(const Graph& graph) {
  for (const auto& node : graph.nodes()) {
    if (HasEffects(*node)) return true;
  }
  for (const auto& [name, function] : graph.functions()) {
    if (function != nullptr && WritesState(*function)) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<proto::GraphDef> Export(const Graph& graph, const TensorSink& sink,
                                       const ExportOptions& options) {
  UnfinishedMessage<proto::GraphDef> unfinished;
  proto::GraphDef& def = *unfinished;
  def.set_format_version(kFormatVersion);
  // Readers of version 1 saw writes of state in the order of nodes, and knew no effects of
  // signatures.
  def.set_min_reader_version(WritesState(graph) ? 2 : 1);
  def.set_opset_version(kOpsetVersion);
  def.set_producer("sluice");
  Exporter exporter(sink, options, &def);
  if (absl::Status s = exporter.ExportGraph(graph, &def); !s.ok()) return s;
  for (const auto& [name, function] : graph.functions()) {
    proto::FunctionDef* f = def.add_functions();
    f->set_name(name);
    if (absl::Status s = exporter.ExportGraph(*function, f->mutable_graph()); !s.ok()) return s;
  }
  for (const auto& [name, signature] : graph.signatures()) {
    proto::SignatureDef* s = def.add_signatures();
    s->set_name(name);
    for (const std::string& input : signature.inputs) s->add_inputs(input);
    for (const std::string& output : signature.outputs) s->add_outputs(output);
    for (const std::string& effect : signature.does) s->add_does(effect);
    s->set_training(signature.training);
  }
  for (const auto& [key, value] : graph.metadata()) {
    proto::MetadataDef* m = def.add_metadata();
    m->set_key(key);
    m->set_value(value);
  }
  return std::move(def);
}

absl::StatusOr<std::string> SerializeGraphDef(const proto::GraphDef& def) {
  std::string bytes;
  if (def.ByteSizeLong() > static_cast<size_t>(std::numeric_limits<int>::max()) ||
      !def.SerializeToString(&bytes)) {
    return absl::InvalidArgumentError(
        "the graph takes over 2 GiB without its weights; keep large constants in the weights file");
  }
  return bytes;
}

}  // namespace sluice
