// Kernel: a node made ready to run for given types. Prepared once, launched often, by many threads.
//
// Prepare functions may be slow: they choose code, pack weights, create library primitives.
// Launch() is the hot path: it gets buffers, allocates nothing, locks nothing, keeps no state.
#ifndef SLUICE_KERNELS_KERNEL_H_
#define SLUICE_KERNELS_KERNEL_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "graph/graph.h"
#include "graph/tensor.h"
#include "kernels/accuracy.h"
#include "kernels/device/thread_pool.h"

namespace sluice {

class PackedWeights;

// What a kernel is prepared for. Input types have static shapes, except for candidates that are
// `open`: there the shapes of some may be known by rank alone. Output types have static shapes too,
// except where only the data knows them; the kernel then returns dynamic_outputs() true.
struct PrepareContext {
  const Node& node;
  std::vector<Type> inputs;   // unknown type: an absent optional input
  std::vector<Type> outputs;  // a trailing optional output that nobody asked for is not listed
  // Contents of inputs that are constant for the life of the kernel; invalid tensor elsewhere. The
  // kernel may keep a copy of the handle, or pack the contents into a form of its own.
  std::vector<Tensor> constants;
  // Inputs whose contents are the same from launch to launch, but not known yet: see Value::held().
  // What a kernel packs of them comes with each launch.
  std::vector<bool> held;
  int threads = 1;
  bool deterministic = false;
  Accuracy accuracy = Accuracy::kStandard;
  PackedWeights* packed = nullptr;  // where packed constants are shared: see PackConstant()

  bool HasInput(size_t i) const { return i < inputs.size() && !inputs[i].is_unknown(); }
  bool HasOutput(size_t i) const { return i < outputs.size(); }
  DType input_dtype(size_t i) const { return inputs[i].dtype(); }
  Dims input_dims(size_t i) const { return *inputs[i].StaticDims(); }
  DType output_dtype(size_t i) const { return outputs[i].dtype(); }
  Dims output_dims(size_t i) const { return *outputs[i].StaticDims(); }
  bool IsConstant(size_t i) const { return i < constants.size() && constants[i].valid(); }
  // Whether packing input i once pays.
  bool IsPackable(size_t i) const { return IsConstant(i) || (i < held.size() && held[i]); }
  // Whether input i's extents come with each launch.
  bool IsOpen(size_t i) const { return HasInput(i) && !inputs[i].has_static_shape(); }
};

// Makes the memory of an output whose extents only the kernel knows. The tensor is the frame's;
// write to what comes back. Strings come back empty.
class OutputAllocator {
 public:
  virtual ~OutputAllocator() = default;
  virtual absl::StatusOr<void*> Allocate(size_t output, absl::Span<const int64_t> dims) = 0;
};

// Where values without elements lie that have no memory of their own: null means absent.
inline uint8_t* NoElements() {
  alignas(64) static uint8_t nothing[64];
  return nothing;
}
inline const void* Present(const void* data) { return data != nullptr ? data : NoElements(); }

struct LaunchContext {
  absl::Span<const void* const> inputs;  // in the order of the node's; null where absent
  absl::Span<void* const> outputs;       // null where dynamic: ask `allocator`
  void* scratch = nullptr;               // scratch_bytes() bytes, 64-byte aligned
  ThreadPool* pool = nullptr;
  OutputAllocator* allocator = nullptr;      // for dynamic outputs
  absl::Span<const void* const> forms = {};  // of Kernel::forms(), in their order
  // The extents of the inputs, for kernels that were prepared with some open; empty for others.
  absl::Span<const absl::Span<const int64_t>> input_dims = {};

  template <typename T>
  const T* input(size_t i) const {
    return i < inputs.size() ? static_cast<const T*>(inputs[i]) : nullptr;
  }
  template <typename T>
  T* output(size_t i) const {
    return static_cast<T*>(outputs[i]);
  }
};

// How a kernel wants a held input: `pack` makes it of the plain contents, aligned. Equal formats
// must mean equal bytes for equal contents.
struct InputForm {
  size_t input;
  std::string format;
  std::function<absl::StatusOr<Tensor>(const Tensor& plain)> pack;
};

class Kernel {
 public:
  virtual ~Kernel() = default;

