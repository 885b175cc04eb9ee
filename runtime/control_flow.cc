// If, Loop and Scan as steps of a plan, their bodies as programs with plans of their own.
#include <cstring>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "kernels/packed_weights.h"
#include "runtime/program.h"

namespace sluice {
namespace {

// A body made a program: the values it captures are further inputs, captured constants are its own.
struct Body {
  std::unique_ptr<Program> program;
  std::vector<int> captures;  // positions among the step's reads
  std::vector<int> all_outputs;

  absl::StatusOr<std::vector<Tensor>> Run(std::vector<Tensor> inputs,
                                          absl::Span<const Tensor> reads, RunContext* run) const {
    for (int c : captures) inputs.push_back(reads[c]);
    return program->Run(inputs, all_outputs, {}, run);
  }
};

// The trips of a loop: one after the other through its body, in one frame while the shapes hold.
class Trips {
 public:
  Trips(const Body& body, absl::Span<const Tensor> reads, RunContext* run)
      : body_(body), run_(run) {
    for (int c : body.captures) captured_.push_back(reads[c]);
  }
  ~Trips() { Return(); }

  // `inputs`: those of the body that are its own; comes back with the same, but for a failed trip.
  absl::StatusOr<std::vector<Tensor>> Run(std::vector<Tensor>* inputs) {
    const size_t own = inputs->size();
    inputs->insert(inputs->end(), captured_.begin(), captured_.end());
    if (absl::Status s = Fit(*inputs, own); !s.ok()) return s;
    absl::StatusOr<std::vector<Tensor>> results =
        body_.program->RunIn(frame_.get(), *plan_, *inputs, {}, run_);
    inputs->resize(own);
    return results;
  }

 private:
  // The plan and the frame for these inputs; what is captured is the same in every trip.
  absl::Status Fit(absl::Span<const Tensor> inputs, size_t own) {
    bool fits = plan_ != nullptr;
    for (size_t i = 0; fits && i < own; ++i) {
      fits = shapes_[i].first == inputs[i].dtype() &&
             inputs[i].dims() == absl::MakeConstSpan(shapes_[i].second);
    }
    if (fits) return absl::OkStatus();
    absl::StatusOr<std::shared_ptr<const Plan>> plan =
        body_.program->PlanFor(inputs, body_.all_outputs);
    if (!plan.ok()) return plan.status();
    Return();
    plan_ = *std::move(plan);
    frame_ = body_.program->BorrowFrame(plan_);
    shapes_.clear();
    for (const Tensor& t : inputs.first(own))
      shapes_.emplace_back(t.dtype(), Dims(t.dims().begin(), t.dims().end()));
    return absl::OkStatus();
  }
  void Return() {
    if (frame_ != nullptr) body_.program->ReturnFrame(plan_, std::move(frame_));
  }

