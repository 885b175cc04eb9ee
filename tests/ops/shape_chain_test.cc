// Shapes that flow through Shape, Gather, Concat, Slice, ... to Reshape and Expand.
#include "gtest/gtest.h"
#include "ops/op.h"

namespace sluice {
namespace {

class ShapeChainTest : public ::testing::Test {
 protected:
  Value* In(absl::string_view type) { return b_.Input("", *Type::Parse(type)); }
  Value* Op(absl::string_view op, std::initializer_list<Value*> inputs,
            const AttrList& attrs = {}) {
    return b_.Op(op, inputs, attrs);
  }
  Value* Ints(const std::vector<int64_t>& v) { return b_.Ints(v); }
  std::string TypeOf(Value* v) {
    return v == nullptr ? std::string(b_.status().message()) : v->type().ToString();
  }
  std::string Contents(Value* v) {
    return v->known_dims().has_value() ? ShapeToString(*v->known_dims()) : "unknown";
  }
  // That the op is refused; resets the builder.
  std::string Refusal(absl::string_view op, std::initializer_list<Value*> inputs,
                      const AttrList& attrs = {}) {
    GraphBuilder b(&graph_);
    b.Op(op, inputs, attrs);
    return b.status().ok() ? "accepted" : std::string(b.status().message());
  }
  Graph graph_{StandardOps()};
  GraphBuilder b_{&graph_};
};

TEST_F(ShapeChainTest, HeadsAreSplitAndMergedAsExportersWriteIt) {
  Value* x = In("f32[batch,seq,768]");
  Value* shape = Op("Shape", {x});
  Value* batch = Op("Gather", {shape, b_.Scalar<int64_t>(0)});
  Value* seq = Op("Gather", {shape, b_.Scalar<int64_t>(1)});
  EXPECT_EQ(Contents(batch), "[batch]");
  Value* target = Op("Concat",
                     {Op("Unsqueeze", {batch, Ints({0})}), Op("Unsqueeze", {seq, Ints({0})}),
                      Ints({12}), Ints({-1})},
                     {{"axis", 0}});
  EXPECT_EQ(Contents(target), "[batch,seq,12,-1]");
  Value* heads = Op("Reshape", {x, target});
  EXPECT_EQ(TypeOf(heads), "f32[batch,seq,12,64]");
  Value* turned = Op("Transpose", {heads}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}});
  EXPECT_EQ(TypeOf(turned), "f32[batch,12,seq,64]");
  EXPECT_EQ(TypeOf(Op("Reshape", {turned, Ints({-1, 768})})), "f32[batch*seq,768]");
  EXPECT_EQ(TypeOf(Op("Flatten", {x}, {{"axis", 2}})), "f32[batch*seq,768]");
}

TEST_F(ShapeChainTest, SlicesOfShapesAndSizesAreFollowed) {
  Value* x = In("f32[n,c,h,w]");
  Value* shape = Op("Shape", {x});
  EXPECT_EQ(Contents(Op("Slice", {shape, Ints({2}), Ints({INT64_MAX})})), "[h,w]");
  EXPECT_EQ(Contents(Op("Slice", {shape, Ints({-1}), Ints({-9}), Ints({0}), Ints({-2})})), "[w,c]");
  EXPECT_EQ(Contents(Op("Shape", {x}, {{"start", -2}})), "[h,w]");
  EXPECT_EQ(Contents(Op("Size", {x})), "[c*h*n*w]");
  EXPECT_EQ(Contents(Op("Squeeze", {Op("Gather", {shape, Ints({1})})})), "[c]");
  Value* ones = Op("ConstantOfShape", {Ints({2})}, {{"value", Tensor::Vector<int64_t>({1})}});
  EXPECT_EQ(Contents(ones), "[1,1]");
  EXPECT_EQ(Contents(Op("Expand", {Ints({5}), Ints({3})})), "[5,5,5]");
  EXPECT_EQ(Contents(Op("Tile", {Ints({5, 6}), Ints({2})})), "[5,6,5,6]");
  EXPECT_EQ(
      Contents(Op("Range", {b_.Scalar<int64_t>(0), b_.Scalar<int64_t>(6), b_.Scalar<int64_t>(2)})),
      "[0,2,4]");
  Value* length = Op("Gather", {shape, b_.Scalar<int64_t>(3)});
  EXPECT_EQ(TypeOf(Op("Range", {b_.Scalar<int64_t>(0), length, b_.Scalar<int64_t>(1)})), "i64[w]");
  Value* wide = Op("Expand", {In("f32[1,1,w]"), Op("Gather", {shape, Ints({0, 2, 3})})});
  EXPECT_EQ(TypeOf(wide), "f32[n,h,w]");
}

