// One convolution out of any bytes, with its inputs and its result by a plain loop in f64.
#ifndef SLUICE_TESTS_FUZZ_CONV_TRIAL_H_
#define SLUICE_TESTS_FUZZ_CONV_TRIAL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "graph/builder.h"
#include "graph/tensor.h"

namespace sluice::fuzz {

struct ConvTrial {
  explicit ConvTrial(absl::Span<const uint8_t> bytes);

  // Over the extents of the result: what it must be, and how far an element may be from it.
  struct Reference {
    std::vector<double> y;
    double tolerance = 0;
  };
  Reference Compute() const;
  // Of an output element as it was read.
  bool Agrees(double y, double reference, double tolerance) const;
  std::string ToString() const;

  bool transposed() const { return op == "FusedConvTranspose"; }
  bool quantized() const { return op == "QuantizedConv" || op == "QLinearConv"; }
  size_t x_input() const { return 0; }
  size_t w_input() const { return quantized() ? 3 : 1; }
  int64_t channels() const { return group * group_channels; }
  int64_t features() const { return group * group_features; }
  Dims OutDims() const;

  std::string op;
  DType x_dtype = DType::kF32, y_dtype = DType::kF32;
  int64_t batch = 1, group = 1, group_channels = 1, group_features = 1;
  Dims in, out;
  std::vector<int64_t> kernel, before, after, strides, dilations;
  std::vector<std::string> steps;
  std::vector<float> params;
  Layout x_layout = Layout::kPlain, y_layout = Layout::kPlain;
  bool constant_weights = true, special = false, fixed_split = false;
  int threads = 1;

  // In the order of the op's inputs; absent ones are invalid.
  std::vector<Tensor> inputs;
  AttrList attrs;

 private:
  double Step(size_t i, double y, int64_t element, size_t* operand) const;
  void MakeInputs(uint32_t seed, bool bias);

  int64_t x_zero_ = 0, w_zero_ = 0, y_zero_ = 0;
  double x_scale_ = 1, y_scale_ = 1;
};

// An element as a number.
double ElementOf(const Tensor& t, int64_t i);

}  // namespace sluice::fuzz

#endif  // SLUICE_TESTS_FUZZ_CONV_TRIAL_H_
