#include "kernels/packed_weights.h"

#include <gtest/gtest.h>

#include <cstring>

namespace sluice {
namespace {

Tensor Numbers(uint64_t seed) { return *Tensor::Random(DType::kF32, {64}, {.seed = seed}); }

// Packs by copying; counts.
struct Packer {
  mutable int calls = 0;
  absl::StatusOr<Tensor> operator()(const Tensor& constant) const {
    EXPECT_TRUE(constant.aligned());
    ++calls;
    return Numbers(100);
  }
};

TEST(PackedWeights, UnalignedConstantsAreCopiedOnceForAll) {
  PackedWeights packed;
  Packer packer;
  alignas(64) char memory[401];
  for (int i = 0; i < 100; ++i) {
    const float number = static_cast<float>(i);
    std::memcpy(memory + 1 + 4 * i, &number, 4);
  }
  const Tensor odd = Tensor::Wrap(DType::kF32, {100}, memory + 1, std::make_shared<int>(1));
  ASSERT_FALSE(odd.aligned());
  const Tensor a = *SharedAligned("w", odd, &packed), b = *SharedAligned("w", odd, &packed);
  EXPECT_TRUE(a.aligned());
  EXPECT_EQ(a.raw(), b.raw());
  EXPECT_EQ(a, odd);
  EXPECT_EQ(odd.At<float>(99), 99);
  const Tensor form = *packed.Get("w", odd, "blocks", 256, packer);
  EXPECT_EQ(packer.calls, 1);
  // What is saved are forms, not copies.
  ASSERT_EQ(packed.Collect("key").entries.size(), 1u);
  EXPECT_EQ(packed.Collect("key").entries[0].format, "blocks");
}

TEST(PackedWeights, OneFormForAllThatAskWhileItLives) {
  PackedWeights packed;
  Packer packer;
  const Tensor weights = Numbers(1);
  {
    const Tensor a = *packed.Get("w", weights, "blocks", 256, packer);
    const Tensor b = *packed.Get("w", weights, "blocks", 256, packer);
    EXPECT_EQ(a.raw(), b.raw());
    EXPECT_EQ(packer.calls, 1);
    const Tensor c = *packed.Get("w", weights, "panels", 256, packer);
    EXPECT_NE(a.raw(), c.raw());
    EXPECT_EQ(packer.calls, 2);
    EXPECT_EQ(packed.Collect("key").entries.size(), 2u);
  }
  EXPECT_TRUE(packed.Collect("key").entries.empty());  // the kernels own them
  (void)*packed.Get("w", weights, "blocks", 256, packer);
  EXPECT_EQ(packer.calls, 3);
}

TEST(PackedWeights, AnotherConstantAtTheSameAddressIsAnother) {
  PackedWeights packed;
  Packer packer;
  float memory[64] = {};
  auto owner = std::make_shared<int>(1);
  const Tensor kept =
      *packed.Get("w", Tensor::Wrap(DType::kF32, {64}, memory, owner), "blocks", 256, packer);
  owner = std::make_shared<int>(2);
  (void)*packed.Get("w", Tensor::Wrap(DType::kF32, {64}, memory, owner), "blocks", 256, packer);
  EXPECT_EQ(packer.calls, 2);
}

TEST(PackedWeights, SavedFormsAreTakenWhereTheyAreSound) {
  const Tensor saved = Numbers(7), weights = Numbers(1);
  const Tensor bytes = Tensor::Wrap(DType::kU8, {256}, saved.raw(), saved.owner());
  auto set = std::make_shared<PackedSet>();
  const auto add = [&](const char* name, const Tensor& source) {
    PackedSet::Entry e{.constant = name, .source = source, .format = "f", .bytes = bytes};
    e.source_hash = source.ContentHash();
    e.seal = PackedSeal(e);
    set->entries.push_back(e);
    return &set->entries.back();
  };
  add("sound", weights);
  add("changed", weights)->seal[0] ^= 1;
  add("short", weights);
  add("folded", Numbers(1));
  // What was packed of other weights, under the name of these.
  PackedSet::Entry* swapped = add("swapped", Numbers(9));
  swapped->source = weights;
  swapped->source_hash = weights.ContentHash();
  add("renamed", weights)->seal =
      PackedSeal({.source_hash = weights.ContentHash(), .format = "another", .bytes = bytes});
  PackedWeights packed(set);
  Packer packer;
  EXPECT_EQ(packed.Get("sound", weights, "f", 256, packer)->raw(), saved.raw());
  EXPECT_EQ(packer.calls, 0);
  EXPECT_NE(packed.Get("sound", weights, "other", 256, packer)->raw(), saved.raw());
  EXPECT_EQ(packed.counts().from_saved, 1);
  // "folded": a pass has put another constant where this name was.
  for (const char* name : {"changed", "short", "folded", "swapped", "renamed"}) {
    PackedWeights wrong(set);
    const int64_t bytes_wanted = name == std::string("short") ? 512 : 256;
    EXPECT_NE(wrong.Get(name, weights, "f", bytes_wanted, packer)->raw(), saved.raw()) << name;
    EXPECT_EQ(wrong.counts().damaged, name[0] == 'f' ? 0 : 1) << name;
  }
  EXPECT_EQ(packer.calls, 6);
}

}  // namespace
}  // namespace sluice
