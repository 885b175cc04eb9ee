#include "runtime/state.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/no_throw.h"
#include "graph/text.h"
#include "runtime/forms.h"
#include "runtime/tensor_copy.h"

namespace sluice {

State::State()
    : current_(std::make_shared<Version>()),
      pool_(std::make_shared<Pool>()),
      forms_(std::make_shared<FormTable>()) {}

std::vector<State::Variable> State::variables() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return variables_;
}

uint64_t State::version() const { return Current()->number; }

std::shared_ptr<const State::Version> State::Current() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return current_;
}

std::shared_ptr<Tensor> State::NewHolder(int variable) const {
  return std::shared_ptr<Tensor>(new Tensor(), [pool = pool_, variable](Tensor* held) {
    if (held->valid()) {
      std::lock_guard<std::mutex> lock(pool->mutex);
      Tensor& spare = pool->spare[static_cast<size_t>(variable)];
      if (!spare.valid()) spare = std::move(*held);
    }
    delete held;
  });
}

absl::StatusOr<int> State::Find(absl::string_view name) const {
  for (size_t i = 0; i < variables_.size(); ++i) {
    if (variables_[i].name == name) return static_cast<int>(i);
  }
  return absl::NotFoundError(absl::StrCat(
      "no variable is named ", Shown(name),
      "; there are: ", absl::StrJoin(variables_, ", ", [](std::string* out, const Variable& v) {
        out->append(Shown(v.name));
      })));
}

absl::StatusOr<Tensor> State::Read(absl::string_view name) const try {
  std::lock_guard<std::mutex> turn(turn_);  // it may be written in its place
  std::unique_lock<std::mutex> lock(mutex_);
  absl::StatusOr<int> found = Find(name);
  if (!found.ok()) return found.status();
  const std::shared_ptr<const Version> version = current_;
  lock.unlock();
  return Duplicate(version->values[static_cast<size_t>(*found)]);
} catch (...) {
  return ExceptionStatus();
}

StateSnapshot State::Snapshot() const {
  std::lock_guard<std::mutex> turn(turn_);
  std::lock_guard<std::mutex> lock(mutex_);
  StateSnapshot snapshot{current_->number, {}};
  for (size_t i = 0; i < variables_.size(); ++i) {
    snapshot.variables.push_back({variables_[i].name, current_->values[i]});
    uses_[i].handed = true;
  }
  return snapshot;
}

absl::StatusOr<uint64_t> State::Write(absl::Span<const std::pair<std::string, Tensor>> values) try {
  Turn turn(this);
  std::vector<int> places;
  std::vector<Tensor> copies;
  for (const auto& [name, value] : values) {
    std::unique_lock<std::mutex> lock(mutex_);
    absl::StatusOr<int> found = Find(name);
    if (!found.ok()) return found.status();
    const Type type = variables_[static_cast<size_t>(*found)].type;
    lock.unlock();
    if (!value.valid() || !(Type::Of(value) == type)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "variable ", Shown(name), " is ", type.ToString(), " and cannot take ",
          value.valid() ? absl::StrCat("a value of type ", value.TypeString()) : "no tensor"));
    }
    Tensor copy = turn.Spare(*found);
    if (copy.valid()) {
      CopyElements(value, &copy);
    } else {
      absl::StatusOr<Tensor> made = Duplicate(value);
      if (!made.ok()) return made.status();
      copy = *std::move(made);
    }
    places.push_back(*found);
    copies.push_back(std::move(copy));
  }
  turn.Prepare(places);
  // Runs go on with the version that is there, and find the forms of the next one made.
  Version next = *Current();
  ++next.number;
  for (size_t i = 0; i < places.size(); ++i) {
    next.values[static_cast<size_t>(places[i])] = copies[i];
    next.written[static_cast<size_t>(places[i])] = next.number;
  }
  absl::Status ready;
  try {
    std::lock_guard<std::mutex> watching(watch_mutex_);
    for (auto watch = watches_.begin(); watch != watches_.end() && ready.ok(); ++watch)
      ready = watch->second(next);
  } catch (...) {
    ready = ExceptionStatus();
  }
  if (!ready.ok()) {
    // Some have made what they need of a version that does not come: no other has its number.
    auto same = std::make_shared<Version>(*Current());
    same->number = next.number;
    std::lock_guard<std::mutex> lock(mutex_);
    current_ = std::move(same);
    return absl::Status(
        ready.code(),
        absl::StrCat("the values do not fit a program that reads them: ", ready.message()));
  }
  return turn.Publish(absl::MakeSpan(copies));
} catch (...) {
  return ExceptionStatus();
}

