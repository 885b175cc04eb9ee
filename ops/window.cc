#include "ops/window.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "graph/text.h"

namespace sluice {
namespace {

// Larger values make no sense and could overflow: extents are below 2^48 or so.
constexpr int64_t kMaxStep = int64_t{1} << 31;

template <typename... Args>
absl::Status Bad(const Node& node, const Args&... args) {
  return NodeError(node, absl::StatusCode::kInvalidArgument, absl::StrCat(args...));
}

absl::Status ReadSteps(const Node& node, const char* attr, int rank, int64_t lowest, size_t count,
                       int64_t otherwise, std::vector<int64_t>* steps) {
  *steps = node.Ints(attr);
  if (steps->empty()) steps->assign(count, otherwise);
  if (steps->size() != count) {
    return Bad(node, attr, " has ", steps->size(), " entries; expected ", count, " for ", rank,
               " spatial axes");
  }
  for (int64_t v : *steps) {
    if (v < lowest || v > kMaxStep) {
      return Bad(node, attr, " holds ", v, "; expected ", lowest, " to ", kMaxStep);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Window> Window::Read(const Node& node, absl::Span<const int64_t> kernel) {
  Window w;
  const size_t rank = kernel.size();
  w.kernel.assign(kernel.begin(), kernel.end());
  for (int64_t k : kernel) {
    if (k < 1 || k > kMaxStep) {
      return Bad(node, "the kernel has extent ", k, "; expected 1 to ", kMaxStep);
    }
  }
  const int n = static_cast<int>(rank);
  absl::Status s = ReadSteps(node, "strides", n, 1, rank, 1, &w.strides);
  if (!s.ok()) return s;
  s = ReadSteps(node, "dilations", n, 1, rank, 1, &w.dilations);
  if (!s.ok()) return s;
  const std::string auto_pad = node.String("auto_pad");
  std::vector<int64_t> pads(2 * rank, 0);
  if (auto_pad.empty() || auto_pad == "NOTSET") {
    s = ReadSteps(node, "pads", n, 0, 2 * rank, 0, &pads);
    if (!s.ok()) return s;
  } else if (auto_pad == "VALID") {
    w.auto_pad = AutoPad::kValid;
  } else if (auto_pad == "SAME_UPPER") {
    w.auto_pad = AutoPad::kSameUpper;
  } else if (auto_pad == "SAME_LOWER") {
    w.auto_pad = AutoPad::kSameLower;
  } else {
    return Bad(node, "auto_pad is ", Shown(auto_pad),
               "; expected NOTSET, VALID, SAME_UPPER or SAME_LOWER");
  }
  w.pads_begin.assign(pads.begin(), pads.begin() + rank);
  w.pads_end.assign(pads.begin() + rank, pads.end());
  w.ceil_mode = node.Int("ceil_mode") != 0;
  // (kernel - 1) * dilation stays below 2^62.
  return w;
}

absl::StatusOr<Dim> Window::Positions(int i, const Dim& in) const {
  const Dim stride = strides[i];
  if (auto_pad == AutoPad::kSameUpper || auto_pad == AutoPad::kSameLower) {
    return CeilDiv(in, stride);
  }
  const Dim room = in + pads_begin[i] + pads_end[i] - extent(i);
  if (in.is_number() && in.number() == 0) return Dim(0);
  if (room.is_number() && room.number() < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "spatial axis ", i, " has extent ", in.ToString(), " with padding ", pads_begin[i], " + ",
        pads_end[i], ", but the window covers ", extent(i), " elements"));
  }
  if (!ceil_mode) return FloorDiv(room, stride) + 1;
  // A window that would start in the padding at the end is left out.
  return Min(CeilDiv(room, stride) + 1, CeilDiv(in + pads_begin[i], stride));
}

void Window::Resolve(absl::Span<const int64_t> in) {
  if (auto_pad == AutoPad::kSameUpper || auto_pad == AutoPad::kSameLower) {
    for (int i = 0; i < rank(); ++i) {
      const int64_t out = (in[i] + strides[i] - 1) / strides[i];
      const int64_t total = std::max<int64_t>(0, (out - 1) * strides[i] + extent(i) - in[i]);
      const int64_t half = total / 2;
      pads_begin[i] = auto_pad == AutoPad::kSameUpper ? half : total - half;
      pads_end[i] = total - pads_begin[i];
    }
  }
  auto_pad = AutoPad::kNone;
}

absl::StatusOr<std::optional<std::vector<int64_t>>> ConvKernel(const Node& node,
                                                               const Type& weights) {
  std::vector<int64_t> kernel = node.Ints("kernel_shape");
  if (!weights.is_tensor() || !weights.has_shape()) {
    if (kernel.empty()) return std::nullopt;
    return kernel;
  }
  const int spatial = weights.rank() - 2;
  if (spatial < 1) {
    return Bad(node, "the weights are ", weights.ToString(), "; expected rank 3 or more");
  }
  if (!kernel.empty() && static_cast<int>(kernel.size()) != spatial) {
    return Bad(node, "kernel_shape has ", kernel.size(), " entries, but the weights are ",
               weights.ToString());
  }
  const bool given = !kernel.empty();
  kernel.resize(spatial);
  for (int i = 0; i < spatial; ++i) {
    const Dim& d = weights.dim(2 + i);
    if (!d.is_number()) {
      if (!given) return std::nullopt;
    } else if (given && kernel[i] != d.number()) {
      return Bad(node, "kernel_shape[", i, "] is ", kernel[i], ", but the weights are ",
                 weights.ToString());
    } else {
      kernel[i] = d.number();
    }
  }
  return kernel;
}

absl::StatusOr<Type> ConvOutput(const Node& node, const Type& x, const Type& w, const Type& bias,
                                DType dtype) {
  absl::StatusOr<std::optional<std::vector<int64_t>>> kernel = ConvKernel(node, w);
  if (!kernel.ok()) return kernel.status();
  const int64_t group = node.Int("group");
  if (group < 1) return Bad(node, "group is ", group, "; expected 1 or more");
  const bool x_known = x.is_tensor() && x.has_shape(), w_known = w.is_tensor() && w.has_shape();
  if (x_known && x.rank() < 3) {
    return Bad(node, "the input is ", x.ToString(), "; expected [N,C,D1,...] of rank 3 or more");
  }
  if (x_known && w_known) {
    if (x.rank() != w.rank()) {
      return Bad(node, "input ", x.ToString(), " and weights ", w.ToString(), " differ in rank");
    }
    if (ProvablyDifferent(x.dim(1), w.dim(1) * group)) {
      return Bad(node, "input ", x.ToString(), " has ", x.dim(1).ToString(),
                 " channels, but weights ", w.ToString(), " in ", group, " groups take ",
                 (w.dim(1) * group).ToString());
    }
  }
  if (w_known && w.dim(0).is_number() && w.dim(0).number() % group != 0) {
    return Bad(node, w.dim(0).number(), " output channels do not divide into ", group, " groups");
  }
  if (bias.is_tensor() && bias.has_shape()) {
    if (bias.rank() != 1 || (w_known && ProvablyDifferent(bias.dim(0), w.dim(0)))) {
      return Bad(node, "the bias is ", bias.ToString(), "; expected one number for each of ",
                 w_known ? w.dim(0).ToString() : "the", " output channels");
    }
  }
  const int rank = x_known ? x.rank() : w_known ? w.rank() : 0;
  if (rank == 0) return Type::Tensor(dtype);
  Shape out(rank, Dim::Unknown());
  if (x_known) out[0] = x.dim(0);
  if (w_known) out[1] = w.dim(0);
  if (kernel->has_value()) {
    absl::StatusOr<Window> window = Window::Read(node, **kernel);
    if (!window.ok()) return window.status();
    if (window->rank() != rank - 2) {
      return Bad(node, "kernel_shape has ", window->rank(), " entries for ", rank - 2,
                 " spatial axes");
    }
    for (int i = 0; x_known && i < window->rank(); ++i) {
      absl::StatusOr<Dim> d = window->Positions(i, x.dim(2 + i));
      if (!d.ok()) return Bad(node, d.status().message());
      out[2 + i] = *d;
    }
  }
  return Type::Tensor(dtype, std::move(out));
}

}  // namespace sluice
