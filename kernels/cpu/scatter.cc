// ScatterElements and ScatterND: the data, then writes by index. Writes to one place happen in the
// order of the indices: tasks share out the elements beside the indexed ones, so the result does
// not depend on the number of threads.
#include <algorithm>
#include <string>
#include <type_traits>

#include "kernels/cpu/index.h"
#include "kernels/cpu/int_input.h"
#include "kernels/cpu/layout/strided_copy.h"

namespace sluice::cpu {
namespace {

enum class Reduction : uint8_t { kNone, kAdd, kMul, kMax, kMin };

Reduction ReadReduction(const PrepareContext& context) {
  const std::string name = context.node.String("reduction");
  return name == "add"   ? Reduction::kAdd
         : name == "mul" ? Reduction::kMul
         : name == "max" ? Reduction::kMax
         : name == "min" ? Reduction::kMin
                         : Reduction::kNone;
}

// A bool as its byte, which a file may have set to more than 1.
struct BoolByte {
  uint8_t byte;
};

// Integers wrap, NaN wins, bool adds as "or" and multiplies as "and".
template <Reduction R, typename T>
T Combine(const T& old, T update) {
  if constexpr (R == Reduction::kNone || std::is_same_v<T, std::string>) {
    return update;
  } else if constexpr (std::is_same_v<T, BoolByte>) {
    const bool a = old.byte != 0, b = update.byte != 0;
    return {static_cast<uint8_t>(R == Reduction::kAdd || R == Reduction::kMax ? a || b : a && b)};
  } else if constexpr (std::is_integral_v<T>) {
    using U = std::make_unsigned_t<T>;
    using Wide = std::common_type_t<U, unsigned>;  // no promotion to signed int
    const Wide a = static_cast<U>(old), b = static_cast<U>(update);
    return R == Reduction::kAdd   ? static_cast<T>(a + b)
           : R == Reduction::kMul ? static_cast<T>(a * b)
           : R == Reduction::kMax ? std::max(old, update)
                                  : std::min(old, update);
  } else {
    using C = std::conditional_t<std::is_same_v<T, double>, double, float>;
    const C a = old, b = update;
    return static_cast<T>(R == Reduction::kAdd   ? a + b
                          : R == Reduction::kMul ? a * b
                          : b != b               ? b
                          : R == Reduction::kMax ? (b > a ? b : a)
                                                 : (b < a ? b : a));
  }
}

template <typename F>
void VisitReduction(Reduction reduction, F&& f) {
  switch (reduction) {
    case Reduction::kNone:
      return f.template operator()<Reduction::kNone>();
    case Reduction::kAdd:
      return f.template operator()<Reduction::kAdd>();
    case Reduction::kMul:
      return f.template operator()<Reduction::kMul>();
    case Reduction::kMax:
      return f.template operator()<Reduction::kMax>();
    case Reduction::kMin:
      return f.template operator()<Reduction::kMin>();
  }
}

// Calls f<T, R>() with the element type: by size alone where nothing is computed.
template <typename F>
void VisitScatter(DType dtype, Reduction reduction, F&& f) {
  if (dtype == DType::kString) return f.template operator()<std::string, Reduction::kNone>();
  if (reduction == Reduction::kNone) {
    switch (ByteSize(dtype)) {
      case 1:
        return f.template operator()<uint8_t, Reduction::kNone>();
      case 2:
        return f.template operator()<uint16_t, Reduction::kNone>();
      case 4:
        return f.template operator()<uint32_t, Reduction::kNone>();
      default:
        return f.template operator()<uint64_t, Reduction::kNone>();
    }
  }
  VisitDType(
      dtype,
      [&]<typename T>() {
        using Stored = std::conditional_t<std::is_same_v<T, bool>, BoolByte, T>;
        VisitReduction(reduction, [&]<Reduction R>() { f.template operator()<Stored, R>(); });
      },
      [] {});
}

class ScatterKernel : public Kernel {
 public:
  explicit ScatterKernel(const PrepareContext& context)
      : dtype_(context.input_dtype(0)), reduction_(ReadReduction(context)) {
    elements_ = Product(context.input_dims(0));
  }
  std::vector<std::pair<int, int>> in_place() const override { return {{0, 0}}; }

 protected:
  void CopyData(const LaunchContext& c) const {
    if (c.inputs[0] != c.outputs[0]) {
      CopyElements(dtype_, c.inputs[0], c.outputs[0], elements_, c.pool);
    }
  }
  const DType dtype_;
  const Reduction reduction_;
  int64_t elements_ = 1;
};

class ScatterElementsKernel : public ScatterKernel {
 public:
  ScatterElementsKernel(const PrepareContext& context, int axis)
      : ScatterKernel(context),
        narrow_(context.input_dtype(1) == DType::kI32),
        axis_(axis),
        dims_(context.input_dims(1)),
        strides_(RowMajorStrides(context.input_dims(0))),
        extent_(context.input_dims(0)[axis]) {
    outer_ = Product(absl::MakeConstSpan(dims_).first(axis));
    inner_ = Product(absl::MakeConstSpan(dims_).subspan(axis + 1));
  }

  absl::Status Launch(const LaunchContext& c) const override {
    CopyData(c);
    if (Product(dims_) == 0) return absl::OkStatus();
    BadIndex bad;
    VisitScatter(dtype_, reduction_, [&]<typename T, Reduction R>() {
      // Lines along the axis are disjoint: one task takes a line whole.
      const int64_t grain = std::max<int64_t>(1, 4096 / std::max<int64_t>(1, dims_[axis_]));
      c.pool->ParallelFor(outer_ * inner_, grain,
                          [&](int64_t begin, int64_t end) { Lines<T, R>(c, begin, end, &bad); });
    });
    if (bad.found()) return IndexError(Index(c, bad.position()), extent_, axis_);
    return absl::OkStatus();
  }
  std::string Description() const override { return "elements"; }

