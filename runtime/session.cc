#include <algorithm>
#include <numeric>
#include <shared_mutex>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "graph/default_inputs.h"
#include "graph/no_throw.h"
#include "graph/text.h"
#include "kernels/cpu/cost.h"
#include "kernels/cpu/cpu_kernels.h"
#include "kernels/packed_weights.h"
#include "runtime/clock.h"
#include "runtime/explain.h"
#include "runtime/run_checks.h"
#include "runtime/session_impl.h"
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

absl::StatusOr<std::vector<int>> Session::Impl::Find(
    absl::Span<const std::string> names, const absl::flat_hash_map<std::string, int>& index,
    const std::vector<Port>& ports, absl::string_view what) const {
  std::vector<int> found;
  for (const std::string& name : names) {
    auto it = index.find(name);
    if (it == index.end()) {
      return absl::NotFoundError(absl::StrCat("the graph has no ", what, " ", Shown(name), "; its ",
                                              what, "s are: ", Names(ports)));
    }
    found.push_back(it->second);
  }
  return found;
}

absl::StatusOr<std::vector<Tensor>> Session::Impl::OrderFeeds(const Feeds& feeds) const {
  std::vector<Tensor> ordered(inputs.size());
  for (const auto& [name, tensor] : feeds) {
    auto it = input_index.find(name);
    if (it == input_index.end()) {
      return absl::NotFoundError(absl::StrCat("the graph has no input ", Shown(name),
                                              "; its inputs are: ", Names(all_inputs)));
    }
    if (ordered[it->second].valid())
      return absl::InvalidArgumentError(absl::StrCat("input ", Shown(name), " is fed twice"));
    ordered[it->second] = tensor;
    if (absl::Status s = AlignFeed(&ordered[it->second]); !s.ok()) return s;
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!ordered[i].valid()) {
      return absl::InvalidArgumentError(absl::StrCat("input ", Shown(inputs[i].name), " of type ",
                                                     inputs[i].type.ToString(), " is not fed"));
    }
  }
  return ordered;
}

RunContext Session::Impl::Context(const RunOptions& run_options) {
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

void Session::Impl::NotePeak(const RunContext& run) {
  int64_t seen = peak_run_bytes.load(std::memory_order_relaxed);
  while (run.memory_peak > seen &&
         !peak_run_bytes.compare_exchange_weak(seen, run.memory_peak, std::memory_order_relaxed)) {
  }
}

Session::Session() : impl_(std::make_shared<Impl>()) {}
Session::~Session() { (void)Close(); }

absl::StatusOr<std::unique_ptr<Session>> Session::Create(const Graph& graph,
                                                         SessionOptions options) {
  return Create(graph, std::move(options), nullptr);
}

absl::StatusOr<std::unique_ptr<Session>> Session::Create(
    const Graph& graph, SessionOptions options, std::shared_ptr<PackedWeights> packed) try {
  if (absl::Status s = CheckOptions(options); !s.ok()) return s;
  if (absl::Status s = CheckOutputs(graph); !s.ok()) return s;
  std::unique_ptr<Session> session(new Session());
  Impl& impl = *session->impl_;
  impl.pool = options.thread_pool;
  if (impl.pool == nullptr) {
    impl.pool = std::make_shared<ThreadPool>(options.threads);
    if (impl.pool->threads() < options.threads) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the system gives only ", impl.pool->threads(), " of ", options.threads,
                       " threads: a limit of threads or of memory (each needs a stack)"));
    }
  }
  if (options.deterministic)
    impl.pool = std::make_shared<ThreadPool>(*impl.pool, kDeterministicSplit);
  absl::StatusOr<Compiled> compiled = Compile(graph, options, impl.pool.get(), std::move(packed));
  if (!compiled.ok()) return compiled.status();
  impl.options = std::move(options);
  impl.compiled = *std::move(compiled);
  const Graph& program = impl.compiled.program->graph();
  for (const Value* v : program.inputs()) {
    impl.input_index[v->name()] = static_cast<int>(impl.inputs.size());
    impl.inputs.push_back({v->name(), v->type()});
  }
  impl.all_inputs = impl.inputs;
  if (const Graph* general = impl.compiled.general.get(); general != nullptr) {
    impl.all_inputs.clear();
    for (const GraphInput& input : AllInputs(*general)) {
      impl.all_inputs.push_back({input.value->name(), input.type, input.has_default});
      if (input.has_default) impl.variants.names.insert(input.value->name());
    }
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
  impl.has_variables = !impl.compiled.variables.empty();
  return session;
} catch (...) {
  return ExceptionStatus();
}

const std::vector<Session::Port>& Session::inputs() const { return impl_->inputs; }
const std::vector<Session::Port>& Session::all_inputs() const { return impl_->all_inputs; }
const std::vector<Session::Port>& Session::outputs() const { return impl_->outputs; }

