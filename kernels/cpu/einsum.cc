// Einsum: inputs are contracted pair by pair, left to right. Each pair is a batched matrix product
// over strided views; what is no such view (a diagonal, a sum over a label that nobody else has,
// axes that do not merge) is copied into one first. All of it is decided at preparation.
#include "ops/einsum.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "kernels/cpu/gemm/gemm.h"
#include "kernels/cpu/staging.h"
#include "kernels/cpu/tile/function.h"
#include "kernels/kernel.h"

namespace sluice::cpu {
namespace {

using Labels = std::vector<int>;

bool Has(const Labels& labels, int label) {
  return std::find(labels.begin(), labels.end(), label) != labels.end();
}

// A tensor in some buffer: each label once, with its stride.
struct View {
  int buffer;
  Labels labels;
  std::vector<int64_t> strides;

  int64_t stride(int label) const {
    const auto at = std::find(labels.begin(), labels.end(), label);
    return at == labels.end() ? 0 : strides[at - labels.begin()];
  }
};

// to (contiguous over `extents`) = sum over `sum_extents` of from.
struct CopyStep {
  int from, to;
  std::vector<int64_t> extents, strides, sum_extents, sum_strides;
};

struct ProductStep {
  int a, b, to;
  std::vector<int64_t> batch, a_batch, b_batch;  // extents and strides
  int64_t m, n, k, a_row, a_col, b_row, b_col;
};

struct EinsumStep {
  bool product;
  CopyStep copy;
  ProductStep gemm;
};

DType EinsumCompute(DType dtype) {
  if (IsFloat(dtype)) return ComputeType(dtype);
  return ByteSize(dtype) == 8 ? DType::kI64 : DType::kI32;  // sums wrap alike in either sign
}

template <typename T>
void Copy(const CopyStep& s, const T* from, T* to, ThreadPool* pool) {
  using Sum =
      std::conditional_t<std::is_integral_v<T>,
                         std::make_unsigned_t<std::conditional_t<std::is_integral_v<T>, T, int>>,
                         T>;
  const int64_t sums = Product(s.sum_extents), width = s.extents.empty() ? 1 : s.extents.back();
  const int64_t step = s.extents.empty() ? 0 : s.strides.back();
  const int64_t lines = width == 0 ? 0 : Product(s.extents) / width;
  auto offset_of = [](int64_t index, const std::vector<int64_t>& extents,
                      const std::vector<int64_t>& strides, size_t count) {
    int64_t offset = 0;
    for (size_t i = count; i-- > 0;) {
      offset += index % extents[i] * strides[i];
      index /= extents[i];
    }
    return offset;
  };
  auto body = [&](int64_t begin, int64_t end) {
    for (int64_t line = begin; line < end; ++line) {
      const T* x = from + offset_of(line, s.extents, s.strides,
                                    s.extents.empty() ? 0 : s.extents.size() - 1);
      T* y = to + line * width;
      if (sums == 1) {
        for (int64_t i = 0; i < width; ++i) y[i] = x[i * step];
        continue;
      }
      std::fill_n(y, width, T{0});
      for (int64_t q = 0; q < sums; ++q) {
        const T* row = x + offset_of(q, s.sum_extents, s.sum_strides, s.sum_extents.size());
        for (int64_t i = 0; i < width; ++i) {
          y[i] = static_cast<T>(static_cast<Sum>(y[i]) + static_cast<Sum>(row[i * step]));
        }
      }
    }
  };
  if (pool == nullptr) {
    body(0, lines);
  } else {
    pool->ParallelFor(
        lines, (1 << 14) / std::max<int64_t>(1, width * std::max<int64_t>(1, sums)) + 1, body);
  }
}

// Decides the steps.
class EinsumPlanner {
 public:
  EinsumPlanner(const EinsumEquation& equation, std::vector<int64_t> extents)
      : equation_(equation), extents_(std::move(extents)) {}

  int buffers = 0;
  std::vector<int64_t> sizes;  // elements of the buffers behind the inputs; the last is the output
  // Which contraction fills each; the next one is the last to read it.
  std::vector<size_t> filled_by;
  std::vector<EinsumStep> steps;