TEST_F(ShapeChainTest, UnknownElementsDoNotSpoilTheKnownOnes) {
  Value* x = In("f32[batch,seq,64]");
  Value* shape =
      Op("Concat", {Op("Shape", {x}, {{"end", 1}}), In("i64[1]"), Ints({64})}, {{"axis", 0}});
  EXPECT_EQ(Contents(shape), "[batch,?,64]");
  // The one extent that nobody knows follows from the element count.
  EXPECT_EQ(TypeOf(Op("Reshape", {x, shape})), "f32[batch,seq,64]");
}

TEST_F(ShapeChainTest, ReshapeMarksMeanWhatTheSpecificationSays) {
  EXPECT_EQ(TypeOf(Op("Reshape", {In("f32[b,3,4]"), Ints({0, -1})})), "f32[b,12]");
  EXPECT_EQ(TypeOf(Op("Reshape", {In("f32[0,3,4]"), Ints({0, -1})})), "f32[0,12]");
  EXPECT_EQ(TypeOf(Op("Reshape", {In("f32[0,3]"), Ints({3, 0})}, {{"allowzero", 1}})), "f32[3,0]");
  EXPECT_EQ(TypeOf(Op("Reshape", {In("f32[1]"), Ints({})})), "f32[]");
  EXPECT_EQ(TypeOf(Op("Reshape", {In("f32[b,s]"), In("i64[3]")})).substr(0, 4), "f32[");
  Value* x = In("f32[2,3]");
  EXPECT_NE(Refusal("Reshape", {x, Ints({4, 2})}).find("element counts differ"), std::string::npos);
  EXPECT_NE(Refusal("Reshape", {x, Ints({-1, -1})}).find("-1 twice"), std::string::npos);
  EXPECT_NE(Refusal("Reshape", {x, Ints({-2, 3})}).find("-2"), std::string::npos);
  EXPECT_NE(Refusal("Reshape", {x, Ints({2, 3, 0})}).find("is 0"), std::string::npos);
  EXPECT_NE(Refusal("Reshape", {x, Ints({-1, 0})}, {{"allowzero", 1}}), "accepted");
}

TEST_F(ShapeChainTest, SlicesOfSymbolicExtentsAreExact) {
  auto slice = [&](int64_t from, int64_t to, int64_t step = 1) {
    return TypeOf(Op("Slice", {In("f32[n]"), Ints({from}), Ints({to}), Ints({0}), Ints({step})}));
  };
  EXPECT_EQ(slice(0, INT64_MAX), "f32[n]");
  EXPECT_EQ(slice(1, INT64_MAX), "f32[max(n-1,0)]");
  EXPECT_EQ(slice(0, -1), "f32[max(n-1,0)]");
  EXPECT_EQ(slice(-3, INT64_MAX), "f32[min(n,3)]");
  EXPECT_EQ(slice(0, 4), "f32[min(n,4)]");
  EXPECT_EQ(slice(0, INT64_MAX, 2), "f32[floordiv(n+1,2)]");
  EXPECT_EQ(slice(-1, INT64_MIN, -1), "f32[n]");
  EXPECT_EQ(slice(7, 3), "f32[0]");
}

TEST_F(ShapeChainTest, ExtentsAddAndDivideAsExpressions) {
  Value* a = In("f32[b,n,4]");
  Value* c = In("f32[b,m,4]");
  EXPECT_EQ(TypeOf(Op("Concat", {a, c}, {{"axis", 1}})), "f32[b,m+n,4]");
  EXPECT_EQ(TypeOf(Op("Pad", {a, Ints({0, 1, 0, 0, 2, 0})})), "f32[b,n+3,4]");
  EXPECT_EQ(TypeOf(Op("Tile", {a, Ints({2, 1, 3})})), "f32[2*b,n,12]");
  EXPECT_EQ(TypeOf(b_.OpN("Split", std::vector<Value*>{In("f32[2*n,3]")}, 2)[1]), "f32[n,3]");
  EXPECT_EQ(TypeOf(Op("DepthToSpace", {In("f32[b,8,h,w]")}, {{"blocksize", 2}})),
            "f32[b,2,2*h,2*w]");
  EXPECT_EQ(TypeOf(Op("SpaceToDepth", {In("f32[b,c,2*h,6]")}, {{"blocksize", 2}})),
            "f32[b,4*c,h,3]");
  Value* scales = b_.Constant(Tensor::Vector<float>({1, 1, 2, 0.5f}));
  EXPECT_EQ(TypeOf(Op("Resize", {In("f32[b,3,h,w]"), nullptr, scales})),
            "f32[b,3,2*h,floordiv(w,2)]");
  EXPECT_EQ(TypeOf(Op("Gather", {In("f32[v,d]"), In("i64[b,s]")})), "f32[b,s,d]");
  EXPECT_EQ(TypeOf(Op("OneHot", {In("i64[b,s]"), b_.Scalar<int64_t>(10), In("f32[2]")})),
            "f32[b,s,10]");
}