absl::StatusOr<std::vector<Tensor>> Session::Run(const Feeds& feeds,
                                                 absl::Span<const std::string> fetches,
                                                 const RunOptions& options) try {
  if (const std::vector<std::string> fed = impl_->variants.Among(feeds); !fed.empty()) {
    absl::StatusOr<std::shared_ptr<Session>> variant = VariantFor(fed);
    return variant.ok() ? (*variant)->Run(feeds, fetches, options) : variant.status();
  }
  std::shared_lock<std::shared_mutex> shared(impl_->state, std::defer_lock);
  std::unique_lock<std::shared_mutex> exclusive(impl_->state, std::defer_lock);
  if (impl_->assigns) {
    exclusive.lock();
  } else {
    shared.lock();
  }
  if (impl_->closed) return Closed();
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
  if (!options.outputs.empty()) {
    if (options.outputs.size() > wanted->size()) {
      return absl::InvalidArgumentError(absl::StrCat(
          options.outputs.size(), " tensors are given for ", wanted->size(), " outputs"));
    }
    std::vector<MemoryRange> fed, places;
    ListRanges(*inputs, &fed);
    ListRanges(options.outputs, &places);
    if (absl::Status s = CheckGiven(options.outputs, places, fed, **plan); !s.ok()) return s;
  }
  absl::StatusOr<std::vector<Tensor>> results = program.Run(*plan, *inputs, options.outputs, &run);
  impl_->NotePeak(run);
  return results;
} catch (...) {
  return ExceptionStatus();
}

absl::StatusOr<Tensor> Session::ReadVariable(absl::string_view name) const try {
  std::shared_lock<std::shared_mutex> lock(impl_->state);
  if (impl_->closed) return Closed();
  const std::vector<std::string>& names = impl_->compiled.variables;
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return Duplicate(impl_->variables[i]);
  }
  return NoVariable(name, names);
} catch (...) {
  return ExceptionStatus();
}

absl::Status Session::AssignVariable(absl::string_view name, const Tensor& value) try {
  std::unique_lock<std::shared_mutex> lock(impl_->state);
  if (impl_->closed) return Closed();
  const std::vector<std::string>& names = impl_->compiled.variables;
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] != name) continue;
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
} catch (...) {
  return ExceptionStatus();
}

absl::StatusOr<std::string> Session::PlanText(const Feeds& feeds) try {
  if (const std::vector<std::string> fed = impl_->variants.Among(feeds); !fed.empty()) {
    absl::StatusOr<std::shared_ptr<Session>> variant = VariantFor(fed);
    return variant.ok() ? (*variant)->PlanText(feeds) : variant.status();
  }
  std::shared_lock<std::shared_mutex> lock(impl_->state);
  if (impl_->closed) return Closed();
  absl::StatusOr<std::vector<Tensor>> inputs = impl_->OrderFeeds(feeds);
  if (!inputs.ok()) return inputs.status();
  std::vector<int> all(impl_->outputs.size());
  std::iota(all.begin(), all.end(), 0);
  absl::StatusOr<std::shared_ptr<const Plan>> plan = impl_->compiled.program->PlanFor(*inputs, all);
  if (!plan.ok()) return plan.status();
  return (*plan)->ToString();
} catch (...) {
  return ExceptionStatus();
}

Session::MemoryStats Session::Memory() const {
  std::shared_lock<std::shared_mutex> lock(impl_->state);
  MemoryStats stats;
  if (impl_->closed) return stats;
  const Program::Totals totals = impl_->compiled.program->Stats();
  stats.arena_bytes = totals.arena_bytes;
  stats.packed_bytes = impl_->compiled.packed->bytes();
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
  {
    std::unique_lock<std::shared_mutex> lock(impl_->state);
    if (impl_->closed.exchange(true)) return absl::OkStatus();
    std::lock_guard<std::mutex> listed(impl_->callables_mutex);
    for (Callable* callable : impl_->callables) {
      while (callable->impl_->busy.load()) std::this_thread::yield();
      callable->impl_->plan.reset();
      callable->impl_->frame.reset();
    }
    impl_->compiled.program.reset();
    impl_->compiled.general.reset();
    impl_->compiled.packed.reset();
    impl_->compiled.initial.clear();
    impl_->variables.clear();
    impl_->pool.reset();
  }
  std::lock_guard<std::mutex> lock(impl_->variants.mutex);  // there come no more
  for (const auto& [names, session] : impl_->variants.sessions) (void)session->Close();
  impl_->variants.sessions.clear();
  return absl::OkStatus();
}

// Compiled with these inputs as inputs, and kept.
absl::StatusOr<std::shared_ptr<Session>> Session::VariantFor(const std::vector<std::string>& fed) {
  Variants& variants = impl_->variants;
  std::lock_guard<std::mutex> one_at_a_time(variants.mutex);
  for (auto it = variants.sessions.begin(); it != variants.sessions.end(); ++it) {
    if (it->first != fed) continue;
    variants.sessions.splice(variants.sessions.begin(), variants.sessions, it);
    return it->second;
  }
  std::shared_lock<std::shared_mutex> lock(impl_->state);
  if (impl_->closed) return Closed();
  if (impl_->has_variables) {
    return absl::UnimplementedError(
        absl::StrCat("input ", Shown(fed[0]),
                     " has a default, and the program has variables: feeding such an "
                     "input is not supported there; make it an input without a default"));
  }
  std::unique_ptr<Graph> graph = impl_->compiled.general->Clone();
  FeedDefaults(fed, graph.get());
  SessionOptions options = impl_->options;
  options.thread_pool = impl_->pool;
  auto session = Create(*graph, std::move(options), impl_->compiled.packed);
  if (!session.ok()) return session.status();
  variants.sessions.emplace_front(fed, *std::move(session));
  if (variants.sessions.size() > std::max<size_t>(1, impl_->options.max_plans))
    variants.sessions.pop_back();
  return variants.sessions.front().second;
}

}  // namespace sluice
