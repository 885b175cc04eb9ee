#include "kernels/cpu/layout/layouts.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "kernels/cpu/layout/memory_order.h"
#include "kernels/cpu/layout/strided_copy.h"
#include "ops/fused.h"
#include "ops/quantized.h"

namespace sluice::cpu {

bool SameMemory(const Dims& dims) {
  return dims.size() < 3 || dims[1] == 1 ||
         std::all_of(dims.begin() + 2, dims.end(), [](int64_t d) { return d == 1; });
}

bool IsChannelsLast(const Type& type) {
  return type.layout() == Layout::kChannelsLast || SameInChannelsLast(type);
}

Type Widened(const Type& type, int rank) {
  if (!type.is_tensor() || !type.has_shape() || type.rank() >= rank) return type;
  Shape shape(static_cast<size_t>(rank - type.rank()), Dim(1));
  shape.insert(shape.end(), type.shape().begin(), type.shape().end());
  return Type::Tensor(type.dtype(), std::move(shape));
}

bool HasLayouts(const PrepareContext& context) {
  for (const auto* types : {&context.inputs, &context.outputs}) {
    for (const Type& t : *types) {
      if (t.layout() != Layout::kPlain) return true;
    }
  }
  return false;
}

namespace {

// A kernel for plain tensors, between reorders.
class Detour final : public Kernel {
 public:
  struct Move {
    size_t index;  // of the input or output
    StridedCopy copy;
    size_t offset;  // of the plain tensor, in the scratch
  };

  Detour(const PrepareContext& context, std::unique_ptr<Kernel> plain) : plain_(std::move(plain)) {
    const auto add = [&](size_t i, const Type& type, bool input, std::vector<Move>* moves) {
      if (type.layout() == Layout::kPlain) return;
      const Dims dims = *type.StaticDims();
      const Dims theirs = MemoryStrides(dims, type.layout()), ours = RowMajorStrides(dims);
      moves->push_back({i,
                        input ? StridedCopy(type.dtype(), dims, theirs, ours)
                              : StridedCopy(type.dtype(), dims, ours, theirs),
                        bytes_});
      bytes_ += (static_cast<size_t>(Product(dims)) * ByteSize(type.dtype()) + 63) / 64 * 64;
    };
    for (size_t i = 0; i < context.inputs.size(); ++i) add(i, context.inputs[i], true, &in_);
    for (size_t i = 0; i < context.outputs.size(); ++i) add(i, context.outputs[i], false, &out_);
  }

  absl::Status Launch(const LaunchContext& c) const override {
    char* const scratch = static_cast<char*>(c.scratch);
    absl::InlinedVector<const void*, 12> in(c.inputs.begin(), c.inputs.end());
    absl::InlinedVector<void*, 4> out(c.outputs.begin(), c.outputs.end());
    for (const Move& m : in_) {
      m.copy.Run(c.inputs[m.index], scratch + m.offset, c.pool);
      in[m.index] = scratch + m.offset;
    }
    for (const Move& m : out_) out[m.index] = scratch + m.offset;
    const LaunchContext inner{in, out, scratch + bytes_, c.pool, c.allocator, c.forms};
    if (absl::Status s = plain_->Launch(inner); !s.ok()) return s;
    for (const Move& m : out_) m.copy.Run(scratch + m.offset, c.outputs[m.index], c.pool);
    return absl::OkStatus();
  }
  std::string Description() const override {
    return absl::StrCat(plain_->Description(), " in plain order between reorders");
  }
  size_t scratch_bytes() const override { return bytes_ + plain_->scratch_bytes(); }
  size_t packed_bytes() const override { return plain_->packed_bytes(); }
  std::vector<int> unread_inputs() const override { return plain_->unread_inputs(); }
  absl::Span<const InputForm> forms() const override { return plain_->forms(); }