  const Body& body_;
  RunContext* const run_;
  std::vector<Tensor> captured_;
  std::shared_ptr<const Plan> plan_;
  std::unique_ptr<Frame> frame_;
  std::vector<std::pair<DType, Dims>> shapes_;  // of the body's own inputs
};

absl::StatusOr<Body> MakeBody(const Node& node, const Graph& body, const ProgramOptions& options,
                              const std::vector<Value*>& reads) {
  auto graph = std::make_unique<Graph>(body.ops(), absl::StrCat(node.name(), "/", body.name()));
  absl::flat_hash_map<const Value*, Value*> map;
  // Types inside were inferred for one shape, and shapes may change from one iteration to the next:
  // each plan infers anew from what arrives.
  for (const Value* input : body.inputs()) {
    map[input] = graph->AddInput(
        input->name(), input->type().is_tensor() ? Type::Tensor(input->type().dtype()) : Type());
  }
  Body result;
  for (size_t i = 0; i < reads.size(); ++i) {
    const Value& v = *reads[i];
    if (v.constant() != nullptr) {
      Node* own = graph->AddNode(v.producer()->op(), {}, {v.name()});
      for (const auto& [name, value] : v.producer()->attrs()) own->SetAttr(name, value);
      own->output()->set_type(v.type());
      map[&v] = own->output();
    } else {
      map[&v] = graph->AddInput(v.name(), v.type());
      result.captures.push_back(static_cast<int>(i));
    }
  }
  if (absl::Status s = CopyNodes(body, graph.get(), &map); !s.ok()) return s;
  for (const auto& inner : graph->nodes()) {
    if (inner->Is("Constant")) continue;
    for (size_t i = 0; i < inner->num_outputs(); ++i) {
      inner->output(i)->set_type(Type());
      inner->output(i)->set_known_dims(std::nullopt);
    }
  }
  for (size_t i = 0; i < body.outputs().size(); ++i) {
    Value* v = body.outputs()[i];
    auto it = map.find(v);
    graph->AddOutput(it == map.end() ? v : it->second, body.output_names()[i]);
  }
  result.all_outputs.resize(body.outputs().size());
  std::iota(result.all_outputs.begin(), result.all_outputs.end(), 0);
  ProgramOptions inner = options;
  inner.body = true;
  result.program = std::make_unique<Program>(std::move(graph), std::move(inner));
  return result;
}

absl::StatusOr<bool> ReadBool(const Tensor& t, absl::string_view what) {
  if (t.dtype() != DType::kBool || t.elements() != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " is ", t.TypeString(), ", expected one bool"));
  }
  return *static_cast<const uint8_t*>(t.raw()) != 0;
}

// Of what `node` stacks as output `output`, which its body gives as `inner`: where there is no row,
// its extents are as they were inferred outside, where more is known.
Type RowType(const Node& node, size_t output, size_t inner, int64_t axis) {
  const Type& whole = node.output(output)->type();
  const Graph& body = *node.body("body");
  if (!whole.is_tensor() || !whole.has_shape() || whole.rank() == 0)
    return inner < body.outputs().size() ? body.outputs()[inner]->type() : Type();
  if (axis < 0) axis += whole.rank();
  Shape shape = whole.shape();
  if (axis >= 0 && axis < whole.rank()) shape.erase(shape.begin() + axis);
  return Type::Tensor(whole.dtype(), std::move(shape));
}

// Rows of equal type along a new (or existing, `axis`) dimension: the collected outputs of Loop and
// Scan.
absl::StatusOr<Tensor> Stack(absl::Span<const Tensor> rows, const Type& row_type, int64_t axis,
                             bool reverse, RunContext* run) {
  const int64_t n = static_cast<int64_t>(rows.size());
  Dims row;
  DType dtype = row_type.dtype();
  if (n > 0) {
    dtype = rows[0].dtype();
    row.assign(rows[0].dims().begin(), rows[0].dims().end());
  } else if (row_type.has_shape()) {
    for (const Dim& d : row_type.shape()) row.push_back(d.is_number() ? d.number() : 0);
  }
  const int64_t rank = static_cast<int64_t>(row.size()) + 1;
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank)
    return absl::InvalidArgumentError(absl::StrCat("output axis ", axis, " is out of range"));
  Dims dims = row;
  dims.insert(dims.begin() + axis, n);
  if (n > 0) {
    if (absl::Status s = run->Charge(n * static_cast<int64_t>(rows[0].bytes())); !s.ok()) return s;
  }
  absl::StatusOr<Tensor> result = Tensor::Allocate(dtype, dims);
  if (!result.ok() || n == 0) return result;
  const int64_t outer =
      std::accumulate(row.begin(), row.begin() + axis, int64_t{1}, std::multiplies<>());
  const int64_t inner =
      std::accumulate(row.begin() + axis, row.end(), int64_t{1}, std::multiplies<>());
  const size_t size = ByteSize(dtype);
  for (int64_t i = 0; i < n; ++i) {
    const Tensor& t = rows[reverse ? n - 1 - i : i];
    if (t.dims() != absl::Span<const int64_t>(row)) {
      return absl::InvalidArgumentError(absl::StrCat("iteration ", i, " gave ", t.TypeString(),
                                                     ", the first one ", rows[0].TypeString(),
                                                     "; collected outputs must have one shape"));
    }
    for (int64_t o = 0; o < outer; ++o) {
      if (dtype == DType::kString) {
        std::copy_n(t.data<std::string>() + o * inner, inner,
                    result->mutable_data<std::string>() + (o * n + i) * inner);
      } else {
        std::memcpy(result->mutable_data<char>() + (o * n + i) * inner * size,
                    t.data<char>() + o * inner * size, inner * size);
      }
    }
  }
  return result;
}

