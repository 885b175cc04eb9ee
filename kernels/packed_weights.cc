#include "kernels/packed_weights.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "kernels/kernel.h"

namespace sluice {
namespace {

constexpr uintptr_t kAlignment = 64;
constexpr char kCopy[] = "copy";  // the format of SharedAligned()

std::string SavedKey(const std::string& name, const std::string& format) {
  return absl::StrCat(name.size(), ":", name, format);
}

}  // namespace

std::string PackedSeal(const PackedSet::Entry& entry) {
  Hasher hasher;
  for (const std::string* text : {&entry.source_hash, &entry.format})
    hasher.AddBytes(text->data(), text->size());
  hasher.AddBytes(entry.bytes.raw(), entry.bytes.bytes());
  return hasher.Hex();
}

PackedWeights::PackedWeights(std::shared_ptr<const PackedSet> saved) : saved_(std::move(saved)) {
  if (saved_ == nullptr) return;
  for (const PackedSet::Entry& e : saved_->entries)
    saved_index_.emplace(SavedKey(e.constant, e.format), &e);
}

Tensor PackedWeights::FromSaved(const std::string& name, const Tensor& constant,
                                const std::string& format, int64_t bytes) {
  auto it = saved_index_.find(SavedKey(name, format));
  if (it == saved_index_.end() || it->second == nullptr) return Tensor();
  const PackedSet::Entry& e = *it->second;
  if (e.source.owner() == nullptr || e.source.owner() != constant.owner() ||
      e.source.raw() != constant.raw() || e.source.bytes() != constant.bytes())
    return Tensor();
  const bool sound = e.bytes.dtype() == DType::kU8 && e.bytes.elements() == bytes &&
                     reinterpret_cast<uintptr_t>(e.bytes.raw()) % kAlignment == 0 &&
                     PackedSeal(e) == e.seal;
  std::lock_guard<std::mutex> lock(mutex_);
  ++(sound ? counts_.from_saved : counts_.damaged);
  return sound ? e.bytes : Tensor();
}

absl::StatusOr<Tensor> PackedWeights::Get(const std::string& name, const Tensor& constant,
                                          const std::string& format, int64_t bytes, Make make) {
  const std::string key = absl::StrCat(absl::Hex(reinterpret_cast<uintptr_t>(constant.raw())), " ",
                                       constant.TypeString(), " ", format);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    auto it = forms_.find(key);
    if (it != forms_.end()) {
      // An address may have been given away and taken anew: the owner tells.
      const std::shared_ptr<const void> same = it->second.constant.lock();
      std::shared_ptr<const void> owner = it->second.owner.lock();
      if (same != nullptr && same == constant.owner() && owner != nullptr) {
        ++counts_.shared;
        const Tensor& view = it->second.view;
        return Tensor::Wrap(view.dtype(), view.dims(), view.raw(), std::move(owner));
      }
      forms_.erase(it);
    }
  }
  Tensor packed = FromSaved(name, constant, format, bytes);
  if (!packed.valid()) {
    absl::StatusOr<Tensor> aligned = constant.Aligned();
    if (!aligned.ok()) return aligned;
    absl::StatusOr<Tensor> made = make(*aligned);
    if (!made.ok()) return made;
    packed = *std::move(made);
  }
  std::lock_guard<std::mutex> lock(mutex_);
  ++counts_.made;
  // Forms that died leave their entries; they go when as many again have come.
  if ((counts_.made & (counts_.made - 1)) == 0)
    absl::erase_if(forms_, [](const auto& entry) { return entry.second.owner.expired(); });
  forms_[key] = {name,
                 format,
                 constant.owner(),
                 packed.owner(),
                 Tensor::Wrap(constant.dtype(), constant.dims(), constant.raw(), nullptr),
                 Tensor::Wrap(packed.dtype(), packed.dims(), packed.raw(), nullptr)};
  return packed;
}

std::shared_ptr<PackedWeights> PackedWeights::OfBodies() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (of_bodies_ == nullptr) of_bodies_ = std::make_shared<PackedWeights>();
  return of_bodies_;
}

