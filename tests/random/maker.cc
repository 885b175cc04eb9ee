#include "tests/random/maker.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "ops/op.h"
#include "tests/random/lines.h"

namespace sluice::random {

Maker::Maker(Program* program, Random* random, Graph* graph, const Maker* around)
    : program_(program), random_(random), graph_(graph), depth_(around ? around->depth_ + 1 : 0) {
  if (around != nullptr) values_ = around->values_;
}

std::optional<int64_t> Maker::Least(const Dim& dim) const {
  std::optional<int64_t> least;
  for (const Bindings& bindings : program_->bindings) {
    const std::optional<int64_t> n = dim.is_unknown() ? std::nullopt : dim.Evaluate(bindings);
    if (!n.has_value()) return std::nullopt;
    least = std::min(*n, least.value_or(*n));
  }
  return least;
}

std::optional<int64_t> Maker::Most(const Dim& dim) const {
  std::optional<int64_t> most;
  for (const Bindings& bindings : program_->bindings) {
    const std::optional<int64_t> n = dim.is_unknown() ? std::nullopt : dim.Evaluate(bindings);
    if (!n.has_value()) return std::nullopt;
    most = std::max(*n, most.value_or(*n));
  }
  return most;
}

std::optional<Dims> Maker::DimsIn(const Value* value, size_t run) const {
  const Type& type = value->type();
  if (!type.is_tensor() || !type.has_shape()) return std::nullopt;
  Dims dims;
  for (const Dim& d : type.shape()) {
    const std::optional<int64_t> n =
        d.is_unknown() ? std::nullopt : d.Evaluate(program_->bindings[run]);
    if (!n.has_value()) return std::nullopt;
    dims.push_back(*n);
  }
  return dims;
}

Value* Maker::Pick(const std::function<bool(const Value*)>& passes) {
  std::vector<Value*> all;
  for (Value* v : values_) {
    if (v->type().is_tensor() && v->type().has_shape() && v->type().layout() == Layout::kPlain &&
        passes(v)) {
      all.push_back(v);
    }
  }
  if (all.empty()) return nullptr;
  const auto n = static_cast<int64_t>(all.size());
  const int64_t recent = std::min<int64_t>(n, 4);
  const int64_t at = random_->Chance(70) ? n - 1 - random_->Below(recent) : random_->Below(n);
  return all[static_cast<size_t>(at)];
}

Value* Maker::Operand(DTypeSet dtypes, int low, int high) {
  if (!random_->Chance(12)) {
    Value* v = Pick([&](const Value* v) {
      return dtypes.Contains(v->type().dtype()) && v->type().rank() >= low &&
             v->type().rank() <= high;
    });
    if (v != nullptr) return v;
  }
  Value* v = Input(AnyDType(dtypes), AnyShape(low, high));
  Add(v);
  return v;
}

Value* Maker::KnownOperand(DTypeSet dtypes, int low, int high, bool empty) {
  auto fits = [&](const Value* v) {
    if (!dtypes.Contains(v->type().dtype()) || v->type().rank() < low || v->type().rank() > high)
      return false;
    return std::all_of(v->type().shape().begin(), v->type().shape().end(), [&](const Dim& d) {
      const std::optional<int64_t> n = Least(d);
      return n.has_value() && (empty || *n > 0);
    });
  };
  if (!random_->Chance(12)) {
    if (Value* v = Pick(fits)) return v;
  }
  for (int i = 0; i < 8; ++i) {
    const Shape shape = AnyShape(low, high);
    const bool good = std::all_of(shape.begin(), shape.end(),
                                  [&](const Dim& d) { return empty || Least(d).value_or(0) > 0; });
    if (!good) continue;
    Value* v = Input(AnyDType(dtypes), shape);
    Add(v);
    return v;
  }
  return nullptr;
}

Value* Maker::Like(DType dtype, const Shape& shape) {
  const Type wanted = Type::Tensor(dtype, shape);
  for (const Dim& d : shape) {
    if (!Least(d).has_value()) return Pick([&](const Value* v) { return v->type() == wanted; });
  }
  if (random_->Chance(60)) {
    if (Value* v = Pick([&](const Value* v) { return v->type() == wanted; })) return v;
  }
  const std::optional<Dims> dims = wanted.StaticDims();
  if (dims.has_value() && random_->Chance(40)) return Constant(Contents(dtype, *dims));
  return Input(dtype, shape);
}

Value* Maker::Broadcasting(Value* x, bool stretches) {
  return Broadcasting(x->type().dtype(), x->type().shape(), stretches);
}

Value* Maker::Broadcasting(DType dtype, const Shape& shape, bool stretches) {
  const int64_t kind = random_->Below(10);
  Shape wanted = shape;
  if (kind < 3) return Like(dtype, wanted);
  if (kind == 3) return Like(dtype, {});
  if (kind == 4 && !shape.empty()) return Like(dtype, {shape.back()});
  if (kind == 5 && shape.size() > 1) {
    wanted.erase(wanted.begin(),
                 wanted.begin() + random_->Below(static_cast<int64_t>(shape.size())));
  }
  if (kind == 6 && stretches && shape.size() < 5) wanted.insert(wanted.begin(), AnyDim());
  for (Dim& d : wanted) {
    if (random_->Chance(kind > 7 ? 60 : 25)) d = 1;
  }
  return Like(dtype, wanted);
}

DType Maker::AnyDType(DTypeSet among) {
  static constexpr DType kOften[] = {DType::kF32, DType::kF32,  DType::kF32, DType::kF32,
                                     DType::kF32, DType::kF32,  DType::kF32, DType::kF32,
                                     DType::kI64, DType::kI32,  DType::kF16, DType::kBool,
                                     DType::kF64, DType::kBF16, DType::kU8,  DType::kI8};
  static constexpr DType kAll[] = {DType::kF32,  DType::kF64,   DType::kF16, DType::kBF16,
                                   DType::kI64,  DType::kI32,   DType::kI16, DType::kI8,
                                   DType::kU64,  DType::kU32,   DType::kU16, DType::kU8,
                                   DType::kBool, DType::kString};
  for (int i = 0; i < 6; ++i) {
    const DType d = kOften[random_->Below(16)];
    if (among.Contains(d)) return d;
  }
  std::vector<DType> all;
  for (DType d : kAll) {
    if (among.Contains(d) && (d != DType::kString || random_->Chance(10))) all.push_back(d);
  }
  return all.empty() ? DType::kString : random_->Of(all);
}

Dim Maker::AnyDim() {
  if (!program_->bindings[0].empty() && random_->Chance(40)) {
    std::vector<std::string> names;
    for (const auto& [name, n] : program_->bindings[0]) names.push_back(name);
    std::sort(names.begin(), names.end());
    return Dim::Symbol(random_->Of(names));
  }
  if (random_->Chance(2)) return 0;
  return random_->Of<int64_t>({1, 1, 2, 2, 3, 3, 4, 4, 5, 6, 7, 8});
}

Shape Maker::AnyShape(int low, int high) {
  // Scalars and five axes are rare where both are allowed.
  int64_t rank = random_->Between(low, high);
  if ((rank == 0 || rank > 4) && low < high) rank = random_->Between(low, high);
  for (int attempt = 0; attempt < 8; ++attempt) {
    Shape shape;
    Dim elements = 1;
    for (int64_t i = 0; i < rank; ++i) {
      shape.push_back(AnyDim());
      elements = elements * shape.back();
    }
    if (Most(elements).value_or(INT64_MAX) <= program_->max_elements / 4) return shape;
  }
  return Shape(static_cast<size_t>(rank), Dim(2));
}

namespace {

double Special(Random& r, Regime regime, DType dtype) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const bool half = dtype == DType::kF16;
  switch (regime) {
    case Regime::kTame:
      return 0;
    case Regime::kSpecial: {
      const double denormal = half ? 6e-8 : dtype == DType::kF64 ? 5e-324 : 1.5e-42;
      return r.Of({std::nan(""), std::nan(""), kInf, -kInf, -0.0, 0.0, denormal, -denormal});
    }
    case Regime::kLarge:
      return r.Of({1.0, -1.0}) * (half ? r.Of({200.0, 1000.0, 1e-4}) : r.Of({1e20, 1e16, 1e-20}));
    case Regime::kLargest: {
      const double largest = half ? 65504 : dtype == DType::kF64 ? 1.7e308 : 3.4e38;
      return r.Of({largest, -largest, largest / 2});
    }
  }
  return 0;
}

}  // namespace

