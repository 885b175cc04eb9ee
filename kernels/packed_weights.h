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
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "graph/packed_set.h"
#include "graph/tensor.h"
#include "kernels/kernel.h"

namespace sluice {

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

  // The set that all bodies of the program share, in every plan of it. What is saved goes by names,
  // which are not theirs: theirs are packed here.
  std::shared_ptr<PackedWeights> OfBodies();

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
  std::shared_ptr<PackedWeights> of_bodies_;
  Counts counts_;
};

// What an entry's `seal` must be.
std::string PackedSeal(const PackedSet::Entry& entry);

// `constant` itself where it is aligned, else a copy that the plans of a program share.
absl::StatusOr<Tensor> SharedAligned(const std::string& name, const Tensor& constant,
                                     PackedWeights* packed);

// The packed inputs of one kernel. Of a constant the form is made at preparation, or taken from
// context.packed, and is the kernel's; of a held input it comes with each launch.
class PackedInputs {
 public:
  using Pack = std::function<absl::StatusOr<Tensor>(const Tensor& plain)>;

  // Input `input` of the node, which is packable, in the form `format` of `bytes` bytes. Returns
  // the index by which data() knows it. `pack` may be called as long as the kernel lives.
  absl::StatusOr<int> Add(const PrepareContext& context, size_t input, std::string format,
                          int64_t bytes, Pack pack);

  // Input `input` as it is, aligned.
  absl::StatusOr<int> AddPlain(const PrepareContext& context, size_t input);

  const void* data(int index, const LaunchContext& context) const {
    const Item& item = items_[static_cast<size_t>(index)];
    return item.packed.valid() ? item.packed.raw()
           : item.form >= 0    ? context.forms[static_cast<size_t>(item.form)]
                               : context.inputs[item.input];
  }
  template <typename T>
  const T* data(int index, const LaunchContext& context) const {
    return static_cast<const T*>(data(index, context));
  }

  // The same where it is known before any launch, of a constant; else null.
  const void* fixed(int index) const { return items_[static_cast<size_t>(index)].packed.raw(); }

  absl::Span<const InputForm> forms() const { return forms_; }
  size_t bytes() const;  // of constants' forms

 private:
  struct Item {
    Tensor packed;  // of a constant
    int form = -1;  // of a held input: among forms_, or as it is
    size_t input = 0;
  };
  std::vector<Item> items_;
  std::vector<InputForm> forms_;
};

}  // namespace sluice

#endif  // SLUICE_KERNELS_PACKED_WEIGHTS_H_
