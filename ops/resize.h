// Resize's arithmetic of extents: shared by inference and kernels.
#ifndef SLUICE_OPS_RESIZE_H_
#define SLUICE_OPS_RESIZE_H_

#include <cmath>
#include <cstdint>
#include <optional>

namespace sluice {

// floor(extent * scale), in f32 as ONNX's own inference has it; empty where it is no extent.
inline std::optional<int64_t> ScaledExtent(int64_t extent, float scale) {
  const float scaled = std::floor(static_cast<float>(extent) * scale);
  if (!(scaled >= 0 && scaled < 0x1p62f)) return std::nullopt;
  return static_cast<int64_t>(scaled);
}

// Under keep_aspect_ratio_policy one scale serves all axes: half-way cases round up.
inline std::optional<int64_t> RoundedExtent(int64_t extent, double scale) {
  const double scaled = std::floor(static_cast<double>(extent) * scale + 0.5);
  if (!(scaled >= 0 && scaled < 0x1p62)) return std::nullopt;
  return static_cast<int64_t>(scaled);
}

}  // namespace sluice

#endif  // SLUICE_OPS_RESIZE_H_
