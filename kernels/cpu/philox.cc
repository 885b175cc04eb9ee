// FoldKey, PhiloxUniform and PhiloxNormal.
#include "kernels/cpu/philox.h"

#include "kernels/cpu/int_input.h"

namespace sluice::cpu {

std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> x, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xd2511f53u} * x[0], p1 = uint64_t{0xcd9e8d57u} * x[2];
    x = {static_cast<uint32_t>(p1 >> 32) ^ x[1] ^ key[0], static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ x[3] ^ key[1], static_cast<uint32_t>(p0)};
    key[0] += 0x9e3779b9u;
    key[1] += 0xbb67ae85u;
  }
  return x;
}

RandomKey Fold(RandomKey key, uint64_t data) {
  const auto low = [](uint64_t x) { return static_cast<uint32_t>(x); };
  const auto high = [](uint64_t x) { return static_cast<uint32_t>(x >> 32); };
  const std::array<uint32_t, 4> x = Philox4x32(
      {low(data), high(data), low(key.counter), high(key.counter)}, {low(key.key), high(key.key)});
  return {x[0] | uint64_t{x[1]} << 32, x[2] | uint64_t{x[3]} << 32};
}

namespace {

RandomKey KeyOf(const LaunchContext& c) {
  const uint64_t* key = c.input<uint64_t>(0);
  return {key[0], key[1]};
}

class FoldKeyKernel : public Kernel {
 public:
  absl::Status Launch(const LaunchContext& c) const override {
    const RandomKey folded = Fold(KeyOf(c), *c.input<uint64_t>(1));
    uint64_t* out = c.output<uint64_t>(0);
    out[0] = folded.key;
    out[1] = folded.counter;
    return absl::OkStatus();
  }
  std::string Description() const override { return "philox"; }
  bool may_fail() const override { return false; }
};

class NumbersKernel : public Kernel {
 public:
  NumbersKernel(const PrepareContext& context, Distribution distribution)
      : distribution_(distribution),
        dtype_(context.node.GetDType("dtype")),
        stream_(static_cast<uint64_t>(context.node.Int("stream"))),
        planned_(context.HasInput(2) ? context.input_dims(2) : PlannedDims(context)),
        shape_(context, 1),
        like_(context.HasInput(2)) {}

  absl::Status Launch(const LaunchContext& c) const override {
    const IntList dims = like_ ? IntList(planned_->begin(), planned_->end()) : shape_.Read(c);
    absl::StatusOr<int64_t> n = ElementCount(dims, ByteSize(dtype_));
    if (!n.ok()) return n.status();
    absl::StatusOr<void*> out = OutputMemory(c, 0, planned_, dims);
    if (!out.ok()) return out.status();
    const RandomKey key = Fold(KeyOf(c), stream_);
    const auto fill = [&]<typename T>(T* to) {
      c.pool->ParallelFor(*n, 1 << 13, [&](int64_t begin, int64_t end) {
        FillRandom(distribution_, key, static_cast<uint64_t>(begin),
                   static_cast<size_t>(end - begin), to + begin);
      });
    };
    if (dtype_ == DType::kF64) {
      fill(static_cast<double*>(*out));
    } else {
      fill(static_cast<float*>(*out));
    }
    return absl::OkStatus();
  }
  std::string Description() const override { return "philox"; }
  bool dynamic_outputs() const override { return !planned_.has_value(); }
  bool may_fail() const override { return !planned_.has_value() || !shape_.constant(); }
  std::vector<int> unread_inputs() const override {
    return like_ ? std::vector<int>{2} : std::vector<int>();
  }

 private:
  const Distribution distribution_;
  const DType dtype_;
  const uint64_t stream_;
  const std::optional<Dims> planned_;
  const IntInput shape_;
  const bool like_;
};

absl::StatusOr<std::unique_ptr<Kernel>> PrepareNumbers(const PrepareContext& context,
                                                       Distribution distribution) {
  if (context.input_dims(0) != Dims{2}) return Invalid("the key is not of the type u64[2]");
  return std::make_unique<NumbersKernel>(context, distribution);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> PrepareFoldKey(const PrepareContext& context) {
  if (context.input_dims(0) != Dims{2}) return Invalid("the key is not of the type u64[2]");
  if (ElementCount(context.input_dims(1)).value_or(0) != 1)
    return Invalid("data must be one number");
  return std::make_unique<FoldKeyKernel>();
}

absl::StatusOr<std::unique_ptr<Kernel>> PreparePhiloxUniform(const PrepareContext& context) {
  return PrepareNumbers(context, Distribution::kUniform);
}
absl::StatusOr<std::unique_ptr<Kernel>> PreparePhiloxNormal(const PrepareContext& context) {
  return PrepareNumbers(context, Distribution::kNormal);
}

}  // namespace sluice::cpu
