#include "runtime/node_program.h"

#include <numeric>

#include "graph/builder.h"
#include "graph/layout.h"

namespace sluice {
namespace {

// Of the value's rank and layout, its extents open: they differ from run to run.
Type OpenType(const Type& type) {
  if (!type.is_tensor() || !type.has_shape()) return type;
  return Type::Tensor(type.dtype(), Shape(type.rank(), Dim::Unknown()), type.layout());
}

}  // namespace

absl::Status CopyBodies(const Node& from, Node* to) {
  for (const auto& [name, body] : from.bodies()) {
    Graph* copy = to->AddBody(name);
    absl::flat_hash_map<const Value*, Value*> map;
    for (const Value* v : body->inputs()) map[v] = copy->AddInput(v->name(), v->type());
    if (absl::Status s = CopyNodes(*body, copy, &map); !s.ok()) return s;
    for (const Value* v : body->outputs()) copy->AddOutput(map.at(v));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Graph>> GraphOfNode(const Node& node, absl::Span<const Type> types,
                                                   bool constants) {
  auto graph = std::make_unique<Graph>(node.graph()->ops());
  GraphBuilder b(graph.get());
  b.SetOrigin(node.origin());
  std::vector<Value*> inputs;
  for (size_t i = 0; i < types.size(); ++i) {
    const Value* v = node.input(i);
    if (types[i].is_unknown()) {
      inputs.push_back(nullptr);
      continue;
    }
    const std::string name = graph->UniqueName(v == nullptr ? "" : v->name());
    const bool constant = constants && v != nullptr && v->constant() != nullptr;
    inputs.push_back(constant ? b.Constant(*v->constant(), name) : b.Input(name, types[i]));
  }
  Node* copy = b.RawOp(node.op_name(), inputs, node.num_outputs(),
                       AttrList(node.attrs().begin(), node.attrs().end()));
  if (copy == nullptr) return b.status();
  if (absl::Status s = CopyBodies(node, copy); !s.ok()) return s;
  for (size_t i = 0; i < node.num_outputs(); ++i) {
    const Type& type = node.output(i)->type();
    if (type.is_tensor() && type.layout() != Layout::kPlain)
      copy->output(i)->set_type(OpenType(type));
    graph->AddOutput(copy->output(i));
  }
  b.Finish(copy);
  if (!b.status().ok()) return b.status();
  return graph;
}

absl::StatusOr<std::unique_ptr<NodeProgram>> NodeProgram::Make(const Node& node,
                                                               const ProgramOptions& options,
                                                               bool by_contents) {
  std::unique_ptr<NodeProgram> program(new NodeProgram());
  std::vector<Type> types;
  for (size_t i = 0; i < node.num_inputs(); ++i) {
    const Value* v = node.input(i);
    types.push_back(v == nullptr ? Type() : OpenType(v->type()));
    if (v != nullptr && v->constant() == nullptr) program->fed_.push_back(static_cast<int>(i));
  }
  absl::StatusOr<std::unique_ptr<Graph>> graph = GraphOfNode(node, types, /*constants=*/true);
  if (!graph.ok()) return graph.status();
  program->fetches_.resize(node.num_outputs());
  std::iota(program->fetches_.begin(), program->fetches_.end(), 0);
  ProgramOptions own = options;
  own.tuner = nullptr;  // a trial takes longer than the run that waits for it
  own.all_effects = false;
  own.deferred = true;
  if (!by_contents) {
    program->by_shape_ =
        std::make_unique<Program>((*graph)->Clone(), own, std::vector<std::string>());
  }
  own.by_contents = true;
  program->by_contents_ =
      std::make_unique<Program>(*std::move(graph), std::move(own), std::vector<std::string>());
  program->needs_contents_ = by_contents;
  return program;
}

absl::StatusOr<std::vector<Tensor>> NodeProgram::Run(absl::Span<const Tensor> inputs,
                                                     RunContext* run) {
  std::vector<Tensor> fed;
  for (int i : fed_) fed.push_back(inputs[i]);
  if (!needs_contents_.load(std::memory_order_relaxed)) {
    absl::StatusOr<std::shared_ptr<const Plan>> plan = by_shape_->PlanFor(fed, fetches_);
    if (plan.ok()) return by_shape_->Run(*plan, fed, {}, run);
    if (!absl::IsUnimplemented(plan.status())) return plan.status();
    needs_contents_.store(true, std::memory_order_relaxed);
  }
  return by_contents_->Run(fed, fetches_, {}, run);
}

}  // namespace sluice
