#include "graph/graph_def.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "absl/strings/str_cat.h"
#include "graph/text.h"
#include "ops/op.h"
#include "tests/graph/random_graph.h"

namespace sluice {
namespace {

using testing::HasSubstr;

// The weights "file".
struct Weights {
  std::map<std::string, Tensor> tensors;
  TensorSink Sink() {
    return [this](const Tensor& t) -> absl::StatusOr<std::string> {
      const std::string name = t.ContentHash();
      tensors[name] = t;
      return name;
    };
  }
  TensorSource Source() {
    return [this](absl::string_view name) -> absl::StatusOr<Tensor> {
      auto it = tensors.find(std::string(name));
      if (it == tensors.end()) return absl::NotFoundError("no such tensor");
      return it->second;
    };
  }
};

absl::StatusOr<std::unique_ptr<Graph>> ImportDef(const proto::GraphDef& def,
                                                 const ImportOptions& options = {}) {
  return Import(def, TestOps(), nullptr, options);
}

std::string ErrorOf(const proto::GraphDef& def, const ImportOptions& options = {}) {
  absl::StatusOr<std::unique_ptr<Graph>> graph = ImportDef(def, options);
  return graph.ok() ? "no error" : std::string(graph.status().message());
}

// graph g (%x) { %y = Any(%x) return %y }
proto::GraphDef Small() {
  proto::GraphDef def;
  def.set_format_version(kFormatVersion);
  def.set_name("g");
  def.add_inputs()->set_name("x");
  proto::NodeDef* node = def.add_nodes();
  node->set_op("Any");
  node->add_inputs("x");
  node->add_outputs()->set_name("y");
  def.add_outputs()->set_value("y");
  return def;
}

TEST(GraphDef, RandomGraphsRoundTripThroughBytes) {
  for (uint32_t seed = 0; seed < 1000; ++seed) {
    std::unique_ptr<Graph> graph = RandomGraph(seed).Make();
    Weights weights;
    ExportOptions options;
    if (seed % 2 == 0) options.max_inline_bytes = 8;
    absl::StatusOr<proto::GraphDef> def = Export(*graph, weights.Sink(), options);
    ASSERT_TRUE(def.ok()) << def.status();
    absl::StatusOr<std::string> bytes = SerializeGraphDef(*def);
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    absl::StatusOr<proto::GraphDef> parsed = ParseGraphDef(*bytes);
    ASSERT_TRUE(parsed.ok()) << seed << parsed.status();
    absl::StatusOr<std::unique_ptr<Graph>> back = Import(*parsed, TestOps(), weights.Source());
    ASSERT_TRUE(back.ok()) << seed << " " << back.status() << "\n" << Print(*graph);
    std::string difference;
    ASSERT_TRUE(Equal(*graph, **back, &difference)) << seed << " " << difference;
    // Origins and seeds come back too, and the bytes are a function of the graph.
    const PrintOptions print{.origins = true};
    ASSERT_EQ(Print(**back, print), Print(*graph, print));
    ASSERT_TRUE(*SerializeGraphDef(*Export(**back, weights.Sink(), options)) == *bytes) << seed;
  }
}

TEST(GraphDef, LargeTensorsAreReferredToAndSharedByContent) {
  Graph graph(TestOps());
  for (int i = 0; i < 3; ++i) {
    std::vector<float> values(1000, i == 2 ? 1.0f : 2.0f);
    Node* node = graph.AddNode(*TestOps().Find("Constant"), {}, {absl::StrCat("c", i)});
    node->SetAttr("value", Tensor::Vector<float>(values));
  }
  Weights weights;
  absl::StatusOr<proto::GraphDef> def = Export(graph, weights.Sink());
  ASSERT_TRUE(def.ok());
  EXPECT_EQ(weights.tensors.size(), 2u);
  EXPECT_LT(SerializeGraphDef(*def)->size(), 500u);
  absl::StatusOr<std::unique_ptr<Graph>> back = Import(*def, TestOps(), weights.Source());
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ((*back)->FindValue("c0")->constant()->raw(),
            (*back)->FindValue("c1")->constant()->raw());  // no copy

  EXPECT_THAT(ErrorOf(*def), HasSubstr("lies in a weights file, and none was given"));
  weights.tensors.begin()->second = Tensor::Scalar<float>(1);
  EXPECT_THAT(std::string(Import(*def, TestOps(), weights.Source()).status().message()),
              HasSubstr("is f32[] in the weights file, expected f32[1000]"));
  weights.tensors.clear();
  EXPECT_THAT(std::string(Import(*def, TestOps(), weights.Source()).status().message()),
              HasSubstr("no such tensor"));
}

TEST(GraphDef, VersionsAreChecked) {
  proto::GraphDef def = Small();
  EXPECT_TRUE(ImportDef(def).ok()) << ImportDef(def).status();
  def.set_format_version(0);
  EXPECT_THAT(ErrorOf(def), HasSubstr("no format version"));
  def.set_format_version(kFormatVersion + 3);  // newer, but readable
  EXPECT_TRUE(ImportDef(def).ok());
  def.set_min_reader_version(kFormatVersion + 1);
  EXPECT_THAT(ErrorOf(def), HasSubstr("use a newer sluice"));
}

TEST(GraphDef, UnknownFieldsPassOnlyFromNewerWriters) {
  for (bool in_node : {false, true}) {
    proto::GraphDef def = Small();
    google::protobuf::Message* where = &def;
    if (in_node) where = def.mutable_nodes(0);
    where->GetReflection()->MutableUnknownFields(where)->AddVarint(1000, 1);
    EXPECT_THAT(ErrorOf(def), HasSubstr("damaged"));
    def.set_format_version(kFormatVersion + 1);
    EXPECT_TRUE(ImportDef(def).ok()) << ImportDef(def).status();
  }
}

TEST(GraphDef, UnknownOpsAreAllListedWithTheirNodes) {
  proto::GraphDef def = Small();
  def.mutable_nodes(0)->set_op("Foo");
  proto::NodeDef* second = def.add_nodes();
  second->set_op("Bar\n");
  second->add_outputs()->set_name("z");
  EXPECT_THAT(ErrorOf(def), HasSubstr("unknown ops: 'Foo' ('y'), 'Bar\\n' ('z')"));
  EXPECT_THAT(ErrorOf(def), Not(HasSubstr("newer")));
  def.set_opset_version(kOpsetVersion + 1);
  EXPECT_THAT(ErrorOf(def), HasSubstr("use a newer sluice"));
}

TEST(GraphDef, MalformedGraphsAreErrorsThatNameTheNode) {
  auto broken = [](const std::function<void(proto::GraphDef*)>& edit) {
    proto::GraphDef def = Small();
    edit(&def);
    return ErrorOf(def);
  };
  using G = proto::GraphDef;
  EXPECT_THAT(broken([](G* g) { g->mutable_nodes(0)->set_inputs(0, "q"); }),
              HasSubstr("graph 'g': node 'y' ('Any'): input 'q' is defined nowhere before"));
  EXPECT_THAT(broken([](G* g) { g->mutable_nodes(0)->set_inputs(0, "y"); }),
              HasSubstr("in a cycle"));
  EXPECT_THAT(broken([](G* g) { g->mutable_nodes(0)->mutable_outputs(0)->set_name("x"); }),
              HasSubstr("'x' is defined twice"));
  EXPECT_THAT(broken([](G* g) { g->mutable_nodes(0)->add_outputs()->set_name("y"); }),
              HasSubstr("two of its outputs"));
  EXPECT_THAT(broken([](G* g) { g->mutable_nodes(0)->mutable_outputs(0)->set_name(""); }),
              HasSubstr("without a name"));
  EXPECT_THAT(broken([](G* g) { g->mutable_nodes(0)->clear_outputs(); }),
              HasSubstr("at least one output"));
  EXPECT_THAT(broken([](G* g) { g->add_inputs()->set_name("x"); }), HasSubstr("defined twice"));
  EXPECT_THAT(broken([](G* g) { g->add_outputs()->set_value("q"); }), HasSubstr("defined nowhere"));
  EXPECT_THAT(broken([](G* g) { g->mutable_nodes(0)->add_control_inputs("y"); }),
              HasSubstr("no earlier node"));
  EXPECT_THAT(broken([](G* g) { g->mutable_nodes(0)->mutable_origin()->set_file(9); }),
              HasSubstr("past the list of strings"));
  EXPECT_THAT(broken([](G* g) { g->add_signatures()->add_inputs("q"); }), HasSubstr("names input"));
  EXPECT_THAT(broken([](G* g) { g->mutable_nodes(0)->add_attributes()->set_name("foo"); }),
              HasSubstr("attribute 'foo': its value is missing"));
  EXPECT_THAT(broken([](G* g) {
                proto::AttributeDef* a = g->mutable_nodes(0)->add_attributes();
                a->set_name("foo");
                a->set_int_(3);
              }),
              HasSubstr("unknown attribute 'foo'"));
  auto type = [](proto::GraphDef* g) {
    return g->mutable_inputs(0)->mutable_type()->mutable_tensor();
  };
  EXPECT_THAT(broken([&](G* g) { type(g)->set_dtype(77); }), HasSubstr("dtype 77"));
  EXPECT_THAT(broken([&](G* g) { type(g)->mutable_shape()->add_dims(); }),
              HasSubstr("not known to this build"));
  EXPECT_THAT(broken([&](G* g) { type(g)->mutable_shape()->add_dims()->set_number(~0ull); }),
              HasSubstr("does not fit"));
  EXPECT_THAT(broken([&](G* g) { type(g)->mutable_shape()->add_dims()->set_expression("2*(n"); }),
              HasSubstr("expected"));
  auto tensor = [](proto::GraphDef* g) {
    proto::AttributeDef* a = g->mutable_nodes(0)->add_attributes();
    a->set_name("h_tensor");
    a->mutable_tensor()->set_dtype(static_cast<uint32_t>(DType::kF32));
    return a->mutable_tensor();
  };
  EXPECT_THAT(broken([&](G* g) { tensor(g)->set_raw("abc"); }),
              HasSubstr("with 3 bytes, expected 4"));
  EXPECT_THAT(broken([&](G* g) { tensor(g); }), HasSubstr("without contents"));
  EXPECT_THAT(broken([&](G* g) { tensor(g)->mutable_strings(); }), HasSubstr("with 0 strings"));
  EXPECT_THAT(broken([&](G* g) {
                proto::TensorDef* t = tensor(g);
                t->add_dims(1ull << 62);
                t->mutable_random();
              }),
              HasSubstr("more elements than memory"));
  EXPECT_THAT(broken([&](G* g) {
                proto::TensorDef* t = tensor(g);
                t->add_dims(1ull << 40);
                t->mutable_random();
              }),
              HasSubstr("budget"));
}

TEST(GraphDef, DepthAndNodesHaveBudgets) {
  proto::GraphDef def = Small();
  proto::GraphDef* inner = &def;
  for (int i = 0; i < 60; ++i) {
    proto::NodeDef* node = inner->add_nodes();
    node->set_op("Bodies");
    node->add_outputs()->set_name(absl::StrCat("b", i));
    proto::BodyDef* z = node->add_bodies();
    z->set_name("z_body");
    z->mutable_graph();
    proto::BodyDef* b = node->add_bodies();
    b->set_name("b_body");
    inner = b->mutable_graph();
  }
  absl::StatusOr<std::string> bytes = SerializeGraphDef(def);
  ASSERT_TRUE(bytes.ok());
  absl::StatusOr<proto::GraphDef> parsed = ParseGraphDef(*bytes);
  ASSERT_TRUE(parsed.ok()) << parsed.status();  // protobuf's own limit of 100 would stop it
  EXPECT_TRUE(ImportDef(*parsed).ok()) << ImportDef(*parsed).status();
  EXPECT_THAT(ErrorOf(def, {.max_depth = 10}), HasSubstr("nested deeper than 10"));
  EXPECT_THAT(ErrorOf(def, {.max_nodes = 10}), HasSubstr("more than 10 nodes"));
  for (int i = 60; i < 1000; ++i) {
    proto::NodeDef* node = inner->add_nodes();
    node->set_op("Bodies");
    inner = node->add_bodies()->mutable_graph();
  }
  EXPECT_THAT(ErrorOf(def), HasSubstr("nested deeper than 64"));
  EXPECT_THAT(ParseGraphDef(*SerializeGraphDef(def)).status().ToString(),
              HasSubstr("nested too deep"));
}

// Truncated and bit-flipped bytes: an error or a graph that verifies, never a crash.
TEST(GraphDef, DamagedBytesNeverCrash) {
  int read = 0, refused = 0;
  for (uint32_t seed = 0; seed < 40; ++seed) {
    std::unique_ptr<Graph> graph = RandomGraph(seed).Make();
    Weights weights;
    const std::string bytes = *SerializeGraphDef(*Export(*graph, weights.Sink()));
    std::mt19937 random(seed);
    for (int i = 0; i < 300; ++i) {
      std::string damaged = bytes;
      const size_t at = random() % damaged.size();
      if (i % 3 == 0) {
        damaged.resize(at);
      } else {
        damaged[at] = static_cast<char>(damaged[at] ^ (1 << (random() % 8)));
      }
      absl::StatusOr<proto::GraphDef> def = ParseGraphDef(damaged);
      if (!def.ok()) {
        ++refused;
        continue;
      }
      ImportOptions options;
      options.max_generated_bytes = 1 << 20;
      absl::StatusOr<std::unique_ptr<Graph>> back =
          Import(*def, TestOps(), weights.Source(), options);
      if (back.ok()) {
        ++read;
        EXPECT_TRUE(Verify(**back).ok());
        Print(**back);
      } else {
        ++refused;
      }
    }
  }
  std::printf("%d damaged graphs read, %d refused\n", read, refused);
  EXPECT_GT(refused, 0);
}

// What stood behind an Assign was of what it had written.
TEST(GraphDef, FilesOfVersionOneKeepTheirMeaning) {
  const auto read = [](const char* text, uint32_t version) {
    absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(text, StandardOps());
    EXPECT_TRUE(graph.ok()) << graph.status();
    absl::StatusOr<proto::GraphDef> def = Export(**graph, nullptr);
    EXPECT_TRUE(def.ok()) << def.status();
    EXPECT_EQ(def->min_reader_version(), 2u);
    def->set_format_version(version);
    def->set_min_reader_version(version);
    absl::StatusOr<std::unique_ptr<Graph>> back = Import(*def, StandardOps(), nullptr);
    EXPECT_TRUE(back.ok()) << back.status();
    return back.ok() ? *std::move(back) : nullptr;
  };
  const auto expect = [](const Graph& graph, const char* text) {
    absl::StatusOr<std::unique_ptr<Graph>> expected = Parse(text, StandardOps());
    ASSERT_TRUE(expected.ok()) << expected.status();
    std::string difference;
    EXPECT_TRUE(Equal(graph, **expected, &difference)) << difference << "\n" << Print(graph);
  };
  const char kText[] = R"(graph g (%x: f32[1], %n: i64[]) {
  %v = Variable {name = "v", value = f32[1] [1]}
  %before = Neg(%v)
  %a = Assign(%v, %x)
  %b = Abs(%v) after (%a)
  %y = Loop(%n, _, %a) {body = graph (%i: i64[], %c: bool[], %s: f32[1]) {
    %t = Assign(%v, %s)
    %u = Exp(%v) after (%t)
    return %c, %u
  }}
  %behind = Sin(%v) after (%y)
  return %before, %b, %y, %behind, %v as "v"
}
signature all (x, n) -> (y)
)";
  EXPECT_EQ(Print(*read(kText, 2)), Print(**Parse(kText, StandardOps())));
  expect(*read(kText, 1), R"(graph g (%x: f32[1], %n: i64[]) {
  %v = Variable {name = "v", value = f32[1] [1]}
  %before = Neg(%v)
  %a = Assign(%v, %x)
  %b = Abs(%a) after (%a)
  %y = Loop(%n, _, %a) {body = graph (%i: i64[], %c: bool[], %s: f32[1]) {
    %t = Assign(%v, %s)
    %u = Exp(%t) after (%t)
    return %c, %u
  }}
  %behind = Sin(%v) after (%y)
  %v0 = Identity(%v) after (%y)
  return %before, %b, %y, %behind, %v0 as "v"
}
signature all (x, n) -> (y) does (a, y)
)");
}

}  // namespace
}  // namespace sluice
