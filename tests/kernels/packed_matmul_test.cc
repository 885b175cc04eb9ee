// Panels of constant weights are packed once for all plans, and taken from a saved set as they are.
#include <gtest/gtest.h>

#include "graph/builder.h"
#include "kernels/cpu/cpu_kernels.h"
#include "kernels/packed_weights.h"
#include "ops/op.h"

namespace sluice {
namespace {

constexpr int64_t kRows = 5, kDepth = 40, kColumns = 70;

class PackedMatMulTest : public testing::Test {
 protected:
  PackedMatMulTest() : graph_(StandardOps()), builder_(&graph_) {
    w_ = *Tensor::Allocate(DType::kF32, {kDepth, kColumns});
    x_ = *Tensor::Allocate(DType::kF32, {kRows, kDepth});
    for (Tensor* t : {&w_, &x_}) {
      for (int64_t i = 0; i < t->elements(); ++i) {
        t->mutable_data<float>()[i] = static_cast<float>(i * 37 % 17 - 8);
      }
    }
    Value* x = builder_.Input("x", Type::Of(x_));
    y_ = builder_.Op("MatMul", {x, builder_.Constant(w_, "w")});
  }

  // By the candidate "packed".
  Tensor Run(PackedWeights* packed) {
    PrepareContext context{.node = *y_->producer()};
    context.inputs = {Type::Of(x_), Type::Of(w_)};
    context.outputs = {y_->type()};
    context.constants = {Tensor(), w_};
    context.packed = packed;
    Tensor y = *Tensor::Allocate(DType::kF32, {kRows, kColumns});
    for (const KernelCandidate& c : CpuKernels().Find("MatMul")) {
      if (std::string(c.name) != "packed") continue;
      absl::StatusOr<std::unique_ptr<Kernel>> kernel = c.prepare(context);
      if (!kernel.ok()) {
        ADD_FAILURE() << kernel.status();
        return y;
      }
      kept_.push_back(*std::move(kernel));
      const void* inputs[] = {x_.raw(), nullptr};
      void* outputs[] = {y.mutable_raw()};
      ThreadPool pool(1);
      LaunchContext launch;
      launch.inputs = inputs;
      launch.outputs = outputs;
      launch.pool = &pool;
      EXPECT_TRUE(kept_.back()->Launch(launch).ok());
    }
    return y;
  }

  Graph graph_;
  GraphBuilder builder_;
  Tensor w_, x_;
  Value* y_ = nullptr;
  std::vector<std::unique_ptr<Kernel>> kept_;
};

TEST_F(PackedMatMulTest, SharesItsPanels) {
  PackedWeights packed;
  const Tensor alone = Run(nullptr);
  EXPECT_TRUE(Run(&packed) == alone);
  EXPECT_TRUE(Run(&packed) == alone);
  EXPECT_EQ(packed.counts().made, 1);
  EXPECT_EQ(packed.counts().shared, 1);
}

TEST_F(PackedMatMulTest, TakesSavedPanels) {
  PackedWeights packed;
  const Tensor y = Run(&packed);
  PackedWeights loaded(std::make_shared<PackedSet>(packed.Collect("key")));
  EXPECT_TRUE(Run(&loaded) == y);
  EXPECT_EQ(loaded.counts().from_saved, 1);
  EXPECT_EQ(loaded.counts().made, 0);
}

}  // namespace
}  // namespace sluice
