#include "runtime/forms.h"

namespace sluice {

std::vector<Tensor> Form::Ready(uint64_t written) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (ahead_.Is(written)) present_ = std::exchange(ahead_, Made());
  return present_.Is(written) ? present_.tensors : std::vector<Tensor>();
}

absl::StatusOr<std::vector<Tensor>> Form::Of(absl::Span<const Tensor> plain, uint64_t written) {
  if (std::vector<Tensor> ready = Ready(written); !ready.empty()) return ready;
  std::lock_guard<std::mutex> making(making_);
  if (std::vector<Tensor> ready = Ready(written); !ready.empty()) return ready;
  absl::StatusOr<std::vector<Tensor>> made = make_(plain);
  if (!made.ok()) return made;
  std::lock_guard<std::mutex> lock(mutex_);
  if (present_.tensors.empty() || written > present_.written) present_ = {*made, written};
  if (ahead_.written < present_.written) ahead_ = Made();  // nobody will ask for it any more
  return made;
}

absl::StatusOr<std::vector<Tensor>> Form::MakeAhead(absl::Span<const Tensor> plain,
                                                    uint64_t written) {
  std::lock_guard<std::mutex> making(making_);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    for (const Made* made : {&ahead_, &present_}) {
      if (made->Is(written)) return made->tensors;
    }
  }
  absl::StatusOr<std::vector<Tensor>> made = make_(plain);
  if (!made.ok()) return made;
  std::lock_guard<std::mutex> lock(mutex_);
  ahead_ = {*made, written};
  return made;
}

int64_t Form::bytes() const {
  std::lock_guard<std::mutex> lock(mutex_);
  size_t bytes = 0;
  for (const Made* made : {&present_, &ahead_}) {
    for (const Tensor& t : made->tensors) bytes += t.bytes();
  }
  return static_cast<int64_t>(bytes);
}

std::shared_ptr<Form> FormTable::Get(int variable, const std::string& format, const Pack& pack) {
  std::lock_guard<std::mutex> lock(mutex_);
  std::weak_ptr<Form>& known = forms_[{variable, format}];
  std::shared_ptr<Form> form = known.lock();
  if (form == nullptr) {
    form = std::make_shared<Form>(
        [pack](absl::Span<const Tensor> plain) -> absl::StatusOr<std::vector<Tensor>> {
          absl::StatusOr<Tensor> packed = pack(plain[0]);
          if (!packed.ok()) return packed.status();
          return std::vector<Tensor>{*std::move(packed)};
        });
    known = form;
    absl::erase_if(forms_, [](const auto& entry) { return entry.second.expired(); });
  }
  return form;
}

int64_t FormTable::bytes() const {
  std::lock_guard<std::mutex> lock(mutex_);
  int64_t bytes = 0;
  for (const auto& [key, known] : forms_) {
    if (const std::shared_ptr<Form> form = known.lock()) bytes += form->bytes();
  }
  return bytes;
}

}  // namespace sluice
