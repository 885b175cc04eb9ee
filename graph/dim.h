// Dim: one extent of a shape: a number, or a canonical integer expression over named symbols.
//
// Canonical form: a sum of terms, each an integer coefficient times a product of atoms, sorted; an
// atom is a symbol or floordiv(a,b), ceildiv(a,b), mod(a,b), max(a,b), min(a,b) of Dims. Two Dims
// are equal iff their forms are, so `2*seq + 1 - seq` equals `seq + 1`, and what a strided
// convolution gives, `floordiv(h-1,2)+1`, is what ceildiv(h,2) gives: `floordiv(h+1,2)`. Symbols
// stand for extents: integers >= 0. Expressions are immutable and shared; very large ones (some
// hundred atoms) become Unknown, so that every operation is fast. Arithmetic that overflows int64
// gives Dim::Unknown(), which equals nothing, not even itself.
#ifndef SLUICE_GRAPH_DIM_H_
#define SLUICE_GRAPH_DIM_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice {

// The numbers that symbols stand for in one run.
using Bindings = absl::flat_hash_map<std::string, int64_t>;

class Dim {
 public:
  Dim() = default;                       // the number 0
  Dim(int64_t value) : value_(value) {}  // NOLINT: a number is a Dim
  static Dim Symbol(absl::string_view name);
  static Dim Unknown();

  bool is_number() const { return expr_ == nullptr; }
  bool is_unknown() const;
  // Precondition: is_number().
  int64_t number() const { return value_; }
  std::optional<int64_t> AsNumber() const {
    return is_number() ? std::optional<int64_t>(value_) : std::nullopt;
  }
  // The name where the expression is one bare symbol.
  std::optional<std::string> AsSymbol() const;

  friend Dim operator+(const Dim& a, const Dim& b);
  friend Dim operator-(const Dim& a, const Dim& b);
  friend Dim operator*(const Dim& a, const Dim& b);
  // Rounding toward minus infinity; b == 0 gives Unknown. FloorDiv(k*x, k) is x.
  friend Dim FloorDiv(const Dim& a, const Dim& b);
  friend Dim CeilDiv(const Dim& a, const Dim& b);
  friend Dim Mod(const Dim& a, const Dim& b);
  friend Dim Max(const Dim& a, const Dim& b);
  friend Dim Min(const Dim& a, const Dim& b);
  // The quotient where b divides a exactly as an expression (6*n*m / 2*n is 3*m).
  friend std::optional<Dim> ExactDiv(const Dim& a, const Dim& b);

  friend bool operator==(const Dim& a, const Dim& b);
  friend bool operator!=(const Dim& a, const Dim& b) { return !(a == b); }
  // A total order on canonical forms, for sorting only.
  friend int Compare(const Dim& a, const Dim& b);

  // True only where it follows for every non-negative value of the symbols.
  bool ProvablyNonNegative() const;
  bool ProvablyPositive() const;
  // True where the two can never be equal.
  friend bool ProvablyDifferent(const Dim& a, const Dim& b);

  // The number under `bindings`; empty where a symbol is unbound or the value overflows.
  std::optional<int64_t> Evaluate(const Bindings& bindings) const;
  Dim Substitute(const std::function<std::optional<Dim>(absl::string_view symbol)>& map) const;
  void CollectSymbols(std::vector<std::string>* symbols) const;  // appends; one may repeat

  // Text form without blanks: "2*seq+1", "floordiv(h+1,2)". Parse() reads it back; "?" is Unknown.
  std::string ToString() const;
  static absl::StatusOr<Dim> Parse(absl::string_view text);

  struct Expr;  // private to dim.cc

 private:
  int64_t value_ = 0;
  std::shared_ptr<const Expr> expr_;  // null: the number value_
};

// Symbols are [A-Za-z_][A-Za-z0-9_.]*; other characters of a foreign name become '_'.
std::string LegalSymbol(absl::string_view name);

using Shape = std::vector<Dim>;
std::string ShapeToString(const Shape& shape);  // "[batch,784]"

}  // namespace sluice

#endif  // SLUICE_GRAPH_DIM_H_