Tensor Maker::Contents(DType dtype, const Dims& dims, int64_t low, int64_t high) {
  Random& r = *random_;
  const bool grid = r.Chance(60);
  const int special = program_->regime == Regime::kTame ? 0 : r.Of({0, 5, 25, 60});
  Tensor t = *Tensor::Allocate(dtype, dims);
  for (int64_t i = 0; i < t.elements(); ++i) {
    if (dtype == DType::kString) {
      t.mutable_data<std::string>()[i] = r.Of<const char*>({"", "a", "b", "word"});
    } else if (dtype == DType::kBool) {
      t.mutable_data<bool>()[i] = r.Chance(50);
    } else {
      double x = grid ? static_cast<double>(r.Between(-16, 16)) / 8 : 4 * r.Unit() - 2;
      if (IsFloat(dtype) && r.Chance(special)) x = Special(r, program_->regime, dtype);
      if (IsInt(dtype)) {
        x = static_cast<double>(r.Between(IsUnsignedInt(dtype) ? std::max<int64_t>(low, 0) : low,
                                          std::max<int64_t>(high - 1, 0)));
        // No index, and more than a double holds.
        if (low == -4 && dtype == DType::kI64 && program_->regime >= Regime::kLarge &&
            r.Chance(special)) {
          t.mutable_data<int64_t>()[i] = (int64_t{1} << 60) + r.Below(1000);
          continue;
        }
      }
      VisitDType(dtype, [&]<typename T>() { t.mutable_data<T>()[i] = static_cast<T>(x); }, [] {});
    }
  }
  return t;
}

