#include <cstdio>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "graph/infer.h"
#include "graph/text.h"
#include "nlohmann/json.hpp"
#include "runtime/cost.h"
#include "tools/cli.h"

namespace sluice::cli {
namespace {

struct Options {
  ModelArgument model;
  std::vector<std::string> dims;
  bool text = false, json = false;
};

void CountOps(const Graph& graph, std::map<std::string, int64_t>* ops, int64_t* parameters,
              int64_t* bytes) {
  for (const auto& node : graph.nodes()) {
    if (node->Is("Constant") || node->Is("Variable")) {
      const Tensor* t = node->GetTensor("value");
      if (t != nullptr && IsFloat(t->dtype())) *parameters += t->elements();
      if (t != nullptr) *bytes += static_cast<int64_t>(t->bytes());
      if (node->Is("Constant")) continue;
    }
    ++(*ops)[std::string(node->op_name())];
    for (const auto& [name, body] : node->bodies()) CountOps(*body, ops, parameters, bytes);
  }
}

absl::Status Show(const Options& o) {
  absl::StatusOr<std::unique_ptr<Graph>> graph = ReadGraph(o.model);
  if (!graph.ok()) return graph.status();
  if (o.text) {
    const std::string text = Print(**graph);
    std::fwrite(text.data(), 1, text.size(), stdout);
    return absl::OkStatus();
  }
  nlohmann::json json;
  json["name"] = (*graph)->name();
  for (const Session::Port& port : PortsOf(**graph)) {
    json["inputs"].push_back({{"name", port.name}, {"type", port.type.ToString()}});
    if (port.has_default) json["inputs"].back()["has_default"] = true;
  }
  for (size_t i = 0; i < (*graph)->outputs().size(); ++i) {
    json["outputs"].push_back({{"name", (*graph)->output_names()[i]},
                               {"type", (*graph)->outputs()[i]->type().ToString()}});
  }
  for (const auto& [name, signature] : (*graph)->signatures()) {
    json["signatures"].push_back({{"name", name},
                                  {"inputs", signature.inputs},
                                  {"outputs", signature.outputs},
                                  {"does", signature.does},
                                  {"training", signature.training}});
  }
  std::map<std::string, int64_t> ops;
  int64_t parameters = 0, bytes = 0;
  CountOps(**graph, &ops, &parameters, &bytes);
  json["ops"] = ops;
  json["parameters"] = parameters;
  json["constant_bytes"] = bytes;

  // FLOPs and memory at concrete extents: the generated inputs' (--dim, else 1).
  InputOptions sizes;
  sizes.dims = o.dims;
  absl::StatusOr<Inputs> inputs = LoadInputs(PortsOf(**graph), sizes);
  if (!inputs.ok() && !o.dims.empty()) return inputs.status();
  if (inputs.ok() && (*graph)->signatures().empty()) {
    absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(**graph, {.threads = 1});
    if (!session.ok()) return session.status();
    if (absl::StatusOr<std::string> plan = (*session)->PlanText(inputs->feeds); !plan.ok())
      return plan.status();
    json["arena_bytes"] = (*session)->Memory().arena_bytes;
    json["peak_node"] = (*session)->Memory().peak_node;
    for (size_t i = 0; i < inputs->feeds.size(); ++i)
      (*graph)->inputs()[i]->set_type(Type::Of(inputs->feeds[i].second));
    if (absl::Status s = InferTypes(graph->get()); !s.ok()) return s;
    const NodeCost cost = CostOf(**graph);
    json["flops"] = cost.flops;
    json["flops_complete"] = cost.known;
    json["at"] = inputs->generated;
  }
  if (o.json) {
    std::printf("%s\n",
                json.dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace)
                    .c_str());
    return absl::OkStatus();
  }
  auto ports = [&](const char* kind) {
    for (const auto& p : json.value(kind, nlohmann::json::array())) {
      std::printf("  %s %s: %s%s\n", kind[0] == 'i' ? "in " : "out",
                  Escaped(p["name"].get<std::string>()).c_str(),
                  p["type"].get<std::string>().c_str(),
                  p.contains("has_default") ? ", by default a constant" : "");
    }
  };
  std::printf("%s\n", Escaped((*graph)->name()).c_str());
  ports("inputs");
  ports("outputs");
  for (const auto& [name, signature] : (*graph)->signatures()) {
    std::printf("  signature %s (%s) -> (%s)", Escaped(name).c_str(),
                Escaped(absl::StrJoin(signature.inputs, ", ")).c_str(),
                Escaped(absl::StrJoin(signature.outputs, ", ")).c_str());
    if (!signature.does.empty())
      std::printf(" does (%s)", Escaped(absl::StrJoin(signature.does, ", ")).c_str());
    if (signature.training) std::printf(" training");
    std::printf("\n");
  }
  int64_t nodes = 0;
  for (const auto& [op, count] : ops) nodes += count;
  std::printf("%lld nodes\n", static_cast<long long>(nodes));
  for (const auto& [op, count] : ops)
    std::printf("  %6lld %s\n", static_cast<long long>(count), op.c_str());
  std::printf("parameters: %lld (%.1f MB of constants)\n", static_cast<long long>(parameters),
              bytes / 1e6);
  if (json.contains("flops")) {
    std::printf("at %s\n", inputs->generated.empty() ? "the given extents" : "generated inputs:");
    for (const std::string& line : inputs->generated) std::printf("  %s\n", line.c_str());
    std::printf("FLOPs: %.3f G%s\nactivations: %.2f MB, fullest at %s\n",
                json["flops"].get<double>() / 1e9,
                json["flops_complete"].get<bool>() ? "" : " (some extents are open: at least)",
                json["arena_bytes"].get<double>() / 1e6,
                Escaped(json["peak_node"].get<std::string>()).c_str());
  }
  return absl::OkStatus();
}

}  // namespace

void AddShow(CLI::App& app, Job* job) {
  auto o = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("show", "Signature, ops, parameters, FLOPs and memory of a model");
  o->model.AddTo(command);
  AddDim(command, &o->dims);
  CLI::Option* text =
      command->add_flag("--text", o->text, "The graph in text form, large constants by their hash")
          ->excludes("--dim");
  command->add_flag("--json", o->json, "One line of JSON")->excludes(text);
  command->callback([=] { *job = [o](bool*) { return Show(*o); }; });
}

}  // namespace sluice::cli
