#include "graph/dim.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

// Larger expressions become Unknown: products of sums grow exponentially.
constexpr int kMaxSize = 512;

enum class AtomKind : uint8_t { kSymbol, kFloorDiv, kCeilDiv, kMod, kMax, kMin };

struct Atom {
  AtomKind kind;
  std::string symbol;
  Dim a, b;
  int size;
};
using AtomPtr = std::shared_ptr<const Atom>;

int CompareAtoms(const AtomPtr& x, const AtomPtr& y) {
  if (x == y) return 0;
  if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
  if (x->kind == AtomKind::kSymbol) return x->symbol.compare(y->symbol);
  if (int c = Compare(x->a, y->a)) return c;
  return Compare(x->b, y->b);
}

// coefficient * product of factors (sorted, repeated for powers).
struct Term {
  int64_t coefficient = 0;
  std::vector<AtomPtr> factors;
};

// Higher degrees first, the constant last; a monomial order, so that long division works.
int CompareMonomials(const Term& x, const Term& y) {
  if (x.factors.size() != y.factors.size()) return x.factors.size() > y.factors.size() ? -1 : 1;
  for (size_t i = 0; i < x.factors.size(); ++i) {
    if (int c = CompareAtoms(x.factors[i], y.factors[i])) return c;
  }
  return 0;
}

// Removes the factors of `by` from those of `from`; false where one is missing.
bool RemoveFactors(const std::vector<AtomPtr>& by, std::vector<AtomPtr>* from) {
  for (const AtomPtr& atom : by) {
    auto it = std::find_if(from->begin(), from->end(),
                           [&](const AtomPtr& f) { return CompareAtoms(f, atom) == 0; });
    if (it == from->end()) return false;
    from->erase(it);
  }
  return true;
}

// Quotient of two terms; empty where `by` does not divide `term`.
std::optional<Term> DivideTerm(const Term& term, const Term& by) {
  if (by.coefficient == -1 && term.coefficient == INT64_MIN) return std::nullopt;
  if (term.coefficient % by.coefficient != 0) return std::nullopt;
  Term quotient{term.coefficient / by.coefficient, term.factors};
  if (!RemoveFactors(by.factors, &quotient.factors)) return std::nullopt;
  return quotient;
}

// Toward minus infinity. Preconditions: b != 0, and not (INT64_MIN, -1).
int64_t FloorDivide(int64_t a, int64_t b) {
  const int64_t q = a / b;
  return q * b != a && ((a < 0) != (b < 0)) ? q - 1 : q;
}
int64_t FloorModulo(int64_t a, int64_t b) {  // takes the sign of b
  if (b == -1) return 0;
  const int64_t r = a % b;
  return r != 0 && ((r < 0) != (b < 0)) ? r + b : r;
}

}  // namespace

struct Dim::Expr {
  bool unknown = false;
  std::vector<Term> terms;
  int size = 0;

  static const Expr* Of(const Dim& d) { return d.expr_.get(); }

  static std::vector<Term> Terms(const Dim& d) {
    if (!d.is_number()) return d.expr_->terms;
    if (d.value_ == 0) return {};
    return {Term{d.value_, {}}};
  }

  // The canonical form of a sum of terms whose factors are sorted.
  static Dim Sum(std::vector<Term> terms) {
    std::sort(terms.begin(), terms.end(),
              [](const Term& x, const Term& y) { return CompareMonomials(x, y) < 0; });
    auto expr = std::make_shared<Expr>();
    for (Term& term : terms) {
      if (!expr->terms.empty() && CompareMonomials(expr->terms.back(), term) == 0) {
        int64_t& sum = expr->terms.back().coefficient;
        if (__builtin_add_overflow(sum, term.coefficient, &sum)) return Unknown();
        continue;
      }
      expr->terms.push_back(std::move(term));
    }
    std::erase_if(expr->terms, [](const Term& t) { return t.coefficient == 0; });
    if (expr->terms.empty()) return Dim(0);
    if (expr->terms[0].factors.empty()) return Dim(expr->terms[0].coefficient);
    for (const Term& term : expr->terms) {
      expr->size += 1;
      for (const AtomPtr& atom : term.factors) expr->size += atom->size;
      if (expr->size > kMaxSize) return Unknown();
    }
    Dim d;
    d.expr_ = std::move(expr);
    return d;
  }

