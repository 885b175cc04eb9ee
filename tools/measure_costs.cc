// Measures what kernels/cpu/cost/cost_table.inc holds and prints its line for the instruction set
// in use; with --check, how well the estimates choose between the convolutions' kernels. Run it
// through tools/fit_costs, on an idle machine.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "graph/builder.h"
#include "kernels/cpu/cost/cost.h"
#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/gemm/packed_gemm.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/winograd_transform.h"
#include "ops/op.h"

namespace sluice {
namespace {

// Nanoseconds of the fastest of many runs: other work on the machine only ever adds.
double Fastest(const std::function<void()>& run, double seconds = 0.2) {
  double best = INFINITY, total = 0;
  for (int i = 0; i < 5 || (total < seconds * 1e9 && i < 100000); ++i) {
    const auto start = std::chrono::steady_clock::now();
    run();
    const double took =
        std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
    best = std::min(best, took);
    total += took;
  }
  return best;
}

Tensor Numbers(const Dims& dims) {
  Tensor t = *Tensor::Allocate(DType::kF32, dims);
  uint32_t state = 1;
  for (int64_t i = 0; i < t.elements(); ++i) {
    state = state * 1664525u + 1013904223u;
    t.mutable_data<float>()[i] = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-31f;
  }
  return t;
}

double FlopsPerNs() {
  constexpr int64_t kM = 96, kK = 256;
  const int64_t n = 4 * cpu::PanelColumns();
  const Tensor a = Numbers({kM, kK}), b = Numbers({kK, n});
  Tensor panels = Numbers({cpu::PackedFloats(kK, n)}), c = Numbers({kM, n});
  cpu::PackPanels(b.data<float>(), n, 1, kK, n, 1, panels.mutable_data<float>());
  cpu::PackedGemmArgs g{.m = kM,
                        .n = n,
                        .k = kK,
                        .a = a.data<float>(),
                        .a_row = kK,
                        .panels = panels.data<float>(),
                        .c = c.mutable_data<float>(),
                        .c_row = n};
  return 2.0 * static_cast<double>(kM * n * kK) / Fastest([&] { cpu::PackedGemm(g); });
}

// Bytes a nanosecond that `threads` read of memory of their own, together.
double BytesPerNs(int64_t bytes, int threads) {
  const int64_t words = bytes / static_cast<int64_t>(sizeof(uint64_t)) / 64 * 64;
  std::vector<std::vector<uint64_t>> memory(threads,
                                            std::vector<uint64_t>(static_cast<size_t>(words), 1));
  std::vector<uint64_t> sums(static_cast<size_t>(threads) * 8);
  ThreadPool pool(threads);
  const double ns = Fastest(
      [&] {
        pool.RunTasks(threads, [&](int task, int) {
          const uint64_t* p = memory[task].data();
          uint64_t sum[32] = {};
          for (int64_t i = 0; i < words; i += 32) {
            for (int64_t j = 0; j < 32; ++j) sum[j] += p[i + j];
          }
          for (uint64_t s : sum) sums[static_cast<size_t>(task) * 8] += s;
        });
      },
      1);
  return static_cast<double>(words * threads) * sizeof(uint64_t) / ns;
}

double TransformNs() {
  constexpr int64_t kChannels = 64, kTiles = 16, kStride = kChannels * kTiles + 16;
  const cpu::WinogradTransform t = cpu::FindWinograd(4);
  Tensor image = Numbers({6, 6 * kTiles, kChannels}), v = Numbers({36, kStride});
  const double ns = Fastest([&] {
    for (int64_t tile = 0; tile < kTiles; ++tile) {
      float* pixels[36];
      for (int i = 0; i < 36; ++i)
        pixels[i] = image.mutable_data<float>() + (i * kTiles + tile) * kChannels;
      t.input(pixels, kChannels, v.mutable_data<float>() + tile * kChannels, kStride);
      t.output(v.data<float>() + tile * kChannels, kStride, kChannels, nullptr, -1, 1, pixels);
    }
  });
  return ns / static_cast<double>(2 * 36 * kTiles * kChannels);
}

// A convolution of n images with c channels, channels last; or of volumes of as many slices.
struct Convolution {
  int64_t n, c, k, size, group = 1, stride = 1, slices = 0, taps = 3;
  const char* step = nullptr;  // behind it

