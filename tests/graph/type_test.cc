#include "graph/type.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice {
namespace {

Type T(absl::string_view text) {
  absl::StatusOr<Type> t = Type::Parse(text);
  EXPECT_TRUE(t.ok()) << t.status();
  return t.value_or(Type());
}

TEST(Type, TextReadsBack) {
  for (const char* text :
       {"?", "f32[]", "f32[*]", "?[2,3]", "?[*]", "bf16[batch,2*n+1]", "u8[1,2,3,4]@channels_last",
        "f32[n,8]@blocked8", "f16[n,16]@blocked16", "sequence<f32[?]>", "optional<sequence<?>>",
        "map<string,map<i64,f32[*]>>", "string[?,?]"}) {
    EXPECT_EQ(T(text).ToString(), text);
    EXPECT_EQ(T(text), T(text)) << text;
  }
}

TEST(Type, ParseErrorsSayWhere) {
  for (const char* text : {"", "f33[2]", "f32", "f32[2", "f32[2]x", "sequence<", "sequence<f32[]",
                           "map<foo,f32[]>", "map<i64>", "f32[2]@odd", "f32[*]@blocked8"}) {
    absl::StatusOr<Type> t = Type::Parse(text);
    ASSERT_FALSE(t.ok()) << text;
    EXPECT_THAT(std::string(t.status().message()), testing::HasSubstr("column")) << text;
  }
}

TEST(Type, MergeKeepsWhatEitherKnows) {
  const char* const cases[][3] = {
      {"?", "f32[2]", "f32[2]"},
      {"f32[2]", "?", "f32[2]"},
      {"f32[*]", "f32[n]", "f32[n]"},
      {"f32[n]", "f32[*]", "f32[n]"},
      {"f32[n,4]", "f32[3,m]", "f32[3,4]"},
      {"f32[n]", "f32[m]", "f32[n]"},
      {"f32[?]", "f32[m]", "f32[m]"},
      {"f32[m]", "f32[?]", "f32[m]"},
      {"?[2]", "f32[*]", "f32[2]"},
      {"f32[2,8]", "f32[2,8]@blocked8", "f32[2,8]@blocked8"},
      {"sequence<?>", "sequence<f32[n]>", "sequence<f32[n]>"},
      {"map<i64,f32[n]>", "map<i64,f32[3]>", "map<i64,f32[3]>"},
  };
  for (const auto& [a, b, merged] : cases) {
    absl::StatusOr<Type> t = MergeTypes(T(a), T(b));
    ASSERT_TRUE(t.ok()) << a << " " << b << t.status();
    EXPECT_EQ(t->ToString(), merged) << a << " " << b;
  }
}

TEST(Type, MergeRefusesContradictions) {
  const char* const cases[][2] = {
      {"f32[2]", "f16[2]"},
      {"f32[2]", "f32[3]"},
      {"f32[2]", "f32[2,1]"},
      {"f32[n]", "f32[n+1]"},
      {"f32[2*n]", "f32[5]"},
      {"f32[2]", "sequence<f32[2]>"},
      {"map<i64,?>", "map<string,?>"},
      {"sequence<f32[2]>", "sequence<f32[3]>"},
      {"f32[2,8]@blocked8", "f32[2,8]@channels_last"},
  };
  for (const auto& [a, b] : cases) {
    absl::StatusOr<Type> t = MergeTypes(T(a), T(b));
    ASSERT_FALSE(t.ok()) << a << " " << b;
    EXPECT_EQ(t.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(t.status().message()), testing::HasSubstr(a));
  }
}

TEST(Type, JoinKeepsWhatHoldsForBoth) {
  int fresh = 0;
  auto join = [&](absl::string_view a, absl::string_view b) {
    return JoinTypes(T(a), T(b), [&] { return Dim::Symbol("_" + std::to_string(fresh++)); })
        .ToString();
  };
  EXPECT_EQ(join("f32[n,4]", "f32[n,4]"), "f32[n,4]");
  EXPECT_EQ(join("f32[2,4]", "f32[3,4]"), "f32[_0,4]");
  EXPECT_EQ(join("f32[n]", "f32[2,4]"), "f32[*]");
  EXPECT_EQ(join("f32[n]", "i64[n]"), "?[n]");
  EXPECT_EQ(join("f32[n]", "?"), "?");
  EXPECT_EQ(join("sequence<f32[2]>", "sequence<f32[3]>"), "sequence<f32[_1]>");
  EXPECT_EQ(join("optional<f32[]>", "sequence<f32[]>"), "?");
}

TEST(Type, StaticShapesAndElements) {
  EXPECT_TRUE(T("f32[2,0]").has_static_shape());
  EXPECT_FALSE(T("f32[n]").has_static_shape());
  EXPECT_FALSE(T("f32[*]").has_static_shape());
  EXPECT_FALSE(T("f32[-2]").has_static_shape());
  EXPECT_EQ(T("f32[n,2,3]").Elements()->ToString(), "6*n");
  EXPECT_EQ(*T("f32[]").Elements(), Dim(1));
  EXPECT_FALSE(T("f32[?]").Elements().has_value());
  EXPECT_EQ(Type::Of(Tensor::Scalar<int64_t>(3)).ToString(), "i64[]");
}

}  // namespace
}  // namespace sluice
