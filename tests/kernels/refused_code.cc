// oneDNN where memory for code is refused: an error, and no burden to what the same thread, or the
// process, asks for next (tools/build/onednn.patch).
#include <gtest/gtest.h>

#include <new>
#include <vector>

#include "oneapi/dnnl/dnnl_threadpool.h"
#include "oneapi/dnnl/dnnl_ukernel.h"
#include "tests/testing/refused_memory.h"

namespace sluice {
namespace {

// What `make` gives while allocation `at` and all that follow are refused; out_of_memory where it
// throws.
template <typename F>
dnnl_status_t Refused(int64_t at, F make) {
  dnnl_status_t status = dnnl_out_of_memory;
  RefuseMemory(at, /*for_good=*/true);
  try {
    status = make();
  } catch (const std::bad_alloc&) {
  }
  GiveMemory();
  return status;
}

dnnl_status_t MakeTile() {
  dnnl_brgemm_t tile = nullptr;
  dnnl_status_t s = dnnl_brgemm_create(&tile, 8, 32, 16, /*batch_size=*/1, 16, 32, 32, dnnl_f32,
                                       dnnl_f32, dnnl_f32);
  if (s == dnnl_success) s = dnnl_brgemm_finalize(tile);
  if (s == dnnl_success) s = dnnl_brgemm_generate(tile);
  (void)dnnl_brgemm_destroy(tile);
  return s;
}

TEST(RefusedCode, OfATile) {
  if (MakeTile() == dnnl_unimplemented) GTEST_SKIP() << "this machine has no AVX2";
  ASSERT_EQ(MakeTile(), dnnl_success);
  RefuseMemory(0, false);
  ASSERT_EQ(MakeTile(), dnnl_success);
  const int64_t all = GiveMemory();
  ASSERT_GT(all, 0);
  int64_t refused = 0;
  for (int64_t at = 1; at <= all; ++at) {
    const dnnl_status_t s = Refused(at, MakeTile);
    EXPECT_TRUE(s == dnnl_success || s == dnnl_out_of_memory) << "allocation " << at << ": " << s;
    refused += s != dnnl_success;
    EXPECT_EQ(MakeTile(), dnnl_success) << "after allocation " << at;
  }
  EXPECT_GT(refused, 0);
}

// The kernels of products are made at their first use, once for the process.
TEST(RefusedCode, OfTheFirstProduct) {
  constexpr dnnl_dim_t n = 48;
  const std::vector<float> a(n * n, 2), b(n * n, 3);
  std::vector<float> c(n * n);
  const auto multiply = [&] {
    return dnnl_threadpool_interop_sgemm('N', 'T', n, n, n, 1.f, a.data(), n, b.data(), n, 0.f,
                                         c.data(), n, nullptr);
  };
  int refused = 0;
  for (int64_t at = 1; Refused(at, multiply) != dnnl_success; at *= 2) ++refused;
  EXPECT_GT(refused, 0);
  ASSERT_EQ(multiply(), dnnl_success);
  EXPECT_EQ(c, std::vector<float>(n * n, 6 * n));
}

}  // namespace
}  // namespace sluice
