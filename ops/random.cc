// ONNX's ops that draw, written with uniform and normal numbers.
#include "ops/random.h"

#include <cmath>
#include <limits>

#include "base/float16.h"
#include "ops/op.h"
#include "ops/shape_util.h"

namespace sluice {
namespace {

constexpr DTypeSet kCountTypes = {DType::kI32, DType::kI64};

absl::Status CheckDType(const InferContext& c, DType dtype, DTypeSet allowed) {
  if (dtype == DType::kInvalid || allowed.Contains(dtype)) return absl::OkStatus();
  return c.Error("dtype is ", ToString(dtype), "; expected one of ", allowed.ToString());
}

absl::Status CheckBounds(const InferContext& c) {
  if (!c.HasAttr("high")) return absl::OkStatus();
  const float low = c.Float("low"), high = c.Float("high");
  if (low <= high && std::isfinite(high - low)) return absl::OkStatus();
  return c.Error("the range is [", low, ", ", high, "); expected low <= high, both finite");
}

absl::Status InferRandom(InferContext& c) {
  if (absl::Status s = CheckDType(c, c.GetDType("dtype"), kFloatTypes); !s.ok()) return s;
  if (absl::Status s = CheckBounds(c); !s.ok()) return s;
  Shape shape;
  const std::vector<int64_t> extents = c.Ints("shape");
  if (extents.size() > kMaxKnownDims)
    return c.Error("a shape of ", extents.size(), " extents is more than the ", kMaxKnownDims,
                   " supported");
  for (int64_t d : extents) {
    if (d < 0) return c.Error("shape has the negative extent ", d);
    shape.push_back(Dim(d));
  }
  c.SetOutput(0, Type::Tensor(c.GetDType("dtype"), std::move(shape)));
  return absl::OkStatus();
}

DType LikeType(const Node& node) {
  if (node.FindAttr("dtype") != nullptr) return node.GetDType("dtype");
  const Type& x = node.input(0)->type();
  return x.is_tensor() ? x.dtype() : DType::kInvalid;
}

absl::Status InferLike(InferContext& c, DTypeSet allowed) {
  const DType dtype = LikeType(c.node());
  if (absl::Status s = CheckDType(c, dtype, allowed); !s.ok()) return s;
  if (absl::Status s = CheckBounds(c); !s.ok()) return s;
  c.SetOutput(0, TensorType(dtype, InputShape(c, 0)));
  return absl::OkStatus();
}
absl::Status InferRandomLike(InferContext& c) { return InferLike(c, kFloatTypes); }
absl::Status InferBernoulli(InferContext& c) { return InferLike(c, kNumericTypes | kBoolType); }

absl::Status InferMultinomial(InferContext& c) {
  if (absl::Status s = CheckDType(c, c.GetDType("dtype"), kCountTypes); !s.ok()) return s;
  if (absl::Status s = CheckRank(c, 0, 2, 2); !s.ok()) return s;
  const int64_t samples = c.Int("sample_size");
  if (samples < 0) return c.Error("sample_size is ", samples, "; expected none or more");
  const std::optional<Shape> x = InputShape(c, 0);
  if (x.has_value() && (*x)[1].is_number() && (*x)[1].number() == 0)
    return c.Error("there are no classes to draw from");
  c.SetOutput(0, Type::Tensor(c.GetDType("dtype"),
                              {x.has_value() ? (*x)[0] : Dim::Unknown(), Dim(samples)}));
  return absl::OkStatus();
}

// The largest number of `dtype` below `high`.
double Below(double high, DType dtype) {
  const auto half = [&]<typename T>(T) {
    const T rounded(static_cast<float>(high));
    if (static_cast<double>(static_cast<float>(rounded)) < high)
      return static_cast<double>(static_cast<float>(rounded));
    const bool negative = (rounded.bits & 0x8000u) != 0, zero = (rounded.bits & 0x7fffu) == 0;
    const int bits = zero ? 0x8001 : rounded.bits + (negative ? 1 : -1);
    return static_cast<double>(static_cast<float>(T::FromBits(static_cast<uint16_t>(bits))));
  };
  if (dtype == DType::kF16) return half(Float16());
  if (dtype == DType::kBF16) return half(BFloat16());
  if (dtype == DType::kF64) return std::nextafter(high, -std::numeric_limits<double>::infinity());
  return static_cast<double>(
      std::nextafter(static_cast<float>(high), -std::numeric_limits<float>::infinity()));
}

// [low, high): what a sum or a conversion rounds up to `high` stays below it.
Value* UniformBetween(GraphBuilder& b, const Node& node, Extents extents, DType dtype) {
  const DType drawn = DrawnType(dtype);
  const double low = node.Float("low"), high = node.Float("high");
  Value* x = DrawUniform(b, node, extents, drawn);
  if (x == nullptr) return nullptr;
  if (high - low != 1) x = b.Op("Mul", {x, b.ScalarLike(x, high - low)});
  if (low != 0) x = b.Op("Add", {x, b.ScalarLike(x, low)});
  if (dtype != drawn) x = b.Op("Cast", {x}, {{"to", dtype}});
  if (x == nullptr || high == low || (low == 0 && dtype == drawn)) return x;
  return b.Op("Min", {x, b.ScalarLike(x, Below(high, dtype))});
}

Value* NormalAround(GraphBuilder& b, const Node& node, Extents extents, DType dtype) {
  const DType drawn = DrawnType(dtype);
  const double mean = node.Float("mean"), scale = node.Float("scale");
  Value* x = DrawNormal(b, node, extents, drawn);
  if (x == nullptr) return nullptr;
  if (scale != 1) x = b.Op("Mul", {x, b.ScalarLike(x, scale)});
  if (mean != 0) x = b.Op("Add", {x, b.ScalarLike(x, mean)});
  return dtype == drawn ? x : b.Op("Cast", {x}, {{"to", dtype}});
}

using Results = absl::StatusOr<std::vector<Value*>>;
using Distribution = Value* (*)(GraphBuilder&, const Node&, Extents, DType);

template <Distribution kDraw>
Results ExpandRandom(GraphBuilder& b, const Node& node) {
  return std::vector<Value*>{
      kDraw(b, node, {.shape = b.Ints(node.Ints("shape"))}, node.GetDType("dtype"))};
}
template <Distribution kDraw>
Results ExpandLike(GraphBuilder& b, const Node& node) {
  return std::vector<Value*>{kDraw(b, node, {.like = node.input(0)}, LikeType(node))};
}

Results ExpandBernoulli(GraphBuilder& b, const Node& node) {
  Value* p = node.input(0);
  const DType drawn = DrawnType(p->type().dtype());
  if (p->type().dtype() != drawn) p = b.Op("Cast", {p}, {{"to", drawn}});
  Value* hits = b.Op("Less", {DrawUniform(b, node, {.like = p}, drawn), p});
  return std::vector<Value*>{b.Op("Cast", {hits}, {{"to", LikeType(node)}})};
}

// Where a number spread over the sum of all weights falls among their running sums.
Results ExpandMultinomial(GraphBuilder& b, const Node& node) {
  Value* logits = node.input(0);
  const DType drawn = DrawnType(logits->type().dtype());
  if (logits->type().dtype() != drawn) logits = b.Op("Cast", {logits}, {{"to", drawn}});
  Value* classes = b.Ints({1});
  Value* top = b.Op("ReduceMax", {logits, classes});
  Value* weights = b.Op("Exp", {b.Op("Sub", {logits, top})});
  if (drawn != DType::kF64) weights = b.Op("Cast", {weights}, {{"to", DType::kF64}});
  Value* sums = b.Op("CumSum", {weights, b.Constant(Tensor::Scalar<int64_t>(1))});
  Value* total = b.Op("Gather", {sums, b.Ints({-1})}, {{"axis", 1}});
  Value* rows = b.Op("Shape", {logits}, {{"end", 1}});
  Value* shape = b.Op("Concat", {rows, b.Ints({node.Int("sample_size")})}, {{"axis", 0}});
  Value* at = b.Op("Mul", {DrawUniform(b, node, {.shape = shape}, DType::kF64), total});
  Value* passed = b.Op("LessOrEqual", {b.Op("Unsqueeze", {sums, b.Ints({1})}),
                                       b.Op("Unsqueeze", {at, b.Ints({2})})});
  Value* count =
      b.Op("ReduceSum", {b.Op("Cast", {passed}, {{"to", node.GetDType("dtype")}}), b.Ints({2})},
           {{"keepdims", 0}});
  return std::vector<Value*>{count};
}

Op Drawing(absl::string_view name, absl::string_view doc) {
  return Op(name).Doc(doc).Draws().OptionalAttr(
      "seed", AttrKind::kFloat, "in place of the session's; a run's numbers are still its own");
}

Op OfShape(Op op) {
  return op.Output("output", "")
      .RequiredAttr("shape", AttrKind::kInts, "of the output")
      .Attr("dtype", DType::kF32, "of the output")
      .Infer(InferRandom)
      .NotDifferentiable("it depends on nothing inside the graph");
}

Op Like(Op op) {
  return op.Input("input", "T")
      .Output("output", "")
      .Types("T", kAllTypes)
      .OptionalAttr("dtype", AttrKind::kDType, "of the output; absent: the input's")
      .Infer(InferRandomLike)
      .NotDifferentiable("it depends on the extents alone");
}

Op Normal(Op op) { return op.Attr("mean", 0.0f).Attr("scale", 1.0f, "the standard deviation"); }
Op Uniform(Op op) { return op.Attr("low", 0.0f).Attr("high", 1.0f, "above every number drawn"); }

}  // namespace

SLUICE_DECLARE_OP(RandomNormal) {
  return OfShape(Normal(Drawing("RandomNormal", "Numbers with a normal distribution.")))
      .ExpandAlways(ExpandRandom<NormalAround>);
}

SLUICE_DECLARE_OP(RandomUniform) {
  return OfShape(Uniform(Drawing("RandomUniform", "Numbers evenly spread over [low, high).")))
      .ExpandAlways(ExpandRandom<UniformBetween>);
}

SLUICE_DECLARE_OP(RandomNormalLike) {
  return Like(Normal(Drawing("RandomNormalLike",
                             "Numbers with a normal distribution, as many as `input` has.")))
      .ExpandAlways(ExpandLike<NormalAround>);
}

SLUICE_DECLARE_OP(RandomUniformLike) {
  return Like(Uniform(Drawing("RandomUniformLike",
                              "Numbers evenly spread over [low, high), as many as `input` has.")))
      .ExpandAlways(ExpandLike<UniformBetween>);
}

SLUICE_DECLARE_OP(Bernoulli) {
  return Drawing("Bernoulli", "1 with the probability that the input's element is, else 0.")
      .Input("input", "T1")
      .Output("output", "")
      .Types("T1", kFloatTypes)
      .OptionalAttr("dtype", AttrKind::kDType, "of the output; absent: the input's")
      .Infer(InferBernoulli)
      .ExpandAlways(ExpandBernoulli)
      .NotDifferentiable("its results are 0 and 1");
}

SLUICE_DECLARE_OP(Multinomial) {
  return Drawing("Multinomial",
                 "Indices of classes, [batch, sample_size], drawn from each row of `input`: "
                 "logarithms of weights, [batch, classes].")
      .Input("input", "T1")
      .Output("output", "")
      .Types("T1", kFloatTypes)
      .Attr("dtype", DType::kI32, "of the output: i32 or i64")
      .Attr("sample_size", 1, "numbers drawn from each row")
      .Infer(InferMultinomial)
      .ExpandAlways(ExpandMultinomial)
      .NotDifferentiable("its results are indices");
}

}  // namespace sluice
