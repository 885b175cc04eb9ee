#include "passes/flatten_convolutions.h"

#include <algorithm>

#include "ops/fused.h"
#include "passes/match.h"
#include "passes/rewrite.h"

namespace sluice {
namespace {

Value* ToProduct(Site& s) {
  Value *x = s.node.input(0), *w = s.node.input(1);
  const Type& image = x->type();
  const std::optional<Dims> weights = w->type().is_tensor() ? w->type().StaticDims() : std::nullopt;
  if (!weights.has_value() || weights->size() < 3 || !image.is_tensor() || !image.has_shape() ||
      image.rank() != static_cast<int>(weights->size()) || s.node.Int("group") != 1) {
    return nullptr;
  }
  const auto all_are = [](const std::vector<int64_t>& list, int64_t x) {
    return std::all_of(list.begin(), list.end(), [&](int64_t i) { return i == x; });
  };
  if (s.node.String("auto_pad") != "NOTSET" && s.node.String("auto_pad") != "VALID") return nullptr;
  if (!all_are(s.node.Ints("pads"), 0) || !all_are(s.node.Ints("dilations"), 1)) return nullptr;
  int64_t terms = (*weights)[1];
  std::vector<int64_t> shape = {0, (*weights)[0]};
  for (int i = 2; i < image.rank(); ++i) {
    const int64_t extent = (*weights)[static_cast<size_t>(i)];
    if (!image.dim(i).is_number() || image.dim(i).number() != extent) return nullptr;
    terms *= extent;  // no overflow: a tensor has so many elements
    shape.push_back(1);
  }
  if (terms == 0 || (*weights)[0] == 0) return nullptr;
  Value* const rows = s.b.Op("Reshape", {x, s.b.Ints({0, terms})});
  Value* const columns = s.b.Op("Reshape", {w, s.b.Ints({(*weights)[0], terms})});
  std::vector<Value*> inputs = {rows, columns, s.node.input(2)};
  Value* product = nullptr;
  if (s.node.Is("Conv")) {
    product = s.b.Op("Gemm", inputs, {{"transB", 1}});
  } else {
    const size_t spatial = shape.size() - 2;
    for (size_t i = kFusedOperands; i < s.node.num_inputs(); ++i) {
      const std::optional<int> rank = RankOf(s.node.input(i));
      if (!rank.has_value()) return nullptr;
      // Its last extents are 1, as the image's are.
      const size_t kept = std::max(static_cast<size_t>(*rank), spatial) - spatial;
      inputs.push_back(s.b.Op("Reshape", {s.node.input(i), s.b.Ints(Dims(kept, 0))}));
    }
    AttrList attrs = {{"transpose_b", 1}};
    for (const char* name : {"activations", "activation_params"}) {
      if (const Attribute* a = s.node.FindAttr(name)) attrs.push_back({name, *a});
    }
    product = s.b.Op("FusedMatMul", inputs, attrs);
  }
  return s.b.Op("Reshape", {product, s.b.Ints(shape)});
}

constexpr Rule kRules[] = {
    {"Conv", "its window is the whole image: a matrix product", ToProduct},
    {"FusedConv", "its window is the whole image: a matrix product", ToProduct},
};

}  // namespace

absl::StatusOr<bool> FlattenConvolutions::Run(Graph& graph, PassContext& context) const {
  return ApplyRules(graph, context, name(), kRules);
}

}  // namespace sluice
