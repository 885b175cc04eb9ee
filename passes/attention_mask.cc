#include "passes/attention_mask.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "passes/match.h"

namespace sluice {
namespace {

// Added to a score, or put in its place, it leaves nothing after the softmax, and so no difference:
// a row that is masked whole has equal scores either way.
bool Absorbs(double x, DType dtype) { return x <= -1e30 || (dtype == DType::kF16 && x <= -65504); }

bool IsFilled(const Value* value, const std::function<bool(double)>& wanted) {
  if (value == nullptr) return false;
  if (const Node* node = ProducedBy(value, "ConstantOfShape")) {
    const Tensor* fill = node->GetTensor("value");
    const std::optional<std::vector<double>> x =
        fill == nullptr ? std::vector<double>{0} : ToDoubles(*fill);
    return x.has_value() && x->size() == 1 && wanted(x->front());
  }
  if (const Node* node = ProducedBy(value, "Expand")) return IsFilled(node->input(0), wanted);
  const std::optional<std::vector<double>> all = ConstantDoubles(value);
  return all.has_value() && !all->empty() && std::all_of(all->begin(), all->end(), wanted);
}
bool IsOnes(const Value* value) {
  return IsFilled(value, [](double x) { return x == 1; });
}

// The last two extents are those of the node's output.
bool KeepsMatrix(const Node& node) {
  const std::optional<int> in = RankOf(node.input(0)), out = RankOf(node.output());
  if (!in.has_value() || !out.has_value() || *in < 2 || *out < 2) return false;
  for (int i = 1; i <= 2; ++i) {
    if (node.input(0)->type().dim(*in - i) != node.output()->type().dim(*out - i)) return false;
  }
  return true;
}

// One row or one column would broadcast, and a larger mask be no mask of these scores.
bool CoversMatrix(const Value& mask, const Shape& scores) {
  const std::optional<int> rank = RankOf(&mask);
  return rank.has_value() && *rank >= 2 && mask.type().dim(*rank - 2) == scores[2] &&
         mask.type().dim(*rank - 1) == scores[3];
}

// Positions 0, 1, 2, ... along `axis` (from the end), and alone along every other.
bool IsPositions(const Value* value, int axis) {
  const std::optional<int> rank = RankOf(value);
  if (!rank.has_value() || *rank < axis) return false;
  for (int i = 0; i < *rank; ++i) {
    if (i != *rank - axis && value->type().dim(i) != Dim(1)) return false;
  }
  if (const std::optional<std::vector<double>> all = ConstantDoubles(value)) {
    for (size_t i = 0; i < all->size(); ++i) {
      if ((*all)[i] != static_cast<double>(i)) return false;
    }
    return true;
  }
  // Casts to types that hold every position.
  const auto widens = [](const Node& node) {
    const DType to = DTypeOf(node.output());
    return node.Is("Cast") && (IsFloat(to) || IsInt(to)) && ByteSize(to) >= 4;
  };
  const Node* node = value->producer();
  while (node != nullptr && (IsView(node) || widens(*node))) node = node->input(0)->producer();
  return node != nullptr && node->Is("Range") && IsFilledWith(node->input(0), 0) &&
         IsFilledWith(node->input(2), 1);
}

// A constant whose elements [..., i, j] are `seen` at and below the diagonal and `unseen` above.
bool IsTriangle(const Value* value, const std::function<bool(double)>& seen,
                const std::function<bool(double)>& unseen) {
  const std::optional<std::vector<double>> all = ConstantDoubles(value);
  const std::optional<int> rank = RankOf(value);
  if (!all.has_value() || all->empty() || !rank.has_value() || *rank < 2) return false;
  const std::optional<Dims> dims = value->type().StaticDims();
  if (!dims.has_value()) return false;
  const int64_t rows = (*dims)[dims->size() - 2], columns = dims->back();
  for (size_t at = 0; at < all->size(); ++at) {
    const int64_t j = static_cast<int64_t>(at) % columns;
    const int64_t i = static_cast<int64_t>(at) / columns % rows;
    if (!(j <= i ? seen : unseen)((*all)[at])) return false;
  }
  return columns > 1;
}

// Bools, or the numbers 1 and 0, that are true, or with `inverted` false, exactly at and below the
// diagonal.
bool IsLower(const Value* value, bool inverted) {
  auto yes = [](double x) { return x == 1; };
  auto no = [](double x) { return x == 0; };
  if (value->constant() != nullptr) {
    return inverted ? IsTriangle(value, no, yes) : IsTriangle(value, yes, no);
  }
  const Node* node = value->producer();
  if (node == nullptr) return false;
  if (node->Is("Not")) return IsLower(node->input(0), !inverted);
  if (node->Is("Cast")) return IsLower(node->input(0), inverted);
  if (IsView(node) || node->Is("Expand"))
    return KeepsMatrix(*node) && IsLower(node->input(0), inverted);
  if (node->Is("Trilu")) {
    if (!IsOnes(node->input(0))) return false;
    const bool upper = node->Int("upper") != 0;
    return upper == inverted &&
           (upper ? IsFilledWith(node->input(1), 1)
                  : node->input(1) == nullptr || IsFilledWith(node->input(1), 0));
  }
  auto compares = [&](const char* op, int left, int right) {
    return node->Is(op) && IsPositions(node->input(0), left) && IsPositions(node->input(1), right);
  };
  if (inverted) return compares("Less", 2, 1) || compares("Greater", 1, 2);
  return compares("GreaterOrEqual", 2, 1) || compares("LessOrEqual", 1, 2);
}

// Where(c, 0, -large) and the like are fills by c.
MaskTerm Simplified(MaskTerm term, DType dtype) {
  const Node* where = ProducedBy(term.value, "Where");
  if (term.fills || where == nullptr || term.factor <= 0) return term;
  for (size_t side : {1, 2}) {
    const std::optional<double> fill = ConstantScalar(where->input(side));
    if (!fill.has_value() || !Absorbs(*fill, dtype) || !IsFilledWith(where->input(3 - side), 0))
      continue;
    term.fills = true;
    term.value = where->input(0);
    term.inverted = side == 1;
    term.fill = *fill;
    return term;
  }
  return term;
}

// Query i sees the keys up to i. Beside other masks only infinity tells unseen keys from those that
// are masked as well.
bool IsCausal(const MaskTerm& term, const Shape& scores, DType dtype, bool alone) {
  if (!CoversMatrix(*term.value, scores)) return false;
  auto zero = [](double x) { return x == 0; };
  auto never = [&](double x) { return std::isinf(x) ? x < 0 : alone && Absorbs(x, dtype); };
  if (term.fills) return never(term.fill) && IsLower(term.value, term.inverted);
  if (IsTriangle(term.value, zero, never)) return true;
  const Node* trilu = term.value->producer();
  while (trilu != nullptr && (IsView(trilu) || trilu->Is("Expand")) && KeepsMatrix(*trilu))
    trilu = trilu->input(0)->producer();
  return trilu != nullptr && trilu->Is("Trilu") && trilu->Int("upper") != 0 &&
         IsFilledWith(trilu->input(1), 1) && IsFilled(trilu->input(0), never);
}

bool IsAll(const Value* value, bool wanted) {
  return IsFilled(value, [&](double x) { return (x != 0) == wanted; });
}

// The terms of a conjunction of bools, each on its own: one may be causal, or all true.
void SplitInto(std::vector<MaskTerm>* terms, MaskTerm term) {
  const Node* node = term.value->producer();
  if (term.fills && node != nullptr) {
    if (node->Is("Not")) {
      term.value = node->input(0);
      term.inverted = !term.inverted;
      return SplitInto(terms, term);
    }
    if (node->Is(term.inverted ? "Or" : "And")) {
      for (size_t side : {0, 1}) {
        term.value = node->input(side);
        SplitInto(terms, term);
      }
      return;
    }
  }
  // Masks broadcast; there is no need to do so beforehand.
  if (node != nullptr && node->Is("Expand") && RankOf(node->input(0)) &&
      *RankOf(node->input(0)) >= 2) {
    term.value = node->input(0);
    return SplitInto(terms, term);
  }
  if (term.fills && IsAll(term.value, !term.inverted)) return;
  terms->push_back(std::move(term));
}

// The term's value as what broadcasts to [batch, heads, queries, keys]; null where it cannot be.
Value* Fitted(GraphBuilder& b, const MaskTerm& term, const Shape& scores) {
  const std::optional<int> rank = RankOf(term.value);
  if (!rank.has_value()) return nullptr;
  const Shape& shape = term.value->type().shape();
  if (*rank <= 2) return term.value;
  const size_t lead = term.at.size() - 2;  // of the scores there
  if (lead == 2 && term.at[0] == scores[0] && term.at[1] == scores[1]) return term.value;
  const size_t own = shape.size() - 2;
  const bool stretched =
      std::all_of(shape.begin(), shape.begin() + own, [](const Dim& d) { return d == Dim(1); });
  const bool whole = own == lead && std::equal(shape.begin(), shape.begin() + own, term.at.begin());
  if (!stretched && !whole) return nullptr;
  const Dim one = 1;
  const Shape wanted = {stretched ? one : scores[0], stretched ? one : scores[1], shape[own],
                        shape[own + 1]};
  const auto ints = ShapeFor(*term.value, Type::Tensor(term.value->type().dtype(), wanted));
  return ints.has_value() ? b.Op("Reshape", {term.value, b.Ints(*ints)}) : nullptr;
}

}  // namespace

absl::StatusOr<AttentionMask> JoinMasks(GraphBuilder& b, const std::vector<MaskTerm>& given,
                                        const Shape& scores, DType dtype) {
  std::vector<MaskTerm> terms;
  for (const MaskTerm& term : given) {
    const MaskTerm simple = Simplified(term, dtype);
    // What two masks cover twice gets twice the number.
    const bool same = given.size() == 1 || std::isinf(simple.fill);
    SplitInto(&terms, same ? simple : term);
  }
  AttentionMask mask;
  auto causal = [&](const MaskTerm& term) {
    return IsCausal(term, scores, dtype, terms.size() == 1);
  };
  const size_t before = terms.size();
  terms.erase(std::remove_if(terms.begin(), terms.end(), causal), terms.end());
  mask.causal = terms.size() < before;

  const bool bools = std::all_of(terms.begin(), terms.end(), [&](const MaskTerm& t) {
    return t.fills && t.fill == terms.front().fill;
  });
  for (size_t i = 0; i < terms.size(); ++i) {
    const MaskTerm& term = terms[i];
    Value* value = Fitted(b, term, scores);
    if (value == nullptr) {
      return absl::UnimplementedError("a mask broadcasts to the scores in no simple way");
    }
    if (term.inverted) value = b.Op("Not", {value});
    // A fill hides what was added before; with others it must be like an addition.
    const bool alone = !mask.causal && (terms.size() == 1 || bools);
    if (term.fills && !alone && !Absorbs(term.fill, dtype)) {
      return absl::UnimplementedError("a mask fills in a small number and is not the only one");
    }
    if (term.fills && !bools) {
      Value* like = b.Constant(*FromDoubles(dtype, {}, {0.0}));
      value = b.Op("Where", {value, like, b.ScalarLike(like, term.fill)});
    } else if (!term.fills && term.factor != 1) {
      value = b.Op("Mul", {value, b.ScalarLike(value, term.factor)});
    }
    if (!b.status().ok()) return b.status();
    mask.value = mask.value == nullptr ? value : b.Op(bools ? "And" : "Add", {mask.value, value});
  }
  if (!terms.empty() && bools) mask.fill = terms.front().fill;
  return mask;
}

}  // namespace sluice