  static int Size(const Dim& d) { return d.is_number() ? 1 : d.expr_->size; }

  static Dim Make(AtomKind kind, std::string symbol, const Dim& a, const Dim& b) {
    const int size = 1 + Size(a) + Size(b);
    return Sum({Term{1, {std::make_shared<Atom>(Atom{kind, std::move(symbol), a, b, size})}}});
  }

  // The only factor of a term with coefficient 1, where it is of `kind`; null else.
  static const Atom* BareAtom(const Term& term, AtomKind kind) {
    if (term.coefficient != 1 || term.factors.size() != 1) return nullptr;
    return term.factors[0]->kind == kind ? term.factors[0].get() : nullptr;
  }
};

namespace {
using Expr = Dim::Expr;

// gcd of the coefficients (without the constant's unless asked for) and of `with`; positive.
int64_t Content(const std::vector<Term>& terms, int64_t with, bool constant) {
  uint64_t g = with < 0 ? -static_cast<uint64_t>(with) : static_cast<uint64_t>(with);
  for (const Term& t : terms) {
    if (t.factors.empty() && !constant) continue;
    const uint64_t c = t.coefficient < 0 ? -static_cast<uint64_t>(t.coefficient)
                                         : static_cast<uint64_t>(t.coefficient);
    g = std::gcd(g, c);
  }
  return g > static_cast<uint64_t>(INT64_MAX) ? 1 : static_cast<int64_t>(g);
}

// What an expression can be: bounds where they are known.
struct Range {
  std::optional<int64_t> low, high;
};

std::optional<int64_t> Add(std::optional<int64_t> a, std::optional<int64_t> b) {
  int64_t sum;
  if (!a || !b || __builtin_add_overflow(*a, *b, &sum)) return std::nullopt;
  return sum;
}
std::optional<int64_t> Times(std::optional<int64_t> a, std::optional<int64_t> b) {
  int64_t product;
  if (!a || !b || __builtin_mul_overflow(*a, *b, &product)) return std::nullopt;
  return product;
}

Range RangeOf(const Dim& d);

Range RangeOf(const Atom& atom) {
  if (atom.kind == AtomKind::kSymbol) return {0, std::nullopt};
  const Range a = RangeOf(atom.a), b = RangeOf(atom.b);
  switch (atom.kind) {
    case AtomKind::kFloorDiv:
    case AtomKind::kCeilDiv: {
      if (!b.low || *b.low < 0) return {};  // a divisor of 0 has no value to bound
      if (!atom.b.is_number()) {
        if (a.low && *a.low >= 0) return {0, std::nullopt};
        return {};
      }
      const int64_t n = atom.b.number();
      Range r;
      if (a.low) r.low = FloorDivide(*a.low, n);
      if (a.high) r.high = Add(FloorDivide(*a.high, n), atom.kind == AtomKind::kCeilDiv ? 1 : 0);
      return r;
    }
    case AtomKind::kMod:
      if (!b.low || *b.low < 0) return {};
      return {0, Add(b.high, -1)};
    case AtomKind::kMax: {
      Range r;
      r.low = !a.low ? b.low : !b.low ? a.low : std::max(*a.low, *b.low);
      if (a.high && b.high) r.high = std::max(*a.high, *b.high);
      return r;
    }
    case AtomKind::kMin: {
      Range r;
      r.high = !a.high ? b.high : !b.high ? a.high : std::min(*a.high, *b.high);
      if (a.low && b.low) r.low = std::min(*a.low, *b.low);
      return r;
    }
    case AtomKind::kSymbol:
      break;
  }
  return {};
}

Range RangeOf(const Dim& d) {
  if (d.is_number()) return {d.number(), d.number()};
  const Expr* expr = Expr::Of(d);
  if (expr->unknown) return {};
  Range sum{0, 0};
  for (const Term& term : expr->terms) {
    Range product{1, 1};
    for (const AtomPtr& factor : term.factors) {
      const Range f = RangeOf(*factor);
      if (!f.low || *f.low < 0) return {};
      product = {Times(product.low, f.low), Times(product.high, f.high)};
    }
    Range scaled{Times(product.low, term.coefficient), Times(product.high, term.coefficient)};
    if (term.coefficient < 0) std::swap(scaled.low, scaled.high);
    sum = {Add(sum.low, scaled.low), Add(sum.high, scaled.high)};
  }
  return sum;
}

// Divides every term and the divisor (one term) by what they have in common. Factors that may be
// negative stay; one that is 0 makes the division undefined anyway.
void CancelCommonFactors(std::vector<Term>* terms, Term* by) {
  for (size_t i = 0; i < by->factors.size();) {
    const AtomPtr atom = by->factors[i];
    const std::optional<int64_t> low = RangeOf(*atom).low;
    const bool cancels =
        low && *low >= 0 && std::all_of(terms->begin(), terms->end(), [&](const Term& t) {
          return std::any_of(t.factors.begin(), t.factors.end(),
                             [&](const AtomPtr& f) { return CompareAtoms(f, atom) == 0; });
        });
    if (!cancels) {
      ++i;
      continue;
    }
    for (Term& t : *terms) RemoveFactors({atom}, &t.factors);
    by->factors.erase(by->factors.begin() + static_cast<int64_t>(i));
  }
  const int64_t g = Content(*terms, by->coefficient, /*constant=*/true);
  for (Term& t : *terms) t.coefficient /= g;
  by->coefficient /= g;
}

// floor(a / n) for n > 0: whole multiples of n come out, coefficients inside end in [0, n), common
// divisors cancel, and a division inside merges: floor((floor(x/m) + r) / n) = floor((x + m*r) /
// (m*n)).
Dim FloorDivByNumber(const Dim& a, int64_t n) {
  std::vector<Term> whole, rest;
  for (const Term& t : Expr::Terms(a)) {
    if (int64_t q = FloorDivide(t.coefficient, n)) whole.push_back({q, t.factors});
    if (int64_t r = FloorModulo(t.coefficient, n)) rest.push_back({r, t.factors});
  }
  const int64_t g = Content(rest, n, /*constant=*/false);
  for (Term& t : rest) t.coefficient = FloorDivide(t.coefficient, g);
  n /= g;
  const Dim quotient = Expr::Sum(std::move(whole));
  const Dim inner = Expr::Sum(rest);
  if (inner.is_number()) return quotient + Dim(FloorDivide(inner.number(), n));
  if (n == 1) return quotient + inner;
  for (size_t i = 0; i < rest.size(); ++i) {
    const Atom* division = Expr::BareAtom(rest[i], AtomKind::kFloorDiv);
    if (division == nullptr || !division->b.is_number() || division->b.number() <= 0) continue;
    std::vector<Term> others = rest;
    others.erase(others.begin() + static_cast<int64_t>(i));
    const Dim m = division->b;
    const Dim merged = division->a + m * Expr::Sum(std::move(others)), by = m * Dim(n);
    if (merged.is_unknown() || by.is_unknown()) continue;
    return quotient + FloorDiv(merged, by);
  }
  return quotient + Expr::Make(AtomKind::kFloorDiv, "", inner, Dim(n));
}

// a / b or a mod b for a divisor of one term: (terms that b divides, the rest).
std::pair<Dim, Dim> SplitMultiples(const Dim& a, const Term& b) {
  std::vector<Term> whole, rest;
  for (const Term& t : Expr::Terms(a)) {
    if (std::optional<Term> q = DivideTerm(t, b)) {
      whole.push_back(*std::move(q));
    } else {
      rest.push_back(t);
    }
  }
  return {Expr::Sum(std::move(whole)), Expr::Sum(std::move(rest))};
}

}  // namespace