// Element i of `t` along `axis`, as a tensor without that axis. A view where the axis is outermost.
absl::StatusOr<Tensor> Slice(const Tensor& t, int64_t axis, int64_t i) {
  Dims dims(t.dims().begin(), t.dims().end());
  const int64_t n = dims[axis];
  dims.erase(dims.begin() + axis);
  const size_t size = ByteSize(t.dtype());
  const int64_t outer =
      std::accumulate(dims.begin(), dims.begin() + axis, int64_t{1}, std::multiplies<>());
  const int64_t inner =
      std::accumulate(dims.begin() + axis, dims.end(), int64_t{1}, std::multiplies<>());
  if (outer == 1)
    return Tensor::Wrap(t.dtype(), dims, t.data<char>() + i * inner * size, t.owner());
  absl::StatusOr<Tensor> row = Tensor::Allocate(t.dtype(), dims);
  if (!row.ok()) return row;
  for (int64_t o = 0; o < outer; ++o) {
    if (t.dtype() == DType::kString) {
      std::copy_n(t.data<std::string>() + (o * n + i) * inner, inner,
                  row->mutable_data<std::string>() + o * inner);
    } else {
      std::memcpy(row->mutable_data<char>() + o * inner * size,
                  t.data<char>() + (o * n + i) * inner * size, inner * size);
    }
  }
  return row;
}

// What a loop holds of the run's memory: the values carried now and the rows collected so far, not
// those that an iteration replaced.
class Holding {
 public:
  explicit Holding(RunContext* run) : run_(run), before_(run->memory_used) {}

  // After an iteration; each list of `rows` has one more.
  absl::Status Update(absl::Span<const Tensor> carried,
                      absl::Span<const std::vector<Tensor>> rows) {
    int64_t bytes = 0;
    for (const Tensor& t : carried) bytes += static_cast<int64_t>(t.bytes());
    for (const std::vector<Tensor>& list : rows) rows_ += static_cast<int64_t>(list.back().bytes());
    run_->memory_used = before_;
    return run_->Charge(bytes + rows_);
  }

 private:
  RunContext* const run_;
  const int64_t before_;
  int64_t rows_ = 0;
};

class IfStep : public DynamicStep {
 public:
  IfStep(Body then_body, Body else_body)
      : then_(std::move(then_body)), else_(std::move(else_body)) {}
  absl::StatusOr<std::vector<Tensor>> Run(absl::Span<const Tensor> inputs,
                                          RunContext* run) override {
    absl::StatusOr<bool> condition = ReadBool(inputs[0], "the condition");
    if (!condition.ok()) return condition.status();
    return (*condition ? then_ : else_).Run({}, inputs.subspan(1), run);
  }
  std::string Description() const override { return "if"; }

 private:
  Body then_, else_;
};

class LoopStep : public DynamicStep {
 public:
  LoopStep(const Node& node, Body body)
      : body_(std::move(body)),
        arguments_(node.num_inputs()),
        carried_(std::max<size_t>(2, arguments_) - 2) {
    for (size_t i = carried_; i < node.num_outputs(); ++i)
      collected_.push_back(RowType(node, i, 1 + i, /*axis=*/0));
  }

