#include "exchange/onnx_upgrade.h"

#include <algorithm>
#include <climits>

#include "absl/strings/str_cat.h"

namespace sluice {

void OnnxNode::SetInput(size_t i, Value* value) {
  if (i >= inputs.size()) inputs.resize(i + 1, nullptr);
  inputs[i] = value;
}

namespace {

std::optional<Attribute> Take(OnnxNode* node, absl::string_view name, AttrKind kind) {
  auto it = node->attrs.find(std::string(name));
  if (it == node->attrs.end() || it->second.kind() != kind) return std::nullopt;
  Attribute value = std::move(it->second);
  node->attrs.erase(it);
  return value;
}

}  // namespace

std::optional<int64_t> OnnxNode::TakeInt(absl::string_view name) {
  auto a = Take(this, name, AttrKind::kInt);
  return a ? std::optional(a->as_int()) : std::nullopt;
}
std::optional<float> OnnxNode::TakeFloat(absl::string_view name) {
  auto a = Take(this, name, AttrKind::kFloat);
  return a ? std::optional(a->as_float()) : std::nullopt;
}
std::optional<std::string> OnnxNode::TakeString(absl::string_view name) {
  auto a = Take(this, name, AttrKind::kString);
  return a ? std::optional(a->as_string()) : std::nullopt;
}
std::optional<std::vector<int64_t>> OnnxNode::TakeInts(absl::string_view name) {
  auto a = Take(this, name, AttrKind::kInts);
  return a ? std::optional(a->as_ints()) : std::nullopt;
}
std::optional<std::vector<float>> OnnxNode::TakeFloats(absl::string_view name) {
  auto a = Take(this, name, AttrKind::kFloats);
  return a ? std::optional(a->as_floats()) : std::nullopt;
}

namespace {

absl::Status Unsupported(absl::string_view what) { return absl::UnimplementedError(what); }

// A scalar of x's dtype, also where that dtype is not known yet.
Value* ScalarAs(OnnxNode* n, Value* x, float value) {
  if (x->type().is_tensor() && x->type().dtype() != DType::kInvalid)
    return n->builder->ScalarLike(x, value);
  return n->builder->Op("CastLike", {n->builder->Scalar<float>(value), x});
}

// ---- Attributes that became inputs

absl::Status IntsToInput(OnnxNode* n, absl::string_view attr, size_t input) {
  if (std::optional<std::vector<int64_t>> ints = n->TakeInts(attr))
    n->SetInput(input, n->builder->Ints(*ints));
  return absl::OkStatus();
}

absl::Status AxesToInput(OnnxNode* n) { return IntsToInput(n, "axes", 1); }

absl::Status Clip(OnnxNode* n) {
  if (n->input(0) == nullptr) return absl::OkStatus();
  const std::optional<float> min = n->TakeFloat("min"), max = n->TakeFloat("max");
  if (min) n->SetInput(1, ScalarAs(n, n->input(0), *min));
  if (max) n->SetInput(2, ScalarAs(n, n->input(0), *max));
  return absl::OkStatus();
}

absl::Status Dropout(OnnxNode* n) {
  if (std::optional<float> ratio = n->TakeFloat("ratio"))
    n->SetInput(1, n->builder->Scalar<float>(*ratio));
  return absl::OkStatus();
}

absl::Status Pad(OnnxNode* n) {
  if (n->input(0) == nullptr) return absl::OkStatus();
  absl::Status s = IntsToInput(n, "pads", 1);
  if (std::optional<float> value = n->TakeFloat("value"); value && *value != 0)
    n->SetInput(2, ScalarAs(n, n->input(0), *value));
  return s;
}

absl::Status Slice(OnnxNode* n) {
  IntsToInput(n, "starts", 1).IgnoreError();
  IntsToInput(n, "ends", 2).IgnoreError();
  return IntsToInput(n, "axes", 3);
}

absl::Status Split(OnnxNode* n) { return IntsToInput(n, "split", 1); }

// Without sizes the parts are equal; the newest form says how many.
absl::Status SplitCount(OnnxNode* n) {
  if (n->input(1) == nullptr) n->attrs["num_outputs"] = static_cast<int64_t>(n->num_outputs);
  return absl::OkStatus();
}

absl::Status TopK(OnnxNode* n) {
  if (std::optional<int64_t> k = n->TakeInt("k")) n->SetInput(1, n->builder->Ints({*k}));
  return absl::OkStatus();
}

absl::Status Dft(OnnxNode* n) {
  n->SetInput(2, n->builder->Scalar<int64_t>(n->TakeInt("axis").value_or(1)));
  return absl::OkStatus();
}

// ---- Meanings that changed

// Without `spatial` each position of a sample has statistics of its own: scale, bias, mean and
// variance have the extents of a sample.
absl::Status BatchNormSpatial(OnnxNode* n) {
  if (n->TakeInt("spatial").value_or(1) != 0) return absl::OkStatus();
  if (n->num_outputs > 1)
    return Unsupported("BatchNormalization with spatial=0 that trains (more than one output)");
  for (size_t i = 0; i < 5; ++i) {
    if (n->input(i) == nullptr) return absl::OkStatus();  // the declaration will complain
  }
  GraphBuilder& b = *n->builder;
  Value *x = n->input(0), *scale = n->input(1), *bias = n->input(2), *mean = n->input(3),
        *variance = n->input(4);
  Value* epsilon = ScalarAs(n, variance, n->TakeFloat("epsilon").value_or(1e-5f));
  Value* factor = b.Op("Div", {scale, b.Op("Sqrt", {b.Op("Add", {variance, epsilon})})});
  n->results = {b.Op("Add", {b.Op("Mul", {b.Op("Sub", {x, mean}), factor}), bias})};
  return absl::OkStatus();
}

// Before training_mode, asking for statistics meant training; the last two outputs were scratch.
absl::Status BatchNormTraining(OnnxNode* n) {
  if (n->num_outputs > 1) n->attrs["training_mode"] = int64_t{1};
  n->num_outputs = std::min<size_t>(n->num_outputs, 3);
  return absl::OkStatus();
}

// The input was flattened to a matrix at `axis` (default 1), and its rows were normalised.
absl::Status FlattenedRows(OnnxNode* n) {
  Value* x = n->input(0);
  const int64_t axis = n->TakeInt("axis").value_or(1);
  if (x == nullptr) return absl::OkStatus();
  if (x->type().is_tensor() && x->type().has_shape()) {
    const int rank = x->type().rank();
    const int64_t at = axis < 0 ? axis + rank : axis;
    bool same = at >= 0 && at < rank;
    for (int64_t i = at + 1; same && i < rank; ++i) same = x->type().dim(i) == Dim(1);
    if (same) {  // every other extent of a row is 1
      n->attrs["axis"] = at == rank - 1 ? int64_t{-1} : at;
      return absl::OkStatus();
    }
  }
  GraphBuilder& b = *n->builder;
  Value* rows = b.Op("Flatten", {x}, {{"axis", axis}});
  Value* y = b.Op(n->op, {rows}, {{"axis", -1}});
  n->results = {b.Op("Reshape", {y, b.Op("Shape", {x})}, {{"allowzero", 1}})};
  return absl::OkStatus();
}

absl::Status GridSample(OnnxNode* n) {
  if (std::optional<std::string> mode = n->TakeString("mode")) {
    n->attrs["mode"] = *mode == "bilinear" ? "linear" : *mode == "bicubic" ? "cubic" : *mode;
  }
  return absl::OkStatus();
}

// Scale and bias were one a group, and are one a channel.
absl::Status GroupNormalization(OnnxNode* n) {
  auto it = n->attrs.find("num_groups");
  if (it == n->attrs.end() || it->second.kind() != AttrKind::kInt || it->second.as_int() < 1)
    return absl::OkStatus();  // the declaration will complain
  const int64_t groups = it->second.as_int();
  Value* x = n->input(0);
  if (x == nullptr || n->input(1) == nullptr || n->input(2) == nullptr) return absl::OkStatus();
  GraphBuilder& b = *n->builder;
  Value* channels = b.Op("Shape", {x}, {{"start", 1}, {"end", 2}});
  Value* each = b.Op("Div", {channels, b.Ints({groups})});
  Value* table = b.Op("Concat", {b.Ints({groups}), each}, {{"axis", 0}});
  for (size_t i : {1, 2}) {
    Value* column = b.Op("Unsqueeze", {n->input(i), b.Ints({1})});
    n->SetInput(i, b.Op("Reshape", {b.Op("Expand", {column, table}), b.Ints({-1})}));
  }
  return absl::OkStatus();
}

void FloorOfAsymmetric(OnnxNode* n) {
  if (std::optional<std::string> mode = n->TakeString("mode"))
    n->attrs["mode"] = *mode == "bilinear" ? "linear" : *mode;
  n->attrs["coordinate_transformation_mode"] = "asymmetric";
  n->attrs["nearest_mode"] = "floor";
}

absl::Status Upsample(OnnxNode* n) {
  Value* scales = n->input(1);
  if (std::optional<std::vector<float>> attr = n->TakeFloats("scales"))
    scales = n->builder->Constant(Tensor::Vector<float>(*attr));
  n->op = "Resize";
  n->inputs = {n->input(0), nullptr, scales};
  FloorOfAsymmetric(n);
  return absl::OkStatus();
}

// What opset 10 left open its test cases tell, and ONNX Runtime: nearest takes the pixel before
// where an axis grows, and the one behind where it shrinks. Where both happen it is two nodes.
// Scales that nobody knows are taken to grow.
absl::Status Resize10(OnnxNode* n) {
  Value* scales = n->input(1);
  n->inputs = {n->input(0), nullptr, scales};
  FloorOfAsymmetric(n);
  const Tensor* known = scales == nullptr ? nullptr : scales->constant();
  auto mode = n->attrs.find("mode");
  if (known == nullptr || known->dtype() != DType::kF32 ||
      (mode != n->attrs.end() && !(mode->second == Attribute("nearest"))))
    return absl::OkStatus();
  std::vector<float> shrinks, grows;
  for (float s : known->values<float>()) {
    shrinks.push_back(std::min(s, 1.0f));
    grows.push_back(std::max(s, 1.0f));
  }
  const auto one = [](float s) { return s == 1; };
  if (std::all_of(shrinks.begin(), shrinks.end(), one)) return absl::OkStatus();
  if (!std::all_of(grows.begin(), grows.end(), one)) {
    const AttrList floor(n->attrs.begin(), n->attrs.end());
    n->inputs[0] = n->builder->Op(
        "Resize", {n->input(0), nullptr, n->builder->Constant(Tensor::Vector<float>(grows))},
        floor);
    n->inputs[2] = n->builder->Constant(Tensor::Vector<float>(shrinks));
  }
  n->attrs["nearest_mode"] = "ceil";
  return absl::OkStatus();
}

// floor((i+0.5)/s) is half_pixel's (i+0.5)/s-0.5 rounded half up.
absl::Status Resize11(OnnxNode* n) {
  auto it = n->attrs.find("coordinate_transformation_mode");
  if (it == n->attrs.end() || !(it->second == Attribute("tf_half_pixel_for_nn")))
    return absl::OkStatus();
  auto nearest = n->attrs.find("nearest_mode"), mode = n->attrs.find("mode");
  if ((mode != n->attrs.end() && !(mode->second == Attribute("nearest"))) ||
      nearest == n->attrs.end() || !(nearest->second == Attribute("floor")))
    return Unsupported("Resize with tf_half_pixel_for_nn other than nearest with floor");
  it->second = "half_pixel";
  nearest->second = "round_prefer_ceil";
  return absl::OkStatus();
}

// An empty tensor is how exporters say that roi, scales or sizes is absent.
absl::Status ResizeEmpty(OnnxNode* n) {
  for (size_t i = 1; i < n->inputs.size(); ++i) {
    Value* v = n->inputs[i];
    if (v == nullptr) continue;
    const std::optional<Dims> dims = v->type().StaticDims();
    if (dims.has_value() && dims->size() == 1 && (*dims)[0] == 0) n->inputs[i] = nullptr;
  }
  return absl::OkStatus();
}

absl::Status RoiAlign(OnnxNode* n) {
  n->attrs.try_emplace("coordinate_transformation_mode", "output_half_pixel");
  return absl::OkStatus();
}

absl::Status Scan8(OnnxNode*) {
  return Unsupported(
      "Scan of opset 8 (with a batch axis and sequence lengths); export the model "
      "with opset 9 or newer");
}

absl::Status Scatter(OnnxNode* n) {
  n->op = "ScatterElements";
  return absl::OkStatus();
}

// ---- Opset 6

// Broadcasting was asked for, and aligned the second input with the first at `axis`.
absl::Status Broadcast6(OnnxNode* n) {
  const bool broadcast = n->TakeInt("broadcast").value_or(0) != 0;
  const std::optional<int64_t> axis = n->TakeInt("axis");
  if (!broadcast || !axis.has_value()) return absl::OkStatus();
  Value *a = n->input(0), *b = n->input(1);
  if (a == nullptr || b == nullptr) return absl::OkStatus();
  if (!a->type().is_tensor() || !a->type().has_shape() || !b->type().is_tensor() ||
      !b->type().has_shape())
    return Unsupported("broadcasting at an axis (opset 6) where a rank is not known");
  const int64_t rank_a = a->type().rank(), rank_b = b->type().rank();
  const int64_t at = *axis < 0 ? *axis + rank_a : *axis;
  std::vector<int64_t> axes;
  for (int64_t i = rank_b; i < rank_a - at; ++i) axes.push_back(i);
  if (!axes.empty()) n->SetInput(1, n->builder->Op("Unsqueeze", {b, n->builder->Ints(axes)}));
  return absl::OkStatus();
}

// One slope a channel was a vector.
absl::Status PRelu6(OnnxNode* n) {
  Value *x = n->input(0), *slope = n->input(1);
  if (x == nullptr || slope == nullptr || !x->type().is_tensor() || !x->type().has_shape() ||
      !slope->type().is_tensor() || !slope->type().has_shape() || slope->type().rank() != 1)
    return absl::OkStatus();
  std::vector<int64_t> axes;
  for (int64_t i = 1; i < x->type().rank() - 1; ++i) axes.push_back(i);
  if (!axes.empty()) n->SetInput(1, n->builder->Op("Unsqueeze", {slope, n->builder->Ints(axes)}));
  return absl::OkStatus();
}

absl::Status TestMode6(OnnxNode* n) {
  const bool test = n->TakeInt("is_test").value_or(0) != 0;
  if (n->op == "BatchNormalization" && test) n->num_outputs = 1;
  return absl::OkStatus();
}

absl::Status Gemm6(OnnxNode* n) {
  n->TakeInt("broadcast");
  return absl::OkStatus();
}

// `rule` applies to nodes of an opset below `below`, in this order.
struct Rule {
  const char* op;
  int64_t below;
  absl::Status (*apply)(OnnxNode*);
};
constexpr int64_t kAlways = INT64_MAX;
constexpr Rule kRules[] = {
    {"Add", 7, Broadcast6},
    {"And", 7, Broadcast6},
    {"BatchNormalization", 7, TestMode6},
    {"BatchNormalization", 9, BatchNormSpatial},
    {"BatchNormalization", 14, BatchNormTraining},
    {"Clip", 11, Clip},
    {"DFT", 20, Dft},
    {"Div", 7, Broadcast6},
    {"Dropout", 7, TestMode6},
    {"Dropout", 12, Dropout},
    {"Equal", 7, Broadcast6},
    {"Gemm", 7, Gemm6},
    {"Greater", 7, Broadcast6},
    {"GridSample", 20, GridSample},
    {"GroupNormalization", 21, GroupNormalization},
    {"Hardmax", 13, FlattenedRows},
    {"Less", 7, Broadcast6},
    {"LogSoftmax", 13, FlattenedRows},
    {"Mul", 7, Broadcast6},
    {"Or", 7, Broadcast6},
    {"PRelu", 7, PRelu6},
    {"Pad", 11, Pad},
    {"Pow", 7, Broadcast6},
    {"ReduceL1", 18, AxesToInput},
    {"ReduceL2", 18, AxesToInput},
    {"ReduceLogSum", 18, AxesToInput},
    {"ReduceLogSumExp", 18, AxesToInput},
    {"ReduceMax", 18, AxesToInput},
    {"ReduceMean", 18, AxesToInput},
    {"ReduceMin", 18, AxesToInput},
    {"ReduceProd", 18, AxesToInput},
    {"ReduceSum", 13, AxesToInput},
    {"ReduceSumSquare", 18, AxesToInput},
    {"Resize", 11, Resize10},
    {"Resize", 13, Resize11},
    {"Resize", kAlways, ResizeEmpty},
    {"RoiAlign", 16, RoiAlign},
    {"Scan", 9, Scan8},
    {"Scatter", kAlways, Scatter},
    {"Slice", 10, Slice},
    {"Softmax", 13, FlattenedRows},
    {"Split", 13, Split},
    {"Split", 18, SplitCount},
    {"Squeeze", 13, AxesToInput},
    {"Sub", 7, Broadcast6},
    {"TopK", 10, TopK},
    {"Unsqueeze", 13, AxesToInput},
    {"Upsample", kAlways, Upsample},
    {"Xor", 7, Broadcast6},
};

}  // namespace

absl::Status UpgradeOnnxNode(OnnxNode* node) {
  const std::string op = node->op;  // as written: a rule may rename it
  const Rule* rule = std::lower_bound(std::begin(kRules), std::end(kRules), op,
                                      [](const Rule& r, const std::string& o) { return r.op < o; });
  for (; rule != std::end(kRules) && rule->op == op; ++rule) {
    if (node->opset >= rule->below) continue;
    if (absl::Status s = rule->apply(node); !s.ok()) return s;
  }
  return node->builder->status();
}

absl::string_view CanonicalOnnxOp(absl::string_view op) {
  if (op == "Upsample") return "Resize";
  if (op == "Scatter") return "ScatterElements";
  return op;
}

}  // namespace sluice
