// OpDef: what an op is. The type lives here so that the verifier, the printer and inference need
// nothing above graph/; the declarations themselves are in ops/, which fills an OpRegistry.
#ifndef SLUICE_GRAPH_OP_DEF_H_
#define SLUICE_GRAPH_OP_DEF_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "graph/attribute.h"
#include "graph/dtype.h"

namespace sluice {

class GradientContext;
class GraphBuilder;
class InferContext;
class Node;
class Value;

// What the contents of an input say, beside being computed with.
enum class InputRole : uint8_t {
  kData,     // nothing: they are computed with
  kAxes,     // which axes of the first input are meant
  kExtents,  // the extents of the result, an entry an axis: they may follow those of the data
  kPerAxis,  // another thing of each axis, such as where a slice begins: one or more lists
};

// One formal input or output.
struct ParamDef {
  enum class Arity : uint8_t { kRequired, kOptional, kVariadic };
  std::string name;
  std::string type;  // a type variable of the op ("T"), or a dtype ("i64"); "" takes any type
  Arity arity = Arity::kRequired;
  int min_count = 0;        // of a variadic one; it stands last
  bool homogeneous = true;  // variadic: every actual one has the same dtype
  InputRole role = InputRole::kData;
};

struct AttrDef {
  std::string name;
  AttrKind kind;
  std::optional<Attribute> value;  // the default; the printer leaves it out
  bool required = false;  // neither required nor default: absent means something of its own
  std::string doc;
};

// A formal subgraph, such as then_branch of If.
struct BodyDef {
  std::string name;
};

struct TypeVar {
  std::string name;
  DTypeSet dtypes;
};

using InferFn = absl::Status (*)(InferContext&);
using GradientFn = absl::Status (*)(GradientContext&);
// Builds the op out of simpler ones: given the node (attributes, types), its inputs (null where
// absent) and a builder, returns one value per output of the node.
using ExpandFn = absl::StatusOr<std::vector<Value*>> (*)(GraphBuilder&, const Node&);
using NodeTestFn = bool (*)(const Node&);
// Floating point operations of one run, an addition and a multiplication being two; -1 where an
// extent that counts is open.
using FlopsFn = double (*)(const Node&);

// What running a node does besides giving its outputs: a set of flags.
enum Effect : uint8_t {
  kReads = 1,         // state: its result is another after a write
  kWrites = 2,        // state
  kDraws = 4,         // random numbers: two nodes alike give two results
  kCommunicates = 8,  // with what lies outside of the program: neither left out nor done twice
};

// What a node is in a loop over the elements of its tensors: see ops/loop_space.h.
enum class LoopRole : uint8_t {
  kNone,
  kPointwise,  // broadcasts its inputs
  kView,       // the same elements under another shape: Transpose, Squeeze, Reshape, ...
  kReduce,     // Reduce*: loops end here
  kNormalize,  // Softmax, LayerNormalization, ...: reduces, and gives all elements back
  kGenerate,   // an element follows from where it is, and from input 0, which is one for all
};

// What an element of a result costs, next to a trip through memory.
enum class ElementCost : uint8_t {
  kMove,   // no arithmetic
  kLight,  // a few additions
  kHeavy,  // more than the trip: nothing to compute twice
};

// Whose axes an op may be given in another order: it then gives the same with its results' axes in
// that order, once the axes that it names are renumbered. It names them by the attributes `axis`
// and `axes` and by inputs with a role other than kData; `axes` left out, lists are of all axes.
enum class AnyAxisOrder : uint8_t {
  kNo,
  kFirstInput,  // and of the results of its rank
  kAllInputs,   // each broadcast to the first result, but where an attribute `axis` joins them
};

struct OpDef {
  enum class Gradient : uint8_t { kPending, kFunction, kNone };

  std::string name;    // unique over all domains
  std::string domain;  // "" is ONNX's; "sluice" is ours
  std::string doc;
  std::vector<ParamDef> inputs, outputs;
  std::vector<AttrDef> attrs;  // sorted by name
  std::vector<BodyDef> bodies;
  std::vector<TypeVar> type_vars;

  InferFn infer = nullptr;
  ExpandFn expand = nullptr;
  Gradient gradient_kind = Gradient::kPending;
  GradientFn gradient = nullptr;
  std::string not_differentiable_because;

  bool elementwise = false;  // output element i depends on (broadcast) input elements i alone
  LoopRole loop_role = LoopRole::kNone;
  ElementCost element_cost = ElementCost::kLight;
  FlopsFn flops = nullptr;  // null: by element_cost, one an element of the output or first input
  AnyAxisOrder any_axis_order = AnyAxisOrder::kNo;
  // Rows are what lies at one index of axis 0. Where inference gives every output n rows when some
  // inputs have n, whatever n is, row i of an output depends on row i of those inputs alone. Null:
  // it does not, or nobody has looked. Bodies keep the rule if all their nodes do.
  NodeTestFn row_wise = nullptr;
  bool commutative = false;    // in its first two inputs
  uint8_t effects = 0;         // Effect flags; see graph/effects.h for those of a node
  NodeTestFn draws = nullptr;  // whether a node of an op that kDraws does; null: always
  bool expand_always = false;  // no kernel wanted: the expansion is the implementation

  const AttrDef* FindAttr(absl::string_view name) const;
  const TypeVar* FindTypeVar(absl::string_view name) const;
  // The formal parameter of actual input or output `i`; null past the last.
  const ParamDef* InputParam(size_t i) const;
  const ParamDef* OutputParam(size_t i) const;
  size_t min_inputs() const, max_inputs() const;  // max: SIZE_MAX where variadic
  size_t min_outputs() const, max_outputs() const;
};

// The known ops by name. Filled once, then read by any thread.
class OpRegistry {
 public:
  absl::Status Add(OpDef op);  // AlreadyExists on a second op of that name
  const OpDef* Find(absl::string_view name) const;
  std::vector<const OpDef*> Sorted() const;  // by name

 private:
  absl::flat_hash_map<std::string, std::unique_ptr<const OpDef>> ops_;
};

}  // namespace sluice

#endif  // SLUICE_GRAPH_OP_DEF_H_
