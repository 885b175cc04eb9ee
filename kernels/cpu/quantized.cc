#include "kernels/cpu/quantized.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

namespace sluice::cpu {
namespace {

using Desc = dnnl::memory::desc;
using In = QuantizedInput;

// A step with a constant number as its operand, as a linear function: y = alpha * y + beta.
struct Linear {
  double alpha = 1, beta = 0;
};
std::optional<Linear> FoldStep(absl::string_view name, const Tensor& operand) {
  if (!operand.valid() || operand.elements() != 1 || operand.dtype() != DType::kF32)
    return std::nullopt;
  const double c = *operand.data<float>();
  if (name == "Add") return Linear{1, c};
  if (name == "Sub") return Linear{1, -c};
  if (name == "Mul") return Linear{c, 0};
  if (name == "Div" && c != 0) return Linear{1 / c, 0};
  return std::nullopt;
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

// Of f32, wherever it lies; out of memory throws as oneDNN does.
Tensor Times(const Tensor& t, float factor) {
  absl::StatusOr<Tensor> aligned = t.Aligned(), scaled = Tensor::Allocate(DType::kF32, t.dims());
  if (!aligned.ok() || !scaled.ok()) throw dnnl::error(dnnl_out_of_memory, "a copy of scales");
  for (int64_t i = 0; i < t.elements(); ++i)
    scaled->mutable_data<float>()[i] = factor * aligned->data<float>()[i];
  return *std::move(scaled);
}

bool IsRelu(const PostOp& step) { return absl::string_view(step.def->name) == "Relu"; }

}  // namespace

// The steps behind a product, in as few as possible: each costs instructions for every element.
struct QuantizedAttributes::Chain {
  enum Kind : uint8_t { kLinear, kStep, kRound };
  struct Item {
    Kind kind;
    Linear linear;
    PostOp step;
    Desc desc, plain;  // of a binary step's operand
  };
  std::vector<Item> items;

  void Then(Linear next) {
    if (items.empty() || items.back().kind != kLinear)
      items.push_back({kLinear, Linear(), {}, {}, {}});
    Linear& last = items.back().linear;
    last = {last.alpha * next.alpha, last.beta * next.alpha + next.beta};
  }

