// FusedLoop: one tile program.
#include "kernels/tile/fused_loop.h"

#include <algorithm>

#include "kernels/cpu/tile/program_kernel.h"
#include "kernels/kernel.h"
#include "ops/loop_space.h"

namespace sluice::cpu {
namespace {

class NothingKernel : public Kernel {
 public:
  absl::Status Launch(const LaunchContext&) const override { return absl::OkStatus(); }
  std::string Description() const override { return "empty"; }
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareFusedLoop(const PrepareContext& context) {
  const Graph& body = *context.node.body("body");
  for (const auto* types : {&context.inputs, &context.outputs}) {
    for (const Type& type : *types) {
      if (type.layout() != Layout::kPlain && type.layout() != Layout::kChannelsLast) {
        return absl::UnimplementedError("a blocked layout");
      }
    }
  }
  std::vector<const Node*> nodes;
  for (const auto& node : body.nodes()) {
    for (size_t i = 0; i < node->num_outputs(); ++i) {
      const std::optional<Dims> dims = node->output(i)->type().StaticDims();
      if (!dims.has_value()) {
        return absl::UnimplementedError("a shape inside is known to the data alone");
      }
      if (!ElementCount(*dims).ok()) return absl::UnimplementedError("too large inside");
    }
    if (!node->Is("Constant")) nodes.push_back(node.get());
  }
  absl::StatusOr<LoopSpace> loops = FindLoopSpace(nodes);
  if (!loops.ok()) return loops.status();
  const bool empty = std::any_of(loops->extents.begin(), loops->extents.end(),
                                 [](const Dim& d) { return d == Dim(0); });
  if (empty) {
    for (size_t i = 0; i < context.outputs.size(); ++i) {
      if (*ElementCount(context.output_dims(i)) != 0) {
        return absl::UnimplementedError("a reduction over nothing");
      }
    }
    return std::make_unique<NothingKernel>();
  }
  absl::StatusOr<TileProgram> program = LowerFusedLoop(context, *std::move(loops));
  if (!program.ok()) return program.status();
  return MakeProgramKernel(*program, context.threads);
}

}  // namespace sluice::cpu
