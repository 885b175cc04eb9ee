#include "runtime/dynamic_steps.h"

#include <cstring>
#include <string>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "runtime/node_program.h"

namespace sluice {
namespace {

// Gives a kernel's data-dependent outputs fresh tensors.
class TensorAllocator : public OutputAllocator {
 public:
  TensorAllocator(absl::Span<const Type> types, std::vector<Tensor>* outputs, RunContext* run)
      : types_(types), outputs_(outputs), run_(run) {}
  absl::StatusOr<void*> Allocate(size_t output, absl::Span<const int64_t> dims) override {
    const DType dtype = types_[output].dtype();
    const int64_t size = static_cast<int64_t>(ByteSize(dtype));
    absl::StatusOr<int64_t> count = ElementCount(dims, ByteSize(dtype));
    if (!count.ok()) return count.status();
    if (absl::Status s = run_->Charge(*count * size); !s.ok()) return s;
    absl::StatusOr<Tensor> t = Tensor::Allocate(dtype, dims);
    if (!t.ok()) return t.status();
    (*outputs_)[output] = *std::move(t);
    return (*outputs_)[output].mutable_raw();
  }

 private:
  absl::Span<const Type> types_;
  std::vector<Tensor>* outputs_;
  RunContext* const run_;
};

class DynamicKernel : public DynamicStep {
 public:
  DynamicKernel(std::shared_ptr<const Kernel> kernel, std::vector<Type> outputs)
      : kernel_(std::move(kernel)), outputs_(std::move(outputs)) {}
  absl::StatusOr<std::vector<Tensor>> Run(absl::Span<const Tensor> inputs,
                                          RunContext* run) override {
    return LaunchAlone(*kernel_, outputs_, inputs, run);
  }
  std::string Description() const override { return kernel_->Description(); }

 private:
  std::shared_ptr<const Kernel> kernel_;
  std::vector<Type> outputs_;
};

class Deferred : public DynamicStep {
 public:
  explicit Deferred(std::unique_ptr<NodeProgram> program) : program_(std::move(program)) {}
  absl::StatusOr<std::vector<Tensor>> Run(absl::Span<const Tensor> inputs,
                                          RunContext* run) override {
    return program_->Run(inputs, run);
  }
  std::string Description() const override { return "prepared when its inputs are known"; }

 private:
  const std::unique_ptr<NodeProgram> program_;
};

}  // namespace

absl::StatusOr<std::vector<Tensor>> LaunchAlone(const Kernel& kernel, absl::Span<const Type> types,
                                                absl::Span<const Tensor> inputs, RunContext* run) {
  std::vector<Tensor> outputs(types.size());
  TensorAllocator allocator(types, &outputs, run);
  absl::InlinedVector<const void*, 8> in;
  absl::InlinedVector<void*, 8> out(types.size(), nullptr);
  for (const Tensor& t : inputs) in.push_back(t.valid() ? Present(t.raw()) : nullptr);
  if (!kernel.dynamic_outputs()) {
    for (size_t i = 0; i < types.size(); ++i) {
      std::optional<Dims> dims = types[i].StaticDims();
      if (!dims.has_value())
        return absl::InternalError("an output of a kernel with fixed outputs has no static shape");
      absl::StatusOr<void*> memory = allocator.Allocate(i, *dims);
      if (!memory.ok()) return memory.status();
      out[i] = *memory;
    }
  }
  Tensor scratch;
  if (kernel.scratch_bytes() > 0) {
    const int64_t bytes = static_cast<int64_t>(kernel.scratch_bytes());
    if (absl::Status s = run->Charge(bytes); !s.ok()) return s;
    absl::StatusOr<Tensor> t = Tensor::Allocate(DType::kU8, {bytes});
    if (!t.ok()) return t.status();
    scratch = *std::move(t);
  }
  absl::InlinedVector<absl::Span<const int64_t>, 8> dims;
  for (const Tensor& t : inputs) dims.push_back(t.dims());
  const LaunchContext context{
      in, absl::MakeSpan(out), scratch.mutable_raw(), run->pool, &allocator, /*forms=*/{}, dims};
  if (absl::Status s = kernel.Launch(context); !s.ok()) return s;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].valid())
      return absl::InternalError(absl::StrCat("the kernel made no output ", i));
  }
  return outputs;
}

std::unique_ptr<DynamicStep> MakeDynamicKernel(std::shared_ptr<const Kernel> kernel,
                                               std::vector<Type> outputs) {
  return std::make_unique<DynamicKernel>(std::move(kernel), std::move(outputs));
}

absl::StatusOr<std::unique_ptr<DynamicStep>> MakeDeferred(const Node& node,
                                                          const ProgramOptions& options,
                                                          bool by_contents) {
  absl::StatusOr<std::unique_ptr<NodeProgram>> program =
      NodeProgram::Make(node, options, by_contents);
  if (!program.ok()) return program.status();
  return std::make_unique<Deferred>(*std::move(program));
}

}  // namespace sluice
