#include "kernels/cpu/epilogue.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace sluice::cpu {
namespace {

constexpr int64_t kChunk = 512;          // elements of a scaled operand at a time
constexpr int64_t kTileElements = 4096;  // of short rows that all stages take together

// The step of the same name. Parameters are a and b in the attributes' order, but for Selu, whose
// order is the same too (alpha, gamma).
struct NamedStep {
  const char* name;
  TileStep op;
};
constexpr NamedStep kSteps[] = {
    {"Relu", TileStep::kRelu},
    {"Sigmoid", TileStep::kSigmoid},
    {"Tanh", TileStep::kTanh},
    {"HardSwish", TileStep::kHardSwish},
    {"Softplus", TileStep::kSoftplus},
    {"Softsign", TileStep::kSoftsign},
    {"Mish", TileStep::kMish},
    {"Abs", TileStep::kAbs},
    {"Neg", TileStep::kNeg},
    {"Sqrt", TileStep::kSqrt},
    {"Exp", TileStep::kExp},
    {"Log", TileStep::kLog},
    {"Erf", TileStep::kErf},
    {"Ceil", TileStep::kCeil},
    {"Floor", TileStep::kFloor},
    {"Round", TileStep::kRound},
    {"Reciprocal", TileStep::kReciprocal},
    {"LeakyRelu", TileStep::kLeakyRelu},
    {"Elu", TileStep::kElu},
    {"Celu", TileStep::kCelu},
    {"ThresholdedRelu", TileStep::kThresholdedRelu},
    {"Swish", TileStep::kSwish},
    {"HardSigmoid", TileStep::kHardSigmoid},
    {"Selu", TileStep::kSelu},
    {"Add", TileStep::kAdd},
    {"Sub", TileStep::kSub},
    {"Mul", TileStep::kMul},
    {"Div", TileStep::kDiv},
    {"Max", TileStep::kMax},
    {"Min", TileStep::kMin},
};

void Store(DType dtype, double value, char* out) {
  if (!IsFloat(dtype)) {
    const int64_t v = static_cast<int64_t>(value);  // little endian: the low bytes come first
    std::memcpy(out, &v, sizeof v);
  } else if (dtype == DType::kF64) {
    std::memcpy(out, &value, sizeof value);
  } else {
    const float v = static_cast<float>(value);
    std::memcpy(out, &v, sizeof v);
  }
}

absl::Status NoStep(absl::string_view name, DType dtype) {
  return absl::UnimplementedError(absl::StrCat("there is no step ", name, " in ", ToString(dtype)));
}

}  // namespace

Epilogue::Epilogue(DType dtype, Dims dims)
    : dtype_(dtype),
      element_(ByteSize(dtype)),
      dims_(std::move(dims)),
      multiply_(FindTileFunction(TileStep::kMul, dtype)) {}

absl::Status Epilogue::Binary(TileStep op, double constant) {
  if (!IsFloat(dtype_) && (constant != std::floor(constant) || std::abs(constant) > 1e15)) {
    return absl::UnimplementedError(absl::StrCat(constant, " is no factor for ", ToString(dtype_),
                                                 "; expected a whole number"));
  }
  Stage stage;
  stage.step = FindTileFunction(op, dtype_);
  if (stage.step == nullptr) return NoStep("with a constant", dtype_);
  stage.constant = true;
  Store(dtype_, constant, stage.value);
  stages_.push_back(std::move(stage));
  return absl::OkStatus();
}

absl::Status Epilogue::Scale(double factor) {
  return factor == 1 ? absl::OkStatus() : Binary(TileStep::kMul, factor);
}

Dims Epilogue::Strides(const Dims& dims) const {
  Dims strides(dims_.size(), 0);
  int64_t stride = 1;
  for (size_t i = dims_.size(); i-- > 0;) {
    if (dims[i] != 1) strides[i] = stride;
    stride *= dims[i];
  }
  return strides;
}

absl::Status Epilogue::Add(int operand, const Dims& dims, double factor) {
  if (!IsFloat(dtype_) && (factor != std::floor(factor) || std::abs(factor) > 1e15)) {
    return absl::UnimplementedError(
        absl::StrCat(factor, " is no factor for ", ToString(dtype_), "; expected a whole number"));
  }
  Stage stage;
  stage.step = FindTileFunction(TileStep::kAdd, dtype_);
  if (stage.step == nullptr || multiply_ == nullptr) return NoStep("Add", dtype_);
  stage.operand = operand;
  stage.factor = factor;
  Store(dtype_, factor, stage.value);
  stage.strides = Strides(dims);
  stage.whole = dims == dims_ && dims.back() != 1;  // a step of one number would not move on
  stages_.push_back(std::move(stage));
  return absl::OkStatus();
}

