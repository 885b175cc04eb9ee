#include "kernels/cpu/layout/memory_order.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "graph/builder.h"

namespace sluice::cpu {
namespace {

template <typename... Args>
absl::Status Refuse(const Args&... args) {
  return absl::UnimplementedError(absl::StrCat(args...));
}

// Where a node's axes are written, as its op declares it (AnyAxisOrder).
struct Rule {
  bool all_inputs = false;  // else only the first is laid out
  bool axis = false;        // an attribute with one axis
  bool axes = false;        // with a list of them
  int axes_input = -1;      // an input with a list of them
  std::vector<int> lists;   // inputs with an entry an axis, or several times that

  bool broadcasts() const { return all_inputs && !axis; }
};

std::optional<Rule> FindRule(const Node& node) {
  const OpDef& op = node.op();
  if (op.any_axis_order == AnyAxisOrder::kNo) return std::nullopt;
  Rule rule{.all_inputs = op.any_axis_order == AnyAxisOrder::kAllInputs,
            .axis = op.FindAttr("axis") != nullptr,
            .axes = op.FindAttr("axes") != nullptr};
  for (size_t i = 0; i < op.inputs.size(); ++i) {
    const InputRole role = op.inputs[i].role;
    if (role == InputRole::kAxes) rule.axes_input = static_cast<int>(i);
    if (role == InputRole::kExtents || role == InputRole::kPerAxis)
      rule.lists.push_back(static_cast<int>(i));
  }
  return rule;
}

// The axes of `layout` in the order of memory, and where each stands there.
struct Order {
  std::vector<int> axes, places;
  explicit Order(int rank, Layout layout = Layout::kChannelsLast)
      : axes(MemoryOrder(rank, layout)), places(axes.size()) {
    for (size_t i = 0; i < axes.size(); ++i) places[axes[i]] = static_cast<int>(i);
  }
  int rank() const { return static_cast<int>(axes.size()); }
  int64_t Place(int64_t axis) const {  // of an axis that has been checked
    return places[static_cast<size_t>(axis < 0 ? axis + rank() : axis)];
  }
  bool Holds(int64_t axis) const { return axis >= -rank() && axis < rank(); }
};

bool Given(const Node& node, const Rule& rule) {
  if (rule.axes) return node.HasAttr("axes");
  return rule.axes_input >= 0 && node.input(rule.axes_input) != nullptr;
}

// Reducing without keeping axes: what is left must stand in one order in both.
absl::Status CheckLeft(const std::vector<int64_t>& reduced, const Order& order) {
  int64_t last = -1;
  for (int axis : order.axes) {
    const bool gone = std::any_of(reduced.begin(), reduced.end(), [&](int64_t a) {
      return (a < 0 ? a + order.rank() : a) == axis;
    });
    if (gone) continue;
    if (axis < last) return Refuse("the axes that are left change their order");
    last = axis;
  }
  return absl::OkStatus();
}

// The logical axes, in the memory order of the result, of a Transpose's input.
std::vector<int64_t> Permutation(const Node& node, int rank) {
  std::vector<int64_t> perm = node.Ints("perm");
  if (node.FindAttr("perm") == nullptr) {
    perm.resize(static_cast<size_t>(rank));
    std::iota(perm.rbegin(), perm.rend(), 0);
  }
  return perm;
}

// The permutation of memory that a Transpose between two layouts is.
std::vector<int64_t> MovedAxes(const std::vector<int64_t>& perm, Layout from, Layout to) {
  const int rank = static_cast<int>(perm.size());
  const Order in(rank, from), out(rank, to);
  std::vector<int64_t> moved;
  for (int axis : out.axes) moved.push_back(in.Place(perm[static_cast<size_t>(axis)]));
  return moved;
}

bool InOrder(const std::vector<int64_t>& axes) { return std::is_sorted(axes.begin(), axes.end()); }

bool FeedsConvolution(const Value& value) {
  return std::any_of(value.uses().begin(), value.uses().end(), [](const Use& use) {
    return use.node->Is("Conv") || use.node->Is("FusedConv") || use.node->Is("ConvTranspose") ||
           use.node->Is("FusedConvTranspose");
  });
}

// A change of the spatial axes alone: [N,C,H,W] to [N,C,H*W], say.
bool IsSpatialView(const Node& node) {
  if (!node.Is("Reshape") && !node.Is("Flatten") && !node.Is("Squeeze") && !node.Is("Unsqueeze")) {
    return false;
  }
  const Type &x = node.input(0)->type(), &y = node.output()->type();
  return x.rank() > 2 && y.rank() > 2 && x.dim(0) == y.dim(0) && x.dim(1) == y.dim(1);
}

bool IsGlobalPool(const Node& node) {
  return node.Is("GlobalAveragePool") || node.Is("GlobalMaxPool");
}

// Element i of each stretch of `order` is the one of axis order.axes[i].
absl::StatusOr<Tensor> PermutedList(const Tensor& list, const Order& order) {
  const int64_t rank = order.rank();
  if (list.elements() % rank != 0) return Refuse("a list does not fit the rank");
  absl::StatusOr<Tensor> out = Tensor::Allocate(list.dtype(), list.dims());
  if (!out.ok()) return out;
  const size_t size = ByteSize(list.dtype());
  for (int64_t i = 0; i < list.elements(); ++i) {
    const int64_t from = i / rank * rank + order.axes[static_cast<size_t>(i % rank)];
    std::memcpy(static_cast<char*>(out->mutable_raw()) + static_cast<size_t>(i) * size,
                static_cast<const char*>(list.raw()) + static_cast<size_t>(from) * size, size);
  }
  return out;
}

Tensor IntList(const std::vector<int64_t>& values) {
  return Tensor::FromSpan<int64_t>({static_cast<int64_t>(values.size())}, values);
}

// The parts of a node that are renumbered.
class Renumbered {
 public:
  explicit Renumbered(const PrepareContext& context)
      : context_(context),
        node_(context.node),
        op_(node_.op_name()),
        attrs_(node_.attrs().begin(), node_.attrs().end()),
        inputs_(context.inputs),
        outputs_(context.outputs),
        constants_(context.constants) {
    constants_.resize(inputs_.size(), Tensor());
  }

