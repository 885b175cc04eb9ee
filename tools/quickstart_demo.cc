// The quick start: a small convolutional net, built in C++, exported to ONNX, loaded back, compiled
// and run on handwritten digits that the program brings along.
//
// Nothing is trained here. Fixed edge filters give features; the last layer compares them with the
// mean features of each digit in the first half of the data (nearest class mean, which is linear:
// x.m - |m|^2 / 2). The answers shown are of the second half, which the means have not seen.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>

#include "sluice.h"
#include "tools/digits.h"

namespace sluice {
namespace {

constexpr int64_t kFilters = 8;

// Gradients of the image in eight directions: Sobel's filter, turned.
Tensor EdgeFilters() {
  static constexpr int kRing[8][2] = {{0, 0}, {0, 1}, {0, 2}, {1, 2},
                                      {2, 2}, {2, 1}, {2, 0}, {1, 0}};
  static constexpr float kWeights[8] = {1, 2, 1, 0, -1, -2, -1, 0};
  std::vector<float> w(kFilters * 9, 0.f);
  for (int f = 0; f < kFilters; ++f) {
    for (int i = 0; i < 8; ++i)
      w[f * 9 + kRing[(i + f) % 8][0] * 3 + kRing[(i + f) % 8][1]] = kWeights[i] / 4;
  }
  return Tensor::FromSpan<float>({kFilters, 1, 3, 3}, w);
}

// image f32[batch,1,8,8] -> features f32[batch,128]
Value* Features(GraphBuilder& g, Value* image) {
  NameScope scope(g, "features");
  Value* edges = ops::Relu(
      g, ops::Conv(g, image, g.Constant(EdgeFilters(), "edges"), nullptr, {.pads = {1, 1, 1, 1}}));
  Value* pooled = ops::AveragePool(g, edges, {.kernel_shape = {2, 2}, .strides = {2, 2}});
  return ops::Flatten(g, pooled);
}

absl::StatusOr<Tensor> Rows(const Tensor& t, int64_t begin, int64_t end) {
  Dims dims(t.dims().begin(), t.dims().end());
  const size_t row = t.bytes() / dims[0];
  dims[0] = end - begin;
  return Tensor::Wrap(t.dtype(), dims, t.data<char>() + begin * row, t.owner());
}

absl::Status Run() {
  absl::StatusOr<Digits> digits = LoadDigits();
  if (!digits.ok()) return digits.status();
  const int64_t n = digits->labels.elements(), half = n / 2;
  const int64_t* labels = digits->labels.data<int64_t>();
  std::printf("data: %lld handwritten digits of 8x8 pixels\n", static_cast<long long>(n));

  // The features alone, run over the first half: what the last layer is made of.
  const Type image_type = Type::Tensor(DType::kF32, Shape{Dim::Symbol("batch"), 1, 8, 8});
  Graph features(StandardOps(), "features");
  {
    GraphBuilder g(&features);
    g.Output(Features(g, g.Input("image", image_type)), "features");
    if (!g.status().ok()) return g.status();
  }
  absl::StatusOr<std::unique_ptr<Session>> extractor = Session::Create(features);
  if (!extractor.ok()) return extractor.status();
  absl::StatusOr<Tensor> known = Rows(digits->images, 0, half);
  if (!known.ok()) return known.status();
  absl::StatusOr<std::vector<Tensor>> seen = (*extractor)->Run({{"image", *known}});
  if (!seen.ok()) return seen.status();
  const int64_t width = (*seen)[0].dims()[1];
  std::vector<float> means(width * 10, 0.f), bias(10, 0.f), count(10, 0.f);
  for (int64_t i = 0; i < half; ++i) {
    ++count[labels[i]];
    for (int64_t k = 0; k < width; ++k)
      means[k * 10 + labels[i]] += (*seen)[0].data<float>()[i * width + k];
  }
  for (int64_t k = 0; k < width * 10; ++k) {
    means[k] /= count[k % 10];
    bias[k % 10] -= means[k] * means[k] / 2;
  }

  // The whole net.
  Graph net(StandardOps(), "digits");
  GraphBuilder g(&net);
  Value* x = Features(g, g.Input("image", image_type));
  Value* scores = ops::Gemm(g, x, g.Constant(Tensor::FromSpan<float>({width, 10}, means), "means"),
                            g.Constant(Tensor::Vector<float>(bias), "bias"));
  g.Output(ops::Softmax(g, scores), "probabilities");
  if (!g.status().ok()) return g.status();
  std::printf("\nthe net as text:\n%s\n", Print(net).c_str());

  // Out to ONNX and back.
  char folder[] = "/tmp/sluice-quickstart-XXXXXX";
  if (mkdtemp(folder) == nullptr) return absl::InternalError("no temporary folder");
  const std::string path = std::string(folder) + "/digits.onnx";
  if (absl::Status s = WriteModel(net, path); !s.ok()) return s;
  absl::StatusOr<std::unique_ptr<Graph>> loaded = ReadModel(path);
  unlink(path.c_str());
  rmdir(folder);
  if (!loaded.ok()) return loaded.status();
  std::printf("exported to ONNX and loaded back: %zu nodes\n\n", (*loaded)->num_nodes());

  absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(**loaded);
  if (!session.ok()) return session.status();
  absl::StatusOr<Tensor> unseen = Rows(digits->images, half, n);
  if (!unseen.ok()) return unseen.status();
  absl::StatusOr<std::vector<Tensor>> result =
      (*session)->Run({{"image", *unseen}}, {"probabilities"});
  if (!result.ok()) return result.status();
  std::printf("%s\n", (*session)->Explain().c_str());

  const float* p = (*result)[0].data<float>();
  int64_t right = 0;
  for (int64_t i = 0; i < n - half; ++i) {
    right += std::max_element(p + i * 10, p + i * 10 + 10) - (p + i * 10) == labels[half + i];
  }
  for (int64_t i = 0; i < 3; ++i) {
    const float* row = p + i * 10;
    const int64_t answer = std::max_element(row, row + 10) - row;
    const int64_t digit = half + i;
    std::printf("digit %lld:\n", static_cast<long long>(digit));
    for (int y = 0; y < 8; ++y) {
      std::printf("  ");
      for (int c = 0; c < 8; ++c)
        std::printf("%c%c",
                    " .:-=+*#%"[static_cast<int>(unseen->data<float>()[i * 64 + y * 8 + c] * 8)],
                    ' ');
      std::printf("\n");
    }
    std::printf("  answer %lld (%.0f %%), labelled %lld\n", static_cast<long long>(answer),
                100 * row[answer], static_cast<long long>(labels[half + i]));
  }
  std::printf("\n%lld of %lld unseen digits right (%.1f %%)\n", static_cast<long long>(right),
              static_cast<long long>(n - half), 100.0 * right / (n - half));

  // Latency of one image, as a service would ask for it.
  absl::StatusOr<std::unique_ptr<Callable>> call =
      (*session)->MakeCallable({.feeds = {"image"}, .fetches = {"probabilities"}});
  if (!call.ok()) return call.status();
  std::vector<double> times;
  for (int i = 0; i < 2000; ++i) {
    absl::StatusOr<Tensor> one = Rows(*unseen, i % (n - half), i % (n - half) + 1);
    Tensor out;
    const auto start = std::chrono::steady_clock::now();
    if (absl::Status s = (*call)->Run({*one}, absl::MakeSpan(&out, 1)); !s.ok()) return s;
    times.push_back(
        std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start)
            .count());
  }
  std::sort(times.begin(), times.end());
  std::printf("one image: %.1f microseconds (median of %zu runs, 99 %% within %.1f)\n",
              times[times.size() / 2], times.size(), times[times.size() * 99 / 100]);
  return absl::OkStatus();
}

}  // namespace
}  // namespace sluice

int main() {
  const absl::Status status = sluice::Run();
  if (!status.ok()) std::fprintf(stderr, "quickstart: %s\n", std::string(status.message()).c_str());
  return status.ok() ? 0 : 1;
}
