// Walks every op with small inputs that most of them take.
#ifndef SLUICE_TESTS_OPS_EVERY_OP_H_
#define SLUICE_TESTS_OPS_EVERY_OP_H_

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "graph/builder.h"
#include "ops/op.h"

namespace sluice {

// Bodies and state belong to the session.
inline std::vector<const OpDef*> PlainOps() {
  std::vector<const OpDef*> ops = StandardOps().Sorted();
  std::erase_if(ops, [](const OpDef* op) {
    return !op->bodies.empty() || op->name == "Call" || op->name == "Variable" ||
           op->name == "Assign" || op->name == "Constant" || op->name == "Training";
  });
  return ops;
}

// What an op needs to get anywhere.
inline const AttrList& BaseAttrs(const std::string& op) {
  static const std::map<std::string, AttrList> attrs = {
      {"Cast", {{"to", DType::kI64}}},
      {"Concat", {{"axis", 0}}},
      {"DepthToSpace", {{"blocksize", 1}}},
      {"SpaceToDepth", {{"blocksize", 1}}},
      {"Einsum", {{"equation", "ij->ji"}}},
      {"BitShift", {{"direction", "LEFT"}}},
      {"GroupNormalization", {{"num_groups", 1}}},
      {"LRN", {{"size", 3}}},
      {"MaxPool", {{"kernel_shape", std::vector<int64_t>{2, 2}}}},
      {"AveragePool", {{"kernel_shape", std::vector<int64_t>{2, 2}}}},
      {"FusedMaxPool", {{"kernel_shape", std::vector<int64_t>{2, 2}}}},
      {"FusedAveragePool", {{"kernel_shape", std::vector<int64_t>{2, 2}}}},
      {"LpPool", {{"kernel_shape", std::vector<int64_t>{2, 2}}}},
      {"Reorder", {{"layout", "plain"}}},
      {"RandomNormal", {{"shape", std::vector<int64_t>{2, 2}}}},
      {"RandomUniform", {{"shape", std::vector<int64_t>{2, 2}}}},
      {"PhiloxNormal", {{"stream", 1}}},
      {"PhiloxUniform", {{"stream", 1}}},
  };
  static const AttrList none;
  auto it = attrs.find(op);
  return it == attrs.end() ? none : it->second;
}

// Extents of the inputs where equal ones do not fit.
inline const std::vector<Dims>* TypicalInputs(const std::string& op) {
  static const std::map<std::string, std::vector<Dims>> inputs = {
      {"RNN", {{2, 2, 2}, {1, 2, 2}, {1, 2, 2}}},
      {"GRU", {{2, 2, 2}, {1, 6, 2}, {1, 6, 2}}},
      {"LSTM", {{2, 2, 2}, {1, 8, 2}, {1, 8, 2}}},
      {"BatchNormalization", {{2, 2, 2}, {2}, {2}, {2}, {2}}},
      {"InstanceNormalization", {{2, 2, 2}, {2}, {2}}},
      {"GroupNormalization", {{2, 2, 2}, {2}, {2}}},
      {"LayerNormalization", {{2, 2}, {2}}},
      {"RMSNormalization", {{2, 2}, {2}}},
      {"QuantizeLinear", {{2, 2}, {2}, {2}}},
      {"DequantizeLinear", {{2, 2}, {2}, {2}}},
      {"RotaryEmbedding", {{1, 2, 2, 4}, {2, 2}, {2, 2}, {1, 2}}},
      {"Attention", {{1, 2, 4}, {1, 2, 4}, {1, 2, 4}}},
      {"OneHot", {{2}, {}, {2}}},
      {"Range", {{}, {}, {}}},
      {"ReverseSequence", {{2, 2}, {2}}},
      {"CumSum", {{2, 2}, {}}},
      {"TopK", {{2, 2}, {1}}},
      {"Resize", {{2, 2}, {4}, {2}}},
      {"Split", {{2, 2}, {1}}},
      {"Trilu", {{2, 2}, {}}},
      {"Pad", {{2, 2}, {4}}},
      {"FoldKey", {{2}, {}}},
      {"PhiloxNormal", {{2}, {2}}},
      {"PhiloxUniform", {{2}, {2}}},
  };
  auto it = inputs.find(op);
  return it == inputs.end() ? nullptr : &it->second;
}

inline Tensor Ones(DType dtype, const Dims& dims) {
  Tensor t = *Tensor::Allocate(dtype, dims);
  VisitDType(
      dtype, [&]<typename T>() { std::fill_n(t.mutable_data<T>(), t.elements(), T(1)); }, [] {});
  return t;
}

// `preferred` where the op takes it there.
inline DType ChooseDType(const OpDef& op, const ParamDef& param, DType preferred) {
  if (std::optional<DType> fixed = ParseDType(param.type)) return *fixed;
  const TypeVar* var = op.FindTypeVar(param.type);
  for (DType d : {preferred, DType::kF32, DType::kI64, DType::kU8, DType::kI8, DType::kBool}) {
    if (var == nullptr || var->dtypes.Contains(d)) return d;
  }
  return DType::kF64;
}

// Inputs of ones, of equal extents by rank, with and without the optional ones, and the typical
// ones.
inline std::vector<std::vector<Tensor>> InputSets(const OpDef& op, DType preferred = DType::kF32) {
  std::vector<std::vector<Tensor>> sets;
  for (int rank = -1; rank <= 4; ++rank) {
    const std::vector<Dims>* typical = TypicalInputs(op.name);
    if (rank < 0 && typical == nullptr) continue;
    for (bool optional : {false, true}) {
      std::vector<Tensor> inputs;
      for (size_t i = 0; i < op.inputs.size(); ++i) {
        const ParamDef& p = op.inputs[i];
        const bool wanted = p.arity != ParamDef::Arity::kOptional || optional;
        const Dims dims = rank >= 0             ? Dims(static_cast<size_t>(rank), 2)
                          : i < typical->size() ? (*typical)[i]
                                                : Dims{1};
        inputs.push_back(wanted ? Ones(ChooseDType(op, p, preferred), dims) : Tensor());
      }
      while (!inputs.empty() && !inputs.back().valid()) inputs.pop_back();
      sets.push_back(std::move(inputs));
    }
  }
  return sets;
}

}  // namespace sluice

#endif  // SLUICE_TESTS_OPS_EVERY_OP_H_
