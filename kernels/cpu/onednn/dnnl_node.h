// DnnlNode: a kernel around one oneDNN primitive over plain tensors: inputs are converted to the
// compute type and reordered to the layouts that the primitive asked for, where these differ, and
// the result back. Constant weights are packed at preparation.
#ifndef SLUICE_KERNELS_CPU_ONEDNN_DNNL_NODE_H_
#define SLUICE_KERNELS_CPU_ONEDNN_DNNL_NODE_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/onednn/onednn.h"
#include "kernels/cpu/staging.h"
#include "kernels/kernel.h"

namespace sluice::cpu {

class DnnlNode final : public Kernel {
 public:
  // Input and output dtypes may differ from the primitive's: f16 computed in f32.
  DnnlNode(const PrepareContext& context, DType compute);

  // In the order of calls. `plain` describes the node's input seen as the primitive's argument
  // (grouped weights have one more axis) and of its dtype, to which the input is converted;
  // `wanted` is the layout that the primitive takes. Both throw
  // dnnl::error: call inside DnnlTry().
  void Input(int id, int input, const dnnl::memory::desc& plain, const dnnl::memory::desc& wanted);
  // What stands for the node's constant input `input`: `contents`, as the primitive takes them.
  void Fixed(int id, int input, const dnnl::memory::desc& desc, Tensor contents);
  void Output(const dnnl::memory::desc& plain, const dnnl::memory::desc& wanted);
  // Steps that the primitive does not take, applied to the plain result; their operands are the
  // node's `inputs`, of the compute type.
  void Tail(Epilogue tail, std::vector<int> inputs);
  void Finish(const dnnl::primitive& primitive, const dnnl::memory::desc& scratchpad,
              std::string description);
  // Errors of packing, to be asked once after Finish().
  const absl::Status& status() const { return status_; }

  absl::Status Launch(const LaunchContext& context) const override;
  std::string Description() const override { return description_; }
  size_t scratch_bytes() const override { return layout_.bytes(); }
  size_t packed_bytes() const override;
  std::vector<int> unread_inputs() const override { return unread_; }
  absl::Span<const InputForm> forms() const override { return packed_.forms(); }

 private:
  struct Bound {
    int input;
    int packed = -1;  // of a held input: its index there
    DType dtype, wanted;
    int64_t elements;
    bool convert = false;
    size_t converted = 0, reordered = 0;  // offsets
    std::unique_ptr<DnnlPrimitive> reorder;
  };
  std::unique_ptr<DnnlPrimitive> Reorder(const dnnl::memory::desc& from,
                                         const dnnl::memory::desc& to);

  const PrepareContext* context_;  // until Finish()
  std::vector<DType> dtypes_;
  const DType out_dtype_, compute_;
  const int64_t out_elements_;
  std::vector<DnnlPrimitive::Argument> arguments_;
  std::vector<Bound> bound_;
  PackedInputs packed_;
  std::vector<Tensor> fixed_;
  std::vector<int> unread_;
  std::unique_ptr<DnnlPrimitive> primitive_, out_reorder_;
  std::optional<Epilogue> tail_;
  std::vector<int> tail_inputs_;
  size_t out_reordered_ = 0, out_converted_ = 0;
  ScratchLayout layout_;
  size_t scratchpad_ = 0, scratchpad_bytes_ = 0;
  bool primitive_scratchpad_ = false;
  std::string description_;
  absl::Status status_;
};

}  // namespace sluice::cpu

#endif  // SLUICE_KERNELS_CPU_ONEDNN_DNNL_NODE_H_
