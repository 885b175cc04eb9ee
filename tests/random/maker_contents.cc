// Maker's inputs and constants, and what they hold.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/random/maker.h"

namespace sluice::random {
namespace {

double Special(Random& r, Regime regime, DType dtype) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const bool half = dtype == DType::kF16;
  switch (regime) {
    case Regime::kTame:
      return 0;
    case Regime::kSpecial: {
      const double denormal = half ? 6e-8 : dtype == DType::kF64 ? 5e-324 : 1.5e-42;
      return r.Of({std::nan(""), std::nan(""), kInf, -kInf, -0.0, 0.0, denormal, -denormal});
    }
    case Regime::kLarge:
      return r.Of({1.0, -1.0}) * (half ? r.Of({200.0, 1000.0, 1e-4}) : r.Of({1e20, 1e16, 1e-20}));
    case Regime::kLargest: {
      const double largest = half ? 65504 : dtype == DType::kF64 ? 1.7e308 : 3.4e38;
      return r.Of({largest, -largest, largest / 2});
    }
  }
  return 0;
}

}  // namespace

Tensor Maker::Contents(DType dtype, const Dims& dims, int64_t low, int64_t high) {
  Random& r = *random_;
  const bool grid = r.Chance(60);
  const int special = program_->regime == Regime::kTame ? 0 : r.Of({0, 1, 5, 25, 60});
  Tensor t = *Tensor::Allocate(dtype, dims);
  for (int64_t i = 0; i < t.elements(); ++i) {
    if (dtype == DType::kString) {
      t.mutable_data<std::string>()[i] = r.Of<const char*>({"", "a", "b", "word"});
    } else if (dtype == DType::kBool) {
      t.mutable_data<bool>()[i] = r.Chance(50);
    } else {
      double x = grid ? static_cast<double>(r.Between(-16, 16)) / 8 : 4 * r.Unit() - 2;
      if (IsFloat(dtype) && r.Chance(special)) x = Special(r, program_->regime, dtype);
      if (IsInt(dtype)) {
        x = static_cast<double>(r.Between(IsUnsignedInt(dtype) ? std::max<int64_t>(low, 0) : low,
                                          std::max<int64_t>(high - 1, 0)));
        // No index, and more than a double holds. A few hundred may be summed.
        if (low == -4 && dtype == DType::kI64 && r.Chance(special)) {
          t.mutable_data<int64_t>()[i] = r.Of({-1, 1}) * ((int64_t{1} << 54) + r.Below(1000));
          continue;
        }
      }
      VisitDType(dtype, [&]<typename T>() { t.mutable_data<T>()[i] = static_cast<T>(x); }, [] {});
    }
  }
  return t;
}

Value* Maker::Fed(DType dtype, const Shape& shape, std::vector<Tensor> contents) {
  Value* v = program_->graph->AddInput(FreshName("x"), Type::Tensor(dtype, shape));
  for (size_t run = 0; run < runs(); ++run)
    program_->feeds[run].push_back({v->name(), contents[run]});
  return v;
}

Value* Maker::Input(DType dtype, const Shape& shape, int64_t low, int64_t high) {
  std::vector<Tensor> contents;
  for (size_t run = 0; run < runs(); ++run) {
    Dims dims;
    for (const Dim& d : shape) {
      const std::optional<int64_t> n =
          d.is_unknown() ? std::nullopt : d.Evaluate(program_->bindings[run]);
      if (!n.has_value()) return nullptr;
      dims.push_back(*n);
    }
    contents.push_back(Contents(dtype, dims, low, high));
  }
  return Fed(dtype, shape, std::move(contents));
}

Value* Maker::Constant(Tensor value) {
  GraphBuilder b(graph_);
  return b.Constant(std::move(value));
}

Value* Maker::Scalar(DType dtype, double value) {
  Tensor t = *Tensor::Allocate(dtype, {});
  VisitDType(dtype, [&]<typename T>() { *t.mutable_data<T>() = static_cast<T>(value); }, [] {});
  return Constant(t);
}