  absl::StatusOr<std::vector<Tensor>> Run(absl::Span<const Tensor> inputs,
                                          RunContext* run) override {
    absl::Span<const Tensor> reads = inputs.subspan(arguments_);
    inputs = inputs.first(arguments_);
    int64_t trips = INT64_MAX;
    if (!inputs.empty() && inputs[0].valid()) {
      std::optional<std::vector<int64_t>> m = inputs[0].AsInts();
      if (!m.has_value() || m->size() != 1)
        return absl::InvalidArgumentError("the trip count is not one integer");
      trips = (*m)[0];
    }
    bool condition = true;
    if (inputs.size() > 1 && inputs[1].valid()) {
      absl::StatusOr<bool> c = ReadBool(inputs[1], "the condition");
      if (!c.ok()) return c.status();
      condition = *c;
    }
    std::vector<Tensor> carried(inputs.begin() + std::min<size_t>(2, inputs.size()), inputs.end());
    std::vector<std::vector<Tensor>> rows(collected_.size());
    Holding holding(run);
    Trips body(body_, reads, run);
    for (int64_t i = 0; i < trips && condition; ++i) {
      if (absl::Status s = run->CheckStop(); !s.ok()) return s;
      std::vector<Tensor> in = {Tensor::Scalar<int64_t>(i), Tensor::Scalar<bool>(condition)};
      in.insert(in.end(), carried.begin(), carried.end());
      absl::StatusOr<std::vector<Tensor>> out = body.Run(&in);
      if (!out.ok()) return out.status();
      absl::StatusOr<bool> c = ReadBool((*out)[0], "the body's condition");
      if (!c.ok()) return c.status();
      condition = *c;
      for (size_t k = 0; k < carried_; ++k) carried[k] = std::move((*out)[1 + k]);
      for (size_t k = 0; k < rows.size(); ++k)
        rows[k].push_back(std::move((*out)[1 + carried_ + k]));
      if (absl::Status s = holding.Update(carried, rows); !s.ok()) return s;
    }
    std::vector<Tensor> results = std::move(carried);
    for (size_t k = 0; k < rows.size(); ++k) {
      absl::StatusOr<Tensor> stacked = Stack(rows[k], collected_[k], 0, false, run);
      if (!stacked.ok()) return stacked.status();
      results.push_back(*std::move(stacked));
    }
    return results;
  }
  std::string Description() const override { return "loop"; }

 private:
  Body body_;
  size_t arguments_, carried_;
  std::vector<Type> collected_;
};

class ScanStep : public DynamicStep {
 public:
  ScanStep(const Node& node, Body body)
      : body_(std::move(body)),
        scanned_(static_cast<size_t>(node.Int("num_scan_inputs"))),
        carried_(node.num_inputs() - scanned_),
        input_axes_(node.Ints("scan_input_axes")),
        input_directions_(node.Ints("scan_input_directions")),
        output_axes_(node.Ints("scan_output_axes")),
        output_directions_(node.Ints("scan_output_directions")) {
    for (size_t i = carried_; i < node.num_outputs(); ++i) {
      const size_t k = i - carried_;
      collected_.push_back(RowType(node, i, i, k < output_axes_.size() ? output_axes_[k] : 0));
    }
    input_axes_.resize(scanned_, 0);
    input_directions_.resize(scanned_, 0);
    output_axes_.resize(collected_.size(), 0);
    output_directions_.resize(collected_.size(), 0);
  }