  std::string Name() const {
    return absl::StrCat(n, " x ", c, "->", k, " @ ", slices > 0 ? absl::StrCat(slices, " of ") : "",
                        size, group > 1 ? absl::StrCat(" in ", group) : "",
                        stride > 1 ? absl::StrCat(" by ", stride) : "",
                        taps != 3 ? absl::StrCat(", ", taps, " taps") : "",
                        step != nullptr ? absl::StrCat(", ", step) : "");
  }
};

struct Measured {
  std::string name, description;
  double estimate, ns;
};

std::vector<Measured> MeasureConvolution(const Convolution& s, int threads, double seconds) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  const size_t axes = s.slices > 0 ? 3 : 2;
  Dims in = {s.n, s.c, s.size, s.size}, filters = {s.k, s.c / s.group, s.taps, s.taps};
  if (s.slices > 0) {
    in.insert(in.begin() + 2, s.slices);
    filters.push_back(s.taps);
  }
  std::vector<int64_t> strides(axes, 1);
  strides[axes - 1] = strides[axes - 2] = s.stride;
  const Tensor x = Numbers(in), w = Numbers(filters);
  AttrList attrs = {{"pads", std::vector<int64_t>(2 * axes, s.taps / 2)},
                    {"strides", strides},
                    {"group", s.group}};
  const std::string step = s.step == nullptr ? "" : s.step;
  const char* const op = step.empty() ? "Conv" : "FusedConv";
  if (!step.empty()) attrs.push_back({"activations", std::vector<std::string>{step}});
  if (step == "Gelu") attrs.push_back({"activation_params", std::vector<float>{0}});
  if (step == "Swish") attrs.push_back({"activation_params", std::vector<float>{1}});
  const Value* out = b.OpN(op, {b.Input("x", Type::Of(x)), b.Constant(w)}, 1, attrs)[0];
  Tensor y = Numbers(*out->type().StaticDims());
  const auto last = [](const Tensor& t) {
    return Type::Tensor(DType::kF32, Shape(t.dims().begin(), t.dims().end()),
                        Layout::kChannelsLast);
  };
  PrepareContext context{.node = *out->producer(), .threads = threads};
  context.inputs = {last(x), Type::Of(w)};
  context.outputs = {last(y)};
  context.constants = {Tensor(), w};
  ThreadPool pool(threads);
  std::vector<Measured> all;
  for (const KernelCandidate& c : CpuKernels().Find(op)) {
    if (c.estimate == nullptr) continue;
    const absl::StatusOr<double> estimate = c.estimate(context);
    absl::StatusOr<std::unique_ptr<Kernel>> kernel = c.prepare(context);
    if (!estimate.ok() || !kernel.ok()) continue;
    Tensor scratch =
        *Tensor::Allocate(DType::kU8, {static_cast<int64_t>((*kernel)->scratch_bytes()) + 64});
    const void* in[] = {x.raw(), w.raw()};
    void* result[] = {y.mutable_raw()};
    const LaunchContext launch{in, result, scratch.mutable_raw(), &pool, nullptr};
    all.push_back({c.name, (*kernel)->Description(), *estimate,
                   Fastest([&] { (void)(*kernel)->Launch(launch); }, seconds)});
  }
  return all;
}

void PrintLine() {
  const cpu::CpuCosts& now = cpu::Costs();
  const int cores = ThreadPool::UsableCores();
  ThreadPool pool(2);
  // The library's convolution or our product, whichever comes closer to what the machine can.
  double flops = FlopsPerNs();
  for (const Measured& m : MeasureConvolution({1, 128, 128, 28}, 1, 0.3)) {
    if (m.name == "onednn") flops = std::max(flops, 2.0 * 9 * 128 * 128 * 28 * 28 / m.ns);
  }
  const double l2 = BytesPerNs(now.l2_bytes / 2, 1);
  const double l3 = BytesPerNs(std::min(now.l3_bytes / 4, 8 * now.l2_bytes), 1);
  const int64_t large = std::max<int64_t>(256 << 20, 4 * now.l3_bytes);
  const double memory = BytesPerNs(large, 1), memory_all = BytesPerNs(large / cores, cores);
  double call = INFINITY;
  for (const Measured& m : MeasureConvolution({1, 1, 1, 1}, 1, 0.1)) call = std::min(call, m.ns);
  // The tasks meet, so that one thread cannot do both.
  const double fork = Fastest([&] {
    std::atomic<int> arrived{0};
    pool.RunTasks(2, [&](int, int) {
      arrived.fetch_add(1);
      while (arrived.load(std::memory_order_relaxed) < 2) {
      }
    });
  });
  std::printf("SLUICE_CPU_COSTS(\"%s\", %.0f, %.0f, %.0f, %.1f, %.1f, %.0f, %.0f, %.2f)\n",
              cpu::ChooseIsa(), flops, l2, l3, memory, memory_all, call, fork, TransformNs());
}

// The estimates against the clock, and what choosing by them costs.
void PrintCheck(int threads) {
  double loss = 0;
  int best = 0, shapes = 0;
  for (const Convolution& s :
       std::initializer_list<Convolution>{{1, 16, 16, 64},
                                          {1, 24, 24, 128},
                                          {1, 32, 32, 32},
                                          {1, 64, 64, 56},
                                          {8, 64, 64, 56},
                                          {1, 48, 96, 64},
                                          {1, 128, 128, 28},
                                          {1, 192, 192, 17},
                                          {1, 256, 128, 40},
                                          {1, 256, 256, 14},
                                          {1, 512, 512, 7},
                                          {8, 512, 512, 7},
                                          {1, 64, 64, 8},
                                          {1, 128, 128, 4},
                                          {1, 128, 128, 56, 32},
                                          {1, 256, 256, 56, 32, 2},
                                          {1, 256, 256, 28, 32},
                                          {8, 256, 256, 28, 32},
                                          {1, 512, 512, 14, 32},
                                          {1, 1024, 1024, 7, 32},
                                          {1, 48, 48, 56, 6},
                                          {1, 104, 104, 28, 13},
                                          {1, 440, 440, 14, 55, 2},
                                          {1, 48, 48, 56, 2},
                                          {1, 64, 64, 112, 64, 2},
                                          {8, 64, 64, 112, 64, 2},
                                          {1, 16, 16, 112, 16},
                                          {1, 72, 72, 56, 72},
                                          {8, 72, 72, 56, 72},
                                          {1, 120, 120, 28, 120, 1, 0, 5},
                                          {8, 120, 120, 28, 120, 1, 0, 5},
                                          {1, 240, 240, 28, 240, 2},
                                          {1, 480, 480, 14, 480},
                                          {8, 480, 480, 14, 480},
                                          {1, 672, 672, 14, 672, 2, 0, 5},
                                          {1, 960, 960, 7, 960, 1, 0, 5},
                                          {1, 96, 96, 56, 96, 1, 0, 7},
                                          {1, 72, 72, 56, 72, 1, 0, 3, "HardSwish"},
                                          {1, 480, 480, 14, 480, 1, 0, 3, "HardSwish"},
                                          {8, 480, 480, 14, 480, 1, 0, 3, "HardSwish"},
                                          {1, 672, 672, 14, 672, 1, 0, 5, "Swish"},
                                          {1, 1024, 1024, 14, 1024, 1, 0, 3, "Gelu"},
                                          {1, 256, 256, 56, 256, 1, 0, 3, "Gelu"},
                                          {1, 384, 384, 14, 384, 1, 0, 7},
                                          {1, 64, 64, 28, 1, 1, 8},
                                          {1, 128, 128, 14, 1, 1, 4},
                                          {1, 32, 32, 64, 1, 1, 32},
                                          {1, 512, 512, 7, 1, 1, 2}}) {
    const std::vector<Measured> all = MeasureConvolution(s, threads, 0.3);
    const auto by = [&](double Measured::* field) {
      return std::min_element(all.begin(), all.end(), [&](const Measured& a, const Measured& b) {
        return a.*field < b.*field;
      });
    };
    const auto chosen = by(&Measured::estimate), fastest = by(&Measured::ns);
    std::printf("%s:", s.Name().c_str());
    for (const Measured& m : all) {
      std::printf("  %s %s (est. %s)%s", m.name.c_str(), FormatNanoseconds(m.ns).c_str(),
                  FormatNanoseconds(m.estimate).c_str(), &m == &*chosen ? " *" : "");
    }
    std::printf("\n");
    ++shapes;
    best += chosen == fastest;
    loss += std::log(chosen->ns / fastest->ns);
  }
  std::printf("%s, %d threads: the fastest chosen in %d of %d; chosen / fastest %.3f (geometric)\n",
              cpu::ChooseIsa(), threads, best, shapes, std::exp(loss / shapes));
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  if (argc == 1) {
    sluice::PrintLine();
    return 0;
  }
  if (argc == 3 && std::strcmp(argv[1], "--check") == 0 && std::atoi(argv[2]) > 0) {
    sluice::PrintCheck(std::min(std::atoi(argv[2]), 256));
    return 0;
  }
  std::fprintf(stderr, "usage: measure_costs [--check THREADS]\n");
  return 2;
}
