#include "tests/random/case_text.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "graph/text.h"
#include "ops/op.h"

namespace sluice::random {
namespace {

const std::string& Before() {
  static const auto* const text = new std::string("Constant {value = ");
  return *text;
}
const PrintOptions kWhole = {.max_inline_elements = int64_t{1} << 40};

}  // namespace

std::string TensorText(const Tensor& tensor) {
  Graph graph(StandardOps());
  GraphBuilder b(&graph);
  b.Constant(tensor);
  const std::string text = Print(graph, {.max_inline_elements = int64_t{1} << 40, .types = false});
  const size_t begin = text.find(Before()) + Before().size();
  return text.substr(begin, text.find('\n', begin) - 1 - begin);
}

absl::StatusOr<Tensor> ParseTensor(absl::string_view text) {
  absl::StatusOr<std::unique_ptr<Graph>> graph =
      Parse(absl::StrCat("graph t () {\n%t = ", Before(), text, "}\nreturn %t\n}"), StandardOps());
  if (!graph.ok()) return graph.status();
  return *(*graph)->nodes().front()->GetTensor("value");
}

std::string CaseText(const Case& c) {
  std::string text;
  for (const Feeds& feeds : c.feeds) {
    absl::StrAppend(&text, "// run\n");
    for (const auto& [name, tensor] : feeds)
      absl::StrAppend(&text, "// feed ", ShownValue(name), " = ", TensorText(tensor), "\n");
  }
  return absl::StrCat(text, Print(*c.graph, kWhole));
}

absl::StatusOr<Case> ParseCase(const std::string& text, std::vector<Feeds>* expected) {
  Case c;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (line == "// run") {
      c.feeds.emplace_back();
      if (expected != nullptr) expected->emplace_back();
      continue;
    }
    const bool feed = absl::ConsumePrefix(&line, "// feed %");
    if (!feed && !absl::ConsumePrefix(&line, "// expect %")) continue;
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(line, absl::MaxSplits(" = ", 1));
    absl::StatusOr<Tensor> tensor = ParseTensor(parts.second);
    if (!tensor.ok()) return tensor.status();
    if (c.feeds.empty()) return absl::InvalidArgumentError("no '// run' before the first feed");
    if (feed) {
      c.feeds.back().push_back({parts.first, *std::move(tensor)});
    } else if (expected != nullptr) {
      expected->back().push_back({parts.first, *std::move(tensor)});
    }
  }
  absl::StatusOr<std::unique_ptr<Graph>> graph = Parse(text, StandardOps());
  if (!graph.ok()) return graph.status();
  c.graph = *std::move(graph);
  if (c.feeds.empty()) {  // what `sluice run` makes up
    c.feeds.emplace_back();
    for (const Value* v : c.graph->inputs()) {
      Dims dims;
      if (!v->type().is_tensor() || !v->type().has_shape()) continue;
      for (const Dim& d : v->type().shape()) dims.push_back(d.AsNumber().value_or(1));
      absl::StatusOr<Tensor> t = Tensor::Random(
          v->type().dtype(), dims,
          {.seed = c.feeds[0].size() + 1, .scale = IsInt(v->type().dtype()) ? 2.0 : 1.0});
      if (!t.ok()) return t.status();
      c.feeds[0].push_back({v->name(), *t});
    }
  }
  return c;
}

}  // namespace sluice::random
