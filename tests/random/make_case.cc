#include <algorithm>

#include "absl/strings/match.h"
#include "graph/effects.h"
#include "ops/op.h"
#include "tests/random/lines.h"
#include "tests/random/maker.h"
#include "tests/random/parts.h"

namespace sluice::random {
namespace {

// Of an output: mostly a new one, sometimes that of another value, here or in a body.
std::string OutputName(Maker& m) {
  std::vector<std::string> names = NamesIn(*m.graph());
  std::erase_if(names, [&](const std::string& name) {
    const std::vector<std::string>& taken = m.graph()->output_names();
    return std::find(taken.begin(), taken.end(), name) != taken.end();
  });
  return m.random().Chance(50) || names.empty() ? m.FreshName("again") : m.random().Of(names);
}

}  // namespace

Case MakeCase(uint64_t seed, const std::string& op) {
  Random random(seed);
  Case made;
  made.seed = seed;
  made.graph = std::make_unique<Graph>(StandardOps(), "g");
  Program program;
  program.graph = made.graph.get();
  const int64_t regime = random.Below(100);
  program.regime = regime < 62   ? Regime::kTame
                   : regime < 88 ? Regime::kSpecial
                   : regime < 96 ? Regime::kLarge
                                 : Regime::kLargest;
  if (random.Chance(8)) program.max_elements = 65536;
  if (random.Chance(5)) program.empty = 50;
  const int64_t symbols = random.Below(4);
  program.bindings.resize(symbols == 0 ? 1 : static_cast<size_t>(random.Between(1, 3)));
  program.feeds.resize(program.bindings.size());
  for (Bindings& bindings : program.bindings) {
    for (int64_t i = 0; i < symbols; ++i) {
      int64_t n = random.Of<int64_t>({1, 2, 3, 4, 5, 6, 7, 8, 9});
      if (random.Chance(program.empty + 5)) n = 0;
      if (program.max_elements > 10000 && random.Chance(40)) n = random.Between(30, 150);
      bindings[std::string(1, "nmk"[i])] = n;
    }
  }
  Maker maker(&program, &random, program.graph);
  for (int64_t i = random.Between(1, 3); i > 0; --i) {
    maker.Add(maker.Input(maker.AnyDType(kNumericTypes), maker.AnyShape(1, 4)));
  }
  if (!op.empty()) {
    for (const Line& line : OpLines()) {
      for (int tries = 0; op == line.name && tries < 60; ++tries) {
        Value* v = line.draw(maker, line.name);
        maker.Add(v);
        if (v != nullptr) break;
      }
    }
  }
  maker.Grow(static_cast<int>(op.empty() ? random.Between(1, 16) : random.Between(0, 3)));

  // What nothing reads is fetched, and some of what something does.
  std::vector<Value*> fetched;
  for (const auto& node : program.graph->nodes()) {
    for (size_t i = 0; i < node->num_outputs(); ++i) {
      Value* v = node->output(i);
      const bool plain = v->type().is_tensor() && v->type().layout() == Layout::kPlain;
      const bool end = v->uses().empty() && !v->used() && !node->Is("Constant");
      const bool wrong = absl::StartsWith(v->name(), kNeverWrong);
      const int percent = wrong ? 0 : end ? 92 : node->Is("Constant") ? 1 : 7;
      if (plain && random.Chance(percent)) fetched.push_back(v);
    }
  }
  if (random.Chance(4) && !program.graph->inputs().empty())
    fetched.push_back(random.Of(program.graph->inputs()));
  if (fetched.empty()) {
    Value* last = maker.values().back();
    if (last->type().layout() == Layout::kPlain) fetched.push_back(last);
  }
  for (Value* v : fetched) program.graph->AddOutput(v);
  if (random.Chance(6)) program.graph->AddOutput(fetched[0], OutputName(maker));
  made.feeds = std::move(program.feeds);
  made.regime = program.regime;
  made.refused = program.refused;
  return made;
}

}  // namespace sluice::random
