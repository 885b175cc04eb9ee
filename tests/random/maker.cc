#include "tests/random/maker.h"

#include <algorithm>

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
  if (random_->Chance(program_->empty)) return 0;
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

std::string Maker::FreshName(const std::string& stem) {
  return absl::StrCat(stem, program_->names++);
}

Value* Maker::NeverWrong(Value* value) {
  if (value != nullptr) value->graph()->RenameValue(value, FreshName(kNeverWrong));
  return value;
}

Value* Maker::Legal(Value* value, const std::string& what) {
  if (value == nullptr && program_->refused.empty()) program_->refused = what;
  return value;
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
  if (graph_ == nullptr) return none;  // of a body whose node could not be made
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

}  // namespace sluice::random