  absl::Status Run() {
    const Type& x = context_.inputs[0];
    if (node_.Is("Transpose")) return Transpose();
    if (node_.Is("BatchNormalization")) return Flat();
    if (IsGlobalPool(node_)) return GlobalPool();
    if (IsSpatialView(node_)) return View();
    const std::optional<Rule> rule = FindRule(node_);
    if (!rule.has_value()) return Refuse(op_, " has no form for another order of axes");
    const int rank = rule->broadcasts() ? context_.outputs[0].rank() : x.rank();
    const Order order(rank);
    for (size_t i = 0; i < inputs_.size(); ++i) {
      if (!context_.HasInput(i) || (i > 0 && !rule->all_inputs)) continue;
      if (absl::Status s = Permute(Widened(inputs_[i], rank), &inputs_[i]); !s.ok()) return s;
      // It is plain and channels last at once: the same bytes under other extents.
      if (constants_[i].valid()) constants_[i] = constants_[i].Reshaped(*inputs_[i].StaticDims());
    }
    for (Type& t : outputs_) {
      if (t.rank() != rank) continue;
      if (absl::Status s = Permute(t, &t); !s.ok()) return s;
    }
    return Axes(*rule, order);
  }

  absl::StatusOr<std::unique_ptr<PrepareContext>> Make(Graph* graph) const {
    GraphBuilder b(graph);
    b.SetOrigin(node_.origin());
    std::vector<Value*> values;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      values.push_back(inputs_[i].is_unknown() ? nullptr
                       : constants_[i].valid() ? b.Constant(constants_[i])
                                               : b.Input(absl::StrCat("x", i), inputs_[i]));
    }
    Node* node = b.RawOp(op_, values, outputs_.size(), attrs_);
    if (!b.status().ok()) return b.status();
    for (size_t i = 0; i < outputs_.size(); ++i) node->output(i)->set_type(outputs_[i]);
    // NOLINTNEXTLINE(modernize-make-unique): an aggregate
    return std::unique_ptr<PrepareContext>(
        new PrepareContext{.node = *node,
                           .inputs = inputs_,
                           .outputs = outputs_,
                           .constants = constants_,
                           .threads = context_.threads,
                           .deterministic = context_.deterministic,
                           .accuracy = context_.accuracy});
  }

 private:
  absl::Status Permute(const Type& from, Type* to) const {
    if (!IsChannelsLast(from)) return Refuse(from.ToString(), " is in plain order beside others");
    *to = Type::Tensor(from.dtype(), MemoryDims(*from.StaticDims(), Layout::kChannelsLast));
    return absl::OkStatus();
  }

