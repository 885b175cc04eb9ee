#include "graph/dim.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace sluice {
namespace {

Dim D(absl::string_view text) {
  absl::StatusOr<Dim> d = Dim::Parse(text);
  EXPECT_TRUE(d.ok()) << d.status();
  return d.value_or(Dim::Unknown());
}

std::string Canonical(absl::string_view text) { return D(text).ToString(); }

TEST(Dim, NumbersAreNumbers) {
  EXPECT_EQ(Canonical("2*3+4-1"), "9");
  EXPECT_EQ(Canonical("floordiv(-7,2)"), "-4");
  EXPECT_EQ(Canonical("ceildiv(-7,2)"), "-3");
  EXPECT_EQ(Canonical("ceildiv(7,-2)"), "-3");
  EXPECT_EQ(Canonical("mod(-7,3)"), "2");
  EXPECT_EQ(Canonical("mod(7,-3)"), "-2");
  EXPECT_EQ(Canonical("max(3,5)*min(3,5)"), "15");
  EXPECT_EQ(Canonical("-9223372036854775808"), "-9223372036854775808");
}

TEST(Dim, SumsAndProductsHaveOneForm) {
  EXPECT_EQ(Canonical("2*seq + 1 - seq"), "seq+1");
  EXPECT_EQ(D("(a+b)*(a-b)"), D("a*a-b*b"));
  EXPECT_EQ(D("b*a"), D("a*b"));
  EXPECT_EQ(Canonical("n-n"), "0");
  EXPECT_EQ(Canonical("(a+1)*(b+2)"), "a*b+2*a+b+2");
  EXPECT_EQ(Canonical("3-x"), "-x+3");
}

TEST(Dim, DivisionsByNumbersHaveOneForm) {
  EXPECT_EQ(D("floordiv(6*n,6)"), D("n"));
  EXPECT_EQ(Canonical("floordiv(h-1,2)+1"), "floordiv(h+1,2)");
  EXPECT_EQ(D("floordiv(h+2*3-7,2)+1"), D("ceildiv(h,2)"));
  EXPECT_EQ(D("ceildiv(ceildiv(h,2),2)"), D("ceildiv(h,4)"));
  EXPECT_EQ(D("floordiv(floordiv(h,3)+1,5)"), D("floordiv(h+3,15)"));
  EXPECT_EQ(Canonical("floordiv(4*x+7,8)"), "floordiv(x+1,2)");
  EXPECT_EQ(Canonical("floordiv(x,-2)"), Canonical("floordiv(-x,2)"));
  EXPECT_EQ(Canonical("mod(4*x+5,4)"), "1");
  EXPECT_EQ(Canonical("mod(6*x+4,8)"), "2*mod(3*x+2,4)");
}

TEST(Dim, DivisionsBySymbolsCancel) {
  EXPECT_EQ(*ExactDiv(D("6*n*m"), D("2*n")), D("3*m"));
  EXPECT_EQ(*ExactDiv(D("(n+1)*(m+2)"), D("m+2")), D("n+1"));
  EXPECT_FALSE(ExactDiv(D("n*m+1"), D("m")).has_value());
  EXPECT_FALSE(ExactDiv(D("3*n"), D("2")).has_value());
  EXPECT_FALSE(ExactDiv(D("n"), D("0")).has_value());
  EXPECT_EQ(Canonical("floordiv(n*m+k,m)"), "n+floordiv(k,m)");
  EXPECT_EQ(Canonical("floordiv(2*n*m,4*m)"), "floordiv(n,2)");
  EXPECT_EQ(Canonical("mod(n*m,m)"), "0");
  EXPECT_EQ(Canonical("ceildiv(n*m,m)"), "n");
}

TEST(Dim, ComparisonsThatFollowAreUsed) {
  EXPECT_EQ(Canonical("max(n,0)"), "n");
  EXPECT_EQ(Canonical("max(n+3,n)"), "n+3");
  EXPECT_EQ(Canonical("min(n+3,2)"), "2");
  EXPECT_EQ(Canonical("max(1,n)"), "max(n,1)");
  EXPECT_EQ(D("max(a,b)"), D("max(b,a)"));
  EXPECT_TRUE(D("floordiv(n,2)+1").ProvablyPositive());
  EXPECT_TRUE(D("4-mod(n,4)").ProvablyPositive());
  EXPECT_FALSE(D("n-1").ProvablyNonNegative());
  EXPECT_FALSE(D("n").ProvablyPositive());
  EXPECT_TRUE(ProvablyDifferent(D("n"), D("n+1")));
  EXPECT_TRUE(ProvablyDifferent(D("2*n"), D("7")));
  EXPECT_TRUE(ProvablyDifferent(D("n+5"), D("3")));
  EXPECT_FALSE(ProvablyDifferent(D("2*n"), D("8")));
  EXPECT_FALSE(ProvablyDifferent(D("n"), D("m")));
}

TEST(Dim, UnknownEqualsNothingAndSpreads) {
  EXPECT_FALSE(Dim::Unknown() == Dim::Unknown());
  EXPECT_TRUE((Dim::Symbol("n") + Dim::Unknown()).is_unknown());
  EXPECT_TRUE(FloorDiv(Dim::Symbol("n"), 0).is_unknown());
  EXPECT_TRUE(Mod(Dim::Symbol("n"), 0).is_unknown());
  EXPECT_TRUE((Dim(INT64_MAX) + 1).is_unknown());
  EXPECT_TRUE((Dim(INT64_MIN) - 1).is_unknown());
  EXPECT_TRUE(FloorDiv(Dim(INT64_MIN), -1).is_unknown());
  EXPECT_TRUE(CeilDiv(Dim(INT64_MIN), -1).is_unknown());
  EXPECT_EQ(Mod(Dim(INT64_MIN), -1), Dim(0));
  EXPECT_TRUE((Dim::Symbol("n") * INT64_MAX * 2).is_unknown());
  EXPECT_EQ(Canonical("?"), "?");
}

TEST(Dim, EvaluatesAndSubstitutes) {
  const Dim d = D("floordiv(h+1,2)*c-max(h,9)");
  EXPECT_EQ(d.Evaluate({{"h", 7}, {"c", 3}}), 4 * 3 - 9);
  EXPECT_FALSE(d.Evaluate({{"h", 7}}).has_value());
  EXPECT_FALSE(D("n*n").Evaluate({{"n", int64_t{1} << 40}}).has_value());
  const Dim s = d.Substitute([](absl::string_view name) -> std::optional<Dim> {
    if (name == "h") return Dim::Symbol("x") * 2 + 1;
    return std::nullopt;
  });
  EXPECT_EQ(s, D("(x+1)*c-max(2*x+1,9)"));
  std::vector<std::string> symbols;
  d.CollectSymbols(&symbols);
  EXPECT_THAT(symbols, testing::IsSupersetOf({"h", "c"}));
  EXPECT_EQ(*Dim::Symbol("h").AsSymbol(), "h");
  EXPECT_FALSE(D("h+1").AsSymbol().has_value());
  EXPECT_FALSE(Dim(3).AsSymbol().has_value());
}

TEST(Dim, ParseErrorsSayWhere) {
  for (const char* text : {"", "n+", "2**n", "floordiv(n)", "floordiv(n,2", "foo(n,2)", "n n", "%",
                           "99999999999999999999", "(n"}) {
    absl::StatusOr<Dim> d = Dim::Parse(text);
    ASSERT_FALSE(d.ok()) << text;
    EXPECT_THAT(std::string(d.status().message()), testing::HasSubstr("column"));
  }
  EXPECT_THAT(Dim::Parse("2*(n").status().ToString(), testing::HasSubstr("column 5"));
}

TEST(Dim, HostileExpressionsEndSoon) {
  EXPECT_FALSE(Dim::Parse(std::string(10000, '(')).ok());
  std::string nested;
  for (int i = 0; i < 10000; ++i) nested += "max(n,";
  EXPECT_FALSE(Dim::Parse(nested).ok());
  std::string product = "1";
  for (int i = 0; i < 2000; ++i) product += "*(a" + std::to_string(i) + "+1)";
  EXPECT_TRUE(D(product).is_unknown());  // 2^2000 terms
  Dim doubled = Dim::Symbol("n");
  for (int i = 0; i < 1000; ++i) doubled = FloorDiv(doubled * doubled + 1, doubled + 2);
  EXPECT_TRUE(doubled.is_unknown());
}

TEST(Dim, LegalSymbols) {
  EXPECT_EQ(LegalSymbol("batch size"), "batch_size");
  EXPECT_EQ(LegalSymbol("2n"), "_2n");
  EXPECT_EQ(LegalSymbol(""), "_");
  EXPECT_EQ(LegalSymbol("a.b_1"), "a.b_1");
}

// An expression built at random beside its value, computed step by step on plain numbers.
struct Pair {
  Dim dim;
  std::optional<__int128> value;  // empty: not defined, or outside of int64
};

class RandomExpressions {
 public:
  explicit RandomExpressions(uint32_t seed) : random_(seed) {
    for (const char* name : {"a", "b", "c", "d"}) bindings_[name] = Below(12);
  }
  int64_t Below(int n) { return static_cast<int64_t>(random_() % static_cast<uint32_t>(n)); }
  const Bindings& bindings() const { return bindings_; }

