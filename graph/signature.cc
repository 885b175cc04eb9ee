#include "graph/signature.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "graph/text.h"

namespace sluice {
namespace {

template <typename... Args>
absl::Status Misfit(const Node& node, const Args&... args) {
  return NodeError(node, absl::StatusCode::kInvalidArgument, absl::StrCat(args...));
}

std::string Expected(size_t min, size_t max) {
  if (max == SIZE_MAX) return absl::StrCat("at least ", min);
  return min == max ? absl::StrCat(min) : absl::StrCat(min, " to ", max);
}

}  // namespace

absl::Status CheckSignature(const Node& node) {
  const OpDef& op = node.op();
  if (node.num_inputs() < op.min_inputs() || node.num_inputs() > op.max_inputs()) {
    return Misfit(node, node.num_inputs(), " inputs, expected ",
                  Expected(op.min_inputs(), op.max_inputs()));
  }
  const size_t min_outputs =
      std::max<size_t>(1, op.min_outputs());  // a node is called by its first output
  if (node.num_outputs() < min_outputs || node.num_outputs() > op.max_outputs()) {
    return Misfit(node, node.num_outputs(), " outputs, expected ",
                  Expected(min_outputs, op.max_outputs()));
  }
  for (size_t i = 0; i < node.num_inputs(); ++i) {
    const ParamDef* param = op.InputParam(i);
    if (node.input(i) == nullptr && param->arity == ParamDef::Arity::kRequired) {
      return Misfit(node, "input ", i, " ('", param->name, "') is required and absent");
    }
  }
  for (const auto& [name, value] : node.attrs()) {
    const AttrDef* def = op.FindAttr(name);
    if (def == nullptr) {
      std::string known = absl::StrJoin(
          op.attrs, ", ", [](std::string* out, const AttrDef& a) { out->append(a.name); });
      return Misfit(node, "unknown attribute ", Shown(name), "; it has ",
                    known.empty() ? "none" : known);
    }
    if (def->kind != value.kind()) {
      return Misfit(node, "attribute ", Shown(name), " is of kind ", ToString(value.kind()),
                    ", expected ", ToString(def->kind));
    }
    if ((value.kind() == AttrKind::kDType && value.as_dtype() == DType::kInvalid) ||
        (value.kind() == AttrKind::kTensor && !value.as_tensor().valid())) {
      return Misfit(node, "attribute ", Shown(name), " holds no ", ToString(def->kind));
    }
  }
  for (const AttrDef& def : op.attrs) {
    if (def.required && !node.HasAttr(def.name))
      return Misfit(node, "attribute '", def.name, "' is missing");
  }
  for (const BodyDef& def : op.bodies) {
    if (node.body(def.name) == nullptr) return Misfit(node, "body '", def.name, "' is missing");
  }
  if (node.bodies().size() != op.bodies.size())
    return Misfit(node, "it has a body that the op does not know");
  return absl::OkStatus();
}

absl::Status CheckInputTypes(const Node& node) {
  const OpDef& op = node.op();
  absl::flat_hash_map<absl::string_view, std::pair<DType, size_t>> bound;
  for (size_t i = 0; i < node.num_inputs(); ++i) {
    if (node.input(i) == nullptr) continue;
    const Type& type = node.input(i)->type();
    const ParamDef* param = op.InputParam(i);
    if (param->type.empty() || type.is_unknown()) continue;
    if (!type.is_tensor())
      return Misfit(node, "input ", i, " ('", param->name, "') is ", type.ToString(),
                    ", expected a tensor");
    const DType dtype = type.dtype();
    if (dtype == DType::kInvalid) continue;
    const TypeVar* var = op.FindTypeVar(param->type);
    if (var == nullptr) {
      if (std::optional<DType> fixed = ParseDType(param->type);
          fixed.has_value() && *fixed != dtype) {
        return Misfit(node, "input ", i, " ('", param->name, "') is ", ToString(dtype),
                      ", expected ", param->type);
      }
      continue;
    }
    if (!var->dtypes.Contains(dtype)) {
      return Misfit(node, "input ", i, " ('", param->name, "') is ", ToString(dtype),
                    ", expected one of ", var->dtypes.ToString());
    }
    if (param->arity == ParamDef::Arity::kVariadic && !param->homogeneous) continue;
    auto [it, first] = bound.try_emplace(var->name, dtype, i);
    if (!first && it->second.first != dtype) {
      return Misfit(node, "input ", i, " ('", param->name, "') is ", ToString(dtype),
                    ", but input ", it->second.second, " is ", ToString(it->second.first),
                    "; they must be equal");
    }
  }
  return absl::OkStatus();
}

}  // namespace sluice
