// A model over 2 GB is written, loaded and run, in every form that holds it. Its weights are real
// numbers in a real file; each form runs in a process of its own, so that its peak is its own.
//   SLUICE_LARGE_TESTS=1 bazel test //tests/models:large_test --test_output=all
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "exchange/file.h"
#include "exchange/model.h"
#include "graph/builder.h"
#include "gtest/gtest.h"
#include "ops/op.h"
#include "runtime/session.h"

namespace sluice {
namespace {

constexpr int64_t kWidth = 8192;
constexpr int kLayers = 10;  // of 256 MiB each

// Uniform in +-sqrt(3 / kWidth): a layer keeps the scale of what it is given.
std::vector<float> Layer(int index) {
  std::vector<float> w(static_cast<size_t>(kWidth * kWidth));
  const float scale = std::sqrt(3.0f / kWidth) / 2147483648.0f;
  uint32_t state = 2463534242u + 977u * static_cast<uint32_t>(index);
  for (float& x : w) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    x = static_cast<float>(static_cast<int32_t>(state)) * scale;
  }
  return w;
}

double Megabytes(const char* field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field)) return std::atof(line.c_str() + line.find(':') + 1) / 1024;
  }
  return 0;
}

int RunForm(const std::string& path, const Tensor& x, const std::vector<double>& expected) {
  using Clock = std::chrono::steady_clock;
  auto since = [](Clock::time_point t) {
    return std::chrono::duration<double, std::milli>(Clock::now() - t).count();
  };
  const double before = Megabytes("VmHWM");
  const auto load = Clock::now();
  auto graph = ReadModel(path, {.verify_checksums = false});
  if (!graph.ok()) return std::puts(std::string(graph.status().message()).c_str()), 1;
  const double load_ms = since(load), loaded = Megabytes("VmHWM");
  const auto create = Clock::now();
  auto session = Session::Create(**graph, {.threads = 2});
  if (!session.ok()) return std::puts(std::string(session.status().message()).c_str()), 2;
  graph->reset();
  const double create_ms = since(create);
  const auto first = Clock::now();
  auto y = (*session)->Run({{"x", x}});
  if (!y.ok()) return std::puts(std::string(y.status().message()).c_str()), 3;
  const double first_ms = since(first);
  double worst = 0, largest = 0;
  for (int64_t i = 0; i < kWidth; ++i) {
    worst = std::max(worst, std::abs((*y)[0].data<float>()[i] - expected[i]));
    largest = std::max(largest, std::abs(expected[i]));
  }
  std::printf(
      "%-12s loaded in %.1f ms (%.0f MB more), created in %.0f ms, first run %.0f ms; peak %.0f MB "
      "(%.0f "
      "before); largest difference %.2g of %.2g\n",
      std::filesystem::path(path).filename().c_str(), load_ms, loaded - before, create_ms, first_ms,
      Megabytes("VmHWM"), before, worst, largest);
  std::fflush(stdout);
  return worst <= 1e-4 * largest ? 0 : 4;
}

TEST(Large, AModelOver2GigabytesLoadsAndRunsInEveryForm) {
  if (std::getenv("SLUICE_LARGE_TESTS") == nullptr) GTEST_SKIP() << "SLUICE_LARGE_TESTS is not set";
  const std::filesystem::path folder =
      std::filesystem::path(testing::TempDir()) / ("sluice_large_" + std::to_string(getpid()));
  std::filesystem::create_directory(folder);

  // The weights go to a file layer by layer; the reference is computed on the way, in f64.
  Tensor x = *Tensor::Random(DType::kF32, {1, kWidth}, {.seed = 5});
  std::vector<double> expected(x.data<float>(), x.data<float>() + kWidth);
  {
    std::ofstream raw(folder / "raw", std::ios::binary);
    for (int i = 0; i < kLayers; ++i) {
      const std::vector<float> w = Layer(i);
      raw.write(reinterpret_cast<const char*>(w.data()),
                static_cast<std::streamsize>(w.size() * 4));
      std::vector<double> next(kWidth, 0);
      for (int64_t k = 0; k < kWidth; ++k) {
        for (int64_t n = 0; n < kWidth; ++n) next[n] += expected[k] * w[k * kWidth + n];
      }
      for (double& v : next) v = std::tanh(v);
      expected = std::move(next);
    }
    ASSERT_TRUE(raw.good()) << "10 GB free are needed in " << folder;
  }
  auto raw = MappedFile::Open(folder / "raw");
  ASSERT_TRUE(raw.ok()) << raw.status();
  Graph graph(StandardOps(), "large");
  GraphBuilder b(&graph);
  Value* y = b.Input("x", *Type::Parse("f32[batch,8192]"));
  for (int i = 0; i < kLayers; ++i) {
    const char* data = (*raw)->bytes().data() + i * kWidth * kWidth * 4;
    Value* w = b.Constant(Tensor::Wrap(DType::kF32, {kWidth, kWidth}, data, *raw),
                          "w" + std::to_string(i));
    y = b.Op("Tanh", {b.Op("MatMul", {y, w})});
  }
  b.Output(y, "y");
  ASSERT_TRUE(b.status().ok()) << b.status();

  for (const char* form : {"folder", "one.sluice", "model.onnx"}) {
    const std::string path = folder / form;
    const absl::Status written = WriteModel(graph, path);
    ASSERT_TRUE(written.ok()) << form << ": " << written;
    const pid_t child = fork();
    if (child == 0) _exit(RunForm(path, x, expected));
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << form << ": " << status;
    std::filesystem::remove_all(path);
    std::filesystem::remove(path + ".data");
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace sluice
