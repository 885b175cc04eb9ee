#include "passes/fuse_attention.h"

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "graph/patch.h"
#include "passes/attention_mask.h"
#include "passes/head_view.h"
#include "passes/match.h"

namespace sluice {
namespace {

constexpr char kPass[] = "fuse_attention";

// What softmax(...) V was found to be.
struct Found {
  Value *q = nullptr, *k = nullptr, *v = nullptr;  // operands of the two products
  const char* k_last = "ds";                       // the order of the last axes of k
  Node* last = nullptr;                            // makes the result
  Type scores;
  std::vector<MaskTerm> masks;  // from the softmax up
  double scale = 1;
  float softcap = 0;
  bool zero_masked = false;
  bool causal = false;
  bool is_op = false;  // ONNX's Attention
  int64_t heads = 0;   // in a lone batch axis, where known
};

bool IsBarrier(const Node& node) {
  return !node.control_inputs().empty() || !node.control_uses().empty();
}

// Casts between types that the kernel computes alike, and views that leave the matrices alone.
bool IsHarmless(const Node& node) {
  if (node.Is("Cast")) {
    const DType from = DTypeOf(node.input(0)), to = DTypeOf(node.output());
    return IsFloat(from) && IsFloat(to) && from != DType::kF64 && to != DType::kF64;
  }
  if (!IsView(&node)) return false;
  const std::optional<int> in = RankOf(node.input(0)), out = RankOf(node.output());
  if (!in.has_value() || !out.has_value() || *in < 2 || *out < 2) return false;
  const Type &a = node.input(0)->type(), &b = node.output()->type();
  return a.dim(*in - 1) == b.dim(*out - 1) && a.dim(*in - 2) == b.dim(*out - 2);
}

// The softmax over the last axis that `p` is the result of; null where there is none.
Node* FindSoftmax(Value* p, Found* found) {
  while (Node* node = p->producer()) {
    if (node->Is("Softmax")) {
      const std::optional<int> rank = RankOf(node->output());
      const int64_t axis = node->Int("axis");
      return rank.has_value() && (axis == -1 || axis == *rank - 1) ? node : nullptr;
    }
    if (node->Is("Where") && IsFilledWith(node->input(1), 0)) {
      const Node* test = ProducedBy(node->input(0), "IsNaN");
      if (test == nullptr || test->input(0) != node->input(2)) return nullptr;
      found->zero_masked = true;
      p = node->input(2);
    } else if (IsHarmless(*node)) {
      p = node->input(0);
    } else {
      return nullptr;
    }
  }
  return nullptr;
}

// Nothing but the nodes up to `last` reads the softmax.
std::string WhyReadElsewhere(const Node& softmax, const Found& found) {
  const Value* p = softmax.output();
  while (true) {
    if (p->is_graph_output()) return WhyNotOnlyUse(*p);
    if (p->uses().size() == 2 && found.zero_masked) {
      const Node *a = p->uses()[0].node, *b = p->uses()[1].node;
      const Node *test = a->Is("IsNaN") ? a : b, *where = a->Is("IsNaN") ? b : a;
      if (!test->Is("IsNaN") || OnlyUse(*test->output()) != where) return WhyNotOnlyUse(*p);
      p = where->output();
      continue;
    }
    const Node* use = OnlyUse(*p);
    if (use == nullptr) return WhyNotOnlyUse(*p);
    if (use == found.last) return "";
    p = use->output();
  }
}

bool LeadsToProduct(const Value* value, int depth = 12) {
  const Node* node = value == nullptr ? nullptr : value->producer();
  if (node == nullptr || depth == 0) return false;
  if (node->Is("MatMul")) return true;
  if (node->Is("Where")) {
    return LeadsToProduct(node->input(1), depth - 1) || LeadsToProduct(node->input(2), depth - 1);
  }
  if (node->Is("Add") || node->Is("Mul")) {
    return LeadsToProduct(node->input(0), depth - 1) || LeadsToProduct(node->input(1), depth - 1);
  }
  return (node->Is("Div") || node->Is("Tanh") || IsHarmless(*node)) &&
         LeadsToProduct(node->input(0), depth - 1);
}

// c * tanh(x / c): sets softcap and gives x; null else.
Value* SoftcapOf(const Node& node, Found* found) {
  const std::optional<Scaling> outer = ScalingOf(node);
  const Node* tanh = outer.has_value() ? ProducedBy(outer->value, "Tanh") : nullptr;
  if (tanh == nullptr || OnlyUse(*tanh->output()) == nullptr ||
      OnlyUse(*tanh->input(0)) == nullptr || tanh->input(0)->producer() == nullptr) {
    return nullptr;
  }
  const std::optional<Scaling> inner = ScalingOf(*tanh->input(0)->producer());
  if (!inner.has_value() || std::abs(outer->factor * inner->factor - 1) > 1e-5 ||
      outer->factor <= 0) {
    return nullptr;
  }
  found->softcap = static_cast<float>(outer->factor);
  return inner->value;
}

// From the softmax up to the product of Q and K. Empty, or why not.
std::string FollowScores(Value* at, Found* found) {
  while (true) {
    if (OnlyUse(*at) == nullptr) return absl::StrCat("of the scores, ", WhyNotOnlyUse(*at));
    Node* node = at->producer();
    if (node == nullptr || !RankOf(at).has_value()) return "no product makes the scores";
    if (IsBarrier(*node)) return "a node of the scores has control edges";
    if (*RankOf(at) == 4 && at->type().dim(1).is_number())
      found->heads = at->type().dim(1).number();
    if (node->Is("MatMul")) {
      found->q = node->input(0);
      found->k = node->input(1);
      found->scores = at->type();
      return "";
    }
    if (Value* x = SoftcapOf(*node, found)) {
      if (found->scale != 1) return "the scores are scaled after they were capped";
      at = x;
    } else if (const std::optional<Scaling> s = ScalingOf(*node); s.has_value()) {
      found->scale *= s->factor;
      at = s->value;
    } else if (IsHarmless(*node)) {
      at = node->input(0);
    } else if (node->Is("Add") || node->Is("Where")) {
      if (found->softcap > 0) return "a mask stands before the cap of the scores";
      const bool fills = node->Is("Where");
      const size_t first = fills ? 1 : 0;
      const size_t side = LeadsToProduct(node->input(first)) ? first : first + 1;
      const size_t other = 2 * first + 1 - side;
      if (!LeadsToProduct(node->input(side)) || !SameType(*node->input(side), *at))
        return absl::StrCat(node->op_name(), " '", node->name(), "' takes no product");
      MaskTerm term{node->input(fills ? 0 : other), at->type().shape(), found->scale, fills,
                    fills && side == 2};
      if (fills) {
        const std::optional<double> fill = ConstantScalar(node->input(other));
        if (!fill.has_value()) return "what its mask fills in is not one constant";
        term.fill = *fill * found->scale;
      }
      if (!fills && !IsFloat(DTypeOf(term.value))) return "what is added to the scores is no float";
      found->masks.push_back(std::move(term));
      at = node->input(side);
    } else {
      return absl::StrCat(node->op_name(), " '", node->name(), "' stands before the softmax");
    }
  }
}

struct Operand {
  HeadView view;
  HeadForm form;
};

// All that the operands must be, [batch, heads, rows, size] of each.
struct Extents {
  Dim batch = 1, heads = 1, size = 1;
};

// The farthest place up from which the operand can be read with strides.
std::optional<Operand> Farthest(Value* value, const char* last, int64_t heads,
                                const Extents& extents, bool key, bool shared) {
  std::optional<HeadView> start = HeadView::Of(value, last, heads);
  if (!start.has_value()) return std::nullopt;
  std::optional<Operand> best;
  const Dim rows = value->type().dim(*RankOf(value) - (last[0] == 's' ? 2 : 1));
  HeadView view = *std::move(start);
  do {
    std::optional<HeadForm> form = FormOf(view);
    if (!form.has_value() || form->batch != extents.batch || form->rows != rows) continue;
    if (form->layout[3] != 'd' && !(key && form->layout[3] == 's')) continue;
    if (form->heads != extents.heads) {
      if (!shared || !(form->heads == Dim(1) || form->heads * form->repeats == extents.heads))
        continue;
    } else if (form->repeats != Dim(1)) {
      continue;
    }
    if (extents.size != Dim(0) && form->size != extents.size) continue;
    if (form->sliced && !(form->heads.is_number() && form->size.is_number())) continue;
    if (!ShapeFor(*view.value, Type::Tensor(DTypeOf(value), form->shape)).has_value()) continue;
    best = Operand{view, *std::move(form)};
  } while (view.Up());
  return best;
}

int64_t HeadsOf(Value* value, const char* last) {
  std::optional<HeadView> view = HeadView::Of(value, last, 0);
  while (view.has_value() && view->SplitBatch() == 0 && view->Up()) {
  }
  return view.has_value() ? view->SplitBatch() : 0;
}

Value* Shaped(GraphBuilder& b, Value* value, const Shape& shape) {
  const Type type = Type::Tensor(DTypeOf(value), shape);
  if (value->type() == type) return value;
  const std::optional<std::vector<int64_t>> ints = ShapeFor(*value, type);
  return ints.has_value() ? b.Op("Reshape", {value, b.Ints(*ints)}) : nullptr;
}

class Fusion {
 public:
  Fusion(PassContext& context, Found found) : context_(context), found_(std::move(found)) {}

