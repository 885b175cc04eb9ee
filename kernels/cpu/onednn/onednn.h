// oneDNN in our house: its threads are our pool's, its errors are Status, its scratch is ours, and
// a launch allocates nothing of our own.
#ifndef SLUICE_KERNELS_CPU_ONEDNN_ONEDNN_H_
#define SLUICE_KERNELS_CPU_ONEDNN_ONEDNN_H_

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "graph/tensor.h"
#include "kernels/kernel.h"
#include "kernels/packed_weights.h"
#include "oneapi/dnnl/dnnl.hpp"
#include "ops/fused.h"

namespace sluice::cpu {

// The one engine of the process; its primitive cache is off, as kernels own their primitives.
const dnnl::engine& DnnlEngine();

// The data type of a dtype; undef where oneDNN has none.
dnnl::memory::data_type DnnlType(DType dtype);
DType DTypeOfDnnl(dnnl::memory::data_type type);  // the way back; kInvalid
dnnl::memory::dims DnnlDims(absl::Span<const int64_t> dims);
// Row-major.
dnnl::memory::desc DnnlPlain(absl::Span<const int64_t> dims, DType dtype);
// As a tensor of the graph lies.
dnnl::memory::desc DnnlLaidOut(absl::Span<const int64_t> dims, DType dtype, Layout layout);
// Any layout: the primitive picks.
dnnl::memory::desc DnnlAny(absl::Span<const int64_t> dims, DType dtype);

// Runs `make`, which creates oneDNN objects for `threads` threads. Unimplemented where oneDNN does
// not take what it is asked, Internal for other errors.
absl::Status DnnlTry(int threads, absl::FunctionRef<void()> make);
// The same of a whole kernel for context.threads.
absl::StatusOr<std::unique_ptr<Kernel>> DnnlPrepare(
    const PrepareContext& context,
    absl::FunctionRef<absl::StatusOr<std::unique_ptr<Kernel>>()> make);

// A primitive and its arguments. Fixed after construction; Run() may be called by many threads.
class DnnlPrimitive {
 public:
  struct Argument {
    int id;  // DNNL_ARG_*
    dnnl::memory::desc desc;
    const void* fixed = nullptr;  // packed weights; else Run() is given the data
  };
  // Throws dnnl::error: call inside DnnlTry().
  DnnlPrimitive(dnnl::primitive primitive, std::vector<Argument> arguments);
  ~DnnlPrimitive();

  // `data`: one pointer for each argument that is not fixed, in their order.
  absl::Status Run(ThreadPool* pool, absl::Span<const void* const> data) const;

 private:
  // Memory objects carry the data pointers, so each launch under way needs its own set. Sets wait
  // in slots; taking and returning one is an atomic exchange.
  struct Arguments;
  std::unique_ptr<Arguments> Make() const;

  dnnl::primitive primitive_;
  std::vector<Argument> arguments_;
  mutable std::array<std::atomic<Arguments*>, 8> slots_;
};

// `data` (of layout `from`) in layout `to`, by a reorder. For weights, at preparation.
absl::StatusOr<Tensor> DnnlReorder(const void* data, const dnnl::memory::desc& from,
                                   const dnnl::memory::desc& to);

// The same of the node's packable `input`, converted to `compute` first: among `packed`, whose
// index it returns. In layout `from` already it stays as it is.
absl::StatusOr<int> DnnlPack(const PrepareContext& context, size_t input, DType compute,
                             const dnnl::memory::desc& from, const dnnl::memory::desc& to,
                             PackedInputs* packed);

// True where the implementation is one of oneDNN's plain loops: our own kernels are faster.
bool DnnlIsReference(absl::string_view implementation);

// True where 16-bit products of `depth` terms, added in pairs, keep to themselves: of an odd number
// oneDNN's convolutions multiply what lies behind the last one by 0, which may be a NaN.
inline bool DnnlPairsUp(DType dtype, int64_t depth) {
  return ByteSize(dtype) != 2 || depth % 2 == 0;
}

// True where the implementation applies post-ops by scalar code, which is wrong at the ends: it
// makes NaN of -infinity in a Relu, and 0 of NaN in a Sigmoid.
bool DnnlHasScalarSteps(absl::string_view implementation);

// Steps of a fused op as oneDNN's post-ops.
struct DnnlPostOps {
  dnnl::post_ops ops;
  // Binary steps in order: the argument id, layout of the operand, and the node's input.
  struct Operand {
    int id;
    dnnl::memory::desc desc;
    int input;
  };
  std::vector<Operand> operands;
};
// Whether oneDNN's post-op gives back what is no number as the step does: its maximum and minimum
// of two tensors lose a NaN of the first, its logarithm is off where numbers are denormal.
bool DnnlKeepsNaN(const PostOp& step);
// Appends `step`; the operand's layout is `operand` (ignored for unary steps). Unimplemented where
// oneDNN has no such post-op. Throws dnnl::error: call inside DnnlTry().
absl::Status AppendDnnlStep(const PostOp& step, const dnnl::memory::desc& operand,
                            DnnlPostOps* list);

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_ONEDNN_ONEDNN_H_
