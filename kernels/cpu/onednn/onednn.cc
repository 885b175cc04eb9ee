#include "kernels/cpu/onednn/onednn.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/hash.h"
#include "kernels/cpu/layout/layouts.h"
#include "kernels/cpu/staging.h"
#include "kernels/packed_weights.h"
#include "oneapi/dnnl/dnnl_threadpool.hpp"
#include "oneapi/dnnl/dnnl_threadpool_iface.hpp"

namespace sluice::cpu {
namespace {

constexpr int kMaxPostOps = 32;  // dnnl_post_ops_append_*: out of memory beyond

// Our pool behind oneDNN's interface. One per thread, pointed at the pool of the launch under way.
//
// oneDNN splits for one thread where it is told that it runs in parallel already. With a fixed
// split that is so inside its own loops alone, never because another kernel runs beside this one.
class PoolAdapter final : public dnnl::threadpool_interop::threadpool_iface {
 public:
  // Null: the calling thread alone.
  void Use(ThreadPool* pool) {
    pool_ = pool;
    in_loop_ = false;
  }
  ThreadPool* pool() const { return pool_; }

  int get_num_threads() const override { return pool_ == nullptr ? 1 : pool_->threads(); }
  bool get_in_parallel() const override {
    return pool_ != nullptr && pool_->fixed() ? in_loop_ : ThreadPool::InTask();
  }
  uint64_t get_flags() const override { return 0; }
  void parallel_for(int n, const std::function<void(int, int)>& body) override {
    in_loop_ = true;
    if (pool_ == nullptr) {
      for (int i = 0; i < n; ++i) body(i, n);
    } else {
      pool_->RunTasks(n, body);
    }
    in_loop_ = false;
  }

