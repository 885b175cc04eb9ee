// From a graph and concrete input types to a flat plan. Read Specialiser::Make() first.
#include <algorithm>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "graph/effects.h"
#include "graph/file_pages.h"
#include "graph/infer.h"
#include "graph/text.h"
#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/layouts.h"
#include "kernels/packed_weights.h"
#include "runtime/clock.h"
#include "runtime/dynamic_steps.h"
#include "runtime/memory_planner.h"
#include "runtime/program.h"
#include "runtime/tuner.h"

namespace sluice {
class Specialiser {
 public:
  Specialiser(const ProgramOptions& options, absl::Span<const std::string> variables)
      : options_(options), variables_(variables), plan_(std::make_shared<Plan>()) {}

  absl::StatusOr<std::shared_ptr<const Plan>> Make(const Graph& graph,
                                                   absl::Span<const Type> inputs,
                                                   absl::Span<const int> fetches) {
    const int64_t start = NowNs();
    // A copy of the graph whose inputs have their numbers: inference makes the rest concrete.
    plan_->graph_ = graph.Clone();
    Graph& g = *plan_->graph_;
    SelectOutputs(&g, fetches);
    for (size_t i = 0; i < inputs.size(); ++i) g.inputs()[i]->set_type(inputs[i]);
    if (absl::Status s = InferTypes(&g); !s.ok()) return s;

    // What the fetches need, in order, each node made a step with its kernel.
    FindNeeded(g);
    AddInputSlots(g);
    for (Node* node : needed_) {
      if (absl::Status s = AddNode(*node); !s.ok()) return s;
    }

    std::vector<int> fetched;
    for (const Value* v : g.outputs()) fetched.push_back(SlotOf(v));
    if (absl::Status s = AlignConstants(fetched); !s.ok()) return s;

    // Where everything lies, and which steps run side by side.
    MemoryPlanner memory(options_, plan_.get(), std::move(last_read_));
    if (absl::Status s = memory.Run(fetched); !s.ok()) return s;
    // Winners are a help to later sessions, not a result of this one: they may fail to be written.
    if (options_.tuner != nullptr) (void)options_.tuner->Save();
    plan_->specialise_ms_ = static_cast<double>(NowNs() - start) / 1e6;
    return std::shared_ptr<const Plan>(std::move(plan_));
  }

 private:
  static void SelectOutputs(Graph* g, absl::Span<const int> fetches) {
    std::vector<std::pair<Value*, std::string>> chosen;
    for (int f : fetches) chosen.push_back({g->outputs()[f], g->output_names()[f]});
    g->ClearOutputs();
    for (auto& [value, name] : chosen) g->AddOutput(value, name);
  }

  void FindNeeded(const Graph& g) {
    absl::flat_hash_set<const Node*> seen;
    std::vector<Node*> open;
    auto want = [&](Node* n) {
      if (n != nullptr && n->graph() == &g && seen.insert(n).second) open.push_back(n);
    };
    for (Value* v : g.outputs()) want(v->producer());
    if (options_.all_effects) {
      for (const auto& node : g.nodes()) {
        if (HasEffects(*node)) want(node.get());
      }
    }
    while (!open.empty()) {
      Node* n = open.back();
      open.pop_back();
      // Contents known from shapes alone need no computation behind them.
      if (KnownContents(*n)) continue;
      for (Value* v : n->inputs()) {
        if (v != nullptr) want(v->producer());
      }
      for (Value* v : Captures(*n)) want(v->producer());
      for (Node* c : n->control_inputs()) want(c);
    }
    for (const auto& node : g.nodes()) {
      if (seen.contains(node.get())) needed_.push_back(node.get());
    }
  }

  // Small integer results that inference knows as numbers: constants of this plan.
  static bool KnownContents(const Node& node) {
    if (node.Is("Constant") || !IsPure(node) || !node.bodies().empty()) return false;
    for (size_t i = 0; i < node.num_outputs(); ++i) {
      const Value& v = *node.output(i);
      if (!v.known_dims().has_value() || !v.type().is_tensor() || !v.type().has_static_shape())
        return false;
      if (!IsInt(v.type().dtype()) || v.type().rank() > 1) return false;
      for (const Dim& d : *v.known_dims()) {
        if (!d.is_number()) return false;
      }
      const int64_t expected = v.type().rank() == 0 ? 1 : v.type().dim(0).number();
      if (static_cast<int64_t>(v.known_dims()->size()) != expected) return false;
    }
    return true;
  }

