// TileProgram: element-wise, reducing and normalising arithmetic as data, for any device. A short
// list of steps over a space; whoever runs it keeps what lies between the steps out of memory: the
// CPU in tiles that stay in its L1 cache (kernels/cpu/tile/plan.h).
//
// The space is a box of extents in three groups, outermost first: outer, reduced, inner. Each value
// of the program is either Full (an element for each point of the space) or Row (one for each point
// of outer x inner: what reductions give). Row values broadcast over the reduced extents by
// themselves. Operands are arrays with a stride (in elements, 0 to broadcast) per extent.
//
// Softmax over the last axis of f32[64,1000]:
//   TileProgram p({64, 1000}, /*reduced=*/{1, 2});
//   auto x = p.Input(DType::kF32, {1000, 1});
//   auto e = p.Step(TileStep::kExp, {p.Step(TileStep::kSub, {x, p.Reduce(ReduceOp::kMax, x)})});
//   p.Output(p.Step(TileStep::kDiv, {e, p.Reduce(ReduceOp::kSum, e)}), DType::kF32, {1000, 1});
//
// Building never fails by itself: status() has the first misuse, and what follows it is left out.
#ifndef SLUICE_KERNELS_TILE_PROGRAM_H_
#define SLUICE_KERNELS_TILE_PROGRAM_H_

#include <initializer_list>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "graph/tensor.h"
#include "kernels/tile/step.h"

namespace sluice {

// How many elements a value has: one, one a row, one a point of the space.
enum class TileExtent : uint8_t { kOne, kRow, kFull };

// A value and how it is made.
struct TileNode {
  enum class Kind : uint8_t { kInput, kRandom, kScalar, kStep, kConvert, kReduce };

  Kind kind = Kind::kScalar;
  TileExtent extent = TileExtent::kOne;
  DType dtype = DType::kInvalid;

  int inputs[3] = {-1, -1, -1};  // values before this one
  int num_inputs = 0;
  TileStep step = TileStep::kCount;  // kStep
  TileParams params;
  ReduceOp reduce = ReduceOp::kSum;  // kReduce
  double number = 0;                 // kScalar

  int operand = -1;                                    // kInput: which; kRandom: that of the key
  Dims strides;                                        // kInput, kRandom: by extent of the space
  Distribution distribution = Distribution::kUniform;  // kRandom
  uint64_t stream = 0;

  std::string Name() const;  // of what computes: "exp", "rmax", "f16" (a conversion); else empty
};

struct TileOutput {
  int value = -1;
  DType dtype = DType::kInvalid;
  Dims strides;
};

class TileProgram {
 public:
  using ValueId = int;
  static constexpr int kMaxNodes = 256;

  // The extents [first, last) are reduced.
  struct Range {
    int first = 0, last = 0;
  };
  explicit TileProgram(Dims space, Range reduced = {0, 0});

  // The next operand to read; f16 and bf16 are converted to f32. Row, where every stride over a
  // reduced extent is 0 (and there are some).
  ValueId Input(DType dtype, absl::Span<const int64_t> strides);
  // The same in the dtype that is stored: for Convert(), and for kWhere, which only moves elements.
  ValueId InputAsStored(DType dtype, absl::Span<const int64_t> strides);
  // Random numbers, f32 or f64: those of an operand's elements (ops/random.h), if it had these
  // strides. `key`: the input that is the run's key, u64[2], with strides of 0.
  ValueId Random(Distribution distribution, ValueId key, uint64_t stream, DType dtype,
                 absl::Span<const int64_t> strides);
  ValueId Scalar(DType dtype, double number);
  // An element-wise step on values of one dtype (kWhere: bool first). Row if all inputs are.
  ValueId Step(TileStep step, std::initializer_list<ValueId> inputs, TileParams params = {});
  // With ONNX's Cast semantics, rounded once.
  ValueId Convert(ValueId value, DType to);
  // Over the reduced extents, in the value's dtype.
  ValueId Reduce(ReduceOp op, ValueId value);
  // The next operand to write, converted to `dtype`. Of a Row value, the strides over reduced
  // extents are ignored.
  void Output(ValueId value, DType dtype, absl::Span<const int64_t> strides);

  DType dtype(ValueId value) const;

  // OK, or the first misuse: InvalidArgument; Unimplemented for more than kMaxNodes values.
  const absl::Status& status() const { return status_; }
  const Dims& space() const { return space_; }
  Range reduced() const { return reduced_; }
  absl::Span<const TileNode> nodes() const { return nodes_; }
  absl::Span<const TileOutput> outputs() const { return outputs_; }
  absl::Span<const DType> input_dtypes() const { return input_dtypes_; }

  std::string ToString() const;  // "tile[sub exp div]", for reports
  // The whole of it, a line a value, for tests and people:
  //   tile [64,1000] reduce 1..2 {
  //     %0 = input 0 f32 [1000,1]
  //     %1 = rmax %0 : f32 row
  //     ...
  //     output 0 f32 [1000,1] = %5
  //   }
  std::string Text() const;

 private:
  ValueId Add(TileNode node);
  void Place(TileNode* node, absl::Span<const int64_t> strides) const;  // its strides and extent
  ValueId Fail(absl::Status s);
  bool ok(int id) const { return id >= 0 && id < static_cast<int>(nodes_.size()); }

  Dims space_;
  Range reduced_;
  absl::Status status_;
  std::vector<TileNode> nodes_;
  std::vector<TileOutput> outputs_;
  std::vector<DType> input_dtypes_;
};

// Row-major strides of `dims` as an operand that broadcasts (numpy's rule) to a space of `rank`
// extents, 0 where it is stretched.
Dims BroadcastStrides(absl::Span<const int64_t> dims, absl::Span<const int64_t> space);

// The extents or strides outside of the reduced range: of a Row value.
Dims WithoutReduced(absl::Span<const int64_t> all, TileProgram::Range reduced);

}  // namespace sluice

#endif  // SLUICE_KERNELS_TILE_PROGRAM_H_