  absl::Status Plan(const std::vector<Dims>& inputs) {
    buffers = static_cast<int>(inputs.size());
    std::vector<View> views;
    for (size_t i = 0; i < inputs.size(); ++i) {
      View view{static_cast<int>(i), {}, {}};
      int64_t stride = 1;
      for (size_t d = inputs[i].size(); d-- > 0;) {
        const int label = equation_.inputs[i][d];
        // Unit axes take no part: they stretch, or everything is 1 there.
        if (inputs[i][d] != 1) {
          const auto at = std::find(view.labels.begin(), view.labels.end(), label);
          if (at != view.labels.end()) {
            view.strides[at - view.labels.begin()] += stride;  // a diagonal
          } else {
            view.labels.push_back(label);
            view.strides.push_back(stride);
          }
        }
        stride *= inputs[i][d];
      }
      views.push_back(std::move(view));
    }
    View current = views[0];
    Labels out;
    for (int label : equation_.output) {
      if (extents_[label] != 1) out.push_back(label);
    }
    std::vector<size_t> last_view(extents_.size(), 0);  // that has the label
    for (size_t i = 0; i < views.size(); ++i) {
      for (int label : views[i].labels) last_view[label] = i;
    }
    for (size_t i = 1; i < views.size(); ++i) {
      contraction_ = i;
      const auto kept = [&](int label) { return Has(out, label) || last_view[label] > i; };
      absl::Status s = Contract(&current, views[i], kept, out);
      if (!s.ok()) return s;
    }
    // The output's order, and sums over what is left.
    ++contraction_;
    bool done = current.buffer >= static_cast<int>(inputs.size()) && current.labels == out;
    if (!done) return AddCopy(&current, out);
    return absl::OkStatus();
  }

 private:
  absl::StatusOr<int> NewBuffer(const Labels& labels) {
    Dims dims;
    for (int l : labels) dims.push_back(extents_[l]);
    absl::StatusOr<int64_t> count = ElementCount(dims, 8);
    if (!count.ok()) return count.status();
    sizes.push_back(*count);
    filled_by.push_back(contraction_);
    return buffers++;
  }

  // Replaces `view` by a contiguous one over `order`, summing over its other labels.
  absl::Status AddCopy(View* view, const Labels& order) {
    absl::StatusOr<int> to = NewBuffer(order);
    if (!to.ok()) return to.status();
    EinsumStep step{false, {view->buffer, *to}, {}};
    for (int label : order) {
      step.copy.extents.push_back(extents_[label]);
      step.copy.strides.push_back(view->stride(label));
    }
    for (size_t i = 0; i < view->labels.size(); ++i) {
      if (Has(order, view->labels[i])) continue;
      step.copy.sum_extents.push_back(extents_[view->labels[i]]);
      step.copy.sum_strides.push_back(view->strides[i]);
    }
    steps.push_back(std::move(step));
    *view = Contiguous(*to, order);
    return absl::OkStatus();
  }

  View Contiguous(int buffer, const Labels& order) const {
    View view{buffer, order, std::vector<int64_t>(order.size())};
    int64_t stride = 1;
    for (size_t i = order.size(); i-- > 0;) {
      view.strides[i] = stride;
      stride *= extents_[order[i]];
    }
    return view;
  }

  // Whether `group` is one axis of `view`, of which stride (0 for an empty group: extent 1).
  bool Merges(const View& view, const Labels& group, int64_t* stride) const {
    *stride = group.empty() ? 0 : view.stride(group.back());
    int64_t expected = *stride;
    for (size_t i = group.size(); i-- > 0;) {
      if (view.stride(group[i]) != expected) return false;
      expected *= extents_[group[i]];
    }
    return true;
  }

  int64_t Extent(const Labels& group) const {
    int64_t n = 1;
    for (int l : group) n *= extents_[l];
    return n;
  }