  static absl::StatusOr<Tensor> Materialise(const Value& v) {
    absl::StatusOr<Tensor> t = Tensor::Allocate(v.type().dtype(), *v.type().StaticDims());
    if (!t.ok()) return t;
    for (size_t i = 0; i < v.known_dims()->size(); ++i) {
      const int64_t number = (*v.known_dims())[i].number();
      VisitDType(
          t->dtype(), [&]<typename T>() { t->mutable_data<T>()[i] = static_cast<T>(number); },
          [] {});
    }
    return t;
  }

  int AddSlot(const Value& v, SlotKind kind, int index = -1) {
    const int id = static_cast<int>(plan_->slots_.size());
    plan_->slots_.push_back({kind, index, 0, v.type(), v.name()});
    plan_->constants_.emplace_back();
    slot_of_[&v] = id;
    last_read_.push_back(-1);
    return id;
  }
  int AddConstantSlot(const Value& v, Tensor tensor) {
    const int id = AddSlot(v, SlotKind::kConstant);
    plan_->slots_[id].index = id;
    plan_->slots_[id].type = Type::Of(tensor);
    plan_->constants_[id] = std::move(tensor);
    return id;
  }

  void AddInputSlots(const Graph& g) {
    AddSlot(none_, SlotKind::kNone);
    for (size_t i = 0; i < g.inputs().size(); ++i)
      AddSlot(*g.inputs()[i], SlotKind::kInput, static_cast<int>(i));
    plan_->num_inputs_ = static_cast<int>(g.inputs().size());
  }

  int SlotOf(const Value* v) const { return v == nullptr ? 0 : slot_of_.at(v); }

  const Tensor& ConstantOf(const Value* v) const { return plan_->constants_[SlotOf(v)]; }

  absl::Status AddNode(const Node& node) {
    if (node.Is("Constant")) {
      AddConstantSlot(*node.output(), *node.GetTensor("value"));
      return absl::OkStatus();
    }
    if (node.Is("Variable")) {
      const std::string name = node.String("name");
      auto it = std::find(variables_.begin(), variables_.end(), name);
      if (it == variables_.end())
        return NodeError(node, absl::StatusCode::kInternal,
                         "the session does not know this variable");
      AddSlot(*node.output(), SlotKind::kVariable, static_cast<int>(it - variables_.begin()));
      return absl::OkStatus();
    }
    if (KnownContents(node)) {
      for (size_t i = 0; i < node.num_outputs(); ++i) {
        absl::StatusOr<Tensor> contents = Materialise(*node.output(i));
        if (!contents.ok()) return contents.status();
        AddConstantSlot(*node.output(i), *std::move(contents));
      }
      return absl::OkStatus();
    }
    Step step{.node = &node};
    for (const Value* v : node.inputs()) step.inputs.push_back(SlotOf(v));
    for (size_t i = 0; i < node.num_outputs(); ++i)
      step.output_types.push_back(node.output(i)->type());
    if (absl::Status s = ChooseKernel(node, &step); !s.ok()) return s;
    const int now = static_cast<int>(plan_->steps_.size());
    for (int slot : step.inputs) last_read_[slot] = now;
    for (int slot : step.reads) last_read_[slot] = now;
    for (size_t i = 0; i < node.num_outputs(); ++i) {
      const Value& out = *node.output(i);
      int slot;
      if (step.dynamic != nullptr) {
        slot = AddSlot(out, SlotKind::kDynamic, plan_->num_dynamic_++);
      } else {
        slot = AddSlot(out, SlotKind::kArena);
      }
      step.outputs.push_back(slot);
    }
    plan_->steps_.push_back(std::move(step));
    return absl::OkStatus();
  }

  static bool Assigns(const Node& node) {
    if (node.Is("Assign")) return true;
    for (const auto& [name, body] : node.bodies()) {
      for (const auto& inner : body->nodes()) {
        if (Assigns(*inner)) return true;
      }
    }
    return false;
  }

