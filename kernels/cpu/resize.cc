// Resize: nearest by index maps, linear and cubic one axis after the other from tables.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "kernels/cpu/int_input.h"
#include "kernels/cpu/resize_pass.h"

namespace sluice::cpu {
namespace {

using Interpolation = ResizeMode::Interpolation;
using Layout = ResizeLayout;
template <typename C>
using Pass = ResizePass<C>;

// Rounds to nearest and saturates for integers; NaN becomes 0.
template <typename T, typename C>
T FromComputed(C value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value != 0;
  } else if constexpr (std::is_integral_v<T>) {
    const C rounded = std::nearbyint(value);
    if (!(rounded == rounded)) return 0;
    // The limits rounded to C may lie one past: compare before the conversion.
    if (rounded >= static_cast<C>(std::numeric_limits<T>::max())) {
      return std::numeric_limits<T>::max();
    }
    if (rounded <= static_cast<C>(std::numeric_limits<T>::min())) {
      return std::numeric_limits<T>::min();
    }
    return static_cast<T>(rounded);
  } else if constexpr (sizeof(T) == 2) {
    return T(static_cast<float>(value));
  } else {
    return static_cast<T>(value);
  }
}

template <typename T, typename C>
C ToComputed(const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    return *reinterpret_cast<const uint8_t*>(&value) != 0 ? 1 : 0;
  } else if constexpr (sizeof(T) == 2 && !std::is_integral_v<T>) {
    return static_cast<float>(value);
  } else {
    return static_cast<C>(value);
  }
}

class ResizeKernel : public Kernel {
 public:
  ResizeKernel(const PrepareContext& context, ResizeMode mode)
      : dtype_(context.input_dtype(0)),
        in_(context.input_dims(0)),
        mode_(std::move(mode)),
        planned_(PlannedDims(context)),
        threads_(std::max(1, context.threads)) {
    // An empty list says "not given", as absence does.
    for (size_t i : {1, 2, 3}) {
      if (!context.HasInput(i)) continue;
      const int64_t n = Product(context.input_dims(i));
      counts_[i] = n;
      dtypes_[i] = context.input_dtype(i);
      if (n > 0) fixed_ &= context.IsConstant(i) || (i == 1 && !Crops());
    }
    switch (dtype_) {
      case DType::kF64:
      case DType::kI64:
      case DType::kI32:
      case DType::kU64:
      case DType::kU32:
        in_double_ = true;
        break;
      default:
        break;
    }
  }

  absl::Status Prepare(const PrepareContext& context) {
    if (!fixed_) return absl::OkStatus();
    const void* data[4] = {};
    for (size_t i : {1, 2, 3})
      data[i] = context.IsConstant(i) ? context.constants[i].raw() : nullptr;
    absl::StatusOr<Layout> layout = Extents(data);
    if (!layout.ok()) return layout.status();
    if (absl::Status s = MakeTables(&*layout); !s.ok()) return s;
    layout_ = *std::move(layout);
    return absl::OkStatus();
  }

  absl::Status Launch(const LaunchContext& c) const override {
    if (layout_.has_value()) {
      absl::StatusOr<void*> out = OutputMemory(c, 0, planned_, layout_->out);
      return out.ok() ? Run(c, *layout_, *out, static_cast<char*>(c.scratch)) : out.status();
    }
    const void* data[4] = {nullptr, c.input<void>(1), c.input<void>(2), c.input<void>(3)};
    absl::StatusOr<Layout> layout = Extents(data);
    if (!layout.ok()) return layout.status();
    absl::StatusOr<void*> out = OutputMemory(c, 0, planned_, layout->out);  // before its tables
    if (!out.ok()) return out.status();
    if (absl::Status s = MakeTables(&*layout); !s.ok()) return s;
    absl::StatusOr<Tensor> scratch =
        Tensor::Allocate(DType::kU8, {static_cast<int64_t>(ScratchBytes(*layout))});
    if (!scratch.ok()) return scratch.status();
    return Run(c, *layout, *out, scratch->mutable_data<char>());
  }

