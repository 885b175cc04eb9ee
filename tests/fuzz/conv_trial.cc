#include "tests/fuzz/conv_trial.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "ops/quantized.h"

namespace sluice::fuzz {
namespace {

constexpr int64_t kMaxProducts = 1 << 20;

int64_t ProductOf(absl::Span<const int64_t> v) {
  int64_t n = 1;
  for (int64_t e : v) n *= e;
  return n;
}

void Set(Tensor* t, int64_t i, double v) {
  switch (t->dtype()) {
    case DType::kF64:
      t->mutable_data<double>()[i] = v;
      break;
    case DType::kF32:
      t->mutable_data<float>()[i] = static_cast<float>(v);
      break;
    case DType::kF16:
      t->mutable_data<Float16>()[i] = Float16(static_cast<float>(v));
      break;
    case DType::kBF16:
      t->mutable_data<BFloat16>()[i] = BFloat16(static_cast<float>(v));
      break;
    case DType::kU8:
      t->mutable_data<uint8_t>()[i] = static_cast<uint8_t>(v);
      break;
    case DType::kI8:
      t->mutable_data<int8_t>()[i] = static_cast<int8_t>(v);
      break;
    default:
      t->mutable_data<int32_t>()[i] = static_cast<int32_t>(v);
  }
}

Tensor Number(DType dtype, double v) {
  Tensor t = *Tensor::Allocate(dtype, {});
  Set(&t, 0, v);
  return t;
}

bool Is8Bit(DType dtype) { return dtype == DType::kU8 || dtype == DType::kI8; }

}  // namespace

double ElementOf(const Tensor& t, int64_t i) {
  switch (t.dtype()) {
    case DType::kF64:
      return t.data<double>()[i];
    case DType::kF32:
      return t.data<float>()[i];
    case DType::kF16:
      return t.data<Float16>()[i];
    case DType::kBF16:
      return t.data<BFloat16>()[i];
    case DType::kU8:
      return t.data<uint8_t>()[i];
    case DType::kI8:
      return t.data<int8_t>()[i];
    default:
      return t.data<int32_t>()[i];
  }
}

ConvTrial::ConvTrial(absl::Span<const uint8_t> bytes) {
  size_t next = 0;
  const auto pick = [&](int64_t low, int64_t high) {
    return low + (next < bytes.size() ? bytes[next++] : 0) % (high - low + 1);
  };
  const auto one_of = [&](std::initializer_list<int64_t> list) {
    return list.begin()[pick(0, static_cast<int64_t>(list.size()) - 1)];
  };
  static constexpr const char* kOps[] = {"FusedConv",          "FusedConv",     "FusedConv",
                                         "FusedConvTranspose", "QuantizedConv", "QLinearConv",
                                         "ConvInteger"};
  op = kOps[pick(0, 6)];
  if (op == "FusedConv" || transposed()) {
    static constexpr DType kFloats[] = {DType::kF32,  DType::kF32, DType::kF32,
                                        DType::kBF16, DType::kF16, DType::kF64};
    x_dtype = y_dtype = kFloats[pick(0, 5)];
  } else {
    x_dtype = pick(0, 1) == 0 ? DType::kU8 : DType::kI8;
    static constexpr DType kResults[] = {DType::kU8, DType::kI8, DType::kF32};
    y_dtype = op == "ConvInteger"   ? DType::kI32
              : op == "QLinearConv" ? x_dtype
                                    : kResults[pick(0, 2)];
  }
  const int rank = static_cast<int>(one_of({1, 2, 2, 2, 3}));
  batch = one_of({1, 1, 2, 3});
  group = one_of({1, 1, 1, 1, 2, 3, 4, 8, 16, 32});
  group_channels = one_of({1, 1, 2, 3, 4, 5, 8, 9, 16, 17, 24, 32, 48, 64});
  group_features = one_of({1, 1, 2, 3, 4, 7, 8, 9, 16, 17, 24, 32, 40, 64});
  if (pick(0, 3) == 0) group_channels = group_features = 1;  // depthwise, if in groups
  // The common kind, which several kernels take; else anything.
  const bool plain_window = pick(0, 3) == 0;
  for (int i = 0; i < rank; ++i) {
    const bool inner = i == rank - 1;
    in.push_back(inner ? one_of({1, 1, 2, 3, 4, 5, 7, 8, 13, 16, 20, 33, 50})
                       : one_of({1, 2, 3, 4, 5, 6, 8, 11, 14}));
    kernel.push_back(plain_window ? 3 : one_of({1, 1, 2, 3, 3, 4, 5, 7}));
    strides.push_back(plain_window ? 1 : one_of({1, 1, 1, 2, 2, 3, 4}));
    dilations.push_back(plain_window ? 1 : one_of({1, 1, 1, 1, 2, 3, 5}));
    before.push_back(plain_window ? one_of({0, 1, 1, 2}) : one_of({0, 0, 1, 1, 2, 3, 4, 6, 9}));
    after.push_back(plain_window ? one_of({0, 1, 1, 2}) : one_of({0, 0, 1, 1, 2, 3, 4, 6, 9}));
  }
  // Whatever the bytes say, there is a result, and not too much of it.
  for (int i = 0; i < rank; ++i) {
    const int64_t window = (kernel[i] - 1) * dilations[i] + 1;
    const auto positions = [&] {
      return transposed() ? (in[i] - 1) * strides[i] + window - before[i] - after[i]
                          : in[i] + before[i] + after[i] - window + 1;
    };
    while (positions() < 1) ++in[i];
    out.push_back(transposed() ? positions() : (positions() - 1) / strides[i] + 1);
  }
  const auto products = [&] {
    return batch * group * group_channels * group_features * ProductOf(kernel) *
           ProductOf(transposed() ? in : out);
  };
  while (products() > kMaxProducts && group > 1) group /= 2;
  while (products() > kMaxProducts && group_features > 1) group_features /= 2;
  while (products() > kMaxProducts && group_channels > 1) group_channels /= 2;

  if (op == "FusedConv" || transposed() || op == "QuantizedConv") {
    static constexpr const char* kSteps[] = {"Relu",    "Relu",      "LeakyRelu", "Clip",
                                             "Sigmoid", "HardSwish", "Add",       "Mul"};
    for (int64_t i = one_of({0, 0, 1, 1, 2, 3}); i > 0; --i) {
      steps.push_back(kSteps[pick(0, op == "QuantizedConv" ? 3 : 7)]);
      if (steps.back() == "LeakyRelu") params.push_back(0.125f);
      if (steps.back() == "Clip") params.insert(params.end(), {-1.0f, 6.0f});
    }
  }
  threads = static_cast<int>(pick(1, 3));
  constant_weights = pick(0, 3) > 0;
  special = y_dtype == x_dtype && IsFloat(x_dtype) && pick(0, 3) == 0;
  fixed_split = pick(0, 3) == 0;
  const int64_t layouts = pick(0, 3);
  if (op != "QLinearConv" && op != "ConvInteger" && layouts > 0) {
    if (layouts != 2) x_layout = Layout::kChannelsLast;
    if (layouts != 3) y_layout = Layout::kChannelsLast;
  }
  const bool bias = pick(0, 1) == 1 && op != "ConvInteger";
  MakeInputs(static_cast<uint32_t>(pick(0, 255) * 256 + pick(0, 255)), bias);

  std::vector<int64_t> pads = before;
  pads.insert(pads.end(), after.begin(), after.end());
  attrs = {{"pads", pads}, {"strides", strides}, {"dilations", dilations}, {"group", group}};
  if (!steps.empty()) attrs.push_back({"activations", steps});
  if (!params.empty()) attrs.push_back({"activation_params", params});
}

Dims ConvTrial::OutDims() const {
  Dims dims = {batch, features()};
  dims.insert(dims.end(), out.begin(), out.end());
  return dims;
}

// Multiples of 1/8: sums are exact in f32, in whatever order.
void ConvTrial::MakeInputs(uint32_t seed, bool bias) {
  std::mt19937 random(seed);
  const auto below = [&](uint32_t n) { return static_cast<double>(random() % n); };
  const auto filled = [&](DType dtype, const Dims& dims) {
    Tensor t = *Tensor::Allocate(dtype, dims);
    for (int64_t i = 0; i < t.elements(); ++i) {
      Set(&t, i,
          dtype == DType::kU8   ? below(256)
          : dtype == DType::kI8 ? below(256) - 128
                                : (below(33) - 16) / 8);
    }
    return t;
  };
  Dims x_dims = {batch, channels()};
  x_dims.insert(x_dims.end(), in.begin(), in.end());
  Dims w_dims = {transposed() ? channels() : features(),
                 transposed() ? group_features : group_channels};
  w_dims.insert(w_dims.end(), kernel.begin(), kernel.end());
  Tensor x = filled(x_dtype, x_dims);
  if (special) {
    const double kinds[] = {NAN, INFINITY, -INFINITY};
    for (double n = below(3); n >= 0; --n)
      Set(&x, static_cast<int64_t>(random() % static_cast<uint32_t>(x.elements())),
          kinds[random() % 3]);
  }
  if (!Is8Bit(x_dtype)) {
    inputs = {x, filled(x_dtype, w_dims), bias ? filled(x_dtype, {features()}) : Tensor()};
    for (const std::string& step : steps) {
      if (step == "Add") inputs.push_back(filled(x_dtype, OutDims()));
      if (step != "Mul") continue;
      Dims channel(out.size() + 1, 1);
      channel[0] = features();
      inputs.push_back(filled(x_dtype, channel));
    }
    return;
  }
  const auto zero_of = [&](DType dtype) {
    return random() % 3 == 0 ? 0 : dtype == DType::kU8 ? 90 + below(60) : below(60) - 30;
  };
  x_zero_ = static_cast<int64_t>(zero_of(x_dtype));
  const DType w_dtype = op == "QuantizedConv" || random() % 2 == 0 ? DType::kI8 : DType::kU8;
  const Tensor w = filled(w_dtype, w_dims);
  if (op != "QuantizedConv") w_zero_ = static_cast<int64_t>(zero_of(w_dtype));
  if (op == "ConvInteger") {
    inputs = {x, w, Number(x_dtype, static_cast<double>(x_zero_)),
              Number(w_dtype, static_cast<double>(w_zero_))};
    return;
  }
  x_scale_ = 0.03125;
  inputs.assign(QuantizedInput::kOperands, Tensor());
  inputs[QuantizedInput::kX] = x;
  inputs[QuantizedInput::kXScale] = Number(DType::kF32, x_scale_);
  inputs[QuantizedInput::kXZero] = Number(x_dtype, static_cast<double>(x_zero_));
  inputs[QuantizedInput::kW] = w;
  Tensor w_scale = *Tensor::Allocate(DType::kF32, random() % 2 == 0 ? Dims{} : Dims{features()});
  for (int64_t i = 0; i < w_scale.elements(); ++i)
    Set(&w_scale, i, std::ldexp(1 + below(8) / 8, -10));
  inputs[QuantizedInput::kWScale] = w_scale;
  if (op == "QLinearConv")
    inputs[QuantizedInput::kWZero] = Number(w_dtype, static_cast<double>(w_zero_));
  if (Is8Bit(y_dtype)) {
    y_scale_ = std::ldexp(1, static_cast<int>(below(4)) - 3);
    y_zero_ = static_cast<int64_t>(zero_of(y_dtype));
    inputs[QuantizedInput::kYScale] = Number(DType::kF32, y_scale_);
    inputs[QuantizedInput::kYZero] = Number(y_dtype, static_cast<double>(y_zero_));
  }
  if (!bias) return;
  Tensor b = *Tensor::Allocate(op == "QLinearConv" ? DType::kI32 : DType::kF32, {features()});
  for (int64_t i = 0; i < b.elements(); ++i)
    Set(&b, i, op == "QLinearConv" ? below(4001) - 2000 : (below(33) - 16) / 8);
  inputs[QuantizedInput::kBias] = b;
}

double ConvTrial::Step(size_t i, double y, int64_t element, size_t* operand) const {
  const std::string& step = steps[i];
  if (step == "Relu") return y < 0 ? 0 : y;
  if (step == "LeakyRelu") return y < 0 ? y * 0.125 : y;
  if (step == "Clip") return y < -1 ? -1 : y > 6 ? 6 : y;
  if (step == "Sigmoid") return 1 / (1 + std::exp(-y));
  if (step == "HardSwish") {
    const double gate = y / 6 + 0.5;
    return y * (gate < 0 ? 0 : gate > 1 ? 1 : gate);
  }
  const Tensor& other = inputs[(*operand)++];
  if (step == "Add") return y + ElementOf(other, element);
  return y * ElementOf(other, element / ProductOf(out) % features());
}

ConvTrial::Reference ConvTrial::Compute() const {
  const Tensor &x = inputs[x_input()], &w = inputs[w_input()];
  const size_t rank = in.size();
  const int64_t in_size = ProductOf(in), out_size = ProductOf(out), taps = ProductOf(kernel);
  const size_t elements = static_cast<size_t>(batch * features() * out_size);
  Reference r{std::vector<double>(elements), 0};
  std::vector<double> size(elements);  // of the terms together
  // A convolution goes from each result to what it reads, a transposed one the other way.
  const Dims &from = transposed() ? in : out, &to = transposed() ? out : in;
  for (int64_t position = 0; position < ProductOf(from); ++position) {
    for (int64_t tap = 0; tap < taps; ++tap) {
      int64_t rest = position, rest_of_tap = tap, other = 0, scale = 1;
      bool inside = true;
      for (size_t axis = rank; axis-- > 0;) {
        const int64_t at = rest % from[axis] * strides[axis] - before[axis] +
                           rest_of_tap % kernel[axis] * dilations[axis];
        rest /= from[axis];
        rest_of_tap /= kernel[axis];
        inside = inside && at >= 0 && at < to[axis];
        other += at * scale;
        scale *= to[axis];
      }
      if (!inside) continue;
      const int64_t i = transposed() ? position : other, o = transposed() ? other : position;
      for (int64_t n = 0; n < batch; ++n) {
        for (int64_t c = 0; c < channels(); ++c) {
          const int64_t g = c / group_channels;
          const double v =
              ElementOf(x, (n * channels() + c) * in_size + i) - static_cast<double>(x_zero_);
          for (int64_t f = 0; f < group_features; ++f) {
            const int64_t at = transposed()
                                   ? c * group_features + f
                                   : (g * group_features + f) * group_channels + c % group_channels;
            const double term = v * (ElementOf(w, at * taps + tap) - static_cast<double>(w_zero_));
            const size_t y =
                static_cast<size_t>((n * features() + g * group_features + f) * out_size + o);
            r.y[y] += term;
            if (std::isfinite(term)) size[y] += std::abs(term);
          }
        }
      }
    }
  }
  const double largest = *std::max_element(size.begin(), size.end());
  for (size_t i = 0; i < elements; ++i) {
    const int64_t feature = static_cast<int64_t>(i) / out_size % features();
    double& y = r.y[i];
    if (op == "QLinearConv" && inputs[QuantizedInput::kBias].valid())
      y += ElementOf(inputs[QuantizedInput::kBias], feature);
    if (quantized()) {
      const Tensor& scale = inputs[QuantizedInput::kWScale];
      y *= x_scale_ * ElementOf(scale, scale.elements() == 1 ? 0 : feature);
    }
    const size_t bias = op == "QuantizedConv" ? size_t{QuantizedInput::kBias} : 2;
    if (op != "QLinearConv" && op != "ConvInteger" && inputs[bias].valid())
      y += ElementOf(inputs[bias], feature);
    size_t operand = 3;
    for (size_t s = 0; s < steps.size(); ++s) y = Step(s, y, static_cast<int64_t>(i), &operand);
    if (Is8Bit(y_dtype)) y = y / y_scale_ + static_cast<double>(y_zero_);  // rounded by Agrees()
  }
  // Every step at most doubles an error.
  const double grown = std::ldexp(1, static_cast<int>(steps.size()));
  const double precision = x_dtype == DType::kF64    ? 1e-12
                           : x_dtype == DType::kBF16 ? 0x1p-7
                           : x_dtype == DType::kF16  ? 0x1p-9
                                                     : 1e-5;
  r.tolerance = quantized() ? 1e-3 : (largest + 4) * precision * grown;
  return r;
}

bool ConvTrial::Agrees(double y, double reference, double tolerance) const {
  if (Is8Bit(y_dtype)) {
    const double low = y_dtype == DType::kU8 ? 0 : -128;
    // Ties may go either way where the number is not exact.
    const double down = std::clamp(std::nearbyint(reference - tolerance), low, low + 255);
    const double up = std::clamp(std::nearbyint(reference + tolerance), low, low + 255);
    return y >= down && y <= up;
  }
  if (y_dtype == DType::kI32) return y == reference;
  if (std::isnan(reference)) return std::isnan(y);
  const double largest = y_dtype == DType::kF16 ? 65504 : std::numeric_limits<float>::max();
  if (std::isinf(reference) || (std::abs(reference) > largest && y_dtype != DType::kF64))
    return y == std::copysign(INFINITY, reference);
  return std::abs(y - reference) <= tolerance + std::abs(reference) * 1e-6;
}

std::string ConvTrial::ToString() const {
  const auto list = [](absl::Span<const int64_t> v) { return absl::StrJoin(v, ","); };
  return absl::StrCat(
      op, " ", sluice::ToString(x_dtype), " to ", sluice::ToString(y_dtype), ", batch ", batch,
      ", ", group, " groups of ", group_channels, " to ", group_features, ", in ", list(in),
      ", kernel ", list(kernel), ", strides ", list(strides), ", dilations ", list(dilations),
      ", pads ", list(before), ";", list(after), ", out ", list(out), ", steps ",
      absl::StrJoin(steps, " "), x_layout == Layout::kPlain ? ", plain" : ", channels last",
      y_layout == Layout::kPlain ? " to plain" : " to channels last", ", ", threads, " threads",
      constant_weights ? "" : ", weights fed", special ? ", NaN and infinities" : "",
      fixed_split ? ", fixed split" : "", ", zero points ", x_zero_, " ", w_zero_, " ", y_zero_);
}

}  // namespace sluice::fuzz
