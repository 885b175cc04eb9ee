#include "kernels/tile/fused_loop.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "graph/layout.h"
#include "kernels/tile/elementwise.h"
#include "kernels/tile/norm.h"
#include "kernels/tile/reduction.h"

namespace sluice {
namespace {

// Rows whose elements lie apart are gathered where they are few; else pieces of columns are taken.
constexpr int64_t kSmallBox = 4096;

class Lowering {
 public:
  Lowering(const PrepareContext& context, const Graph& body, LoopSpace loops)
      : context_(context), body_(body), loops_(std::move(loops)) {}

  absl::StatusOr<TileProgram> Build() {
    if (absl::Status s = OrderLoops(); !s.ok()) return s;
    TileProgram p(space_, reduced_);
    for (size_t i = 0; i < body_.inputs().size(); ++i) {
      const Value* v = body_.inputs()[i];
      TileValue input;
      input.dtype = v->type().dtype();
      input.id = p.Input(input.dtype, Strides(*v, context_.inputs[i].layout()));
      values_[v] = std::move(input);
    }
    for (const auto& node : body_.nodes()) {
      if (absl::Status s = Lower(p, *node); !s.ok()) return s;
    }
    for (size_t i = 0; i < body_.outputs().size(); ++i) {
      const Value& v = *body_.outputs()[i];
      if (!loops_.axes.contains(&v)) return absl::UnimplementedError("an output is no loop's");
      const LoopSpace::Cover cover = loops_.CoverOf(v);
      if (cover == LoopSpace::Cover::kPart || cover == LoopSpace::Cover::kOne) {
        return absl::UnimplementedError(
            absl::StrCat("output ", i, " does not run over all of the loops"));
      }
      p.Output(values_.at(&v).id, v.type().dtype(), Strides(v, context_.outputs[i].layout()));
    }
    if (!p.status().ok()) return p.status();
    return p;
  }

 private:
  // In the order in which the elements of a value that has them all lie in memory: rows first, then
  // what is reduced, then the columns inside.
  absl::Status OrderLoops() {
    const size_t count = loops_.extents.size();
    const Value* whole = nullptr;
    Layout layout = Layout::kPlain;
    const auto offer = [&](const Value* v, Layout as) {
      if (!loops_.axes.contains(v) || loops_.CoverOf(*v) != LoopSpace::Cover::kAll) return;
      whole = v;
      layout = as;
    };
    for (const auto& node : body_.nodes()) offer(node->output(), Layout::kPlain);
    for (size_t i = 0; i < body_.inputs().size(); ++i) {
      offer(body_.inputs()[i], context_.inputs[i].layout());
    }
    for (size_t i = 0; i < body_.outputs().size(); ++i) {
      offer(body_.outputs()[i], context_.outputs[i].layout());
    }
    if (whole == nullptr) return absl::UnimplementedError("no value runs over all of the loops");
    const Dims strides = MemoryStrides(*whole->type().StaticDims(), layout);
    std::vector<int64_t> stride(count, 0);
    const std::vector<int>& axes = loops_.axes.at(whole);
    for (size_t i = 0; i < axes.size(); ++i) {
      if (axes[i] >= 0) stride[axes[i]] = strides[i];
    }
    int64_t innermost_reduced = INT64_MAX, row = 1, inner = 1;
    for (size_t l = 0; l < count; ++l) {
      if (!loops_.reduced[l]) continue;
      innermost_reduced = std::min(innermost_reduced, stride[l]);
      row *= loops_.extents[l].number();
    }
    for (size_t l = 0; l < count; ++l) {
      if (!loops_.reduced[l] && stride[l] < innermost_reduced) inner *= loops_.extents[l].number();
    }
    const bool gather = loops_.reduces() && row * inner <= kSmallBox;
    const auto group = [&](size_t l) {
      if (!loops_.reduces()) return 0;
      return loops_.reduced[l] ? 1 : !gather && stride[l] < innermost_reduced ? 2 : 0;
    };
    for (size_t l = 0; l < count; ++l) order_.push_back(l);
    std::sort(order_.begin(), order_.end(), [&](size_t a, size_t b) {
      return group(a) != group(b) ? group(a) < group(b) : stride[a] > stride[b];
    });
    for (size_t l : order_) {
      if (group(l) == 0) ++reduced_.first;
      if (group(l) <= 1) ++reduced_.last;
      space_.push_back(loops_.extents[l].number());
    }
    if (!loops_.reduces()) reduced_ = {0, 0};
    row_ = row;
    return absl::OkStatus();
  }

  Dims Strides(const Value& v, Layout layout) const {
    Dims result(order_.size(), 0);
    const auto it = loops_.axes.find(&v);
    if (it == loops_.axes.end()) return result;  // nothing reads it
    const Dims strides = MemoryStrides(*v.type().StaticDims(), layout);
    for (size_t i = 0; i < it->second.size(); ++i) {
      for (size_t k = 0; k < order_.size(); ++k) {
        if (static_cast<int>(order_[k]) == it->second[i]) result[k] = strides[i];
      }
    }
    return result;
  }

