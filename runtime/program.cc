#include "runtime/program.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/format.h"
#include "base/no_throw.h"
#include "graph/layout.h"
#include "graph/text.h"
#include "runtime/tensor_copy.h"

namespace sluice {
namespace {

// So many runs of one plan decide how many frames it keeps.
constexpr size_t kFrameWindow = 64;

std::string KeyOf(absl::Span<const Tensor> inputs, absl::Span<const Tensor> contents,
                  absl::Span<const int> fetches) {
  std::string key;
  auto append = [&](int64_t number) {
    key.append(reinterpret_cast<const char*>(&number), sizeof number);
  };
  for (const Tensor& t : inputs) {
    append(static_cast<int64_t>(t.dtype()) << 32 | t.rank());
    for (int64_t d : t.dims()) append(d);
  }
  append(-1);
  for (int f : fetches) append(f);
  for (const Tensor& t : contents) {
    if (!t.valid()) continue;
    if (t.dtype() != DType::kString) {
      key.append(static_cast<const char*>(t.raw()), t.bytes());
      continue;
    }
    for (const std::string& s : t.values<std::string>()) {
      append(static_cast<int64_t>(s.size()));
      key.append(s);
    }
  }
  return key;
}

}  // namespace

Program::Program(std::unique_ptr<Graph> graph, ProgramOptions options, std::vector<int> renews)
    : graph_(std::move(graph)), options_(std::move(options)), renews_(std::move(renews)) {}

absl::Status Program::CheckInputs(absl::Span<const Tensor> inputs) const {
  absl::flat_hash_map<std::string, std::pair<int64_t, std::string>> symbols;
  Bindings bindings;
  auto misfit = [&](const Value& v, const Tensor& t, const std::string& why) {
    return absl::InvalidArgumentError(absl::StrCat("input ", Shown(v.name()), " takes ",
                                                   v.type().ToString(), ", but is fed ",
                                                   t.TypeString(), ": ", why));
  };
  for (int round = 0; round < 2; ++round) {  // symbols first, then the expressions over them
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Value& v = *graph_->inputs()[i];
      const Tensor& t = inputs[i];
      if (!t.valid())
        return absl::InvalidArgumentError(
            absl::StrCat("input ", Shown(v.name()), " is fed no tensor"));
      const Type& type = v.type();
      if (type.is_unknown()) continue;
      if (!type.is_tensor() || type.dtype() != t.dtype()) {
        return misfit(v, t,
                      absl::StrCat("the dtype is ", ToString(t.dtype()), ", expected ",
                                   ToString(type.dtype())));
      }
      if (!type.has_shape()) continue;
      if (type.rank() != t.rank())
        return misfit(v, t, absl::StrCat("the rank is ", t.rank(), ", expected ", type.rank()));
      for (int d = 0; d < type.rank(); ++d) {
        const Dim& expected = type.dim(d);
        const int64_t given = t.dims()[d];
        if (expected.is_unknown()) continue;
        if (std::optional<std::string> symbol = expected.AsSymbol(); symbol.has_value()) {
          if (round > 0) continue;
          auto [it, first] =
              symbols.try_emplace(*symbol, given, absl::StrCat(Shown(v.name()), " dimension ", d));
          bindings[*symbol] = it->second.first;
          if (!first && it->second.first != given) {
            return misfit(v, t,
                          absl::StrCat("dimension ", d, " is ", given, ", but ", Shown(*symbol),
                                       " is ", it->second.first, " by ", it->second.second));
          }
        } else if (round > 0) {
          std::optional<int64_t> number = expected.Evaluate(bindings);
          if (number.has_value() && *number != given) {
            return misfit(v, t,
                          absl::StrCat("dimension ", d, " is ", given, ", expected ", *number));
          }
        }
      }
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const Plan>> Program::PlanFor(absl::Span<const Tensor> inputs,
                                                             absl::Span<const int> fetches) {
  if (inputs.size() != graph_->inputs().size()) {
    return absl::InternalError(
        absl::StrCat(inputs.size(), " inputs for a program that takes ", graph_->inputs().size()));
  }
  std::vector<Tensor> contents;
  if (options_.by_contents) {
    contents.resize(inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) {
      const bool plain = graph_->inputs()[i]->type().layout() == Layout::kPlain;
      if (plain && inputs[i].elements() <= kContentElements) contents[i] = inputs[i];
    }
  }
  std::string key = KeyOf(inputs, contents, fetches);
  {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      if (auto it = by_key_.find(key); it != by_key_.end()) {
        entries_.splice(entries_.begin(), entries_, it->second);
        return it->second->plan;
      }
      if (under_way_.insert(key).second) break;
      made_.wait(lock);  // whoever fails leaves it to the next
    }
  }
  absl::StatusOr<std::shared_ptr<const Plan>> plan;
  try {
    plan = MakePlan(inputs, std::move(contents), fetches);
  } catch (...) {
    plan = ExceptionStatus();
  }
  std::unique_lock<std::mutex> lock(mutex_);
  under_way_.erase(key);
  made_.notify_all();
  if (!plan.ok()) return plan;
  entries_.push_front({key, *plan, {}});
  try {
    by_key_[std::move(key)] = entries_.begin();
  } catch (...) {
    entries_.pop_front();
    throw;
  }
  while (entries_.size() > options_.max_plans) {
    by_key_.erase(entries_.back().key);
    entries_.pop_back();
  }
  lock.unlock();
  if (options_.log && !options_.body && !options_.deferred) {
    std::vector<std::string> types;
    for (const Tensor& t : inputs) types.push_back(Type::Of(t).ToString());
    options_.log(absl::StrCat("specialised for (", absl::StrJoin(types, ", "),
                              "): ", Format("%.2f ms", (*plan)->specialise_ms()), ", arena ",
                              (*plan)->arena_bytes(), " bytes"));
  }
  return plan;
}

absl::StatusOr<std::shared_ptr<const Plan>> Program::MakePlan(absl::Span<const Tensor> inputs,
                                                              std::vector<Tensor> contents,
                                                              absl::Span<const int> fetches) const {
  if (absl::Status s = CheckInputs(inputs); !s.ok()) return s;
  std::vector<Type> types;
  for (size_t i = 0; i < inputs.size(); ++i)
    types.push_back(WithLayout(Type::Of(inputs[i]), graph_->inputs()[i]->type().layout()));
  // What a plan keeps is its own: the caller's memory may change.
  for (Tensor& t : contents) {
    if (!t.valid()) continue;
    absl::StatusOr<Tensor> own = Duplicate(t);
    if (!own.ok()) return own.status();
    t = *std::move(own);
  }
  return Specialise(*graph_, types, contents, fetches, renews_, options_);
}

std::unique_ptr<Frame> Program::BorrowFrame(const std::shared_ptr<const Plan>& plan) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    for (Entry& e : entries_) {
      if (e.plan != plan) continue;
      e.most = std::max(e.most, ++e.in_use);
      if (e.frames.empty()) break;
      std::unique_ptr<Frame> frame = std::move(e.frames.back());
      e.frames.pop_back();
      return frame;
    }
  }
  try {
    return std::make_unique<Frame>(*plan);
  } catch (...) {
    ReturnFrame(plan, nullptr);
    throw;
  }
}

