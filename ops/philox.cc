// What all random numbers are made of: keys, and numbers that follow from them (see random.h).
#include <bit>
#include <cmath>

#include "ops/op.h"
#include "ops/random.h"
#include "ops/shape_util.h"

namespace sluice {
namespace {

constexpr DTypeSet kDrawnTypes = {DType::kF32, DType::kF64};

Type KeyType() { return Type::Tensor(DType::kU64, Shape{Dim(2)}); }

absl::Status CheckKey(const InferContext& c) {
  const Type& key = c.InputType(0);
  if (!key.is_tensor() || !key.has_shape()) return absl::OkStatus();
  if (key.rank() == 1 && !ProvablyDifferent(key.dim(0), 2)) return absl::OkStatus();
  return c.Error("key is ", key.ToString(), "; expected ", KeyType().ToString(),
                 ", as RandomKey and FoldKey give it");
}

absl::Status InferRandomKey(InferContext& c) {
  c.SetOutput(0, KeyType());
  return absl::OkStatus();
}

absl::Status InferFoldKey(InferContext& c) {
  if (absl::Status s = CheckKey(c); !s.ok()) return s;
  if (absl::Status s = CheckRank(c, 1, 0, 0); !s.ok()) return s;
  c.SetOutput(0, KeyType());
  return absl::OkStatus();
}

absl::Status InferNumbers(InferContext& c) {
  if (absl::Status s = CheckKey(c); !s.ok()) return s;
  const DType dtype = c.GetDType("dtype");
  if (!kDrawnTypes.Contains(dtype))
    return c.Error("dtype is ", ToString(dtype), "; expected one of ", kDrawnTypes.ToString());
  if (c.HasInput(1) == c.HasInput(2)) return c.Error("it takes either shape or like");
  if (c.HasInput(2)) {
    c.SetOutput(0, TensorType(dtype, InputShape(c, 2)));
    return absl::OkStatus();
  }
  absl::StatusOr<std::optional<Shape>> shape = ShapeInput(c, 1);
  if (!shape.ok()) return shape.status();
  if (shape->has_value()) {
    for (const Dim& d : **shape) {
      if (d.is_number() && d.number() < 0)
        return c.Error("shape ", ShapeToString(**shape), " has the negative extent ", d.number());
    }
  }
  c.SetOutput(0, TensorType(dtype, *shape));
  return absl::OkStatus();
}

Op Numbers(absl::string_view name, absl::string_view doc) {
  return Op(name, "sluice")
      .Doc(doc)
      .Input("key", "u64")
      .OptionalInput("shape", "i64")
      .WithRole(InputRole::kExtents)
      .OptionalInput("like", "")
      .Output("output", "")
      .Attr("dtype", DType::kF32, "f32 or f64")
      .RequiredAttr("stream", AttrKind::kInt, "tells nodes with the same key apart")
      .Infer(InferNumbers)
      .InLoops(LoopRole::kGenerate)
      .Costs(ElementCost::kHeavy)
      .NotDifferentiable("it depends on the key and the extents alone");
}

void AddToHash(absl::string_view text, uint64_t* hash) {
  const auto add = [&](uint8_t byte) { *hash = (*hash ^ byte) * 0x100000001b3u; };
  for (char c : text) add(static_cast<uint8_t>(c));
  add(0);
}

void AddPath(const Node& node, uint64_t* hash) {
  const Graph* graph = node.graph();
  if (const Node* owner = graph->owner(); owner != nullptr) {
    AddPath(*owner, hash);
    for (const auto& [name, body] : owner->bodies()) {
      if (body.get() == graph) AddToHash(name, hash);
    }
  }
  AddToHash(node.name(), hash);
}

// A whole number is the seed that the same number would be as an integer.
int64_t SeedOf(const Attribute& seed) {
  if (seed.kind() == AttrKind::kInt) return seed.as_int();
  const double number = static_cast<double>(seed.as_float());
  if (std::trunc(number) == number && std::abs(number) < 0x1p63)
    return static_cast<int64_t>(number);
  return std::bit_cast<int64_t>(number);
}

Value* Draw(const char* op, GraphBuilder& b, const Node& node, Extents extents, DType dtype) {
  AttrList seed;
  if (const Attribute* given = node.FindAttr("seed"); given != nullptr)
    seed.push_back({"seed", SeedOf(*given)});
  Value* key = b.Op("RandomKey", absl::Span<Value* const>(), seed);
  std::vector<Value*> inputs = {key, extents.shape};
  if (extents.like != nullptr) inputs.push_back(extents.like);
  return b.Op(op, inputs, {{"dtype", dtype}, {"stream", StreamOf(node)}});
}

}  // namespace

int64_t StreamOf(const Node& node) {
  uint64_t z = 0xcbf29ce484222325u;
  AddPath(node, &z);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  z ^= z >> 31;
  return static_cast<int64_t>((z >> 2) | (uint64_t{1} << 62));
}

Value* DrawUniform(GraphBuilder& b, const Node& node, Extents extents, DType dtype) {
  return Draw("PhiloxUniform", b, node, extents, dtype);
}

Value* DrawNormal(GraphBuilder& b, const Node& node, Extents extents, DType dtype) {
  return Draw("PhiloxNormal", b, node, extents, dtype);
}

SLUICE_DECLARE_OP(RandomKey) {
  return Op("RandomKey", "sluice")
      .Doc(
          "The key that random numbers follow from: (seed, number of the run); in a body of Loop "
          "or "
          "Scan the trip's own. The first pass makes an input of it.")
      .Output("key", "u64")
      .OptionalAttr("seed", AttrKind::kInt, "in place of the session's")
      .Draws()
      .Infer(InferRandomKey)
      .NotDifferentiable("it depends on nothing inside the graph");
}

SLUICE_DECLARE_OP(FoldKey) {
  return Op("FoldKey", "sluice")
      .Doc("A key of its own for each `data`: the block of Philox4x32-10 that it counts.")
      .Input("key", "u64")
      .Input("data", "i64")
      .Output("folded", "u64")
      .Infer(InferFoldKey)
      .NotDifferentiable("it computes integers");
}

SLUICE_DECLARE_OP(PhiloxUniform) {
  return Numbers("PhiloxUniform",
                 "Numbers evenly spread over [0, 1), of extents `shape` or those of `like`: "
                 "multiples of 2^-24 (f64: 2^-53), the upper "
                 "bits of each element's.");
}

SLUICE_DECLARE_OP(PhiloxNormal) {
  return Numbers("PhiloxNormal",
                 "Numbers with the standard normal distribution, of extents `shape` or those of "
                 "`like`, by Box and Muller: of each two elements, the first one's bits give a "
                 "radius, sqrt(-2 ln u), the second one's an angle; they are the point's x and y.");
}

}  // namespace sluice
