#include "kernels/cpu/conv_problem.h"

#include "absl/strings/str_cat.h"
#include "kernels/cpu/layout/layouts.h"
#include "kernels/cpu/staging.h"
#include "ops/quantized.h"

namespace sluice::cpu {

absl::StatusOr<ConvProblem> ConvProblem::Read(const PrepareContext& context, size_t x, size_t w,
                                              size_t bias) {
  const Node& node = context.node;
  const Dims in = context.input_dims(x), weights = context.input_dims(w);
  const Dims out = context.output_dims(0);
  ConvProblem p;
  p.dtype = context.input_dtype(x);
  p.batch = in[0];
  p.channels = in[1];
  p.features = weights[0];
  p.group = node.Int("group");
  // Inference has compared these where it knew them; here everything is known.
  if (in.size() != weights.size() || in.size() < 3 || in.size() > 60 || p.group < 1 ||
      p.features % p.group != 0 || in[1] % p.group != 0 || weights[1] != in[1] / p.group) {
    return NodeError(node, absl::StatusCode::kInvalidArgument,
                     absl::StrCat("input ", DimsToString(in), " does not fit weights ",
                                  DimsToString(weights), " in ", p.group, " groups"));
  }
  p.x_layout = context.inputs[x].layout();
  p.y_layout = context.outputs[0].layout();
  p.plain = !HasLayouts(context);
  p.in.assign(in.begin() + 2, in.end());
  p.out.assign(out.begin() + 2, out.end());
  const std::vector<int64_t> kernel(weights.begin() + 2, weights.end());
  absl::StatusOr<Window> window = Window::Read(node, kernel);
  if (!window.ok()) return window.status();
  p.window = *std::move(window);
  p.window.Resolve(p.in);
  if (context.HasInput(bias)) {
    p.bias = static_cast<int>(bias);
    if (context.input_dims(bias) != Dims{p.features}) {
      return NodeError(node, absl::StatusCode::kInvalidArgument,
                       absl::StrCat("the bias is ", DimsToString(context.input_dims(bias)),
                                    "; expected [", p.features, "]"));
    }
  }
  const bool quantized = node.Is("QuantizedConv");
  if (quantized || node.Is("FusedConv")) {
    absl::Status s =
        p.PostOps::Read(context, quantized ? QuantizedInput::kOperands : kFusedOperands, out);
    if (!s.ok()) return s;
  }
  return p;
}

int64_t ConvProblem::in_size() const { return Product(in); }
int64_t ConvProblem::out_size() const { return Product(out); }
int64_t ConvProblem::taps() const { return Product(window.kernel); }

Dims ConvProblem::OutDims() const {
  Dims dims = {batch, features};
  dims.insert(dims.end(), out.begin(), out.end());
  return dims;
}

Dims ConvProblem::InDims() const {
  Dims dims = {batch, channels};
  dims.insert(dims.end(), in.begin(), in.end());
  return dims;
}

}  // namespace sluice::cpu
