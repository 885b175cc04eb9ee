#include "graph/op_def.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

const ParamDef* Param(const std::vector<ParamDef>& params, size_t i) {
  if (i < params.size()) return &params[i];
  if (!params.empty() && params.back().arity == ParamDef::Arity::kVariadic) return &params.back();
  return nullptr;
}

size_t MinCount(const std::vector<ParamDef>& params) {
  size_t n = 0;
  for (size_t i = 0; i < params.size(); ++i) {
    if (params[i].arity == ParamDef::Arity::kRequired) n = i + 1;
    if (params[i].arity == ParamDef::Arity::kVariadic && params[i].min_count > 0)
      n = std::max<size_t>(n, i + params[i].min_count);
  }
  return n;
}

size_t MaxCount(const std::vector<ParamDef>& params) {
  const bool variadic = !params.empty() && params.back().arity == ParamDef::Arity::kVariadic;
  return variadic ? SIZE_MAX : params.size();
}

}  // namespace

const AttrDef* OpDef::FindAttr(absl::string_view name) const {
  auto it = std::lower_bound(attrs.begin(), attrs.end(), name,
                             [](const AttrDef& a, absl::string_view n) { return a.name < n; });
  return it != attrs.end() && it->name == name ? &*it : nullptr;
}

const TypeVar* OpDef::FindTypeVar(absl::string_view name) const {
  for (const TypeVar& v : type_vars) {
    if (v.name == name) return &v;
  }
  return nullptr;
}

const ParamDef* OpDef::InputParam(size_t i) const { return Param(inputs, i); }
const ParamDef* OpDef::OutputParam(size_t i) const { return Param(outputs, i); }
size_t OpDef::min_inputs() const { return MinCount(inputs); }
size_t OpDef::max_inputs() const { return MaxCount(inputs); }
size_t OpDef::min_outputs() const { return MinCount(outputs); }
size_t OpDef::max_outputs() const { return MaxCount(outputs); }

absl::Status OpRegistry::Add(OpDef op) {
  const std::string name = op.name;
  auto [it, inserted] = ops_.try_emplace(name, nullptr);
  if (!inserted) return absl::AlreadyExistsError(absl::StrCat("op ", name, " is declared twice"));
  it->second = std::make_unique<const OpDef>(std::move(op));
  return absl::OkStatus();
}

const OpDef* OpRegistry::Find(absl::string_view name) const {
  auto it = ops_.find(name);
  return it == ops_.end() ? nullptr : it->second.get();
}

std::vector<const OpDef*> OpRegistry::Sorted() const {
  std::vector<const OpDef*> sorted;
  for (const auto& [name, op] : ops_) sorted.push_back(op.get());
  std::sort(sorted.begin(), sorted.end(), [](auto* a, auto* b) { return a->name < b->name; });
  return sorted;
}

}  // namespace sluice