Dim Dim::Symbol(absl::string_view name) {
  return Expr::Make(AtomKind::kSymbol, std::string(name), Dim(), Dim());
}

Dim Dim::Unknown() {
  static const auto* const unknown = [] {
    auto expr = std::make_shared<Expr>();
    expr->unknown = true;
    expr->size = 1;
    return new std::shared_ptr<const Expr>(std::move(expr));
  }();
  Dim d;
  d.expr_ = *unknown;
  return d;
}

bool Dim::is_unknown() const { return expr_ != nullptr && expr_->unknown; }

std::optional<std::string> Dim::AsSymbol() const {
  if (is_number() || expr_->terms.size() != 1) return std::nullopt;
  const Atom* atom = Expr::BareAtom(expr_->terms[0], AtomKind::kSymbol);
  return atom != nullptr ? std::optional<std::string>(atom->symbol) : std::nullopt;
}

Dim operator+(const Dim& a, const Dim& b) {
  if (a.is_number() && b.is_number()) {
    int64_t sum;
    return __builtin_add_overflow(a.value_, b.value_, &sum) ? Dim::Unknown() : Dim(sum);
  }
  if (a.is_unknown() || b.is_unknown()) return Dim::Unknown();
  if (a.is_number() && a.value_ == 0) return b;
  if (b.is_number() && b.value_ == 0) return a;
  std::vector<Term> terms = Expr::Terms(a);
  for (Term& t : Expr::Terms(b)) terms.push_back(std::move(t));
  return Expr::Sum(std::move(terms));
}

