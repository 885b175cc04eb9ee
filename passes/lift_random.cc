#include "passes/lift_random.h"

#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "graph/effects.h"
#include "passes/rewrite.h"

namespace sluice {
namespace {

constexpr char kPass[] = "lift_random";

bool Draws(const Node& node) {
  return (node.op().effects & kDraws) != 0 && (node.op().draws == nullptr || node.op().draws(node));
}

// What draws, but for keys, is written with them.
absl::StatusOr<bool> Spell(Node& node, PassContext& context) {
  if (!Draws(node) || node.Is("RandomKey") || node.op().expand == nullptr) return false;
  bool used = false;
  for (size_t i = 0; i < node.num_outputs(); ++i) used |= node.output(i)->used();
  if (!used) return false;
  Finding finding{kPass, node.name(), true,
                  absl::StrCat(node.op_name(), ": its numbers follow from the run's key")};
  absl::StatusOr<std::vector<Node*>> added = ExpandNode(node, kPass);
  if (absl::IsInvalidArgument(added.status())) {
    context.Refused(kPass, node, added.status().message().substr(0, 200));
    return false;  // it fails when it runs, if it does
  }
  if (!added.ok()) return added.status();
  if (context.findings != nullptr) context.findings->push_back(std::move(finding));
  return true;
}

GraphBuilder BuilderBefore(Graph& graph, Node* before) {
  GraphBuilder b(&graph, before);
  b.SetOrigin({.passes = kPass});
  return b;
}
GraphBuilder BuilderAtTop(Graph& graph) {
  return BuilderBefore(graph, graph.nodes().empty() ? nullptr : graph.nodes().front().get());
}

class Keys {
 public:
  Keys(Graph* graph, Value* root) : root_(root) { keys_[{graph, std::nullopt}] = root; }

  // Puts the keys of `graph` and its bodies in the place of its RandomKeys.
  absl::Status Replace(Graph& graph) {
    std::vector<Node*> found;
    for (const auto& node : graph.nodes()) {
      for (const auto& [name, body] : node->bodies()) {
        if (absl::Status s = Replace(*body); !s.ok()) return s;
      }
      if (node->Is("RandomKey")) found.push_back(node.get());
    }
    for (Node* node : found) {
      std::optional<int64_t> seed;
      if (node->HasAttr("seed")) seed = node->Int("seed");
      Value* key = KeyOf(graph, seed);
      if (key == nullptr) return status_;
      graph.ReplaceAllUses(node->output(), key);
      node->ClearControlInputs();
      graph.EraseNode(node);
    }
    return absl::OkStatus();
  }

 private:
  Value* KeyOf(Graph& graph, std::optional<int64_t> seed) {
    const std::pair<Graph*, std::optional<int64_t>> place(&graph, seed);
    if (auto known = keys_.find(place); known != keys_.end()) return known->second;
    Value* key = graph.owner() == nullptr ? WithSeed(graph, *seed)
                                          : OfBody(graph, KeyOf(*graph.parent(), seed));
    if (key != nullptr) keys_[place] = key;
    return key;
  }

  Value* WithSeed(Graph& graph, int64_t seed) {
    GraphBuilder b = BuilderAtTop(graph);
    Tensor words = *Tensor::Allocate(DType::kU64, {1});
    *words.mutable_data<uint64_t>() = static_cast<uint64_t>(seed);
    Value* run = b.Op("Slice", {root_, b.Ints({1}), b.Ints({2})});
    return Built(b, b.Op("Concat", {b.Constant(std::move(words)), run}, {{"axis", 0}}));
  }

  Value* OfBody(Graph& body, Value* outside) {
    if (outside == nullptr) return nullptr;
    Node* owner = body.owner();
    Value* trip = nullptr;
    if (owner->Is("Loop") && !body.inputs().empty()) trip = body.inputs()[0];
    if (owner->Is("Scan")) trip = CountTrips(owner, body);
    if (trip == nullptr) return status_.ok() ? outside : nullptr;
    GraphBuilder b = BuilderAtTop(body);
    return Built(b, b.Op("FoldKey", {outside, trip}));
  }