 private:
  const std::unique_ptr<Kernel> plain_;
  std::vector<Move> in_, out_;
  size_t bytes_ = 0;
};

absl::StatusOr<std::unique_ptr<Kernel>> PrepareDetour(const PrepareContext& context,
                                                      PrepareAny prepare) {
  PrepareContext plain = context;
  for (auto* types : {&plain.inputs, &plain.outputs}) {
    for (Type& t : *types) {
      if (t.layout() == Layout::kPlain) continue;
      if (t.dtype() == DType::kString) {
        return absl::UnimplementedError("strings have no layout but plain");
      }
      t = WithLayout(t, Layout::kPlain);
    }
  }
  absl::StatusOr<std::unique_ptr<Kernel>> kernel = prepare(plain);
  if (!kernel.ok()) return kernel;
  if ((*kernel)->dynamic_outputs()) {
    return absl::UnimplementedError("only the data knows the extents of its results");
  }
  return std::make_unique<Detour>(context, *std::move(kernel));
}

}  // namespace

bool KnowsLayouts(const Node& node) {
  static constexpr absl::string_view kOps[] = {
      "Reorder",          "Conv",          "FusedConv",
      "QuantizedConv",    "ConvTranspose", "FusedConvTranspose",
      "MaxPool",          "FusedMaxPool",  "AveragePool",
      "FusedAveragePool", "FusedLoop"};
  return std::find(std::begin(kOps), std::end(kOps), node.op_name()) != std::end(kOps);
}

namespace {

template <typename... Args>
absl::Status Refuse(const Args&... args) {
  return absl::UnimplementedError(absl::StrCat(args...));
}

// Marks the operands that have a result's extents; those of one number a channel are as they are.
absl::Status MarkOperands(const Node& node, size_t first, int rank, LayoutForm* form) {
  for (size_t i = first; i < node.num_inputs(); ++i) {
    if (node.input(i) == nullptr) continue;
    const Type& operand = node.input(i)->type();
    if (!operand.is_tensor() || !operand.has_shape()) return Refuse("an operand's rank is open");
    if (operand.rank() <= rank && SameInChannelsLast(Widened(operand, rank))) continue;
    if (operand.rank() != rank) {
      return Refuse("operand ", operand.ToString(),
                    " has channels and what is behind them but no batch");
    }
    form->inputs[i] = true;
  }
  return absl::OkStatus();
}

// A loop takes each value as it lies: what has the largest rank is laid out.
absl::StatusOr<LayoutForm> LoopForm(const Node& node, LayoutForm form) {
  int rank = 0;
  for (size_t i = 0; i < node.num_outputs(); ++i) {
    const Type& type = node.output(i)->type();
    if (!type.is_tensor() || !type.has_shape()) return Refuse("a result's rank is open");
    rank = std::max(rank, type.rank());
  }
  for (const Value* v : node.inputs()) {
    if (v->type().is_tensor() && v->type().has_shape()) rank = std::max(rank, v->type().rank());
  }
  if (rank < 3 || rank > 5) return Refuse("its values are no [N,C,D1,...]");
  if (absl::Status s = MarkOperands(node, 0, rank, &form); !s.ok()) return s;
  for (size_t i = 0; i < node.num_outputs(); ++i) {
    const Type& type = node.output(i)->type();
    form.outputs[i] = type.rank() == rank && !SameInChannelsLast(type);
  }
  return form;
}

}  // namespace

absl::StatusOr<LayoutForm> ChannelsLastForm(const Node& node) {
  if (node.num_inputs() == 0 || node.input(0) == nullptr || node.Is("Reorder")) {
    return Refuse(node.op_name(), " has no channels-last kernel");
  }
  LayoutForm form{std::vector<bool>(node.num_inputs()), std::vector<bool>(node.num_outputs())};
  if (node.Is("FusedLoop")) return LoopForm(node, std::move(form));
  const Type &x = node.input(0)->type(), &y = node.output()->type();
  if (!x.is_tensor() || !x.has_shape() || !y.is_tensor() || !y.has_shape()) {
    return Refuse("its rank is not known");
  }
  if (!KnowsLayouts(node)) return MemoryOrderForm(node);

  form.inputs[0] = !SameInChannelsLast(x);
  form.outputs[0] = !SameInChannelsLast(y);
  const bool bytes = (node.Is("MaxPool") || node.Is("QuantizedConv")) && ByteSize(x.dtype()) == 1;
  if (!(IsFloat(x.dtype()) || bytes) || x.dtype() == DType::kF64 || x.rank() > 5) {
    return Refuse("oneDNN takes no ", x.ToString());
  }
  if (node.Is("MaxPool") || node.Is("AveragePool")) {
    if (node.HasOutput(1) && node.output(1)->used()) return Refuse("it says where its maxima are");
    return form;
  }
  const bool fused_pool = node.Is("FusedMaxPool") || node.Is("FusedAveragePool");
  form.plain_moves = !fused_pool;
  if (node.Is("ConvTranspose")) return form;
  const size_t operands = fused_pool                 ? kPoolOperands
                          : node.Is("QuantizedConv") ? size_t{QuantizedInput::kOperands}
                                                     : kFusedOperands;
  if (absl::Status s = MarkOperands(node, operands, y.rank(), &form); !s.ok()) return s;
  return form;
}

absl::StatusOr<std::unique_ptr<Kernel>> PrepareInLayouts(const PrepareContext& context,
                                                         PrepareAny prepare) {
  if (!HasLayouts(context)) return prepare(context);
  absl::StatusOr<std::unique_ptr<Kernel>> kernel;
  if (KnowsLayouts(context.node)) {
    kernel = prepare(context);
  } else {
    absl::StatusOr<MemoryOrderNode> ordered = InMemoryOrder(context);
    kernel = ordered.ok() ? prepare(ordered->context()) : ordered.status();
  }
  if (kernel.ok() || !absl::IsUnimplemented(kernel.status())) return kernel;
  return PrepareDetour(context, prepare);
}

}  // namespace sluice::cpu
