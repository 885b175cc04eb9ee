// From a graph and concrete input types to a flat plan. Read Specialiser::Make() first.
#include <algorithm>
#include <atomic>

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
#include "runtime/slices.h"
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
    absl::StatusOr<std::unique_ptr<Graph>> concrete = Concrete(graph, inputs, fetches);
    if (!concrete.ok()) return concrete.status();
    plan_->graph_ = *std::move(concrete);
    Graph& g = *plan_->graph_;

    // What the fetches need, in order, each node made a step with its kernel; stretches that pay,
    // once for each slice of the batch.
    FindNeeded(g);
    AddInputSlots(g);
    const cpu::SharedGeneration sharing;
    const std::vector<Stretch> stretches = FindStretches(graph, inputs, fetches);
    std::vector<const Node*> nodes(needed_.begin(), needed_.end());
    for (const Stretch& s : stretches) {
      for (int i = s.first; i < s.last; ++i) nodes[i] = twins_[i];
    }
    PrepareAhead(nodes);
    auto stretch = stretches.begin();
    for (int i = 0; i < static_cast<int>(needed_.size());) {
      if (stretch != stretches.end() && stretch->first == i) {
        if (absl::Status s = AddStretch(*stretch); !s.ok()) return s;
        i = stretch++->last;
      } else if (absl::Status s = AddNode(*needed_[i++]); !s.ok()) {
        return s;
      }
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
  // A copy of the graph for the fetches, typed for inputs of the given types.
  static absl::StatusOr<std::unique_ptr<Graph>> Concrete(const Graph& graph,
                                                         absl::Span<const Type> inputs,
                                                         absl::Span<const int> fetches) {
    std::unique_ptr<Graph> g = graph.Clone();
    std::vector<std::pair<Value*, std::string>> chosen;
    for (int f : fetches) chosen.push_back({g->outputs()[f], g->output_names()[f]});
    g->ClearOutputs();
    for (auto& [value, name] : chosen) g->AddOutput(value, name);
    for (size_t i = 0; i < inputs.size(); ++i) g->inputs()[i]->set_type(inputs[i]);
    if (absl::Status s = InferTypes(g.get()); !s.ok()) return s;
    return g;
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
  // The rows of slice `slice` of the slot `whole`, for the slices' value `part`.
  int AddPart(const Value& part, int whole, int64_t slice) {
    const int id = AddSlot(part, SlotKind::kArena);
    Slot& s = plan_->slots_[id];
    const int64_t rows = s.type.dim(0).number();
    s.name = absl::StrCat(s.name, "[", slice * rows, ":", (slice + 1) * rows, "]");
    s.part_of = whole;
    s.part_offset = slice * BytesOf(s.type);
    return id;
  }
  static int64_t BytesOf(const Type& type) {
    return *ElementCount(*type.StaticDims(), ByteSize(type.dtype())) *
           static_cast<int64_t>(ByteSize(type.dtype()));
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
    Step step = StepOf(node);
    if (absl::Status s = ChooseKernel(node, &step); !s.ok()) return s;
    NoteReads(step);
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

  Step StepOf(const Node& node) const {
    Step step{.node = &node};
    for (const Value* v : node.inputs()) step.inputs.push_back(SlotOf(v));
    for (size_t i = 0; i < node.num_outputs(); ++i)
      step.output_types.push_back(node.output(i)->type());
    return step;
  }

  // Of the step that comes next.
  void NoteReads(const Step& step) {
    const int now = static_cast<int>(plan_->steps_.size());
    for (int slot : step.inputs) last_read_[slot] = now;
    for (int slot : step.reads) last_read_[slot] = now;
  }

  // Where the batch should go slice by slice: positions in needed_. The slices' graph is made here.
  std::vector<Stretch> FindStretches(const Graph& graph, absl::Span<const Type> inputs,
                                     absl::Span<const int> fetches) {
    // The batch: the extent of axis 0 of the first input, by whatever symbol, and of all alike.
    const auto first = [](const Type& t) {
      return t.is_tensor() && t.has_shape() && t.rank() > 0 ? t.dim(0) : Dim::Unknown();
    };
    if (inputs.empty() || !first(inputs[0]).is_number()) return {};
    const Dim symbol = first(graph.inputs()[0]->type());
    const int64_t batch = first(inputs[0]).number();
    if (batch < 2) return {};
    const int threads = options_.deterministic ? 1 : options_.threads;
    std::vector<SliceNode> nodes = SliceNodes(needed_, batch);
    for (size_t i = 0; i < nodes.size(); ++i) {
      if (KnownContents(*needed_[i])) nodes[i] = {.kind = SliceNode::Kind::kNoStep};
    }
    slicing_ = FindSlices(nodes, batch, threads);
    if (slicing_.stretches.empty()) return {};
    std::vector<Type> of_slice(inputs.begin(), inputs.end());
    for (size_t i = 0; i < of_slice.size(); ++i) {
      const Dim rows = first(graph.inputs()[i]->type());
      const bool same = symbol.is_unknown() ? i == 0 : rows == symbol;
      if (!same || !(first(of_slice[i]) == Dim(batch))) continue;
      Shape shape = of_slice[i].shape();
      shape[0] = Dim(slicing_.rows);
      of_slice[i] = Type::Tensor(of_slice[i].dtype(), std::move(shape), of_slice[i].layout());
    }
    // A graph that is made for this very batch says so.
    absl::StatusOr<std::unique_ptr<Graph>> part = Concrete(graph, of_slice, fetches);
    if (!part.ok() || (*part)->num_nodes() != plan_->graph_->num_nodes()) return {};
    plan_->slice_graph_ = *std::move(part);
    absl::flat_hash_map<const Node*, const Node*> twin;
    auto other = plan_->slice_graph_->nodes().begin();
    for (const auto& node : plan_->graph_->nodes()) twin[node.get()] = (other++)->get();
    for (size_t i = 0; i < nodes.size(); ++i) {
      twins_.push_back(twin.at(needed_[i]));
      if (nodes[i].kind == SliceNode::Kind::kRowWise &&
          !IsRowWise(*needed_[i], *twins_[i], batch, slicing_.rows))
        nodes[i].kind = SliceNode::Kind::kOther;
      step_nodes_.push_back(nodes[i].kind != SliceNode::Kind::kNoStep);
    }
    slices_ = batch / slicing_.rows;
    slicing_ = FindSlices(nodes, batch, threads, slicing_.rows);
    return slicing_.stretches;
  }

  // The stretch for one slice after the other; as a whole where a kernel of it is none for slices.
  absl::Status AddStretch(const Stretch& stretch) {
    for (int i = stretch.first; i < stretch.last; ++i) {
      if (step_nodes_[i]) continue;
      if (absl::Status s = AddNode(*needed_[i]); !s.ok()) return s;
    }
    const size_t slots = plan_->slots_.size(), steps = plan_->steps_.size();
    const int64_t packed = plan_->packed_bytes_;
    std::vector<const Value*> wholes;
    absl::StatusOr<bool> sliced = AddSlices(stretch, &wholes);
    if (!sliced.ok()) return sliced.status();
    if (*sliced) {
      plan_->slices_.push_back({static_cast<int>(steps), static_cast<int>(plan_->steps_.size()),
                                slices_, slicing_.rows});
      plan_->slices_saved_ns_ = slicing_.saved_ns;
      return absl::OkStatus();
    }
    plan_->slots_.resize(slots);
    plan_->constants_.resize(slots);
    last_read_.resize(slots);
    plan_->steps_.resize(steps);
    plan_->packed_bytes_ = packed;
    for (const Value* v : wholes) slot_of_.erase(v);
    for (int i = stretch.first; i < stretch.last; ++i) {
      if (!step_nodes_[i]) continue;
      if (absl::Status s = AddNode(*needed_[i]); !s.ok()) return s;
    }
    return absl::OkStatus();
  }

  // False where it cannot be: the caller takes back what was added. `wholes`: the values of the
  // stretch that got a slot for all rows, since somebody outside reads them.
  absl::StatusOr<bool> AddSlices(const Stretch& stretch, std::vector<const Value*>* wholes) {
    absl::flat_hash_set<const Node*> inside;
    for (int i = stretch.first; i < stretch.last; ++i) {
      if (step_nodes_[i]) inside.insert(needed_[i]);
    }
    // Uses that nobody fetches do not count; those in bodies do.
    const absl::flat_hash_set<const Node*> needed(needed_.begin(), needed_.end());
    const auto leaves = [&](const Value& v) {
      return v.is_graph_output() || absl::c_any_of(v.uses(), [&](const Use& use) {
               return use.node->graph() != v.graph() ||
                      (needed.contains(use.node) && !inside.contains(use.node));
             });
    };
    const int first_step = static_cast<int>(plan_->steps_.size());
    absl::flat_hash_set<int> outer;  // slots that every slice touches
    for (int64_t slice = 0; slice < slices_; ++slice) {
      absl::flat_hash_set<const Value*> placed;  // that have a slot good for this slice
      int of_first = first_step;
      for (int i = stretch.first; i < stretch.last; ++i) {
        if (!step_nodes_[i]) continue;
        const Node &whole = *needed_[i], &part = *twins_[i];
        for (size_t k = 0; k < part.num_inputs(); ++k) {
          const Value *v = part.input(k), *all = whole.input(k);
          if (v == nullptr || !placed.insert(v).second) continue;
          if (v->type() == all->type()) {
            if (slice > 0) continue;
            absl::StatusOr<int> slot = SharedSlot(*v, *all);
            if (!slot.ok()) return slot.status();
            outer.insert(*slot);
          } else {
            const int slot = SlotOf(all);
            if (plan_->slots_[slot].kind == SlotKind::kDynamic) return false;
            AddPart(*v, slot, slice);
            outer.insert(slot);
          }
        }
        Step step = StepOf(part);
        step.sliced = true;
        if (slice == 0) {
          if (!ChooseKernel(part, &step).ok() || step.kernel == nullptr) return false;
          NoteReads(step);
        } else {
          step.kernel = plan_->steps_[of_first].kernel;
          step.choice = plan_->steps_[of_first].choice;
          step.same_as = of_first;
        }
        ++of_first;
        for (size_t k = 0; k < part.num_outputs(); ++k) {
          const Value &v = *part.output(k), &all = *whole.output(k);
          placed.insert(&v);
          if (leaves(all)) {
            if (slice == 0) {
              outer.insert(AddSlot(all, SlotKind::kArena));
              wholes->push_back(&all);
            }
            AddPart(v, SlotOf(&all), slice);
          } else if (slice == 0) {
            AddSlot(v, SlotKind::kArena);  // of each slice in turn
          }
          step.outputs.push_back(SlotOf(&v));
        }
        plan_->steps_.push_back(std::move(step));
      }
    }
    for (int slot : outer) last_read_[slot] = static_cast<int>(plan_->steps_.size()) - 1;
    return true;
  }

  // Of what all slices read alike: the slot of all rows, or a shape that is the slices' own.
  absl::StatusOr<int> SharedSlot(const Value& part, const Value& all) {
    if (part.constant() == nullptr && part.producer() != nullptr &&
        part.known_dims() != all.known_dims() && KnownContents(*part.producer())) {
      absl::StatusOr<Tensor> contents = Materialise(part);
      if (!contents.ok()) return contents.status();
      return AddConstantSlot(part, *std::move(contents));
    }
    return slot_of_[&part] = SlotOf(&all);
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

  struct Prepared {
    absl::StatusOr<std::unique_ptr<Kernel>> kernel;
    std::string choice;
  };

  // Without inputs.
  PrepareContext ContextOf(const Node& node) const {
    PrepareContext context{.node = node,
                           .threads = options_.threads,
                           .deterministic = options_.deterministic,
                           .accuracy = options_.accuracy,
                           .packed = options_.packed.get()};
    for (size_t i = 0; i < node.num_outputs(); ++i)
      context.outputs.push_back(node.output(i)->type());
    return context;
  }

  // From many threads at once.
  Prepared Prepare(const PrepareContext& context) const {
    Prepared prepared;
    const auto prepare = [&](const PrepareContext& c) {
      return options_.tuner == nullptr ? CpuKernels().Prepare(c, &prepared.choice)
                                       : options_.tuner->Prepare(CpuKernels(), c, &prepared.choice);
    };
    prepared.kernel = cpu::PrepareInLayouts(context, prepare);
    if (prepared.kernel.ok()) {
      for (int i : (*prepared.kernel)->unread_inputs()) ReleasePages(context.constants[i]);
    }
    return prepared;
  }

  // Packing weights and generating code take their time: all threads do it, each node by one. Left
  // to ChooseKernel(): what depends on contents that follow the shapes, and what cannot run.
  void PrepareAhead(absl::Span<const Node* const> nodes) {
    if (options_.pool == nullptr || options_.pool->threads() < 2 || options_.tuner != nullptr)
      return;
    std::vector<PrepareContext> contexts;
    for (const Node* node : nodes) {
      if (node->Is("Constant") || node->Is("Variable") || node->Is("Assign") ||
          IsControlFlow(*node) || KnownContents(*node) || !CpuKernels().Has(node->op_name()))
        continue;
      PrepareContext context = ContextOf(*node);
      bool fits = true;
      for (const Value* v : node->inputs()) {
        const Tensor* constant = v == nullptr ? nullptr : v->constant();
        context.constants.push_back(constant == nullptr ? Tensor() : *constant);
        context.inputs.push_back(v == nullptr          ? Type()
                                 : constant == nullptr ? v->type()
                                                       : Type::Of(*constant));
        fits &= v == nullptr || context.inputs.back().has_static_shape();
        fits &= v == nullptr || constant != nullptr || v->producer() == nullptr ||
                !KnownContents(*v->producer());
      }
      fits = fits &&
             CheckOutputSizes(*node, context.inputs, context.outputs, options_.memory_limit).ok();
      if (fits) contexts.push_back(std::move(context));
    }
    std::vector<Prepared> made(contexts.size());
    std::atomic<size_t> next{0};
    options_.pool->RunTasks(options_.pool->threads(), [&](int, int) {
      for (size_t i; (i = next.fetch_add(1)) < contexts.size();) made[i] = Prepare(contexts[i]);
    });
    for (size_t i = 0; i < contexts.size(); ++i)
      prepared_.emplace(&contexts[i].node, std::move(made[i]));
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
    PrepareContext context = ContextOf(node);
    bool is_static = true;
    for (const Value* v : node.inputs()) {
      context.inputs.push_back(v == nullptr ? Type() : plan_->slots_[SlotOf(v)].type);
      context.constants.push_back(ConstantOf(v));
      is_static &= v == nullptr || context.inputs.back().has_static_shape();
    }
    if (absl::Status s =
            CheckOutputSizes(node, context.inputs, context.outputs, options_.memory_limit);
        !s.ok()) {
      return s;
    }
    if (is_static) {
      auto ahead = prepared_.find(&node);
      Prepared prepared = ahead == prepared_.end() ? Prepare(context) : std::move(ahead->second);
      absl::StatusOr<std::unique_ptr<Kernel>>& kernel = prepared.kernel;
      step->choice = std::move(prepared.choice);
      if (kernel.ok()) {
        plan_->packed_bytes_ += static_cast<int64_t>((*kernel)->packed_bytes());
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
  absl::flat_hash_map<const Node*, Prepared> prepared_;
  std::vector<int> last_read_;  // by slot: the last step that reads it
  // Where the batch goes slice by slice: by position in needed_, the same node for a slice, and
  // whether it makes a step.
  Slicing slicing_;
  int64_t slices_ = 0;
  std::vector<const Node*> twins_;
  std::vector<bool> step_nodes_;
};

absl::StatusOr<std::shared_ptr<const Plan>> Specialise(const Graph& graph,
                                                       absl::Span<const Type> inputs,
                                                       absl::Span<const int> fetches,
                                                       const ProgramOptions& options,
                                                       absl::Span<const std::string> variables) {
  return Specialiser(options, variables).Make(graph, inputs, fetches);
}

}  // namespace sluice
