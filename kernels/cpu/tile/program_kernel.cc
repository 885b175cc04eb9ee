#include "kernels/cpu/tile/program_kernel.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <limits>

namespace sluice::cpu {
namespace {

class ProgramKernel : public Kernel {
 public:
  explicit ProgramKernel(TilePlan plan) : plan_(std::move(plan)) {}

  absl::Status Launch(const LaunchContext& c) const override {
    plan_.Run(c.inputs, c.outputs, c.scratch, c.pool);
    return absl::OkStatus();
  }
  std::string Description() const override { return plan_.ToString(); }
  size_t scratch_bytes() const override { return plan_.scratch_bytes(); }
  std::vector<std::pair<int, int>> in_place() const override { return plan_.in_place(); }
  bool may_fail() const override { return false; }

 protected:
  const TilePlan plan_;
};

// Of some of the node's inputs.
class SelectedProgramKernel final : public ProgramKernel {
 public:
  SelectedProgramKernel(TilePlan plan, std::vector<int> inputs)
      : ProgramKernel(std::move(plan)), inputs_(std::move(inputs)) {}

  absl::Status Launch(const LaunchContext& c) const override {
    std::array<const void*, 8> in;
    for (size_t i = 0; i < inputs_.size(); ++i) in[i] = c.inputs[inputs_[i]];
    plan_.Run(absl::MakeConstSpan(in.data(), inputs_.size()), c.outputs, c.scratch, c.pool);
    return absl::OkStatus();
  }
  std::vector<std::pair<int, int>> in_place() const override {
    std::vector<std::pair<int, int>> pairs = plan_.in_place();
    for (auto& [out, in] : pairs) in = inputs_[in];
    return pairs;
  }

 private:
  const std::vector<int> inputs_;
};

// Nothing to compute: statistics over no elements.
class EmptyKernel : public Kernel {
 public:
  explicit EmptyKernel(const PrepareContext& context) {
    for (const Type& type : context.outputs) {
      outputs_.push_back({type.dtype(), ElementCount(*type.StaticDims()).value_or(0)});
    }
  }
  absl::Status Launch(const LaunchContext& c) const override {
    for (size_t i = 0; i < outputs_.size(); ++i) {
      const auto& [dtype, count] = outputs_[i];
      VisitDType(
          dtype,
          [&, n = count]<typename T>() {
            std::fill_n(c.output<T>(i), n, static_cast<T>(std::numeric_limits<float>::quiet_NaN()));
          },
          [] {});
    }
    return absl::OkStatus();
  }
  std::string Description() const override { return "empty"; }

 private:
  std::vector<std::pair<DType, int64_t>> outputs_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> MakeProgramKernel(const TileProgram& program,
                                                          std::vector<int> inputs,
                                                          const PrepareContext& context) {
  assert(inputs.size() <= 8 && context.outputs.size() <= 4);
  absl::StatusOr<int64_t> elements = ElementCount(context.input_dims(0));
  if (!elements.ok()) return elements.status();
  if (*elements == 0) return std::make_unique<EmptyKernel>(context);
  absl::StatusOr<TilePlan> plan = TilePlan::Make(program, context.threads);
  if (!plan.ok()) return plan.status();
  return std::make_unique<SelectedProgramKernel>(*std::move(plan), std::move(inputs));
}

absl::StatusOr<std::unique_ptr<Kernel>> MakeProgramKernel(const TileProgram& program, int threads) {
  absl::StatusOr<TilePlan> plan = TilePlan::Make(program, threads);
  if (!plan.ok()) return plan.status();
  return std::make_unique<ProgramKernel>(*std::move(plan));
}

ReduceView MakeReduceView(absl::Span<const int64_t> dims, const std::vector<bool>& is_reduced) {
  struct Group {
    int64_t extent, stride, out_stride;
    bool reduced;
  };
  std::vector<Group> groups;  // innermost first
  int64_t stride = 1, out_stride = 1;
  for (size_t i = dims.size(); i-- > 0;) {
    if (dims[i] == 1) continue;
    if (!groups.empty() && groups.back().reduced == is_reduced[i]) {
      groups.back().extent *= dims[i];
    } else {
      groups.push_back({dims[i], stride, is_reduced[i] ? 0 : out_stride, is_reduced[i]});
    }
    stride *= dims[i];
    if (!is_reduced[i]) out_stride *= dims[i];
  }
  ReduceView view;
  const auto add = [&](const Group& g, int64_t* product) {
    view.space.push_back(g.extent);
    view.in.push_back(g.stride);
    view.out.push_back(g.out_stride);
    *product *= g.extent;
  };
  const bool has_inner = !groups.empty() && !groups[0].reduced;
  for (size_t i = groups.size(); i-- > 0;) {
    if (!groups[i].reduced && !(i == 0 && has_inner)) add(groups[i], &view.outer);
  }
  view.reduced.first = static_cast<int>(view.space.size());
  for (size_t i = groups.size(); i-- > 0;) {
    if (groups[i].reduced) add(groups[i], &view.count);
  }
  view.reduced.last = static_cast<int>(view.space.size());
  if (has_inner) add(groups[0], &view.inner);
  return view;
}

}  // namespace sluice::cpu
