// Small programs that ask for huge results, and loops that hold too much (ATTACKS.md, classes 6, 7
// and 12): a run ends in an error that names the node and the size, and nothing near that size was
// taken; without a limit, what no machine can hold ends the same way.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "sluice.h"
#include "tests/testing/hostile_attributes.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

absl::StatusOr<std::vector<Tensor>> RunText(const std::string& text, const Feeds& feeds,
                                            int64_t memory_limit) {
  auto graph = Parse(text, StandardOps());
  if (!graph.ok()) return graph.status();
  auto session = Session::Create(**graph, {.threads = 1, .memory_limit = memory_limit});
  if (!session.ok()) return session.status();
  return (*session)->Run(feeds);
}

// kB that the process has ever held.
int64_t PeakResident() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

void ExpectTooLarge(const absl::Status& s, const std::string& op) {
  EXPECT_EQ(s.code(), absl::StatusCode::kResourceExhausted) << op << ": " << s;
  EXPECT_THAT(std::string(s.message()), HasSubstr("bytes")) << op;
  EXPECT_THAT(std::string(s.message()), AnyOf(HasSubstr(op), HasSubstr("'y'"), HasSubstr("%y")))
      << s;
}

struct Bomb {
  const char* op;
  const char* inputs;  // of the node, after the fed %x (f32[4]) and %n (i64[1])
  const char* attrs = "";
};

// `n` elements, one way or another.
const Bomb kBombs[] = {
    {"ConstantOfShape", "%n"},
    {"Expand", "%one, %n"},
    {"Tile", "%x, %n"},
    {"Range", "%zero, %scalar, %step"},
    {"OneHot", "%indices, %n, %x2"},
    {"Pad", "%x, %pads"},
    {"Pad", "%x, %pads", " {mode = \"edge\"}"},
    {"Pad", "%x, %pads", " {mode = \"wrap\"}"},
    {"Pad", "%x, %pads", " {mode = \"reflect\"}"},
    {"Resize", "%x, _, _, %n"},
    {"Resize", "%x, _, _, %n", " {mode = \"linear\"}"},
    {"Resize", "%x, _, _, %n", " {mode = \"cubic\"}"},
    {"Resize", "%x, _, %scale"},
    {"CenterCropPad", "%x, %n"},
};

std::string BombText(const Bomb& bomb, int64_t n, bool fed) {
  const std::string shape = fed ? "%x: f32[4], %n: i64[1]" : "%x: f32[4]";
  std::string text = absl::StrCat("graph g (", shape, ") {\n");
  if (!fed) absl::StrAppend(&text, "  %n = Constant {value = i64[1] [", n, "]}\n");
  absl::StrAppend(&text, R"(  %none = Constant {value = i64[0] []}
  %scalar = Reshape(%n, %none)
  %zero = Constant {value = i64[] [0]}
  %step = Constant {value = i64[] [1]}
  %indices = Constant {value = i64[1] [0]}
  %first = Constant {value = i64[1] [0]}
  %two = Constant {value = i64[1] [2]}
  %x2 = Slice(%x, %first, %two)
  %one = Slice(%x, %first, %step1)
  %pads = Concat(%first, %n) {axis = 0}
  %scale = Cast(%n) {to = f32}
)");
  text.insert(text.find("  %none"), "  %step1 = Constant {value = i64[1] [1]}\n");
  absl::StrAppend(&text, "  %y = ", bomb.op, "(", bomb.inputs, ")", bomb.attrs, "\n  return %y\n}");
  return text;
}

TEST(HostileRun, HugeResultsMeetTheMemoryLimit) {
  const Tensor x = MakeTensor<float>({4}, {1, 2, 3, 4});
  for (const Bomb& bomb : kBombs) {
    for (bool fed : {true, false}) {
      // A length that is small, one that no run may have, and one that no machine has.
      for (const auto& [n, limit] :
           {std::pair(int64_t{8}, int64_t{1} << 20), std::pair(int64_t{1} << 33, int64_t{1} << 20),
            std::pair(int64_t{1} << 45, int64_t{0})}) {
        SCOPED_TRACE(absl::StrCat(bomb.op, bomb.attrs, fed ? " fed " : " constant ", n));
        Feeds feeds = {{"x", x}};
        if (fed) feeds.push_back({"n", MakeTensor<int64_t>({1}, {n})});
        const absl::Status s = RunText(BombText(bomb, n, fed), feeds, limit).status();
        if (n == 8) {
          EXPECT_TRUE(s.ok()) << s;
        } else {
          ExpectTooLarge(s, bomb.op);
        }
      }
    }
  }
  EXPECT_LT(PeakResident(), 2'000'000);
}

