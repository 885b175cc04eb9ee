#include "passes/match.h"

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

// Calls f(double) on each element until it returns false. False also for strings.
template <typename F>
bool AllElements(const Tensor& tensor, const F& f) {
  return VisitDType(
      tensor.dtype(),
      [&]<typename T>() {
        for (const T& x : tensor.values<T>()) {
          if (!f(static_cast<double>(x))) return false;
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
  if (value.is_graph_output()) return absl::StrCat("its output '", value.name(), "' is fetched");
  if (value.uses().empty()) return absl::StrCat("nothing reads its output '", value.name(), "'");
  if (value.uses().size() > 1) {
    return absl::StrCat(value.uses().size(), " inputs read its output '", value.name(), "'");
  }
  return absl::StrCat("its output '", value.name(), "' is read inside a body");
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
  if (tensor == nullptr || tensor->dtype() == DType::kString) return std::nullopt;
  std::vector<double> result;
  result.reserve(static_cast<size_t>(tensor->elements()));
  AllElements(*tensor, [&](double x) { return result.push_back(x), true; });
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

bool HasEffects(const Node& node) {
  if (node.op().stateful) return true;
  for (const auto& [name, body] : node.bodies()) {
    for (const auto& inner : body->nodes()) {
      if (HasEffects(*inner)) return true;
    }
  }
  return false;
}

}  // namespace sluice
