#include "graph/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "absl/strings/str_replace.h"
#include "ops/op.h"
#include "tests/graph/random_graph.h"

namespace sluice {
namespace {

using testing::HasSubstr;

std::unique_ptr<Graph> MustParse(absl::string_view text, const OpRegistry& ops = TestOps(),
                                 const ParseOptions& options = {}) {
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(text, ops, options);
  EXPECT_TRUE(graph.ok()) << graph.status();
  return graph.ok() ? *std::move(graph) : nullptr;
}

std::string ErrorOf(absl::string_view text, const ParseOptions& options = {}) {
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(text, TestOps(), options);
  return graph.ok() ? "no error" : std::string(graph.status().message());
}

// Keeps the tensors that a text names by hash.
class Weights {
 public:
  explicit Weights(const Graph& graph) { Collect(graph); }
  ParseOptions Options() {
    ParseOptions options;
    options.infer = false;
    options.find_tensor = [this](absl::string_view hash) -> absl::StatusOr<Tensor> {
      auto it = tensors_.find(std::string(hash));
      if (it == tensors_.end()) return absl::NotFoundError("no such tensor");
      return it->second;
    };
    return options;
  }

 private:
  void Collect(const Graph& graph) {
    for (const auto& node : graph.nodes()) {
      for (const auto& [name, attr] : node->attrs()) {
        if (attr.kind() == AttrKind::kTensor)
          tensors_[attr.as_tensor().ContentHash()] = attr.as_tensor();
      }
      for (const auto& [name, body] : node->bodies()) Collect(*body);
    }
    for (const auto& [name, function] : graph.functions()) Collect(*function);
  }
  std::map<std::string, Tensor> tensors_;
};

TEST(Text, RandomGraphsRoundTripExactly) {
  for (uint32_t seed = 0; seed < 1500; ++seed) {
    std::unique_ptr<Graph> graph = RandomGraph(seed).Make();
    ASSERT_TRUE(Verify(*graph).ok()) << seed << Verify(*graph);
    PrintOptions print;
    print.max_inline_elements = seed % 3 == 0 ? 2 : 64;
    print.origins = seed % 2 == 0;
    const std::string text = Print(*graph, print);
    Weights weights(*graph);
    absl::StatusOr<std::unique_ptr<Graph>> back = Parse(text, TestOps(), weights.Options());
    ASSERT_TRUE(back.ok()) << seed << "\n" << back.status() << "\n" << text;
    std::string difference;
    ASSERT_TRUE(Equal(*graph, **back, &difference)) << seed << " " << difference << "\n" << text;
    ASSERT_TRUE(Verify(**back).ok());
    print.origins = false;
    ASSERT_EQ(Print(**back, print), Print(*graph, print)) << seed;
  }
}

TEST(Text, PrintsAsTheReadmeShows) {
  const std::string text =
      R"(graph classify (%image: f32[batch,784]) {
  %w = Constant {value = f32[784,10] {random = 7, scale = 0.05}} : f32[784,10]
  %c = Constant {value = f32[3] [1.0, 2.5, nan]}
  %"mm:0", %b = Any(%image, _, %w) {c_floats = [0.5, -inf], d_int = 3, e_ints = [1, -2]} : f32[batch,10], f32[*] @gpu:0 after (%c)
  %y = Bodies(%b) {b_body = graph (%i: i64[]) {
    %inner = Any(%i, %w) {f_string = "a\nb"}
    return %inner
  }, d_int = 7, z_body = graph "other name" () {
    return %w
  }} : optional<sequence<f32[2*n+1]>>
  return %y, %"mm:0" as "logits"
}

function old as "New name" () {
  return
}

function twice (%x) {
  return %x, %x
}

signature serve (image) -> (y, logits)

metadata "author" = "me"
)";
  ParseOptions options;
  options.infer = false;
  std::unique_ptr<Graph> graph = MustParse(text, TestOps(), options);
  ASSERT_NE(graph, nullptr);
  EXPECT_EQ(Print(*graph), text);
}