  Pair Make(int depth) {
    if (depth == 0 || Below(5) == 0) {
      if (Below(2) == 0) {
        const int64_t n = Below(13) - 4;
        return {Dim(n), n};
      }
      const std::string name(1, static_cast<char>('a' + Below(4)));
      return {Dim::Symbol(name), bindings_[name]};
    }
    const Pair x = Make(depth - 1), y = Make(depth - 1);
    const bool ok = x.value && y.value;
    const __int128 p = ok ? *x.value : 0, q = ok ? *y.value : 0;
    auto give = [&](Dim d, bool defined, __int128 v) -> Pair {
      const bool fits = v >= INT64_MIN && v <= INT64_MAX;
      return {std::move(d), ok && defined && fits ? std::optional<__int128>(v) : std::nullopt};
    };
    const __int128 floor = q == 0 ? 0 : (p - (((p % q) + q) % q)) / q;
    switch (Below(8)) {
      case 0:
        return give(x.dim + y.dim, true, p + q);
      case 1:
        return give(x.dim - y.dim, true, p - q);
      case 2:
        return give(x.dim * y.dim, true, p * q);
      case 3:
        return give(FloorDiv(x.dim, y.dim), q != 0, floor);
      case 4:
        return give(CeilDiv(x.dim, y.dim), q != 0, q == 0 ? 0 : floor + (floor * q != p));
      case 5:
        return give(Mod(x.dim, y.dim), q != 0, p - floor * q);
      case 6:
        return give(Max(x.dim, y.dim), true, std::max(p, q));
      default:
        return give(Min(x.dim, y.dim), true, std::min(p, q));
    }
  }

