// Maker: a graph under construction. It grows node by node: each line of the tables (lines.h) picks
// operands among the values that are there, or asks for new inputs and constants of the type that
// it needs, and adds its nodes; inference says what came of it.
//
// Extents are numbers or symbols. A symbol has one number for each of the runs that the graph will
// be fed for, so a line can ask whether what it wants is legal in all of them; an extent that only
// the data knows has none, and lines that need to know it go by.
#ifndef SLUICE_TESTS_RANDOM_MAKER_H_
#define SLUICE_TESTS_RANDOM_MAKER_H_

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "graph/builder.h"
#include "runtime/session.h"
#include "tests/random/random.h"

namespace sluice::random {

// What inputs and constants hold.
enum class Regime {
  kTame,     // numbers around 1
  kSpecial,  // some of them NaN, infinite, -0.0 or denormal
  kLarge,    // some of them so large or small that products of three leave the range of f32
  kLargest,  // some of them the largest of their type
};

// Begins the names of such values.
inline constexpr char kNeverWrong[] = "never_wrong";

// A graph, and what to feed it: one entry a run, all through one session, in order.
struct Case {
  uint64_t seed = 0;
  std::unique_ptr<Graph> graph;
  std::vector<Feeds> feeds;
  Regime regime = Regime::kTame;
  std::string refused;  // a legal node that could not be made; empty: none
};

// What all makers of one graph and its bodies share.
struct Program {
  Graph* graph = nullptr;
  std::vector<Bindings> bindings;  // of the symbols, one entry a run
  std::vector<Feeds> feeds;
  Regime regime = Regime::kTame;
  int64_t max_elements = 4096;  // of any value
  int empty = 2;                // so many in a hundred extents are 0
  int names = 0;
  std::string refused;  // Case::refused
};

class Maker {
 public:
  Maker(Program* program, Random* random, Graph* graph, const Maker* around = nullptr);

  Random& random() { return *random_; }
  Graph* graph() { return graph_; }
  Program& program() { return *program_; }
  int depth() const { return depth_; }  // 0: not in a body
  size_t runs() const { return program_->bindings.size(); }

  // --- What is there.
  // The smallest and the largest number of an extent over all runs; empty where data decides.
  std::optional<int64_t> Least(const Dim& dim) const;
  std::optional<int64_t> Most(const Dim& dim) const;
  std::optional<Dims> DimsIn(const Value* value, size_t run) const;
  bool Known(const Value* value) const { return DimsIn(value, 0).has_value(); }

  // A visible value that passes, the last ones more often; null: there is none.
  Value* Pick(const std::function<bool(const Value*)>& passes);
  // A tensor of one of the dtypes and of a rank in [low, high]; sometimes a new input.
  Value* Operand(DTypeSet dtypes, int low = 0, int high = 5);
  // The same with extents known, and none of them 0 unless `empty`.
  Value* KnownOperand(DTypeSet dtypes, int low = 0, int high = 5, bool empty = false);
  // A value of this very type: one that is there, an input or a constant.
  Value* Like(DType dtype, const Shape& shape);
  // What broadcasts with `x`; unless `stretches`, without enlarging it.
  Value* Broadcasting(Value* x, bool stretches = true);
  Value* Broadcasting(DType dtype, const Shape& shape, bool stretches = true);

  // --- What is new.
  DType AnyDType(DTypeSet among);
  Shape AnyShape(int low, int high);
  Dim AnyDim();
  // Integers lie in [low, high).
  Tensor Contents(DType dtype, const Dims& dims, int64_t low = -4, int64_t high = 9);
  Value* Input(DType dtype, const Shape& shape, int64_t low = -4, int64_t high = 9);
  // Fed with one tensor a run.
  Value* Fed(DType dtype, const Shape& shape, std::vector<Tensor> contents);
  Value* Constant(Tensor value);
  Value* Scalar(DType dtype, double value);
  // Known contents: a constant, or (with this chance in a hundred) fed.
  Value* Ints(const std::vector<int64_t>& values, int fed = 8, DType dtype = DType::kI64);
  Value* IntScalar(int64_t value, int fed = 8, DType dtype = DType::kI64);
  // A constant for the most part; an input or a variable now and then.
  Value* Weight(DType dtype, const Dims& dims, double scale = 1);
  // Extents as an i64 tensor: a constant, or computed from the shape of a value that has them; null
  // where none does.
  Value* Extents(const Shape& shape);
  // Fresh indices in [-n, n), n the smallest extent of `dim`.
  Value* Indices(const Dim& dim, const Shape& shape, bool negative = true);

  // A node; null where inference refuses it or a result is too large. `Add` makes the result
  // visible to later lines, as lines do with what they return.
  Value* Op(const std::string& op, const std::vector<Value*>& inputs, const AttrList& attrs = {});
  std::vector<Value*> OpN(const std::string& op, const std::vector<Value*>& inputs, size_t outputs,
                          const AttrList& attrs = {});
  void Add(Value* value) {
    if (value != nullptr) values_.push_back(value);
  }
  void Grow(int steps);  // so many lines of the tables
  // `low` <= x <= `high`, and never NaN: for what a dtype cannot hold.
  Value* Tamed(Value* x, double low, double high);
  // Values made since construction.
  const std::vector<Value*>& values() const { return values_; }
  std::string FreshName(const std::string& stem);
  // Says that it stands where a run never comes while it is wrong: no run may fail by it.
  Value* NeverWrong(Value* value);
  // Says of an Op() that by the specification it must not be null: that it was is a finding.
  Value* Legal(Value* value, const std::string& what);

 private:
  friend Case MakeCase(uint64_t, const std::string&);
  bool Fits(const Value* value) const;
  Value* TameWeight(DType dtype, const Dims& dims, double scale);

  Program* program_;
  Random* random_;
  Graph* graph_;
  int depth_;
  std::vector<Value*> values_;
};

// The case of a seed. `op`: one that must be in it, where given (its line is drawn first).
Case MakeCase(uint64_t seed, const std::string& op = "");

}  // namespace sluice::random

#endif  // SLUICE_TESTS_RANDOM_MAKER_H_
