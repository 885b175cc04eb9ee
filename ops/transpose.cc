#include <numeric>

#include "absl/strings/str_join.h"
#include "ops/op.h"
#include "ops/shape_util.h"

namespace sluice {
namespace {

absl::Status InferTranspose(InferContext& c) {
  const Type& data = c.InputType(0);
  std::vector<int64_t> perm = c.Ints("perm");
  const bool given = c.HasAttr("perm");
  if (given) {
    std::vector<bool> seen(perm.size());
    for (int64_t p : perm) {
      if (p < 0 || p >= static_cast<int64_t>(perm.size()) || seen[p]) {
        return c.Error("perm [", absl::StrJoin(perm, ","), "] is not a permutation of 0 to ",
                       static_cast<int64_t>(perm.size()) - 1);
      }
      seen[p] = true;
    }
  }
  if (!data.is_tensor() || !data.has_shape()) {
    c.SetOutput(0, WithShape(data, given ? std::optional<Shape>(Shape(perm.size(), Dim::Unknown()))
                                         : std::nullopt));
    return absl::OkStatus();
  }
  if (!given) {
    perm.resize(data.rank());
    std::iota(perm.rbegin(), perm.rend(), 0);
  }
  if (static_cast<int>(perm.size()) != data.rank()) {
    return c.Error("perm [", absl::StrJoin(perm, ","), "] has ", perm.size(), " axes, but data is ",
                   data.ToString());
  }
  Shape shape;
  for (int64_t p : perm) shape.push_back(data.dim(static_cast<int>(p)));
  if (shape.size() <= 1) ForwardDims(c);
  c.SetOutput(0, WithShape(data, std::move(shape)));
  return absl::OkStatus();
}

absl::Status TransposeGradient(GradientContext& c) {
  const std::vector<int64_t> perm = c.node().Ints("perm");
  AttrList attrs;
  if (c.node().FindAttr("perm") != nullptr) {
    std::vector<int64_t> inverse(perm.size());
    for (size_t i = 0; i < perm.size(); ++i) inverse[perm[i]] = static_cast<int64_t>(i);
    attrs.push_back({"perm", std::move(inverse)});
  }
  c.SetInputGrad(0, c.builder().Op("Transpose", {c.output_grad()}, attrs));
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(Transpose) {
  return Op("Transpose")
      .Doc(
          "Axis i of the result is axis perm[i] of the data; without `perm` the axes are reversed.")
      .Input("data", "T")
      .Output("transposed", "T")
      .Types("T", kAllTypes)
      .OptionalAttr("perm", AttrKind::kInts)
      .Infer(InferTranspose)
      .Gradient(TransposeGradient)
      .RowWise()
      .Costs(ElementCost::kMove)
      .InLoops(LoopRole::kView);
}

}  // namespace sluice