 private:
  std::mt19937 random_;
  Bindings bindings_;
};

TEST(Dim, CanonicalFormsKeepTheValueOfRandomExpressions) {
  int compared = 0;
  for (uint32_t seed = 0; seed < 30000; ++seed) {
    RandomExpressions random(seed);
    const Pair p = random.Make(2 + static_cast<int>(seed % 4));
    if (p.dim.is_unknown() || !p.value.has_value()) continue;
    const std::optional<int64_t> got = p.dim.Evaluate(random.bindings());
    ASSERT_TRUE(got.has_value()) << seed << " " << p.dim.ToString();
    ASSERT_EQ(*got, static_cast<int64_t>(*p.value)) << seed << " " << p.dim.ToString();
    ++compared;
    absl::StatusOr<Dim> back = Dim::Parse(p.dim.ToString());
    ASSERT_TRUE(back.ok()) << back.status();
    ASSERT_EQ(*back, p.dim) << p.dim.ToString() << " became " << back->ToString();
    if (p.dim.ProvablyNonNegative()) ASSERT_GE(*got, 0) << p.dim.ToString();
    if (p.dim.ProvablyPositive()) ASSERT_GT(*got, 0) << p.dim.ToString();
    const Dim same = p.dim.Substitute([](absl::string_view) { return std::nullopt; });
    ASSERT_EQ(same, p.dim);
    const Dim number = p.dim.Substitute([&](absl::string_view name) {
      return std::optional<Dim>(random.bindings().at(std::string(name)));
    });
    if (!number.is_unknown()) ASSERT_EQ(number, Dim(*got)) << p.dim.ToString();
  }
  EXPECT_GT(compared, 10000);
}

}  // namespace
}  // namespace sluice