void Program::ReturnFrame(const std::shared_ptr<const Plan>& plan,
                          std::unique_ptr<Frame> frame) noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  for (Entry& e : entries_) {
    if (e.plan != plan) continue;
    --e.in_use;
    if (frame == nullptr) return;
    try {
      e.frames.push_back(std::move(frame));
    } catch (...) {  // without the memory to keep it, it goes, and the next run makes another
    }
    if (++e.returns < kFrameWindow) return;
    e.returns = 0;
    const size_t wanted = std::max(e.most_before, e.most);
    while (!e.frames.empty() && e.frames.size() + e.in_use > wanted) e.frames.pop_back();
    e.most_before = e.most;
    e.most = e.in_use;
    return;
  }
}

absl::StatusOr<std::vector<Tensor>> Program::Run(absl::Span<const Tensor> inputs,
                                                 absl::Span<const int> fetches,
                                                 absl::Span<const Tensor> given, RunContext* run) {
  absl::StatusOr<std::shared_ptr<const Plan>> plan = PlanFor(inputs, fetches);
  if (!plan.ok()) return plan.status();
  return Run(*plan, inputs, given, run);
}

absl::StatusOr<std::vector<Tensor>> Program::Run(const std::shared_ptr<const Plan>& plan,
                                                 absl::Span<const Tensor> inputs,
                                                 absl::Span<const Tensor> given, RunContext* run) {
  struct Borrowed {  // given back however the run ends
    Program& program;
    const std::shared_ptr<const Plan>& plan;
    std::unique_ptr<Frame> frame = program.BorrowFrame(plan);
    ~Borrowed() { program.ReturnFrame(plan, std::move(frame)); }
  } borrowed{*this, plan};
  return RunIn(borrowed.frame.get(), *plan, inputs, given, run);
}

absl::StatusOr<std::vector<Tensor>> Program::RunIn(Frame* frame, const Plan& plan,
                                                   absl::Span<const Tensor> inputs,
                                                   absl::Span<const Tensor> given,
                                                   RunContext* run) {
  std::vector<Tensor> results;
  const int64_t held = run->memory_used;
  absl::Status status = frame->Run(plan, inputs, given, &results, run);
  if (!status.ok()) return status;
  run->memory_used = held;  // what the caller keeps are the results alone
  for (const Tensor& t : results) run->memory_used += static_cast<int64_t>(t.bytes());
  return results;
}

Program::Totals Program::Stats() const {
  std::lock_guard<std::mutex> lock(mutex_);
  Totals totals;
  totals.plans = static_cast<int64_t>(entries_.size());
  if (!entries_.empty()) totals.specialise_ms = entries_.front().plan->specialise_ms();
  for (const Entry& e : entries_) {
    totals.frames += static_cast<int64_t>(e.frames.size() + e.in_use);
    if (e.plan->arena_bytes() < totals.arena_bytes) continue;
    totals.arena_bytes = e.plan->arena_bytes();
    totals.peak_node = e.plan->peak_node();
  }
  return totals;
}

std::shared_ptr<const Plan> Program::Latest() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return entries_.empty() ? nullptr : entries_.front().plan;
}

void Program::Clear() {
  std::lock_guard<std::mutex> lock(mutex_);
  by_key_.clear();
  entries_.clear();
}

}  // namespace sluice
