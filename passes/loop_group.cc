#include "passes/loop_group.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "graph/effects.h"
#include "ops/loop_space.h"
#include "passes/match.h"

namespace sluice {
namespace {

constexpr size_t kMaxNodes = 48, kMaxInputs = 16, kMaxOutputs = 6;
// Boxes of so many elements cost what their nodes cost, in whatever order they are walked.
constexpr int64_t kSmallBox = 4096;
constexpr int64_t kMaxRow = 65536;  // longer reductions are cut and run in parallel by themselves
constexpr int64_t kOneSweepRow = 8192;  // longer rows are gone through once for each reduction
constexpr int64_t kMinColumns = 256;

bool IsTranspose(const Node& node) { return node.Is("Transpose"); }

}  // namespace

bool IsFreeView(const Node& node) {
  return RoleInLoop(node) == LoopRole::kView && !IsTranspose(node);
}

Dim BytesOf(const Value& value) {
  const std::optional<Dim> n = value.type().Elements();
  return n.has_value() ? *n * Dim(static_cast<int64_t>(ByteSize(value.type().dtype()))) : Dim(0);
}

double RoughBytes(const Value& value) {
  constexpr int64_t kMiddling = 64;
  const Dim bytes = BytesOf(value);
  std::vector<std::string> symbols;
  bytes.CollectSymbols(&symbols);
  Bindings bindings;
  for (const std::string& s : symbols) bindings[s] = kMiddling;
  return static_cast<double>(bytes.Evaluate(bindings).value_or(0));
}

bool IsLoopCandidate(const Node& node) {
  if (RoleInLoop(node) == LoopRole::kNone || HasEffects(node) || !node.control_inputs().empty() ||
      !node.control_uses().empty()) {
    return false;
  }
  for (size_t i = 0; i < node.num_outputs(); ++i) {
    const Value& v = *node.output(i);
    if (!v.type().is_tensor() || !v.type().has_shape() || v.type().dtype() == DType::kString ||
        v.known_dims().has_value()) {
      return false;
    }
  }
  for (size_t i = 0; i < node.num_inputs(); ++i) {
    const Value* v = node.input(i);
    if (v == nullptr) continue;
    if (!v->type().is_tensor() || v->type().dtype() == DType::kString) return false;
    if (IsLoopParameter(node, i) && v->constant() == nullptr) return false;
  }
  const LoopRole role = RoleInLoop(node);
  if (role == LoopRole::kReduce) {
    return ReducedAxes(node).has_value() && DTypeOf(node.input(0)) != DType::kBool;
  }
  return true;
}

LoopGroup::LoopGroup(std::vector<Node*> nodes)
    : nodes_(std::move(nodes)), set_(nodes_.begin(), nodes_.end()) {}

bool LoopGroup::Escapes(const Value& value) const {
  return value.is_graph_output() ||
         std::any_of(value.uses().begin(), value.uses().end(),
                     [&](const Use& use) { return !contains(use.node); });
}

size_t LoopGroup::ReadersInside(const Value& value) const {
  absl::flat_hash_set<const Node*> readers;
  for (const Use& use : value.uses()) {
    if (contains(use.node)) readers.insert(use.node);
  }
  return readers.size();
}

std::vector<Value*> LoopGroup::outputs() const {
  std::vector<Value*> values;
  for (const Node* node : nodes_) {
    for (size_t i = 0; i < node->num_outputs(); ++i) {
      if (Escapes(*node->output(i))) values.push_back(node->output(i));
    }
  }
  return values;
}

bool LoopGroup::IsInnerConstant(const Node& node, size_t input) {
  const Value* v = node.input(input);
  return v->constant() != nullptr &&
         (IsLoopParameter(node, input) || v->constant()->elements() == 1);
}

std::vector<Value*> LoopGroup::inputs() const {
  std::vector<Value*> values;
  for (const Node* node : nodes_) {
    for (size_t i = 0; i < node->num_inputs(); ++i) {
      Value* v = node->input(i);
      if (v == nullptr || contains(v->producer()) || IsInnerConstant(*node, i)) continue;
      if (std::find(values.begin(), values.end(), v) == values.end()) values.push_back(v);
    }
  }
  return values;
}

absl::Status LoopGroup::Check() const {
  const auto no = [](const auto&... why) { return absl::UnimplementedError(absl::StrCat(why...)); };
  if (nodes_.size() > kMaxNodes) return no("more than ", kMaxNodes, " nodes");
  const std::vector<Value*> outputs = this->outputs();
  if (inputs().size() > kMaxInputs) return no("more than ", kMaxInputs, " inputs");
  if (outputs.size() > kMaxOutputs) return no("more than ", kMaxOutputs, " outputs");
  absl::StatusOr<LoopSpace> space =
      FindLoopSpace(std::vector<const Node*>(nodes_.begin(), nodes_.end()));
  if (!space.ok()) return space.status();

  using Cover = LoopSpace::Cover;
  for (const Value* v : outputs) {
    const Cover cover = space->CoverOf(*v);
    if (cover == Cover::kPart || cover == Cover::kOne) {
      return no("'", v->name(), "', which is read elsewhere, does not run over all of the loops");
    }
  }
  std::optional<int64_t> points = 1, row = 1, columns = 1;
  const auto times = [](std::optional<int64_t>* product, const Dim& d) {
    const std::optional<int64_t> n = d.AsNumber();
    if (!product->has_value()) return;
    if (n.has_value() && *n <= INT32_MAX && **product <= INT32_MAX) {
      **product *= *n;
    } else {
      product->reset();
    }
  };
  for (size_t l = 0; l < space->extents.size(); ++l) {
    times(&points, space->extents[l]);
    if (space->reduced[l]) times(&row, space->extents[l]);
  }
  const bool small = points.has_value() && *points <= kSmallBox;

  const Value* whole = nullptr;
  bool costly_before_reduction = false, costly = false;
  for (const Node* node : nodes_) {
    const LoopRole role = RoleInLoop(*node);
    const Cover cover = space->CoverOf(*node->output());
    if (cover == Cover::kAll) whole = node->output();
    if (cover == Cover::kPart && !small && role != LoopRole::kView) {
      return no("'", node->name(), "' has fewer elements and would be computed again and again");
    }
    if (IsTranspose(*node) && !small) {
      const std::vector<int64_t> perm = node->Ints("perm");
      if (perm.empty() || perm.back() != static_cast<int64_t>(perm.size()) - 1) {
        return no("'", node->name(), "' turns the innermost axis of a large tensor");
      }
    }
    if (cover == Cover::kAll) costly |= node->op().element_cost == ElementCost::kHeavy;
    if (role == LoopRole::kReduce || role == LoopRole::kNormalize) {
      costly_before_reduction |= costly && !node->Is("Softmax") && !node->Is("LogSoftmax");
      if (cover != Cover::kAll && whole == nullptr &&
          space->CoverOf(*node->input(0)) == Cover::kAll) {
        whole = node->input(0);
      }
    }
  }
  if (whole == nullptr) return no("no value runs over all of the loops");
  if (!space->reduces() || small) return absl::OkStatus();

  // The extents that are kept inside of what is reduced: taken in pieces, row by row.
  const std::vector<int>& axes = space->axes.at(whole);
  for (size_t i = axes.size(); i-- > 0;) {
    if (axes[i] < 0) continue;
    if (space->reduced[axes[i]]) break;
    times(&columns, space->extents[axes[i]]);
  }
  const bool has_columns = columns != std::optional<int64_t>(1);
  if (row.has_value() && *row > kMaxRow) return no("its reduction is long enough to be cut");
  if (has_columns && (!columns.has_value() || *columns < kMinColumns)) {
    return no("the axes inside of what is reduced are short");
  }
  const bool sweeps = has_columns || (row.has_value() && *row > kOneSweepRow);
  if (sweeps && costly_before_reduction) {
    return no("costly steps before a reduction would be computed twice");
  }
  return absl::OkStatus();
}

LoopGroup LoopGroup::Trimmed() const {
  LoopGroup group = *this;
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = 0; i < group.nodes_.size(); ++i) {
      Node* node = group.nodes_[i];
      const bool first = !group.contains(node->input(0)->producer());
      const bool last = group.ReadersInside(*node->output()) == 0;
      if (!IsFreeView(*node) || (!first && !last)) continue;
      group.set_.erase(node);
      group.nodes_.erase(group.nodes_.begin() + static_cast<std::ptrdiff_t>(i));
      changed = true;
      break;
    }
  }
  return group;
}

bool LoopGroup::WorthBuilding() const {
  size_t steps = 0, moves = 0;
  for (const Node* node : nodes_) {
    steps += RoleInLoop(*node) != LoopRole::kView;
    moves += IsTranspose(*node);
  }
  return steps >= 1 && steps + moves >= 2;
}

Dim LoopGroup::BytesSaved() const {
  Dim saved = 0;
  for (const Node* node : nodes_) {
    if (IsFreeView(*node)) continue;
    for (size_t i = 0; i < node->num_outputs(); ++i) {
      const Value& v = *node->output(i);
      const int64_t readers = static_cast<int64_t>(ReadersInside(v));
      saved = saved + BytesOf(v) * Dim(readers + (Escapes(v) ? 0 : 1));
    }
  }
  for (const Value* v : inputs()) {
    saved = saved + BytesOf(*v) * Dim(static_cast<int64_t>(ReadersInside(*v)) - 1);
  }
  return saved;
}

}  // namespace sluice
