// ATTACKS.md, class 10: every attribute of every op with hostile values, over inputs of several
// ranks. Each ends in a result or in an error that names the op, and never in SIGFPE, an overflow
// or a read outside (asan and ubsan watch), with a bounded amount of memory.
#include "tests/testing/hostile_attributes.h"

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/ops/every_op.h"
#include "tests/ops/try_op.h"
#include "tests/testing/run_op.h"

namespace sluice {
namespace {

AttrList With(AttrList attrs, const std::string& name, const Attribute& value) {
  std::erase_if(attrs, [&](const auto& a) { return a.first == name; });
  attrs.push_back({name, value});
  return attrs;
}

TEST(HostileAttributes, EveryAttributeOfEveryOpEndsInAResultOrAnError) {
  ThreadPool pool(1);
  int64_t good = 0, refused = 0;
  for (const OpDef* op : PlainOps()) {
    SCOPED_TRACE(op->name);
    const absl::Time start = absl::Now();
    for (const std::vector<Tensor>& inputs : InputSets(*op)) {
      for (const AttrDef& attr : op->attrs) {
        for (const Attribute& value : HostileValues(attr.kind)) {
          const AttrList attrs = With(BaseAttrs(op->name), attr.name, value);
          const absl::Status s = TryOp(*op, inputs, attrs, &pool).status();
          ++(s.ok() ? good : refused);
          if (s.ok() || s.code() == absl::StatusCode::kResourceExhausted) continue;
          EXPECT_THAT(std::string(s.message()),  // keys are the session's
                      testing::AnyOf(testing::HasSubstr(op->name), testing::HasSubstr("RandomKey")))
              << attr.name;
          EXPECT_NE(s.code(), absl::StatusCode::kInternal) << attr.name << ": " << s;
        }
      }
    }
    EXPECT_LT(absl::Now() - start, absl::Seconds(30));
  }
  EXPECT_GT(good, 1000);
  EXPECT_GT(refused, 1000);
}

TEST(HostileAttributes, OfAnotherKindOrAbsentAreErrorsThatNameThem) {
  ThreadPool pool(1);
  for (const OpDef* op : PlainOps()) {
    SCOPED_TRACE(op->name);
    for (const std::vector<Tensor>& inputs : InputSets(*op)) {
      for (const AttrDef& attr : op->attrs) {
        for (const Attribute& value :
             {Attribute(1), Attribute(1.f), Attribute("x"), Attribute(std::vector<int64_t>{1}),
              Attribute(DType::kF32), Attribute(Tensor::Scalar<float>(1))}) {
          if (value.kind() == attr.kind) continue;
          const absl::Status s =
              TryOp(*op, inputs, With(BaseAttrs(op->name), attr.name, value), &pool).status();
          EXPECT_FALSE(s.ok()) << attr.name;
          EXPECT_THAT(std::string(s.message()), testing::HasSubstr(attr.name));
        }
        if (!attr.required) continue;
        AttrList without = BaseAttrs(op->name);
        std::erase_if(without, [&](const auto& a) { return a.first == attr.name; });
        const absl::Status s = TryOp(*op, inputs, without, &pool).status();
        EXPECT_THAT(std::string(s.message()), testing::HasSubstr(attr.name));
      }
    }
  }
}

}  // namespace
}  // namespace sluice