  absl::Status Axes(const Rule& rule, const Order& order) {
    if (rule.axis) {
      const int64_t axis = node_.Int("axis");
      if (!order.Holds(axis)) return Refuse("axis ", axis, " is out of range");
      Set("axis", order.Place(axis));
    }
    if (rule.axes && node_.HasAttr("axes")) {
      absl::StatusOr<std::vector<int64_t>> axes = Places(node_.Ints("axes"), order);
      if (!axes.ok()) return axes.status();
      Set("axes", *axes);
      return absl::OkStatus();
    }
    if (rule.axes_input >= 0 && context_.HasInput(rule.axes_input)) {
      const size_t i = static_cast<size_t>(rule.axes_input);
      if (!context_.IsConstant(i)) return Refuse("the axes are not constant");
      absl::StatusOr<std::vector<int64_t>> axes = Places(*context_.constants[i].AsInts(), order);
      if (!axes.ok()) return axes.status();
      if (outputs_[0].rank() != order.rank()) {
        if (absl::Status s = CheckLeft(*context_.constants[i].AsInts(), order); !s.ok()) return s;
      }
      constants_[i] = IntList(*axes);
      inputs_[i] = Type::Of(constants_[i]);
      return absl::OkStatus();
    }
    for (int list : rule.lists) {
      const size_t i = static_cast<size_t>(list);
      if (!context_.HasInput(i)) continue;
      if (!context_.IsConstant(i)) return Refuse("input ", i, " is not constant");
      absl::StatusOr<Tensor> permuted = PermutedList(context_.constants[i], order);
      if (!permuted.ok()) return permuted.status();
      constants_[i] = *std::move(permuted);
    }
    return absl::OkStatus();
  }

  static absl::StatusOr<std::vector<int64_t>> Places(std::vector<int64_t> axes,
                                                     const Order& order) {
    for (int64_t& axis : axes) {
      if (!order.Holds(axis)) return Refuse("axis ", axis, " is out of range");
      axis = order.Place(axis);
    }
    return axes;
  }

  absl::Status Transpose() {
    const Type &x = context_.inputs[0], &y = context_.outputs[0];
    const std::vector<int64_t> perm = Permutation(node_, x.rank());
    if (static_cast<int>(perm.size()) != x.rank()) return Refuse("perm does not fit the rank");
    const Dims dims = MemoryDims(*x.StaticDims(), x.layout());
    std::vector<int64_t> moved = MovedAxes(perm, x.layout(), y.layout());
    inputs_[0] = Type::Tensor(x.dtype(), dims);
    outputs_[0] = Type::Tensor(y.dtype(), MemoryDims(*y.StaticDims(), y.layout()));
    Set("perm", moved);
    std::erase_if(moved, [&](int64_t axis) { return dims[static_cast<size_t>(axis)] == 1; });
    if (InOrder(moved)) {  // nothing moves: the result is a view
      op_ = "Identity";
      attrs_.clear();
    }
    return absl::OkStatus();
  }

  // [N * D1 * ..., C]: what a channel is taken over stands in front of it.
  absl::Status Flat() {
    for (Type* t : {&inputs_[0], &outputs_[0]}) {
      if (!IsChannelsLast(*t)) return Refuse(t->ToString(), " is in plain order");
      const Dims dims = *t->StaticDims();
      int64_t rows = 1;
      for (size_t i = 0; i < dims.size(); ++i) rows *= i == 1 ? 1 : dims[i];
      *t = Type::Tensor(t->dtype(), Dims{rows, dims[1]});
    }
    return absl::OkStatus();
  }

  absl::Status View() {
    for (Type* t : {&inputs_[0], &outputs_[0]}) {
      if (absl::Status s = Permute(*t, t); !s.ok()) return s;
    }
    op_ = "Identity";
    attrs_.clear();
    inputs_.resize(1);
    constants_.resize(1);
    return absl::OkStatus();
  }

  absl::Status GlobalPool() {
    for (Type* t : {&inputs_[0], &outputs_[0]}) {
      if (absl::Status s = Permute(*t, t); !s.ok()) return s;
    }
    op_ = node_.Is("GlobalMaxPool") ? "ReduceMax" : "ReduceMean";
    attrs_.clear();
    std::vector<int64_t> axes(static_cast<size_t>(inputs_[0].rank() - 2));
    std::iota(axes.begin(), axes.end(), 1);
    constants_.push_back(IntList(axes));
    inputs_.push_back(Type::Of(constants_.back()));
    return absl::OkStatus();
  }

