#include "exchange/onnx_survey.h"

#include <algorithm>

#include "absl/container/btree_map.h"
#include "absl/strings/str_cat.h"
#include "exchange/onnx_upgrade.h"
#include "graph/text.h"

namespace sluice {
namespace {

using onnx::AttributeProto;
using onnx::FunctionProto;
using onnx::GraphProto;
using onnx::ModelProto;
using onnx::NodeProto;

constexpr size_t kNamesShown = 8;

std::string Key(absl::string_view domain, absl::string_view name, absl::string_view overload) {
  return absl::StrCat(OnnxDomain(domain), "\n", name, "\n", overload);
}

template <typename F>
void ForEachSubgraph(const NodeProto& node, const F& f) {
  for (const AttributeProto& a : node.attribute()) {
    if (a.has_g()) f(a.g());
    for (const GraphProto& g : a.graphs()) f(g);
  }
}

class Surveyor {
 public:
  Surveyor(const OnnxFunctions& functions, const OpRegistry& ops, const OnnxImportOptions& options)
      : functions_(functions), ops_(ops), options_(options) {}

  absl::Status Survey(const GraphProto& graph) {
    absl::StatusOr<Cost> cost = Nodes(graph.node(), graph.initializer_size(), 0);
    if (!cost.ok()) return cost.status();
    if (!unknown_.empty()) return UnknownOps();
    if (cost->nodes > options_.max_nodes) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "the model has ", cost->nodes == INT64_MAX ? "over 2^63" : absl::StrCat(cost->nodes),
          " nodes with its functions inlined; the limit is ", options_.max_nodes));
    }
    return absl::OkStatus();
  }

 private:
  struct Cost {
    int64_t nodes = 0;
    int depth = 0;  // of subgraphs and calls below
    void Add(const Cost& inner) {
      if (__builtin_add_overflow(nodes, inner.nodes, &nodes)) nodes = INT64_MAX;
      depth = std::max(depth, inner.depth);
    }
  };

  absl::Status TooDeep() const {
    return absl::ResourceExhaustedError(absl::StrCat(
        "subgraphs and function calls nest deeper than ", options_.max_depth, " levels"));
  }

  template <typename NodeList>
  absl::StatusOr<Cost> Nodes(const NodeList& nodes, int64_t constants, int depth) {
    if (depth > options_.max_depth) return TooDeep();
    Cost cost = {constants, depth};
    for (const NodeProto& node : nodes) {
      cost.Add({1, 0});
      absl::Status status;
      ForEachSubgraph(node, [&](const GraphProto& g) {
        if (!status.ok()) return;
        absl::StatusOr<Cost> inner = Nodes(g.node(), g.initializer_size(), depth + 1);
        status = inner.status();
        if (inner.ok()) cost.Add(*inner);
      });
      if (!status.ok()) return status;
      if (const FunctionProto* f = functions_.Find(node)) {
        absl::StatusOr<Cost> inner = Function(*f, node);
        if (!inner.ok()) return inner.status();
        cost.Add({inner->nodes, depth + 1 + inner->depth});
        if (cost.depth > options_.max_depth) return TooDeep();
      } else {
        CheckKnown(node);
      }
    }
    return cost;
  }

  // Of one call, with depths relative to it; computed once.
  absl::StatusOr<Cost> Function(const FunctionProto& f, const NodeProto& call) {
    if (auto it = costs_.find(&f); it != costs_.end()) return it->second;
    if (!active_.insert(&f).second) {
      return absl::InvalidArgumentError(absl::StrCat(
          "function ", Shown(f.name()), " calls itself, directly or through others (node ",
          Shown(OnnxNodeName(call)), "); functions cannot be recursive"));
    }
    if (active_.size() > static_cast<size_t>(options_.max_depth)) return TooDeep();
    absl::StatusOr<Cost> cost = Nodes(f.node(), 0, 0);
    active_.erase(&f);
    if (cost.ok()) costs_[&f] = *cost;
    return cost;
  }

  void CheckKnown(const NodeProto& node) {
    const absl::string_view domain = OnnxDomain(node.domain());
    const OpDef* op = ops_.Find(domain.empty() ? CanonicalOnnxOp(node.op_type()) : node.op_type());
    if (op != nullptr && op->domain == domain) return;
    std::vector<std::string>& names =
        unknown_[domain.empty() ? node.op_type() : absl::StrCat(domain, ".", node.op_type())];
    if (names.size() <= kNamesShown) names.push_back(OnnxNodeName(node));
  }

  absl::Status UnknownOps() const {
    std::string text =
        absl::StrCat(unknown_.size(), unknown_.size() == 1 ? " op is" : " ops are", " not known:");
    for (const auto& [op, names] : unknown_) {
      absl::StrAppend(&text, "\n  ", Shown(op), " at node ");
      for (size_t i = 0; i < std::min(names.size(), kNamesShown); ++i)
        absl::StrAppend(&text, i ? ", " : "", Shown(names[i]));
      if (names.size() > kNamesShown) absl::StrAppend(&text, " and more");
    }
    return absl::UnimplementedError(text);
  }

  const OnnxFunctions& functions_;
  const OpRegistry& ops_;
  const OnnxImportOptions& options_;
  absl::flat_hash_map<const FunctionProto*, Cost> costs_;
  absl::flat_hash_set<const FunctionProto*> active_;
  absl::btree_map<std::string, std::vector<std::string>> unknown_;
};

