// Imports the graphs, nodes and function calls of one ONNX model; used by onnx_import.cc.
#ifndef SLUICE_EXCHANGE_ONNX_GRAPH_H_
#define SLUICE_EXCHANGE_ONNX_GRAPH_H_

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "exchange/onnx_file.h"
#include "exchange/onnx_survey.h"
#include "exchange/tensor_proto.h"
#include "graph/graph.h"

namespace sluice {

class OnnxGraphImporter {
 public:
  // `folder` is where external data may lie ("": nowhere), `file` the name for origins. All
  // arguments outlive the importer.
  OnnxGraphImporter(const OnnxFunctions& functions, const OnnxImportOptions& options,
                    const std::string& folder, const std::string& file)
      : functions_(functions), options_(options), file_(file), tensors_(folder, options.access) {}

  // Fills `graph`, which is empty. `payloads` stand for the initialisers' raw data.
  absl::Status ImportMain(const onnx::GraphProto& proto, const OnnxOpsets& opsets,
                          const std::vector<RawPayload>& payloads, Graph* graph);

 private:
  // The names that are visible, one scope a graph or function call. A body sees the scopes around
  // it, a function only its own.
  struct Scope {
    Graph* graph;
    const Scope* parent = nullptr;  // whose names are visible here
    const Scope* around = nullptr;  // parent, or where the function is called
    std::string prefix = {};        // of the names that a function call makes
    absl::flat_hash_map<std::string, Value*> values = {};  // null: absent, or an unused initialiser
    // Every name that this scope gives to a value at any time: inner ones keep away from them.
    absl::flat_hash_set<std::string> reserved = {};
    absl::flat_hash_map<absl::string_view, const onnx::TypeProto*> declared = {};
  };
  using AttributeMap = absl::flat_hash_map<std::string, const onnx::AttributeProto*>;
  // What a node of a function's body (or of the model: nothing) sees besides names.
  struct Environment {
    const OnnxOpsets* opsets;
    const AttributeMap* call_attributes = nullptr;
    int depth = 0;
  };

  absl::Status ImportGraph(const onnx::GraphProto& proto, const Environment& env,
                           const std::vector<RawPayload>* payloads, Scope* scope);
  absl::Status ImportInitializers(const onnx::GraphProto& proto,
                                  const absl::flat_hash_set<absl::string_view>& used,
                                  const std::vector<RawPayload>* payloads, Scope* scope);
  template <typename NodeList>
  absl::Status ImportNodes(const NodeList& nodes, const Environment& env, Scope* scope);
  absl::Status ImportNode(const onnx::NodeProto& node, const Environment& env, Scope* scope);
  absl::Status ImportOp(const onnx::NodeProto& node, const Environment& env,
                        const std::vector<Value*>& inputs, const AttributeMap& attributes,
                        Scope* scope);
  absl::Status ImportConstant(const onnx::NodeProto& node, const AttributeMap& attributes,
                              Scope* scope);
  absl::Status ImportCall(const onnx::FunctionProto& function, const onnx::NodeProto& node,
                          const Environment& env, const std::vector<Value*>& inputs,
                          const AttributeMap& attributes, Scope* scope);

  absl::StatusOr<AttributeMap> ResolveAttributes(const onnx::NodeProto& node,
                                                 const Environment& env) const;
  absl::StatusOr<Attribute> ToAttribute(const onnx::AttributeProto& a);
  absl::StatusOr<Tensor> ToTensor(const onnx::TensorProto& proto);

  // Distinct dim_params are distinct symbols, also where neither may be called so, or both alike:
  // "k+1" and "k-1". What looks like a FreshDim() in the file is one of ours here.
  Dim SymbolOf(const std::string& param);
  // Where `expressions`, "2*seq" is read as one; else, and where it cannot be, it is a name.
  Dim DimOf(const std::string& param, bool expressions);

  // Null where nothing is called that; a pointer to null where it stands for an absent value.
  Value* const* Find(const Scope& scope, const std::string& name) const;
  absl::Status Define(const std::string& name, Value* value, Scope* scope) const;
  // A name for a new value that no enclosing graph uses, now or later.
  std::string FreeName(const std::string& name, const Scope& scope);
  Value* AddConstant(const std::string& name, Tensor tensor, const std::string& origin,
                     Scope* scope);
  absl::Status InferAdded(Node* node, const onnx::NodeProto& proto, const Scope& scope);
  absl::Status Count(int64_t nodes);

  const OnnxFunctions& functions_;
  const OnnxImportOptions& options_;
  const std::string& file_;
  TensorProtoReader tensors_;
  // A function's tensors are read once, however often it is called.
  absl::flat_hash_map<const onnx::TensorProto*, Tensor> read_tensors_;
  Graph* graph_ = nullptr;                         // the main one
  absl::flat_hash_map<std::string, Dim> symbols_;  // by dim_param
  absl::flat_hash_set<std::string> taken_;         // symbols
  int64_t nodes_ = 0, renamed_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_EXCHANGE_ONNX_GRAPH_H_