Dim operator-(const Dim& a, const Dim& b) {
  if (a.is_number() && b.is_number()) {
    int64_t difference;
    return __builtin_sub_overflow(a.value_, b.value_, &difference) ? Dim::Unknown()
                                                                   : Dim(difference);
  }
  return a + b * Dim(-1);
}

Dim operator*(const Dim& a, const Dim& b) {
  if (a.is_number() && b.is_number()) {
    int64_t product;
    return __builtin_mul_overflow(a.value_, b.value_, &product) ? Dim::Unknown() : Dim(product);
  }
  if (a.is_unknown() || b.is_unknown()) return Dim::Unknown();
  if (a.is_number() && a.value_ == 1) return b;
  if (b.is_number() && b.value_ == 1) return a;
  const std::vector<Term> xs = Expr::Terms(a), ys = Expr::Terms(b);
  if (xs.size() * ys.size() > kMaxSize) return Dim::Unknown();
  std::vector<Term> terms;
  terms.reserve(xs.size() * ys.size());
  for (const Term& x : xs) {
    for (const Term& y : ys) {
      Term t;
      if (__builtin_mul_overflow(x.coefficient, y.coefficient, &t.coefficient))
        return Dim::Unknown();
      if (x.factors.size() + y.factors.size() > kMaxSize) return Dim::Unknown();
      t.factors.resize(x.factors.size() + y.factors.size());
      std::merge(x.factors.begin(), x.factors.end(), y.factors.begin(), y.factors.end(),
                 t.factors.begin(),
                 [](const AtomPtr& p, const AtomPtr& q) { return CompareAtoms(p, q) < 0; });
      terms.push_back(std::move(t));
    }
  }
  return Expr::Sum(std::move(terms));
}

