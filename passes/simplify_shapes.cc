#include "passes/simplify_shapes.h"

#include <algorithm>

#include "passes/match.h"
#include "passes/rewrite.h"

namespace sluice {
namespace {

Value* Same(Site& s) {
  return SameType(*s.node.input(0), *s.node.output()) ? s.node.input(0) : nullptr;
}

Value* IdentityRule(Site& s) { return s.node.input(0); }

Value* DropoutRule(Site& s) {
  const Value* training = s.node.input(2);
  if (training != nullptr && !IsFilledWith(training, 0)) return nullptr;
  return s.node.input(0);
}

// ---- Views: the same elements in the same order under other extents.

// Reshape(x) to the node's type; null where that needs a computed shape.
Value* ReshapeTo(Site& s, Value* x) {
  if (SameType(*x, *s.node.output())) return x;
  std::optional<std::vector<int64_t>> shape = ShapeFor(*x, s.node.output()->type());
  if (!shape.has_value()) return nullptr;
  return s.b.Op("Reshape", {x, s.b.Ints(*shape)});
}

Value* ViewOfView(Site& s) {
  Node* inner = s.node.input(0)->producer();
  if (!IsView(inner)) return nullptr;
  Value* x = inner->input(0);
  if (Value* y = ReshapeTo(s, x)) return y;
  // The computed shape does as well, unless a 0 or the lack of one says that it reads the extents
  // of what it is applied to.
  if (!s.node.Is("Reshape")) return nullptr;
  const std::optional<Shape>& shape = s.node.input(1)->known_dims();
  const bool absolute =
      s.node.Int("allowzero") != 0 ||
      (shape.has_value() && std::all_of(shape->begin(), shape->end(), [](const Dim& d) {
         return d.ProvablyPositive() || d == Dim(-1);
       }));
  if (!absolute) return nullptr;
  return s.b.Op("Reshape", {x, s.node.input(1)}, {{"allowzero", s.node.Int("allowzero")}});
}

// Frees the nodes that compute a shape at run time.
Value* ComputedShape(Site& s) {
  if (s.node.input(1)->constant() != nullptr) return nullptr;
  return ReshapeTo(s, s.node.input(0));
}

// ---- Transpose

Value* TransposeRule(Site& s) {
  const std::optional<std::vector<int64_t>> perm = Permutation(s.node);
  if (!perm.has_value()) return nullptr;
  if (std::is_sorted(perm->begin(), perm->end())) return s.node.input(0);
  // Moving axes of extent 1 past others moves no element.
  const Type& type = s.node.input(0)->type();
  int64_t last = -1;
  for (int64_t axis : *perm) {
    if (type.dim(static_cast<int>(axis)) == Dim(1)) continue;
    if (axis < last) return nullptr;
    last = axis;
  }
  return ReshapeTo(s, s.node.input(0));
}

Value* TransposePair(Site& s) {
  Node* inner = ProducedBy(s.node.input(0), "Transpose");
  if (inner == nullptr) return nullptr;
  const std::optional<std::vector<int64_t>> first = Permutation(*inner),
                                            second = Permutation(s.node);
  if (!first.has_value() || !second.has_value()) return nullptr;
  std::vector<int64_t> both;
  for (int64_t axis : *second) both.push_back((*first)[static_cast<size_t>(axis)]);
  if (std::is_sorted(both.begin(), both.end())) return inner->input(0);
  return s.b.Op("Transpose", {inner->input(0)}, {{"perm", both}});
}

// For each axis of `merged`, how many axes of `split` in a row it is the product of; empty where it
// is none of that.
std::optional<std::vector<int>> AxesMerged(const Type& split, const Type& merged) {
  std::vector<int> counts;
  int next = 0;
  for (int i = 0; i < merged.rank(); ++i) {
    Dim product = 1;
    int count = 0;
    while (next < split.rank() && (count == 0 || product != merged.dim(i))) {
      product = product * split.dim(next++);
      ++count;
    }
    if (count == 0 || product != merged.dim(i)) return std::nullopt;
    counts.push_back(count);
  }
  return next == split.rank() ? std::optional(counts) : std::nullopt;
}

// Reshape(Transpose(Reshape(x))) where the first merges axes and the last splits them again.
Value* TransposeOfMergedAxes(Site& s) {
  Node* transpose = ProducedBy(s.node.input(0), "Transpose");
  Node* merge = transpose == nullptr ? nullptr : ProducedBy(transpose->input(0), "Reshape");
  if (merge == nullptr || !RankOf(merge->input(0)) || !RankOf(s.node.output())) return nullptr;
  const std::optional<std::vector<int64_t>> perm = Permutation(*transpose);
  if (!perm.has_value()) return nullptr;
  Value* x = merge->input(0);
  const std::optional<std::vector<int>> counts = AxesMerged(x->type(), merge->output()->type());
  if (!counts.has_value()) return nullptr;
  std::vector<int64_t> axes;
  for (int64_t block : *perm) {
    int64_t first = 0;
    for (int64_t i = 0; i < block; ++i) first += (*counts)[static_cast<size_t>(i)];
    for (int i = 0; i < (*counts)[static_cast<size_t>(block)]; ++i) axes.push_back(first + i);
  }
  const Type& result = s.node.output()->type();
  if (axes.size() != static_cast<size_t>(result.rank())) return nullptr;
  for (int i = 0; i < result.rank(); ++i) {
    if (result.dim(i) != x->type().dim(static_cast<int>(axes[static_cast<size_t>(i)])))
      return nullptr;
  }
  return s.b.Op("Transpose", {x}, {{"perm", axes}});
}

// ---- Ops that happen to change nothing

Value* SliceRule(Site& s) {
  const Value* steps = s.node.input(4);
  if (steps != nullptr) {
    const std::optional<std::vector<int64_t>> step = ConstantInts(steps);
    // A negative step keeps the extents and turns the order around.
    if (!step.has_value() ||
        std::any_of(step->begin(), step->end(), [](int64_t v) { return v < 1; })) {
      return nullptr;
    }
  }
  return Same(s);
}

Value* PadRule(Site& s) {  // pads of +1 and -1 keep the extents too, so the pads must be zero
  const std::optional<std::vector<int64_t>> pads = ConstantInts(s.node.input(1));
  if (!pads.has_value()) return nullptr;
  const bool none = std::all_of(pads->begin(), pads->end(), [](int64_t p) { return p == 0; });
  return none ? s.node.input(0) : nullptr;
}

Value* SingleInput(Site& s) { return s.node.num_inputs() == 1 ? s.node.input(0) : nullptr; }

Value* SplitRule(Site& s) { return s.node.num_outputs() == 1 ? Same(s) : nullptr; }

// ---- Cast

Value* CastRule(Site& s) {
  const DType from = DTypeOf(s.node.input(0));
  return from != DType::kInvalid && from == s.node.GetDType("to") ? s.node.input(0) : nullptr;
}

// Every value of `from` is one of `to`, of the same kind of number.
bool Widens(DType from, DType to) {
  if (IsFloat(from) && IsFloat(to)) {
    return to == DType::kF64 || (to == DType::kF32 && from != DType::kF64);
  }
  if ((IsSignedInt(from) && IsSignedInt(to)) || (IsUnsignedInt(from) && IsUnsignedInt(to))) {
    return ByteSize(to) > ByteSize(from);
  }
  return IsUnsignedInt(from) && IsSignedInt(to) && ByteSize(to) > ByteSize(from);
}

Value* CastOfCast(Site& s) {
  Node* inner = ProducedBy(s.node.input(0), "Cast");
  if (inner == nullptr || !Widens(DTypeOf(inner->input(0)), inner->GetDType("to"))) return nullptr;
  const DType to = s.node.GetDType("to");
  if (to == DType::kString) return nullptr;  // spelled with the digits of the type between
  if (DTypeOf(inner->input(0)) == to) return inner->input(0);
  return s.b.Op("Cast", {inner->input(0)}, {{"to", to}});
}

// The second input gives its type only; without it, constants fold.
Value* CastLikeRule(Site& s) {
  const DType from = DTypeOf(s.node.input(0)), to = DTypeOf(s.node.input(1));
  if (from == DType::kInvalid || to == DType::kInvalid) return nullptr;
  return from == to ? s.node.input(0) : s.b.Op("Cast", {s.node.input(0)}, {{"to", to}});
}

constexpr Rule kRules[] = {
    {"Identity", "Identity is its input", IdentityRule},
    {"Dropout", "Dropout does nothing at inference", DropoutRule},
    {"Reshape", "it keeps the shape", Same},
    {"Flatten", "it keeps the shape", Same},
    {"Squeeze", "it keeps the shape", Same},
    {"Unsqueeze", "it keeps the shape", Same},
    {"Reshape", "a Transpose of the axes that a Reshape merged", TransposeOfMergedAxes},
    {"Reshape", "of a view: one Reshape", ViewOfView},
    {"Flatten", "of a view: one Reshape", ViewOfView},
    {"Squeeze", "of a view: one Reshape", ViewOfView},
    {"Unsqueeze", "of a view: one Reshape", ViewOfView},
    {"Reshape", "its computed shape is known", ComputedShape},
    {"Transpose", "of a Transpose: one or none", TransposePair},
    {"Transpose", "it moves no element", TransposeRule},
    {"Expand", "it keeps the shape", Same},
    {"Tile", "it keeps the shape", Same},
    {"Slice", "it takes everything", SliceRule},
    {"Pad", "it adds nothing", PadRule},
    {"Concat", "of one input", SingleInput},
    {"Split", "into one output", SplitRule},
    {"Cast", "to the same type", CastRule},
    {"Cast", "after a Cast that lost nothing", CastOfCast},
    {"CastLike", "the type is known", CastLikeRule},
};

}  // namespace

absl::StatusOr<bool> SimplifyShapes::Run(Graph& graph, PassContext& context) const {
  return ApplyRules(graph, context, name(), kRules);
}

}  // namespace sluice
