// What inference knows of the contents of small integer tensors: how models compute shapes.
#include "graph/builder.h"
#include "graph/infer.h"
#include "gtest/gtest.h"
#include "ops/op.h"

namespace sluice {
namespace {

class KnownContents : public testing::Test {
 protected:
  KnownContents() : graph_(StandardOps()), b_(&graph_) {
    x_ = b_.Input("x",
                  Type::Tensor(DType::kF32, Shape{Dim::Symbol("batch"), Dim::Symbol("seq"), 64}));
    shape_ = b_.Op("Shape", {x_});
  }
  // "[batch,seq,64]", "?" where nothing is known.
  std::string Known(Value* v) {
    EXPECT_TRUE(b_.status().ok()) << b_.status();
    if (v == nullptr || !v->known_dims().has_value()) return "?";
    return ShapeToString(*v->known_dims());
  }
  Value* Op(absl::string_view op, std::initializer_list<Value*> in, const AttrList& attrs = {}) {
    return b_.Op(op, in, attrs);
  }

  Graph graph_;
  GraphBuilder b_;
  Value *x_, *shape_;
};

TEST_F(KnownContents, FollowArithmetic) {
  EXPECT_EQ(Known(shape_), "[batch,seq,64]");
  EXPECT_EQ(Known(Op("Add", {shape_, b_.Scalar<int64_t>(1)})), "[batch+1,seq+1,65]");
  EXPECT_EQ(Known(Op("Mul", {shape_, b_.Ints({2, 1, 3})})), "[2*batch,seq,192]");
  EXPECT_EQ(Known(Op("Sub", {shape_, shape_})), "[0,0,0]");
  EXPECT_EQ(Known(Op("Div", {Op("Mul", {shape_, b_.Ints({4})}), b_.Ints({4})})), "[batch,seq,64]");
  EXPECT_EQ(Known(Op("Max", {shape_, b_.Ints({80})})), "[max(batch,80),max(seq,80),80]");
  EXPECT_EQ(Known(Op("Mod", {b_.Ints({-7, 7}), b_.Ints({3, 3})})), "[?,1]");
}

TEST_F(KnownContents, DivisionTowardZeroIsNotFloorForNegatives) {
  EXPECT_EQ(Known(Op("Div", {b_.Ints({-7, 7, 5}), b_.Ints({2, 2, 0})})), "[-3,3,?]");
}

TEST_F(KnownContents, FollowCastsThatHoldThem) {
  Value* narrow = Op("Cast", {shape_}, {{"to", DType::kI32}});
  EXPECT_EQ(Known(narrow), "[batch,seq,64]");
  EXPECT_EQ(Known(Op("Cast", {narrow}, {{"to", DType::kI64}})), "[batch,seq,64]");
  EXPECT_EQ(Known(Op("Cast", {b_.Ints({300, 5})}, {{"to", DType::kI8}})), "[?,5]");
  EXPECT_EQ(Known(Op("Cast", {shape_}, {{"to", DType::kF32}})), "?");
}

// PyTorch exports torch.expand as Where(Equal(shape, -1), ones, shape).
TEST_F(KnownContents, FollowTheMinusOneIdiom) {
  Value* wanted = b_.Ints({-1, 7, 64});
  Value* missing = Op("Equal", {wanted, b_.Scalar<int64_t>(-1)});
  EXPECT_EQ(Known(missing), "[1,0,0]");
  EXPECT_EQ(Known(Op("Where", {missing, shape_, wanted})), "[batch,7,64]");
  EXPECT_EQ(Known(Op("Where", {Op("Equal", {shape_, b_.Ints({-1})}), b_.Ints({1}), shape_})),
            "[batch,seq,64]");
  EXPECT_EQ(Known(Op("Not", {missing})), "[0,1,1]");
  EXPECT_EQ(Known(Op("Less", {shape_, b_.Ints({0})})), "[0,0,0]");
  EXPECT_EQ(Known(Op("Clip", {b_.Ints({-3, 5}), b_.Scalar<int64_t>(0)})), "[0,5]");
}

TEST_F(KnownContents, OverflowIsUnknownAndNotWrong) {
  EXPECT_EQ(Known(Op("Mul", {b_.Ints({INT64_MAX}), b_.Ints({2})})), "[?]");
  EXPECT_EQ(Known(Op("Neg", {b_.Ints({5, INT64_MIN})})), "[-5,?]");
}

TEST_F(KnownContents, UnknownRanksAndTypesAreNoError) {
  Value* any = b_.Input("any", Type::Tensor(DType::kF32));
  EXPECT_EQ(Op("Add", {any, x_})->type().ToString(), "f32[*]");
  EXPECT_EQ(Op("Relu", {any})->type().ToString(), "f32[*]");
  Value* other = b_.Input("other", Type::Tensor(DType::kF32, Shape{Dim::Symbol("n")}));
  EXPECT_EQ(Op("Mul", {x_, other})->type().ToString(), "f32[batch,seq,64]");
}

}  // namespace
}  // namespace sluice