PackedSet PackedWeights::Collect(std::string key) const {
  PackedSet set;
  set.key = std::move(key);
  std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [unused, form] : forms_) {
    std::shared_ptr<const void> owner = form.owner.lock();
    std::shared_ptr<const void> source = form.constant.lock();
    if (owner == nullptr || source == nullptr || form.name.empty() || form.format == kCopy)
      continue;
    const int64_t bytes = static_cast<int64_t>(form.view.bytes());
    const Tensor& s = form.source;
    PackedSet::Entry e{
        .constant = form.name,
        .source = Tensor::Wrap(s.dtype(), s.dims(), s.raw(), std::move(source)),
        .format = form.format,
        .bytes = Tensor::Wrap(DType::kU8, {bytes}, form.view.raw(), std::move(owner))};
    e.source_hash = e.source.ContentHash();
    e.seal = PackedSeal(e);
    set.entries.push_back(std::move(e));
  }
  std::sort(set.entries.begin(), set.entries.end(), [](const auto& a, const auto& b) {
    return std::tie(a.constant, a.format) < std::tie(b.constant, b.format);
  });
  return set;
}

int64_t PackedWeights::bytes() const {
  std::lock_guard<std::mutex> lock(mutex_);
  absl::flat_hash_map<const void*, int64_t> blocks;  // the forms of equal constants may be one
  for (const auto& [unused, form] : forms_) {
    if (form.owner.expired() || form.view.raw() == form.source.raw()) continue;
    int64_t& size = blocks[form.view.raw()];
    size = std::max(size, static_cast<int64_t>(form.view.bytes()));
  }
  int64_t sum = 0;
  for (const auto& [block, size] : blocks) sum += size;
  return of_bodies_ == nullptr ? sum : sum + of_bodies_->bytes();
}

PackedWeights::Counts PackedWeights::counts() const {
  std::lock_guard<std::mutex> lock(mutex_);
  Counts counts = counts_;
  counts.made -= counts.from_saved;
  if (of_bodies_ == nullptr) return counts;
  const Counts inner = of_bodies_->counts();
  counts.made += inner.made;
  counts.shared += inner.shared;
  return counts;
}

absl::StatusOr<Tensor> SharedAligned(const std::string& name, const Tensor& constant,
                                     PackedWeights* packed) {
  if (packed == nullptr || constant.aligned()) return constant.Aligned();
  return packed->Get(name, constant, kCopy, static_cast<int64_t>(constant.bytes()),
                     [](const Tensor& aligned) { return aligned; });
}

absl::StatusOr<int> PackedInputs::Add(const PrepareContext& context, size_t input,
                                      std::string format, int64_t bytes, Pack pack) {
  Item item{.input = input};
  if (!context.IsConstant(input)) {
    item.form = static_cast<int>(forms_.size());
    forms_.push_back({input, std::move(format), std::move(pack)});
  } else {
    const Value* value = context.node.input(input);
    absl::StatusOr<Tensor> packed;
    if (context.packed == nullptr || value == nullptr) {
      packed = context.constants[input].Aligned();
      if (packed.ok()) packed = pack(*packed);
    } else {
      packed = context.packed->Get(value->name(), context.constants[input], format, bytes, pack);
    }
    if (!packed.ok()) return packed.status();
    item.packed = *std::move(packed);
  }
  items_.push_back(std::move(item));
  return static_cast<int>(items_.size()) - 1;
}

absl::StatusOr<int> PackedInputs::AddPlain(const PrepareContext& context, size_t input) {
  Item item{.input = input};
  if (context.IsConstant(input)) {
    const Value* value = context.node.input(input);
    absl::StatusOr<Tensor> aligned = SharedAligned(value == nullptr ? "" : value->name(),
                                                   context.constants[input], context.packed);
    if (!aligned.ok()) return aligned.status();
    item.packed = *std::move(aligned);
  }
  items_.push_back(std::move(item));
  return static_cast<int>(items_.size()) - 1;
}

size_t PackedInputs::bytes() const {
  size_t bytes = 0;
  for (const Item& item : items_) bytes += item.packed.bytes();
  return bytes;
}

}  // namespace sluice