  absl::Status ChooseKernel(const Node& node, Step* step) {
    if (node.Is("Assign")) return ChooseAssign(node, step);
    if (IsControlFlow(node)) {
      std::vector<Value*> reads;
      absl::StatusOr<std::unique_ptr<DynamicStep>> dynamic =
          MakeControlFlow(node, options_, variables_, &reads);
      if (!dynamic.ok()) return dynamic.status();
      step->dynamic = *std::move(dynamic);
      for (const Value* v : reads) step->reads.push_back(SlotOf(v));
      step->assigns = Assigns(node);
      return absl::OkStatus();
    }
    PrepareContext context{.node = node,
                           .threads = options_.threads,
                           .deterministic = options_.deterministic,
                           .accuracy = options_.accuracy,
                           .packed = options_.packed.get()};
    bool is_static = true;
    for (const Value* v : node.inputs()) {
      context.inputs.push_back(v == nullptr ? Type() : plan_->slots_[SlotOf(v)].type);
      context.constants.push_back(ConstantOf(v));
      is_static &= v == nullptr || context.inputs.back().has_static_shape();
    }
    context.outputs = step->output_types;
    if (absl::Status s =
            CheckOutputSizes(node, context.inputs, context.outputs, options_.memory_limit);
        !s.ok()) {
      return s;
    }
    if (is_static) {
      const auto prepare = [&](const PrepareContext& c) {
        return options_.tuner == nullptr ? CpuKernels().Prepare(c, &step->choice)
                                         : options_.tuner->Prepare(CpuKernels(), c, &step->choice);
      };
      absl::StatusOr<std::unique_ptr<Kernel>> kernel = cpu::PrepareInLayouts(context, prepare);
      if (kernel.ok()) {
        plan_->packed_bytes_ += static_cast<int64_t>((*kernel)->packed_bytes());
        for (int i : (*kernel)->unread_inputs()) ReleasePages(context.constants[i]);
        // Strings are objects: they live in tensors, not in the arena.
        const bool strings = std::any_of(step->output_types.begin(), step->output_types.end(),
                                         [](const Type& t) { return t.dtype() == DType::kString; });
        if ((*kernel)->dynamic_outputs() || strings) {
          step->dynamic = MakeDynamicKernel(*std::move(kernel), step->output_types);
          return absl::OkStatus();
        }
        const bool outputs_static =
            std::all_of(step->output_types.begin(), step->output_types.end(),
                        [](const Type& t) { return t.has_static_shape(); });
        if (outputs_static) {
          step->kernel = *std::move(kernel);
          return absl::OkStatus();
        }
      } else if (!absl::IsUnimplemented(kernel.status())) {
        return AtNode(node, kernel.status());
      } else {
        // It may still go once the contents of its inputs are known, or by expansion.
        const bool all_constant =
            std::all_of(node.inputs().begin(), node.inputs().end(),
                        [&](const Value* v) { return v == nullptr || ConstantOf(v).valid(); });
        if (node.op().expand == nullptr && (all_constant || !CpuKernels().Has(node.op_name())))
          return AtNode(node, kernel.status());
      }
    }
    step->dynamic = MakeDeferred(node, options_);
    return absl::OkStatus();
  }

  // Constants that are read at run time, or fetched: an importer may have left them anywhere.
  absl::Status AlignConstants(absl::Span<const int> fetched) {
    absl::flat_hash_set<int> read(fetched.begin(), fetched.end());
    for (const Step& step : plan_->steps_) {
      std::vector<int> unread;
      if (step.kernel != nullptr) unread = step.kernel->unread_inputs();
      for (size_t i = 0; i < step.inputs.size(); ++i) {
        if (!absl::c_linear_search(unread, static_cast<int>(i))) read.insert(step.inputs[i]);
      }
      read.insert(step.reads.begin(), step.reads.end());
    }
    for (int slot : read) {
      Tensor& constant = plan_->constants_[slot];
      if (!constant.valid() || constant.aligned()) continue;
      absl::StatusOr<Tensor> aligned =
          SharedAligned(plan_->slots_[slot].name, constant, options_.packed.get());
      if (!aligned.ok()) return aligned.status();
      ReleasePages(constant);
      constant = *std::move(aligned);
    }
    return absl::OkStatus();
  }

  absl::Status ChooseAssign(const Node& node, Step* step) {
    const Slot& variable = plan_->slots_[step->inputs[0]];
    const Slot& value = plan_->slots_[step->inputs[1]];
    if (variable.kind != SlotKind::kVariable) {
      return NodeError(node, absl::StatusCode::kInvalidArgument,
                       "its first input is no variable of this graph");
    }
    if (!variable.type.has_static_shape() || !(value.type == variable.type)) {
      return NodeError(node, absl::StatusCode::kInvalidArgument,
                       absl::StrCat("a variable of type ", variable.type.ToString(),
                                    " cannot take a value of type ", value.type.ToString()));
    }
    step->variable = variable.index;
    step->kernel = MakeAssignKernel(variable.type);
    return absl::OkStatus();
  }

  const ProgramOptions& options_;
  absl::Span<const std::string> variables_;
  std::shared_ptr<Plan> plan_;
  Value none_;
  std::vector<Node*> needed_;
  absl::flat_hash_map<const Value*, int> slot_of_;
  std::vector<int> last_read_;  // by slot: the last step that reads it
};

absl::StatusOr<std::shared_ptr<const Plan>> Specialise(const Graph& graph,
                                                       absl::Span<const Type> inputs,
                                                       absl::Span<const int> fetches,
                                                       const ProgramOptions& options,
                                                       absl::Span<const std::string> variables) {
  return Specialiser(options, variables).Make(graph, inputs, fetches);
}

}  // namespace sluice