TEST(HostileRun, SmallInputsWithLargeProductsMeetTheMemoryLimit) {
  const Tensor x = *Tensor::Random(DType::kF32, {100'000}, {.seed = 1});
  const std::pair<const char*, const char*> bombs[] = {
      {"Einsum", "  %y = Einsum(%x, %x) {equation = \"i,j->ij\"}\n"},
      {"Mul", "  %c = Unsqueeze(%x, %one)\n  %y = Mul(%c, %x)\n"},
      {"MatMul",
       "  %c = Unsqueeze(%x, %one)\n  %r = Unsqueeze(%x, %zero)\n  %y = MatMul(%c, %r)\n"},
      {"Gather",
       "  %r = Unsqueeze(%x, %zero)\n  %s = Shape(%x)\n  %i = ConstantOfShape(%s) "
       "{value = i64[1] [0]}\n  %y = Gather(%r, %i)\n"},
  };
  for (const auto& [op, nodes] : bombs) {
    for (const char* type : {"f32[100000]", "f32[n]"}) {
      const absl::Status s =
          RunText(
              absl::StrCat("graph g (%x: ", type, ") {\n  %one = Constant {value = i64[1] [1]}",
                           "\n  %zero = Constant {value = i64[1] [0]}\n", nodes, "  return %y\n}"),
              {{"x", x}}, 100 << 20)
              .status();
      ExpectTooLarge(s, op);
    }
  }
}

// Each step is small beside the one before; their sum is not.
TEST(HostileRun, DoublingChainsMeetTheMemoryLimit) {
  const Tensor x = MakeTensor<float>({4}, {1, 2, 3, 4});
  for (const char* step : {"Concat(%v$, %v$) {axis = 0}", "Tile(%v$, %two)"}) {
    for (int length : {30, 50, 70}) {
      for (int64_t limit : {int64_t{1} << 20, int64_t{0}}) {
        if (limit == 0 && length < 50) continue;
        std::string text = "graph g (%v0: f32[m]) {\n  %two = Constant {value = i64[1] [2]}\n";
        for (int i = 0; i < length; ++i) {
          absl::StrAppend(&text, "  %v", i + 1, " = ",
                          absl::StrReplaceAll(step, {{"$", absl::StrCat(i)}}), "\n");
        }
        absl::StrAppend(&text, "  return %v", length, "\n}");
        const absl::Status s = RunText(text, {{"v0", x}}, limit).status();
        // The longest overflow before anybody asks for memory.
        EXPECT_TRUE(absl::IsResourceExhausted(s) || absl::IsInvalidArgument(s)) << s;
        EXPECT_THAT(std::string(s.message()), HasSubstr("v"));
      }
    }
  }
  EXPECT_LT(PeakResident(), 2'000'000);
}

// ---- Loops

constexpr char kLoop[] = R"(graph g (%m: i64[], %x: f32[1000]) {
  %go = Constant {value = bool[] [true]}
  %last, %rows = Loop(%m, %go, %x) {body = graph (%i: i64[], %c: bool[], %v: f32[1000]) {
    %w = Abs(%v)
    return %c, %w, %w
  }}
  return $
})";

