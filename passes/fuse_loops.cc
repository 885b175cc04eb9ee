#include "passes/fuse_loops.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "graph/patch.h"
#include "ops/loop_space.h"
#include "passes/loop_group.h"
#include "passes/match.h"
#include "passes/rewrite.h"

namespace sluice {
namespace {

constexpr char kPass[] = "fuse_loops";

class Fuser {
 public:
  Fuser(Graph& graph, PassContext& context) : graph_(graph), context_(context) {}

  absl::StatusOr<bool> Run() {
    Grow();
    bool changed = false;
    for (const auto& group : groups_) {
      if (group == nullptr) continue;
      absl::StatusOr<bool> built = Build(group->Trimmed());
      if (!built.ok()) return built;
      changed |= *built;
    }
    // A group stands where its last node stood; what reads its other outputs may stand before.
    if (changed) {
      if (absl::Status s = graph_.SortTopologically(); !s.ok()) return s;
    }
    return changed;
  }

 private:
  struct Edge {
    double bytes;
    Node *producer, *consumer;
    bool siblings = false;  // both read one value
  };

  void Grow() {
    for (const auto& node : graph_.nodes()) {
      position_[node.get()] = position_.size();
      for (const Value* v : Captures(*node)) captured_[v].push_back(node.get());
      if (!IsLoopCandidate(*node)) continue;
      group_of_[node.get()] = groups_.size();
      groups_.push_back(std::make_unique<LoopGroup>(std::vector<Node*>{node.get()}));
    }
    span_end_.assign(position_.size(), 0);
    std::vector<Edge> edges;
    for (const auto& group : groups_) {
      Node* node = group->nodes()[0];
      for (size_t i = 0; i < node->num_outputs(); ++i) {
        for (const Use& use : node->output(i)->uses()) {
          if (!group_of_.contains(use.node) || IsLoopParameter(*use.node, use.index)) continue;
          edges.push_back({RoughBytes(*node->output(i)), node, use.node});
        }
      }
    }
    AddSiblings(&edges);
    std::sort(edges.begin(), edges.end(), [&](const Edge& a, const Edge& b) {
      if (a.bytes != b.bytes) return a.bytes > b.bytes;
      if (a.producer != b.producer) return position_.at(a.producer) < position_.at(b.producer);
      return position_.at(a.consumer) < position_.at(b.consumer);
    });
    // What stands in the way of one edge may join by another.
    constexpr int kRounds = 3;
    for (int round = 0; round < kRounds && !edges.empty(); ++round) {
      std::vector<Edge> left;
      for (const Edge& edge : edges) {
        const absl::Status joined = Join(edge);
        if (joined.ok()) continue;
        left.push_back(edge);
        // A view costs nothing, or will be said of what it belongs to.
        const bool telling = !edge.siblings && RoleInLoop(*edge.producer) != LoopRole::kView &&
                             RoleInLoop(*edge.consumer) != LoopRole::kView;
        if (round == 0 && telling) reasons_.push_back({edge, std::string(joined.message())});
      }
      if (left.size() == edges.size()) break;
      edges = std::move(left);
    }
    for (const auto& [edge, reason] : reasons_) {
      if (group_of_[edge.producer] == group_of_[edge.consumer]) continue;
      context_.Refused(kPass, *edge.consumer,
                       absl::StrCat("not joined with ", edge.producer->op_name(), " '",
                                    edge.producer->name(), "': ", reason));
    }
  }

  // Two steps that stand close and read one value need to read it once. Pays where it comes from
  // beyond the L1 cache: a lone step is quicker to start than a loop of two.
  void AddSiblings(std::vector<Edge>* edges) {
    constexpr size_t kClose = 16;
    constexpr double kLarge = 64 << 10;
    absl::flat_hash_map<const Value*, Node*> latest;
    for (const auto& group : groups_) {
      Node* node = group->nodes()[0];
      if (RoleInLoop(*node) == LoopRole::kView) continue;
      for (size_t i = 0; i < node->num_inputs(); ++i) {
        const Value* v = node->input(i);
        if (v == nullptr || LoopGroup::IsInnerConstant(*node, i)) continue;
        if (RoughBytes(*v) < kLarge) continue;
        Node*& sibling = latest[v];
        const bool close =
            sibling != nullptr && position_.at(node) - position_.at(sibling) <= kClose;
        // Half of what an edge saves: nothing that is written goes away.
        if (close && sibling != node) edges->push_back({RoughBytes(*v) / 2, sibling, node, true});
        sibling = node;
      }
    }
  }

