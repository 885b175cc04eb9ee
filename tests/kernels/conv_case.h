// One convolution by one named kernel, in any layout and with any steps, beside the definition.
#ifndef SLUICE_TESTS_KERNELS_CONV_CASE_H_
#define SLUICE_TESTS_KERNELS_CONV_CASE_H_

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "graph/builder.h"
#include "kernels/cpu/cpu_kernels.h"
#include "ops/op.h"

namespace sluice {

struct ConvCase {
  int64_t n = 1, c = 16, k = 16, h = 12, w = 12;
  std::vector<int64_t> pads = {1, 1, 1, 1};
  std::vector<std::string> steps = {};
  std::vector<float> params = {};
  std::vector<Dims> operands = {};
  Layout in = Layout::kChannelsLast, out = Layout::kChannelsLast;
  int threads = 1;
  Accuracy accuracy = Accuracy::kStandard;
  std::vector<int64_t> strides = {1, 1};
  bool constant = true, bias = true;
  std::vector<int64_t> kernel = {3, 3}, dilations = {1, 1};
  int64_t group = 1;
  // A third axis in front of the image's; 0: none.
  struct Axis {
    int64_t extent = 0, taps = 1, stride = 1, before = 0, after = 0;
    int64_t slices() const { return std::max<int64_t>(1, extent); }
    int64_t out() const { return extent == 0 ? 1 : (extent + before + after - taps) / stride + 1; }
  } z = {};

  int64_t oh() const { return Positions(h, 0); }
  int64_t ow() const { return Positions(w, 1); }
  int64_t taps() const { return kernel[0] * kernel[1]; }
  int64_t depth() const { return c / group * taps() * z.taps; }  // terms of one result
  // [n, channels, z, y, x], without z where there is none.
  Dims DimsOf(int64_t first, int64_t channels, int64_t slices, int64_t y, int64_t x) const {
    return z.extent == 0 ? Dims{first, channels, y, x} : Dims{first, channels, slices, y, x};
  }
  Dims OutDims() const { return DimsOf(n, k, z.out(), oh(), ow()); }

 private:
  int64_t Positions(int64_t extent, int axis) const {
    return (extent + pads[axis] + pads[axis + 2] - (kernel[axis] - 1) * dilations[axis] - 1) /
               strides[axis] +
           1;
  }
};

using Numbers = std::vector<double>;
struct ConvData {
  Numbers x, w, bias;
  std::vector<Numbers> operands;
};

inline Numbers Normal(int64_t n, uint32_t seed, double scale = 1) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal;
  Numbers v(static_cast<size_t>(n));
  for (double& x : v) x = static_cast<float>(normal(rng) * scale);
  return v;
}

inline ConvData NormalData(const ConvCase& s) {
  ConvData d{Normal(s.n * s.c * s.z.slices() * s.h * s.w, 1),
             Normal(s.k * s.depth(), 2, 1 / std::sqrt(static_cast<double>(s.depth()))),
             Normal(s.k, 3),
             {}};
  for (const Dims& dims : s.operands) {
    int64_t n = 1;
    for (int64_t e : dims) n *= e;
    d.operands.push_back(Normal(n, 4));
  }
  return d;
}

// [N,C,H,W] numbers as a tensor that lies in `layout`.
inline Tensor ToTensor(const Numbers& v, const Dims& d, Layout layout) {
  Tensor t = *Tensor::Allocate(DType::kF32, d);
  float* out = t.mutable_data<float>();
  if (layout == Layout::kPlain || d.size() < 4) {
    for (size_t i = 0; i < v.size(); ++i) out[i] = static_cast<float>(v[i]);
    return t;
  }
  const int64_t area = t.elements() / (d[0] * d[1]);
  for (int64_t i = 0; i < t.elements(); ++i) {
    const int64_t image = i / (d[1] * area), channel = i / area % d[1], at = i % area;
    out[(image * area + at) * d[1] + channel] = static_cast<float>(v[i]);
  }
  return t;
}
inline Numbers FromTensor(const Tensor& t, Layout layout) {
  const Dims d(t.dims().begin(), t.dims().end());
  const int64_t area = t.elements() / (d[0] * d[1]);
  Numbers v(static_cast<size_t>(t.elements()));
  for (int64_t i = 0; i < t.elements(); ++i) {
    const int64_t image = i / (d[1] * area), channel = i / area % d[1], at = i % area;
    v[i] = t.data<float>()[layout == Layout::kPlain ? i : (image * area + at) * d[1] + channel];
  }
  return v;
}

inline Type TypeOf(const Dims& d, Layout layout) {
  return Type::Tensor(DType::kF32, Shape(d.begin(), d.end()), layout);
}

struct ConvResult {
  absl::Status status;
  Numbers y;
  std::string description;
};