  void Set(absl::string_view name, Attribute value) {
    for (auto& [key, old] : attrs_) {
      if (key == name) {
        old = std::move(value);
        return;
      }
    }
    attrs_.push_back({std::string(name), std::move(value)});
  }

  const PrepareContext& context_;
  const Node& node_;
  std::string op_;
  AttrList attrs_;
  std::vector<Type> inputs_, outputs_;
  std::vector<Tensor> constants_;
};

}  // namespace

absl::StatusOr<MemoryOrderNode> InMemoryOrder(const PrepareContext& context) {
  for (const Type& t : context.outputs) {
    if (!t.has_static_shape()) return Refuse("only the data knows the extents of its results");
  }
  Renumbered renumbered(context);
  if (absl::Status s = renumbered.Run(); !s.ok()) return s;
  MemoryOrderNode result;
  result.graph_ = std::make_unique<Graph>(context.node.graph()->ops());
  absl::StatusOr<std::unique_ptr<PrepareContext>> made = renumbered.Make(result.graph_.get());
  if (!made.ok()) return made.status();
  result.context_ = *std::move(made);
  return result;
}

absl::StatusOr<LayoutForm> MemoryOrderForm(const Node& node) {
  LayoutForm form{std::vector<bool>(node.num_inputs()), std::vector<bool>(node.num_outputs())};
  const Type& x = node.input(0)->type();
  const Type& y = node.output()->type();
  if (node.Is("Transpose")) {
    const std::vector<int64_t> perm = Permutation(node, x.rank());
    const auto free = [&](Layout from, Layout to) { return InOrder(MovedAxes(perm, from, to)); };
    bool leaves = free(Layout::kChannelsLast, Layout::kPlain);
    bool enters = free(Layout::kPlain, Layout::kChannelsLast);
    if (leaves && enters) (FeedsConvolution(*node.output()) ? leaves : enters) = false;
    form.inputs[0] = !enters && !SameInChannelsLast(x);
    form.outputs[0] = !leaves && !SameInChannelsLast(y);
    form.plain_moves = leaves || enters;
    return form;
  }
  if (node.Is("BatchNormalization") || IsGlobalPool(node) || IsSpatialView(node)) {
    form.inputs[0] = !SameInChannelsLast(x);
    form.outputs[0] = !SameInChannelsLast(y);
    return form;
  }
  const std::optional<Rule> rule = FindRule(node);
  if (!rule.has_value()) return Refuse(node.op_name(), " has no channels-last kernel");
  const bool given = Given(node, *rule);
  if (given && rule->axes_input >= 0 && node.input(rule->axes_input)->constant() == nullptr) {
    return Refuse("its axes are not constant");
  }
  for (int i : given ? std::vector<int>() : rule->lists) {
    if (node.input(i) != nullptr && node.input(i)->constant() == nullptr) {
      return Refuse("its input ", i, " is not constant");
    }
  }
  if (node.op().FindAttr("block_size") != nullptr && node.Int("block_size") != 0) {
    return Refuse("its scales stand for blocks");
  }
  const int rank = rule->broadcasts() ? y.rank() : x.rank();
  if (y.rank() != rank) {
    std::vector<int64_t> axes;
    if (given) axes = node.input(rule->axes_input)->constant()->AsInts().value_or(axes);
    if (absl::Status s = CheckLeft(axes, Order(rank)); given && !s.ok()) return s;
  }
  for (size_t i = 0; i < node.num_inputs(); ++i) {
    if (node.input(i) == nullptr || (i > 0 && !rule->all_inputs)) continue;
    const Type& type = node.input(i)->type();
    if (!type.is_tensor() || !type.has_shape()) return Refuse("the rank of input ", i, " is open");
    if (SameInChannelsLast(Widened(type, rank))) continue;
    if (type.rank() != rank) {
      return Refuse("input ", i, " of shape ", ShapeToString(type.shape()),
                    " has channels and what is behind them but no batch");
    }
    form.inputs[i] = true;
  }
  for (size_t i = 0; i < node.num_outputs(); ++i) {
    const Type& type = node.output(i)->type();
    if (!type.is_tensor() || !type.has_shape()) return Refuse("the rank of a result is open");
    form.outputs[i] = type.rank() == rank && !SameInChannelsLast(type);
  }
  return form;
}

}  // namespace sluice::cpu