Dim FloorDiv(const Dim& a, const Dim& b) {
  if (a.is_unknown() || b.is_unknown()) return Dim::Unknown();
  if (b.is_number()) {
    if (b.value_ == 0) return Dim::Unknown();
    if (a.is_number()) {
      if (a.value_ == INT64_MIN && b.value_ == -1) return Dim::Unknown();
      return Dim(FloorDivide(a.value_, b.value_));
    }
    if (b.value_ < 0) return FloorDiv(Dim(0) - a, Dim(0) - b);
    return FloorDivByNumber(a, b.value_);
  }
  if (std::optional<Dim> exact = ExactDiv(a, b)) return *exact;
  if (b.expr_->terms.size() != 1) return Expr::Make(AtomKind::kFloorDiv, "", a, b);
  Term by = b.expr_->terms[0];
  auto [whole, rest] = SplitMultiples(a, by);
  std::vector<Term> terms = Expr::Terms(rest);
  CancelCommonFactors(&terms, &by);
  const Dim inner = Expr::Sum(std::move(terms)), divisor = Expr::Sum({by});
  if (divisor.is_number()) return whole + FloorDiv(inner, divisor);
  return whole + Expr::Make(AtomKind::kFloorDiv, "", inner, divisor);
}

Dim CeilDiv(const Dim& a, const Dim& b) {
  if (a.is_unknown() || b.is_unknown()) return Dim::Unknown();
  if (b.is_number()) {
    if (b.value_ < 0) return CeilDiv(Dim(0) - a, Dim(0) - b);
    if (b.value_ == 0) return Dim::Unknown();
    if (!a.is_number()) return FloorDiv(a + Dim(b.value_ - 1), b);
    return Dim(FloorDivide(a.value_, b.value_) + (a.value_ % b.value_ != 0));
  }
  if (std::optional<Dim> exact = ExactDiv(a, b)) return *exact;
  if (b.expr_->terms.size() != 1) return Expr::Make(AtomKind::kCeilDiv, "", a, b);
  Term by = b.expr_->terms[0];
  auto [whole, rest] = SplitMultiples(a, by);
  std::vector<Term> terms = Expr::Terms(rest);
  CancelCommonFactors(&terms, &by);
  const Dim inner = Expr::Sum(std::move(terms)), divisor = Expr::Sum({by});
  if (divisor.is_number()) return whole + CeilDiv(inner, divisor);
  return whole + Expr::Make(AtomKind::kCeilDiv, "", inner, divisor);
}

Dim Mod(const Dim& a, const Dim& b) {
  if (a.is_unknown() || b.is_unknown()) return Dim::Unknown();
  if (!b.is_number()) {
    if (ExactDiv(a, b).has_value()) return Dim(0);
    if (b.expr_->terms.size() != 1) return Expr::Make(AtomKind::kMod, "", a, b);
    return Expr::Make(AtomKind::kMod, "", SplitMultiples(a, b.expr_->terms[0]).second, b);
  }
  const int64_t n = b.value_;
  if (n == 0) return Dim::Unknown();
  if (a.is_number()) return Dim(FloorModulo(a.value_, n));
  if (n < 0) return Dim(0) - Mod(Dim(0) - a, Dim(0) - b);
  std::vector<Term> terms;
  for (const Term& t : Expr::Terms(a)) {
    if (int64_t r = FloorModulo(t.coefficient, n)) terms.push_back({r, t.factors});
  }
  const int64_t g = Content(terms, n, /*constant=*/true);
  for (Term& t : terms) t.coefficient /= g;
  const Dim inner = Expr::Sum(std::move(terms)), by(n / g);
  if (inner.is_number()) return Dim(g) * Mod(inner, by);
  return Dim(g) * Expr::Make(AtomKind::kMod, "", inner, by);
}

Dim Max(const Dim& a, const Dim& b) {
  if (a.is_unknown() || b.is_unknown()) return Dim::Unknown();
  const Dim difference = a - b;
  if (difference.ProvablyNonNegative()) return a;
  if ((b - a).ProvablyNonNegative()) return b;
  // Numbers sort first, and read better last.
  return Compare(a, b) > 0 ? Expr::Make(AtomKind::kMax, "", a, b)
                           : Expr::Make(AtomKind::kMax, "", b, a);
}

