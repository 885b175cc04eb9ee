#include "ops/einsum.h"

#include <algorithm>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "graph/text.h"
#include "ops/op.h"

namespace sluice {

absl::StatusOr<EinsumEquation> EinsumEquation::Parse(absl::string_view text) {
  EinsumEquation e;
  std::map<char, int> label, count;
  bool arrow = false, ellipsis = false, ellipsis_here = false;
  auto error = [&](const auto&... what) {
    return absl::InvalidArgumentError(absl::StrCat("equation ", Shown(text), ": ", what...));
  };
  e.inputs.emplace_back();
  std::vector<int>* term = &e.inputs.back();
  for (size_t i = 0; i < text.size(); ++i) {
    const char ch = text[i];
    if (ch == ' ') continue;
    if (ch == ',') {
      if (arrow) return error("a comma stands behind the arrow");
      e.inputs.emplace_back();
      term = &e.inputs.back();
      ellipsis_here = false;
    } else if (ch == '-') {
      if (arrow || i + 1 == text.size() || text[i + 1] != '>') {
        return error("expected one '->' at position ", i);
      }
      ++i;
      arrow = true;
      term = &e.output;
      ellipsis_here = false;
    } else if (ch == '.') {
      if (text.substr(i, 3) != "...") return error("expected '...' at position ", i);
      if (ellipsis_here) return error("a term has two '...'");
      if (arrow && !ellipsis) return error("'...' appears only in the output");
      i += 2;
      ellipsis = ellipsis_here = true;
      term->push_back(kEllipsis);
    } else if (absl::ascii_isalpha(static_cast<unsigned char>(ch))) {
      if (!arrow) {
        label.emplace(ch, static_cast<int>(label.size()));
        ++count[ch];
      } else if (!label.contains(ch)) {
        return error("output label ", Shown(std::string(1, ch)), " appears in no input");
      }
      const int l = label[ch];
      if (arrow && std::count(e.output.begin(), e.output.end(), l) > 0) {
        return error("output label ", Shown(std::string(1, ch)), " appears twice");
      }
      term->push_back(l);
    } else {
      return error("position ", i, " holds no letter, ',', '->' or '...'");
    }
  }
  e.labels = static_cast<int>(label.size());
  if (!arrow) {
    if (ellipsis) e.output.push_back(kEllipsis);
    for (const auto& [ch, n] : count) {
      if (n == 1) e.output.push_back(label[ch]);
    }
  }
  return e;
}

absl::StatusOr<EinsumEquation> EinsumEquation::Expand(const std::vector<int>& ranks) const {
  if (ranks.size() != inputs.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the equation has ", inputs.size(), " terms for ", ranks.size(), " inputs"));
  }
  std::vector<int> hidden(inputs.size(), 0);
  int widest = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const bool dots = std::count(inputs[i].begin(), inputs[i].end(), kEllipsis) > 0;
    const int named = static_cast<int>(inputs[i].size()) - (dots ? 1 : 0);
    if (dots ? ranks[i] < named : ranks[i] != named) {
      return absl::InvalidArgumentError(
          absl::StrCat("term ", i, " names ", named, " axes, but input ", i, " has ", ranks[i]));
    }
    hidden[i] = ranks[i] - named;
    widest = std::max(widest, hidden[i]);
  }
  EinsumEquation e;
  e.labels = labels + widest;
  auto expand = [&](const std::vector<int>& term, int dots) {
    std::vector<int> out;
    for (int l : term) {
      if (l != kEllipsis) {
        out.push_back(l);
        continue;
      }
      for (int d = widest - dots; d < widest; ++d) out.push_back(labels + d);
    }
    return out;
  };
  for (size_t i = 0; i < inputs.size(); ++i) e.inputs.push_back(expand(inputs[i], hidden[i]));
  e.output = expand(output, widest);
  return e;
}

namespace {

absl::Status InferEinsum(InferContext& c) {
  absl::StatusOr<EinsumEquation> parsed = EinsumEquation::Parse(c.String("equation"));
  if (!parsed.ok()) return c.Error(parsed.status().message());
  if (parsed->inputs.size() != c.num_inputs()) {
    return c.Error("the equation has ", parsed->inputs.size(), " terms for ", c.num_inputs(),
                   " inputs");
  }
  const DType dtype = c.InputType(0).dtype();
  std::vector<int> ranks;
  for (size_t i = 0; i < c.num_inputs(); ++i) {
    if (!c.InputType(i).is_tensor() || !c.InputType(i).has_shape()) {
      c.SetOutput(0, Type::Tensor(dtype));
      return absl::OkStatus();
    }
    ranks.push_back(c.InputType(i).rank());
  }
  absl::StatusOr<EinsumEquation> e = parsed->Expand(ranks);
  if (!e.ok()) return c.Error(e.status().message());
  std::vector<std::optional<Dim>> extent(e->labels);
  for (size_t i = 0; i < e->inputs.size(); ++i) {
    for (size_t d = 0; d < e->inputs[i].size(); ++d) {
      const int label = e->inputs[i][d];
      const Dim& dim = c.InputType(i).dim(static_cast<int>(d));
      std::optional<Dim>& known = extent[label];
      if (!known.has_value() || (known->is_number() && known->number() == 1)) {
        known = dim;
      } else if (dim.is_number() && dim.number() == 1) {
        continue;  // a unit axis stretches
      } else if (ProvablyDifferent(*known, dim)) {
        return c.Error("input ", i, " is ", c.InputType(i).ToString(), ": axis ", d, " has extent ",
                       dim.ToString(), ", but its label stands for ", known->ToString());
      } else if (dim.is_number()) {
        known = dim;
      }
    }
  }
  Shape shape;
  for (int label : e->output) shape.push_back(*extent[label]);
  c.SetOutput(0, Type::Tensor(dtype, std::move(shape)));
  return absl::OkStatus();
}

}  // namespace

SLUICE_DECLARE_OP(Einsum) {
  return Op("Einsum")
      .Doc("Einstein summation: products of inputs summed over the labels the output lacks.")
      .VariadicInput("Inputs", "T")
      .Output("Output", "T")
      .Types("T", kNumericTypes)
      .RequiredAttr("equation", AttrKind::kString)
      .Infer(InferEinsum)
      .GradientPending();
}

}  // namespace sluice
