#include "kernels/cpu/quantized.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace sluice::cpu {
namespace {

using Desc = dnnl::memory::desc;
using In = QuantizedInput;

// y = alpha * y + beta, collected over the steps that are no more than that.
struct Linear {
  double alpha = 1, beta = 0;
  void Then(double a, double b) {
    alpha *= a;
    beta = beta * a + b;
  }
  void Flush(dnnl::post_ops* ops) {
    if (alpha != 1 || beta != 0) {
      ops->append_eltwise(dnnl::algorithm::eltwise_linear, static_cast<float>(alpha),
                          static_cast<float>(beta));
    }
    *this = {};
  }
};

// A step with a constant number as its operand, as a linear function.
bool FoldStep(absl::string_view name, const Tensor& operand, Linear* linear) {
  if (!operand.valid() || operand.elements() != 1 || operand.dtype() != DType::kF32) return false;
  const double c = *operand.data<float>();
  if (name == "Add") {
    linear->Then(1, c);
  } else if (name == "Sub") {
    linear->Then(1, -c);
  } else if (name == "Mul") {
    linear->Then(c, 0);
  } else if (name == "Div" && c != 0) {
    linear->Then(1 / c, 0);
  } else {
    return false;
  }
  return true;
}

bool AllZero(const Tensor& t) {
  const char* bytes = static_cast<const char*>(t.raw());
  return std::all_of(bytes, bytes + t.bytes(), [](char c) { return c == 0; });
}

absl::Status CheckInt8Dots() {
  const int isa = static_cast<int>(dnnl::get_effective_cpu_isa());
  for (dnnl::cpu_isa wanted : {dnnl::cpu_isa::avx2_vnni, dnnl::cpu_isa::avx512_core_vnni}) {
    if ((isa & static_cast<int>(wanted)) == static_cast<int>(wanted)) return absl::OkStatus();
  }
  return absl::UnimplementedError("this machine has no 8-bit dot products (VNNI)");
}

bool IsScaled(DType dtype, const OperandScale& scale) {
  return dtype != DType::kF32 && (scale.scale != 1 || scale.zero != 0);
}

// oneDNN scales no operand, so the result is brought to the operand's scale and back:
// y + (r - z) s = (y / s + r) s - z s, and likewise for the others.
absl::Status CheckScaledStep(absl::string_view name, const OperandScale& scale) {
  const bool sums = name == "Add" || name == "Sub", bounds = name == "Max" || name == "Min";
  if ((sums && scale.scale != 0) || (bounds && scale.scale > 0) ||
      (name == "Mul" && scale.zero == 0)) {
    return absl::OkStatus();
  }
  return absl::UnimplementedError(absl::StrCat("oneDNN has no ", name, " of a scaled operand"));
}

}  // namespace

