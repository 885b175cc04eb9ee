#include <mutex>
#include <shared_mutex>

#include "absl/strings/str_cat.h"
#include "base/no_throw.h"
#include "graph/text.h"
#include "runtime/session_impl.h"

namespace sluice {

bool Callable::Impl::PlanFits() const {
  if (plan == nullptr) return false;
  for (size_t i = 0; i < ordered.size(); ++i) {
    const auto& [dtype, dims] = planned[i];
    if (dtype != ordered[i].dtype() || ordered[i].dims() != absl::MakeSpan(dims)) return false;
  }
  return true;
}

bool Callable::Impl::IsGiven(size_t i, const Tensor& output) const {
  if (!output.valid()) return false;
  return i >= results.size() || !handed[i] || results[i].raw() != output.raw() ||
         results[i].owner() != output.owner();
}

void Callable::Impl::LeaveOwn() {
  for (size_t i = 0; i < given.size(); ++i) {
    if (given[i].valid() || !frame->own(i).valid()) continue;
    const MemoryRange own(frame->own(i));
    if (OverlapsAny(own, fed) || OverlapsAny(own, places)) frame->ForgetOwn(i);
  }
}

Callable::Callable() : impl_(std::make_unique<Impl>()) {}

Callable::~Callable() {
  if (impl_->session == nullptr) return;
  std::lock_guard<std::mutex> lock(impl_->session->callables_mutex);
  std::erase(impl_->session->callables, this);
}

absl::StatusOr<std::unique_ptr<Callable>> Session::MakeCallable(
    const CallableOptions& options) try {
  const auto of_variant = [&](std::shared_ptr<Session> variant) {
    CallableOptions unnamed{.feeds = options.feeds, .fetches = options.fetches};
    absl::StatusOr<std::unique_ptr<Callable>> callable = variant->MakeCallable(unnamed);
    if (callable.ok()) (*callable)->impl_->variant = std::move(variant);
    return callable;
  };
  if (impl_->source != nullptr) {
    absl::StatusOr<std::shared_ptr<Session>> variant =
        InnerVariant(options.signature, options.feeds, options.fetches);
    if (!variant.ok()) return variant.status();
    if (*variant != nullptr) return of_variant(*std::move(variant));
  }
  if (const std::vector<std::string> fed = impl_->variants.Among(options.feeds); !fed.empty()) {
    absl::StatusOr<std::shared_ptr<Session>> variant = VariantFor(fed);
    if (!variant.ok()) return variant.status();
    if (absl::Status s = CheckSignature(options.signature); !s.ok()) return s;
    return of_variant(*std::move(variant));
  }
  std::shared_lock<std::shared_mutex> lock(impl_->lifetime);
  if (impl_->closed) return Closed();
  absl::StatusOr<Entry*> entry = impl_->FindEntry(options.signature);
  if (!entry.ok()) return entry.status();
  const std::vector<Port>& ports = (*entry)->inputs;
  absl::StatusOr<std::vector<int>> feeds =
      Entry::Find(options.feeds, (*entry)->input_index, ports, "input");
  if (!feeds.ok()) return feeds.status();
  absl::StatusOr<std::vector<int>> fetches =
      Entry::Find(options.fetches, (*entry)->output_index, (*entry)->outputs, "output");
  if (!fetches.ok()) return fetches.status();
  std::unique_ptr<Callable> callable(new Callable());
  Callable::Impl& c = *callable->impl_;
  c.feeds = *std::move(feeds);
  c.fetches = *std::move(fetches);
  c.entry = *entry;
  c.outputs = c.fetches.size();
  for (size_t i = 0; i < (*entry)->writes.size(); ++i)
    c.fetches.push_back(static_cast<int>((*entry)->compiled.state.outputs + i));
  c.position.assign(ports.size(), -1);
  for (size_t i = 0; i < c.feeds.size(); ++i) {
    if (c.position[c.feeds[i]] >= 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("input ", Shown(options.feeds[i]), " stands among the feeds twice"));
    }
    c.position[c.feeds[i]] = static_cast<int>(i);
  }
  for (size_t i = 0; i < ports.size(); ++i) {
    if (c.position[i] < 0) {
      return absl::InvalidArgumentError(absl::StrCat("input ", Shown(ports[i].name), " of type ",
                                                     ports[i].type.ToString(),
                                                     " is not among the feeds"));
    }
  }
  c.given.resize(c.outputs);
  c.handed.resize(c.outputs);
  c.session = impl_;
  std::lock_guard<std::mutex> listed(impl_->callables_mutex);
  impl_->callables.push_back(callable.get());
  return callable;
} catch (...) {
  return ExceptionStatus();
}

