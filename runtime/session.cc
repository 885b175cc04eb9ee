#include "runtime/session.h"

#include <numeric>
#include <shared_mutex>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "graph/text.h"
#include "kernels/cpu/cost.h"
#include "kernels/cpu/cpu_kernels.h"
#include "kernels/packed_weights.h"
#include "runtime/clock.h"
#include "runtime/compile.h"
#include "runtime/explain.h"
#include "runtime/tensor_copy.h"

namespace sluice {
namespace {

// What `deterministic` splits work for, whatever the number of threads. Enough for many, and few
// enough that one thread alone does not go through splinters.
constexpr int kDeterministicSplit = 8;

std::string Names(const std::vector<Session::Port>& ports) {
  return absl::StrJoin(
      ports, ", ", [](std::string* out, const Session::Port& p) { out->append(Shown(p.name)); });
}

absl::Status NoVariable(absl::string_view name, const std::vector<std::string>& names) {
  const std::string known = absl::StrJoin(
      names, ", ", [](std::string* out, const std::string& n) { out->append(Shown(n)); });
  return absl::NotFoundError(
      absl::StrCat("no variable is named ", Shown(name), "; there are: ", known));
}

}  // namespace

struct Session::Impl {
  SessionOptions options;
  std::shared_ptr<ThreadPool> pool;
  Compiled compiled;
  std::vector<Port> inputs, outputs;
  absl::flat_hash_map<std::string, int> input_index, output_index;
  std::vector<Tensor> variables;
  bool assigns = false;
  std::atomic<int64_t> peak_run_bytes{0};
  // Runs hold it shared, or exclusive where the program assigns variables; Close() exclusive.
  mutable std::shared_mutex state;
  bool closed = false;

  absl::StatusOr<std::vector<int>> Find(absl::Span<const std::string> names,
                                        const absl::flat_hash_map<std::string, int>& index,
                                        const std::vector<Port>& ports,
                                        absl::string_view what) const {
    std::vector<int> found;
    for (const std::string& name : names) {
      auto it = index.find(name);
      if (it == index.end()) {
        return absl::NotFoundError(absl::StrCat("the graph has no ", what, " ", Shown(name),
                                                "; its ", what, "s are: ", Names(ports)));
      }
      found.push_back(it->second);
    }
    return found;
  }

  absl::StatusOr<std::vector<Tensor>> OrderFeeds(const Feeds& feeds) const {
    std::vector<Tensor> ordered(inputs.size());
    for (const auto& [name, tensor] : feeds) {
      auto it = input_index.find(name);
      if (it == input_index.end()) {
        return absl::NotFoundError(absl::StrCat("the graph has no input ", Shown(name),
                                                "; its inputs are: ", Names(inputs)));
      }
      if (ordered[it->second].valid())
        return absl::InvalidArgumentError(absl::StrCat("input ", Shown(name), " is fed twice"));
      ordered[it->second] = tensor;
    }
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!ordered[i].valid()) {
        return absl::InvalidArgumentError(absl::StrCat("input ", Shown(inputs[i].name), " of type ",
                                                       inputs[i].type.ToString(), " is not fed"));
      }
    }
    return ordered;
  }

  RunContext Context(const RunOptions& run_options) {
    RunContext run;
    run.pool = pool.get();
    run.options = &run_options;
    run.memory_limit = options.memory_limit;
    run.check_time = run_options.deadline < absl::InfiniteFuture();
    run.variables = &variables;
    if (run_options.profile != nullptr) {
      run_options.profile->peak_flops_per_ns = cpu::Costs().flops * pool->workers();
      run.start_ns = NowNs();
    }
    return run;
  }

  absl::Status CheckGiven(absl::Span<const Tensor> given, const Plan& plan) const {
    for (size_t i = 0; i < given.size() && i < plan.outputs().size(); ++i) {
      if (!given[i].valid() || plan.outputs()[i].Takes(given[i])) continue;
      const Type& type = plan.outputs()[i].type;
      if (!plan.outputs()[i].is_static) {
        return absl::InvalidArgumentError(
            absl::StrCat("output ", i, " is sized by the data (", type.ToString(),
                         "): it cannot be written to memory given beforehand"));
      }
      return absl::InvalidArgumentError(absl::StrCat("output ", i, " is ", type.ToString(),
                                                     ", but the tensor given for it is ",
                                                     given[i].TypeString()));
    }
    return absl::OkStatus();
  }

  void NotePeak(const RunContext& run) {
    int64_t seen = peak_run_bytes.load(std::memory_order_relaxed);
    while (run.memory_peak > seen && !peak_run_bytes.compare_exchange_weak(
                                         seen, run.memory_peak, std::memory_order_relaxed)) {
    }
  }
};