void CollectReads(const GraphProto& graph, std::vector<const std::string*>* reads) {
  absl::flat_hash_set<absl::string_view> own;
  for (const auto& v : graph.input()) own.insert(v.name());
  for (const auto& t : graph.initializer()) own.insert(t.name());
  for (const auto& t : graph.sparse_initializer()) own.insert(t.values().name());
  for (const NodeProto& node : graph.node()) own.insert(node.output().begin(), node.output().end());
  auto add = [&](const std::string* name) {
    if (!own.contains(*name)) reads->push_back(name);
  };
  for (const NodeProto& node : graph.node()) {
    for (const std::string* name : NamesRead(node)) add(name);
  }
  for (const auto& v : graph.output()) add(&v.name());
}

}  // namespace

absl::string_view OnnxDomain(absl::string_view domain) {
  return domain == "ai.onnx" ? absl::string_view() : domain;
}

const std::string& OnnxNodeName(const NodeProto& node) {
  if (node.name().empty() && node.output_size() > 0) return node.output(0);
  return node.name();
}

std::vector<const std::string*> NamesRead(const NodeProto& node) {
  std::vector<const std::string*> reads;
  for (const std::string& name : node.input()) {
    if (!name.empty()) reads.push_back(&name);
  }
  ForEachSubgraph(node, [&](const GraphProto& g) { CollectReads(g, &reads); });
  return reads;
}

absl::Status OnnxFunctions::Add(const ModelProto& model) {
  for (const FunctionProto& f : model.functions()) {
    if (!functions_.emplace(Key(f.domain(), f.name(), f.overload()), &f).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("function ", Shown(f.name()), " is defined twice"));
    }
  }
  return absl::OkStatus();
}

const FunctionProto* OnnxFunctions::Find(const NodeProto& call) const {
  if (functions_.empty()) return nullptr;
  auto it = functions_.find(Key(call.domain(), call.op_type(), call.overload()));
  return it == functions_.end() ? nullptr : it->second;
}

absl::StatusOr<OnnxOpsets> ReadOpsets(
    const google::protobuf::RepeatedPtrField<onnx::OperatorSetIdProto>& imports) {
  OnnxOpsets opsets;
  for (const auto& import : imports) {
    int64_t& version = opsets[std::string(OnnxDomain(import.domain()))];
    version = std::max(version, import.version());
  }
  auto it = opsets.find("");
  if (it == opsets.end()) return opsets;
  if (it->second < kOldestOnnxOpset || it->second > kNewestOnnxOpset) {
    return absl::UnimplementedError(
        absl::StrCat("the model uses opset ", it->second, " of ONNX; understood are ",
                     kOldestOnnxOpset, " to ", kNewestOnnxOpset,
                     it->second < kOldestOnnxOpset ? "; export the model again with a newer one"
                                                   : "; export it with an older opset"));
  }
  return opsets;
}

absl::Status SurveyOnnx(const ModelProto& model, const OnnxFunctions& functions,
                        const OpRegistry& ops, const OnnxImportOptions& options) {
  return Surveyor(functions, ops, options).Survey(model.graph());
}

}  // namespace sluice
