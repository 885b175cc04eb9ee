#include "graph/training.h"

#include <vector>

#include "graph/builder.h"

namespace sluice {

void BindTraining(Graph* graph, bool training) {
  std::vector<Node*> found;
  for (const auto& node : graph->nodes()) {
    for (const auto& [name, body] : node->bodies()) BindTraining(body.get(), training);
    if (node->Is("Training")) found.push_back(node.get());
  }
  for (const auto& [name, function] : graph->functions()) {
    if (function != nullptr) BindTraining(function.get(), training);
  }
  for (Node* node : found) {
    GraphBuilder b(graph, node);
    b.SetOrigin(node->origin());
    Value* constant = b.Scalar<bool>(training);
    if (constant == nullptr) continue;
    const std::string name = node->name();
    graph->ReplaceAllUses(node->output(), constant);
    graph->EraseNode(node);
    graph->RenameValue(constant, name);
  }
}

}  // namespace sluice
