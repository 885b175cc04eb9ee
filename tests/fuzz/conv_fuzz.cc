// A convolution of any geometry by every kernel that takes it, against a plain loop. Memory that
// nobody has written holds NaN; what lies behind results and scratch must stay as it is. With a
// fixed split one thread and three give the same bits.
#include <cstring>
#include <random>

#include "absl/strings/str_cat.h"
#include "graph/builder.h"
#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/layout/layouts.h"
#include "ops/op.h"
#include "tests/fuzz/conv_trial.h"
#include "tests/fuzz/fuzz.h"

namespace sluice::fuzz {

std::vector<std::string> Seeds() {
  std::mt19937 random(7);
  std::vector<std::string> seeds;
  for (int i = 0; i < 100; ++i) {
    std::string seed;
    for (int k = 0; k < 48; ++k) seed.push_back(static_cast<char>(random()));
    seeds.push_back(std::move(seed));
  }
  return seeds;
}

namespace {

constexpr int64_t kBehind = 256;  // bytes that nobody may touch
constexpr uint8_t kUnwritten = 0xff;

// `bytes` of memory and what lies behind.
class Guarded {
 public:
  explicit Guarded(size_t bytes)
      : bytes_(bytes),
        memory_(*Tensor::Allocate(DType::kU8, {static_cast<int64_t>(bytes) + kBehind})) {
    std::memset(memory_.mutable_raw(), kUnwritten, memory_.bytes());
  }
  void* data() { return memory_.mutable_raw(); }
  bool sound() const {
    for (int64_t i = 0; i < kBehind; ++i) {
      if (memory_.data<uint8_t>()[bytes_ + i] != kUnwritten) return false;
    }
    return true;
  }