  absl::StatusOr<std::vector<Tensor>> Run(absl::Span<const Tensor> inputs,
                                          RunContext* run) override {
    absl::Span<const Tensor> reads = inputs.subspan(carried_ + scanned_);
    int64_t trips = -1;
    std::vector<int64_t> axes = input_axes_;
    for (size_t k = 0; k < scanned_; ++k) {
      const Tensor& t = inputs[carried_ + k];
      if (axes[k] < 0) axes[k] += t.rank();
      if (axes[k] < 0 || axes[k] >= t.rank())
        return absl::InvalidArgumentError("a scan input axis is out of range");
      const int64_t n = t.dims()[axes[k]];
      if (trips >= 0 && n != trips) {
        return absl::InvalidArgumentError(
            absl::StrCat("scan inputs have lengths ", trips, " and ", n, "; they must be equal"));
      }
      trips = n;
    }
    std::vector<Tensor> carried(inputs.begin(), inputs.begin() + carried_);
    std::vector<std::vector<Tensor>> rows(collected_.size());
    Holding holding(run);
    Trips body(body_, reads, run);
    for (int64_t i = 0; i < trips; ++i) {
      if (absl::Status s = run->CheckStop(); !s.ok()) return s;
      std::vector<Tensor> in = carried;
      for (size_t k = 0; k < scanned_; ++k) {
        absl::StatusOr<Tensor> row =
            Slice(inputs[carried_ + k], axes[k], input_directions_[k] != 0 ? trips - 1 - i : i);
        if (!row.ok()) return row.status();
        in.push_back(*std::move(row));
      }
      absl::StatusOr<std::vector<Tensor>> out = body.Run(&in);
      if (!out.ok()) return out.status();
      for (size_t k = 0; k < carried_; ++k) carried[k] = std::move((*out)[k]);
      for (size_t k = 0; k < rows.size(); ++k) rows[k].push_back(std::move((*out)[carried_ + k]));
      if (absl::Status s = holding.Update(carried, rows); !s.ok()) return s;
    }
    std::vector<Tensor> results = std::move(carried);
    for (size_t k = 0; k < rows.size(); ++k) {
      absl::StatusOr<Tensor> stacked =
          Stack(rows[k], collected_[k], output_axes_[k], output_directions_[k] != 0, run);
      if (!stacked.ok()) return stacked.status();
      results.push_back(*std::move(stacked));
    }
    return results;
  }
  std::string Description() const override { return "scan"; }

 private:
  Body body_;
  size_t scanned_, carried_;
  std::vector<int64_t> input_axes_, input_directions_, output_axes_, output_directions_;
  std::vector<Type> collected_;
};

}  // namespace

bool IsControlFlow(const Node& node) { return node.Is("If") || node.Is("Loop") || node.Is("Scan"); }

absl::StatusOr<std::unique_ptr<DynamicStep>> MakeControlFlow(const Node& node,
                                                             const ProgramOptions& outer,
                                                             std::vector<Value*>* reads) {
  *reads = Captures(node);
  ProgramOptions options = outer;
  if (outer.packed != nullptr) options.packed = outer.packed->OfBodies();
  auto body = [&](absl::string_view name) {
    return MakeBody(node, *node.body(name), options, *reads);
  };
  std::unique_ptr<DynamicStep> step;
  if (node.Is("If")) {
    absl::StatusOr<Body> then_body = body("then_branch"), else_body = body("else_branch");
    if (!then_body.ok()) return then_body.status();
    if (!else_body.ok()) return else_body.status();
    step = std::make_unique<IfStep>(*std::move(then_body), *std::move(else_body));
  } else {
    absl::StatusOr<Body> loop_body = body("body");
    if (!loop_body.ok()) return loop_body.status();
    if (node.Is("Loop")) {
      const size_t carried = std::max<size_t>(2, node.num_inputs()) - 2;
      if (node.body("body")->outputs().size() < 1 + carried ||
          node.body("body")->inputs().size() != 2 + carried) {
        return NodeError(node, absl::StatusCode::kInvalidArgument,
                         "the body does not fit the number of carried values");
      }
      step = std::make_unique<LoopStep>(node, *std::move(loop_body));
    } else {
      const int64_t scanned = node.Int("num_scan_inputs");
      if (scanned < 1 || scanned > static_cast<int64_t>(node.num_inputs())) {
        return NodeError(node, absl::StatusCode::kInvalidArgument,
                         absl::StrCat("num_scan_inputs is ", scanned));
      }
      step = std::make_unique<ScanStep>(node, *std::move(loop_body));
    }
  }
  return step;
}

}  // namespace sluice