TEST(Text, ReadsLooselyWrittenTextAndComments) {
  std::unique_ptr<Graph> graph = MustParse(R"(
// A comment before.
metadata "k"="v"   graph g(%x:f32[2],%y){%a=Any(%x,%y){b_float=2,c_floats=[1,2],c2 = 1}// there
 return%a}// the end)",
                                           TestOps(), {.infer = false});
  ASSERT_NE(graph, nullptr);
  const Node& a = **graph->nodes().begin();
  EXPECT_EQ(a.Float("b_float"), 2.0f);
  EXPECT_THAT(a.Floats("c_floats"), testing::ElementsAre(1.0f, 2.0f));
  EXPECT_EQ(a.origin().line, 3);
}

TEST(Text, InfersTypesThatAreNotWritten) {
  std::unique_ptr<Graph> graph = MustParse(R"(
graph g (%x: f32[n,4]) {
  %y = Relu(%x)
  return %y
})",
                                           StandardOps());
  ASSERT_NE(graph, nullptr);
  EXPECT_EQ(graph->FindValue("y")->type().ToString(), "f32[n,4]");
}

TEST(Text, WrittenTypesThatContradictAreErrorsWithTheirLine) {
  absl::StatusOr<std::unique_ptr<Graph>> graph =
      Parse("graph g (%x: f32[n,4]) {\n  %y = Relu(%x) : f32[n,5]\n  return %y\n}", StandardOps(),
            {.file = "model.txt"});
  ASSERT_FALSE(graph.ok());
  EXPECT_THAT(std::string(graph.status().message()), HasSubstr("model.txt:2:3: Relu:"));
}

TEST(Text, ErrorsShowLineColumnAndCaret) {
  EXPECT_EQ(ErrorOf("graph g (%x) {\n  %y = Any(%x, %zz)\n  return %y\n}"),
            "<text>:2:16: value 'zz' is not defined before its use\n"
            "    %y = Any(%x, %zz)\n"
            "                 ^");
  struct Case {
    const char* text;
    const char* message;
  };
  const Case cases[] = {
      {"", "<text>:1:1: expected graph, found the end"},
      {"graph", "1:6: expected the graph's name"},
      {"grph g () {}", "1:1: expected graph, function, signature or metadata, found \"grph\""},
      {"graph g () { return } graph h () { return }", "1:23: a second graph"},
      {"graph g () { }", "1:14: expected a node or 'return', found \"}\""},
      {"graph g () { return %a }", "1:21: value 'a' is not defined"},
      {"graph g (%x, %x) { return }", "1:14: value 'x' is defined twice"},
      {"graph g () { %a, %a = Any() return }", "1:18: value 'a' is defined twice"},
      {"graph g (%x: f33[2]) { return }", "1:14: expected a type"},
      {"graph g (%x: f32[2) { return }", "1:19: expected ',' or ']'"},
      {"graph g (%x: f32[2]@foo) { return }", "1:20: expected a layout"},
      {"graph g () { %a = Any(%a) return }", "1:23: value 'a' is not defined before"},
      {"graph g () { %a = Any() {d_int = } return }", "1:34: expected a number, string, list"},
      {"graph g () { %a = Any() {d_int = 1, d_int = 2} return }",
       "1:37: attribute 'd_int' is given twice"},
      {"graph g () { %a = Any() {d_int = 99999999999999999999} return }", "fits i64"},
      {"graph g () { %a = Any() {b_float = 1e99} return }", "fits f32"},
      {"graph g () { %a = Any() {e_ints = [1, \"a\"]} return }",
       "1:39: expected a number, as before"},
      {"graph g () { %a = Any() {f_string = \"abc} return }",
       "1:37: the string has no closing quote"},
      {"graph g () { %a = Any() {f_string = \"a\\qc\"} return }", "1:39: unknown escape"},
      {"graph g () { %a = Any() {h_tensor = f32[n] [1.0]} return }", "a shape of numbers"},
      {"graph g () { %a = Any() {h_tensor = f32[2] [1.0]} return }", "and 2 elements, after 1"},
      {"graph g () { %a = Any() {h_tensor = f32[1] [1.0, 2.0]} return }", "']' after 1 elements"},
      {"graph g () { %a = Any() {h_tensor = u8[1] [256]} return }", "'256' is no u8"},
      {"graph g () { %a = Any() {h_tensor = i64[1] [1.5]} return }", "'1.5' is no i64"},
      {"graph g () { %a = Any() {h_tensor = f32[1000000000000] [1.0]} return }", "found fewer"},
      {"graph g () { %a = Any() {h_tensor = f32[9999999999,9999999999] [1]} return }",
       "more elements than"},
      {"graph g () { %a = Any() {h_tensor = f32[-3] [1]} return }", "a shape of numbers"},
      {"graph g () { %a = Any() {h_tensor = f32[9] #12} return }", "32 hex digits"},
      {"graph g () { %a = Any() {h_tensor = f32[9] #00112233445566778899aabbccddeeff} return }",
       "none was given"},
      {"graph g () { %a = Any() {h_tensor = string[9] {random = 1}} return }",
       "cannot be generated"},
      {"graph g () { %a = Any() {h_tensor = f32[900000000000] {random = 1}} return }", "budget"},
      {"graph g () { %a = Any() {h_tensor = f32[9] {scale = 1}} return }", "needs its seed"},
      {"graph g () { %a = Any() : f32[2], f32[2] return }",
       "expected a node or 'return', found \",\""},
      {"graph g () { %a, %b = Any() : f32[2] return }", "expected ','"},
      {"graph g () { %a = Any() after (%a) return }", "an earlier node of the same graph"},
      {"graph g (%x) { %a = Any() after (%x) return }", "an earlier node of the same graph"},
      {"graph g () { %a = Bodies() {b_body = graph () { return %a }} return }",
       "result of the node whose body"},
      {"graph g () { %a = Bodies() {b_body = graph () { %b = Any() return }} %b = Any() return }",
       "has the name of a value in a body above"},
      {"graph g () { %\"\" = Any() return }", "cannot be empty"},
      {"graph g () { return } signature s (a -> (b)", "expected ')'"},
      {"graph g () { return } metadata \"a\" = \"b\" metadata \"a\" = \"c\"", "given twice"},
      {"graph g () { return } function f () { return } function f () { return }", "defined twice"},
  };
  for (const Case& c : cases) EXPECT_THAT(ErrorOf(c.text), HasSubstr(c.message)) << c.text;
}