Session::Session() : impl_(std::make_unique<Impl>()) {}
Session::~Session() { (void)Close(); }

absl::StatusOr<std::unique_ptr<Session>> Session::Create(const Graph& graph,
                                                         SessionOptions options) {
  std::unique_ptr<Session> session(new Session());
  Impl& impl = *session->impl_;
  impl.pool = options.thread_pool != nullptr ? options.thread_pool
                                             : std::make_shared<ThreadPool>(options.threads);
  if (options.deterministic)
    impl.pool = std::make_shared<ThreadPool>(*impl.pool, kDeterministicSplit);
  absl::StatusOr<Compiled> compiled = Compile(graph, options, impl.pool.get());
  if (!compiled.ok()) return compiled.status();
  impl.options = std::move(options);
  impl.compiled = *std::move(compiled);
  const Graph& program = impl.compiled.program->graph();
  for (const Value* v : program.inputs()) {
    impl.input_index[v->name()] = static_cast<int>(impl.inputs.size());
    impl.inputs.push_back({v->name(), v->type()});
  }
  for (size_t i = 0; i < program.outputs().size(); ++i) {
    impl.output_index.try_emplace(program.output_names()[i], static_cast<int>(i));
    impl.outputs.push_back({program.output_names()[i], program.outputs()[i]->type()});
  }
  for (const Tensor& t : impl.compiled.initial) {
    absl::StatusOr<Tensor> own = Duplicate(t);
    if (!own.ok()) return own.status();
    impl.variables.push_back(*std::move(own));
  }
  impl.assigns = impl.compiled.assigns;
  return session;
}

const std::vector<Session::Port>& Session::inputs() const { return impl_->inputs; }
const std::vector<Session::Port>& Session::outputs() const { return impl_->outputs; }

absl::StatusOr<std::vector<Tensor>> Session::Run(const Feeds& feeds,
                                                 absl::Span<const std::string> fetches,
                                                 const RunOptions& options) {
  std::shared_lock<std::shared_mutex> shared(impl_->state, std::defer_lock);
  std::unique_lock<std::shared_mutex> exclusive(impl_->state, std::defer_lock);
  if (impl_->assigns) {
    exclusive.lock();
  } else {
    shared.lock();
  }
  if (impl_->closed) return absl::FailedPreconditionError("the session is closed");
  absl::StatusOr<std::vector<Tensor>> inputs = impl_->OrderFeeds(feeds);
  if (!inputs.ok()) return inputs.status();
  absl::StatusOr<std::vector<int>> wanted =
      impl_->Find(fetches, impl_->output_index, impl_->outputs, "output");
  if (!wanted.ok()) return wanted.status();
  if (fetches.empty()) {
    wanted->resize(impl_->outputs.size());
    std::iota(wanted->begin(), wanted->end(), 0);
  }
  RunContext run = impl_->Context(options);
  if (absl::Status s = run.CheckStop(); !s.ok()) return s;
  Program& program = *impl_->compiled.program;
  absl::StatusOr<std::shared_ptr<const Plan>> plan = program.PlanFor(*inputs, *wanted);
  if (!plan.ok()) return plan.status();
  if (absl::Status s = impl_->CheckGiven(options.outputs, **plan); !s.ok()) return s;
  absl::StatusOr<std::vector<Tensor>> results = program.Run(*plan, *inputs, options.outputs, &run);
  impl_->NotePeak(run);
  return results;
}