std::string Maker::FreshName(const std::string& stem) {
  return absl::StrCat(stem, program_->names++);
}

Value* Maker::Fed(DType dtype, const Shape& shape, std::vector<Tensor> contents) {
  Value* v = program_->graph->AddInput(FreshName("x"), Type::Tensor(dtype, shape));
  for (size_t run = 0; run < runs(); ++run)
    program_->feeds[run].push_back({v->name(), contents[run]});
  return v;
}

Value* Maker::Input(DType dtype, const Shape& shape, int64_t low, int64_t high) {
  std::vector<Tensor> contents;
  for (size_t run = 0; run < runs(); ++run) {
    Dims dims;
    for (const Dim& d : shape) {
      const std::optional<int64_t> n =
          d.is_unknown() ? std::nullopt : d.Evaluate(program_->bindings[run]);
      if (!n.has_value()) return nullptr;
      dims.push_back(*n);
    }
    contents.push_back(Contents(dtype, dims, low, high));
  }
  return Fed(dtype, shape, std::move(contents));
}

Value* Maker::Constant(Tensor value) {
  GraphBuilder b(graph_);
  return b.Constant(std::move(value));
}

Value* Maker::Scalar(DType dtype, double value) {
  Tensor t = *Tensor::Allocate(dtype, {});
  VisitDType(dtype, [&]<typename T>() { *t.mutable_data<T>() = static_cast<T>(value); }, [] {});
  return Constant(t);
}

