#include "ops/op.h"
#include "ops/shape_util.h"

namespace sluice {
namespace {

// The more telling of two descriptions of one extent; InvalidArgument where they contradict.
bool MergeDim(Dim* into, const Dim& other) {
  if (into->is_number() && other.is_number()) return into->number() == other.number();
  if (into->is_unknown() || other.is_number()) *into = other;
  return true;
}

absl::Status InferConcat(InferContext& c) {
  std::optional<Shape> shape;
  bool complete = true;
  DType dtype = DType::kInvalid;
  size_t like = 0;
  for (size_t i = 0; i < c.num_inputs(); ++i) {
    const Type& t = c.InputType(i);
    if (t.is_tensor() && dtype == DType::kInvalid) dtype = t.dtype();
    if (!t.is_tensor() || !t.has_shape()) {
      complete = false;
      continue;
    }
    if (t.rank() == 0) return c.Error("a scalar (input ", i, ") cannot be concatenated");
    if (!shape.has_value()) {
      shape = t.shape();
      like = i;
      continue;
    }
    if (t.shape().size() != shape->size()) {
      return c.Error("input ", i, " is ", t.ToString(), ", but input ", like, " is ",
                     c.InputType(like).ToString(), ": the ranks differ");
    }
    absl::StatusOr<int> axis = c.Axis(c.Int("axis"), t.rank());
    if (!axis.ok()) return axis.status();
    for (int d = 0; d < t.rank(); ++d) {
      if (d == *axis) {
        (*shape)[d] = (*shape)[d] + t.dim(d);
      } else if (!MergeDim(&(*shape)[d], t.dim(d))) {
        return c.Error("input ", i, " is ", t.ToString(), ", but input ", like, " is ",
                       c.InputType(like).ToString(), ": extents off axis ", *axis,
                       " must be equal");
      }
    }
  }
  if (dtype == DType::kInvalid) return absl::OkStatus();
  if (!shape.has_value()) {
    c.SetOutput(0, Type::Tensor(dtype));
    return absl::OkStatus();
  }
  absl::StatusOr<int> axis = c.Axis(c.Int("axis"), static_cast<int>(shape->size()));
  if (!axis.ok()) return axis.status();
  if (!complete) (*shape)[*axis] = Dim::Unknown();

  if (shape->size() == 1 && complete && IsInt(dtype) && (*shape)[0].is_number() &&
      (*shape)[0].number() <= kMaxKnownElements) {
    Shape contents;  // what is known of them: a piece of unknown contents leaves unknown elements
    for (size_t i = 0; i < c.num_inputs(); ++i) {
      std::optional<Shape> piece = SmallInputDims(c, i);
      if (!piece.has_value()) piece = Shape(c.InputType(i).dim(0).number(), Dim::Unknown());
      contents.insert(contents.end(), piece->begin(), piece->end());
    }
    c.SetOutputDims(0, std::move(contents));
  }
  c.SetOutput(0, Type::Tensor(dtype, *std::move(shape)));
  return absl::OkStatus();
}

absl::Status ConcatGradient(GradientContext& c) {
  GraphBuilder& b = c.builder();
  const size_t n = c.node().num_inputs();
  const int64_t axis = c.node().Int("axis");
  if (n == 1) {
    c.SetInputGrad(0, c.output_grad());
    return absl::OkStatus();
  }
  std::vector<Value*> extents;
  for (size_t i = 0; i < n; ++i) {
    Value* shape = b.Op("Shape", {c.input(i)});
    extents.push_back(b.Op("Gather", {shape, b.Ints({axis})}));
  }
  Value* sizes = b.Op("Concat", extents, {{"axis", 0}});
  std::vector<Value*> parts =
      b.OpN("Split", std::vector<Value*>{c.output_grad(), sizes}, n, {{"axis", axis}});
  for (size_t i = 0; i < n && i < parts.size(); ++i) c.SetInputGrad(i, parts[i]);
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(Concat) {
  return Op("Concat")
      .Doc("The inputs one after the other along `axis`; their other extents are equal.")
      .VariadicInput("inputs", "T")
      .Output("concat_result", "T")
      .Types("T", kAllTypes)
      .RequiredAttr("axis", AttrKind::kInt)
      .Infer(InferConcat)
      .Gradient(ConcatGradient)
      .RowWise()
      .Costs(ElementCost::kMove)
      .InAnyAxisOrder(AnyAxisOrder::kAllInputs);
}

}  // namespace sluice