  template <typename Kept>
  absl::Status Contract(View* current, const View& next, const Kept& kept, const Labels& out) {
    View a = *current, b = next;
    // The last label of the output should be B's, so that the result needs no transposition.
    if (!out.empty() && Has(a.labels, out.back()) && !Has(b.labels, out.back())) std::swap(a, b);
    Labels batch, m, n, k;
    auto sort_by_output = [&](Labels* labels) {
      std::stable_sort(labels->begin(), labels->end(), [&](int x, int y) {
        return std::find(out.begin(), out.end(), x) < std::find(out.begin(), out.end(), y);
      });
    };
    // Innermost labels first in a view, so walk backwards.
    bool reduce_a = false, reduce_b = false;
    for (int label : Labels(a.labels.rbegin(), a.labels.rend())) {
      const bool both = Has(b.labels, label);
      if (both) {
        (kept(label) ? batch : k).push_back(label);
      } else if (kept(label)) {
        m.push_back(label);
      } else {
        reduce_a = true;
      }
    }
    for (int label : Labels(b.labels.rbegin(), b.labels.rend())) {
      if (Has(a.labels, label)) continue;
      if (kept(label)) {
        n.push_back(label);
      } else {
        reduce_b = true;
      }
    }
    sort_by_output(&batch);
    sort_by_output(&m);
    sort_by_output(&n);
    auto concat = [](std::initializer_list<const Labels*> parts) {
      Labels all;
      for (const Labels* p : parts) all.insert(all.end(), p->begin(), p->end());
      return all;
    };
    EinsumStep step{true, {}, {}};
    ProductStep& g = step.gemm;
    if (reduce_a || !Merges(a, m, &g.a_row) || !Merges(a, k, &g.a_col)) {
      if (absl::Status s = AddCopy(&a, concat({&batch, &m, &k})); !s.ok()) return s;
    }
    if (reduce_b || !Merges(b, k, &g.b_row) || !Merges(b, n, &g.b_col)) {
      if (absl::Status s = AddCopy(&b, concat({&batch, &k, &n})); !s.ok()) return s;
    }
    Merges(a, m, &g.a_row);
    Merges(a, k, &g.a_col);
    Merges(b, k, &g.b_row);
    Merges(b, n, &g.b_col);
    g.a = a.buffer;
    g.b = b.buffer;
    g.m = Extent(m);
    g.n = Extent(n);
    g.k = Extent(k);
    for (int label : batch) {
      g.batch.push_back(extents_[label]);
      g.a_batch.push_back(a.stride(label));
      g.b_batch.push_back(b.stride(label));
    }
    const Labels result = concat({&batch, &m, &n});
    absl::StatusOr<int> to = NewBuffer(result);
    if (!to.ok()) return to.status();
    g.to = *to;
    steps.push_back(std::move(step));
    *current = Contiguous(*to, result);
    return absl::OkStatus();
  }

  const EinsumEquation& equation_;
  const std::vector<int64_t> extents_;
  size_t contraction_ = 0;
};

class Einsum final : public Kernel {
 public:
  static absl::StatusOr<std::unique_ptr<Kernel>> Make(const PrepareContext& context) {
    absl::StatusOr<EinsumEquation> parsed = EinsumEquation::Parse(context.node.String("equation"));
    if (!parsed.ok()) return parsed.status();
    std::vector<Dims> inputs;
    std::vector<int> ranks;
    for (size_t i = 0; i < context.inputs.size(); ++i) {
      inputs.push_back(context.input_dims(i));
      ranks.push_back(static_cast<int>(inputs.back().size()));
    }
    absl::StatusOr<EinsumEquation> equation = parsed->Expand(ranks);
    if (!equation.ok()) return equation.status();
    std::vector<int64_t> extents(equation->labels, 1);
    for (size_t i = 0; i < inputs.size(); ++i) {
      for (size_t d = 0; d < inputs[i].size(); ++d) {
        int64_t& extent = extents[equation->inputs[i][d]];
        if (extent != 1 && inputs[i][d] != 1 && extent != inputs[i][d]) {
          return NodeError(context.node, absl::StatusCode::kInvalidArgument,
                           absl::StrCat("a label stands for ", extent, " and, in input ", i,
                                        ", for ", inputs[i][d]));
        }
        if (extent == 1) extent = inputs[i][d];
      }
    }
    EinsumPlanner planner(*equation, extents);
    if (absl::Status s = planner.Plan(inputs); !s.ok()) return s;

    auto kernel = std::make_unique<Einsum>();
    kernel->dtype_ = context.input_dtype(0);
    kernel->compute_ = EinsumCompute(kernel->dtype_);
    kernel->gemm_ = FindGemm(kernel->compute_);
    const size_t element = ByteSize(kernel->compute_);
    const bool convert = kernel->converts();
    for (const Dims& dims : inputs) {
      kernel->elements_.push_back(Product(dims));
      kernel->offsets_.push_back(
          convert ? kernel->layout_.Take(static_cast<size_t>(Product(dims)) * element) : 0);
    }
    kernel->elements_.insert(kernel->elements_.end(), planner.sizes.begin(), planner.sizes.end());
    kernel->PlaceBuffers(planner, element);
    kernel->inputs_ = inputs.size();
    kernel->steps_ = std::move(planner.steps);
    if (Product(context.output_dims(0)) != kernel->elements_.back()) {
      return absl::InternalError("the last step of Einsum does not fill the output");
    }
    return kernel;
  }

