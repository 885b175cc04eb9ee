// Walks every op: each has what the house promises of it.
#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "kernels/cpu/cpu_kernels.h"
#include "kernels/tile/elementwise.h"
#include "ops/op.h"

namespace sluice {
namespace {

// Run by the runtime itself.
bool RuntimeExecutes(const OpDef& op) {
  static const std::set<std::string> kOps = {
      "If", "Loop", "Scan", "Call", "Constant", "Variable", "Assign", "Training", "RandomKey"};
  return kOps.contains(op.name);
}

std::vector<std::string> OpsWithout(bool (*has)(const OpDef&)) {
  std::vector<std::string> names;
  for (const OpDef* op : StandardOps().Sorted()) {
    if (!has(*op)) names.push_back(op->name);
  }
  return names;
}

std::string List(const std::vector<std::string>& names) { return absl::StrJoin(names, " "); }

TEST(Completeness, EveryOpHasADocLine) {
  EXPECT_EQ(List(OpsWithout([](const OpDef& op) { return op.doc.size() > 2; })), "");
}

TEST(Completeness, EveryOpInfersItsTypes) {
  EXPECT_EQ(List(OpsWithout([](const OpDef& op) { return op.infer != nullptr; })), "");
}

TEST(Completeness, EveryTypeVariableIsDeclaredAndUsed) {
  for (const OpDef* op : StandardOps().Sorted()) {
    std::set<std::string> used;
    for (const auto* list : {&op->inputs, &op->outputs}) {
      for (const ParamDef& p : *list) {
        if (!p.type.empty() && !ParseDType(p.type).has_value()) used.insert(p.type);
      }
    }
    for (const std::string& name : used) {
      EXPECT_NE(op->FindTypeVar(name), nullptr) << op->name << ": " << name << " is not declared";
    }
    for (const TypeVar& var : op->type_vars) {
      EXPECT_TRUE(used.count(var.name)) << op->name << ": " << var.name << " is not used";
      EXPECT_FALSE(var.dtypes.empty()) << op->name << ": " << var.name;
    }
  }
}

TEST(Completeness, EveryOpRunsOnTheCpu) {
  EXPECT_EQ(List(OpsWithout([](const OpDef& op) {
              return CpuKernels().Has(op.name) || op.expand != nullptr || RuntimeExecutes(op);
            })),
            "");
}

// By which fused loops take it.
TEST(Completeness, EveryElementWiseOpHasTileSteps) {
  std::vector<std::string> without;
  for (const OpDef* op : StandardOps().Sorted()) {
    if (op->elementwise && op->expand == nullptr && !HasTileSteps(op->name))
      without.push_back(op->name);
  }
  EXPECT_EQ(List(without), "");
}

TEST(Completeness, EveryOpSaysHowItDifferentiates) {
  std::vector<std::string> pending;
  size_t with = 0, none = 0;
  for (const OpDef* op : StandardOps().Sorted()) {
    switch (op->gradient_kind) {
      case OpDef::Gradient::kFunction:
        EXPECT_NE(op->gradient, nullptr) << op->name;
        ++with;
        break;
      case OpDef::Gradient::kNone:
        EXPECT_FALSE(op->not_differentiable_because.empty()) << op->name;
        ++none;
        break;
      case OpDef::Gradient::kPending:
        pending.push_back(op->name);
        break;
    }
  }
  std::printf("%zu ops: %zu with a gradient, %zu without by nature, %zu pending: %s\n",
              with + none + pending.size(), with, none, pending.size(), List(pending).c_str());
}

}  // namespace
}  // namespace sluice