  // Unimplemented with the reason where the place is left as it is.
  absl::StatusOr<bool> Run() {
    const int rank = found_.scores.rank();
    for (const Value* v : {found_.q, found_.k, found_.v, std::as_const(found_.last)->output()}) {
      if (RankOf(v) != rank || rank < 2)
        return absl::UnimplementedError("the products are of different ranks");
    }
    if (rank != 3) found_.heads = 0;
    if (rank == 3 && found_.heads == 0) found_.heads = HeadsOf(found_.q, "sd");
    const Shape& shape = found_.scores.shape();
    const Dim queries = shape[rank - 2], keys = shape[rank - 1];
    Extents extents{1, rank > 3 ? shape[rank - 3] : Dim(std::max<int64_t>(found_.heads, 1)),
                    found_.q->type().dim(rank - 1)};
    for (int i = 0; i < (rank > 3 ? rank - 3 : rank - 2); ++i)
      extents.batch = extents.batch * shape[i];
    if (rank == 3) {
      const std::optional<Dim> batch = ExactDiv(extents.batch, extents.heads);
      if (!batch.has_value()) return absl::UnimplementedError("the batch is no multiple of heads");
      extents.batch = *batch;
    }
    std::optional<Operand> q = Farthest(found_.q, "sd", found_.heads, extents, false, false), k, v;
    Extents key_extents = extents;
    if (found_.is_op) key_extents.heads = found_.k->type().dim(1);
    Extents value_extents = key_extents;
    value_extents.size = found_.v->type().dim(rank - 1);
    for (bool shared : {true, false}) {
      k = Farthest(found_.k, found_.k_last, found_.heads, key_extents, true, shared);
      v = Farthest(found_.v, "sd", found_.heads, value_extents, false, shared);
      if (k.has_value() && v.has_value() && k->form.heads == v->form.heads) break;
    }
    if (!q.has_value() || !k.has_value() || !v.has_value() || k->form.heads != v->form.heads) {
      return absl::UnimplementedError(
          absl::StrCat(!q.has_value()   ? "Q"
                       : !k.has_value() ? "K"
                                        : "V",
                       " is no [batch, heads, sequence, size] of the scores' batch and heads"));
    }
    FollowResult(extents);
    if (found_.is_op && result_.has_value() && result_->value == found_.last->output() &&
        q->view.value == found_.q && k->view.value == found_.k && v->view.value == found_.v) {
      return absl::UnimplementedError("");  // nothing around it to take in
    }
    return Build({*q, *k, *v}, {extents.batch, extents.heads, queries, keys});
  }

