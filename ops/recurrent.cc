#include "ops/recurrent.h"

#include "absl/strings/ascii.h"
#include "graph/text.h"
#include "ops/expect_shape.h"
#include "ops/flops.h"
#include "ops/op.h"

namespace sluice {
namespace {

using Kind = GateActivation::Kind;

struct ActivationInfo {
  const char* name;
  Kind kind;
  bool takes_alpha, takes_beta;
  float alpha, beta;  // the defaults
};
constexpr ActivationInfo kActivations[] = {
    {"Sigmoid", Kind::kSigmoid, false, false, 0, 0},
    {"Tanh", Kind::kTanh, false, false, 0, 0},
    {"Relu", Kind::kRelu, false, false, 0, 0},
    {"Affine", Kind::kAffine, true, true, 1, 0},
    {"LeakyRelu", Kind::kLeakyRelu, true, false, 0.01f, 0},
    {"ThresholdedRelu", Kind::kThresholdedRelu, true, false, 1, 0},
    {"ScaledTanh", Kind::kScaledTanh, true, true, 1, 1},
    {"HardSigmoid", Kind::kHardSigmoid, true, true, 0.2f, 0.5f},
    {"Elu", Kind::kElu, true, false, 1, 0},
    {"Softsign", Kind::kSoftsign, false, false, 0, 0},
    {"Softplus", Kind::kSoftplus, false, false, 0, 0},
};

const ActivationInfo* FindActivation(absl::string_view name) {
  for (const ActivationInfo& info : kActivations) {
    if (absl::AsciiStrToLower(info.name) == absl::AsciiStrToLower(name)) return &info;
  }
  return nullptr;
}

template <typename... Args>
absl::Status Invalid(const Node& node, const Args&... args) {
  return NodeError(node, absl::StatusCode::kInvalidArgument, absl::StrCat(args...));
}

}  // namespace

absl::StatusOr<RecurrentConfig> ReadRecurrentConfig(const Node& node) {
  RecurrentConfig config;
  std::vector<std::string> names;
  if (node.Is("LSTM")) {
    config.gates = 4;
    names = {"Sigmoid", "Tanh", "Tanh"};
  } else if (node.Is("GRU")) {
    config.gates = 3;
    names = {"Sigmoid", "Tanh"};
  } else {
    names = {"Tanh"};
  }
  config.activations_per_direction = static_cast<int>(names.size());

  const std::string direction = node.String("direction");
  if (direction == "bidirectional") {
    config.directions = 2;
    const std::vector<std::string> forward = names;
    names.insert(names.end(), forward.begin(), forward.end());
  } else if (direction == "reverse") {
    config.reverse = true;
  } else if (direction != "forward") {
    return Invalid(node, "direction must be forward, reverse or bidirectional, but is ",
                   Shown(direction));
  }

  const int64_t layout = node.Int("layout");
  if (layout != 0 && layout != 1) return Invalid(node, "layout must be 0 or 1, but is ", layout);
  config.batch_first = layout == 1;

  if (node.FindAttr("clip") != nullptr) {
    config.clip = node.Float("clip");
    if (!(config.clip >= 0)) return Invalid(node, "clip must be at least 0, but is ", config.clip);
  }
  config.linear_before_reset = node.Int("linear_before_reset") != 0;
  config.input_forget = node.Int("input_forget") != 0;

  if (const std::vector<std::string> given = node.Strings("activations"); !given.empty()) {
    if (given.size() != names.size()) {
      return Invalid(node, "activations must name ", names.size(), " functions, but names ",
                     given.size());
    }
    names = given;
  }
  // The lists hold values only for those functions that take one.
  const std::vector<float> alphas = node.Floats("activation_alpha");
  const std::vector<float> betas = node.Floats("activation_beta");
  size_t next_alpha = 0, next_beta = 0;
  for (const std::string& name : names) {
    const ActivationInfo* info = FindActivation(name);
    if (info == nullptr) {
      return Invalid(node, "activation ", Shown(name),
                     " is not one of Sigmoid, Tanh, Relu, Affine, LeakyRelu, ThresholdedRelu, "
                     "ScaledTanh, HardSigmoid, Elu, Softsign, Softplus");
    }
    GateActivation activation{info->kind, info->alpha, info->beta};
    if (info->takes_alpha && next_alpha < alphas.size()) activation.alpha = alphas[next_alpha++];
    if (info->takes_beta && next_beta < betas.size()) activation.beta = betas[next_beta++];
    config.activations.push_back(activation);
  }
  return config;
}

namespace {

absl::Status InferRecurrent(InferContext& c) {
  absl::StatusOr<RecurrentConfig> config = ReadRecurrentConfig(c.node());
  if (!config.ok()) return config.status();
  const DType dtype = c.InputType(0).dtype();
  const Dim directions = config->directions, gates = config->gates;

  auto x = ShapeOfRank(c, 0, 3), w = ShapeOfRank(c, 1, 3), r = ShapeOfRank(c, 2, 3);
  for (const auto* shape : {&x, &w, &r}) {
    if (!shape->ok()) return shape->status();
  }
  std::optional<Dim> hidden;
  if (*r) {
    hidden = (**r)[2];
  } else if (*w) {
    hidden = ExactDiv((**w)[1], gates);
  }
  if (c.HasAttr("hidden_size") && !(hidden && hidden->is_number()))
    hidden = Dim(c.Int("hidden_size"));
  if (!hidden) hidden = c.FreshDim();
  if (c.HasAttr("hidden_size") && ProvablyDifferent(*hidden, c.Int("hidden_size"))) {
    return c.Error("hidden_size is ", c.Int("hidden_size"), ", but R is made for ",
                   hidden->ToString());
  }
  if (hidden->is_number() && hidden->number() < 1) {
    return c.Error("the hidden size must be at least 1, but is ", hidden->number());
  }

  Dim sequence, batch, features;
  if (*x) {
    sequence = (**x)[config->batch_first ? 1 : 0];
    batch = (**x)[config->batch_first ? 0 : 1];
    features = (**x)[2];
  } else {
    sequence = c.FreshDim();
    batch = c.FreshDim();
    features = *w ? (**w)[2] : c.FreshDim();
  }

  const Dim rows = gates * *hidden;
  const Shape state =
      config->batch_first ? Shape{batch, directions, *hidden} : Shape{directions, batch, *hidden};
  for (absl::Status status :
       {ExpectShape(c, 1, {directions, rows, features}),
        ExpectShape(c, 2, {directions, rows, *hidden}),
        ExpectShape(c, 3, {directions, Dim(2) * rows}), ExpectShape(c, 4, {batch}),
        ExpectShape(c, 5, state), ExpectShape(c, 6, state),
        ExpectShape(c, 7, {directions, Dim(3) * *hidden})}) {
    if (!status.ok()) return status;
  }

  c.SetOutput(
      0, Type::Tensor(dtype, config->batch_first ? Shape{batch, sequence, directions, *hidden}
                                                 : Shape{sequence, directions, batch, *hidden}));
  c.SetOutput(1, Type::Tensor(dtype, state));
  c.SetOutput(2, Type::Tensor(dtype, state));
  return absl::OkStatus();
}

Op Recurrent(const char* name, const char* doc) {
  return Op(name)
      .Doc(doc)
      .Types("T", kFloatTypes)
      .Types("T1", {DType::kI32})
      .Input("X", "T")
      .Input("W", "T")
      .Input("R", "T")
      .OptionalInput("B", "T")
      .OptionalInput("sequence_lens", "T1")
      .OptionalInput("initial_h", "T")
      .OptionalAttr("activation_alpha", AttrKind::kFloats,
                    "Parameters of those activations that take one, in order.")
      .OptionalAttr("activation_beta", AttrKind::kFloats, "The second parameters, likewise.")
      .OptionalAttr("activations", AttrKind::kStrings,
                    "The functions of the gates, for each direction.")
      .OptionalAttr("clip", AttrKind::kFloat,
                    "Bounds the input of every activation to [-clip, clip].")
      .Attr("direction", "forward", "forward, reverse or bidirectional.")
      .OptionalAttr("hidden_size", AttrKind::kInt, "Must agree with R.")
      .Attr("layout", 0, "0: X is [sequence, batch, input]; 1: [batch, sequence, input].")
      .Infer(InferRecurrent)
      .GradientPending();
}

// The products of both weights in every step.
double RecurrentFlops(const Node& node) {
  const Type& x = InputType(node, 0);
  const double in = Elements(InputType(node, 1)), recurrent = Elements(InputType(node, 2));
  const double length = Extent(x, 0), batch = Extent(x, 1);
  return in < 0 || recurrent < 0 || length < 0 || batch < 0 ? -1
                                                            : 2 * length * batch * (in + recurrent);
}

}  // namespace

SLUICE_DECLARE_OP(LSTM) {
  return Recurrent("LSTM",
                   "One layer of long short-term memory. Gates in W, R and B stand in the order "
                   "input, output, "
                   "forget, cell; peepholes P in the order input, output, forget.")
      .OptionalInput("initial_c", "T")
      .OptionalInput("P", "T")
      .OptionalOutput("Y", "T")
      .OptionalOutput("Y_h", "T")
      .OptionalOutput("Y_c", "T")
      .Attr("input_forget", 0, "1: the forget gate is 1 - the input gate.")
      .Flops(RecurrentFlops);
}

SLUICE_DECLARE_OP(GRU) {
  return Recurrent("GRU",
                   "One layer of gated recurrent units. Gates in W, R and B stand in the order "
                   "update, reset, hidden.")
      .OptionalOutput("Y", "T")
      .OptionalOutput("Y_h", "T")
      .Attr("linear_before_reset", 0, "1: the reset gate multiplies R h + Rb instead of h.")
      .Flops(RecurrentFlops);
}

SLUICE_DECLARE_OP(RNN) {
  return Recurrent("RNN", "One layer of a simple recurrent net: h = f(W x + R h' + Wb + Rb).")
      .OptionalOutput("Y", "T")
      .OptionalOutput("Y_h", "T")
      .Flops(RecurrentFlops);
}

}  // namespace sluice
