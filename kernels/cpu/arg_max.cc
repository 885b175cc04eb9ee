#include <memory>

#include "absl/strings/str_cat.h"
#include "kernels/cpu/arg_reduce.h"
#include "kernels/kernel.h"

namespace sluice::cpu {
namespace {

absl::StatusOr<ArgReducer> MakeReducer(const PrepareContext& context) {
  const Dims dims = context.input_dims(0);
  const int64_t rank = static_cast<int64_t>(dims.size());
  const int64_t given = context.node.Int("axis");
  const int64_t axis = given < 0 ? given + rank : given;
  ArgReducer reducer{context.input_dtype(0), 1, dims[axis], 1};
  for (int64_t i = 0; i < axis; ++i) reducer.outer *= dims[i];
  for (int64_t i = axis + 1; i < rank; ++i) reducer.inner *= dims[i];
  if (reducer.n == 0 && reducer.outer * reducer.inner > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("axis ", axis, " has no elements to choose from"));
  }
  return reducer;
}

class ArgKernel : public Kernel {
 public:
  explicit ArgKernel(ArgReducer reducer) : reducer_(reducer) {}
  absl::Status Launch(const LaunchContext& c) const override {
    if (reducer_.outer * reducer_.inner > 0) {
      reducer_.Run(c.inputs[0], c.output<int64_t>(0), c.pool);
    }
    return absl::OkStatus();
  }
  std::string Description() const override { return reducer_.min ? "arg min" : "arg max"; }

 private:
  const ArgReducer reducer_;
};

absl::StatusOr<std::unique_ptr<Kernel>> Prepare(const PrepareContext& context, bool min) {
  absl::StatusOr<ArgReducer> reducer = MakeReducer(context);
  if (!reducer.ok()) return reducer.status();
  reducer->min = min;
  reducer->last = context.node.Int("select_last_index") != 0;
  return std::make_unique<ArgKernel>(*reducer);
}

// 1 at the first largest element along the axis, 0 elsewhere.
class HardmaxKernel : public Kernel {
 public:
  explicit HardmaxKernel(ArgReducer reducer) : reducer_(reducer) {}
  absl::Status Launch(const LaunchContext& c) const override {
    const auto& [dtype, outer, n, inner, min, last] = reducer_;
    if (outer * n * inner == 0) return absl::OkStatus();
    int64_t* indices = static_cast<int64_t*>(c.scratch);
    reducer_.Run(c.inputs[0], indices, c.pool);
    VisitDType(
        dtype,
        [&, n = n, inner = inner]<typename T>() {
          T* out = c.output<T>(0);
          c.pool->ParallelFor(
              reducer_.outer, std::max<int64_t>(1, 65536 / (n * inner)),
              [&](int64_t begin, int64_t end) {
                std::fill(out + begin * n * inner, out + end * n * inner, static_cast<T>(0.0f));
                for (int64_t o = begin; o < end; ++o) {
                  for (int64_t i = 0; i < inner; ++i) {
                    out[(o * n + indices[o * inner + i]) * inner + i] = static_cast<T>(1.0f);
                  }
                }
              });
        },
        [] {});
    return absl::OkStatus();
  }
  std::string Description() const override { return "arg max"; }
  size_t scratch_bytes() const override {
    return static_cast<size_t>(reducer_.outer * reducer_.inner) * sizeof(int64_t);
  }

 private:
  const ArgReducer reducer_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareArgMax(const PrepareContext& context) {
  return Prepare(context, /*min=*/false);
}
absl::StatusOr<std::unique_ptr<Kernel>> PrepareArgMin(const PrepareContext& context) {
  return Prepare(context, /*min=*/true);
}
absl::StatusOr<std::unique_ptr<Kernel>> PrepareHardmax(const PrepareContext& context) {
  absl::StatusOr<ArgReducer> reducer = MakeReducer(context);
  if (!reducer.ok()) return reducer.status();
  return std::make_unique<HardmaxKernel>(*reducer);
}

}  // namespace sluice::cpu
