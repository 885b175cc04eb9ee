#include "exchange/onnx_import.h"

#include "absl/strings/str_cat.h"
#include "exchange/file.h"
#include "exchange/onnx_file.h"
#include "exchange/onnx_graph.h"
#include "exchange/onnx_survey.h"
#include "graph/text.h"

namespace sluice {
namespace {

void ImportMetadata(const onnx::ModelProto& model, const OnnxOpsets& opsets, Graph* graph) {
  auto& metadata = graph->metadata();
  for (const auto& entry : model.metadata_props()) metadata[entry.key()] = entry.value();
  auto set = [&](const char* key, const std::string& value) {
    if (!value.empty()) metadata[key] = value;
  };
  set("onnx.doc", model.doc_string().empty() ? model.graph().doc_string() : model.doc_string());
  set("onnx.domain", model.domain());
  set("onnx.producer", model.producer_version().empty()
                           ? model.producer_name()
                           : absl::StrCat(model.producer_name(), " ", model.producer_version()));
  if (model.model_version() != 0) set("onnx.model_version", absl::StrCat(model.model_version()));
  if (auto it = opsets.find(""); it != opsets.end()) set("onnx.opset", absl::StrCat(it->second));
}

// `file` may be null; `folder` may be "".
absl::StatusOr<std::unique_ptr<Graph>> Import(absl::string_view bytes,
                                              std::shared_ptr<const MappedFile> file,
                                              const std::string& folder, const std::string& name,
                                              const OnnxImportOptions& options,
                                              const OpRegistry& ops) {
  absl::StatusOr<OnnxFile> parsed = ParseOnnx(bytes, std::move(file), options.max_depth);
  if (!parsed.ok()) return parsed.status();
  const onnx::ModelProto& model = parsed->model;
  if (model.ir_version() > onnx::IR_NEWEST) {
    return absl::UnimplementedError(
        absl::StrCat("it has ONNX IR version ", model.ir_version(), "; understood are up to ",
                     static_cast<int>(onnx::IR_NEWEST), "; export it with an older one"));
  }
  if (model.opset_import_size() == 0) {
    return absl::InvalidArgumentError(
        "it is not an ONNX model, or an ancient one: it does not say which opset it uses");
  }
  absl::StatusOr<OnnxOpsets> opsets = ReadOpsets(model.opset_import());
  if (!opsets.ok()) return opsets.status();
  OnnxFunctions functions;
  if (absl::Status s = functions.Add(model); !s.ok()) return s;
  if (absl::Status s = SurveyOnnx(model, functions, ops, options); !s.ok()) return s;
  auto graph = std::make_unique<Graph>(
      ops, model.graph().name().empty() ? absl::string_view("main") : model.graph().name());
  OnnxGraphImporter importer(functions, options, folder, name);
  absl::Status s = importer.ImportMain(model.graph(), *opsets, parsed->payloads, graph.get());
  if (!s.ok()) return s;
  ImportMetadata(model, *opsets, graph.get());
  if (absl::Status valid = Verify(*graph); !valid.ok()) return valid;
  return graph;
}

absl::Status In(const std::string& name, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(Shown(name), ": ", status.message()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Graph>> ImportOnnx(const std::string& path,
                                                  const OnnxImportOptions& options,
                                                  const OpRegistry& ops) {
  absl::StatusOr<std::shared_ptr<const MappedFile>> file = MappedFile::Open(path, options.access);
  if (!file.ok()) return file.status();
  const std::string folder = options.files_beside ? FolderOf(path) : "";
  auto graph = Import((*file)->bytes(), *file, folder, BaseName(path), options, ops);
  if (!graph.ok()) return In(path, graph.status());
  return graph;
}

absl::StatusOr<std::unique_ptr<Graph>> ImportOnnxBytes(absl::string_view bytes,
                                                       const std::string& name,
                                                       const OnnxImportOptions& options,
                                                       const OpRegistry& ops) {
  auto graph = Import(bytes, nullptr, "", name, options, ops);
  if (!graph.ok()) return In(name, graph.status());
  return graph;
}

}  // namespace sluice