 private:
  // Takes in the transposes behind the second product, where they leave sizes innermost.
  void FollowResult(const Extents& extents) {
    result_ = HeadView::Of(found_.last->output(), "sd", found_.heads);
    if (!result_.has_value()) return;
    HeadView view = *result_;
    while (const Node* user = OnlyUse(*view.value)) {
      if (IsBarrier(*user) || !view.Down(*user)) break;
      const std::optional<HeadForm> form = FormOf(view);
      if (user->Is("Transpose") && form.has_value() && form->layout[3] == 'd' &&
          form->batch == extents.batch && form->heads == extents.heads) {
        result_ = view;
      }
    }
  }

  absl::StatusOr<bool> Build(const std::vector<Operand>& operands, const Shape& scores) {
    const std::optional<HeadForm> y = result_.has_value() ? FormOf(*result_) : std::nullopt;
    if (!y.has_value() || y->layout[3] != 'd')
      return absl::UnimplementedError("the result is no [batch, heads, sequence, size]");
    Node* last = result_->value->producer();
    Patch patch(last->graph(), last, kPass);
    GraphBuilder& b = patch.builder();
    absl::StatusOr<AttentionMask> mask = JoinMasks(b, found_.masks, scores, found_.scores.dtype());
    if (!mask.ok()) return mask.status();
    std::vector<Value*> inputs;
    std::vector<std::string> layouts;
    std::vector<int64_t> ranges;
    bool sliced = false;
    double scale = found_.scale;
    for (const Operand& o : operands) {
      inputs.push_back(Shaped(b, o.view.value, o.form.shape));
      layouts.push_back(o.form.layout);
      sliced |= o.form.sliced;
      for (const auto& [begin, extent] : {std::pair(o.form.head_begin, o.form.heads),
                                          std::pair(o.form.size_begin, o.form.size)}) {
        ranges.push_back(begin);
        ranges.push_back(begin + (extent.is_number() ? extent.number() : -begin));
      }
      if (&o != &operands[2]) scale *= o.view.scale;
    }
    if (operands[2].view.scale != 1) return absl::UnimplementedError("V is scaled");
    for (size_t i = 0; sliced && i < ranges.size(); i += 2) {
      if (ranges[i + 1] <= ranges[i])
        return absl::UnimplementedError("the number of heads or their size is not known");
    }
    layouts.push_back(y->layout);
    if (mask->value != nullptr) inputs.push_back(mask->value);
    AttrList attrs = {{"layouts", layouts}, {"scale", scale}};
    if (sliced) attrs.push_back({"ranges", ranges});
    if (mask->causal || found_.causal) attrs.push_back({"is_causal", int64_t{1}});
    if (found_.softcap > 0) attrs.push_back({"softcap", found_.softcap});
    if (found_.zero_masked) attrs.push_back({"zero_masked", int64_t{1}});
    if (mask->value != nullptr && DTypeOf(mask->value) == DType::kBool)
      attrs.push_back({"mask_value", static_cast<float>(mask->fill)});
    Value* fused = b.Op("FusedAttention", inputs, attrs);
    if (fused == nullptr) return absl::UnimplementedError(b.status().message());
    fused->producer()->set_device(found_.last->device());
    Value* result = Shaped(b, fused, result_->value->type().shape());
    if (result == nullptr) return absl::UnimplementedError("its result's shape cannot be written");
    if (!b.status().ok()) return b.status();
    if (context_.target.takes) {
      if (absl::Status s = context_.target.takes(*fused->producer()); !s.ok())
        return absl::UnimplementedError(s.message());
    }
    if (!context_.Spend()) return false;
    Finding finding{
        kPass, found_.last->name(), true,
        absl::StrCat("softmax(Q K^T) V is FusedAttention", mask->causal ? ", causal" : "",
                     mask->value != nullptr ? ", masked" : "", "; scores of ",
                     found_.scores.ToString(), " are not written")};
    patch.Replace(result_->value, result);
    if (absl::Status s = patch.Commit(); !s.ok()) return s;
    if (context_.findings != nullptr) context_.findings->push_back(std::move(finding));
    return true;
  }