  // Errors are of the data alone (an index out of range): OutOfRange or InvalidArgument, without
  // the node, which the session adds.
  virtual absl::Status Launch(const LaunchContext& context) const = 0;

  // What runs, for reports: "tile", "onednn brgconv:avx512_core", "transpose 4x8 blocks".
  virtual std::string Description() const = 0;
  virtual size_t scratch_bytes() const { return 0; }
  // (output, input) pairs that may share one buffer, because Launch() reads each input element
  // before it writes the output element in its place. Equal byte sizes are the planner's to check.
  virtual std::vector<std::pair<int, int>> in_place() const { return {}; }
  virtual bool dynamic_outputs() const { return false; }
  // False: Launch() is OK whatever the data are: it allocates nothing, calls nothing that could
  // fail. Only behind the last step that may fail is state written in its place.
  virtual bool may_fail() const { return true; }
  // (output, input) where the output is the input's very bytes under another shape: no launch
  // needed when the planner can alias them (Reshape, Identity, Squeeze, ...).
  virtual std::vector<std::pair<int, int>> views() const { return {}; }
  // Inputs that Launch() does not read, since they were constant and packed at preparation.
  virtual std::vector<int> unread_inputs() const { return {}; }
  // What Launch() reads of held inputs, in LaunchContext::forms; `pack` is good while the kernel
  // lives.
  virtual absl::Span<const InputForm> forms() const { return {}; }
  virtual size_t packed_bytes() const { return 0; }
};

// OK with a kernel; Unimplemented with the reason where this candidate does not take the node (the
// next one is asked); any other error ends the compilation.
using PrepareFn = absl::StatusOr<std::unique_ptr<Kernel>> (*)(const PrepareContext&);

// Nanoseconds that a launch will take, from shapes, threads and the machine alone: nothing is
// packed or created. Unimplemented with the reason where the candidate will not take the node.
using EstimateFn = absl::StatusOr<double> (*)(const PrepareContext&);

struct KernelCandidate {
  const char* op;
  const char* name;  // "onednn", "tile", ...
  PrepareFn prepare;
  EstimateFn estimate = nullptr;  // null: its place in the list is its rank
  // Takes inputs whose extents come with each launch, too: what changes from run to run, and whose
  // work is too small to be prepared for every length.
  bool open = false;
};

// The candidates of a device by op: kernels/<device>/kernel_list.inc.
//
// They are asked in the order of the list, best first, but those that estimate their time exchange
// their places among themselves so that the cheapest comes first. When `deterministic`, estimates
// are made for one thread, so that the choice does not depend on the number of threads either.
class KernelTable {
 public:
  explicit KernelTable(absl::Span<const KernelCandidate> candidates);
  bool Has(absl::string_view op) const;
  absl::Span<const KernelCandidate> Find(absl::string_view op) const;

  struct Ranked {
    const KernelCandidate* candidate;
    double nanoseconds = -1;  // negative: no estimate
  };
  // Who is to be asked, in order. `refusals` receives "name: reason" of those that are out already.
  absl::StatusOr<std::vector<Ranked>> Rank(const PrepareContext& context,
                                           std::vector<std::string>* refusals) const;

  // The first of the ranked that takes the node. Unimplemented lists every refusal. `choice`, when
  // given, receives why: the estimates, and the refusals so far ("est. 1.2 us; other est. 3.4 us;
  // third: no f64"); empty where there was nothing to choose.
  absl::StatusOr<std::unique_ptr<Kernel>> Prepare(const PrepareContext& context,
                                                  std::string* choice = nullptr) const;
  // The same among the candidates that are open.
  absl::StatusOr<std::unique_ptr<Kernel>> PrepareOpen(const PrepareContext& context) const;

 private:
  absl::flat_hash_map<std::string, std::vector<KernelCandidate>> by_op_;
};

// "1.2 us", "3.4 ms".
std::string FormatNanoseconds(double ns);

}  // namespace sluice

#endif  // SLUICE_KERNELS_KERNEL_H_
