#include "runtime/dynamic_steps.h"

#include <cstring>
#include <list>
#include <mutex>
#include <string>

#include "runtime/program.h"

namespace sluice {
namespace {

Accountant ChargeTo(RunContext* run) {
  return [run](int64_t bytes) { return run->Charge(bytes); };
}

class DynamicKernel : public DynamicStep {
 public:
  DynamicKernel(std::shared_ptr<const Kernel> kernel, std::vector<Type> outputs)
      : kernel_(std::move(kernel)), outputs_(std::move(outputs)) {}
  absl::StatusOr<std::vector<Tensor>> Run(absl::Span<const Tensor> inputs,
                                          RunContext* run) override {
    return LaunchAlone(*kernel_, outputs_, inputs, run->pool, ChargeTo(run));
  }
  std::string Description() const override { return kernel_->Description(); }

 private:
  std::shared_ptr<const Kernel> kernel_;
  std::vector<Type> outputs_;
};

class Deferred : public DynamicStep {
 public:
  Deferred(const Node& node, const ProgramOptions& options)
      : node_(node),
        threads_(options.threads),
        accuracy_(options.accuracy),
        memory_limit_(options.memory_limit) {}

  absl::StatusOr<std::vector<Tensor>> Run(absl::Span<const Tensor> inputs,
                                          RunContext* run) override {
    std::shared_ptr<const PreparedNode> prepared = Find(inputs);
    if (prepared == nullptr) {
      absl::StatusOr<PreparedNode> made =
          PreparedNode::Make(node_, inputs, threads_, accuracy_, memory_limit_);
      if (!made.ok()) return made.status();
      prepared = std::make_shared<const PreparedNode>(*std::move(made));
      std::lock_guard<std::mutex> lock(mutex_);
      recent_.push_front(prepared);
      if (recent_.size() > kKept) recent_.pop_back();
    }
    return prepared->Run(inputs, run->pool, ChargeTo(run));
  }
  std::string Description() const override { return "prepared when its inputs are known"; }

 private:
  static constexpr size_t kKept = 8;

  std::shared_ptr<const PreparedNode> Find(absl::Span<const Tensor> inputs) {
    std::lock_guard<std::mutex> lock(mutex_);
    for (auto it = recent_.begin(); it != recent_.end(); ++it) {
      if (!(*it)->Fits(inputs)) continue;
      recent_.splice(recent_.begin(), recent_, it);
      return recent_.front();
    }
    return nullptr;
  }

  const Node& node_;
  const int threads_;
  const Accuracy accuracy_;
  const int64_t memory_limit_;
  std::mutex mutex_;
  std::list<std::shared_ptr<const PreparedNode>> recent_;
};

class AssignKernel : public Kernel {
 public:
  explicit AssignKernel(const Type& type)
      : elements_(*ElementCount(*type.StaticDims())),
        string_(type.dtype() == DType::kString),
        bytes_(static_cast<size_t>(elements_) * ByteSize(type.dtype())) {}
  absl::Status Launch(const LaunchContext& c) const override {
    Copy(c.inputs[1], const_cast<void*>(c.inputs[0]));  // the variable is there to be written
    Copy(c.inputs[1], c.outputs[0]);
    return absl::OkStatus();
  }
  std::string Description() const override { return "copy"; }

 private:
  void Copy(const void* from, void* to) const {
    if (from == to || elements_ == 0) return;
    if (string_) {
      std::copy_n(static_cast<const std::string*>(from), elements_, static_cast<std::string*>(to));
    } else {
      std::memcpy(to, from, bytes_);
    }
  }

  int64_t elements_;
  bool string_;
  size_t bytes_;
};

}  // namespace

std::unique_ptr<DynamicStep> MakeDynamicKernel(std::shared_ptr<const Kernel> kernel,
                                               std::vector<Type> outputs) {
  return std::make_unique<DynamicKernel>(std::move(kernel), std::move(outputs));
}

std::unique_ptr<DynamicStep> MakeDeferred(const Node& node, const ProgramOptions& options) {
  return std::make_unique<Deferred>(node, options);
}

std::unique_ptr<Kernel> MakeAssignKernel(const Type& type) {
  return std::make_unique<AssignKernel>(type);
}

}  // namespace sluice
