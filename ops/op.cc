#include "ops/op.h"

#include <algorithm>
#include <cassert>

namespace sluice {

OpDef Op::Build() const {
  OpDef def = def_;
  std::sort(def.attrs.begin(), def.attrs.end(),
            [](const AttrDef& a, const AttrDef& b) { return a.name < b.name; });
  return def;
}

#define SLUICE_OP(name) Op Declare##name();
#include "ops/op_list.inc"
#undef SLUICE_OP

const OpRegistry& StandardOps() {
  static const OpRegistry* const registry = [] {
    auto* ops = new OpRegistry;
    [[maybe_unused]] absl::Status status;
#define SLUICE_OP(name)                       \
  status = ops->Add(Declare##name().Build()); \
  assert(status.ok() && "declared twice: " #name);
#include "ops/op_list.inc"
#undef SLUICE_OP
    return ops;
  }();
  return *registry;
}

}  // namespace sluice
