#include "tests/random/compare.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "tests/testing/candidates.h"

namespace sluice::random {
namespace {

// Of one operation: kernels of a chain may be that far apart times the chain's length.
double RoundingOf(DType dtype) {
  switch (dtype) {
    case DType::kF16:
      return 5e-3;
    case DType::kBF16:
      return 4e-2;
    case DType::kF64:
      return 1e-10;
    default:
      return 2e-5;
  }
}

std::vector<double> Numbers(const Tensor& t) {
  const Tensor wide = Converted(t, DType::kF64);
  return std::vector<double>(wide.values<double>().begin(), wide.values<double>().end());
}

// Numbers of one size: what is small beside another is compared with its like.
int Band(double x) { return std::abs(x) <= 1e3 ? 0 : std::abs(x) <= 1e9 ? 1 : 2; }

const Tensor* OutputOf(const Results& results, size_t output, const Tensor& like) {
  if (!results.ok() || output >= results->size()) return nullptr;
  const Tensor& t = (*results)[output];
  return t.dtype() == like.dtype() && t.dims() == like.dims() ? &t : nullptr;
}

int Class(double x) { return std::isnan(x) ? 0 : std::isinf(x) ? (x < 0 ? 1 : 2) : 3; }

Difference CompareFloats(const Tensor& reference, const Tensor& got, const CompareOptions& options,
                         size_t output) {
  const std::vector<double> x = Numbers(reference), y = Numbers(got);
  std::vector<std::vector<double>> disturbed;
  for (const Results* results : options.disturbed) {
    const Tensor* t = OutputOf(*results, output, reference);
    if (t == nullptr) return {};  // even its shape is a matter of rounding
    disturbed.push_back(Numbers(*t));
  }
  double scale[3] = {0, 0, 0}, noise[3] = {0, 0, 0};
  for (size_t i = 0; i < x.size(); ++i) {
    if (!std::isfinite(x[i])) continue;
    double& s = scale[Band(x[i])];
    s = std::max(s, std::abs(x[i]));
    for (const std::vector<double>& d : disturbed) {
      double& n = noise[Band(x[i])];
      if (std::isfinite(d[i])) n = std::max(n, std::abs(d[i] - x[i]));
    }
  }
  const double rounding =
      options.factor * RoundingOf(got.dtype() == DType::kF64 ? reference.dtype() : got.dtype());
  auto differ = [&](const char* kind, size_t i) {
    return Difference{kind,
                      absl::StrCat("output ", output, " ", reference.TypeString(), " element ", i,
                                   " is ", y[i], ", expected ", x[i]),
                      output};
  };
  for (size_t i = 0; i < x.size(); ++i) {
    if (Class(x[i]) != Class(y[i])) {
      if (options.finite_only) continue;
      const bool wavers = std::any_of(disturbed.begin(), disturbed.end(),
                                      [&](const auto& d) { return Class(d[i]) != Class(x[i]); });
      if (!wavers) return differ(std::isnan(x[i]) || std::isnan(y[i]) ? "nan" : "infinite", i);
    } else if (std::isfinite(x[i])) {
      // As good as infinite: 1 / (a - b) of two neighbours.
      if (std::any_of(disturbed.begin(), disturbed.end(),
                      [&](const auto& d) { return !std::isfinite(d[i]); }))
        continue;
      const int band = Band(x[i]);
      const double allowed = rounding * scale[band] + 8 * noise[band] + options.floor;
      if (std::abs(x[i] - y[i]) > allowed) return differ("numbers", i);
    }
  }
  return {};
}

}  // namespace

Difference CompareTensors(const Tensor& reference, const Tensor& got, const CompareOptions& options,
                          size_t output) {
  const bool wider = options.finite_only && got.dtype() != reference.dtype() &&
                     IsFloat(got.dtype()) && IsFloat(reference.dtype());
  if ((got.dtype() != reference.dtype() && !wider) || got.dims() != reference.dims()) {
    for (const Results* results : options.disturbed) {
      if (OutputOf(*results, output, reference) == nullptr) return {};
    }
    return {"extents",
            absl::StrCat("output ", output, " is ", got.TypeString(), ", expected ",
                         reference.TypeString()),
            output};
  }
  if (IsFloat(got.dtype())) return CompareFloats(reference, got, options, output);
  if (got == reference) return {};
  for (const Results* results : options.disturbed) {
    const Tensor* t = OutputOf(*results, output, reference);
    if (t == nullptr || !(*t == reference)) return {};
  }
  return {
      "integers",
      absl::StrCat("output ", output, " is ", got.ToString(), ", expected ", reference.ToString()),
      output};
}

Difference CompareResults(const Results& reference, const Results& got,
                          const CompareOptions& options) {
  if (!reference.ok() || !got.ok()) {
    if (reference.ok() == got.ok()) return {};
    const bool wavers = std::any_of(options.disturbed.begin(), options.disturbed.end(),
                                    [&](const Results* r) { return r->ok() != reference.ok(); });
    if (wavers) return {};
    return {"error", reference.ok() ? absl::StrCat("it fails: ", got.status().message())
                                    : absl::StrCat(kWorks, reference.status().message())};
  }
  if (reference->size() != got->size())
    return {"extents", absl::StrCat(got->size(), " outputs, expected ", reference->size())};
  for (size_t i = 0; i < got->size(); ++i) {
    if (Difference d = CompareTensors((*reference)[i], (*got)[i], options, i)) return d;
  }
  return {};
}

}  // namespace sluice::random
