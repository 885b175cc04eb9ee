#include "runtime/forms.h"

#include <vector>

namespace sluice {

Tensor Form::Ready(uint64_t written) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (ahead_.Is(written)) present_ = std::exchange(ahead_, Made());
  return present_.Is(written) ? present_.tensor : Tensor();
}

absl::StatusOr<Tensor> Form::Of(const Tensor& plain, uint64_t written) {
  if (Tensor ready = Ready(written); ready.valid()) return ready;
  std::lock_guard<std::mutex> making(making_);
  if (Tensor ready = Ready(written); ready.valid()) return ready;
  absl::StatusOr<Tensor> made = pack_(plain);
  if (!made.ok()) return made;
  std::lock_guard<std::mutex> lock(mutex_);
  if (!present_.tensor.valid() || written > present_.written) present_ = {*made, written};
  return made;
}

absl::Status Form::MakeAhead(const Tensor& plain, uint64_t written) {
  absl::StatusOr<Tensor> made = pack_(plain);
  if (!made.ok()) return made.status();
  std::lock_guard<std::mutex> lock(mutex_);
  ahead_ = {*std::move(made), written};
  return absl::OkStatus();
}

int64_t Form::bytes() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return static_cast<int64_t>(present_.tensor.bytes() + ahead_.tensor.bytes());
}

std::shared_ptr<Form> FormTable::Get(int variable, const std::string& format, Form::Pack pack) {
  std::lock_guard<std::mutex> lock(mutex_);
  std::weak_ptr<Form>& known = forms_[{variable, format}];
  std::shared_ptr<Form> form = known.lock();
  if (form == nullptr) {
    form = std::make_shared<Form>(std::move(pack));
    known = form;
    absl::erase_if(forms_, [](const auto& entry) { return entry.second.expired(); });
  }
  return form;
}

absl::Status FormTable::MakeAhead(int variable, const Tensor& plain, uint64_t written) const {
  std::vector<std::shared_ptr<Form>> forms;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    for (auto it = forms_.lower_bound({variable, ""});
         it != forms_.end() && it->first.first == variable; ++it) {
      if (std::shared_ptr<Form> form = it->second.lock()) forms.push_back(std::move(form));
    }
  }
  for (const std::shared_ptr<Form>& form : forms) {
    if (absl::Status s = form->MakeAhead(plain, written); !s.ok()) return s;
  }
  return absl::OkStatus();
}

int64_t FormTable::bytes() const {
  std::lock_guard<std::mutex> lock(mutex_);
  int64_t bytes = 0;
  for (const auto& [key, known] : forms_) {
    if (std::shared_ptr<Form> form = known.lock()) bytes += form->bytes();
  }
  return bytes;
}

}  // namespace sluice