TEST(HostileRun, LoopsAreChargedForWhatTheyHold) {
  const Tensor x = *Tensor::Random(DType::kF32, {1000}, {.seed = 1});
  auto run = [&](const char* fetched, int64_t trips, int64_t limit) {
    return RunText(absl::StrReplaceAll(kLoop, {{"$", fetched}}),
                   {{"m", Tensor::Scalar<int64_t>(trips)}, {"x", x}}, limit);
  };
  EXPECT_TRUE(run("%last", 10, 1 << 20).ok()) << run("%last", 10, 1 << 20).status();
  const absl::Status rows = run("%rows", 100'000, 1 << 20).status();
  EXPECT_EQ(rows.code(), absl::StatusCode::kResourceExhausted) << rows;
  EXPECT_THAT(std::string(rows.message()), HasSubstr("Loop"));
  for (int64_t trips : {int64_t{0}, int64_t{-1}, INT64_MIN}) {
    auto none = run("%last", trips, 0);
    ASSERT_TRUE(none.ok()) << none.status();
    EXPECT_EQ((*none)[0], x);
  }
}

// A value that each iteration replaces is held once, however many iterations there are.
TEST(HostileRun, ReplacedValuesAreNotChargedAgain) {
  auto result = RunText(R"(graph g (%m: i64[], %x: f32[1000]) {
  %go = Constant {value = bool[] [true]}
  %last = Loop(%m, %go, %x) {body = graph (%i: i64[], %c: bool[], %v: f32[1000]) {
    %w = Abs(%v)
    return %c, %w
  }}
  return %last
})",
                        {{"m", Tensor::Scalar<int64_t>(1000)},
                         {"x", *Tensor::Random(DType::kF32, {1000}, {.seed = 1})}},
                        100'000);
  EXPECT_TRUE(result.ok()) << result.status();
}

TEST(HostileRun, ScansAreChargedForTheirRows) {
  const absl::Status s =
      RunText(R"(graph g (%x: f32[10000]) {
  %rows = Scan(%x) {num_scan_inputs = 1, body = graph (%v: f32[]) {
    %n = Constant {value = i64[1] [10000]}
    %w = Expand(%v, %n)
    return %w
  }}
  return %rows
})",
              {{"x", *Tensor::Random(DType::kF32, {10'000}, {.seed = 1})}}, 1 << 20)
          .status();
  EXPECT_EQ(s.code(), absl::StatusCode::kResourceExhausted) << s;
  EXPECT_THAT(std::string(s.message()), HasSubstr("Scan"));
}

// Class 10 where a body or state hangs on the node, which tests/ops leaves out.
TEST(HostileRun, AttributesOfNodesWithBodiesOrStateEndInAResultOrAnError) {
  const char* const programs[] = {
      R"(graph g (%x: f32[2,3]) {
  %zero = Constant {value = f32[3] [0, 0, 0]}
  %last, %rows = Scan(%zero, %x) {num_scan_inputs = 1, body = graph (%s: f32[3], %v: f32[3]) {
    %sum = Add(%s, %v)
    return %sum, %v
  }}
  return %last, %rows
})",
      R"(graph g (%x: f32[2,3]) {
  %state = Variable {name = "state", value = f32[] [1]}
  %y = Add(%x, %state)
  %next = Assign(%state, %state) after (%y)
  return %y
})",
      R"(graph g (%x: f32[2,3]) {
  %y = Call(%x) {function = "twice"}
  return %y
}
function twice (%a: f32[2,3]) {
  %b = Add(%a, %a)
  return %b
})"};
  const Feeds feeds = {{"x", *Tensor::Random(DType::kF32, {2, 3}, {.seed = 1})}};
  int64_t good = 0, refused = 0;
  for (const char* text : programs) {
    ASSERT_TRUE(RunText(text, feeds, 1 << 20).ok()) << RunText(text, feeds, 1 << 20).status();
    const std::unique_ptr<Graph> graph = *Parse(text, StandardOps());
    for (size_t i = 0; i < graph->nodes().size(); ++i) {
      const OpDef& op = std::next(graph->nodes().begin(), static_cast<int64_t>(i))->get()->op();
      for (const AttrDef& attr : op.attrs) {
        for (const Attribute& value : HostileValues(attr.kind)) {
          const std::unique_ptr<Graph> hostile = graph->Clone();
          Node* node = std::next(hostile->nodes().begin(), static_cast<int64_t>(i))->get();
          node->SetAttr(attr.name, value);
          const auto session = Session::Create(*hostile, {.threads = 1, .memory_limit = 1 << 20});
          const absl::Status s = session.ok() ? (*session)->Run(feeds).status() : session.status();
          ++(s.ok() ? good : refused);
          if (s.ok()) continue;
          EXPECT_NE(s.code(), absl::StatusCode::kInternal) << attr.name << ": " << s;
          // The node itself, or one of its body that it does not suit.
          EXPECT_THAT(std::string(s.message()), AnyOf(HasSubstr(op.name), HasSubstr("\n  at %")))
              << attr.name;
        }
      }
    }
  }
  EXPECT_GT(good, 10);
  EXPECT_GT(refused, 50);
}

}  // namespace
}  // namespace sluice