absl::Status Callable::Run(absl::Span<const Tensor> inputs, absl::Span<Tensor> outputs,
                           const RunOptions& options) {
  Session::Impl& session = *impl_->session;
  std::shared_lock<std::shared_mutex> open(session.lifetime, std::defer_lock);
  if (const Entry& entry = *impl_->entry; entry.writes_state() || !entry.reads.empty()) open.lock();
  if (impl_->busy.exchange(true)) {
    return absl::FailedPreconditionError(
        "another thread is inside this callable: make one for each thread");
  }
  absl::Status status = session.closed.load() ? Closed() : impl_->Run(inputs, outputs, options);
  impl_->busy.store(false, std::memory_order_release);
  return status;
}

absl::Status Callable::Impl::Run(absl::Span<const Tensor> inputs, absl::Span<Tensor> results_to,
                                 const RunOptions& options) try {
  if (inputs.size() != feeds.size() || results_to.size() != outputs) {
    return absl::InvalidArgumentError(absl::StrCat("the callable takes ", feeds.size(),
                                                   " inputs and ", outputs, " outputs, but gets ",
                                                   inputs.size(), " and ", results_to.size()));
  }
  if (!options.outputs.empty()) {
    return absl::InvalidArgumentError(
        "RunOptions::outputs is for Session::Run; a callable takes them as its second argument");
  }
  ordered.resize(feeds.size());
  for (size_t i = 0; i < ordered.size(); ++i) {
    ordered[i] = inputs[position[i]];
    if (absl::Status s = AlignFeed(&ordered[i]); !s.ok()) return s;
  }
  given.resize(outputs);
  for (size_t i = 0; i < outputs; ++i)
    given[i] = IsGiven(i, results_to[i]) ? results_to[i] : Tensor();
  StateAccess state(entry, session->state.get());
  if (absl::Status s = state.AppendInputs(session->randomness.get(), options, &key, &ordered);
      !s.ok())
    return s;
  if (!PlanFits()) {
    absl::StatusOr<std::shared_ptr<const Plan>> made =
        entry->compiled.program->PlanFor(ordered, fetches);
    if (!made.ok()) return made.status();
    plan = *std::move(made);
    frame = std::make_unique<Frame>(*plan);
    planned.clear();
    for (const Tensor& t : ordered)
      planned.emplace_back(t.dtype(), Dims(t.dims().begin(), t.dims().end()));
  }
  ListRanges(ordered, &fed);
  ListRanges(given, &places);
  if (absl::Status s = CheckGiven(given, places, fed, *plan); !s.ok()) return s;
  LeaveOwn();
  if (absl::Status s = state.AppendTargets(outputs, *plan, options, &given); !s.ok()) return s;
  if (absl::Status s = state.AppendForms(plan, &ordered); !s.ok()) return s;
  RunContext run = session->Context(options);
  absl::Status status = frame->Run(*plan, ordered, given, &results, &run, /*keep=*/true);
  session->NotePeak(run);
  // What is written belongs to the state, and what is read is let go for the next version.
  for (size_t i = outputs; i < fetches.size(); ++i) frame->ForgetOwn(i);
  if (status.ok()) {
    status = state.Commit(outputs, *plan, ordered, &results);
  }
  ordered.resize(feeds.size());
  given.resize(outputs);
  if (!status.ok()) return status;
  for (size_t i = 0; i < outputs; ++i) {
    handed[i] = !given[i].valid();
    if (handed[i]) results_to[i] = results[i];
  }
  state.Report(options);
  return absl::OkStatus();
} catch (...) {
  return ExceptionStatus();
}

}  // namespace sluice