  absl::Status Join(const Edge& edge) {
    const size_t a = group_of_.at(edge.producer), b = group_of_.at(edge.consumer);
    if (a == b) return absl::OkStatus();
    if (edge.producer->device() != edge.consumer->device()) {
      return absl::UnimplementedError("it is on another device");
    }
    // A view by itself costs nothing: it joins what makes its input, or nobody.
    if (IsFreeView(*edge.producer) && groups_[a]->nodes().size() == 1) {
      return absl::UnimplementedError("a view costs nothing");
    }
    std::vector<Node*> nodes;
    std::merge(groups_[a]->nodes().begin(), groups_[a]->nodes().end(), groups_[b]->nodes().begin(),
               groups_[b]->nodes().end(), std::back_inserter(nodes),
               [&](Node* x, Node* y) { return position_.at(x) < position_.at(y); });
    auto group = std::make_unique<LoopGroup>(std::move(nodes));
    if (absl::Status s = group->Check(); !s.ok()) return s;
    if (LeavesAndReturns(*group)) {
      return absl::UnimplementedError("a node between them would have to run in their midst");
    }
    for (Node* node : group->nodes()) group_of_[node] = a;
    const size_t last = position_.at(group->nodes().back());
    for (size_t p = position_.at(group->nodes().front()); p < last; ++p) {
      span_end_[p] = std::max(span_end_[p], last);
    }
    groups_[a] = std::move(group);
    groups_[b].reset();
    return absl::OkStatus();
  }

  // Whether something outside both reads the group and is read by it. A group made before counts as
  // one node: it waits for all that any of its nodes reads.
  bool LeavesAndReturns(const LoopGroup& group) const {
    // Beyond it no way leads back: neither an edge nor a group reaches over it.
    size_t end = position_.at(group.nodes().back());
    while (span_end_[end] > end) end = span_end_[end];
    absl::flat_hash_set<const Node*> seen;
    std::vector<const Node*> open;
    const auto visit = [&](const Node* node) {
      if (position_.at(node) <= end && seen.insert(node).second) open.push_back(node);
    };
    const auto follow = [&](const Node* node) {
      if (group.contains(node)) return true;
      auto of = group_of_.find(node);
      if (of == group_of_.end()) {
        visit(node);
      } else {
        for (const Node* member : groups_[of->second]->nodes()) visit(member);
      }
      return false;
    };
    for (const Node* node : group.nodes()) {
      for (const Node* reader : Readers(*node)) follow(reader);
    }
    while (!open.empty()) {
      const Node* node = open.back();
      open.pop_back();
      for (const Node* reader : Readers(*node)) {
        if (follow(reader)) return true;
      }
    }
    return false;
  }

  // The nodes of this graph that must run after `node`. What a body only returns has no use.
  std::vector<const Node*> Readers(const Node& node) const {
    std::vector<const Node*> readers(node.control_uses().begin(), node.control_uses().end());
    for (size_t i = 0; i < node.num_outputs(); ++i) {
      for (const Use& use : node.output(i)->uses()) {
        if (use.node->graph() == &graph_) readers.push_back(use.node);
      }
      auto it = captured_.find(node.output(i));
      if (it != captured_.end())
        readers.insert(readers.end(), it->second.begin(), it->second.end());
    }
    return readers;
  }

