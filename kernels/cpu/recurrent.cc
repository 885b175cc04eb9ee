// LSTM, GRU and RNN by the general kernel (recurrent_kernel.h).
#include "kernels/cpu/recurrent_kernel.h"

namespace sluice::cpu {

absl::StatusOr<std::unique_ptr<Kernel>> PrepareRecurrent(const PrepareContext& context) {
  absl::StatusOr<RecurrentConfig> config = ReadRecurrentConfig(context.node);
  if (!config.ok()) return config.status();
  if (context.input_dtype(0) == DType::kF64) {
    return std::make_unique<RecurrentKernel<double>>(context, *std::move(config));
  }
  return std::make_unique<RecurrentKernel<float>>(context, *std::move(config));
}

}  // namespace sluice::cpu
