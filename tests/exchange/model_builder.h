// Short ways to write the ONNX models that the tests import.
#ifndef SLUICE_TESTS_EXCHANGE_MODEL_BUILDER_H_
#define SLUICE_TESTS_EXCHANGE_MODEL_BUILDER_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "exchange/onnx_import.h"
#include "proto/onnx.pb.h"

namespace sluice {

// A folder that goes with the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sluice.XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }
  std::string Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(*this / name, std::ios::binary) << bytes;
    return *this / name;
  }
  size_t Count() const {
    size_t n = 0;
    for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator(path_)) ++n;
    return n;
  }

 private:
  std::string path_;
};

inline onnx::ModelProto EmptyModel(int64_t opset = 21) {
  onnx::ModelProto model;
  model.set_ir_version(8);
  auto* import = model.add_opset_import();
  import->set_domain("");
  import->set_version(opset);
  model.mutable_graph()->set_name("test");
  return model;
}

// Negative extents are "n".
inline void SetType(onnx::ValueInfoProto* value, const std::string& name,
                    const std::vector<int64_t>& dims, int elem_type = onnx::TensorProto::FLOAT) {
  value->set_name(name);
  auto* tensor = value->mutable_type()->mutable_tensor_type();
  tensor->set_elem_type(elem_type);
  tensor->mutable_shape();
  for (int64_t d : dims) {
    auto* dim = tensor->mutable_shape()->add_dim();
    if (d < 0) {
      dim->set_dim_param("n");
    } else {
      dim->set_dim_value(d);
    }
  }
}

inline void AddInput(onnx::GraphProto* graph, const std::string& name,
                     const std::vector<int64_t>& dims, int elem_type = onnx::TensorProto::FLOAT) {
  SetType(graph->add_input(), name, dims, elem_type);
}
inline void AddOutput(onnx::GraphProto* graph, const std::string& name) {
  graph->add_output()->set_name(name);
}

inline onnx::NodeProto* AddNode(onnx::GraphProto* graph, const std::string& op,
                                const std::vector<std::string>& inputs,
                                const std::vector<std::string>& outputs) {
  onnx::NodeProto* node = graph->add_node();
  node->set_op_type(op);
  for (const auto& i : inputs) node->add_input(i);
  for (const auto& o : outputs) node->add_output(o);
  node->set_name(outputs.empty() ? op : "node_" + outputs[0]);
  return node;
}

inline onnx::AttributeProto* AddAttr(onnx::NodeProto* node, const std::string& name,
                                     onnx::AttributeProto::AttributeType type) {
  onnx::AttributeProto* a = node->add_attribute();
  a->set_name(name);
  a->set_type(type);
  return a;
}
inline void AddInt(onnx::NodeProto* node, const std::string& name, int64_t value) {
  AddAttr(node, name, onnx::AttributeProto::INT)->set_i(value);
}
inline void AddFloat(onnx::NodeProto* node, const std::string& name, float value) {
  AddAttr(node, name, onnx::AttributeProto::FLOAT)->set_f(value);
}
inline void AddString(onnx::NodeProto* node, const std::string& name, const std::string& value) {
  AddAttr(node, name, onnx::AttributeProto::STRING)->set_s(value);
}
inline void AddInts(onnx::NodeProto* node, const std::string& name,
                    const std::vector<int64_t>& values) {
  auto* a = AddAttr(node, name, onnx::AttributeProto::INTS);
  for (int64_t v : values) a->add_ints(v);
}

inline onnx::TensorProto* AddInitializer(onnx::GraphProto* graph, const std::string& name,
                                         const std::vector<int64_t>& dims,
                                         const std::vector<float>& values) {
  onnx::TensorProto* t = graph->add_initializer();
  t->set_name(name);
  t->set_data_type(onnx::TensorProto::FLOAT);
  for (int64_t d : dims) t->add_dims(d);
  for (float v : values) t->add_float_data(v);
  return t;
}

inline absl::StatusOr<std::unique_ptr<Graph>> Import(const onnx::ModelProto& model,
                                                     const OnnxImportOptions& options = {}) {
  return ImportOnnxBytes(model.SerializeAsString(), "test.onnx", options);
}

// The message must name the cause.
inline void ExpectError(const absl::Status& status, const std::string& part) {
  EXPECT_FALSE(status.ok()) << "expected an error about: " << part;
  EXPECT_NE(std::string(status.message()).find(part), std::string::npos) << status;
}

}  // namespace sluice

#endif  // SLUICE_TESTS_EXCHANGE_MODEL_BUILDER_H_
