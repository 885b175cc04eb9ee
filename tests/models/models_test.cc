#include "tests/models/models.h"

#include "graph/graph_def.h"

namespace sluice {
namespace {

struct Extents {
  int64_t values = 0, known = 0;
  std::vector<std::string> unknown;  // nodes
};

// Known: the rank, and each extent a number or an expression of the inputs' symbols.
void Count(const Graph& graph, Extents* extents) {
  for (const auto& node : graph.nodes()) {
    for (size_t i = 0; i < node->num_outputs(); ++i) {
      const Type& type = node->output(i)->type();
      bool known = type.is_tensor() && type.has_shape();
      std::vector<std::string> symbols;
      if (known) {
        for (const Dim& d : type.shape()) {
          known &= !d.is_unknown();
          d.CollectSymbols(&symbols);
        }
      }
      for (const std::string& s : symbols) known &= s[0] != '_';  // "_0": only data knows
      ++extents->values;
      extents->known += known;
      if (!known) extents->unknown.push_back(NodeToString(*node));
    }
    for (const auto& [name, body] : node->bodies()) Count(*body, extents);
  }
}

TEST_P(Models, EveryShapeIsKnownFromTheInputs) {
  std::unique_ptr<Graph> graph = LoadModel(GetParam());
  ASSERT_NE(graph, nullptr);
  ASSERT_TRUE(Verify(*graph).ok()) << Verify(*graph);
  Extents extents;
  Count(*graph, &extents);
  std::printf("%s: %lld of %lld values have a known shape\n", GetParam().c_str(),
              static_cast<long long>(extents.known), static_cast<long long>(extents.values));
  EXPECT_EQ(extents.known, extents.values) << extents.unknown[0];
}

TEST_P(Models, TypesInferredFromNothingAreThoseWritten) {
  std::unique_ptr<Graph> graph = LoadModel(GetParam());
  ASSERT_NE(graph, nullptr);
  const std::string text = Print(*graph, {.types = false});
  absl::StatusOr<std::unique_ptr<Graph>> bare = Parse(text, StandardOps());
  ASSERT_TRUE(bare.ok()) << bare.status();
  std::string difference;
  EXPECT_TRUE(Equal(*graph, **bare, &difference)) << difference;
}

TEST_P(Models, RoundTripsThroughTextAndWireForm) {
  std::unique_ptr<Graph> graph = LoadModel(GetParam());
  ASSERT_NE(graph, nullptr);
  std::string difference;
  absl::StatusOr<std::unique_ptr<Graph>> text = Parse(Print(*graph), StandardOps());
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_TRUE(Equal(*graph, **text, &difference)) << difference;

  absl::StatusOr<proto::GraphDef> def = Export(*graph, nullptr);
  ASSERT_TRUE(def.ok()) << def.status();
  absl::StatusOr<std::string> bytes = SerializeGraphDef(*def);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  absl::StatusOr<proto::GraphDef> parsed = ParseGraphDef(*bytes);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  absl::StatusOr<std::unique_ptr<Graph>> back = Import(*parsed, StandardOps(), nullptr);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_TRUE(Equal(*graph, **back, &difference)) << difference;
}

INSTANTIATE_TEST_SUITE_P(Text, Models, testing::ValuesIn(ModelNames()), TestName);

}  // namespace
}  // namespace sluice