  std::string Description() const override {
    if (mode_.interpolation == Interpolation::kNearest) return "nearest by index tables";
    return absl::StrCat(mode_.interpolation == Interpolation::kLinear ? "linear" : "cubic",
                        " by axis");
  }
  size_t scratch_bytes() const override { return layout_.has_value() ? ScratchBytes(*layout_) : 0; }
  bool dynamic_outputs() const override { return !planned_.has_value(); }

 private:
  bool Crops() const { return mode_.coordinates == ResizeMode::Coordinates::kCropAndResize; }

  absl::StatusOr<Layout> Extents(const void* const* data) const {
    std::vector<double> roi, scales;
    std::vector<int64_t> sizes;
    for (int64_t i = 0; i < counts_[1] && data[1] != nullptr && Crops(); ++i) {
      VisitDType(
          dtypes_[1],
          [&]<typename T>() {
            if constexpr (!std::is_integral_v<T>) {
              roi.push_back(ToComputed<T, double>(static_cast<const T*>(data[1])[i]));
            }
          },
          [] {});
    }
    for (int64_t i = 0; i < counts_[2]; ++i) {
      scales.push_back(static_cast<const float*>(data[2])[i]);
    }
    for (int64_t i = 0; i < counts_[3]; ++i) {
      sizes.push_back(static_cast<const int64_t*>(data[3])[i]);
    }
    absl::StatusOr<std::vector<ResizeAxis>> axes = ResizeAxes(mode_, in_, roi, scales, sizes);
    if (!axes.ok()) return axes.status();
    Layout layout;
    layout.axes = *std::move(axes);
    for (size_t i = 0; i < in_.size(); ++i) {
      layout.out.push_back(layout.axes[i].out);
      if (!layout.axes[i].identity()) layout.order.push_back(static_cast<int>(i));
    }
    absl::StatusOr<int64_t> n = ElementCount(layout.out, std::max<size_t>(8, ByteSize(dtype_)));
    if (!n.ok()) return n.status();
    return layout;
  }

  // What follows from the extents; as long as they are.
  absl::Status MakeTables(Layout* layout) const {
    const bool empty = Product(layout->out) == 0;
    constexpr int64_t kEntries = 8;  // for a position, roughly
    const bool nearest =
        mode_.interpolation == Interpolation::kNearest || layout->order.empty() || empty;
    // Where memory ends, a vector as long as an axis would end the process.
    for (const ResizeAxis& axis : layout->axes) {
      absl::Status s = Tensor::Allocate(DType::kI64, {empty ? 0 : axis.out, kEntries}).status();
      if (!s.ok()) return s;
    }
    if (nearest) {
      std::vector<std::vector<int64_t>> maps;
      for (const ResizeAxis& axis : layout->axes) {
        maps.push_back(empty ? std::vector<int64_t>() : NearestMap(mode_, axis));
      }
      layout->mapped.emplace(dtype_, in_, std::move(maps));
      return absl::OkStatus();
    }
    // The passes go to variables of their own: a layout is copied while orders are compared.
    std::vector<Pass<float>> single_passes;
    std::vector<Pass<double>> double_passes;
    absl::Status s = in_double_ ? OrderResizePasses(mode_, in_, layout, &double_passes)
                                : OrderResizePasses(mode_, in_, layout, &single_passes);
    layout->single_passes = std::move(single_passes);
    layout->double_passes = std::move(double_passes);
    return s;
  }

  bool Converts() const { return dtype_ != DType::kF32 && dtype_ != DType::kF64; }
  // Planes side by side, some more tasks than threads, to even out; or, where planes are too few,
  // each plane by all threads.
  int Tasks(const Layout& layout) const {
    return threads_ > 1 && layout.planes >= 2 * threads_
               ? static_cast<int>(std::min<int64_t>(4 * threads_, layout.planes))
               : 1;
  }
  // Of one task: two buffers between passes, and both ends where the dtype is not the computed one.
  int64_t TaskElements(const Layout& layout) const {
    return 2 * layout.between + (Converts() ? layout.plane_in + layout.plane_out : 0);
  }
  size_t ScratchBytes(const Layout& layout) const {
    if (layout.mapped.has_value()) return 0;
    return static_cast<size_t>(TaskElements(layout) * Tasks(layout)) *
           (in_double_ ? sizeof(double) : sizeof(float));
  }

