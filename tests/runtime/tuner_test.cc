// Kernels by trial, and the file of winners.
#include "runtime/tuner.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "graph/builder.h"
#include "ops/op.h"
#include "sluice.h"

namespace sluice {
namespace {

std::string Slurp(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::unique_ptr<Graph> Product(int64_t n) {
  auto graph = std::make_unique<Graph>(StandardOps());
  GraphBuilder b(graph.get());
  Value* x = b.Input("x", Type::Tensor(DType::kF32, Dims{n, n}));
  graph->AddOutput(b.Op("MatMul", {x, x}), "y");
  return graph;
}

// The kernels' part of the report after one run of an n x n product.
std::string Explained(const SessionOptions& options, int64_t n = 24) {
  auto session = Session::Create(*Product(n), options);
  EXPECT_TRUE(session.ok()) << session.status();
  Tensor x = *Tensor::Allocate(DType::kF32, {n, n});
  for (int64_t i = 0; i < n * n; ++i) x.mutable_data<float>()[i] = static_cast<float>(i % 7);
  auto y = (*session)->Run({{"x", x}});
  EXPECT_TRUE(y.ok()) << y.status();
  return (*session)->Explain();
}

class TunerTest : public testing::Test {
 protected:
  TunerTest() { std::remove(path_.c_str()); }
  const std::string path_ = testing::TempDir() + "/tuning_" +
                            testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(TunerTest, WinnersAreMeasuredOnceAndKept) {
  const SessionOptions options{.threads = 1, .tuning_cache = path_};
  EXPECT_NE(Explained(options).find("onednn measured"), std::string::npos);
  const std::string text = Slurp(path_);
  EXPECT_EQ(text.rfind("sluice tuning 1\n", 0), 0u) << text;
  EXPECT_NE(text.find("end\t1\n"), std::string::npos) << text;
  EXPECT_NE(Explained(options).find("measured earlier"), std::string::npos);
  EXPECT_EQ(Slurp(path_), text);
  Explained(options, 40);  // another shape is another line
  EXPECT_NE(Slurp(path_).find("end\t2\n"), std::string::npos);
}

TEST_F(TunerTest, ABrokenFileIsMadeAnew) {
  const SessionOptions options{.threads = 1, .tuning_cache = path_};
  Explained(options);
  const std::string good = Slurp(path_);
  for (const std::string& broken :
       {std::string(), good.substr(0, good.size() - 3), good + "x\n",
        good.substr(0, 16) + "end\t0\nend\t0\n", "sluice tuning 2\n" + good.substr(16)}) {
    std::ofstream(path_) << broken;
    EXPECT_NE(Explained(options).find("onednn measured"), std::string::npos) << broken;
    EXPECT_NE(Slurp(path_).find("end\t1\n"), std::string::npos) << broken;
  }
}

TEST_F(TunerTest, AFileThatIsNoCacheIsLeftAlone) {
  const SessionOptions options{.threads = 1, .tuning_cache = path_};
  for (const std::string& text : {std::string("hello"), std::string("junk\nsluice tuning 1\n"),
                                  std::string(1000, '\0'), std::string("\n")}) {
    std::ofstream(path_) << text;
    const auto session = Session::Create(*Product(24), options);
    EXPECT_FALSE(session.ok());
    EXPECT_NE(session.status().message().find("is no tuning cache"), std::string::npos)
        << session.status();
    EXPECT_EQ(Slurp(path_), text);
  }
}

TEST_F(TunerTest, ThePermissionsOfTheCacheStay) {
  const SessionOptions options{.threads = 1, .tuning_cache = path_};
  const auto mode = [&] {
    struct stat info = {};
    stat(path_.c_str(), &info);
    return info.st_mode & 0777;
  };
  const mode_t mask = umask(022);
  Explained(options);
  EXPECT_EQ(mode(), 0644u);
  chmod(path_.c_str(), 0660);
  Explained(options, 40);
  EXPECT_EQ(mode(), 0660u);
  umask(mask);
}

TEST_F(TunerTest, ACacheThatCannotBeKeptIsSaid) {
  std::string warnings;
  SessionOptions options{.threads = 1, .tuning_cache = "/nonexistent/cache"};
  options.warn = [&](absl::string_view line) { absl::StrAppend(&warnings, line, "\n"); };
  const auto session = Session::Create(*Product(24), options);
  EXPECT_FALSE(session.ok());
  EXPECT_NE(session.status().message().find("/nonexistent/cache"), std::string::npos);

  // The folder goes away once the session is made.
  const std::string folder = path_ + ".d";
  mkdir(folder.c_str(), 0777);
  options.tuning_cache = folder + "/cache";
  auto later = Session::Create(*Product(24), options);
  ASSERT_TRUE(later.ok()) << later.status();
  rmdir(folder.c_str());
  for (int i = 0; i < 2; ++i) {
    Tensor x = *Tensor::Random(DType::kF32, {24, 24}, {.seed = 1});
    EXPECT_TRUE((*later)->Run({{"x", x}}).ok()) << "a run does not fail for it";
  }
  EXPECT_NE(warnings.find("cannot write the tuning cache"), std::string::npos) << warnings;
}

TEST_F(TunerTest, ACandidateThatDoesNotExistIsMeasuredAgain) {
  const SessionOptions options{.threads = 1, .tuning_cache = path_};
  Explained(options);
  const std::string key = Slurp(path_).substr(16, 32);
  std::ofstream(path_) << "sluice tuning 1\n" << key << "\t10\tmagic\nend\t1\n";
  EXPECT_NE(Explained(options).find("onednn measured"), std::string::npos);
}

TEST_F(TunerTest, DeterministicSessionsTryNothing) {
  const std::string report =
      Explained({.threads = 1, .deterministic = true, .tuning_cache = path_});
  EXPECT_EQ(report.find("measured"), std::string::npos);
  EXPECT_EQ(Slurp(path_), "");
}

}  // namespace
}  // namespace sluice
