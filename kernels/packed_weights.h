// PackedWeights: constants in kernels' own formats, each packed once. The plans of a program share
// them, so that a new input shape costs no packing; a saved set is taken instead of packing.
//
// It owns nothing that was packed here: the kernels do, and a form lives as long as one of them.
#ifndef SLUICE_KERNELS_PACKED_WEIGHTS_H_
#define SLUICE_KERNELS_PACKED_WEIGHTS_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "graph/packed_set.h"
#include "graph/tensor.h"

namespace sluice {

struct PrepareContext;

class PackedWeights {
 public:
  // `constant`: the one to pack, aligned.
  using Make = absl::FunctionRef<absl::StatusOr<Tensor>(const Tensor& constant)>;

  // `saved` may be null; its key is the caller's to check. What does not fit is packed again: also
  // where a pass has put another constant in the place of the one that was packed.
  explicit PackedWeights(std::shared_ptr<const PackedSet> saved = nullptr);

  // The form `format` of `constant`, the graph's value `name`: shared, saved, or fresh from `make`.
  // Equal formats must mean equal bytes for equal contents, `bytes` of them. Thread-safe.
  absl::StatusOr<Tensor> Get(const std::string& name, const Tensor& constant,
                             const std::string& format, int64_t bytes, Make make);

  // What lives now, to be saved. Forms whose constant has no name are left out, and mere copies:
  // what is saved is aligned.
  PackedSet Collect(std::string key) const;

  // Memory of the forms that live now, each once.
  int64_t bytes() const;

  struct Counts {
    int64_t made = 0, shared = 0, from_saved = 0;
    int64_t damaged = 0;  // saved, but of a wrong size or content: packed again
  };
  Counts counts() const;

 private:
  struct Form {
    std::string name, format;
    std::weak_ptr<const void> constant, owner;
    Tensor source, view;  // of the constant and of the packed bytes, without ownership
  };
  Tensor FromSaved(const std::string& name, const Tensor& constant, const std::string& format,
                   int64_t bytes);

  const std::shared_ptr<const PackedSet> saved_;
  absl::flat_hash_map<std::string, const PackedSet::Entry*> saved_index_;
  mutable std::mutex mutex_;
  absl::flat_hash_map<std::string, Form> forms_;
  Counts counts_;
};

// What an entry's `seal` must be.
std::string PackedSeal(const PackedSet::Entry& entry);

// `constant` itself where it is aligned, else a copy that the plans of a program share.
absl::StatusOr<Tensor> SharedAligned(const std::string& name, const Tensor& constant,
                                     PackedWeights* packed);

// Constant `input` of the node in the form `format`: from context.packed where there is one.
absl::StatusOr<Tensor> PackConstant(const PrepareContext& context, size_t input,
                                    const std::string& format, int64_t bytes,
                                    PackedWeights::Make make);

}  // namespace sluice

#endif  // SLUICE_KERNELS_PACKED_WEIGHTS_H_
