// How an op is declared: one function in ops/<op>.cc, one line in ops/op_list.inc.
//
//   SLUICE_DECLARE_OP(Softmax) {
//     return Op("Softmax")
//         .Doc("exp(x - max x) / sum exp(x - max x) along `axis`.")
//         .Input("input", "T").Output("output", "T").Types("T", kFloatTypes)
//         .Attr("axis", -1)
//         .Infer(InferSoftmax)
//         .Gradient(SoftmaxGradient);
//   }
//
// Names, attributes and meaning are ONNX's, in the newest version of ONNX 1.22.
#ifndef SLUICE_OPS_OP_H_
#define SLUICE_OPS_OP_H_

#include <string>
#include <utility>

#include "graph/builder.h"
#include "graph/infer.h"
#include "graph/op_def.h"
#include "ops/gradient.h"

namespace sluice {

class Op {
 public:
  explicit Op(absl::string_view name, absl::string_view domain = "") {
    def_.name = std::string(name);
    def_.domain = std::string(domain);
  }
  Op& Doc(absl::string_view text) {
    def_.doc = std::string(text);
    return *this;
  }

  // `type` is a type variable ("T"), a dtype ("i64"), or "" for any type.
  Op& Input(absl::string_view name, absl::string_view type) {
    return Param(&def_.inputs, name, type, ParamDef::Arity::kRequired, 0, true);
  }
  Op& OptionalInput(absl::string_view name, absl::string_view type) {
    return Param(&def_.inputs, name, type, ParamDef::Arity::kOptional, 0, true);
  }
  Op& VariadicInput(absl::string_view name, absl::string_view type, int min = 1,
                    bool homogeneous = true) {
    return Param(&def_.inputs, name, type, ParamDef::Arity::kVariadic, min, homogeneous);
  }
  Op& Output(absl::string_view name, absl::string_view type) {
    return Param(&def_.outputs, name, type, ParamDef::Arity::kRequired, 0, true);
  }
  Op& OptionalOutput(absl::string_view name, absl::string_view type) {
    return Param(&def_.outputs, name, type, ParamDef::Arity::kOptional, 0, true);
  }
  Op& VariadicOutput(absl::string_view name, absl::string_view type, int min = 1,
                     bool homogeneous = true) {
    return Param(&def_.outputs, name, type, ParamDef::Arity::kVariadic, min, homogeneous);
  }
  // What the contents of the input just declared say.
  Op& WithRole(InputRole role) {
    def_.inputs.back().role = role;
    return *this;
  }
  Op& Types(absl::string_view var, DTypeSet dtypes) {
    def_.type_vars.push_back({std::string(var), dtypes});
    return *this;
  }

  // With a default; its C++ type gives the attribute's kind.
  Op& Attr(absl::string_view name, Attribute value, absl::string_view doc = "") {
    const AttrKind kind = value.kind();
    return AddAttr(name, kind, std::move(value), false, doc);
  }
  Op& RequiredAttr(absl::string_view name, AttrKind kind, absl::string_view doc = "") {
    return AddAttr(name, kind, std::nullopt, true, doc);
  }
  // Absent has a meaning of its own.
  Op& OptionalAttr(absl::string_view name, AttrKind kind, absl::string_view doc = "") {
    return AddAttr(name, kind, std::nullopt, false, doc);
  }
  Op& Body(absl::string_view name) {
    def_.bodies.push_back({std::string(name)});
    return *this;
  }

  Op& Infer(InferFn infer) {
    def_.infer = infer;
    return *this;
  }
  // Written with simpler ops: the reference in tests and the fallback where a device has no kernel.
  Op& Expansion(ExpandFn expand) {
    def_.expand = expand;
    return *this;
  }
  // The expansion is the implementation everywhere: no kernel is wanted.
  Op& ExpandAlways(ExpandFn expand) {
    def_.expand = expand;
    def_.expand_always = true;
    return *this;
  }

  Op& Gradient(GradientFn gradient) {
    def_.gradient_kind = OpDef::Gradient::kFunction;
    def_.gradient = gradient;
    return *this;
  }
  Op& NotDifferentiable(absl::string_view why) {
    def_.gradient_kind = OpDef::Gradient::kNone;
    def_.not_differentiable_because = std::string(why);
    return *this;
  }
  Op& GradientPending() {
    def_.gradient_kind = OpDef::Gradient::kPending;
    return *this;
  }

  // Element by element, broadcast: in loops kPointwise, with its axes in any order.
  Op& Elementwise() {
    def_.elementwise = true;
    return InLoops(LoopRole::kPointwise).InAnyAxisOrder(AnyAxisOrder::kAllInputs);
  }
  // How loops are fused and what kernels cost is decided by these; see graph/op_def.h.
  Op& InLoops(LoopRole role) {
    def_.loop_role = role;
    return *this;
  }
  Op& Costs(ElementCost cost) {
    def_.element_cost = cost;
    return *this;
  }
  Op& Flops(FlopsFn flops) {
    def_.flops = flops;
    return *this;
  }
  Op& InAnyAxisOrder(AnyAxisOrder of) {
    def_.any_axis_order = of;
    return *this;
  }
  // See OpDef::row_wise; with a test where attributes decide.
  Op& RowWise(NodeTestFn test = +[](const Node&) { return true; }) {
    def_.row_wise = test;
    return *this;
  }
  Op& Commutative() {
    def_.commutative = true;
    return *this;
  }
  Op& Reads() { return Does(kReads); }
  Op& Writes() { return Does(kWrites); }
  // Where not every node of it does: `test`.
  Op& Draws(NodeTestFn test = nullptr) {
    def_.draws = test;
    return Does(kDraws);
  }
  Op& Communicates() { return Does(kCommunicates); }

  OpDef Build() const;  // sorts the attributes

 private:
  Op& Param(std::vector<ParamDef>* list, absl::string_view name, absl::string_view type,
            ParamDef::Arity arity, int min, bool homogeneous) {
    list->push_back({std::string(name), std::string(type), arity, min, homogeneous});
    return *this;
  }
  Op& Does(Effect effect) {
    def_.effects |= effect;
    return *this;
  }
  Op& AddAttr(absl::string_view name, AttrKind kind, std::optional<Attribute> value, bool required,
              absl::string_view doc) {
    def_.attrs.push_back({std::string(name), kind, std::move(value), required, std::string(doc)});
    return *this;
  }
  OpDef def_;
};

// Defines the declaration function that a line of ops/op_list.inc names.
#define SLUICE_DECLARE_OP(name) ::sluice::Op Declare##name()

// Every op of ops/op_list.inc. Built on first use, never destroyed, safe from any thread.
const OpRegistry& StandardOps();

}  // namespace sluice

#endif  // SLUICE_OPS_OP_H_
