#include "passes/fold_branches.h"

#include "absl/strings/str_cat.h"
#include "passes/match.h"
#include "passes/rewrite.h"

namespace sluice {

absl::StatusOr<bool> FoldBranches::Run(Graph& graph, PassContext& context) const {
  return VisitNodes(graph, [&](Node& node) -> absl::StatusOr<bool> {
    const Tensor* condition = node.Is("If") ? node.input(0)->constant() : nullptr;
    if (condition == nullptr || condition->dtype() != DType::kBool || condition->elements() != 1 ||
        !node.control_inputs().empty() || !node.control_uses().empty())
      return false;
    const bool taken = *condition->data<bool>();
    const Graph* branch = node.body(taken ? "then_branch" : "else_branch");
    if (branch == nullptr || branch->outputs().size() < node.num_outputs() || !context.Spend())
      return false;
    Graph& around = *node.graph();
    absl::flat_hash_map<const Value*, Value*> map;
    if (absl::Status s = CopyNodes(*branch, &around, &map, &node); !s.ok()) return s;
    for (const auto& inner : branch->nodes()) {
      Origin& origin = map[inner->output()]->producer()->mutable_origin();
      absl::StrAppend(&origin.passes, origin.passes.empty() ? "" : ",", name());
    }
    for (size_t i = 0; i < node.num_outputs(); ++i) {
      Value* result = branch->outputs()[i];
      if (auto copy = map.find(result); copy != map.end()) result = copy->second;
      around.ReplaceAllUses(node.output(i), result);
    }
    context.Applied(name(), node,
                    taken ? "always takes its then_branch" : "always takes its else_branch");
    around.EraseNode(&node);
    return true;
  });
}

}  // namespace sluice
