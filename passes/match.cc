#include "passes/match.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "graph/text.h"

namespace sluice {
namespace {

// Calls f(double) on each element until it returns false. False also for strings.
template <typename F>
bool AllElements(const Tensor& tensor, const F& f) {
  return VisitDType(
      tensor.dtype(),
      [&]<typename T>() {
        for (int64_t i = 0; i < tensor.elements(); ++i) {
          if (!f(static_cast<double>(tensor.At<T>(i)))) return false;
        }
        return true;
      },
      [] { return false; });
}

}  // namespace

Node* ProducedBy(const Value* value, absl::string_view op) {
  if (value == nullptr || value->producer() == nullptr) return nullptr;
  return value->producer()->Is(op) ? value->producer() : nullptr;
}

Node* OnlyUse(const Value& value) {
  if (value.is_graph_output() || value.uses().size() != 1) return nullptr;
  Node* node = value.uses()[0].node;
  return node->graph() == value.graph() ? node : nullptr;
}

std::string WhyNotOnlyUse(const Value& value) {
  if (value.is_graph_output())
    return absl::StrCat("its output ", Shown(value.name()), " is fetched");
  if (value.uses().empty()) return absl::StrCat("nothing reads its output ", Shown(value.name()));
  if (value.uses().size() > 1) {
    return absl::StrCat(value.uses().size(), " inputs read its output ", Shown(value.name()));
  }
  return absl::StrCat("its output ", Shown(value.name()), " is read inside a body");
}

bool SameType(const Value& a, const Value& b) {
  if (&a == &b) return true;
  return a.type().is_tensor() && a.type().dtype() != DType::kInvalid && a.type().has_shape() &&
         a.type() == b.type();
}

DType DTypeOf(const Value* value) {
  return value != nullptr && value->type().is_tensor() ? value->type().dtype() : DType::kInvalid;
}

std::optional<int> RankOf(const Value* value) {
  if (value == nullptr || !value->type().is_tensor() || !value->type().has_shape()) return {};
  return value->type().rank();
}

std::optional<double> ConstantScalar(const Value* value) {
  const Tensor* tensor = value == nullptr ? nullptr : value->constant();
  if (tensor == nullptr || tensor->elements() != 1) return std::nullopt;
  double result = 0;
  const bool number = AllElements(*tensor, [&](double x) { return result = x, true; });
  return number ? std::optional<double>(result) : std::nullopt;
}

std::optional<std::vector<double>> ConstantDoubles(const Value* value) {
  const Tensor* tensor = value == nullptr ? nullptr : value->constant();
  return tensor == nullptr ? std::nullopt : ToDoubles(*tensor);
}

std::optional<std::vector<double>> ToDoubles(const Tensor& tensor) {
  if (tensor.dtype() == DType::kString) return std::nullopt;
  std::vector<double> result;
  result.reserve(static_cast<size_t>(tensor.elements()));
  AllElements(tensor, [&](double x) { return result.push_back(x), true; });
  return result;
}

std::optional<std::vector<int64_t>> ConstantInts(const Value* value) {
  const Tensor* tensor = value == nullptr ? nullptr : value->constant();
  return tensor == nullptr ? std::nullopt : tensor->AsInts();
}

bool IsFilledWith(const Value* value, double x) {
  const Tensor* tensor = value == nullptr ? nullptr : value->constant();
  return tensor != nullptr && tensor->elements() > 0 &&
         AllElements(*tensor, [&](double y) { return x == y; });
}

absl::StatusOr<Tensor> FromDoubles(DType dtype, absl::Span<const int64_t> dims,
                                   absl::Span<const double> values) {
  absl::StatusOr<Tensor> tensor = Tensor::Allocate(dtype, dims);
  if (!tensor.ok()) return tensor;
  auto write = [&]<typename T>() {
    if constexpr (!std::is_integral_v<T>) {
      for (size_t i = 0; i < values.size(); ++i) {
        tensor->mutable_data<T>()[i] = static_cast<T>(values[i]);
      }
    }
    return !std::is_integral_v<T>;
  };
  if (VisitDType(dtype, write, [] { return false; })) return tensor;
  return absl::InternalError(absl::StrCat("FromDoubles: ", ToString(dtype), " is no float type"));
}

bool IsView(const Node* node) {
  return node != nullptr && (node->Is("Reshape") || node->Is("Flatten") || node->Is("Squeeze") ||
                             node->Is("Unsqueeze"));
}

std::optional<std::vector<int64_t>> ShapeFor(const Value& from, const Type& to) {
  if (!to.is_tensor() || !to.has_shape()) return std::nullopt;
  const std::optional<int> from_rank = RankOf(&from);
  std::vector<int64_t> shape;
  int inferred = -1;
  bool others_positive = true;
  for (int i = 0; i < to.rank(); ++i) {
    const Dim& d = to.dim(i);
    const bool copied = from_rank.has_value() && i < *from_rank && from.type().dim(i) == d;
    if (d.is_number() && d.number() != 0) {
      shape.push_back(d.number());
    } else if (copied) {
      shape.push_back(0);
      others_positive = false;
    } else if (!d.is_number() && inferred < 0) {
      inferred = i;
      shape.push_back(-1);
    } else {
      return std::nullopt;
    }
  }
  // -1 beside an extent of 0 has no one answer; and it would hide that the elements are not as
  // many.
  if (inferred >= 0 && (!others_positive || from.type().Elements() != to.Elements()))
    return std::nullopt;
  return shape;
}

std::optional<std::vector<int64_t>> Permutation(const Node& node) {
  const std::optional<int> rank = RankOf(node.input(0));
  if (!rank.has_value()) return std::nullopt;
  std::vector<int64_t> perm = node.Ints("perm");
  if (perm.empty()) {
    for (int i = *rank; i-- > 0;) perm.push_back(i);
  }
  return perm.size() == static_cast<size_t>(*rank) ? std::optional(perm) : std::nullopt;
}

bool FitsAttribute(double x, DType dtype) {
  return dtype != DType::kF64 || static_cast<double>(static_cast<float>(x)) == x;
}

bool IsModerate(double x, int exponent) {
  return std::abs(x) >= std::ldexp(1, -exponent) && std::abs(x) <= std::ldexp(1, exponent);
}

std::optional<Scaling> ScalingOf(const Node& node) {
  const bool divides = node.Is("Div");
  if (!divides && !node.Is("Mul")) return std::nullopt;
  for (size_t side : {0, 1}) {
    if (divides && side == 1) continue;
    const std::optional<double> c = ConstantScalar(node.input(1 - side));
    if (!c.has_value() || !IsModerate(*c, kModerateScale)) continue;
    if (SameType(*node.input(side), *node.output()))
      return Scaling{node.input(side), divides ? 1 / *c : *c};
  }
  return std::nullopt;
}

}  // namespace sluice
