// A graph in our text form, run: as it is, and optimised on one and two threads. These two must
// give the same bits under `deterministic`; against the first, whose numbers are rounded elsewhere,
// only the number of results and their dtypes are compared (tests/random/ compares numbers).
#include "graph/infer.h"
#include "graph/text.h"
#include "ops/op.h"
#include "runtime/session.h"
#include "tests/fuzz/fuzz.h"

namespace sluice::fuzz {
namespace {

constexpr int64_t kMostElements = 4096;  // of one input

// Of each input, every symbol the same small number; nothing for what cannot be fed.
std::optional<Feeds> FeedsFor(const Graph& graph, int64_t symbol) {
  Feeds feeds;
  for (const Value* input : graph.inputs()) {
    const Type& type = input->type();
    if (!type.is_tensor() || !type.has_shape() || !IsNumeric(type.dtype())) return std::nullopt;
    Dims dims;
    for (const Dim& d : type.shape()) dims.push_back(d.is_number() ? d.number() : symbol);
    const absl::StatusOr<int64_t> n = ElementCount(dims);
    if (!n.ok() || *n > kMostElements) return std::nullopt;
    absl::StatusOr<Tensor> t = Tensor::Random(type.dtype(), dims, {.seed = 1, .scale = 2});
    if (!t.ok()) return std::nullopt;
    feeds.push_back({input->name(), *std::move(t)});
  }
  return feeds;
}

absl::StatusOr<std::vector<Tensor>> Run(const Graph& graph, const Feeds& feeds, int threads,
                                        bool passes) {
  SessionOptions options;
  options.threads = threads;
  options.deterministic = true;
  options.seed = 1;
  options.memory_limit = 1 << 22;
  options.passes.enabled = passes;
  options.passes.fold_total_bytes = 1 << 22;
  options.passes.fold_result_bytes = 1 << 20;
  absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(graph, std::move(options));
  if (!Fine(session.status())) return session.status();
  RunOptions run;
  run.deadline = absl::Now() + absl::Milliseconds(300);
  absl::StatusOr<std::vector<Tensor>> results = (*session)->Run(feeds, {}, run);
  (void)Fine(results.status());
  return results;
}

void One(absl::string_view text) {
  std::unique_ptr<Graph> graph = LegalGraph(text, 200);
  if (graph == nullptr) return;
  if (!graph->signatures().empty()) return;
  for (const int64_t symbol : {1, 6}) {
    const std::optional<Feeds> feeds = FeedsFor(*graph, symbol);
    if (!feeds.has_value()) return;
    const auto plain = Run(*graph, *feeds, 1, false);
    const auto one = Run(*graph, *feeds, 1, true), two = Run(*graph, *feeds, 2, true);
    for (const auto* other : {&one, &two}) {
      if (!plain.ok() || !other->ok()) continue;
      Require(plain->size() == (*other)->size(), "another number of results");
      for (size_t i = 0; i < plain->size(); ++i)
        Require((*plain)[i].dtype() == (**other)[i].dtype(), "a result of another dtype");
    }
    if (!one.ok() || !two.ok()) continue;
    for (size_t i = 0; i < one->size(); ++i)
      Require((*one)[i] == (*two)[i], "other bits on two threads");
  }
}

}  // namespace

std::vector<std::string> Seeds() { return SeedTexts(); }

}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::fuzz::One({reinterpret_cast<const char*>(data), size});
  return 0;
}