inline ConvResult Convolve(const ConvCase& s, const ConvData& data, const char* candidate) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  const Dims in = s.DimsOf(s.n, s.c, s.z.extent, s.h, s.w), out = s.OutDims();
  const Dims filters = s.DimsOf(s.k, s.c / s.group, s.z.taps, s.kernel[0], s.kernel[1]);
  std::vector<Tensor> fed = {ToTensor(data.x, in, s.in), ToTensor(data.w, filters, Layout::kPlain),
                             s.bias ? ToTensor(data.bias, {s.k}, Layout::kPlain) : Tensor()};
  std::vector<Type> types = {TypeOf(in, s.in), Type::Of(fed[1]),
                             s.bias ? Type::Of(fed[2]) : Type()};
  for (size_t i = 0; i < s.operands.size(); ++i) {
    const Layout layout = s.operands[i] == out ? s.out : Layout::kPlain;
    fed.push_back(ToTensor(data.operands[i], s.operands[i], layout));
    types.push_back(TypeOf(s.operands[i], layout));
  }
  std::vector<Value*> values;
  for (size_t i = 0; i < fed.size(); ++i)
    values.push_back(fed[i].valid() ? b.Input(absl::StrCat("in", i), Type::Of(fed[i])) : nullptr);
  std::vector<int64_t> pads = s.pads, strides = s.strides, dilations = s.dilations;
  if (s.z.extent > 0) {
    pads = {s.z.before, s.pads[0], s.pads[1], s.z.after, s.pads[2], s.pads[3]};
    strides.insert(strides.begin(), s.z.stride);
    dilations.insert(dilations.begin(), 1);
  }
  AttrList attrs = {{"pads", pads},
                    {"strides", strides},
                    {"dilations", dilations},
                    {"group", s.group},
                    {"activations", s.steps}};
  if (!s.params.empty()) attrs.push_back({"activation_params", s.params});
  const std::vector<Value*> made = b.OpN("FusedConv", values, 1, attrs);
  if (!b.status().ok()) return {b.status(), {}, ""};
  Dims result = *made[0]->type().StaticDims();
  PrepareContext context{
      .node = *made[0]->producer(), .threads = s.threads, .accuracy = s.accuracy};
  context.inputs = types;
  context.outputs = {TypeOf(result, s.out)};
  context.constants.resize(fed.size());
  if (s.constant) context.constants[1] = fed[1];
  for (const KernelCandidate& c : CpuKernels().Find("FusedConv")) {
    if (std::string(c.name) != candidate) continue;
    const absl::StatusOr<double> estimate = c.estimate(context);
    absl::StatusOr<std::unique_ptr<Kernel>> kernel = c.prepare(context);
    EXPECT_EQ(estimate.ok(), kernel.ok()) << estimate.status() << kernel.status();
    if (!kernel.ok()) return {kernel.status(), {}, ""};
    EXPECT_GT(*estimate, 0);
    Tensor y = *Tensor::Allocate(DType::kF32, result);
    Tensor scratch =
        *Tensor::Allocate(DType::kU8, {static_cast<int64_t>((*kernel)->scratch_bytes())});
    std::vector<const void*> inputs;
    for (const Tensor& t : fed) inputs.push_back(t.valid() ? t.raw() : nullptr);
    inputs[1] = nullptr;  // it says that it does not read the filters
    void* outputs[] = {y.mutable_raw()};
    ThreadPool pool(s.threads);
    const LaunchContext launch{inputs, outputs, scratch.mutable_raw(), &pool, nullptr};
    for (int round = 0; round < 2; ++round) {  // the second finds used scratch
      if (absl::Status status = (*kernel)->Launch(launch); !status.ok()) return {status, {}, ""};
    }
    return {absl::OkStatus(), FromTensor(y, s.out), (*kernel)->Description()};
  }
  return {absl::NotFoundError("no such candidate"), {}, ""};
}

// The definition, without steps.
template <typename T>
Numbers Direct(const ConvCase& s, const ConvData& d) {
  Numbers y;
  const int64_t channels = s.c / s.group;
  for (int64_t n = 0; n < s.n; ++n) {
    for (int64_t k = 0; k < s.k; ++k) {
      const int64_t first = k / (s.k / s.group) * channels;
      for (int64_t o = 0; o < s.z.out() * s.oh() * s.ow(); ++o) {
        const int64_t oz = o / (s.oh() * s.ow()), oy = o / s.ow() % s.oh(), ox = o % s.ow();
        T sum = s.bias ? static_cast<T>(d.bias[k]) : T{0};
        for (int64_t c = 0; c < channels; ++c) {
          for (int64_t i = 0; i < s.z.taps * s.taps(); ++i) {
            const int64_t iz = oz * s.z.stride - s.z.before + i / s.taps();
            const int64_t iy =
                oy * s.strides[0] - s.pads[0] + i % s.taps() / s.kernel[1] * s.dilations[0];
            const int64_t ix = ox * s.strides[1] - s.pads[1] + i % s.kernel[1] * s.dilations[1];
            if (iz < 0 || iy < 0 || ix < 0 || iz >= s.z.slices() || iy >= s.h || ix >= s.w)
              continue;
            const int64_t slice = (n * s.c + first + c) * s.z.slices() + iz;
            sum += static_cast<T>(d.w[(k * channels + c) * s.z.taps * s.taps() + i]) *
                   static_cast<T>(d.x[(slice * s.h + iy) * s.w + ix]);
          }
        }
        y.push_back(static_cast<double>(sum));
      }
    }
  }
  return y;
}

// Root mean square of the difference over that of the reference.
inline double Error(const Numbers& y, const Numbers& reference) {
  if (y.size() != reference.size()) return INFINITY;
  double difference = 0, norm = 0;
  for (size_t i = 0; i < y.size(); ++i) {
    difference += (y[i] - reference[i]) * (y[i] - reference[i]);
    norm += reference[i] * reference[i];
  }
  return std::sqrt(difference / norm);
}

}  // namespace sluice

#endif  // SLUICE_TESTS_KERNELS_CONV_CASE_H_