State::Bytes State::bytes() const {
  Bytes bytes;
  for (const Tensor& t : Current()->values) bytes.values += static_cast<int64_t>(t.bytes());
  std::lock_guard<std::mutex> lock(pool_->mutex);
  for (const Tensor& t : pool_->spare) {
    if (t.valid()) bytes.spare += static_cast<int64_t>(t.bytes());
  }
  bytes.forms = forms_->bytes();
  return bytes;
}

absl::StatusOr<int> State::Bind(absl::string_view name, const Tensor& initial) {
  std::lock_guard<std::mutex> turn(turn_);
  absl::StatusOr<Tensor> aligned = initial.Aligned();  // the graph's own memory where it can be
  if (!aligned.ok()) return aligned.status();
  std::lock_guard<std::mutex> lock(mutex_);
  const Type type = Type::Of(initial);
  if (absl::StatusOr<int> found = Find(name); found.ok()) {
    const Type& known = variables_[static_cast<size_t>(*found)].type;
    if (known == type) {
      ++uses_[static_cast<size_t>(*found)].programs;
      return found;
    }
    return absl::InvalidArgumentError(
        absl::StrCat("variable ", Shown(name), " is ", type.ToString(),
                     " in this program, but the state holds ", known.ToString()));
  }
  auto next = std::make_shared<Version>(*current_);
  ++next->number;
  next->values.push_back(*std::move(aligned));
  next->written.push_back(next->number);
  Variable variable{std::string(name), type};
  variables_.reserve(variables_.size() + 1);
  uses_.reserve(uses_.size() + 1);
  {
    std::lock_guard<std::mutex> pool(pool_->mutex);
    pool_->spare.emplace_back();
  }
  variables_.push_back(std::move(variable));  // from here on nothing throws
  uses_.push_back({.programs = 1});
  current_ = std::move(next);
  return static_cast<int>(variables_.size()) - 1;
}

int State::Watch(std::function<absl::Status(const Version& next)> made_ahead) {
  std::lock_guard<std::mutex> lock(watch_mutex_);
  watches_[next_watch_] = std::move(made_ahead);
  return next_watch_++;
}

void State::Unwatch(int watch) {
  std::lock_guard<std::mutex> lock(watch_mutex_);
  watches_.erase(watch);
}

void State::Release(int variable) {
  std::lock_guard<std::mutex> lock(mutex_);
  --uses_[static_cast<size_t>(variable)].programs;
}

Tensor State::Turn::InPlace(int variable) {
  std::lock_guard<std::mutex> lock(state_.mutex_);
  const Use& use = state_.uses_[static_cast<size_t>(variable)];
  return use.programs == 1 && !use.handed ? state_.current_->values[static_cast<size_t>(variable)]
                                          : Tensor();
}

Tensor State::Turn::Spare(int variable) {
  std::lock_guard<std::mutex> lock(state_.pool_->mutex);
  return std::exchange(state_.pool_->spare[static_cast<size_t>(variable)], Tensor());
}

void State::Turn::Prepare(absl::Span<const int> variables) {
  variables_.assign(variables.begin(), variables.end());
  holders_.clear();
  for (int v : variables) holders_.push_back(state_.NewHolder(v));
  next_ = std::make_shared<Version>(*state_.Current());
}

uint64_t State::Turn::Publish(absl::Span<Tensor> values) {
  const uint64_t number = ++next_->number;
  std::shared_ptr<const Version> before = state_.Current();  // what goes, goes behind the lock
  std::lock_guard<std::mutex> lock(state_.mutex_);
  for (size_t i = 0; i < variables_.size(); ++i) {
    const size_t v = static_cast<size_t>(variables_[i]);
    next_->written[v] = number;
    Tensor& value = next_->values[v];
    if (value.raw() == values[i].raw()) continue;  // written in its place
    const std::shared_ptr<Tensor>& holder = holders_[i];
    *holder = std::move(values[i]);
    value = Tensor::Wrap(holder->dtype(), holder->dims(), holder->raw(), holder);
    state_.uses_[v].handed = false;
  }
  state_.current_ = std::move(next_);
  return number;
}

}  // namespace sluice