 private:
  size_t bytes_;
  Tensor memory_;
};

// A plain tensor as it lies in `layout`, and back.
Tensor Laid(const Tensor& t, Layout layout, bool back) {
  const Dims dims(t.dims().begin(), t.dims().end());
  const Dims strides = MemoryStrides(dims, layout);
  Tensor to = *Tensor::Allocate(t.dtype(), dims);
  const size_t size = ByteSize(t.dtype());
  const char* const from = static_cast<const char*>(t.raw());
  char* const out = static_cast<char*>(to.mutable_raw());
  for (int64_t i = 0; i < t.elements(); ++i) {
    int64_t rest = i, at = 0;
    for (size_t axis = dims.size(); axis-- > 0;) {
      at += rest % dims[axis] * strides[axis];
      rest /= dims[axis];
    }
    std::memcpy(out + (back ? i : at) * size, from + (back ? at : i) * size, size);
  }
  return to;
}

Tensor Launched(const Kernel& kernel, const ConvTrial& t, const Type& type,
                absl::Span<const Tensor> fed, ThreadPool* pool, const std::string& what) {
  std::vector<const void*> inputs;
  for (const Tensor& in : fed) inputs.push_back(in.valid() ? in.raw() : nullptr);
  for (int i : kernel.unread_inputs()) inputs[i] = nullptr;
  const Dims dims = *type.StaticDims();
  Tensor y = *Tensor::Allocate(type.dtype(), dims);
  Guarded out(y.bytes()), scratch(kernel.scratch_bytes());
  void* outputs[] = {out.data()};
  for (int round = 0; round < 2; ++round) {  // the second finds used scratch
    std::memset(out.data(), kUnwritten, y.bytes());
    const LaunchContext launch{inputs, outputs, scratch.data(), pool, nullptr};
    const absl::Status status = kernel.Launch(launch);
    Require(status.ok(), absl::StrCat(what, ": ", status.ToString()));
  }
  Require(out.sound() && scratch.sound(), absl::StrCat(what, ": writes behind its memory"));
  std::memcpy(y.mutable_raw(), out.data(), y.bytes());
  return Laid(y, t.y_layout, /*back=*/true);
}

void Compare(const ConvTrial& t, const ConvTrial::Reference& reference, const Tensor& y,
             const std::string& what) {
  for (int64_t i = 0; i < y.elements(); ++i) {
    const double v = ElementOf(y, i), expected = reference.y[static_cast<size_t>(i)];
    Require(t.Agrees(v, expected, reference.tolerance),
            absl::StrCat(what, ": element ", i, " is ", v, ", not ", expected));
  }
}

void One(absl::Span<const uint8_t> bytes) {
  const ConvTrial t(bytes);
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  std::vector<Value*> values;
  std::vector<Tensor> fed = t.inputs, constants(fed.size());
  std::vector<Type> types;
  for (size_t i = 0; i < fed.size(); ++i) {
    const bool data = i == t.x_input() || (i == t.w_input() && !t.constant_weights) ||
                      (i > t.w_input() && !t.quantized());
    if (!fed[i].valid()) {
      values.push_back(nullptr);
      types.push_back(Type());
      continue;
    }
    values.push_back(data ? b.Input(absl::StrCat("in", i), Type::Of(fed[i])) : b.Constant(fed[i]));
    if (!data) constants[i] = fed[i];
    const bool as_y = fed[i].dims() == absl::MakeConstSpan(t.OutDims());
    const Layout layout = i == t.x_input()                            ? t.x_layout
                          : i > t.w_input() && as_y && !t.quantized() ? t.y_layout
                                                                      : Layout::kPlain;
    types.push_back(WithLayout(Type::Of(fed[i]), layout));
    if (layout != Layout::kPlain) fed[i] = Laid(fed[i], layout, /*back=*/false);
  }
  std::vector<Value*> made = b.OpN(t.op, values, 1, t.attrs);
  Require(b.status().ok(), absl::StrCat(t.ToString(), ": ", b.status().ToString()));
  const Type plain = made[0]->type();
  Require(*plain.StaticDims() == t.OutDims(), absl::StrCat(t.ToString(), ": ", plain.ToString()));
  static ThreadPool* const pools[] = {new ThreadPool(1), new ThreadPool(2), new ThreadPool(3)};
  constexpr int kSplit = 5;
  static ThreadPool* const fixed[] = {new ThreadPool(*pools[0], kSplit),
                                      new ThreadPool(*pools[2], kSplit)};
  PrepareContext context{.node = *made[0]->producer(),
                         .inputs = types,
                         .outputs = {WithLayout(plain, t.y_layout)},
                         .constants = constants,
                         .threads = t.fixed_split ? kSplit : t.threads};
  const ConvTrial::Reference reference = t.Compute();
  int taken = 0;
  for (const KernelCandidate& c : CpuKernels().Find(t.op)) {
    absl::StatusOr<std::unique_ptr<Kernel>> kernel = c.prepare(context);
    if (absl::IsUnimplemented(kernel.status())) continue;
    Require(kernel.ok(), absl::StrCat(t.ToString(), ": ", kernel.status().ToString()));
    ++taken;
    const std::string what = absl::StrCat(t.ToString(), " by ", (*kernel)->Description());
    ThreadPool* const pool = t.fixed_split ? fixed[0] : pools[t.threads - 1];
    const Tensor y = Launched(**kernel, t, context.outputs[0], fed, pool, what);
    Compare(t, reference, y, what);
    if (!t.fixed_split) continue;
    const Tensor again = Launched(**kernel, t, context.outputs[0], fed, fixed[1], what);
    Require(std::memcmp(y.raw(), again.raw(), y.bytes()) == 0,
            absl::StrCat(what, ": other bits on other threads"));
  }
  const bool plain_order = t.x_layout == Layout::kPlain && t.y_layout == Layout::kPlain;
  Require(taken > 0 || !plain_order || t.op == "QuantizedConv",
          absl::StrCat(t.ToString(), ": no kernel takes it"));
}

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::fuzz::One({data, size});
  return 0;
}
