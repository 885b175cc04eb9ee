// Forms: what is made of the values of variables, once a version: a weight as a kernel wants it,
// packed, or what a program computes of its variables alone. Programs and sessions over one State
// share the forms of its variables.
//
// Who writes the variables makes the next forms before the version is there; where that is not
// possible, behind a training step, the first run that wants them does.
#ifndef SLUICE_RUNTIME_FORMS_H_
#define SLUICE_RUNTIME_FORMS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "graph/tensor.h"

namespace sluice {

class Form {
 public:
  using Make = std::function<absl::StatusOr<std::vector<Tensor>>(absl::Span<const Tensor> plain)>;
  explicit Form(Make make) : make_(std::move(make)) {}

  // The form of `plain`, what the variables are since version `written`. Thread-safe; one thread
  // makes it, the others wait. A form that is older than the newest is made for this call alone.
  absl::StatusOr<std::vector<Tensor>> Of(absl::Span<const Tensor> plain, uint64_t written);
  // The same for a version that no run has seen yet: the present form stays until this one is
  // asked for.
  absl::StatusOr<std::vector<Tensor>> MakeAhead(absl::Span<const Tensor> plain, uint64_t written);

  int64_t bytes() const;

 private:
  struct Made {
    std::vector<Tensor> tensors;
    uint64_t written = 0;
    bool Is(uint64_t wanted) const { return !tensors.empty() && written == wanted; }
  };
  // Empty where nobody has made it.
  std::vector<Tensor> Ready(uint64_t written);

  const Make make_;
  std::mutex making_;  // held by who makes one; readers of what is there do not wait for that
  mutable std::mutex mutex_;
  Made present_, ahead_;
};

// The packed forms that plans hold, by variable (its place in the State) and format.
class FormTable {
 public:
  using Pack = std::function<absl::StatusOr<Tensor>(const Tensor& plain)>;
  std::shared_ptr<Form> Get(int variable, const std::string& format, const Pack& pack);
  int64_t bytes() const;

 private:
  mutable std::mutex mutex_;
  absl::btree_map<std::pair<int, std::string>, std::weak_ptr<Form>> forms_;
};

}  // namespace sluice

#endif  // SLUICE_RUNTIME_FORMS_H_