  // A Scan counts its trips by one more input that it scans.
  Value* CountTrips(Node* scan, Graph& body) {
    auto [it, is_new] = trips_.try_emplace(&body, nullptr);
    if (!is_new) return it->second;
    const size_t scanned = static_cast<size_t>(scan->Int("num_scan_inputs"));
    if (scanned == 0 || scanned > scan->num_inputs()) return nullptr;
    std::vector<int64_t> axes = scan->Ints("scan_input_axes");
    std::vector<int64_t> directions = scan->Ints("scan_input_directions");
    GraphBuilder b = BuilderBefore(*scan->graph(), scan);
    Value* shape = b.Op("Shape", {scan->input(scan->num_inputs() - scanned)});
    Value* length = b.Op("Gather", {shape, b.Scalar<int64_t>(axes.empty() ? 0 : axes[0])});
    Value* numbers = b.Op("Range", {b.Scalar<int64_t>(0), length, b.Scalar<int64_t>(1)});
    if (Built(b, numbers) == nullptr) return nullptr;
    scan->SetInput(scan->num_inputs(), numbers);
    scan->SetAttr("num_scan_inputs", static_cast<int64_t>(scanned + 1));
    if (!axes.empty()) {
      axes.push_back(0);
      scan->SetAttr("scan_input_axes", std::move(axes));
    }
    if (!directions.empty()) {
      directions.push_back(0);
      scan->SetAttr("scan_input_directions", std::move(directions));
    }
    return it->second = body.AddInput(body.UniqueName("trip"), Type::Tensor(DType::kI64, Shape()));
  }

  Value* Built(const GraphBuilder& b, Value* value) {
    if (!b.status().ok()) status_ = b.status();
    return b.status().ok() ? value : nullptr;
  }

  Value* const root_;
  std::map<std::pair<Graph*, std::optional<int64_t>>, Value*> keys_;
  std::map<Graph*, Value*> trips_;
  absl::Status status_;
};

// The first key of the whole program, whose name the input takes; any other one without.
const Node* FindKey(const Graph& graph) {
  const Node* found = nullptr;
  for (const auto& node : graph.nodes()) {
    if (node->Is("RandomKey") && !node->HasAttr("seed") && graph.owner() == nullptr)
      return node.get();
    if (found == nullptr && node->Is("RandomKey")) found = node.get();
    for (const auto& [name, body] : node->bodies()) {
      if (const Node* inside = FindKey(*body); found == nullptr) found = inside;
    }
  }
  return found;
}

}  // namespace

absl::StatusOr<Value*> LiftRandom(Graph* graph, PassContext& context) {
  absl::StatusOr<bool> spelt = VisitNodes(*graph, [&](Node& node) { return Spell(node, context); });
  if (!spelt.ok()) return spelt.status();
  const Node* first = FindKey(*graph);
  if (first == nullptr) return nullptr;
  const bool named = first->graph() == graph && !first->HasAttr("seed");
  const std::string name = named ? first->name() : graph->UniqueName("random_key");
  Value* root =
      graph->AddInput(graph->UniqueName("random_key"), Type::Tensor(DType::kU64, Shape{Dim(2)}));
  if (absl::Status s = Keys(graph, root).Replace(*graph); !s.ok()) return s;
  graph->RenameValue(root, name);
  if (!graph->status().ok()) return graph->status();
  return root;
}

void LowerRandom(Value* key, Graph* graph) {
  if (key == nullptr) return;
  if (key->used()) {
    Value* node = BuilderAtTop(*graph).Op("RandomKey", absl::Span<Value* const>());
    const std::string name = key->name();
    graph->ReplaceAllUses(key, node);
    graph->EraseInput(key);
    graph->RenameValue(node, name);
  } else {
    graph->EraseInput(key);
  }
}

absl::StatusOr<bool> LiftRandomPass::Run(Graph& graph, PassContext& context) const {
  absl::StatusOr<Value*> key = LiftRandom(&graph, context);
  if (!key.ok()) return key.status();
  if (*key != nullptr) context.random_key = *key;
  return *key != nullptr;
}

}  // namespace sluice
