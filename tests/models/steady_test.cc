// The steady state of a callable on one thread: no heap allocation, no lock, no system call of
// ours.
#include <mutex>
#include <new>

#include "graph/text.h"
#include "ops/op.h"
#include "runtime/session.h"
#include "tests/models/models.h"
#include "tests/models/steady_count.h"

namespace sluice {
namespace {

TEST(SteadyCount, SeesWhatHappens) {
  std::mutex mutex;
  void* volatile sink = nullptr;
  const SteadyReport report = CountSteady([&] {
    sink = ::operator new(100);
    ::operator delete(sink);
    std::lock_guard<std::mutex> lock(mutex);
    (void)getppid();
    return true;
  });
  if (!report.error.empty()) GTEST_SKIP() << report.error;
  EXPECT_EQ(report.ours.allocations, 1);
  EXPECT_EQ(report.ours.locks, 1);
  EXPECT_GE(report.ours.system_calls, 1);
}

TEST_P(Models, SteadyStateAsksForNothing) {
  std::unique_ptr<Graph> graph = LoadModel(GetParam());
  ASSERT_NE(graph, nullptr);
  absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(*graph, {.threads = 1});
  ASSERT_TRUE(session.ok()) << session.status();
  CallableOptions signature;
  std::vector<Tensor> inputs;
  for (const Session::Port& port : (*session)->inputs()) {
    signature.feeds.push_back(port.name);
    inputs.push_back(AnyInput(port.type, inputs.size() + 1));
  }
  for (const Session::Port& port : (*session)->outputs()) signature.fetches.push_back(port.name);
  absl::StatusOr<std::unique_ptr<Callable>> callable = (*session)->MakeCallable(signature);
  ASSERT_TRUE(callable.ok()) << callable.status();
  std::vector<Tensor> outputs(signature.fetches.size());
  for (int warm = 0; warm < 2; ++warm) {
    for (Tensor& t : outputs) t = Tensor();
    absl::Status status = (*callable)->Run(inputs, absl::MakeSpan(outputs));
    ASSERT_TRUE(status.ok()) << status;
  }
  const SteadyReport report = CountSteady([&] {
    for (Tensor& t : outputs) t = Tensor();
    return (*callable)->Run(inputs, absl::MakeSpan(outputs)).ok() &&  // into the callable's memory
           (*callable)->Run(inputs, absl::MakeSpan(outputs)).ok();    // into memory that is given
  });
  if (!report.error.empty()) GTEST_SKIP() << report.error;
  EXPECT_EQ(report.ours.allocations, 0);
  EXPECT_EQ(report.ours.locks, 0);
  EXPECT_EQ(report.ours.system_calls, 0) << "the first is number " << report.first_system_call;
  for (const SteadyReport::Primitive& p : report.library) {
    std::printf("%-20s %-36s %4d calls, inside: %d allocations, %d locks, %d system calls\n",
                GetParam().c_str(), p.name.c_str(), p.calls, p.inside.allocations, p.inside.locks,
                p.inside.system_calls);
  }
}

// A program that reads variables asks which version is the present one, and for no memory: not for
// what is made of them alone (%t) either, nor for packed ones (%t and %p).
TEST(SteadyState, ReadingVariablesTakesNoMemory) {
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(R"(graph g (%x: f32[4,32]) {
  %w = Variable {name = "w", value = f32[32,32] {random = 1}}
  %p = Variable {name = "p", value = f32[32,32] {random = 2}}
  %b = Variable {name = "b", value = f32[32] {random = 3}}
  %t = Transpose(%w) {perm = [1, 0]}
  %m = MatMul(%x, %t)
  %n = MatMul(%m, %p)
  %y = Add(%n, %b)
  return %y
})",
                                                       StandardOps());
  ASSERT_TRUE(graph.ok()) << graph.status();
  auto session = Session::Create(**graph, {.threads = 1});
  ASSERT_TRUE(session.ok()) << session.status();
  auto callable = (*session)->MakeCallable({.feeds = {"x"}, .fetches = {"y"}});
  ASSERT_TRUE(callable.ok()) << callable.status();
  const std::vector<Tensor> inputs = {*Tensor::Random(DType::kF32, {4, 32}, {.seed = 3})};
  std::vector<Tensor> outputs(1);
  for (int warm = 0; warm < 2; ++warm)
    ASSERT_TRUE((*callable)->Run(inputs, absl::MakeSpan(outputs)).ok());
  const SteadyReport report = CountSteady([&] {
    outputs[0] = Tensor();
    return (*callable)->Run(inputs, absl::MakeSpan(outputs)).ok();
  });
  if (!report.error.empty()) GTEST_SKIP() << report.error;
  EXPECT_EQ(report.ours.allocations, 0);
  EXPECT_EQ(report.ours.system_calls, 0);
}

TEST(SteadyState, DrawingAsksForNothing) {
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(R"(graph g (%x: f32[64,8]) {
    %ratio = Constant {value = f32[] [0.5]}
    %on = Constant {value = bool[] [true]}
    %d = Dropout(%x, %ratio, %on)
    %n = RandomNormalLike(%x)
    return %d, %n
  })",
                                                       StandardOps());
  ASSERT_TRUE(graph.ok()) << graph.status();
  absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(**graph, {.threads = 1});
  ASSERT_TRUE(session.ok()) << session.status();
  auto callable = (*session)->MakeCallable({.feeds = {"x"}, .fetches = {"d", "n"}});
  ASSERT_TRUE(callable.ok()) << callable.status();
  const std::vector<Tensor> inputs = {*Tensor::Random(DType::kF32, {64, 8}, {.seed = 1})};
  std::vector<Tensor> outputs(2);
  for (int warm = 0; warm < 2; ++warm)
    ASSERT_TRUE((*callable)->Run(inputs, absl::MakeSpan(outputs)).ok());
  const SteadyReport report =
      CountSteady([&] { return (*callable)->Run(inputs, absl::MakeSpan(outputs)).ok(); });
  if (!report.error.empty()) GTEST_SKIP() << report.error;
  EXPECT_EQ(report.ours.allocations, 0);
  EXPECT_EQ(report.ours.locks, 0);
  EXPECT_EQ(report.ours.system_calls, 0);
}

INSTANTIATE_TEST_SUITE_P(Text, Models, testing::ValuesIn(ModelNames()), TestName);

}  // namespace
}  // namespace sluice