TEST(Text, UnknownOpsAreAllListed) {
  const std::string error =
      ErrorOf("graph g () {\n  %a = Foo()\n  %b = Any(%a)\n  %c = Bar(%b)\n  return %c\n}");
  EXPECT_THAT(error,
              HasSubstr("<text>:2:8: unknown ops: 'Foo' ('a', line 2), 'Bar' ('c', line 4)"));
}

TEST(Text, HostileTextEndsInAClearError) {
  std::string bodies = "graph g () { ";
  for (int i = 0; i < 10000; ++i) {
    absl::StrAppend(&bodies, "%a", i, " = Bodies() {b_body = graph () { ");
  }
  EXPECT_THAT(ErrorOf(bodies), HasSubstr("nested deeper than 64"));
  std::string types = "graph g (%x: ";
  for (int i = 0; i < 10000; ++i) types += "sequence<";
  EXPECT_THAT(ErrorOf(types), HasSubstr("nesting"));
  EXPECT_THAT(ErrorOf("graph g (%x: f32[" + std::string(10000, '(')), HasSubstr("nesting"));
  EXPECT_THAT(ErrorOf("graph g " + std::string(10000, '(')), HasSubstr("expected '%'"));
  EXPECT_THAT(ErrorOf(std::string(1000, '\0')), HasSubstr("expected"));
  EXPECT_THAT(ErrorOf("\x1b[31mgraph"), Not(HasSubstr("\x1b")));
  EXPECT_THAT(ErrorOf("graph g () { %a = Any() %b = Any() return }", {.max_nodes = 1}),
              HasSubstr("more than 1 nodes"));
}

TEST(Text, NamesOfAMegabyteWorkAndStayOutOfMessages) {
  const std::string name(1 << 20, 'x');
  const std::string odd = name + "\n\"";
  Graph graph(TestOps(), name);
  Value* x = graph.AddInput(odd, Type());
  Node* node = graph.AddNode(*TestOps().Find("Any"), {x}, {name});
  graph.AddOutput(node->output(), odd);
  std::unique_ptr<Graph> back = MustParse(Print(graph), TestOps(), {.infer = false});
  ASSERT_NE(back, nullptr);
  EXPECT_TRUE(Equal(graph, *back));
  EXPECT_LT(NodeToString(*node).size(), 1100u);
  EXPECT_LT(ErrorOf("graph g () { return %" + name + "x }").size(), (1u << 20) + 1000u);
}