  absl::Status Launch(const LaunchContext& context) const override {
    if (converts()) {
      for (size_t i = 0; i < inputs_; ++i) {
        ConvertParallel(FindConversion(dtype_, compute_), context.inputs[i], ByteSize(dtype_),
                        static_cast<char*>(context.scratch) + offsets_[i], ByteSize(compute_),
                        elements_[i], context.pool);
      }
    }
    for (const EinsumStep& step : steps_) {
      if (step.product) {
        Multiply(step.gemm, context);
      } else if (compute_ == DType::kF64) {
        CopyTyped<double>(step.copy, context);
      } else if (compute_ == DType::kF32) {
        CopyTyped<float>(step.copy, context);
      } else if (compute_ == DType::kI64) {
        CopyTyped<int64_t>(step.copy, context);
      } else {
        CopyTyped<int32_t>(step.copy, context);
      }
    }
    if (converts()) {
      ConvertParallel(FindConversion(compute_, dtype_),
                      static_cast<char*>(context.scratch) + offsets_.back(), ByteSize(compute_),
                      context.outputs[0], ByteSize(dtype_), elements_.back(), context.pool);
    }
    return absl::OkStatus();
  }

  std::string Description() const override {
    const int64_t products =
        std::count_if(steps_.begin(), steps_.end(), [](const EinsumStep& s) { return s.product; });
    return absl::StrCat(products, " products and ", steps_.size() - products, " copies in ",
                        ToString(compute_));
  }
  size_t scratch_bytes() const override { return layout_.bytes(); }

 private:
  // Two areas that contractions fill in turn: what one fills, the next one reads last. The output
  // has its own memory unless it is converted.
  void PlaceBuffers(const EinsumPlanner& planner, size_t element) {
    const size_t count = planner.sizes.size() - (converts() ? 0 : 1);
    size_t area[2] = {0, 0}, filled = 0;
    std::vector<size_t> within;
    for (size_t i = 0; i < count; ++i) {
      if (i == 0 || planner.filled_by[i] != planner.filled_by[i - 1]) filled = 0;
      within.push_back(filled);
      filled += (static_cast<size_t>(planner.sizes[i]) * element + 63) / 64 * 64;
      size_t& largest = area[planner.filled_by[i] % 2];
      largest = std::max(largest, filled);
    }
    const size_t base[2] = {layout_.Take(area[0]), layout_.Take(area[1])};
    for (size_t i = 0; i < count; ++i)
      offsets_.push_back(base[planner.filled_by[i] % 2] + within[i]);
    if (!converts()) offsets_.push_back(0);
  }

  // u32 and u64 are computed in the bits of i32 and i64.
  bool converts() const { return ByteSize(dtype_) != ByteSize(compute_); }

  char* Buffer(int id, const LaunchContext& context) const {
    if (!converts()) {
      if (id < static_cast<int>(inputs_)) {
        return static_cast<char*>(const_cast<void*>(context.inputs[id]));
      }
      if (id + 1 == static_cast<int>(offsets_.size())) return context.output<char>(0);
    }
    return static_cast<char*>(context.scratch) + offsets_[id];
  }

  template <typename T>
  void CopyTyped(const CopyStep& step, const LaunchContext& context) const {
    Copy(step, reinterpret_cast<const T*>(Buffer(step.from, context)),
         reinterpret_cast<T*>(Buffer(step.to, context)), context.pool);
  }

  void Multiply(const ProductStep& s, const LaunchContext& context) const {
    const int64_t es = static_cast<int64_t>(ByteSize(compute_));
    const char *a = Buffer(s.a, context), *b = Buffer(s.b, context);
    char* to = Buffer(s.to, context);
    ForGemmBlocks(Product(s.batch), s.m, s.n, s.k, context.pool,
                  [&](int64_t batch, int64_t row, int64_t rows, int64_t col, int64_t cols) {
                    int64_t ao = row * s.a_row, bo = col * s.b_col;
                    for (int64_t rest = batch, i = static_cast<int64_t>(s.batch.size()); i-- > 0;) {
                      ao += rest % s.batch[i] * s.a_batch[i];
                      bo += rest % s.batch[i] * s.b_batch[i];
                      rest /= s.batch[i];
                    }
                    GemmArgs g{rows, cols, s.k};
                    g.a = a + ao * es;
                    g.a_row = s.a_row;
                    g.a_col = s.a_col;
                    g.b = b + bo * es;
                    g.b_row = s.b_row;
                    g.b_col = s.b_col;
                    g.c = to + (batch * s.m * s.n + row * s.n + col) * es;
                    g.c_row = s.n;
                    gemm_(g);
                  });
  }

  DType dtype_, compute_;
  GemmFn gemm_ = nullptr;
  size_t inputs_ = 0;
  std::vector<EinsumStep> steps_;
  std::vector<int64_t> elements_;  // of each buffer
  std::vector<size_t> offsets_;
  ScratchLayout layout_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareEinsum(const PrepareContext& context) {
  return Einsum::Make(context);
}

}  // namespace sluice::cpu
