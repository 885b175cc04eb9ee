// The kernels of LSTM and GRU against one another: the general one is proven against the standard's
// corpus and the definition in tests/ops/recurrent_test.cc.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/testing/candidates.h"

namespace sluice {
namespace {

Tensor Waves(const Dims& dims, float step, float size) {
  Tensor t = *Tensor::Allocate(DType::kF32, dims);
  for (int64_t i = 0; i < t.elements(); ++i) {
    t.mutable_data<float>()[i] = size * std::sin(step * static_cast<float>(i) + step);
  }
  return t;
}

struct Case {
  const char* op;
  int64_t steps, batch, features, hidden;
  std::string direction = "forward";
  bool batch_first = false, bias = true, initial = true;
};

void Check(const Case& c) {
  SCOPED_TRACE(testing::Message() << c.op << " " << c.steps << " steps, batch " << c.batch << ", "
                                  << c.features << " to " << c.hidden << " " << c.direction
                                  << (c.batch_first ? ", batch first" : ""));
  const bool lstm = std::string(c.op) == "LSTM";
  const int64_t gates = lstm ? 4 : 3, directions = c.direction == "bidirectional" ? 2 : 1;
  const Dims x =
      c.batch_first ? Dims{c.batch, c.steps, c.features} : Dims{c.steps, c.batch, c.features};
  const Dims state =
      c.batch_first ? Dims{c.batch, directions, c.hidden} : Dims{directions, c.batch, c.hidden};
  const float size = 2 / std::sqrt(static_cast<float>(c.hidden));
  std::vector<Tensor> inputs = {
      Waves(x, 0.37f, 1), Waves({directions, gates * c.hidden, c.features}, 0.71f, size),
      Waves({directions, gates * c.hidden, c.hidden}, 0.53f, size),
      c.bias ? Waves({directions, 2 * gates * c.hidden}, 1.3f, 1) : Tensor(), Tensor()};
  if (c.initial) {
    inputs.push_back(Waves(state, 0.9f, 1));
    if (lstm) inputs.push_back(Waves(state, 1.1f, 1));
  }
  AttrList attrs = {
      {"hidden_size", c.hidden}, {"direction", c.direction}, {"layout", int64_t{c.batch_first}}};
  if (!lstm) attrs.push_back({"linear_before_reset", int64_t{1}});
  std::vector<Tensor> alone;  // the fused kernel's on one thread
  for (int threads = 1; threads <= 3; ++threads) {
    const auto runs = RunCandidates(c.op, inputs, attrs, {1, 2, 3}, threads, lstm ? 3 : 2);
    ASSERT_TRUE(runs.ok()) << runs.status();
    ASSERT_EQ(runs->size(), 2u);
    const std::vector<Tensor>&fused = (*runs)[0].outputs, own = (*runs)[1].outputs;
    if (threads == 1) alone = fused;
    for (size_t i = 0; i < own.size(); ++i) {
      EXPECT_LT(RelativeError(fused[i], own[i]), 2e-5) << "output " << i;
      EXPECT_TRUE(fused[i] == alone[i]) << threads << " threads change output " << i;
    }
  }
}

TEST(RecurrentCandidatesTest, AgreeOnEveryShape) {
  for (const char* op : {"LSTM", "GRU"}) {
    for (const char* direction : {"forward", "reverse", "bidirectional"}) {
      for (bool batch_first : {false, true}) {
        Check({op, 5, 1, 7, 16, direction, batch_first});
        Check({op, 4, 3, 20, 21, direction, batch_first, false});
        Check({op, 3, 8, 5, 3, direction, batch_first, true, false});
        Check({op, 1, 2, 1, 40, direction, batch_first});
      }
    }
    Check({op, 300, 2, 9, 100, "bidirectional", true});  // several chunks of steps
    Check({op, 300, 2, 9, 100, "bidirectional", false});
    Check({op, 6, 1, 33, 320, "forward"});  // steps spread over the threads
  }
}

}  // namespace
}  // namespace sluice