  template <typename T, typename C>
  void Planes(const LaunchContext& c, const Layout& layout, const std::vector<Pass<C>>& passes,
              T* dst, char* scratch) const {
    const T* src = c.input<T>(0);
    const int64_t planes = layout.planes;
    const int tasks = Tasks(layout);
    auto resize = [&](int64_t plane, int task, ThreadPool* pool) {
      C* memory = reinterpret_cast<C*>(scratch) + TaskElements(layout) * task;
      C* buffers[2] = {memory, memory + layout.between};
      const T* from = src + plane * layout.plane_in;
      T* to = dst + plane * layout.plane_out;
      const C* at = nullptr;
      C* last = nullptr;
      if constexpr (std::is_same_v<T, C>) {
        at = from;
        last = to;
      } else {
        C* wide = memory + 2 * layout.between;
        for (int64_t i = 0; i < layout.plane_in; ++i) wide[i] = ToComputed<T, C>(from[i]);
        at = wide;
        last = wide + layout.plane_in;
      }
      for (size_t p = 0; p < passes.size(); ++p) {
        C* next = p + 1 == passes.size() ? last : buffers[p % 2];
        passes[p].Run(at, next, pool);
        at = next;
      }
      if constexpr (!std::is_same_v<T, C>) {
        for (int64_t i = 0; i < layout.plane_out; ++i) to[i] = FromComputed<T, C>(last[i]);
      }
    };
    if (tasks == 1) {
      for (int64_t p = 0; p < planes; ++p) resize(p, 0, c.pool);
      return;
    }
    c.pool->RunTasks(tasks, [&](int task, int n) {
      for (int64_t p = planes * task / n; p < planes * (task + 1) / n; ++p) {
        resize(p, task, nullptr);
      }
    });
  }

  absl::Status Run(const LaunchContext& c, const Layout& layout, void* out, char* scratch) const {
    if (layout.mapped.has_value()) {
      alignas(16) char fill[16] = {};
      VisitDType(
          dtype_,
          [&]<typename T>() {
            const T value = FromComputed<T, double>(mode_.extrapolation);
            std::memcpy(fill, &value, sizeof(T));
          },
          [] {});
      layout.mapped->Run(c.inputs[0], out, dtype_ == DType::kString ? ZeroElement(dtype_) : fill,
                         c.pool);
      return absl::OkStatus();
    }
    return VisitDType(
        dtype_,
        [&]<typename T>() -> absl::Status {
          using C = std::conditional_t<(std::is_integral_v<T> && sizeof(T) >= 4) ||
                                           std::is_same_v<T, double>,
                                       double, float>;
          if constexpr (std::is_same_v<C, double>) {
            Planes<T, C>(c, layout, layout.double_passes, static_cast<T*>(out), scratch);
          } else {
            Planes<T, C>(c, layout, layout.single_passes, static_cast<T*>(out), scratch);
          }
          return absl::OkStatus();
        },
        [] { return absl::InvalidArgumentError("strings are resized by mode nearest alone"); });
  }

  const DType dtype_;
  const Dims in_;
  const ResizeMode mode_;
  const std::optional<Dims> planned_;
  const int threads_;
  bool fixed_ = true, in_double_ = false;
  int64_t counts_[4] = {};
  DType dtypes_[4] = {};
  std::optional<Layout> layout_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareResize(const PrepareContext& context) {
  absl::StatusOr<ResizeMode> mode =
      ResizeMode::Of(context.node, static_cast<int>(context.input_dims(0).size()));
  if (!mode.ok()) return mode.status();
  auto kernel = std::make_unique<ResizeKernel>(context, *std::move(mode));
  if (absl::Status s = kernel->Prepare(context); !s.ok()) return s;
  return kernel;
}

}  // namespace sluice::cpu