absl::Status CheckQuantized(const Node& node) {
  if (absl::Status s = CheckInt8Dots(); !s.ok()) return s;
  if (node.input(In::kW)->type().dtype() != DType::kI8) {
    return absl::UnimplementedError("oneDNN multiplies by signed weights only");
  }
  const Value* zero = node.input(In::kWZero);
  if (zero != nullptr && (zero->constant() == nullptr || !AllZero(*zero->constant()))) {
    return absl::UnimplementedError("oneDNN takes no zero point of the weights");
  }
  for (size_t i : {In::kYScale, In::kYZero}) {
    if (node.input(i) != nullptr && node.input(i)->constant() == nullptr) {
      return absl::UnimplementedError("the scale of the result is not constant");
    }
  }
  if (const Value* scale = node.input(In::kYScale); scale != nullptr) {
    const Tensor& t = *scale->constant();
    if (t.elements() != 1 || !std::isnormal(*t.data<float>())) {
      return absl::UnimplementedError("the scale of the result is not one normal number");
    }
  }
  absl::StatusOr<std::vector<PostOp>> steps = ReadPostOps(node, In::kOperands);
  if (!steps.ok()) return steps.status();
  absl::StatusOr<std::vector<OperandScale>> scales = ReadOperandScales(node);
  if (!scales.ok()) return scales.status();
  size_t binary = 0;
  for (const PostOp& step : *steps) {
    absl::Status s;
    if (!step.def->binary) {
      DnnlPostOps list;
      absl::Status made = DnnlTry(1, [&] { s = AppendDnnlStep(step, Desc(), &list); });
      s.Update(made);
    } else if (const OperandScale& scale = (*scales)[binary++];
               IsScaled(node.input(step.operand)->type().dtype(), scale)) {
      s = CheckScaledStep(step.def->name, scale);
    }
    if (!s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::StatusOr<QuantizedAttributes> QuantizedAttributes::Read(const PrepareContext& context,
                                                              absl::Span<const PostOp> steps,
                                                              absl::Span<const Dims> operands,
                                                              const Dims& out, int weight_mask) {
  if (absl::Status s = CheckQuantized(context.node); !s.ok()) return s;
  QuantizedAttributes a;
  auto add = [&](int id, size_t input, bool zero) {
    a.numbers_.push_back({id, static_cast<int>(input), Product(context.input_dims(input)), zero});
  };
  add(DNNL_ARG_ATTR_SCALES | DNNL_ARG_SRC, In::kXScale, false);
  add(DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS, In::kWScale, false);
  a.weight_mask_ = a.numbers_.back().count == 1 ? 0 : weight_mask;
  const bool offset = context.HasInput(In::kXZero) &&
                      !(context.IsConstant(In::kXZero) && AllZero(context.constants[In::kXZero]));
  if (offset) add(DNNL_ARG_ATTR_ZERO_POINTS | DNNL_ARG_SRC, In::kXZero, true);
  for (const Number& n : a.numbers_) {
    if (n.count < 1 || (n.count != 1 && n.input != static_cast<int>(In::kWScale))) {
      return NodeError(context.node, absl::StatusCode::kInvalidArgument,
                       absl::StrCat("input ", n.input, " has ", n.count, " elements; expected 1"));
    }
  }
  absl::Status read;
  absl::Status made =
      DnnlTry(context.threads, [&] { read = a.ReadSteps(context, steps, operands, out); });
  if (!made.ok()) return made;
  if (!read.ok()) return read;
  return a;
}

absl::Status QuantizedAttributes::ReadSteps(const PrepareContext& context,
                                            absl::Span<const PostOp> steps,
                                            absl::Span<const Dims> operands, const Dims& out) {
  absl::StatusOr<std::vector<OperandScale>> scales = ReadOperandScales(context.node);
  if (!scales.ok()) return scales.status();
  Linear linear;
  size_t binary = 0;
  for (const PostOp& step : steps) {
    const absl::string_view name = step.def->name;
    if (!step.def->binary) {
      linear.Flush(&post_.ops);
      if (absl::Status s = AppendDnnlStep(step, Desc(), &post_); !s.ok()) return s;
      continue;
    }
    const Dims& dims = operands[binary];
    const OperandScale& scale = (*scales)[binary++];
    const size_t input = static_cast<size_t>(step.operand);
    const DType dtype = context.input_dtype(input);
    if (context.IsConstant(input) && FoldStep(name, context.constants[input], &linear)) continue;
    const bool scaled = IsScaled(dtype, scale);
    const double s = scale.scale, z = static_cast<double>(scale.zero);
    const bool bounds = name == "Max" || name == "Min";
    if (scaled && name != "Mul") linear.Then(1 / s, bounds ? z : 0);
    linear.Flush(&post_.ops);
    const Desc desc = dims == out ? DnnlAny(dims, dtype) : DnnlPlain(dims, dtype);
    if (absl::Status st = AppendDnnlStep(step, desc, &post_); !st.ok()) return st;
    plain_.push_back(DnnlLaidOut(dims, dtype, context.inputs[step.operand].layout()));
    if (scaled) linear.Then(s, name == "Mul" ? 0 : name == "Sub" ? z * s : -z * s);
  }
  if (context.HasInput(In::kYScale)) {
    const Tensor &scale = context.constants[In::kYScale], *zero = nullptr;
    if (context.HasInput(In::kYZero)) zero = &context.constants[In::kYZero];
    if (zero != nullptr && zero->elements() != 1) {
      return NodeError(context.node, absl::StatusCode::kInvalidArgument,
                       "y_zero_point is not one number");
    }
    const int64_t z = zero == nullptr ? 0 : (*zero->AsInts())[0];
    // Ties round to even before the zero point is added. oneDNN rounds at the very end, which is
    // the same where the zero point is even.
    linear.Then(1.0 / *scale.data<float>(), 0);
    if (z % 2 != 0) {
      linear.Flush(&post_.ops);
      post_.ops.append_eltwise(dnnl::algorithm::eltwise_round, 0, 0);
    }
    linear.Then(1, static_cast<double>(z));
  }
  linear.Flush(&post_.ops);
  return absl::OkStatus();
}

dnnl::primitive_attr QuantizedAttributes::attr() const {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  for (const Number& n : numbers_) {
    const int arg = n.id & ~(DNNL_ARG_ATTR_SCALES | DNNL_ARG_ATTR_ZERO_POINTS);
    if (n.zero) {
      attr.set_zero_points_mask(arg, 0);
    } else {
      attr.set_scales_mask(arg, arg == DNNL_ARG_WEIGHTS ? weight_mask_ : 0);
    }
  }
  attr.set_post_ops(post_.ops);
  return attr;
}

void QuantizedAttributes::Bind(const dnnl::primitive_desc_base& pd, DnnlNode* kernel) const {
  for (const Number& n : numbers_) {
    const Desc desc = DnnlPlain({n.count}, n.zero ? DType::kI32 : DType::kF32);
    kernel->Input(n.id, n.input, desc, desc);
  }
  for (size_t i = 0; i < post_.operands.size(); ++i) {
    const DnnlPostOps::Operand& o = post_.operands[i];
    const bool any = o.desc.get_format_kind() == dnnl::memory::format_kind::any;
    kernel->Input(o.id, o.input, plain_[i],
                  any ? pd.query_md(dnnl::query::exec_arg_md, o.id) : o.desc);
  }
}

}  // namespace sluice::cpu
