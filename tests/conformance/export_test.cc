// Every model of the conformance corpus that is imported can be written as ONNX again, and follows
// the specification's rules then.
#include <gtest/gtest.h>

#include <cstdlib>

#include "exchange/onnx_export.h"
#include "exchange/onnx_import.h"
#include "tests/conformance/corpus.h"
#include "tests/testing/onnx_rules.h"

namespace sluice {
namespace {

TEST(OnnxCorpus, IsWrittenByTheRules) {
  const char* root = std::getenv("SLUICE_CORPUS");
  ASSERT_NE(root, nullptr) << "SLUICE_CORPUS must name the data folder; tools/test sets it";
  int written = 0;
  for (const std::string& name : ListCases(root)) {
    SCOPED_TRACE(name);
    auto graph = ImportOnnx(std::string(root) + "/" + name + "/model.onnx");
    if (!graph.ok()) continue;
    auto bytes = ExportOnnxBytes(**graph);
    EXPECT_TRUE(bytes.ok()) << bytes.status();
    onnx::ModelProto model;
    if (!bytes.ok() || !model.ParseFromString(*bytes)) continue;
    ++written;
    for (const std::string& broken : BrokenOnnxRules(model, graph->get())) ADD_FAILURE() << broken;
    auto back = ImportOnnxBytes(*bytes);
    EXPECT_TRUE(back.ok()) << back.status();
  }
  std::printf("ONNX export: %d models written\n", written);
  EXPECT_GT(written, 1400);
}

}  // namespace
}  // namespace sluice
