#include <algorithm>
#include <numeric>
#include <random>
#include <shared_mutex>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/no_throw.h"
#include "graph/default_inputs.h"
#include "graph/error_details.h"
#include "graph/infer.h"
#include "graph/text.h"
#include "kernels/cpu/cost/cost.h"
#include "kernels/cpu/cpu_kernels.h"
#include "kernels/packed_weights.h"
#include "passes/assign_layouts.h"
#include "runtime/clock.h"
#include "runtime/explain.h"
#include "runtime/inner_values.h"
#include "runtime/json_text.h"
#include "runtime/run_checks.h"
#include "runtime/session_impl.h"

namespace sluice {
namespace {

// What `deterministic` splits work for, whatever the number of threads. Enough for many, and few
// enough that one thread alone does not go through splinters.
constexpr int kDeterministicSplit = 8;

std::string Names(const std::vector<Session::Port>& ports) {
  return absl::StrJoin(
      ports, ", ", [](std::string* out, const Session::Port& p) { out->append(Shown(p.name)); });
}

uint64_t DrawnSeed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

}  // namespace

absl::StatusOr<std::vector<int>> Entry::Find(absl::Span<const std::string> names,
                                             const absl::flat_hash_map<std::string, int>& index,
                                             const std::vector<Session::Port>& ports,
                                             absl::string_view what) {
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

absl::StatusOr<std::vector<Tensor>> Entry::OrderFeeds(const Feeds& feeds) const {
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

absl::StatusOr<std::vector<int>> Entry::Fetches(absl::Span<const std::string> names) const {
  absl::StatusOr<std::vector<int>> fetches = Find(names, output_index, outputs, "output");
  if (!fetches.ok()) return fetches;
  if (names.empty()) {
    fetches->resize(outputs.size());
    std::iota(fetches->begin(), fetches->end(), 0);
  }
  for (size_t i = 0; i < writes.size(); ++i)
    fetches->push_back(static_cast<int>(compiled.state.outputs + i));
  return fetches;
}

absl::StatusOr<Entry*> Session::Impl::FindEntry(absl::string_view signature) const {
  for (const auto& entry : entries) {
    if (entry->name == signature || (signature.empty() && entries.size() == 1)) return entry.get();
  }
  const std::string known = absl::StrJoin(
      signatures, ", ", [](std::string* out, const std::string& n) { out->append(Shown(n)); });
  if (signature.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the graph has several signatures: say which to run, of ", known));
  }
  return absl::NotFoundError(absl::StrCat("the graph has no signature ", Shown(signature), "; ",
                                          known.empty() ? "it has none" : "there are: ", known));
}

RunContext Session::Impl::Context(const RunOptions& run_options) {
  RunContext run;
  run.pool = pool.get();
  run.options = &run_options;
  run.memory_limit = options.memory_limit;
  run.check_time = run_options.deadline < absl::InfiniteFuture();
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

namespace {

// One signature of the graph, or all of it, ready to run on `state`.
absl::StatusOr<std::unique_ptr<Entry>> MakeEntry(const Graph& graph, const std::string* signature,
                                                 const SessionOptions& options, ThreadPool* pool,
                                                 std::shared_ptr<PackedWeights> packed,
                                                 const std::shared_ptr<State>& state) {
  absl::StatusOr<Compiled> compiled = Compile(graph, signature, options, pool, std::move(packed));
  if (!compiled.ok()) return compiled.status();
  auto entry = std::make_unique<Entry>();
  if (signature != nullptr) entry->name = *signature;
  entry->compiled = *std::move(compiled);
  const StatePorts& ports = entry->compiled.state;
  const auto among = [](const std::vector<int>& list, int v) {
    return std::find(list.begin(), list.end(), v) != list.end();
  };
  struct Unless {  // the entry is made, its variables are let go
    State& state;
    const std::vector<int>& bound;
    bool made = false;
    ~Unless() {
      for (size_t i = 0; i < bound.size() && !made; ++i) state.Release(bound[i]);
    }
  } unless{*state, entry->places};
  std::vector<int> places;
  places.reserve(entry->compiled.variables.size());
  entry->places.reserve(entry->compiled.variables.size());
  for (StateVariable& v : entry->compiled.variables) {
    const int index = static_cast<int>(places.size());
    absl::StatusOr<int> place = state->Bind(v.name, v.initial);
    if (!place.ok()) return place.status();
    places.push_back(*place);
    if (among(ports.reads, index) || among(ports.writes, index)) {
      entry->places.push_back(*place);
    } else {
      state->Release(*place);  // another signature's
    }
    entry->names[*place] = v.name;
    v.initial = Tensor();  // the state's now
  }
  for (int v : ports.reads) entry->reads.push_back(places[static_cast<size_t>(v)]);
  for (int v : ports.writes) entry->writes.push_back(places[static_cast<size_t>(v)]);
  if (ports.run >= 0) entry->run = places[static_cast<size_t>(ports.run)];
  std::vector<int> held_reads;
  for (int v : entry->compiled.held_reads) held_reads.push_back(places[static_cast<size_t>(v)]);
  entry->held = std::make_unique<HeldValues>(state, ports.inputs, entry->reads,
                                             std::move(entry->compiled.held_program),
                                             std::move(held_reads), ports.draws, pool);

  const Graph& program = entry->compiled.program->graph();
  for (size_t i = 0; i < ports.inputs; ++i) {
    const Value* v = program.inputs()[i];
    entry->input_index[v->name()] = static_cast<int>(i);
    entry->inputs.push_back({v->name(), v->type()});
  }
  entry->all_inputs = entry->inputs;
  if (const Graph* general = entry->compiled.general.get(); general != nullptr) {
    entry->all_inputs.clear();
    for (const GraphInput& input : AllInputs(*general)) {
      // It has those of other signatures too, and the state's.
      if (!input.has_default && !entry->input_index.contains(input.value->name())) continue;
      entry->all_inputs.push_back({input.value->name(), input.type, input.has_default});
    }
  }
  for (size_t i = 0; i < ports.outputs; ++i) {
    entry->output_index.try_emplace(program.output_names()[i], static_cast<int>(i));
    entry->outputs.push_back({program.output_names()[i], program.outputs()[i]->type()});
  }
  unless.made = true;
  return entry;
}

}  // namespace

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
  impl.state = options.state != nullptr ? options.state : std::make_shared<State>();
  impl.options = std::move(options);
  impl.randomness = std::make_shared<Randomness>();
  impl.randomness->seed = impl.options.seed.has_value() ? *impl.options.seed : DrawnSeed();
  const auto add = [&](const std::string* signature) -> absl::Status {
    absl::StatusOr<std::unique_ptr<Entry>> entry =
        MakeEntry(graph, signature, impl.options, impl.pool.get(), packed, impl.state);
    if (!entry.ok() && signature != nullptr) {
      absl::Status named(entry.status().code(), absl::StrCat("signature ", Shown(*signature), ": ",
                                                             entry.status().message()));
      const std::optional<ErrorDetails> details = DetailsOf(entry.status());
      return details.has_value() ? WithDetails(std::move(named), *details) : named;
    }
    if (!entry.ok()) return entry.status();
    packed = (*entry)->compiled.packed;  // of the same constants
    impl.entries.push_back(*std::move(entry));
    return absl::OkStatus();
  };
  for (const auto& [name, signature] : graph.signatures()) {
    impl.signatures.push_back(name);
    if (absl::Status s = add(&name); !s.ok()) return s;
  }
  if (impl.entries.empty()) {
    if (absl::Status s = add(nullptr); !s.ok()) return s;
  }
  for (const auto& entry : impl.entries) {
    for (const Port& port : entry->all_inputs) {
      if (port.has_default) impl.variants.names.insert(port.name);
    }
  }
  if (impl.options.inner_values) {
    std::unique_ptr<Graph> source = GeneralProgram(graph).Clone();
    source->signatures() = graph.signatures();
    ClearLayouts(*source);  // inputs and outputs are plain, and any value may become one
    if (absl::Status s = InferTypes(source.get()); !s.ok()) return s;
    impl.source = std::move(source);
  }
  return session;
} catch (...) {
  return ExceptionStatus();
}

namespace {
const std::vector<Session::Port>& NoPorts() {
  static const auto* const none = new std::vector<Session::Port>();
  return *none;
}
}  // namespace

const std::vector<Session::Port>& Session::inputs() const { return inputs(""); }
const std::vector<Session::Port>& Session::outputs() const { return outputs(""); }
const std::vector<Session::Port>& Session::all_inputs() const { return all_inputs(""); }
const std::vector<std::string>& Session::signatures() const { return impl_->signatures; }
const std::vector<Session::Port>& Session::inputs(absl::string_view signature) const {
  absl::StatusOr<Entry*> entry = impl_->FindEntry(signature);
  return entry.ok() ? (*entry)->inputs : NoPorts();
}
const std::vector<Session::Port>& Session::all_inputs(absl::string_view signature) const {
  absl::StatusOr<Entry*> entry = impl_->FindEntry(signature);
  return entry.ok() ? (*entry)->all_inputs : NoPorts();
}
absl::Status Session::CheckSignature(absl::string_view signature) const {
  return impl_->FindEntry(signature).status();
}
const std::vector<Session::Port>& Session::outputs(absl::string_view signature) const {
  absl::StatusOr<Entry*> entry = impl_->FindEntry(signature);
  return entry.ok() ? (*entry)->outputs : NoPorts();
}

absl::StatusOr<std::vector<Tensor>> Session::Run(const Feeds& feeds,
                                                 absl::Span<const std::string> fetches,
                                                 const RunOptions& options) {
  return Run("", feeds, fetches, options);
}

absl::StatusOr<std::vector<Tensor>> Session::Run(absl::string_view signature, const Feeds& feeds,
                                                 absl::Span<const std::string> fetches,
                                                 const RunOptions& options) try {
  if (impl_->source != nullptr) {
    absl::StatusOr<std::shared_ptr<Session>> variant = InnerVariant(signature, feeds, fetches);
    if (!variant.ok()) return variant.status();
    if (*variant != nullptr) return (*variant)->Run(feeds, fetches, options);
  }
  if (const std::vector<std::string> fed = impl_->variants.Among(feeds); !fed.empty()) {
    absl::StatusOr<std::shared_ptr<Session>> variant = VariantFor(fed);
    if (absl::Status s = CheckSignature(signature); !s.ok()) return s;
    return variant.ok() ? (*variant)->Run(feeds, fetches, options) : variant.status();
  }
  std::shared_lock<std::shared_mutex> lock(impl_->lifetime);
  if (impl_->closed) return Closed();
  absl::StatusOr<Entry*> entry = impl_->FindEntry(signature);
  if (!entry.ok()) return entry.status();
  absl::StatusOr<std::vector<Tensor>> inputs = (*entry)->OrderFeeds(feeds);
  if (!inputs.ok()) return inputs.status();
  absl::StatusOr<std::vector<int>> wanted = (*entry)->Fetches(fetches);
  if (!wanted.ok()) return wanted.status();
  const size_t results_wanted = wanted->size() - (*entry)->writes.size();
  RunContext run = impl_->Context(options);
  if (absl::Status s = run.CheckStop(); !s.ok()) return s;
  StateAccess state(*entry, impl_->state.get());
  Tensor key;
  if (absl::Status s = state.AppendInputs(impl_->randomness.get(), options, &key, &*inputs);
      !s.ok())
    return s;
  Program& program = *(*entry)->compiled.program;
  absl::StatusOr<std::shared_ptr<const Plan>> plan = program.PlanFor(*inputs, *wanted);
  if (!plan.ok()) return plan.status();
  std::vector<Tensor> given = options.outputs;
  if (!given.empty()) {
    if (given.size() > results_wanted) {
      return absl::InvalidArgumentError(
          absl::StrCat(given.size(), " tensors are given for ", results_wanted, " outputs"));
    }
    std::vector<MemoryRange> fed_at, places;
    ListRanges(*inputs, &fed_at);
    ListRanges(given, &places);
    if (absl::Status s = CheckGiven(given, places, fed_at, **plan); !s.ok()) return s;
  }
  if (absl::Status s = state.AppendTargets(results_wanted, **plan, options, &given); !s.ok())
    return s;
  if (absl::Status s = state.AppendForms(*plan, &*inputs); !s.ok()) return s;
  absl::StatusOr<std::vector<Tensor>> results = program.Run(*plan, *inputs, given, &run);
  impl_->NotePeak(run);
  if (!results.ok()) return results;
  if (absl::Status s = state.Commit(results_wanted, **plan, *inputs, &*results); !s.ok()) return s;
  state.Report(options);
  return results;
} catch (...) {
  return ExceptionStatus();
}

std::shared_ptr<State> Session::state() const {
  std::shared_lock<std::shared_mutex> lock(impl_->lifetime);
  return impl_->state;
}

absl::StatusOr<Tensor> Session::ReadVariable(absl::string_view name) const {
  const std::shared_ptr<State> variables = state();
  return variables == nullptr ? Closed() : variables->Read(name);
}

uint64_t Session::seed() const { return impl_->randomness->seed; }

absl::Status Session::AssignVariable(absl::string_view name, const Tensor& value) try {
  const std::shared_ptr<State> variables = state();
  return variables == nullptr ? Closed() : variables->Write({{std::string(name), value}}).status();
} catch (...) {
  return ExceptionStatus();
}

absl::StatusOr<std::shared_ptr<const Plan>> Session::PlanOf(const Feeds& feeds,
                                                            absl::string_view signature) {
  std::shared_lock<std::shared_mutex> lock(impl_->lifetime);
  if (impl_->closed) return Closed();
  absl::StatusOr<Entry*> entry = impl_->FindEntry(signature);
  if (!entry.ok()) return entry.status();
  absl::StatusOr<std::vector<Tensor>> inputs = (*entry)->OrderFeeds(feeds);
  if (!inputs.ok()) return inputs.status();
  const std::shared_ptr<const State::Version> version = impl_->state->Current();
  for (int v : (*entry)->reads) inputs->push_back(version->values[static_cast<size_t>(v)]);
  if ((*entry)->compiled.state.draws) inputs->push_back(*Tensor::Allocate(DType::kU64, {2}));
  if (absl::Status s = (*entry)->held->AppendDerived(*version, &*inputs); !s.ok()) return s;
  absl::StatusOr<std::shared_ptr<const Plan>> plan =
      (*entry)->compiled.program->PlanFor(*inputs, *(*entry)->Fetches({}));
  if (!plan.ok()) return plan;
  if (absl::Status s = (*entry)->held->AppendForms(*plan, *version, &*inputs); !s.ok()) return s;
  return plan;
}

absl::Status Session::Prepare(const std::vector<std::pair<std::string, Type>>& types,
                              absl::string_view signature) try {
  Feeds feeds;
  for (const auto& [name, type] : types) {
    const std::optional<Dims> dims = type.is_tensor() ? type.StaticDims() : std::nullopt;
    if (!dims.has_value()) {
      return absl::InvalidArgumentError(absl::StrCat("input ", Shown(name), " is prepared for ",
                                                     type.ToString(),
                                                     ": its extents must be numbers"));
    }
    // A plan is of types: nobody looks at what lies there.
    feeds.push_back({name, Tensor::Wrap(type.dtype(), *dims, NoElements(), nullptr)});
  }
  if (const std::vector<std::string> fed = impl_->variants.Among(feeds); !fed.empty()) {
    absl::StatusOr<std::shared_ptr<Session>> variant = VariantFor(fed);
    if (absl::Status s = CheckSignature(signature); !s.ok()) return s;
    return variant.ok() ? (*variant)->Prepare(types) : variant.status();
  }
  return PlanOf(feeds, signature).status();
} catch (...) {
  return ExceptionStatus();
}

absl::StatusOr<std::string> Session::PlanText(const Feeds& feeds, absl::string_view signature) try {
  if (const std::vector<std::string> fed = impl_->variants.Among(feeds); !fed.empty()) {
    absl::StatusOr<std::shared_ptr<Session>> variant = VariantFor(fed);
    if (absl::Status s = CheckSignature(signature); !s.ok()) return s;
    return variant.ok() ? (*variant)->PlanText(feeds) : variant.status();
  }
  absl::StatusOr<std::shared_ptr<const Plan>> plan = PlanOf(feeds, signature);
  if (!plan.ok()) return plan.status();
  return (*plan)->ToString();
} catch (...) {
  return ExceptionStatus();
}

Session::MemoryStats Session::Memory() const {
  std::shared_lock<std::shared_mutex> lock(impl_->lifetime);
  MemoryStats stats;
  if (impl_->closed) return stats;
  for (const auto& entry : impl_->entries) {
    const Program::Totals totals = entry->compiled.program->Stats();
    if (totals.arena_bytes >= stats.arena_bytes) {
      stats.arena_bytes = totals.arena_bytes;
      stats.peak_node = totals.peak_node;
    }
    stats.plans += totals.plans;
    stats.frames += totals.frames;
    if (totals.plans > 0) stats.specialise_ms = totals.specialise_ms;
  }
  stats.packed_bytes = impl_->entries[0]->compiled.packed->bytes();
  const State::Bytes state = impl_->state->bytes();
  stats.state_bytes = state.values;
  stats.spare_bytes = state.spare;
  stats.form_bytes = state.forms;
  for (const auto& entry : impl_->entries) stats.form_bytes += entry->held->bytes();
  stats.peak_run_bytes = impl_->peak_run_bytes.load();
  return stats;
}

PackedSet Session::Packed() const {
  std::shared_lock<std::shared_mutex> lock(impl_->lifetime);
  return impl_->closed ? PackedSet()
                       : impl_->entries[0]->compiled.packed->Collect(CpuKernelsVersion());
}

std::string Session::Explain() const {
  std::shared_lock<std::shared_mutex> lock(impl_->lifetime);
  if (impl_->closed) return "the session is closed";
  std::string text;
  for (const auto& entry : impl_->entries) {
    if (!entry->name.empty()) absl::StrAppend(&text, "Signature ", Shown(entry->name), "\n");
    absl::StrAppend(&text, ExplainText(entry->compiled, impl_->pool->workers()));
  }
  return text;
}

std::string Session::ExplainJson() const {
  std::shared_lock<std::shared_mutex> lock(impl_->lifetime);
  if (impl_->closed) return "{}";
  if (const Entry* only = impl_->only())
    return sluice::ExplainJson(only->compiled, impl_->pool->workers());
  std::string text = "{";
  for (const auto& entry : impl_->entries) {
    absl::StrAppend(&text, text.size() > 1 ? ",\n" : "\n", JsonText(entry->name).text, ": ",
                    sluice::ExplainJson(entry->compiled, impl_->pool->workers()));
  }
  return text + "}\n";
}

absl::Status Session::Close() {
  {
    std::unique_lock<std::shared_mutex> lock(impl_->lifetime);
    if (impl_->closed.exchange(true)) return absl::OkStatus();
    std::lock_guard<std::mutex> listed(impl_->callables_mutex);
    for (Callable* callable : impl_->callables) {
      while (callable->impl_->busy.load()) std::this_thread::yield();
      callable->impl_->plan.reset();
      callable->impl_->frame.reset();
    }
    for (const auto& entry : impl_->entries) {  // the ports stay
      for (int place : entry->places) impl_->state->Release(place);
      entry->compiled.program.reset();
      entry->compiled.general.reset();
      entry->compiled.packed.reset();
      entry->held.reset();  // no writer of the state asks for anything any more
    }
    impl_->state.reset();
    impl_->pool.reset();
  }
  std::lock_guard<std::mutex> lock(impl_->variants.mutex);  // there come no more
  for (const auto& [names, session] : impl_->variants.sessions) (void)session->Close();
  for (const std::weak_ptr<Session>& dropped : impl_->variants.dropped) {
    if (const std::shared_ptr<Session> session = dropped.lock()) (void)session->Close();
  }
  impl_->variants.sessions.clear();
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<Session>> Session::KeptVariant(
    std::vector<std::string> key, const Entry& like,
    absl::FunctionRef<absl::StatusOr<std::unique_ptr<Graph>>()> graph) {
  Variants& variants = impl_->variants;
  std::lock_guard<std::mutex> one_at_a_time(variants.mutex);
  for (auto it = variants.sessions.begin(); it != variants.sessions.end(); ++it) {
    if (it->first != key) continue;
    variants.sessions.splice(variants.sessions.begin(), variants.sessions, it);
    return it->second;
  }
  std::shared_lock<std::shared_mutex> lock(impl_->lifetime);
  if (impl_->closed) return Closed();
  absl::StatusOr<std::unique_ptr<Graph>> derived = graph();
  if (!derived.ok()) return derived.status();
  SessionOptions options = impl_->options;
  options.thread_pool = impl_->pool;
  options.state = impl_->state;
  options.inner_values = false;
  auto session = Create(**derived, std::move(options), like.compiled.packed);
  if (!session.ok()) return session.status();
  (*session)->impl_->randomness = impl_->randomness;
  variants.sessions.emplace_front(std::move(key), *std::move(session));
  if (variants.sessions.size() > std::max<size_t>(1, impl_->options.max_plans)) {
    std::erase_if(variants.dropped, [](const auto& session) { return session.expired(); });
    variants.dropped.push_back(variants.sessions.back().second);
    variants.sessions.pop_back();
  }
  return variants.sessions.front().second;
}

// Compiled with these inputs as inputs.
absl::StatusOr<std::shared_ptr<Session>> Session::VariantFor(const std::vector<std::string>& fed) {
  const Entry* only = impl_->only();
  if (only == nullptr || !only->compiled.variables.empty()) {
    return absl::UnimplementedError(
        absl::StrCat("input ", Shown(fed[0]),
                     " has a default, and the program has variables or signatures: feeding such an "
                     "input is not supported there; make it an input without a default"));
  }
  return KeptVariant(fed, *only, [&]() -> absl::StatusOr<std::unique_ptr<Graph>> {
    std::unique_ptr<Graph> graph = only->compiled.general->Clone();
    FeedDefaults(fed, graph.get());
    return graph;
  });
}

// Null where all of them are inputs and outputs.
template <typename List>
absl::StatusOr<std::shared_ptr<Session>> Session::InnerVariant(
    absl::string_view signature, const List& feeds, absl::Span<const std::string> fetches) {
  absl::StatusOr<Entry*> entry = impl_->FindEntry(signature);
  if (!entry.ok()) return entry.status();
  const std::string& name = (*entry)->name;
  std::vector<std::string> fed, fetched;
  for (const auto& feed : feeds) {
    const std::string& of = Variants::NameOf(feed);
    if (!(*entry)->input_index.contains(of) && !impl_->variants.names.contains(of))
      fed.push_back(of);
  }
  for (const std::string& fetch : fetches) {
    if (!(*entry)->output_index.contains(fetch)) fetched.push_back(fetch);
  }
  if (fed.empty() && fetched.empty()) return nullptr;
  std::vector<std::string> key = {absl::StrCat("of ", name)};
  for (std::vector<std::string>* names : {&fed, &fetched}) {
    std::sort(names->begin(), names->end());
    names->erase(std::unique(names->begin(), names->end()), names->end());
    for (const std::string& n : *names) key.push_back(absl::StrCat(names == &fed ? "<" : ">", n));
  }
  return KeptVariant(std::move(key), **entry, [&]() -> absl::StatusOr<std::unique_ptr<Graph>> {
    std::unique_ptr<Graph> graph = impl_->source->Clone();
    if (absl::Status s = ExposeValues(fed, fetched, name, graph.get()); !s.ok()) return s;
    return graph;
  });
}

template absl::StatusOr<std::shared_ptr<Session>> Session::InnerVariant(
    absl::string_view signature, const std::vector<std::string>& feeds,
    absl::Span<const std::string> fetches);

}  // namespace sluice
