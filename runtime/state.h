// State: the variables of programs, by name. Sessions and the signatures of one session share it.
//
// A version is a value of every variable. It is whole, and nobody who holds it sees it change: a
// run sees one version, and so does a snapshot. Who writes makes the next version beside it, of
// memory that nobody holds any more, and puts it in its place at once when all of it is there: a
// run that fails, is cancelled or runs out of time leaves the state as it was. A variable that one
// program alone touches (an optimiser's) needs no memory beside it: behind the last step that may
// fail it is written in its place (Plan::commit()).
//
// Threads: any. Those who write (runs of programs that assign, Write(), Restore()) take turns, and
// so do Read() and Snapshot(), which wait for the step under way; runs that only read never wait
// for a writer. Behind a training step the first of them packs the weights anew, and the others
// wait for that (forms.h).
#ifndef SLUICE_RUNTIME_STATE_H_
#define SLUICE_RUNTIME_STATE_H_

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "graph/state_snapshot.h"
#include "graph/type.h"

namespace sluice {

class FormTable;

// Numbers the runs of programs that write state and draw random numbers: u64[], a variable like any
// other, which each of these runs makes greater by one. So a snapshot that is restored brings the
// numbers back that followed it. No variable of a graph can be called so.
inline constexpr char kRunVariable[] = "sluice.run";

class State {
 public:
  State();
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  struct Variable {
    std::string name;
    Type type;
  };
  std::vector<Variable> variables() const;  // in the order in which sessions brought them
  uint64_t version() const;                 // grows by one with every write

  // A copy of one variable's value now. NotFound lists the names that there are.
  absl::StatusOr<Tensor> Read(absl::string_view name) const;
  // The present version, whole; costs no memory of its own until somebody writes.
  StateSnapshot Snapshot() const;

  // All of these values at once, or none: InvalidArgument where a type is another, NotFound for
  // unknown names. Values are copied. Returns the version that has them.
  absl::StatusOr<uint64_t> Write(absl::Span<const std::pair<std::string, Tensor>> values);
  absl::StatusOr<uint64_t> Restore(const StateSnapshot& snapshot) {
    return Write(snapshot.variables);
  }

  // Bytes of the present version, of memory kept for the next one, and of the forms in which
  // kernels read variables.
  struct Bytes {
    int64_t values = 0, spare = 0, forms = 0;
  };
  Bytes bytes() const;

  // ---- For sessions.

  struct Version {
    uint64_t number = 0;
    std::vector<Tensor> values;
    std::vector<uint64_t> written;  // the version in which each got its value
  };
  std::shared_ptr<const Version> Current() const;
  FormTable* forms() const { return forms_.get(); }

  // `made_ahead` is called by Write() for each version before it is there; an error of it keeps
  // the state as it was. Returns what Unwatch() takes, which waits for a call under way.
  int Watch(std::function<absl::Status(const Version& next)> made_ahead);
  void Unwatch(int watch);

  // The place of a variable that a program touches; it begins with `initial` where there was none
  // of that name. InvalidArgument where there is one of another type.
  absl::StatusOr<int> Bind(absl::string_view name, const Tensor& initial);
  // The program is gone.
  void Release(int variable);

  // The right to write, while it lives.
  class Turn {
   public:
    explicit Turn(State* state) : state_(*state), lock_(state->turn_) {}
    // Memory for a new value that nobody else reads; an invalid tensor: there is none.
    Tensor Spare(int variable);
    // The variable's present memory, to be written in its place: no program but the one that asks
    // touches it, and nobody holds this version. Else an invalid tensor.
    Tensor InPlace(int variable);
    // What Publish() needs, made while nothing is written yet: behind it nothing may fail.
    void Prepare(absl::Span<const int> variables);
    // The next version: `values[i]` is the new one of the i-th variable that was prepared, in
    // memory of its own or where it was. Returns its number.
    uint64_t Publish(absl::Span<Tensor> values);

   private:
    State& state_;
    std::unique_lock<std::mutex> lock_;
    std::vector<int> variables_;
    std::vector<std::shared_ptr<Tensor>> holders_;  // of the new values
    std::shared_ptr<Version> next_;
  };

 private:
  // Memory that no version holds any more, at most one tensor a variable. Buffers come back when
  // the last version, run or snapshot that holds them lets go, which may be after the State has
  // gone.
  struct Pool {
    std::mutex mutex;
    std::vector<Tensor> spare;
  };
  // What is known of a variable beside its value.
  struct Use {
    int programs = 0;    // that touch it
    bool handed = true;  // somebody may hold the present value's memory: a graph, a snapshot
  };
  // Holds memory for a variable; when the last holder goes, it is there for a later version.
  std::shared_ptr<Tensor> NewHolder(int variable) const;
  absl::StatusOr<int> Find(absl::string_view name) const;  // under mutex_

  mutable std::mutex turn_;
  mutable std::mutex mutex_;  // of what follows
  std::vector<Variable> variables_;
  mutable std::vector<Use> uses_;
  std::shared_ptr<const Version> current_;
  std::shared_ptr<Pool> pool_;
  std::shared_ptr<FormTable> forms_;
  std::mutex watch_mutex_;
  absl::btree_map<int, std::function<absl::Status(const Version& next)>> watches_;
  int next_watch_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_RUNTIME_STATE_H_