absl::StatusOr<Tensor> Session::ReadVariable(absl::string_view name) const {
  std::shared_lock<std::shared_mutex> lock(impl_->state);
  const std::vector<std::string>& names = impl_->compiled.variables;
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name && !impl_->closed) return Duplicate(impl_->variables[i]);
  }
  return NoVariable(name, names);
}

absl::Status Session::AssignVariable(absl::string_view name, const Tensor& value) {
  std::unique_lock<std::shared_mutex> lock(impl_->state);
  const std::vector<std::string>& names = impl_->compiled.variables;
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] != name || impl_->closed) continue;
    Tensor& variable = impl_->variables[i];
    if (!(Type::Of(value) == Type::Of(variable))) {
      return absl::InvalidArgumentError(
          absl::StrCat("variable ", Shown(name), " is ", variable.TypeString(),
                       " and cannot take a value of type ", value.TypeString()));
    }
    CopyElements(value, &variable);
    return absl::OkStatus();
  }
  return NoVariable(name, names);
}

absl::StatusOr<std::string> Session::PlanText(const Feeds& feeds) {
  std::shared_lock<std::shared_mutex> lock(impl_->state);
  if (impl_->closed) return absl::FailedPreconditionError("the session is closed");
  absl::StatusOr<std::vector<Tensor>> inputs = impl_->OrderFeeds(feeds);
  if (!inputs.ok()) return inputs.status();
  std::vector<int> all(impl_->outputs.size());
  std::iota(all.begin(), all.end(), 0);
  absl::StatusOr<std::shared_ptr<const Plan>> plan = impl_->compiled.program->PlanFor(*inputs, all);
  if (!plan.ok()) return plan.status();
  return (*plan)->ToString();
}

Session::MemoryStats Session::Memory() const {
  std::shared_lock<std::shared_mutex> lock(impl_->state);
  MemoryStats stats;
  if (impl_->closed) return stats;
  const Program::Totals totals = impl_->compiled.program->Stats();
  stats.arena_bytes = totals.arena_bytes;
  stats.packed_bytes = totals.packed_bytes;
  stats.plans = totals.plans;
  stats.specialise_ms = totals.specialise_ms;
  stats.peak_node = totals.peak_node;
  stats.peak_run_bytes = impl_->peak_run_bytes.load();
  return stats;
}

PackedSet Session::Packed() const {
  std::shared_lock<std::shared_mutex> lock(impl_->state);
  return impl_->closed ? PackedSet() : impl_->compiled.packed->Collect(CpuKernelsVersion());
}

std::string Session::Explain() const {
  std::shared_lock<std::shared_mutex> lock(impl_->state);
  return impl_->closed ? "the session is closed"
                       : ExplainText(impl_->compiled, impl_->pool->workers());
}

std::string Session::ExplainJson() const {
  std::shared_lock<std::shared_mutex> lock(impl_->state);
  return impl_->closed ? "{}" : sluice::ExplainJson(impl_->compiled, impl_->pool->workers());
}

absl::Status Session::Close() {
  std::unique_lock<std::shared_mutex> lock(impl_->state);
  if (impl_->closed) return absl::OkStatus();
  impl_->closed = true;
  impl_->compiled.program.reset();
  impl_->compiled.packed.reset();
  impl_->compiled.initial.clear();
  impl_->variables.clear();
  impl_->pool.reset();
  return absl::OkStatus();
}

// ---- Callable

struct Callable::Impl {
  Session::Impl* session;
  std::vector<int> feeds, fetches;
  std::vector<int> position;  // of graph input i among the feeds
  std::shared_ptr<const Plan> plan;
  std::unique_ptr<Frame> frame;
  std::vector<Tensor> ordered, results;
  std::vector<std::pair<DType, Dims>> planned;  // what the plan was made for

