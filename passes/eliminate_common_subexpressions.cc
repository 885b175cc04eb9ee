#include "passes/eliminate_common_subexpressions.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "graph/effects.h"
#include "graph/text.h"
#include "passes/rewrite.h"

namespace sluice {
namespace {

constexpr char kPass[] = "eliminate_common_subexpressions";
// More than this many different things of one hash are an attack; the rest stay unmerged.
constexpr size_t kMaxBucket = 8;

using Table = absl::flat_hash_map<size_t, std::vector<Node*>>;

// The first bytes only: weights may be mapped from a file that has not been read yet. Equality then
// compares all of what hashes alike.
size_t HashTensor(const Tensor& t) {
  const size_t h = absl::HashOf(static_cast<int>(t.dtype()), t.dims());
  if (t.elements() == 0) return h;
  if (t.dtype() == DType::kString) return absl::HashOf(h, *t.data<std::string>());
  return absl::HashOf(
      h, absl::string_view(static_cast<const char*>(t.raw()), std::min<size_t>(t.bytes(), 256)));
}

size_t HashAttribute(const Attribute& a) {
  const size_t kind = static_cast<size_t>(a.kind());
  auto bits = [](float f) { return std::bit_cast<uint32_t>(f); };
  switch (a.kind()) {
    case AttrKind::kInt:
      return absl::HashOf(kind, a.as_int());
    case AttrKind::kFloat:
      return absl::HashOf(kind, bits(a.as_float()));
    case AttrKind::kString:
      return absl::HashOf(kind, a.as_string());
    case AttrKind::kInts:
      return absl::HashOf(kind, a.as_ints());
    case AttrKind::kFloats: {
      size_t h = kind;
      for (float f : a.as_floats()) h = absl::HashOf(h, bits(f));
      return h;
    }
    case AttrKind::kStrings:
      return absl::HashOf(kind, a.as_strings());
    case AttrKind::kDType:
      return absl::HashOf(kind, static_cast<int>(a.as_dtype()));
    case AttrKind::kTensor:
      return absl::HashOf(kind, HashTensor(a.as_tensor()));
    case AttrKind::kType:
      return absl::HashOf(kind, a.as_type().ToString());
  }
  return kind;
}

// The inputs, in one order where their order does not matter.
std::vector<const Value*> Operands(const Node& node) {
  std::vector<const Value*> operands(node.inputs().begin(), node.inputs().end());
  if (node.op().commutative && operands.size() >= 2 && std::less<>()(operands[1], operands[0])) {
    std::swap(operands[0], operands[1]);
  }
  return operands;
}

size_t HashNode(const Node& node) {
  size_t h = absl::HashOf(node.op_name(), node.num_outputs(), Operands(node));
  for (const AttrDef& def : node.op().attrs) {  // defaults count: written or not is the same
    if (const Attribute* a = node.FindAttr(def.name))
      h = absl::HashOf(h, def.name, HashAttribute(*a));
  }
  return h;
}

bool EqualNodes(const Node& a, const Node& b) {
  if (&a.op() != &b.op() || a.num_outputs() != b.num_outputs() || a.device() != b.device() ||
      Operands(a) != Operands(b)) {
    return false;
  }
  for (const AttrDef& def : a.op().attrs) {
    const Attribute *x = a.FindAttr(def.name), *y = b.FindAttr(def.name);
    if ((x == nullptr) != (y == nullptr) || (x != nullptr && !(*x == *y))) return false;
  }
  return true;
}

bool MayMerge(const Node& node) {
  return IsPure(node) && node.bodies().empty() && node.control_inputs().empty() &&
         node.control_uses().empty();
}

// `scopes`: the tables of this graph and of those around it.
void Eliminate(Graph& graph, PassContext& context, std::vector<Table>* scopes, bool* changed) {
  scopes->emplace_back();
  for (auto it = graph.nodes().begin(); it != graph.nodes().end();) {
    Node& node = **it++;
    for (const auto& [name, body] : node.bodies()) {
      if (!IsSealed(node)) Eliminate(*body, context, scopes, changed);
    }
    if (!MayMerge(node)) continue;
    const size_t hash = HashNode(node);
    Node* equal = nullptr;
    for (Table& table : *scopes) {
      auto found = table.find(hash);
      if (found == table.end()) continue;
      for (Node* candidate : found->second) {
        if (EqualNodes(*candidate, node)) equal = candidate;
      }
      if (equal != nullptr) break;
    }
    if (equal == nullptr) {
      std::vector<Node*>& bucket = scopes->back()[hash];
      if (bucket.size() < kMaxBucket) bucket.push_back(&node);
      continue;
    }
    if (!context.Spend()) break;
    if (!node.Is("Constant")) {
      context.Applied(kPass, node, absl::StrCat("equals ", Shown(equal->name())));
    }
    for (size_t i = 0; i < node.num_outputs(); ++i) {
      graph.ReplaceAllUses(node.output(i), equal->output(i));
    }
    graph.EraseNode(&node);
    *changed = true;
  }
  scopes->pop_back();
}

}  // namespace

absl::StatusOr<bool> EliminateCommonSubexpressions::Run(Graph& graph, PassContext& context) const {
  bool changed = false;
  std::vector<Table> scopes;
  Eliminate(graph, context, &scopes, &changed);
  return changed;
}

}  // namespace sluice
