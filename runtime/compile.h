// Compile: from a graph to a program that sessions run. The map of the whole project is compile.cc.
#ifndef SLUICE_RUNTIME_COMPILE_H_
#define SLUICE_RUNTIME_COMPILE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "passes/pass.h"
#include "runtime/program.h"
#include "runtime/select_signature.h"
#include "runtime/session.h"

namespace sluice {

struct Compiled {
  std::unique_ptr<Program> program;
  // The graph for runs that feed an input that has a default; null where none has.
  std::unique_ptr<Graph> general;
  std::shared_ptr<PackedWeights> packed;
  std::string packed_note;  // what became of weights that came packed; empty where none did
  OptimizeReport report;
  std::vector<StateVariable> variables;  // of the whole program; their contents are shared with it
  StatePorts state;                      // how this part of it touches them
  // What it makes of variables alone, once a version; its inputs are these variables. Its results
  // are inputs of the program behind the variables. Null: there is nothing.
  std::unique_ptr<Program> held_program;
  std::vector<int> held_reads;
  size_t nodes_before = 0, nodes_after = 0;
  double milliseconds = 0;
};

// Of `graph` what the signature of this name runs; null: a graph without signatures, as a whole.
// `packed` is shared with another program over the same constants; null: weights of its own.
absl::StatusOr<Compiled> Compile(const Graph& graph, const std::string* signature,
                                 const SessionOptions& options, ThreadPool* pool,
                                 std::shared_ptr<PackedWeights> packed = nullptr);

}  // namespace sluice

#endif  // SLUICE_RUNTIME_COMPILE_H_
