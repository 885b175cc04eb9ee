// Memory that cannot be had, wherever it was wanted, ends in ResourceExhausted: each allocation of
// compiling and running is refused in turn, and what was there before goes on.
#include <cmath>
#include <string>
#include <vector>

#include "sluice.h"
#include "tests/testing/refused_memory.h"

namespace sluice {
namespace {

struct Case {
  const char* text;
  Dims dims;  // of %x
};
const Case kCases[] = {
    {R"(graph conv (%x: f32[n,16,12,12]) {
  %w = Constant {value = f32[16,16,3,3] {random = 1, scale = 0.1}}
  %c = Conv(%x, %w) {pads = [1, 1, 1, 1]}
  %r = Relu(%c)
  %p = MaxPool(%r) {kernel_shape = [2, 2], strides = [2, 2]}
  %f = Flatten(%p)
  %v = Constant {value = f32[576,32] {random = 2, scale = 0.1}}
  %m = MatMul(%f, %v)
  %y = Softmax(%m)
  return %y
})",
     {2, 16, 12, 12}},
    {R"(graph recurrent (%x: f32[5,n,8]) {
  %w = Constant {value = f32[1,48,8] {random = 1, scale = 0.1}}
  %r = Constant {value = f32[1,48,16] {random = 2, scale = 0.1}}
  %y, %h = GRU(%x, %w, %r) {hidden_size = 16}
  return %y
})",
     {5, 2, 8}},
    {R"(graph sized_by_data (%x: f32[n,16,12,12]) {
  %a = Relu(%x)
  %i = NonZero(%a)
  %t = Transpose(%i) {perm = [1, 0]}
  %g = GatherND(%a, %t)
  %e = Exp(%g)
  %three = Constant {value = i64[1] [3]}
  %s, %k = TopK(%e, %three)
  return %s, %k
})",
     {2, 16, 12, 12}},
    {R"(graph attention_in_a_loop (%x: f32[n,24,32]) {
  %three = Constant {value = i64[] [3]}
  %y = Loop(%three, _, %x) {body = graph (%i: i64[], %more: bool[], %s: f32[n,24,32]) {
    %t = Transpose(%s) {perm = [0, 2, 1]}
    %q = MatMul(%s, %t)
    %p = Softmax(%q)
    %v = MatMul(%p, %s)
    %z = Add(%v, %s)
    return %more, %z
  }}
  return %y
})",
     {2, 24, 32}},
};

// Another way may have been found, with sums in another order.
absl::Status Near(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype() || a.dims() != b.dims()) return absl::InternalError("another type");
  for (int64_t i = 0; i < a.elements(); ++i) {
    const float x = a.data<float>()[i], y = b.data<float>()[i];
    if (!(std::abs(x - y) <= 1e-4f * (1 + std::abs(x))))
      return absl::InternalError("other numbers");
  }
  return absl::OkStatus();
}

absl::Status RunsAs(Session* session, const Feeds& feeds, const Tensor& expected) {
  absl::StatusOr<std::vector<Tensor>> results = session->Run(feeds);
  if (!results.ok()) return results.status();
  return Near((*results)[0], expected);
}

TEST(FailingAllocations, OfCompilingAndRunning) {
  for (const Case& c : kCases) {
    for (const int threads : {1, 2}) {
      SCOPED_TRACE(testing::Message() << c.text << " on " << threads << " threads");
      const Feeds feeds = {{"x", *Tensor::Random(DType::kF32, c.dims, {.seed = 5})}};
      absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(c.text, StandardOps());
      ASSERT_TRUE(graph.ok()) << graph.status();
      SessionOptions options;
      options.threads = threads;
      absl::StatusOr<std::unique_ptr<Session>> good = Session::Create(**graph, options);
      ASSERT_TRUE(good.ok()) << good.status();
      const Tensor expected = (*(*good)->Run(feeds))[0];
      RefuseEach(300, [&]() -> absl::Status {
        absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(**graph, options);
        if (!session.ok()) return session.status();
        return RunsAs(session->get(), feeds, expected);
      });
      // The process has lost nothing for good.
      absl::StatusOr<std::unique_ptr<Session>> after = Session::Create(**graph, options);
      ASSERT_TRUE(after.ok()) << after.status();
      EXPECT_TRUE(RunsAs(after->get(), feeds, expected).ok());
    }
  }
}