 private:
  ThreadPool* pool_ = nullptr;
  bool in_loop_ = false;  // of the launch under way; written while none of its tasks run
};

struct ThreadStream {
  PoolAdapter adapter;
  dnnl::stream stream = dnnl::threadpool_interop::make_stream(DnnlEngine(), &adapter);
};

ThreadStream& LocalStream() {
  thread_local ThreadStream stream;
  return stream;
}

absl::Status FromDnnl(const dnnl::error& e) {
  const std::string what = absl::StrCat("oneDNN: ", e.what());
  return e.status == dnnl_unimplemented || e.status == dnnl_invalid_arguments
             ? absl::UnimplementedError(what)
         : e.status == dnnl_out_of_memory ? absl::ResourceExhaustedError(what)
                                          : absl::InternalError(what);
}

// A layout in full, by what oneDNN answers. Its blob would not do: it holds bytes that nobody set.
std::string LayoutText(const dnnl::memory::desc& d) {
  const auto list = [](const dnnl::memory::dims& v) { return absl::StrJoin(v, ","); };
  return absl::StrCat(static_cast<int>(d.get_format_kind()), " ",
                      static_cast<int>(d.get_data_type()), " ", list(d.get_dims()), " ",
                      list(d.get_padded_dims()), " ", list(d.get_padded_offsets()), " ",
                      list(d.get_strides()), " ", list(d.get_inner_blks()), " ",
                      list(d.get_inner_idxs()), " ", d.get_submemory_offset(), " ", d.get_size());
}

}  // namespace

const dnnl::engine& DnnlEngine() {
  static const dnnl::engine* const engine = [] {
    dnnl::set_primitive_cache_capacity(0);
    return new dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return *engine;
}

dnnl::memory::data_type DnnlType(DType dtype) {
  using T = dnnl::memory::data_type;
  switch (dtype) {
    case DType::kF64:
      return T::f64;
    case DType::kF32:
      return T::f32;
    case DType::kF16:
      return T::f16;
    case DType::kBF16:
      return T::bf16;
    case DType::kI32:
      return T::s32;
    case DType::kI8:
      return T::s8;
    case DType::kU8:
      return T::u8;
    default:
      return T::undef;
  }
}

DType DTypeOfDnnl(dnnl::memory::data_type type) {
  for (DType dtype :
       {DType::kF32, DType::kU8, DType::kI8, DType::kI32, DType::kBF16, DType::kF16, DType::kF64}) {
    if (DnnlType(dtype) == type) return dtype;
  }
  return DType::kInvalid;
}

dnnl::memory::dims DnnlDims(absl::Span<const int64_t> dims) {
  return dnnl::memory::dims(dims.begin(), dims.end());
}

dnnl::memory::desc DnnlPlain(absl::Span<const int64_t> dims, DType dtype) {
  dnnl::memory::dims strides(dims.size());
  int64_t stride = 1;
  for (size_t i = dims.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= dims[i];
  }
  return dnnl::memory::desc(DnnlDims(dims), DnnlType(dtype), strides);
}

dnnl::memory::desc DnnlLaidOut(absl::Span<const int64_t> dims, DType dtype, Layout layout) {
  const Dims strides = MemoryStrides(Dims(dims.begin(), dims.end()), layout);
  return dnnl::memory::desc(DnnlDims(dims), DnnlType(dtype), DnnlDims(strides));
}

dnnl::memory::desc DnnlAny(absl::Span<const int64_t> dims, DType dtype) {
  return dnnl::memory::desc(DnnlDims(dims), DnnlType(dtype), dnnl::memory::format_tag::any);
}

absl::Status DnnlTry(int threads, absl::FunctionRef<void()> make) {
  // What oneDNN blocks for; a setting of this thread.
  dnnl_threadpool_interop_set_max_concurrency(std::max(1, threads));
  try {
    make();
  } catch (const dnnl::error& e) {
    return FromDnnl(e);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("oneDNN: out of memory");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Kernel>> DnnlPrepare(
    const PrepareContext& context,
    absl::FunctionRef<absl::StatusOr<std::unique_ptr<Kernel>>()> make) {
  absl::StatusOr<std::unique_ptr<Kernel>> kernel;
  absl::Status made = DnnlTry(context.threads, [&] { kernel = make(); });
  if (!made.ok()) return made;
  return kernel;
}

struct DnnlPrimitive::Arguments {
  std::vector<dnnl::memory> memories;
  std::vector<dnnl_exec_arg_t> list;
};

DnnlPrimitive::DnnlPrimitive(dnnl::primitive primitive, std::vector<Argument> arguments)
    : primitive_(std::move(primitive)), arguments_(std::move(arguments)) {
  for (auto& slot : slots_) slot.store(nullptr, std::memory_order_relaxed);
  slots_[0].store(Make().release(), std::memory_order_release);
}

DnnlPrimitive::~DnnlPrimitive() {
  for (auto& slot : slots_) delete slot.load(std::memory_order_acquire);
}

std::unique_ptr<DnnlPrimitive::Arguments> DnnlPrimitive::Make() const {
  auto set = std::make_unique<Arguments>();
  for (const Argument& a : arguments_) {
    set->memories.emplace_back(a.desc, DnnlEngine(), const_cast<void*>(a.fixed));
    set->list.push_back({a.id, set->memories.back().get()});
  }
  return set;
}

absl::Status DnnlPrimitive::Run(ThreadPool* pool, absl::Span<const void* const> data) const {
  std::unique_ptr<Arguments> set;
  for (auto& slot : slots_) {
    set.reset(slot.exchange(nullptr, std::memory_order_acquire));
    if (set != nullptr) break;
  }
  try {
    if (set == nullptr) set = Make();
    size_t next = 0;
    for (size_t i = 0; i < arguments_.size(); ++i) {
      if (arguments_[i].fixed != nullptr) continue;
      dnnl_memory_set_data_handle(set->list[i].memory, const_cast<void*>(data[next++]));
    }
    ThreadStream& local = LocalStream();
    local.adapter.Use(pool);
    const dnnl_status_t status = dnnl_primitive_execute(
        primitive_.get(), local.stream.get(), static_cast<int>(set->list.size()), set->list.data());
    local.adapter.Use(nullptr);
    if (status != dnnl_success) return FromDnnl(dnnl::error(status, "execution failed"));
  } catch (const dnnl::error& e) {
    return FromDnnl(e);
  }
  for (auto& slot : slots_) {
    Arguments* expected = nullptr;
    if (slot.compare_exchange_strong(expected, set.get(), std::memory_order_release,
                                     std::memory_order_relaxed)) {
      set.release();  // NOLINT(bugprone-unused-return-value): the slot has it
      break;
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Tensor> DnnlReorder(const void* data, const dnnl::memory::desc& from,
                                   const dnnl::memory::desc& to) {
  absl::StatusOr<Tensor> out = Tensor::Allocate(DType::kU8, {static_cast<int64_t>(to.get_size())});
  if (!out.ok()) return out;
  absl::Status run;
  absl::Status made = DnnlTry(1, [&] {
    const dnnl::reorder::primitive_desc pd(DnnlEngine(), from, DnnlEngine(), to);
    const DnnlPrimitive reorder(dnnl::reorder(pd), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}});
    run = reorder.Run(nullptr, {data, out->raw()});
  });
  if (!made.ok()) return made;
  if (!run.ok()) return run;
  return out;
}

absl::StatusOr<int> DnnlPack(const PrepareContext& context, size_t input, DType compute,
                             const dnnl::memory::desc& from, const dnnl::memory::desc& to,
                             PackedInputs* packed) {
  const bool reorder = from != to;
  if (!reorder && context.input_dtype(input) == compute) return packed->AddPlain(context, input);
  const int64_t bytes = static_cast<int64_t>(to.get_size());
  Hasher layouts;
  absl::Status described = DnnlTry(context.threads, [&] {
    for (const dnnl::memory::desc& layout : {from, to}) {
      const std::string text = LayoutText(layout);
      layouts.AddBytes(text.data(), text.size());
    }
  });
  if (!described.ok()) return described;
  // What 8-bit weights hold for zero points no question tells: such forms are the node's alone.
  const bool alone = !IsFloat(compute);
  const std::string format =
      absl::StrCat("onednn ", context.inputs[input].ToString(), " ", layouts.Hex(),
                   alone ? absl::StrCat(" of ", context.node.name()) : std::string());
  return packed->Add(context, input, format, bytes,
                     [=](const Tensor& plain) -> absl::StatusOr<Tensor> {
                       absl::StatusOr<Tensor> t = ConvertTensor(plain, compute);
                       return t.ok() && reorder ? DnnlReorder(t->raw(), from, to) : t;
                     });
}

bool DnnlIsReference(absl::string_view implementation) {
  return absl::StrContains(implementation, "ref");
}

bool DnnlHasScalarSteps(absl::string_view implementation) {
  return absl::StrContains(implementation, "gemm:") ||
         absl::StrContains(implementation, "conv:any");
}

bool DnnlKeepsNaN(const PostOp& step) {
  const absl::string_view name = step.def->name;
  return name != "Max" && name != "Min" && name != "Log";
}

absl::Status AppendDnnlStep(const PostOp& step, const dnnl::memory::desc& operand,
                            DnnlPostOps* list) {
  using A = dnnl::algorithm;
  static constexpr struct {
    const char* name;
    A algorithm;
  } kBinary[] = {{"Add", A::binary_add}, {"Sub", A::binary_sub}, {"Mul", A::binary_mul},
                 {"Div", A::binary_div}, {"Max", A::binary_max}, {"Min", A::binary_min}};
  if (list->ops.len() >= kMaxPostOps) {
    return absl::UnimplementedError(absl::StrCat("oneDNN takes ", kMaxPostOps, " post-ops"));
  }
  const absl::string_view name = step.def->name;
  for (const auto& b : kBinary) {
    if (name != b.name) continue;
    list->operands.push_back(
        {DNNL_ARG_ATTR_MULTIPLE_POST_OP(list->ops.len()) | DNNL_ARG_SRC_1, operand, step.operand});
    list->ops.append_binary(b.algorithm, operand);
    return absl::OkStatus();
  }
  const struct {
    const char* name;
    A algorithm;
    float alpha, beta;
  } unary[] = {
      {"Relu", A::eltwise_relu, 0, 0},
      {"LeakyRelu", A::eltwise_relu, step.params[0], 0},
      {"Sigmoid", A::eltwise_logistic, 0, 0},
      {"Tanh", A::eltwise_tanh, 0, 0},
      {"HardSwish", A::eltwise_hardswish, 1.0f / 6, 0.5f},
      {"HardSigmoid", A::eltwise_hardsigmoid, step.params[0], step.params[1]},
      {"Clip", A::eltwise_clip, step.params[0], step.params[1]},
      {"Elu", A::eltwise_elu, step.params[0], 0},
      {"Swish", A::eltwise_swish, step.params[0], 0},
      {"Gelu", step.params[0] != 0 ? A::eltwise_gelu_tanh : A::eltwise_gelu_erf, 0, 0},
      {"Mish", A::eltwise_mish, 0, 0},
      {"Abs", A::eltwise_abs, 0, 0},
      {"Neg", A::eltwise_linear, -1, -0.0f},
      {"Sqrt", A::eltwise_sqrt, 0, 0},
      {"Exp", A::eltwise_exp, 0, 0},
      {"Log", A::eltwise_log, 0, 0},
      {"Round", A::eltwise_round, 0, 0},
  };
  for (const auto& u : unary) {
    if (name != u.name) continue;
    list->ops.append_eltwise(u.algorithm, u.alpha, u.beta);
    return absl::OkStatus();
  }
  // Not Softplus: oneDNN's is 2e-6 off where the right answer is 1e-9.
  return absl::UnimplementedError(absl::StrCat("oneDNN has no post-op ", name));
}

}  // namespace sluice::cpu
