// Who is asked first: the order of the list, and estimates.
#include <gtest/gtest.h>

#include "graph/builder.h"
#include "kernels/kernel.h"
#include "ops/op.h"

namespace sluice {
namespace {

class Named final : public Kernel {
 public:
  explicit Named(const char* name) : name_(name) {}
  absl::Status Launch(const LaunchContext&) const override { return absl::OkStatus(); }
  std::string Description() const override { return name_; }

 private:
  const char* name_;
};

template <char kName>
absl::StatusOr<std::unique_ptr<Kernel>> Take(const PrepareContext&) {
  static const char name[] = {kName, 0};
  return std::make_unique<Named>(name);
}
absl::StatusOr<std::unique_ptr<Kernel>> Refuse(const PrepareContext&) {
  return absl::UnimplementedError("not today");
}
template <int kNs>
absl::StatusOr<double> Takes(const PrepareContext&) {
  return kNs;
}
// Two threads halve it.
absl::StatusOr<double> Shared(const PrepareContext& c) { return 300.0 / c.threads; }
absl::StatusOr<double> Out(const PrepareContext&) { return absl::UnimplementedError("too small"); }

struct Choice {
  std::string kernel, why;
};
Choice Choose(absl::Span<const KernelCandidate> candidates, int threads = 1,
              bool deterministic = false) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  Value* y = b.Op("Relu", {b.Input("x", Type::Tensor(DType::kF32, Dims{2}))});
  const PrepareContext context{
      .node = *y->producer(), .threads = threads, .deterministic = deterministic};
  std::string why;
  auto kernel = KernelTable(candidates).Prepare(context, &why);
  return {kernel.ok() ? (*kernel)->Description() : std::string(kernel.status().message()), why};
}

TEST(KernelTable, TheFirstThatTakesTheNodeWins) {
  const Choice c =
      Choose({{"Relu", "a", Refuse}, {"Relu", "b", Take<'b'>}, {"Relu", "c", Take<'c'>}});
  EXPECT_EQ(c.kernel, "b");
  EXPECT_EQ(c.why, "a: not today");
}

TEST(KernelTable, TheCheapestEstimateComesFirst) {
  const Choice c =
      Choose({{"Relu", "a", Take<'a'>, Takes<2500>}, {"Relu", "b", Take<'b'>, Takes<120>}});
  EXPECT_EQ(c.kernel, "b");
  EXPECT_EQ(c.why, "est. 120 ns; a est. 2.5 us");
}

TEST(KernelTable, CandidatesWithoutEstimateKeepTheirPlaces) {
  EXPECT_EQ(Choose({{"Relu", "a", Take<'a'>, Takes<300>},
                    {"Relu", "b", Take<'b'>},
                    {"Relu", "c", Refuse, Takes<100>}})
                .kernel,
            "b");
}

TEST(KernelTable, RefusalsOfEstimatesAndOfPreparationsAreTold) {
  const Choice c = Choose({{"Relu", "a", Take<'a'>, Out},
                           {"Relu", "b", Take<'b'>, Takes<5>},
                           {"Relu", "c", Refuse, Takes<4>}});
  EXPECT_EQ(c.kernel, "b");
  EXPECT_EQ(c.why, "est. 5 ns; a: too small; c: not today");
  EXPECT_NE(Choose({{"Relu", "a", Take<'a'>, Out}}).kernel.find("a: too small"), std::string::npos);
}

TEST(KernelTable, DeterministicChoicesDoNotDependOnThreads) {
  const KernelCandidate list[] = {{"Relu", "a", Take<'a'>, Takes<200>},
                                  {"Relu", "b", Take<'b'>, Shared}};
  EXPECT_EQ(Choose(list, 1).kernel, "a");
  EXPECT_EQ(Choose(list, 2).kernel, "b");
  EXPECT_EQ(Choose(list, 2, true).kernel, "a");
}

}  // namespace
}  // namespace sluice