Value* Maker::Ints(const std::vector<int64_t>& values, int fed, DType dtype) {
  Tensor t = *Tensor::Allocate(dtype, {static_cast<int64_t>(values.size())});
  for (size_t i = 0; i < values.size(); ++i) {
    if (dtype == DType::kI64) t.mutable_data<int64_t>()[i] = values[i];
    if (dtype == DType::kI32) t.mutable_data<int32_t>()[i] = static_cast<int32_t>(values[i]);
  }
  if (!random_->Chance(fed)) return Constant(t);
  return Fed(dtype, {t.dims()[0]}, std::vector<Tensor>(runs(), t));
}

Value* Maker::IntScalar(int64_t value, int fed, DType dtype) {
  Tensor t = *Tensor::Allocate(dtype, {});
  if (dtype == DType::kI64) *t.mutable_data<int64_t>() = value;
  if (dtype == DType::kI32) *t.mutable_data<int32_t>() = static_cast<int32_t>(value);
  if (!random_->Chance(fed)) return Constant(t);
  return Fed(dtype, {}, std::vector<Tensor>(runs(), t));
}

Value* Maker::Weight(DType dtype, const Dims& dims, double scale) {
  // Never special: a kernel may multiply padding by weights or leave it out.
  const Regime regime = program_->regime;
  program_->regime = Regime::kTame;
  Value* made = TameWeight(dtype, dims, scale);
  program_->regime = regime;
  return made;
}

Value* Maker::TameWeight(DType dtype, const Dims& dims, double scale) {
  const absl::StatusOr<int64_t> n = ElementCount(dims);
  if (!n.ok()) return nullptr;
  if (random_->Chance(15)) {
    Shape shape;
    for (int64_t d : dims) shape.push_back(d);
    return Input(dtype, shape);
  }
  Tensor t;
  if (*n > 24) {
    t = *Tensor::Random(dtype, dims,
                        {.seed = static_cast<uint64_t>(random_->Below(1000)), .scale = scale});
  } else {
    t = Contents(dtype, dims);
  }
  if (depth_ == 0 && random_->Chance(4)) {
    GraphBuilder b(graph_);
    return b.Variable(FreshName("weight"), t);
  }
  return Constant(std::move(t));
}

Value* Maker::Extents(const Shape& shape) {
  std::vector<Value*> parts;
  bool numbers = true;
  for (const Dim& d : shape) numbers &= d.is_number();
  if (numbers) {
    std::vector<int64_t> values;
    for (const Dim& d : shape) values.push_back(d.number());
    return Ints(values);
  }
  for (const Dim& d : shape) {
    if (d.is_number()) {
      parts.push_back(Ints({d.number()}, 0));
      continue;
    }
    size_t axis = 0;
    Value* from = Pick([&](const Value* v) {
      for (size_t i = 0; i < v->type().shape().size(); ++i) {
        if (v->type().shape()[i] == d) return axis = i, true;
      }
      return false;
    });
    if (from == nullptr) return nullptr;
    for (axis = 0; !(from->type().shape()[axis] == d); ++axis) {
    }
    const auto a = static_cast<int64_t>(axis);
    parts.push_back(random_->Chance(50) ? Op("Shape", {from}, {{"start", a}, {"end", a + 1}})
                                        : Op("Gather", {Op("Shape", {from}), Ints({a}, 0)}));
  }
  return parts.size() == 1 ? parts[0] : Op("Concat", parts, {{"axis", 0}});
}

Value* Maker::Indices(const Dim& dim, const Shape& shape, bool negative) {
  const std::optional<int64_t> n = Least(dim);
  if (!n.has_value() || *n < 1) return nullptr;
  const DType dtype = random_->Chance(75) ? DType::kI64 : DType::kI32;
  const bool below = negative && random_->Chance(40);
  const std::optional<Dims> dims = Type::Tensor(dtype, shape).StaticDims();
  if (dims.has_value() && random_->Chance(60))
    return Constant(Contents(dtype, *dims, below ? -*n : 0, *n));
  return Input(dtype, shape, below ? -*n : 0, *n);
}