Dim Min(const Dim& a, const Dim& b) {
  if (a.is_unknown() || b.is_unknown()) return Dim::Unknown();
  const Dim difference = a - b;
  if (difference.ProvablyNonNegative()) return b;
  if ((b - a).ProvablyNonNegative()) return a;
  return Compare(a, b) > 0 ? Expr::Make(AtomKind::kMin, "", a, b)
                           : Expr::Make(AtomKind::kMin, "", b, a);
}

std::optional<Dim> ExactDiv(const Dim& a, const Dim& b) {
  if (a.is_unknown() || b.is_unknown()) return std::nullopt;
  const std::vector<Term> by = Expr::Terms(b);
  if (by.empty()) return std::nullopt;
  Dim rest = a, quotient(0);
  for (int step = 0; step < kMaxSize; ++step) {  // polynomial long division
    if (rest.is_number() && rest.value_ == 0) return quotient;
    std::optional<Term> term = DivideTerm(Expr::Terms(rest)[0], by[0]);
    if (!term.has_value()) return std::nullopt;
    const Dim part = Expr::Sum({*std::move(term)});
    quotient = quotient + part;
    rest = rest - part * b;
    if (rest.is_unknown() || quotient.is_unknown()) return std::nullopt;
  }
  return std::nullopt;
}

bool operator==(const Dim& a, const Dim& b) {
  if (a.is_number() && b.is_number()) return a.value_ == b.value_;
  return !a.is_unknown() && Compare(a, b) == 0;
}

int Compare(const Dim& a, const Dim& b) {
  if (a.is_number() || b.is_number()) {
    if (!a.is_number()) return 1;
    if (!b.is_number()) return -1;
    return a.value_ < b.value_ ? -1 : a.value_ > b.value_;
  }
  if (a.expr_ == b.expr_) return 0;
  const std::vector<Term>&x = a.expr_->terms, &y = b.expr_->terms;  // empty where unknown
  for (size_t i = 0; i < x.size() && i < y.size(); ++i) {
    if (int c = CompareMonomials(x[i], y[i])) return c;
    if (x[i].coefficient != y[i].coefficient) return x[i].coefficient < y[i].coefficient ? -1 : 1;
  }
  return x.size() < y.size() ? -1 : x.size() > y.size();
}

bool Dim::ProvablyNonNegative() const {
  const std::optional<int64_t> low = RangeOf(*this).low;
  return low && *low >= 0;
}

bool Dim::ProvablyPositive() const {
  const std::optional<int64_t> low = RangeOf(*this).low;
  return low && *low > 0;
}

bool ProvablyDifferent(const Dim& a, const Dim& b) {
  if (a.is_number() && b.is_number()) return a.value_ != b.value_;
  const Dim d = a - b;
  if (d.is_unknown()) return false;
  const Range range = RangeOf(d);
  if ((range.low && *range.low > 0) || (range.high && *range.high < 0)) return true;
  if (d.is_number()) return false;
  // No integers solve g*(...) + c = 0 where g does not divide c.
  const Term& last = d.expr_->terms.back();
  const int64_t g = Content(d.expr_->terms, 0, /*constant=*/false);
  return last.factors.empty() && g > 1 && last.coefficient % g != 0;
}

