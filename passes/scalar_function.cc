#include "passes/scalar_function.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/container/inlined_vector.h"
#include "passes/match.h"

namespace sluice {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double Softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }

struct ScalarOp {
  const char* op;
  // `x`: the values of the inputs, NaN where absent (only Clip's bounds can be).
  double (*apply)(const Node& node, absl::Span<const double> x);
};

constexpr ScalarOp kOps[] = {
    {"Identity", [](const Node&, absl::Span<const double> x) { return x[0]; }},
    {"Neg", [](const Node&, absl::Span<const double> x) { return -x[0]; }},
    {"Abs", [](const Node&, absl::Span<const double> x) { return std::abs(x[0]); }},
    {"Exp", [](const Node&, absl::Span<const double> x) { return std::exp(x[0]); }},
    {"Log", [](const Node&, absl::Span<const double> x) { return std::log(x[0]); }},
    {"Sqrt", [](const Node&, absl::Span<const double> x) { return std::sqrt(x[0]); }},
    {"Erf", [](const Node&, absl::Span<const double> x) { return std::erf(x[0]); }},
    {"Tanh", [](const Node&, absl::Span<const double> x) { return std::tanh(x[0]); }},
    {"Sigmoid", [](const Node&, absl::Span<const double> x) { return Sigmoid(x[0]); }},
    {"Softplus", [](const Node&, absl::Span<const double> x) { return Softplus(x[0]); }},
    {"Relu", [](const Node&, absl::Span<const double> x) { return std::max(x[0], 0.0); }},
    {"Reciprocal", [](const Node&, absl::Span<const double> x) { return 1 / x[0]; }},
    {"Add", [](const Node&, absl::Span<const double> x) { return x[0] + x[1]; }},
    {"Sub", [](const Node&, absl::Span<const double> x) { return x[0] - x[1]; }},
    {"Mul", [](const Node&, absl::Span<const double> x) { return x[0] * x[1]; }},
    {"Div", [](const Node&, absl::Span<const double> x) { return x[0] / x[1]; }},
    {"Pow", [](const Node&, absl::Span<const double> x) { return std::pow(x[0], x[1]); }},
    {"HardSigmoid",
     [](const Node& node, absl::Span<const double> x) {
       return std::clamp(node.Float("alpha") * x[0] + node.Float("beta"), 0.0, 1.0);
     }},
    {"Clip",
     [](const Node&, absl::Span<const double> x) {
       const double low = x.size() > 1 && !std::isnan(x[1]) ? x[1] : -kInf;
       const double high = x.size() > 2 && !std::isnan(x[2]) ? x[2] : kInf;
       return std::min(std::max(x[0], low), high);
     }},
};

const ScalarOp* Find(const Node& node) {
  for (const ScalarOp& op : kOps) {
    if (node.Is(op.op)) return &op;
  }
  return nullptr;
}

}  // namespace

bool IsScalarOp(const Node& node) {
  return node.num_outputs() == 1 && IsFloat(DTypeOf(node.output())) &&
         node.control_inputs().empty() && node.control_uses().empty() && Find(node) != nullptr;
}

double Evaluate(const std::vector<Node*>& region, const Value* input, const Value* output,
                double x) {
  absl::flat_hash_map<const Value*, double> values = {{input, x}};
  for (const Node* node : region) {
    absl::InlinedVector<double, 3> operands;
    for (const Value* v : node->inputs()) {
      auto known = values.find(v);
      operands.push_back(known != values.end() ? known->second
                                               : ConstantScalar(v).value_or(
                                                     std::numeric_limits<double>::quiet_NaN()));
    }
    values[node->output()] = Find(*node)->apply(*node, operands);
  }
  return values[output];
}

}  // namespace sluice