  bool PlanFits() const {
    if (plan == nullptr) return false;
    for (size_t i = 0; i < ordered.size(); ++i) {
      const auto& [dtype, dims] = planned[i];
      if (dtype != ordered[i].dtype() || ordered[i].dims() != absl::MakeSpan(dims)) return false;
    }
    return true;
  }
};

Callable::Callable() : impl_(std::make_unique<Impl>()) {}
Callable::~Callable() = default;

absl::StatusOr<std::unique_ptr<Callable>> Session::MakeCallable(const CallableOptions& options) {
  std::shared_lock<std::shared_mutex> lock(impl_->state);
  if (impl_->closed) return absl::FailedPreconditionError("the session is closed");
  absl::StatusOr<std::vector<int>> feeds =
      impl_->Find(options.feeds, impl_->input_index, impl_->inputs, "input");
  if (!feeds.ok()) return feeds.status();
  absl::StatusOr<std::vector<int>> fetches =
      impl_->Find(options.fetches, impl_->output_index, impl_->outputs, "output");
  if (!fetches.ok()) return fetches.status();
  std::unique_ptr<Callable> callable(new Callable());
  Callable::Impl& c = *callable->impl_;
  c.session = impl_.get();
  c.feeds = *std::move(feeds);
  c.fetches = *std::move(fetches);
  c.position.assign(impl_->inputs.size(), -1);
  for (size_t i = 0; i < c.feeds.size(); ++i) c.position[c.feeds[i]] = static_cast<int>(i);
  for (size_t i = 0; i < impl_->inputs.size(); ++i) {
    if (c.position[i] < 0) {
      return absl::InvalidArgumentError(absl::StrCat("input ", Shown(impl_->inputs[i].name),
                                                     " of type ", impl_->inputs[i].type.ToString(),
                                                     " is not among the feeds"));
    }
  }
  c.ordered.resize(impl_->inputs.size());
  return callable;
}

absl::Status Callable::Run(absl::Span<const Tensor> inputs, absl::Span<Tensor> outputs,
                           const RunOptions& options) {
  Impl& c = *impl_;
  Session::Impl& session = *c.session;
  // A program without variables has no state to guard; closing a session that is in use is the
  // caller's error.
  std::unique_lock<std::shared_mutex> exclusive(session.state, std::defer_lock);
  if (session.assigns) exclusive.lock();
  if (session.closed) return absl::FailedPreconditionError("the session is closed");
  if (inputs.size() != c.feeds.size() || outputs.size() != c.fetches.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the callable takes ", c.feeds.size(), " inputs and ", c.fetches.size(),
                     " outputs, but gets ", inputs.size(), " and ", outputs.size()));
  }
  for (size_t i = 0; i < c.ordered.size(); ++i) c.ordered[i] = inputs[c.position[i]];
  if (!c.PlanFits()) {
    absl::StatusOr<std::shared_ptr<const Plan>> plan =
        session.compiled.program->PlanFor(c.ordered, c.fetches);
    if (!plan.ok()) return plan.status();
    c.plan = *std::move(plan);
    c.frame = std::make_unique<Frame>(*c.plan);
    c.planned.clear();
    for (const Tensor& t : c.ordered)
      c.planned.emplace_back(t.dtype(), Dims(t.dims().begin(), t.dims().end()));
  }
  if (absl::Status s = session.CheckGiven(outputs, *c.plan); !s.ok()) return s;
  RunContext run = session.Context(options);
  absl::Status status = c.frame->Run(*c.plan, c.ordered, outputs, &c.results, &run, /*keep=*/true);
  session.NotePeak(run);
  if (!status.ok()) return status;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].valid()) outputs[i] = c.results[i];
  }
  return absl::OkStatus();
}

}  // namespace sluice
