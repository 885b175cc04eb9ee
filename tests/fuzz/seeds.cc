#include <sys/mman.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "graph/infer.h"
#include "graph/text.h"
#include "tests/fuzz/fuzz.h"
#include "tests/ops/every_op.h"

namespace sluice::fuzz {

std::vector<std::unique_ptr<Graph>> SeedGraphs() {
  std::vector<std::unique_ptr<Graph>> graphs;
  for (const OpDef* op : PlainOps()) {
    for (bool fed : {false, true}) {
      for (const std::vector<Tensor>& inputs : InputSets(*op)) {
        auto graph = std::make_unique<Graph>(StandardOps(), op->name);
        GraphBuilder b(graph.get());
        std::vector<Value*> values;
        for (const Tensor& t : inputs) {
          values.push_back(!t.valid() ? nullptr : fed ? b.Input("", Type::Of(t)) : b.Constant(t));
        }
        const auto outputs =
            b.OpN(op->name, values, std::max<size_t>(1, op->min_outputs()), BaseAttrs(op->name));
        for (Value* v : outputs) b.Output(v);
        if (!b.status().ok() || !Verify(*graph).ok()) continue;
        graphs.push_back(std::move(graph));
        break;
      }
    }
  }
  for (const char* text : {
           R"(graph nested (%n: i64[], %c: bool[], %x: f32[m,2]) {
  %last, %rows = Loop(%n, %c, %x) {body = graph (%i: i64[], %d: bool[], %v: f32[m,2]) {
    %w = If(%d) {else_branch = graph () {
      %e = Relu(%v)
      return %e
    }, then_branch = graph () {
      %t = Neg(%v)
      return %t
    }}
    return %d, %w, %w
  }}
  return %last, %rows
})",
           R"(graph calls (%x: f32[m,8]) {
  %w = Constant {value = f32[8,8] {random = 1}}
  %h = MatMul(%x, %w)
  %s = Shape(%h)
  %r = Reshape(%h, %s)
  %y = Call(%r) {function = "f"}
  return %y as "out \"put\""
}
function f (%a) {
  %b = Sigmoid(%a)
  %c = Mul(%a, %b)
  return %c
})",
       }) {
    auto graph = Parse(text, StandardOps());
    Require(graph.ok(), graph.status().ToString());
    graphs.push_back(*std::move(graph));
  }
  return graphs;
}

std::vector<std::string> SeedTexts() {
  std::vector<std::string> texts;
  for (const auto& graph : SeedGraphs()) texts.push_back(Print(*graph));
  return texts;
}

std::unique_ptr<Graph> LegalGraph(absl::string_view text, size_t max_nodes) {
  ParseOptions options;
  options.max_nodes = max_nodes;
  options.max_generated_bytes = 1 << 20;
  auto graph = Parse(text, StandardOps(), options);
  if (!Fine(graph.status()) || !Fine(Verify(**graph)) || !Fine(InferTypes(graph->get())))
    return nullptr;
  return *std::move(graph);
}

MemoryFile::MemoryFile(const uint8_t* data, size_t size) : fd_(memfd_create("fuzz", 0)) {
  path_ = absl::StrCat("/proc/self/fd/", fd_);
  Require(fd_ >= 0 && write(fd_, data, size) == static_cast<ssize_t>(size), "no memory file");
}

MemoryFile::~MemoryFile() { close(fd_); }

}  // namespace sluice::fuzz