  absl::Status Lower(TileProgram& p, const Node& node) {
    if (node.Is("Constant")) return LowerConstant(p, node);
    if (node.output()->type().dtype() == DType::kString) {
      return absl::UnimplementedError("works on numbers only");
    }
    std::vector<TileValue> inputs;
    for (size_t i = 0; i < node.num_inputs(); ++i) {
      const Value* v = node.input(i);
      if (v == nullptr) {
        inputs.push_back({});
      } else if (!IsLoopParameter(node, i)) {
        inputs.push_back(values_.at(v));
        if (inputs.back().id < 0) {
          return absl::UnimplementedError(absl::StrCat("'", v->name(), "' is no number"));
        }
      }
    }
    switch (RoleInLoop(node)) {
      case LoopRole::kGenerate: {
        const auto kind = node.Is("PhiloxNormal") ? Distribution::kNormal : Distribution::kUniform;
        Set(p, *node.output(),
            p.Random(kind, inputs[0].id, static_cast<uint64_t>(node.Int("stream")),
                     node.GetDType("dtype"), Strides(*node.output(), Layout::kPlain)));
        return absl::OkStatus();
      }
      case LoopRole::kPointwise: {
        absl::StatusOr<TileProgram::ValueId> id = LowerElementwise(p, node, inputs);
        if (!id.ok()) return id.status();
        Set(p, *node.output(), *id);
        return absl::OkStatus();
      }
      case LoopRole::kView:
        Set(p, *node.output(), inputs[0].id);
        return absl::OkStatus();
      case LoopRole::kReduce: {
        if (inputs[0].dtype == DType::kBool)
          return absl::UnimplementedError("a reduction of bools");
        const bool reduces = Reduces(node);
        Set(p, *node.output(), LowerReduction(p, node, inputs[0].id, reduces ? row_ : 1));
        return absl::OkStatus();
      }
      case LoopRole::kNormalize:
        return Normalize(p, node, inputs);
      case LoopRole::kNone:
        break;
    }
    return absl::UnimplementedError(absl::StrCat(node.op_name(), " is no loop"));
  }

  bool Reduces(const Node& node) const {
    const std::vector<int>& axes = loops_.axes.at(node.input(0));
    const std::vector<int> reduced = ReducedAxes(node).value_or(std::vector<int>());
    for (int axis : reduced) {
      if (axes[axis] >= 0) return true;
    }
    return false;
  }

  absl::Status Normalize(TileProgram& p, const Node& node, absl::Span<const TileValue> inputs) {
    if (loops_.reduces() && !Reduces(node)) {
      return absl::UnimplementedError("a norm over single elements beside a longer reduction");
    }
    const TileProgram::ValueId x = inputs[0].id;
    if (node.Is("Softmax") || node.Is("LogSoftmax")) {
      Set(p, *node.output(), node.Is("Softmax") ? SoftmaxSteps(p, x) : LogSoftmaxSteps(p, x));
      return absl::OkStatus();
    }
    const NormSteps n{p, row_, NormType({inputs[0].dtype, inputs[1].dtype})};
    const auto widened = [&](size_t i) {
      return i < inputs.size() && inputs[i].id >= 0 ? p.Convert(inputs[i].id, n.dtype) : -1;
    };
    const double epsilon = node.Float("epsilon");
    if (node.Is("RMSNormalization")) {
      Set(p, *node.output(), n.RmsNorm(widened(0), widened(1), epsilon));
      return absl::OkStatus();
    }
    const auto [y, mean, inverse] = n.LayerNorm(widened(0), widened(1), widened(2), epsilon);
    const TileProgram::ValueId made[] = {y, mean, inverse};
    for (size_t i = 0; i < node.num_outputs(); ++i)
      Set(p, *node.output(i), p.Convert(made[i], ComputeType(node.output(i)->type().dtype())));
    return absl::OkStatus();
  }

  absl::Status LowerConstant(TileProgram& p, const Node& node) {
    const Tensor& t = *node.GetTensor("value");
    TileValue value{.dtype = t.dtype(), .constant = t};
    if (t.elements() == 1 && t.dtype() != DType::kString) {
      double number = 0;
      const bool exact = VisitDType(
          t.dtype(),
          [&]<typename T>() {
            const T x = t.data<T>()[0];
            number = static_cast<double>(x);
            // Beyond 2^53 not every integer is a double.
            return !std::is_integral_v<T> || (number > -0x1p53 && number < 0x1p53) ||
                   x == std::numeric_limits<T>::min() || x == std::numeric_limits<T>::max();
          },
          [] { return false; });
      if (!exact) return absl::UnimplementedError("a constant that no f64 holds");
      value.id = p.Scalar(ComputeType(t.dtype()), number);
    }
    values_[node.output()] = std::move(value);  // a list of axes or extents has no steps
    return absl::OkStatus();
  }

  // Between the nodes of a loop 16-bit floats are f32, neither rounded nor out of range, unless
  // each operation is asked for as the graph has it.
  void Set(TileProgram& p, const Value& v, TileProgram::ValueId id) {
    const DType dtype = v.type().dtype();
    if (context_.accuracy == Accuracy::kStrict && dtype != ComputeType(dtype)) {
      id = p.Convert(p.Convert(id, dtype), ComputeType(dtype));
    }
    values_[&v] = {id, dtype, {}};
  }

  const PrepareContext& context_;
  const Graph& body_;
  const LoopSpace loops_;
  std::vector<size_t> order_;  // loops, outermost first
  Dims space_;
  TileProgram::Range reduced_;
  int64_t row_ = 1;
  absl::flat_hash_map<const Value*, TileValue> values_;
};

}  // namespace

absl::StatusOr<TileProgram> LowerFusedLoop(const PrepareContext& context, LoopSpace loops) {
  return Lowering(context, *context.node.body("body"), std::move(loops)).Build();
}

}  // namespace sluice