Value* Maker::Ints(const std::vector<int64_t>& values, int fed, DType dtype) {
  Tensor t = *Tensor::Allocate(dtype, {static_cast<int64_t>(values.size())});
  for (size_t i = 0; i < values.size(); ++i) {
    if (dtype == DType::kI64) t.mutable_data<int64_t>()[i] = values[i];
    if (dtype == DType::kI32) t.mutable_data<int32_t>()[i] = static_cast<int32_t>(values[i]);
  }
  if (!random_->Chance(fed)) return Constant(t);
  return Fed(dtype, {t.dims()[0]}, std::vector<Tensor>(runs(), t));
}

Value* Maker::IntScalar(int64_t value, int fed, DType dtype) {
  Tensor t = *Tensor::Allocate(dtype, {});
  if (dtype == DType::kI64) *t.mutable_data<int64_t>() = value;
  if (dtype == DType::kI32) *t.mutable_data<int32_t>() = static_cast<int32_t>(value);
  if (!random_->Chance(fed)) return Constant(t);
  return Fed(dtype, {}, std::vector<Tensor>(runs(), t));
}

Value* Maker::Weight(DType dtype, const Dims& dims, double scale) {
  // Never special: a kernel may multiply padding by weights or leave it out.
  const Regime regime = program_->regime;
  program_->regime = Regime::kTame;
  Value* made = TameWeight(dtype, dims, scale);
  program_->regime = regime;
  return made;
}

Value* Maker::TameWeight(DType dtype, const Dims& dims, double scale) {
  const absl::StatusOr<int64_t> n = ElementCount(dims);
  if (!n.ok()) return nullptr;
  if (random_->Chance(15)) {
    Shape shape;
    for (int64_t d : dims) shape.push_back(d);
    return Input(dtype, shape);
  }
  Tensor t;
  if (*n > 24) {
    t = *Tensor::Random(dtype, dims,
                        {.seed = static_cast<uint64_t>(random_->Below(1000)), .scale = scale});
  } else {
    t = Contents(dtype, dims);
  }
  if (depth_ == 0 && random_->Chance(4)) {
    GraphBuilder b(graph_);
    return b.Variable(FreshName("weight"), t);
  }
  return Constant(std::move(t));
}

Value* Maker::Extents(const Shape& shape) {
  std::vector<Value*> parts;
  bool numbers = true;
  for (const Dim& d : shape) numbers &= d.is_number();
  if (numbers) {
    std::vector<int64_t> values;
    for (const Dim& d : shape) values.push_back(d.number());
    return Ints(values);
  }
  for (const Dim& d : shape) {
    if (d.is_number()) {
      parts.push_back(Ints({d.number()}, 0));
      continue;
    }
    size_t axis = 0;
    Value* from = Pick([&](const Value* v) {
      for (size_t i = 0; i < v->type().shape().size(); ++i) {
        if (v->type().shape()[i] == d) return axis = i, true;
      }
      return false;
    });
    if (from == nullptr) return nullptr;
    for (axis = 0; !(from->type().shape()[axis] == d); ++axis) {
    }
    const auto a = static_cast<int64_t>(axis);
    parts.push_back(random_->Chance(50) ? Op("Shape", {from}, {{"start", a}, {"end", a + 1}})
                                        : Op("Gather", {Op("Shape", {from}), Ints({a}, 0)}));
  }
  return parts.size() == 1 ? parts[0] : Op("Concat", parts, {{"axis", 0}});
}

Value* Maker::Indices(const Dim& dim, const Shape& shape, bool negative) {
  const std::optional<int64_t> n = Least(dim);
  if (!n.has_value() || *n < 1) return nullptr;
  const DType dtype = random_->Chance(75) ? DType::kI64 : DType::kI32;
  const bool below = negative && random_->Chance(40);
  const std::optional<Dims> dims = Type::Tensor(dtype, shape).StaticDims();
  if (dims.has_value() && random_->Chance(60))
    return Constant(Contents(dtype, *dims, below ? -*n : 0, *n));
  return Input(dtype, shape, below ? -*n : 0, *n);
}

}  // namespace sluice::random
