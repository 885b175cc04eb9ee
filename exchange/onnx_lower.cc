#include "exchange/onnx_lower.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "graph/builder.h"
#include "graph/infer.h"
#include "graph/text.h"
#include "ops/conv_transpose.h"

namespace sluice {
namespace {

constexpr size_t kMaxSteps = 1'000'000;

absl::Status Refuse(const Node& node, absl::string_view why) {
  return NodeError(node, absl::StatusCode::kFailedPrecondition,
                   absl::StrCat("it cannot be written as ONNX: ", why));
}

void ReplaceAndErase(Node* node, const std::vector<Value*>& results) {
  for (size_t i = 0; i < node->num_outputs(); ++i) {
    if (results[i] == nullptr) continue;
    const std::string name = node->output(i)->name();
    node->graph()->ReplaceAllUses(node->output(i), results[i]);
    Value* result = results[i];
    const bool keep_name = result->graph() == node->graph() && !result->is_input();
    if (keep_name) {  // the name goes over once the old value is gone
      node->graph()->RenameValue(node->output(i), "");
      node->graph()->RenameValue(result, name);
    }
  }
  node->graph()->EraseNode(node);
}

absl::Status Expand(Node* node) {
  GraphBuilder builder(node->graph(), node);
  builder.SetOrigin(node->origin());
  absl::StatusOr<std::vector<Value*>> results = node->op().expand(builder, *node);
  if (!results.ok()) return results.status();
  if (!builder.status().ok()) return builder.status();
  if (results->size() < node->num_outputs()) return Refuse(*node, "its expansion is incomplete");
  ReplaceAndErase(node, *results);
  return absl::OkStatus();
}

absl::Status InlineCall(const Graph& root, Node* node) {
  auto it = root.functions().find(node->String("function"));
  if (it == root.functions().end())
    return Refuse(*node, absl::StrCat("there is no function ", Shown(node->String("function"))));
  const Graph& function = *it->second;
  if (function.inputs().size() < node->num_inputs() ||
      function.outputs().size() < node->num_outputs())
    return Refuse(*node, "it does not fit the function's inputs and outputs");
  absl::flat_hash_map<const Value*, Value*> map;
  for (size_t i = 0; i < function.inputs().size(); ++i) map[function.inputs()[i]] = node->input(i);
  if (absl::Status s = CopyNodes(function, node->graph(), &map, node); !s.ok()) return s;
  std::vector<Value*> results;
  for (size_t i = 0; i < node->num_outputs(); ++i) results.push_back(map[function.outputs()[i]]);
  ReplaceAndErase(node, results);
  return absl::OkStatus();
}

// How values lie in memory is no matter of a model file.
void ForgetLayouts(Graph* graph) {
  for (const auto& node : graph->nodes()) {
    for (const auto& [name, body] : node->bodies()) ForgetLayouts(body.get());
    for (size_t i = 0; i < node->num_outputs(); ++i) {
      const Type& type = node->output(i)->type();
      if (type.layout() == Layout::kPlain) continue;
      node->output(i)->set_type(Type::Tensor(type.dtype(), type.shape()));
    }
  }
}

// The element types of ours that ONNX's schema of an op lacks.
struct Lacking {
  const char* op;
  DTypeSet dtypes;
};
constexpr Lacking kLacking[] = {
    {"Celu", {DType::kF64, DType::kF16, DType::kBF16}},
    {"Compress", {DType::kBF16}},
    {"Einsum", {DType::kBF16}},
    // The function that its schema gives adds an f32 epsilon to whatever type it has.
    {"MeanVarianceNormalization", {DType::kF64, DType::kF16, DType::kBF16}},
    {"OneHot", {DType::kBF16}},
    {"ReverseSequence", {DType::kBF16}},
    {"Shrink", {DType::kBF16}}};

bool Is(const Value* v, DType dtype) {
  return v != nullptr && v->type().is_tensor() && v->type().dtype() == dtype;
}

bool Uses(const Node& node, DType dtype) {
  for (const Value* v : node.inputs()) {
    if (Is(v, dtype)) return true;
  }
  for (size_t i = 0; i < node.num_outputs(); ++i) {
    if (Is(node.output(i), dtype)) return true;
  }
  return false;
}

// A type that the op lacks at this node; kInvalid: none.
DType LackedBy(const Node& node) {
  for (const Lacking& l : kLacking) {
    if (!node.Is(l.op)) continue;
    for (DType d : {DType::kF64, DType::kF16, DType::kBF16}) {
      if (l.dtypes.Contains(d) && Uses(node, d)) return d;
    }
  }
  return DType::kInvalid;
}

// The node between casts: as our kernels do it, which compute what is narrower than f32 in f32.
absl::Status ComputeInF32(Node* node) {
  const DType narrow = LackedBy(*node);
  GraphBuilder b(node->graph(), node);
  b.SetOrigin(node->origin());
  std::vector<Value*> inputs(node->inputs().begin(), node->inputs().end());
  for (Value*& input : inputs) {
    if (Is(input, narrow)) input = b.Op("Cast", {input}, {{"to", DType::kF32}});
  }
  Value* wide = b.Op(node->op_name(), inputs, AttrList(node->attrs().begin(), node->attrs().end()));
  Value* result = b.Op("Cast", {wide}, {{"to", narrow}});
  if (!b.status().ok()) return b.status();
  ReplaceAndErase(node, {result});
  return absl::OkStatus();
}

// ONNX's own inference wants indices of a rank, so that a single one has an axis for a while.
bool IsOneHotOfScalar(const Node& node) {
  return node.Is("OneHot") && node.input(0)->type().is_tensor() &&
         node.input(0)->type().has_shape() && node.input(0)->type().rank() == 0;
}

absl::Status GiveIndicesAnAxis(Node* node) {
  GraphBuilder b(node->graph(), node);
  b.SetOrigin(node->origin());
  Value* first = b.Ints({0});
  Value* hot =
      b.Op("OneHot", {b.Op("Unsqueeze", {node->input(0), first}), node->input(1), node->input(2)});
  Value* result = b.Op("Squeeze", {hot, first});
  if (!b.status().ok()) return b.status();
  ReplaceAndErase(node, {result});
  return absl::OkStatus();
}

// What makes another of a node that ONNX does not have like that; null: it does.
using Rewrite = absl::Status (*)(Node*);
Rewrite RewriteOf(const Node& node) {
  switch (LackedBy(node)) {
    case DType::kInvalid:
      break;
    case DType::kF64:
      return Expand;
    default:
      return ComputeInF32;
  }
  if (IsOneHotOfScalar(node)) return GiveIndicesAnAxis;
  if (node.op().domain != "sluice" || node.Is("Variable")) return nullptr;
  if (node.op().expand != nullptr) return Expand;
  return [](Node* n) {
    return Refuse(
        *n, n->Is("Assign") ? "ONNX has no state that a run could change" : "ONNX has no such op");
  };
}

// Where a stride is longer than the kernel, "SAME" wants more elements than there are: the
// specification's equation gives a negative padding, which readers understand each in its own way.
// Explicit pads say the same to all: what is missing is behind the end.
void SpellOutSamePads(Node* node) {
  const auto kernel = ConvKernel(*node, node->input(1)->type());
  if (!kernel.ok() || !kernel->has_value()) return;
  absl::StatusOr<TransposedWindow> same = TransposedWindow::Read(*node, **kernel);
  if (!same.ok() || !same->output_shape.empty() ||
      (same->window.auto_pad != Window::AutoPad::kSameUpper &&
       same->window.auto_pad != Window::AutoPad::kSameLower))
    return;
  // Of one input element: the padding is the same for any number.
  const Window& w = same->window;
  const std::vector<int64_t> ones(w.strides.size(), 1);
  same->Resolve(ones, std::vector<int64_t>(w.strides.begin(), w.strides.end()));
  if (*std::min_element(w.pads_end.begin(), w.pads_end.end()) >= 0) return;
  std::vector<int64_t> pads(w.pads_begin.begin(), w.pads_begin.end());
  std::vector<int64_t> behind(w.pads_end.begin(), w.pads_end.end());
  for (size_t i = 0; i < behind.size(); ++i) {
    pads.push_back(std::max<int64_t>(0, behind[i]));
    behind[i] = std::max<int64_t>(0, -behind[i]);
  }
  node->EraseAttr("auto_pad");
  node->SetAttr("pads", pads);
  node->SetAttr("output_padding", behind);
}

// Attributes that say more than the schema asks for, since readers need it.
void SpellOut(Node* node) {
  if (node->Is("ConvTranspose")) SpellOutSamePads(node);
  // Its function, which the checker follows, knows nothing of the schema's default.
  if (node->Is("MeanVarianceNormalization")) node->SetAttr("axes", node->Ints("axes"));
}

// Replaces calls alone, or all other nodes that are to be rewritten.
absl::Status Lower(const Graph& root, Graph* graph, bool calls, int depth, size_t* steps) {
  if (depth > 64) return absl::ResourceExhaustedError("bodies and calls nest deeper than 64");
  for (auto it = graph->nodes().begin(); it != graph->nodes().end();) {
    Node* node = it->get();
    for (const auto& [name, body] : node->bodies()) {
      if (absl::Status s = Lower(root, body.get(), calls, depth + 1, steps); !s.ok()) return s;
    }
    const Rewrite rewrite = calls ? nullptr : RewriteOf(*node);
    if (calls ? !node->Is("Call") : rewrite == nullptr) {
      if (!calls) SpellOut(node);
      ++it;
      continue;
    }
    if (++*steps > kMaxSteps)
      return absl::ResourceExhaustedError("expanding the graph's ops does not end");
    // What replaces the node stands before it and may have to be rewritten too.
    auto before = it == graph->nodes().begin() ? graph->nodes().end() : std::prev(it);
    absl::Status s = calls ? InlineCall(root, node) : rewrite(node);
    if (!s.ok()) return s;
    it = before == graph->nodes().end() ? graph->nodes().begin() : std::next(before);
  }
  return absl::OkStatus();
}

struct Since {
  const char* op;
  int64_t opset;
};
// Ops and attributes that are younger than opset 21.
constexpr Since kOps[] = {
    {"Attention", 23},       {"BitCast", 26},         {"CausalConvWithState", 27},
    {"CumProd", 26},         {"LinearAttention", 27}, {"RMSNormalization", 23},
    {"RotaryEmbedding", 23}, {"Swish", 24},           {"TensorScatter", 24}};
struct AttrSince {
  const char* op;
  const char* attr;
  int64_t opset;
};
constexpr AttrSince kAttrs[] = {{"AveragePool", "ceil_mode", 22},  // windows in the padding alone
                                {"Cast", "round_mode", 24},
                                {"CastLike", "round_mode", 24},
                                {"DequantizeLinear", "output_dtype", 23},
                                {"LpPool", "ceil_mode", 22},
                                {"MaxPool", "ceil_mode", 22},
                                {"QuantizeLinear", "precision", 23},
                                {"Range", "stash_type", 27}};
// Element types that an older op does not take.
constexpr Since kBFloat16[] = {{"Acos", 22},
                               {"Acosh", 22},
                               {"Asin", 22},
                               {"Asinh", 22},
                               {"Atan", 22},
                               {"Atanh", 22},
                               {"AveragePool", 22},
                               {"Bernoulli", 22},
                               {"Conv", 22},
                               {"ConvTranspose", 22},
                               {"Cos", 22},
                               {"Cosh", 22},
                               {"DeformConv", 22},
                               {"Det", 22},
                               {"Dropout", 22},
                               {"Elu", 22},
                               {"EyeLike", 22},
                               {"GRU", 22},
                               {"GlobalAveragePool", 22},
                               {"GlobalLpPool", 22},
                               {"GlobalMaxPool", 22},
                               {"GridSample", 22},
                               {"HardSigmoid", 22},
                               {"HardSwish", 22},
                               {"InstanceNormalization", 22},
                               {"LSTM", 22},
                               {"LpNormalization", 22},
                               {"LpPool", 22},
                               {"MaxPool", 22},
                               {"MaxRoiPool", 22},
                               {"MaxUnpool", 22},
                               {"Mish", 22},
                               {"Multinomial", 22},
                               {"NegativeLogLikelihoodLoss", 22},
                               {"RNN", 22},
                               {"RandomNormal", 22},
                               {"RandomNormalLike", 22},
                               {"RandomUniform", 22},
                               {"RandomUniformLike", 22},
                               {"Range", 27},
                               {"RoiAlign", 22},
                               {"Round", 22},
                               {"Selu", 22},
                               {"Sin", 22},
                               {"Sinh", 22},
                               {"Softplus", 22},
                               {"Softsign", 22},
                               {"Tan", 22},
                               {"ThresholdedRelu", 22},
                               {"TopK", 24}};
constexpr Since kFloat16[] = {{"Range", 27}};

}  // namespace

absl::Status LowerToOnnx(Graph* graph) {
  ForgetLayouts(graph);
  size_t steps = 0;
  if (absl::Status s = Lower(*graph, graph, /*calls=*/true, 0, &steps); !s.ok()) return s;
  // What a function returns has types only where it is called; how others are written asks for
  // them.
  if (steps > 0) {
    if (absl::Status s = InferTypes(graph); !s.ok()) return s;
  }
  return Lower(*graph, graph, /*calls=*/false, 0, &steps);
}

int64_t OnnxOpsetOf(const Node& node) {
  int64_t opset = 21;
  for (const Since& s : kOps) {
    if (node.op_name() == s.op) opset = std::max(opset, s.opset);
  }
  for (const AttrSince& s : kAttrs) {
    if (node.op_name() == s.op && node.HasAttr(s.attr)) opset = std::max(opset, s.opset);
  }
  for (const auto& [table, dtype] :
       {std::pair<absl::Span<const Since>, DType>(kBFloat16, DType::kBF16),
        {kFloat16, DType::kF16}}) {
    for (const Since& s : table) {
      if (node.op_name() == s.op && Uses(node, dtype)) opset = std::max(opset, s.opset);
    }
  }
  if (node.Is("Attention") && node.input(6) != nullptr) opset = std::max<int64_t>(opset, 24);
  for (const auto& [name, body] : node.bodies()) {
    for (const auto& inner : body->nodes()) opset = std::max(opset, OnnxOpsetOf(*inner));
  }
  return opset;
}

}  // namespace sluice