TEST(FailingAllocations, LeaveASessionThatRunsOn) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.text);
    absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(c.text, StandardOps());
    ASSERT_TRUE(graph.ok()) << graph.status();
    SessionOptions options;
    options.threads = 2;
    options.max_plans = 1;                   // so that each shape is prepared anew
    options.log = [](absl::string_view) {};  // and told
    absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(**graph, options);
    ASSERT_TRUE(session.ok()) << session.status();
    const size_t batch = c.dims[0] == 5 ? 1 : 0;
    Dims wider = c.dims;
    ++wider[batch];
    const Feeds feeds = {{"x", *Tensor::Random(DType::kF32, c.dims, {.seed = 5})}};
    const Feeds other = {{"x", *Tensor::Random(DType::kF32, wider, {.seed = 5})}};
    const Tensor expected = (*(*session)->Run(feeds))[0];
    const Tensor expected_other = (*(*session)->Run(other))[0];
    RefuseEach(300, [&]() -> absl::Status {
      if (absl::Status s = RunsAs(session->get(), feeds, expected); !s.ok()) return s;
      return RunsAs(session->get(), other, expected_other);
    });
    for (const auto& [feed, result] : {std::pair(&feeds, &expected), {&other, &expected_other}}) {
      const absl::Status after = RunsAs(session->get(), *feed, *result);
      EXPECT_TRUE(after.ok()) << after;
    }
  }
}

// A step that memory ran out for has written nothing, be it beside or, where no other program
// touches a variable, in its place.
TEST(FailingAllocations, LeaveTheStateAsItWas) {
  constexpr const char* kText = R"(graph g (%x: f32[n,24], %rate: f32[]) {
  %w = Variable {name = "w", value = f32[24,16] {random = 1, scale = 0.1}}
  %m = Variable {name = "m", value = f32[24,16] {random = 2, scale = 0.1}}
  %h = MatMul(%x, %w)
  %y = Tanh(%h)
  %t = Transpose(%x) {perm = [1, 0]}
  %g = MatMul(%t, %y)
  %half = Constant {value = f32[] [0.5]}
  %mh = Mul(%m, %half)
  %nm = Add(%mh, %g)
  %step = Mul(%nm, %rate)
  %nw = Sub(%w, %step)
  %a = Assign(%m, %nm)
  %b = Assign(%w, %nw)
  return %y
}
signature predict (x) -> (y)
signature train (x, rate) -> () does (a, b)
)";
  const Feeds feeds = {{"x", *Tensor::Random(DType::kF32, {4, 24}, {.seed = 5})}};
  Feeds train = feeds;
  train.push_back({"rate", Tensor::Scalar<float>(0.01f)});
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(kText, StandardOps());
  ASSERT_TRUE(graph.ok()) << graph.status();
  for (const bool alone : {false, true}) {
    if (alone) (*graph)->signatures().erase("predict");
    SessionOptions options;
    options.threads = 2;
    absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(**graph, options);
    ASSERT_TRUE(session.ok()) << session.status();
    const auto read = [&] {
      return std::pair(*(*session)->ReadVariable("w"), *(*session)->ReadVariable("m"));
    };
    for (int i = 0; i < 3; ++i) {
      const absl::StatusOr<std::vector<Tensor>> step = (*session)->Run("train", train);
      ASSERT_TRUE(step.ok()) << step.status();
    }
    auto before = read();
    RefuseEach(300, [&]() -> absl::Status {
      const absl::Status status = (*session)->Run("train", train).status();
      GiveMemory();
      const auto after = read();
      EXPECT_EQ(after.first == before.first, !status.ok());
      EXPECT_EQ(after.second == before.second, !status.ok());
      before = after;
      return status;
    });
    if (!alone) EXPECT_TRUE((*session)->Run("predict", feeds).ok());
  }
}

// What returns text has no Status: std::bad_alloc passes through it, and nothing ends the process.
TEST(FailingAllocations, OfReports) {
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(kCases[0].text, StandardOps());
  ASSERT_TRUE(graph.ok()) << graph.status();
  absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(**graph);
  ASSERT_TRUE(session.ok()) << session.status();
  Profile profile;
  RunOptions options;
  options.profile = &profile;
  const Feeds feeds = {{"x", *Tensor::Random(DType::kF32, kCases[0].dims, {.seed = 5})}};
  ASSERT_TRUE((*session)->Run(feeds, {}, options).ok());
  RefuseEach(2000, [&]() -> absl::Status {
    try {
      const std::string text =
          (*session)->Explain() + (*session)->ExplainJson() + profile.ToChromeTrace();
      return text.size() > 1000 ? absl::OkStatus() : absl::InternalError(text);
    } catch (const std::bad_alloc&) {
      GiveMemory();
      return absl::ResourceExhaustedError("thrown");
    }
  });
}

}  // namespace
}  // namespace sluice
