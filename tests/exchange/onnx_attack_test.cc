// Hostile ONNX models: each ends in a Status that says why. The numbers are ATTACKS.md's classes;
// 1 to 4 are in external_data_test.cc, 8 and 9 in onnx_structure_test.cc.
#include "exchange/onnx_import.h"
#include "exchange/tensor_proto.h"
#include "tests/exchange/model_builder.h"

namespace sluice {
namespace {

using onnx::AttributeProto;
using onnx::TensorProto;

const std::string kTwoFloats("\0\0\x80\x3f\0\0\0\x40", 8);

// ---- 5: payloads

// By itself, as an initializer of a model in memory, and of one in a file: one answer.
absl::Status ReadPayload(const std::function<void(TensorProto*)>& fill) {
  TensorProto t;
  t.set_name("t");
  t.set_data_type(TensorProto::FLOAT);
  fill(&t);
  auto model = EmptyModel();
  *model.mutable_graph()->add_initializer() = t;
  AddOutput(model.mutable_graph(), "t");
  TemporaryFolder folder;
  const absl::Status alone = TensorProtoReader("").Read(t).status(), bytes = Import(model).status(),
                     file = ImportOnnx(folder.Write("m.onnx", model.SerializeAsString())).status();
  EXPECT_EQ(alone.ok(), bytes.ok()) << bytes;
  EXPECT_EQ(alone.ok(), file.ok()) << file;
  if (!alone.ok()) {
    ExpectError(bytes, "'t'");
    ExpectError(file, std::string(alone.message()));
  }
  return alone;
}

TEST(TensorPayload, MustFitTheShape) {
  EXPECT_TRUE(ReadPayload([](TensorProto* t) {
                t->add_dims(2);
                t->set_raw_data(kTwoFloats);
              }).ok());
  EXPECT_TRUE(ReadPayload([](TensorProto* t) { t->add_dims(0); }).ok());
  ExpectError(ReadPayload([](TensorProto* t) {
                t->add_dims(int64_t{1} << 33);
                t->add_dims(int64_t{1} << 33);
              }),
              "");
  ExpectError(ReadPayload([](TensorProto* t) { t->add_dims(-1); }), "");
  ExpectError(ReadPayload([](TensorProto* t) {
                t->add_dims(2);
                t->set_raw_data("1234567");
              }),
              "raw_data has 7 bytes");
  ExpectError(ReadPayload([](TensorProto* t) {
                t->add_dims(2);
                t->set_raw_data(kTwoFloats);
                t->add_float_data(1);
              }),
              "stand twice");
  ExpectError(ReadPayload([](TensorProto* t) {
                t->add_dims(0);
                t->add_float_data(1);
              }),
              "no elements");
  ExpectError(ReadPayload([](TensorProto* t) {
                t->add_dims(2);
                t->set_raw_data(kTwoFloats + "9");
              }),
              "raw_data has 9 bytes");
  ExpectError(ReadPayload([](TensorProto* t) {  // left out of the parse, so large is it
                t->add_dims(2000);
                t->set_raw_data(std::string(8004, 'x'));
              }),
              "raw_data has 8004 bytes");
  ExpectError(ReadPayload([](TensorProto* t) {
                t->add_dims(1);
                t->add_int64_data(1);
              }),
              "");
  ExpectError(ReadPayload([](TensorProto* t) { t->set_data_type(0); }), "");
  ExpectError(ReadPayload([](TensorProto* t) { t->set_data_type(-1); }), "-1");
  ExpectError(ReadPayload([](TensorProto* t) { t->set_data_type(99); }), "99");
  for (int packed : {TensorProto::UINT4, TensorProto::INT4, TensorProto::FLOAT4E2M1}) {
    ExpectError(ReadPayload([&](TensorProto* t) {
                  t->set_data_type(packed);
                  t->add_dims(3);  // 2 bytes packed
                  t->set_raw_data("ab");
                }),
                "4");
  }
  ExpectError(ReadPayload([](TensorProto* t) { t->set_data_type(TensorProto::UINT4); }), "uint4");
  ExpectError(ReadPayload([](TensorProto* t) { t->add_int64_data(1); }), "0 elements");
  ExpectError(ReadPayload([](TensorProto* t) {
                for (int i = 0; i < 64; ++i) t->add_dims(1);
                t->add_float_data(1);
              }),
              "rank 64");
  ExpectError(ReadPayload([](TensorProto* t) { t->add_dims(int64_t{1} << 40); }), "0 elements");
}

TEST(TensorPayload, BoolsBecomeZeroOrOne) {  // 18
  TensorProto t;
  t.set_data_type(TensorProto::BOOL);
  t.add_dims(3);
  t.set_raw_data(std::string("\x00\x02\xff", 3));
  auto tensor = TensorProtoReader("").Read(t);
  ASSERT_TRUE(tensor.ok());
  EXPECT_EQ(tensor->data<uint8_t>()[1], 1);
  EXPECT_EQ(tensor->data<uint8_t>()[2], 1);
}

TEST(TensorPayload, SparseIndicesAndSizesAreChecked) {
  auto read = [](int64_t index, int64_t extent) {
    onnx::SparseTensorProto s;
    s.add_dims(extent);
    s.mutable_values()->set_data_type(TensorProto::FLOAT);
    s.mutable_values()->add_dims(1);
    s.mutable_values()->add_float_data(1);
    s.mutable_indices()->set_data_type(TensorProto::INT64);
    s.mutable_indices()->add_dims(1);
    s.mutable_indices()->add_int64_data(index);
    return TensorProtoReader("").ReadSparse(s).status();
  };
  EXPECT_TRUE(read(3, 4).ok());
  ExpectError(read(4, 4), "outside");
  ExpectError(read(-1, 4), "outside");
  ExpectError(read(0, int64_t{1} << 40), "1 GiB");
}

// ---- 10: attributes (the declarations check the values; here: what only a file can do)

TEST(Attributes, WrongTypesUnknownNamesAndRepetitionsAreErrors) {
  auto model = [](const std::function<void(onnx::NodeProto*)>& fill) {
    auto m = EmptyModel();
    AddInput(m.mutable_graph(), "x", {2, 2});
    fill(AddNode(m.mutable_graph(), "Softmax", {"x"}, {"y"}));
    AddOutput(m.mutable_graph(), "y");
    return Import(m).status();
  };
  EXPECT_TRUE(model([](onnx::NodeProto* n) { AddInt(n, "axis", 1); }).ok());
  ExpectError(model([](onnx::NodeProto* n) { AddFloat(n, "axis", 1); }), "axis");
  ExpectError(model([](onnx::NodeProto* n) { AddInt(n, "axes", 1); }), "unknown attribute");
  ExpectError(model([](onnx::NodeProto* n) {
                AddInt(n, "axis", 1);
                AddInt(n, "axis", 0);
              }),
              "stands twice");
  ExpectError(model([](onnx::NodeProto* n) { AddInt(n, "axis", INT64_MIN); }), "axis");
  ExpectError(model([](onnx::NodeProto* n) {
                auto* a = AddAttr(n, "axis", AttributeProto::INT);
                a->set_ref_attr_name("outside");
              }),
              "outside of one");
}

// ---- 19: names that collide

TEST(Names, AnOutputThatIsAlsoAnInput) {
  auto model = EmptyModel();
  AddInput(model.mutable_graph(), "x", {2});
  AddOutput(model.mutable_graph(), "x");
  auto graph = Import(model);
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_EQ((*graph)->outputs()[0], (*graph)->inputs()[0]);
}

// ---- Not a model

TEST(NotAModel, EveryTruncationAndManyBitFlipsEndInAStatus) {
  auto model = EmptyModel();
  auto* g = model.mutable_graph();
  AddInput(g, "x", {-1, 3});
  AddInitializer(g, "w", {3, 2}, {1, 2, 3, 4, 5, 6});
  AddInt(AddNode(g, "Gemm", {"x", "w"}, {"h"}), "transA", 0);
  AddNode(g, "Softmax", {"h"}, {"y"});
  AddOutput(g, "y");
  const std::string bytes = model.SerializeAsString();
  for (size_t n = 0; n < bytes.size(); ++n) (void)ImportOnnxBytes(bytes.substr(0, n));
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = bytes;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      (void)ImportOnnxBytes(flipped);  // a graph or an error, never a crash
    }
  }
  // A field number that only matches in its lower 32 bits.
  std::string graph_bytes, odd = EmptyModel().SerializeAsString();
  g->SerializeToString(&graph_bytes);
  odd += std::string("\xba\x80\x80\x80\x10", 5) +
         static_cast<char>((graph_bytes.size() & 127) | 128) +
         static_cast<char>(graph_bytes.size() >> 7) + graph_bytes;
  (void)ImportOnnxBytes(odd);
  for (const std::string& text : {std::string("hello"), std::string(100, '\0'), std::string()})
    EXPECT_FALSE(ImportOnnxBytes(text).ok());
  EXPECT_FALSE(ImportOnnx("/nonexistent.onnx").ok());
  EXPECT_FALSE(ImportOnnx("/tmp").ok());
  EXPECT_FALSE(ImportOnnx("/dev/null").ok());
}

}  // namespace
}  // namespace sluice