TEST_F(ShapeChainTest, HostileAttributesAreRefused) {
  Value* x = In("f32[2,3,4]");
  auto ints = [](std::vector<int64_t> v) { return Attribute(std::move(v)); };
  EXPECT_NE(Refusal("Transpose", {x}, {{"perm", ints({0, 1})}}), "accepted");
  EXPECT_NE(Refusal("Transpose", {x}, {{"perm", ints({0, 1, 1})}}), "accepted");
  EXPECT_NE(Refusal("Concat", {x, x}, {{"axis", 3}}), "accepted");
  EXPECT_NE(Refusal("Concat", {b_.Scalar<float>(1)}, {{"axis", 0}}), "accepted");
  EXPECT_NE(Refusal("Flatten", {x}, {{"axis", -4}}), "accepted");
  EXPECT_NE(Refusal("Gather", {x, Ints({0})}, {{"axis", 3}}), "accepted");
  EXPECT_NE(Refusal("Squeeze", {x, Ints({1})}), "accepted");
  EXPECT_NE(Refusal("Unsqueeze", {x, Ints({1, 1})}), "accepted");
  EXPECT_NE(Refusal("Slice", {x, Ints({0}), Ints({1}), Ints({0}), Ints({0})}), "accepted");
  EXPECT_NE(Refusal("Slice", {x, Ints({0, 0}), Ints({1})}), "accepted");
  EXPECT_NE(Refusal("Pad", {x, Ints({1, 2, 3})}), "accepted");
  EXPECT_NE(Refusal("Pad", {x, Ints({-3, 0, 0, 0, 0, 0})}), "accepted");
  EXPECT_NE(Refusal("Pad", {x, Ints({0, 0, 0, 0, 0, 0})}, {{"mode", "mirror"}}), "accepted");
  EXPECT_NE(Refusal("Expand", {x, Ints({2, 3, 5})}), "accepted");
  EXPECT_NE(Refusal("Tile", {x, Ints({INT64_MAX, 1, 1})}), "accepted");
  EXPECT_NE(Refusal("DepthToSpace", {In("f32[1,4,2,2]")}, {{"blocksize", 0}}), "accepted");
  EXPECT_NE(Refusal("DepthToSpace", {In("f32[1,6,2,2]")}, {{"blocksize", 2}}), "accepted");
  EXPECT_NE(Refusal("DepthToSpace", {In("f32[1,4,2,2]")}, {{"blocksize", int64_t{1} << 40}}),
            "accepted");
  EXPECT_NE(Refusal("Split", {x, Ints({1, 1})}, {{"axis", 0}}), "accepted");
  EXPECT_NE(Refusal("Resize", {x}), "accepted");
  EXPECT_NE(Refusal("Range", {b_.Scalar<float>(0), b_.Scalar<float>(1), b_.Scalar<float>(0)}),
            "accepted");
  EXPECT_NE(Refusal("Range", {b_.Scalar<float>(0), b_.Scalar<float>(NAN), b_.Scalar<float>(1)}),
            "accepted");
  EXPECT_NE(Refusal("ConstantOfShape", {Ints({-1})}), "accepted");
  EXPECT_NE(Refusal("GatherND", {x, In("i64[2,4]")}), "accepted");
  EXPECT_NE(Refusal("GatherND", {x, In("i64[2,1]")}, {{"batch_dims", -1}}), "accepted");
  EXPECT_NE(Refusal("ScatterND", {x, In("i64[2,1]"), In("f32[2,3]")}), "accepted");
  EXPECT_NE(
      Refusal("ScatterElements", {x, In("i64[1,1,1]"), In("f32[1,1,1]")}, {{"reduction", "mean"}}),
      "accepted");
  EXPECT_NE(Refusal("ReverseSequence", {x, In("i64[3]")}, {{"batch_axis", 0}}), "accepted");
  EXPECT_NE(Refusal("CenterCropPad", {x, Ints({1, 2})}), "accepted");
}

}  // namespace
}  // namespace sluice