  // A factor passes through a Relu and joins the next one; `clamps`: what follows clamps at 0.
  void Simplify(bool clamps) {
    std::vector<Item> before;
    before.swap(items);
    for (size_t i = 0; i < before.size(); ++i) {
      Item& item = before[i];
      if (item.kind == kLinear) {
        Then(item.linear);
      } else if (item.kind == kStep && IsRelu(item.step)) {
        std::optional<Linear> factor;
        if (!items.empty() && items.back().kind == kLinear && items.back().linear.alpha > 0 &&
            items.back().linear.beta == 0) {
          factor = items.back().linear;
          items.pop_back();
        }
        const bool last = i + 1 == before.size() ||
                          (i + 2 == before.size() && before[i + 1].kind == kLinear &&
                           before[i + 1].linear.alpha > 0 && before[i + 1].linear.beta == 0);
        if (!clamps || !last) items.push_back(std::move(item));
        if (factor.has_value()) Then(*factor);
      } else {
        items.push_back(std::move(item));
      }
    }
    std::erase_if(items, [](const Item& item) {
      return item.kind == kLinear && item.linear.alpha == 1 && item.linear.beta == 0;
    });
  }
};

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
  const bool rounds = node.input(In::kYScale) != nullptr ||
                      std::any_of(steps->begin(), steps->end(), [](const PostOp& step) {
                        return absl::string_view(step.def->name) == "Round";
                      });
  size_t binary = 0;
  for (const PostOp& step : *steps) {
    absl::Status s;
    if (rounds && step.def->binary && node.input(step.operand)->constant() == nullptr &&
        IsFloat(node.input(step.operand)->type().dtype())) {
      return absl::UnimplementedError(
          "a float operand may be NaN, which oneDNN rounds to the largest number and "
          "QuantizeLinear to the zero point");
    }
    if (!DnnlKeepsNaN(step)) {
      s = absl::UnimplementedError(absl::StrCat("oneDNN's ", step.def->name, " loses NaN"));
    } else if (!step.def->binary) {
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
  absl::Status made = DnnlTry(context.threads, [&] {
    Chain chain;
    read = a.ReadSteps(context, steps, operands, out, &chain);
    const bool bias = context.HasInput(In::kBias);
    if (read.ok() && !chain.items.empty() && chain.items[0].kind == Chain::kLinear &&
        chain.items[0].linear.beta == 0 && context.IsConstant(In::kWScale) &&
        (!bias || context.IsConstant(In::kBias))) {
      a.factor_ = static_cast<float>(chain.items[0].linear.alpha);
      chain.items.erase(chain.items.begin());
    }
    for (const Chain::Item& item : chain.items) {
      if (!read.ok()) break;
      switch (item.kind) {
        case Chain::kLinear:
          a.post_.ops.append_eltwise(dnnl::algorithm::eltwise_linear,
                                     static_cast<float>(item.linear.alpha),
                                     static_cast<float>(item.linear.beta));
          break;
        case Chain::kRound:
          a.post_.ops.append_eltwise(dnnl::algorithm::eltwise_round, 0, 0);
          break;
        case Chain::kStep:
          read = AppendDnnlStep(item.step, item.desc, &a.post_);
          if (item.step.def->binary) a.plain_.push_back(item.plain);
      }
    }
  });
  if (!made.ok()) return made;
  if (!read.ok()) return read;
  return a;
}

absl::Status QuantizedAttributes::ReadSteps(const PrepareContext& context,
                                            absl::Span<const PostOp> steps,
                                            absl::Span<const Dims> operands, const Dims& out,
                                            Chain* chain) {
  absl::StatusOr<std::vector<OperandScale>> scales = ReadOperandScales(context.node);
  if (!scales.ok()) return scales.status();
  size_t binary = 0;
  for (const PostOp& step : steps) {
    const absl::string_view name = step.def->name;
    if (!step.def->binary) {
      chain->items.push_back({Chain::kStep, {}, step, {}, {}});
      continue;
    }
    const Dims& dims = operands[binary];
    const OperandScale& scale = (*scales)[binary++];
    const size_t input = static_cast<size_t>(step.operand);
    const DType dtype = context.input_dtype(input);
    if (context.IsConstant(input)) {
      if (const std::optional<Linear> folded = FoldStep(name, context.constants[input])) {
        chain->Then(*folded);
        continue;
      }
    }
    const bool scaled = IsScaled(dtype, scale);
    const double s = scale.scale, z = static_cast<double>(scale.zero);
    const bool bounds = name == "Max" || name == "Min";
    if (scaled && name != "Mul") chain->Then({1 / s, bounds ? z : 0});
    chain->items.push_back({Chain::kStep,
                            {},
                            step,
                            dims == out ? DnnlAny(dims, dtype) : DnnlPlain(dims, dtype),
                            DnnlLaidOut(dims, dtype, context.inputs[step.operand].layout())});
    if (scaled) chain->Then({s, name == "Mul" ? 0 : name == "Sub" ? z * s : -z * s});
  }
  bool clamps = false;
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
    chain->Then({1.0 / *scale.data<float>(), 0});
    if (z % 2 != 0) chain->items.push_back({Chain::kRound, {}, {}, {}, {}});
    chain->Then({1, static_cast<double>(z)});
    clamps = z == 0 && context.output_dtype(0) == DType::kU8;
  }
  chain->Simplify(clamps);
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

void QuantizedAttributes::Bind(const PrepareContext& context, const dnnl::primitive_desc_base& pd,
                               DnnlNode* kernel) const {
  for (const Number& n : numbers_) {
    const Desc desc = DnnlPlain({n.count}, n.zero ? DType::kI32 : DType::kF32);
    if (n.input == static_cast<int>(In::kWScale) && factor_ != 1) {
      kernel->Fixed(n.id, n.input, desc, Times(context.constants[In::kWScale], factor_));
    } else {
      kernel->Input(n.id, n.input, desc, desc);
    }
  }
  for (size_t i = 0; i < post_.operands.size(); ++i) {
    const DnnlPostOps::Operand& o = post_.operands[i];
    const bool any = o.desc.get_format_kind() == dnnl::memory::format_kind::any;
    kernel->Input(o.id, o.input, plain_[i],
                  any ? pd.query_md(dnnl::query::exec_arg_md, o.id) : o.desc);
  }
}

void QuantizedAttributes::BindBias(const PrepareContext& context, const Desc& bias,
                                   DnnlNode* kernel) const {
  if (factor_ == 1) return kernel->Input(DNNL_ARG_BIAS, In::kBias, bias, bias);
  kernel->Fixed(DNNL_ARG_BIAS, In::kBias, bias, Times(context.constants[In::kBias], factor_));
}

}  // namespace sluice::cpu
