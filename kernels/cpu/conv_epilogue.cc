#include "kernels/cpu/conv_epilogue.h"

#include "absl/strings/str_cat.h"
#include "kernels/cpu/staging.h"

namespace sluice::cpu {

absl::Status ConvEpilogue::Check(const PrepareContext& context, const ConvProblem& p) {
  const auto refuse = [](absl::string_view why) { return absl::UnimplementedError(why); };
  if (p.dtype != DType::kF32) return refuse("f32 only");
  if (p.empty() || p.channels == 0 || p.in_size() == 0) return refuse("an extent is 0");
  if (!context.IsPackable(1)) return refuse("the filters change from run to run");
  const Layout layout = context.outputs[0].layout();
  size_t binary = 0;
  for (const PostOp& step : p.steps) {
    if (step.operand < 0) continue;
    const Dims& d = p.operands[binary++];
    if (context.input_dtype(step.operand) != DType::kF32) return refuse("an operand is not f32");
    if (d[1] != 1 && Product(d) != d[0] * d[1] && context.inputs[step.operand].layout() != layout)
      return refuse("an operand has another layout than the result");
  }
  return absl::OkStatus();
}

absl::Status ConvEpilogue::Make(const ConvProblem& p, bool whole_pixels, bool plain) {
  bias_ = p.bias;
  width_ = p.out.back();
  features_ = p.features;
  size_t next = 0, binary = 0;
  if (!p.steps.empty() && absl::string_view(p.steps[0].def->name) == "Relu") {
    low_ = 0;
    next = 1;
  } else if (!p.steps.empty() && absl::string_view(p.steps[0].def->name) == "Clip") {
    low_ = p.steps[0].params[0];
    high_ = p.steps[0].params[1];
    next = 1;
  }
  const Dims out = p.OutDims();
  lines_ = whole_pixels;
  for (const Dims& d : p.operands) lines_ &= d == out || Product(d) == 1;
  const auto in_memory = [&](const Dims& d) {
    if (plain) return d;
    Dims m = {d[0]};
    m.insert(m.end(), d.begin() + 2, d.end());
    if (lines_) {
      m.back() *= d[1];
    } else {
      m.push_back(d[1]);
    }
    return m;
  };
  rest_ = Epilogue(DType::kF32, in_memory(out));
  for (; next < p.steps.size(); ++next) {
    PostOp step = p.steps[next];
    Dims dims;
    if (step.def->binary) {
      if (operands_.size() == kMaxOperands)
        return absl::UnimplementedError(absl::StrCat("more than ", kMaxOperands, " operands"));
      dims = in_memory(p.operands[binary++]);
      operands_.push_back(step.operand);
      step.operand = static_cast<int>(operands_.size()) - 1;
    }
    if (absl::Status s = rest_.Append(step, dims); !s.ok()) return s;
  }
  return absl::OkStatus();
}

ConvEpilogue::Operands ConvEpilogue::Bind(const LaunchContext& context) const {
  Operands o{.bias = bias_ >= 0 ? context.input<float>(bias_) : nullptr, .data = {}, .count = 0};
  for (int input : operands_) o.data[o.count++] = context.inputs[input];
  return o;
}

void ConvEpilogue::Line(int64_t row, int64_t first, int64_t last, int64_t from, int64_t count,
                        float* line, const Operands& operands) const {
  if (rest_.empty()) return;
  if (lines_) {
    return rest_.Run(row, first * features_, (last - first) * features_, line + first * features_,
                     operands.span());
  }
  rest_.RunTile(row * width_ + first, last - first, from, count, line + first * features_ + from,
                features_, operands.span());
}

void ConvEpilogue::All(float* y, const Operands& operands, ThreadPool* pool) const {
  rest_.RunAll(y, operands.span(), pool);
}

}  // namespace sluice::cpu
