// Forms: the values of variables as kernels want them, packed, beside the plain ones. A form is of
// one version: who writes the variable makes the next one before the version is there
// (FormTable::MakeAhead), and where that is not possible, behind a training step, the first run
// that wants it does. Programs and sessions over one State share them.
#ifndef SLUICE_RUNTIME_FORMS_H_
#define SLUICE_RUNTIME_FORMS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/status/statusor.h"
#include "graph/tensor.h"

namespace sluice {

class Form {
 public:
  using Pack = std::function<absl::StatusOr<Tensor>(const Tensor& plain)>;
  explicit Form(Pack pack) : pack_(std::move(pack)) {}

  // The form of `plain`, what the variable is since version `written`. Thread-safe; one thread
  // makes it, the others wait. A form that is older than the newest is made for this call alone.
  absl::StatusOr<Tensor> Of(const Tensor& plain, uint64_t written);
  // The same for a version that nobody has seen yet: the present one stays until it is asked for.
  absl::Status MakeAhead(const Tensor& plain, uint64_t written);

  int64_t bytes() const;

 private:
  struct Made {
    Tensor tensor;
    uint64_t written = 0;
    bool Is(uint64_t wanted) const { return tensor.valid() && written == wanted; }
  };
  // Invalid where nobody has made it.
  Tensor Ready(uint64_t written);

  const Pack pack_;
  std::mutex making_;  // held by who packs; readers of what is there do not wait for that
  mutable std::mutex mutex_;
  Made present_, ahead_;
};

// The forms that plans hold, by variable (its place in the State) and format.
class FormTable {
 public:
  std::shared_ptr<Form> Get(int variable, const std::string& format, Form::Pack pack);
  // All forms of the variable.
  absl::Status MakeAhead(int variable, const Tensor& plain, uint64_t written) const;
  int64_t bytes() const;

 private:
  mutable std::mutex mutex_;
  absl::btree_map<std::pair<int, std::string>, std::weak_ptr<Form>> forms_;
};

}  // namespace sluice

#endif  // SLUICE_RUNTIME_FORMS_H_