  PassContext& context_;
  Found found_;
  std::optional<HeadView> result_;
};

absl::StatusOr<bool> FuseAt(Node& product, PassContext& context) {
  Found found;
  Node* softmax = FindSoftmax(product.input(0), &found);
  if (softmax == nullptr || !IsFloat(DTypeOf(product.output())) || IsBarrier(product)) return false;
  found.last = &product;
  found.v = product.input(1);
  std::string why = WhyReadElsewhere(*softmax, found);
  if (!why.empty()) why = absl::StrCat("of the softmax, ", why);
  if (why.empty()) why = FollowScores(softmax->input(0), &found);
  if (why.empty()) {
    absl::StatusOr<bool> fused = Fusion(context, std::move(found)).Run();
    if (!absl::IsUnimplemented(fused.status())) return fused;
    why = std::string(fused.status().message().substr(0, 200));
  }
  context.Refused(kPass, product, why);
  return false;
}

// ONNX's op over [batch, heads, sequence, size].
absl::StatusOr<bool> FuseAround(Node& node, PassContext& context) {
  for (size_t i = 1; i < node.num_outputs(); ++i) {
    if (node.output(i)->used()) return false;
  }
  for (size_t i = 4; i < node.num_inputs(); ++i) {
    if (node.input(i) != nullptr) return false;
  }
  Found found;
  found.q = node.input(0);
  found.k = node.input(1);
  found.v = node.input(2);
  if (RankOf(found.q) != 4 || RankOf(found.k) != 4 || RankOf(found.v) != 4 || IsBarrier(node) ||
      DTypeOf(found.k) != DTypeOf(found.q) || DTypeOf(found.v) != DTypeOf(found.q)) {
    return false;
  }
  const Shape &q = found.q->type().shape(), &k = found.k->type().shape();
  const Attribute* scale = node.FindAttr("scale");
  if (scale == nullptr && (!q[3].is_number() || q[3].number() < 1)) return false;
  found.scale =
      scale != nullptr ? node.Float("scale") : 1 / std::sqrt(static_cast<double>(q[3].number()));
  found.softcap = node.Float("softcap");
  found.causal = node.Int("is_causal") != 0;
  found.k_last = "sd";
  found.is_op = true;
  found.last = &node;
  found.scores = Type::Tensor(DTypeOf(found.q), {q[0], q[1], q[2], k[2]});
  if (Value* mask = node.input(3); mask != nullptr) {
    // A shorter one is padded there, while ours broadcast.
    if (RankOf(mask).value_or(0) < 1 || mask->type().dim(*RankOf(mask) - 1) != k[2] ||
        !(IsFloat(DTypeOf(mask)) || DTypeOf(mask) == DType::kBool)) {
      return false;
    }
    MaskTerm term{mask, found.scores.shape()};
    term.fills = DTypeOf(mask) == DType::kBool;
    term.fill = -std::numeric_limits<double>::infinity();
    found.masks.push_back(std::move(term));
  }
  absl::StatusOr<bool> fused = Fusion(context, std::move(found)).Run();
  if (!absl::IsUnimplemented(fused.status())) return fused;
  if (!fused.status().message().empty())
    context.Refused(kPass, node, fused.status().message().substr(0, 200));
  return false;
}

void CollectProducts(const Graph& graph, std::vector<Node*>* products) {
  for (const auto& node : graph.nodes()) {
    if (node->Is("MatMul") || node->Is("Attention")) products->push_back(node.get());
    for (const auto& [name, body] : node->bodies()) CollectProducts(*body, products);
  }
}

}  // namespace

absl::StatusOr<bool> FuseAttention::Run(Graph& graph, PassContext& context) const {
  std::vector<Node*> products;
  CollectProducts(graph, &products);
  bool changed = false;
  for (Node* product : products) {  // a fusion erases none that stands behind it
    absl::StatusOr<bool> fused =
        product->Is("Attention") ? FuseAround(*product, context) : FuseAt(*product, context);
    if (!fused.ok()) return fused;
    changed |= *fused;
  }
  return changed;
}

}  // namespace sluice