bool Maker::Fits(const Value* value) const {
  const std::optional<Dim> elements = value->type().is_tensor() && value->type().has_shape()
                                          ? value->type().Elements()
                                          : std::nullopt;
  if (!elements.has_value()) return true;
  return Most(*elements).value_or(0) <= program_->max_elements && Least(*elements).value_or(0) >= 0;
}

std::vector<Value*> Maker::OpN(const std::string& op, const std::vector<Value*>& inputs,
                               size_t outputs, const AttrList& attrs) {
  const std::vector<Value*> none(outputs, nullptr);
  if (graph_ == nullptr) return none;  // a body of a node whose other body has failed
  const OpDef* def = graph_->ops().Find(op);
  for (size_t i = 0; i < inputs.size(); ++i) {
    const ParamDef* param = def->InputParam(i);
    if (param == nullptr || (inputs[i] == nullptr && param->arity != ParamDef::Arity::kOptional))
      return none;
  }
  GraphBuilder b(graph_);
  std::vector<Value*> made = b.OpN(op, inputs, outputs, attrs);
  const bool good = b.status().ok() && std::all_of(made.begin(), made.end(), [&](Value* v) {
                      return v != nullptr && Fits(v);
                    });
  if (good) return made;
  for (auto it = b.added().rbegin(); it != b.added().rend(); ++it) graph_->EraseNode(*it);
  return none;
}

Value* Maker::Op(const std::string& op, const std::vector<Value*>& inputs, const AttrList& attrs) {
  return OpN(op, inputs, 1, attrs)[0];
}

Value* Maker::Tamed(Value* x, double low, double high) {
  if (x == nullptr || !IsFloat(x->type().dtype())) return x;
  const DType dtype = x->type().dtype();
  Value *least = Scalar(dtype, low), *most = Scalar(dtype, high);
  Value* above = Op("Where", {Op("Greater", {x, least}), x, least});
  return Op("Where", {Op("Less", {above, most}), above, most});
}

void Maker::Grow(int steps) {
  static const std::vector<Line>* const ops = new std::vector<Line>(OpLines());
  static const std::vector<Line>* const patterns = new std::vector<Line>(Patterns());
  auto total = [](const std::vector<Line>& lines) {
    int64_t sum = 0;
    for (const Line& l : lines) sum += l.weight;
    return sum;
  };
  static const int64_t op_weight = total(*ops), pattern_weight = total(*patterns);
  for (int made = 0, tries = 0; made < steps && tries < steps * 6; ++tries) {
    const bool pattern = random_->Chance(40);
    const std::vector<Line>& lines = pattern ? *patterns : *ops;
    int64_t at = random_->Below(pattern ? pattern_weight : op_weight);
    const Line* line = lines.data();
    while (at >= line->weight) at -= (line++)->weight;
    Value* v = line->draw(*this, line->name);
    if (v == nullptr) continue;
    Add(v);
    ++made;
  }
}

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
  const int64_t symbols = random.Below(4);
  program.bindings.resize(symbols == 0 ? 1 : static_cast<size_t>(random.Between(1, 3)));
  program.feeds.resize(program.bindings.size());
  for (Bindings& bindings : program.bindings) {
    for (int64_t i = 0; i < symbols; ++i) {
      int64_t n = random.Of<int64_t>({1, 2, 3, 4, 5, 6, 7, 8, 9});
      if (random.Chance(5)) n = 0;
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
      if (plain && (end ? !random.Chance(8) : random.Chance(node->Is("Constant") ? 1 : 7)))
        fetched.push_back(v);
    }
  }
  if (random.Chance(4) && !program.graph->inputs().empty())
    fetched.push_back(random.Of(program.graph->inputs()));
  if (fetched.empty()) {
    Value* last = maker.values().back();
    if (last->type().layout() == Layout::kPlain) fetched.push_back(last);
  }
  for (Value* v : fetched) program.graph->AddOutput(v);
  if (random.Chance(3)) program.graph->AddOutput(fetched[0], maker.FreshName("again"));
  made.feeds = std::move(program.feeds);
  made.regime = program.regime;
  return made;
}

}  // namespace sluice::random