namespace {

std::optional<int64_t> EvaluateAtom(const Atom& atom, const Bindings& bindings) {
  if (atom.kind == AtomKind::kSymbol) {
    auto it = bindings.find(atom.symbol);
    return it == bindings.end() ? std::nullopt : std::optional<int64_t>(it->second);
  }
  const std::optional<int64_t> a = atom.a.Evaluate(bindings), b = atom.b.Evaluate(bindings);
  if (!a || !b) return std::nullopt;
  switch (atom.kind) {
    case AtomKind::kFloorDiv:
      return FloorDiv(Dim(*a), Dim(*b)).AsNumber();
    case AtomKind::kCeilDiv:
      return CeilDiv(Dim(*a), Dim(*b)).AsNumber();
    case AtomKind::kMod:
      return Mod(Dim(*a), Dim(*b)).AsNumber();
    case AtomKind::kMax:
      return std::max(*a, *b);
    default:
      return std::min(*a, *b);
  }
}

}  // namespace

std::optional<int64_t> Dim::Evaluate(const Bindings& bindings) const {
  if (is_number()) return value_;
  if (expr_->unknown) return std::nullopt;
  std::optional<int64_t> sum = 0;
  for (const Term& term : expr_->terms) {
    std::optional<int64_t> product = term.coefficient;
    for (const AtomPtr& atom : term.factors)
      product = Times(product, EvaluateAtom(*atom, bindings));
    sum = Add(sum, product);
    if (!sum) return std::nullopt;
  }
  return sum;
}

Dim Dim::Substitute(const std::function<std::optional<Dim>(absl::string_view symbol)>& map) const {
  if (is_number() || expr_->unknown) return *this;
  Dim sum(0);
  for (const Term& term : expr_->terms) {
    Dim product(term.coefficient);
    for (const AtomPtr& atom : term.factors) {
      Dim factor;
      if (atom->kind == AtomKind::kSymbol) {
        std::optional<Dim> mapped = map(atom->symbol);
        factor = mapped.has_value() ? *std::move(mapped) : Symbol(atom->symbol);
      } else {
        const Dim a = atom->a.Substitute(map), b = atom->b.Substitute(map);
        switch (atom->kind) {
          case AtomKind::kFloorDiv:
            factor = FloorDiv(a, b);
            break;
          case AtomKind::kCeilDiv:
            factor = CeilDiv(a, b);
            break;
          case AtomKind::kMod:
            factor = Mod(a, b);
            break;
          case AtomKind::kMax:
            factor = Max(a, b);
            break;
          default:
            factor = Min(a, b);
        }
      }
      product = product * factor;
    }
    sum = sum + product;
  }
  return sum;
}

void Dim::CollectSymbols(std::vector<std::string>* symbols) const {
  if (is_number()) return;
  for (const Term& term : expr_->terms) {
    for (const AtomPtr& atom : term.factors) {
      if (atom->kind == AtomKind::kSymbol) {
        symbols->push_back(atom->symbol);
      } else {
        atom->a.CollectSymbols(symbols);
        atom->b.CollectSymbols(symbols);
      }
    }
  }
}

std::string Dim::ToString() const {
  if (is_number()) return absl::StrCat(value_);
  if (expr_->unknown) return "?";
  std::string text;
  for (const Term& term : expr_->terms) {
    if (term.coefficient > 0 && !text.empty()) text.push_back('+');
    if (term.factors.empty()) {
      absl::StrAppend(&text, term.coefficient);
      continue;
    }
    if (term.coefficient == -1) {
      text.push_back('-');
    } else if (term.coefficient != 1) {
      absl::StrAppend(&text, term.coefficient, "*");
    }
    bool first = true;
    for (const AtomPtr& atom : term.factors) {
      if (!first) text.push_back('*');
      first = false;
      if (atom->kind == AtomKind::kSymbol) {
        text.append(atom->symbol);
        continue;
      }
      static constexpr const char* kNames[] = {"", "floordiv", "ceildiv", "mod", "max", "min"};
      absl::StrAppend(&text, kNames[static_cast<int>(atom->kind)], "(", atom->a.ToString(), ",",
                      atom->b.ToString(), ")");
    }
  }
  return text;
}

std::string ShapeToString(const Shape& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text.push_back(',');
    text.append(shape[i].ToString());
  }
  text.push_back(']');
  return text;
}

}  // namespace sluice