// Every prefix and many single-byte changes of a text: an error or a graph, never a crash.
TEST(Text, DamagedTextNeverCrashes) {
  for (uint32_t seed = 0; seed < 25; ++seed) {
    std::unique_ptr<Graph> graph = RandomGraph(seed).Make();
    const std::string text = Print(*graph);
    Weights weights(*graph);
    ParseOptions options = weights.Options();
    options.max_generated_bytes = 1 << 20;
    std::mt19937 random(seed);
    for (int i = 0; i < 200; ++i) {
      std::string damaged = text;
      const size_t at = random() % damaged.size();
      switch (i % 3) {
        case 0:
          damaged.resize(at);
          break;
        case 1:
          damaged[at] = static_cast<char>(random());
          break;
        default:
          damaged.insert(at, damaged.substr(random() % damaged.size(), random() % 40));
      }
      absl::StatusOr<std::unique_ptr<Graph>> back = Parse(damaged, TestOps(), options);
      if (back.ok()) {
        Verify(**back).IgnoreError();
        Print(**back);
      } else {
        EXPECT_THAT(std::string(back.status().message()), HasSubstr("<text>:"));
      }
    }
  }
}

TEST(Text, QuoteIsSafeAndReadsBack) {
  EXPECT_EQ(Quote("a\"b\\c\n\t\x01"), "\"a\\\"b\\\\c\\n\\t\\x01\"");
  EXPECT_EQ(Quote("\xc3\xbc"), "\"\xc3\xbc\"");
  EXPECT_EQ(Quote("\xff\x1b[0m"), "\"\\xff\\x1b[0m\"");
  EXPECT_EQ(Quote("\xe2\x80\xae"), "\"\\xe2\\x80\\xae\"");  // right-to-left override
}

TEST(Text, TenThousandNodesInUnderATenthOfASecondEachWay) {
  Graph graph(StandardOps(), "chain");
  const OpDef* relu = StandardOps().Find("Relu");
  const OpDef* add = StandardOps().Find("Add");
  ASSERT_TRUE(relu != nullptr && add != nullptr);
  Value* x = graph.AddInput("x", Type::Tensor(DType::kF32, Shape{Dim::Symbol("batch"), 784}));
  Value* v = x;
  for (int i = 0; i < 10000; ++i) {
    Node* node = i % 2 == 0 ? graph.AddNode(*add, {v, x}, {absl::StrCat("layer", i / 100, "/v", i)})
                            : graph.AddNode(*relu, {v}, {absl::StrCat("layer", i / 100, "/v", i)});
    v = node->output();
    v->set_type(x->type());
  }
  graph.AddOutput(v);
  using Clock = std::chrono::steady_clock;
  auto ms = [](Clock::time_point a, Clock::time_point b) {
    return std::chrono::duration<double, std::milli>(b - a).count();
  };
  double print = 1e9, parse = 1e9, infer = 1e9;
  for (int i = 0; i < 3; ++i) {
    const auto t0 = Clock::now();
    const std::string text = Print(graph);
    const auto t1 = Clock::now();
    std::unique_ptr<Graph> bare = MustParse(text, StandardOps(), {.infer = false});
    const auto t2 = Clock::now();
    std::unique_ptr<Graph> full = MustParse(text, StandardOps());
    const auto t3 = Clock::now();
    ASSERT_TRUE(bare != nullptr && Equal(graph, *bare));
    print = std::min(print, ms(t0, t1));
    parse = std::min(parse, ms(t1, t2));
    infer = std::min(infer, ms(t2, t3));
  }
  std::printf("10,000 nodes: print %.1f ms, parse %.1f ms, parse and infer %.1f ms\n", print, parse,
              infer);
  EXPECT_LT(print, 400);
  EXPECT_LT(parse, 400);
  EXPECT_LT(infer, 800);
}

}  // namespace
}  // namespace sluice
