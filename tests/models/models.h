// The texts of this folder.
#ifndef SLUICE_TESTS_MODELS_MODELS_H_
#define SLUICE_TESTS_MODELS_MODELS_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "graph/text.h"
#include "ops/op.h"

namespace sluice {

// File names without ".sluice.txt", sorted.
inline std::vector<std::string> ModelNames() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator("tests/models/text")) {
    const std::string file = entry.path().filename();
    names.push_back(file.substr(0, file.find('.')));
  }
  std::sort(names.begin(), names.end());
  return names;
}

inline std::unique_ptr<Graph> LoadModel(const std::string& name) {
  const std::string file = "tests/models/text/" + name + ".sluice.txt";
  std::ifstream in(file);
  std::stringstream text;
  text << in.rdbuf();
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(text.str(), StandardOps(), {.file = file});
  EXPECT_TRUE(graph.ok()) << graph.status();
  return graph.ok() ? *std::move(graph) : nullptr;
}

// Something legal for an input: extents by symbol `open`, integers small (token numbers, say).
inline Tensor AnyInput(const Type& type, uint64_t seed, int64_t open = 2) {
  Dims dims;
  for (const Dim& d : type.shape()) dims.push_back(d.is_number() ? d.number() : open);
  RandomSpec spec{.seed = seed};
  if (IsInt(type.dtype())) spec.scale = 2;  // 0 or 1: legal as token, as mask and as segment
  return *Tensor::Random(type.dtype(), dims, spec);
}

class Models : public testing::TestWithParam<std::string> {};

inline std::string TestName(const testing::TestParamInfo<std::string>& info) { return info.param; }

}  // namespace sluice

#endif  // SLUICE_TESTS_MODELS_MODELS_H_