 private:
  int64_t Index(const LaunchContext& c, int64_t at) const {
    return narrow_ ? c.input<int32_t>(1)[at] : c.input<int64_t>(1)[at];
  }

  // Lines [begin, end) are numbered over the other axes; those in a row of the last axis are walked
  // together, so that memory is read in its order.
  template <typename T, Reduction R>
  void Lines(const LaunchContext& c, int64_t begin, int64_t end, BadIndex* bad) const {
    const T* updates = c.input<T>(2);
    T* data = c.output<T>(0);
    const int rank = static_cast<int>(dims_.size());
    const int64_t run = axis_ + 1 < rank ? dims_.back() : 1, n = dims_[axis_];
    for (int64_t line = begin; line < end;) {
      const int64_t count = std::min(end - line, run - line % run);
      int64_t rest = line, base = 0;
      for (int a = rank; a-- > 0;) {
        if (a == axis_) continue;
        base += (rest % dims_[a]) * strides_[a];
        rest /= dims_[a];
      }
      const int64_t from = line / inner_ * n * inner_ + line % inner_;
      for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = 0; j < count; ++j) {
          const int64_t at = from + i * inner_ + j;
          const int64_t index = NormalIndex(Index(c, at), extent_);
          if (index < 0) return bad->Report(at);
          T& place = data[base + index * strides_[axis_] + j];
          place = Combine<R, T>(place, updates[at]);
        }
      }
      line += count;
    }
  }

  const bool narrow_;
  const int axis_;
  const Dims dims_, strides_;
  const int64_t extent_;
  int64_t outer_ = 1, inner_ = 1;
};

class ScatterNDKernel : public ScatterKernel {
 public:
  explicit ScatterNDKernel(const PrepareContext& context) : ScatterKernel(context) {
    const Dims in = context.input_dims(0), indices = context.input_dims(1);
    const Dims strides = RowMajorStrides(in);
    depth_ = indices.back();
    extents_.assign(in.begin(), in.begin() + depth_);
    strides_.assign(strides.begin(), strides.begin() + depth_);
    tuples_ = Product(absl::MakeConstSpan(indices).first(indices.size() - 1));
    inner_ = Product(absl::MakeConstSpan(in).subspan(depth_));
  }

  absl::Status Launch(const LaunchContext& c) const override {
    CopyData(c);
    BadIndex bad;
    const int64_t* indices = c.input<int64_t>(1);
    VisitScatter(dtype_, reduction_, [&]<typename T, Reduction R>() {
      c.pool->ParallelFor(inner_, 4096, [&](int64_t begin, int64_t end) {
        for (int64_t t = 0; t < tuples_; ++t) {
          int64_t at = 0;
          for (int64_t k = 0; k < depth_; ++k) {
            const int64_t index = NormalIndex(indices[t * depth_ + k], extents_[k]);
            if (index < 0) return bad.Report(t * depth_ + k);
            at += index * strides_[k];
          }
          const T* update = c.input<T>(2) + t * inner_;
          T* data = c.output<T>(0) + at;
          for (int64_t i = begin; i < end; ++i) data[i] = Combine<R, T>(data[i], update[i]);
        }
      });
    });
    if (!bad.found()) return absl::OkStatus();
    const int64_t k = bad.position() % depth_;
    return IndexError(indices[bad.position()], extents_[k], static_cast<int>(k));
  }
  std::string Description() const override {
    return absl::StrCat("slices of ", inner_, " elements");
  }

 private:
  int64_t depth_ = 0, tuples_ = 1, inner_ = 1;
  Dims extents_, strides_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareScatterElements(const PrepareContext& context) {
  const Dims in = context.input_dims(0), indices = context.input_dims(1);
  absl::StatusOr<int> axis = NormalAxis(context.node.Int("axis"), static_cast<int>(in.size()));
  if (!axis.ok()) return axis.status();
  bool fits = indices.size() == in.size() && context.input_dims(2) == indices;
  for (size_t i = 0; fits && i < in.size(); ++i) {
    fits = static_cast<int>(i) == *axis || indices[i] <= in[i];
  }
  if (!fits) {
    return Invalid("indices ", DimsToString(indices), " and updates ",
                   DimsToString(context.input_dims(2)), " do not fit data ", DimsToString(in),
                   " off axis ", *axis);
  }
  return std::make_unique<ScatterElementsKernel>(context, *axis);
}

absl::StatusOr<std::unique_ptr<Kernel>> PrepareScatterND(const PrepareContext& context) {
  const Dims in = context.input_dims(0), indices = context.input_dims(1);
  bool fits =
      !indices.empty() && indices.back() >= 1 && indices.back() <= static_cast<int64_t>(in.size());
  if (fits) {
    Dims expected(indices.begin(), indices.end() - 1);
    expected.insert(expected.end(), in.begin() + indices.back(), in.end());
    fits = expected == context.input_dims(2);
  }
  if (!fits) {
    return Invalid("indices ", DimsToString(indices), " and updates ",
                   DimsToString(context.input_dims(2)), " do not fit data ", DimsToString(in));
  }
  return std::make_unique<ScatterNDKernel>(context);
}

}  // namespace sluice::cpu