  absl::StatusOr<bool> Build(const LoopGroup& group) {
    if (!group.WorthBuilding()) return false;
    Node* last = group.nodes().back();
    Patch patch(&graph_, last, kPass);
    GraphBuilder& b = patch.builder();
    const std::vector<Value*> inputs = group.inputs(), outputs = group.outputs();
    if (outputs.empty()) return false;  // nothing needs it
    Node* fused = b.RawOp("FusedLoop", inputs, outputs.size());
    if (fused == nullptr) return b.status();
    fused->set_device(last->device());
    Graph* body = fused->AddBody("body");
    Names names;
    if (absl::Status s = FillBody(group, inputs, outputs, body, &names); !s.ok()) return s;
    b.Finish(fused);
    if (!b.status().ok()) return b.status();
    if (context_.target.takes) {
      if (absl::Status s = context_.target.takes(*fused); !s.ok()) {
        context_.Refused(kPass, *last, s.message());
        return false;
      }
    }
    if (!context_.Spend()) return false;
    std::string what = absl::StrCat("FusedLoop of ", group.nodes().size(), " nodes (");
    for (const Node* node : group.nodes()) {
      absl::StrAppend(&what, node == group.nodes()[0] ? "" : " ", node->op_name());
    }
    absl::StrAppend(&what, ") saves ", group.BytesSaved().ToString(), " bytes");
    Finding finding{kPass, last->name(), true, std::move(what)};
    for (size_t i = 0; i < outputs.size(); ++i) patch.Replace(outputs[i], fused->output(i));
    if (absl::Status s = patch.Commit(); !s.ok()) return s;
    for (const auto& [value, name] : names) {
      if (body->FindVisibleValue(name) == nullptr) body->RenameValue(value, name);
    }
    if (context_.findings != nullptr) context_.findings->push_back(std::move(finding));
    return true;
  }

  using Names = std::vector<std::pair<Value*, std::string>>;

  // `names`: what the values of the body were called.
  static absl::Status FillBody(const LoopGroup& group, absl::Span<Value* const> inputs,
                               absl::Span<Value* const> outputs, Graph* body, Names* names) {
    absl::flat_hash_map<const Value*, Value*> inside;
    for (Value* v : inputs) inside[v] = body->AddInput(v->name(), v->type());
    GraphBuilder b(body);
    for (const Node* node : group.nodes()) {
      b.SetOrigin(node->origin());
      std::vector<Value*> operands;
      for (size_t i = 0; i < node->num_inputs(); ++i) {
        const Value* v = node->input(i);
        if (v != nullptr && !inside.contains(v)) inside[v] = b.Constant(*v->constant(), v->name());
        operands.push_back(v == nullptr ? nullptr : inside.at(v));
      }
      const std::vector<Value*> made = b.OpN(node->op_name(), operands, node->num_outputs(),
                                             AttrList(node->attrs().begin(), node->attrs().end()));
      if (!b.status().ok()) return b.status();
      for (size_t i = 0; i < made.size(); ++i) {
        inside[node->output(i)] = made[i];
        names->push_back({made[i], node->output(i)->name()});
      }
    }
    for (Value* v : outputs) b.Output(inside.at(v));
    return b.status();
  }

  Graph& graph_;
  PassContext& context_;
  absl::flat_hash_map<const Node*, size_t> position_, group_of_;
  absl::flat_hash_map<const Value*, std::vector<const Node*>> captured_;  // by bodies of these
  std::vector<size_t> span_end_;  // by position: how far a group that covers it reaches
  std::vector<std::unique_ptr<LoopGroup>> groups_;
  std::vector<std::pair<Edge, std::string>> reasons_;
};

absl::StatusOr<bool> FuseIn(Graph& graph, PassContext& context) {
  bool changed = false;
  for (const auto& node : graph.nodes()) {
    if (IsSealed(*node)) continue;
    for (const auto& [name, body] : node->bodies()) {
      absl::StatusOr<bool> inside = FuseIn(*body, context);
      if (!inside.ok()) return inside;
      changed |= *inside;
    }
  }
  absl::StatusOr<bool> here = Fuser(graph, context).Run();
  if (!here.ok()) return here;
  return changed || *here;
}

}  // namespace

absl::StatusOr<bool> FuseLoops::Run(Graph& graph, PassContext& context) const {
  return FuseIn(graph, context);
}

}  // namespace sluice