absl::Status Epilogue::Append(const PostOp& step, const Dims& dims) {
  const absl::string_view name = step.def->name;
  if (name == "Clip") {
    for (int i = 0; i < 2; ++i) {
      if (std::isinf(step.params[i]) && (step.params[i] < 0) == (i == 0)) continue;
      absl::Status s = Binary(i == 0 ? TileStep::kMax : TileStep::kMin, step.params[i]);
      if (!s.ok()) return s;
    }
    return absl::OkStatus();
  }
  Stage stage;
  stage.params = {step.params[0], step.params[1]};
  if (name == "Gelu") {
    stage.step =
        FindTileFunction(step.params[0] != 0 ? TileStep::kGeluTanh : TileStep::kGelu, dtype_);
  } else {
    const auto* found = std::find_if(std::begin(kSteps), std::end(kSteps),
                                     [&](const NamedStep& s) { return name == s.name; });
    if (found == std::end(kSteps)) return NoStep(name, dtype_);
    stage.step = FindTileFunction(found->op, dtype_);
  }
  if (stage.step == nullptr) return NoStep(name, dtype_);
  if (step.def->binary) {
    stage.operand = step.operand;
    stage.strides = Strides(dims);
    stage.whole = dims == dims_ && dims.back() != 1;  // a step of one number would not move on
  }
  stages_.push_back(std::move(stage));
  return absl::OkStatus();
}

void Epilogue::RunStage(const Stage& stage, int64_t row, int64_t first, int64_t count, void* y,
                        absl::Span<const void* const> operands) const {
  const size_t n = static_cast<size_t>(count);
  if (stage.operand < 0) {
    const void* in[2] = {y, stage.value};
    if (!stage.constant || stage.step->scalar1 != nullptr) {
      return (stage.constant ? stage.step->scalar1 : stage.step->fn)(in, y, n, stage.params);
    }
  }
  const char* operand = stage.value;
  int64_t inner = 0;
  if (stage.operand >= 0) {
    int64_t index = row, offset = 0;
    for (size_t i = dims_.size() - 1; i-- > 0;) {
      // The first axis needs no division: a product's rows are mostly one axis.
      offset += (i == 0 ? index : index % dims_[i]) * stage.strides[i];
      if (i > 0) index /= dims_[i];
    }
    inner = stage.strides.back();
    operand = static_cast<const char*>(operands[stage.operand]) +
              (offset + first * inner) * static_cast<int64_t>(element_);
  }
  // A scaled operand, or one number where the step has no form for it, goes through a buffer.
  const bool direct = stage.operand >= 0 && stage.factor == 1;
  if (direct && (inner == 1 || stage.step->scalar1 != nullptr)) {
    const void* in[2] = {y, operand};
    return (inner == 1 ? stage.step->fn : stage.step->scalar1)(in, y, n, stage.params);
  }
  alignas(64) char buffer[kChunk * 8];
  for (int64_t done = 0; done < count; done += kChunk) {
    const int64_t part = std::min(kChunk, count - done);
    for (int64_t i = 0; i < part; ++i) {
      std::memcpy(buffer + i * element_, operand + (done + i) * inner * element_, element_);
    }
    if (stage.operand >= 0 && stage.factor != 1) {
      alignas(64) char factors[kChunk * 8];
      for (int64_t i = 0; i < part; ++i) {
        std::memcpy(factors + i * element_, stage.value, element_);
      }
      const void* scale[2] = {buffer, factors};
      multiply_->fn(scale, buffer, static_cast<size_t>(part), {});
    }
    char* out = static_cast<char*>(y) + done * static_cast<int64_t>(element_);
    const void* in[2] = {out, buffer};
    stage.step->fn(in, out, static_cast<size_t>(part), stage.params);
  }
}

void Epilogue::Run(int64_t row, int64_t first, int64_t count, void* y,
                   absl::Span<const void* const> operands) const {
  for (const Stage& stage : stages_) RunStage(stage, row, first, count, y, operands);
}

void Epilogue::RunTile(int64_t row, int64_t rows, int64_t first, int64_t count, void* y,
                       int64_t y_row, absl::Span<const void* const> operands) const {
  for (const Stage& stage : stages_) {
    // Rows that lie together, and whose operand does too, are one: short rows would leave the
    // processor waiting for the end of each polynomial.
    if (y_row == count && (stage.operand < 0 || (stage.whole && count == dims_.back()))) {
      RunStage(stage, row, first, rows * count, y, operands);
      continue;
    }
    char* out = static_cast<char*>(y);
    for (int64_t i = 0; i < rows; ++i, out += y_row * static_cast<int64_t>(element_)) {
      RunStage(stage, row + i, first, count, out, operands);
    }
  }
}

void Epilogue::RunAll(void* y, absl::Span<const void* const> operands, ThreadPool* pool) const {
  const int64_t width = dims_.back();
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < dims_.size(); ++i) rows *= dims_[i];
  if (stages_.empty() || width == 0 || rows == 0) return;
  const int64_t together = std::max<int64_t>(1, kTileElements / width);
  auto body = [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row += together) {
      RunTile(row, std::min(together, end - row), 0, width,
              static_cast<char*>(y) + row * width * static_cast<int64_t>(element_), width,
              operands);
    }
  };
  if (pool == nullptr) {
    body(0, rows);
  } else {
    pool->ParallelFor(rows, (1 << 13) / width + 1, body);
  }
}

}  // namespace sluice::cpu
