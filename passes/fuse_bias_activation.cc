#include "passes/fuse_bias_activation.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "graph/patch.h"
#include "ops/fused.h"
#include "passes/match.h"
#include "passes/post_op_chain.h"
#include "passes/product.h"

namespace sluice {
namespace {

constexpr char kPass[] = "fuse_bias_activation";

// An input of a MatMul that is some value times one constant, for MatMul alone.
struct Scaled {
  Value* value;
  double scale = 1;
};

Scaled ReadScaled(Value* input, const Node& matmul) {
  Node* node = input->producer();
  if (node == nullptr || OnlyUse(*input) != &matmul || !node->control_inputs().empty() ||
      !node->control_uses().empty()) {
    return {input};
  }
  const std::optional<Scaling> s = ScalingOf(*node);
  return s.has_value() ? Scaled{s->value, s->factor} : Scaled{input};
}

// What a step multiplies the product by, where that may be its alpha, which is an f32 and goes into
// packed weights.
std::optional<double> AlphaOf(const ChainStep& step, DType dtype) {
  const bool scales = step.node->Is("Mul");
  const std::optional<double> c = ConstantScalar(step.operand);
  if (!c.has_value() || !IsModerate(*c, kModerateScale)) return std::nullopt;
  if (!scales && !step.node->Is("Div")) return std::nullopt;
  const double alpha = scales ? *c : 1 / *c;
  return FitsAttribute(alpha, dtype) ? std::optional(alpha) : std::nullopt;
}

// The input of a Transpose that swaps the last two axes for this use alone; null else.
Value* BeforeSwap(const Value* input) {
  const Node* node = ProducedBy(input, "Transpose");
  if (node == nullptr || OnlyUse(*input) == nullptr || !node->control_inputs().empty() ||
      !node->control_uses().empty()) {
    return nullptr;
  }
  std::optional<std::vector<int64_t>> perm = Permutation(*node);
  if (!perm.has_value() || perm->size() < 2) return nullptr;
  std::swap(perm->back(), (*perm)[perm->size() - 2]);
  return std::is_sorted(perm->begin(), perm->end()) ? node->input(0) : nullptr;
}

// What the node is before steps are added: its op, inputs, attributes, and how many of the first
// steps went into them.
struct Start {
  const char* op;
  std::vector<Value*> inputs;
  AttrList attrs;
  size_t used = 0;
  bool scaled = false;      // a scale of an input has become alpha
  bool transposed = false;  // a transpose of an input has become an attribute
};

bool IsPool(const Node& node) { return node.Is("MaxPool") || node.Is("AveragePool"); }

// The bias of a Conv from an Add of one constant a channel.
Value* ConvBias(GraphBuilder& b, const Node& conv, const ChainStep& step) {
  const std::optional<int> rank = RankOf(conv.output());
  if (step.def == nullptr || !step.node->Is("Add") || rank.value_or(0) < 2) return nullptr;
  const Type& result = conv.output()->type();
  const Tensor* constant = step.operand->constant();
  if (constant == nullptr || !result.dim(1).is_number()) return nullptr;
  const int64_t channels = result.dim(1).number();
  std::optional<std::vector<double>> bias = PerChannel(step.operand, *rank, 1, channels);
  if (!bias.has_value()) return nullptr;
  absl::StatusOr<Tensor> tensor = FromDoubles(constant->dtype(), {channels}, *bias);
  return tensor.ok() ? b.Constant(*std::move(tensor)) : nullptr;
}

Start StartOf(GraphBuilder& b, const Node& node, const std::vector<ChainStep>& steps, bool strict) {
  Start start;
  size_t& used = start.used;
  auto skip_nothing = [&] {
    while (used < steps.size() && steps[used].def == nullptr) ++used;
    return used < steps.size();
  };
  if (IsPool(node)) {
    start.op = node.Is("MaxPool") ? "FusedMaxPool" : "FusedAveragePool";
    for (const auto& [name, value] : node.attrs()) {
      if (name != "storage_order") start.attrs.push_back({name, value});
    }
    start.inputs = {node.input(0)};
    return start;
  }
  if (node.Is("Conv") || node.Is("ConvTranspose")) {
    start.op = node.Is("Conv") ? "FusedConv" : "FusedConvTranspose";
    start.attrs.assign(node.attrs().begin(), node.attrs().end());
    Value* bias = node.input(2);
    if (bias == nullptr && skip_nothing()) {
      bias = ConvBias(b, node, steps[used]);
      used += bias != nullptr;
    }
    start.inputs = {node.input(0), node.input(1), bias};
    return start;
  }
  start.op = "FusedMatMul";
  Value* bias = node.input(2);  // a MatMul has none
  double alpha = 1;
  Scaled left{node.input(0)}, right{node.input(1)};
  const DType dtype = DTypeOf(node.output());
  // f16 may need a scale before the product; an f64 one is no f32.
  if (node.Is("MatMul") && !strict && dtype != DType::kF16 && dtype != DType::kF64) {
    left = ReadScaled(node.input(0), node);
    right = ReadScaled(node.input(1), node);
    alpha = left.scale * right.scale;
    start.scaled = left.value != node.input(0) || right.value != node.input(1);
  }
  if (node.Is("MatMul")) {
    for (auto [side, attr] : {std::pair(&left, "transpose_a"), std::pair(&right, "transpose_b")}) {
      Value* before = BeforeSwap(side->value);
      if (before == nullptr) continue;
      side->value = before;
      start.attrs.push_back({attr, int64_t{1}});
      start.transposed = true;
    }
  }
  if (node.Is("Gemm")) {
    alpha = node.Float("alpha");
    start.attrs = {{"transpose_a", node.Int("transA")}, {"transpose_b", node.Int("transB")}};
  } else if (!strict && skip_nothing() && steps[used].operand != nullptr) {
    if (const std::optional<double> c = AlphaOf(steps[used], dtype); c.has_value()) {
      alpha *= *c;
      ++used;
    }
  }
  if (bias == nullptr && skip_nothing() && steps[used].node->Is("Add") &&
      steps[used].operand->constant() != nullptr) {
    bias = steps[used++].operand;
  }
  if (alpha != 1) start.attrs.push_back({"alpha", alpha});
  start.inputs = {left.value, right.value, bias};
  return start;
}

// Fuses all of `steps`. Unimplemented where no kernel takes the result.
absl::StatusOr<bool> Fuse(Node& node, const std::vector<ChainStep>& steps, PassContext& context) {
  Node* last = steps.empty() ? &node : steps.back().node;
  Patch patch(node.graph(), last, kPass);
  Origin origin = node.origin();
  absl::StrAppend(&origin.passes, origin.passes.empty() ? "" : ",", kPass);
  patch.builder().SetOrigin(std::move(origin));
  Start start = StartOf(patch.builder(), node, steps, context.strict);
  std::vector<std::string> activations, told = {std::string(node.op_name())};
  std::vector<float> params;
  for (size_t i = 0; i < steps.size(); ++i) {
    const ChainStep& step = steps[i];
    if (step.def == nullptr) continue;
    told.push_back(step.def->name);
    if (i < start.used) continue;
    activations.push_back(step.def->name);
    params.insert(params.end(), step.params.begin(), step.params.end());
    if (step.operand != nullptr) start.inputs.push_back(step.operand);
  }
  if (start.transposed) told.insert(told.begin(), "transposed inputs");
  if (start.scaled) told.insert(told.begin(), "scaled inputs");
  if (told.size() == 1) return absl::UnimplementedError("");  // nothing to fuse
  if (!activations.empty()) start.attrs.push_back({"activations", activations});
  if (!params.empty()) start.attrs.push_back({"activation_params", params});
  Value* fused = patch.builder().Op(start.op, start.inputs, start.attrs);
  if (fused == nullptr) return absl::UnimplementedError(patch.builder().status().message());
  fused->producer()->set_device(node.device());
  if (context.target.takes) {
    if (absl::Status s = context.target.takes(*fused->producer()); !s.ok()) {
      return absl::UnimplementedError(s.message());
    }
  }
  if (!context.Spend()) return false;
  Finding finding{kPass, node.name(), true,
                  absl::StrCat(absl::StrJoin(told, " + "), " is ", start.op)};
  patch.Replace(last->output(), fused);
  if (absl::Status s = patch.Commit(); !s.ok()) return s;
  if (context.findings != nullptr) context.findings->push_back(std::move(finding));
  return true;
}

// The library's Gelu cancels: far below zero it gives 0, and of either sign.
void EndBeforeGelu(PostOpChain* chain) {
  auto gelu = std::find_if(chain->steps.begin(), chain->steps.end(), [](const ChainStep& step) {
    return step.def != nullptr && absl::string_view(step.def->name) == "Gelu";
  });
  if (gelu != chain->steps.end()) chain->stop = "a strict session computes Gelu apart";
  chain->steps.erase(gelu, chain->steps.end());
}

absl::StatusOr<bool> FuseFrom(Node& node, PassContext& context) {
  if (node.HasOutput(1)) {
    context.Refused(kPass, node, "it says where its maxima are");
    return false;
  }
  if (!IsFloat(DTypeOf(node.output())) || !node.control_inputs().empty() ||
      !node.control_uses().empty()) {
    return false;
  }
  // Between the steps of a fused node 16-bit floats are not rounded.
  if (context.strict && ByteSize(DTypeOf(node.output())) == 2) return false;
  PostOpChain chain = FollowPostOps(node.output());
  if (context.strict) EndBeforeGelu(&chain);
  if (node.Is("Gemm") && node.input(2) != nullptr && node.Float("beta") != 1 &&
      !chain.steps.empty()) {
    context.Refused(kPass, node, "its beta is not 1");
    return false;
  }
  if (!chain.stop.empty()) {
    context.Refused(kPass, node, absl::StrCat("what follows is not fused: ", chain.stop));
  }
  std::string refusal;
  while (true) {
    absl::StatusOr<bool> fused = Fuse(node, chain.steps, context);
    if (!absl::IsUnimplemented(fused.status())) return fused;
    if (refusal.empty()) refusal = std::string(fused.status().message().substr(0, 200));
    if (chain.steps.empty()) break;
    chain.steps.pop_back();
  }
  if (!refusal.empty()) context.Refused(kPass, node, refusal);
  return false;
}

}  // namespace

absl::StatusOr<bool> FuseBiasActivation::Run(Graph& graph, PassContext& context) const {
  // A fusion erases the node itself and nodes behind it, never another of these. Products first: a
  // step that a pool could take as well saves more there.
  static constexpr absl::string_view kProducts[] = {"Conv", "ConvTranspose", "MatMul", "Gemm"};
  static constexpr absl::string_view kPools[] = {"MaxPool", "AveragePool"};
  const auto fuse = [&](Node& node) { return FuseFrom(node, context); };
  absl::StatusOr<bool> products = FuseEach(graph, kProducts, fuse);
  if (!products.ok()) return products;
  absl::StatusOr<bool> pools = FuseEach(graph, kPools, fuse);
  if (!pools.ok()) return pools;
  return *products || *pools;
}

}  // namespace sluice
