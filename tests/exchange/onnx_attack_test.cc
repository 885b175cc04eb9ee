// Hostile ONNX models: each ends in a Status that says why. The numbers are ATTACKS.md's classes.
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>

#include "exchange/file.h"
#include "exchange/onnx_import.h"
#include "exchange/tensor_proto.h"
#include "tests/exchange/model_builder.h"

namespace sluice {
namespace {

using onnx::AttributeProto;
using onnx::TensorProto;

void SetExternal(TensorProto* t, const std::vector<std::pair<std::string, std::string>>& entries) {
  t->clear_float_data();
  t->clear_raw_data();
  t->set_data_location(TensorProto::EXTERNAL);
  for (const auto& [key, value] : entries) {
    auto* e = t->add_external_data();
    e->set_key(key);
    e->set_value(value);
  }
}

// y = x + w with w (f32[2]) in an external file.
onnx::ModelProto ExternalModel(const std::vector<std::pair<std::string, std::string>>& entries) {
  auto model = EmptyModel();
  auto* g = model.mutable_graph();
  AddInput(g, "x", {2});
  SetExternal(AddInitializer(g, "w", {2}, {}), entries);
  AddNode(g, "Add", {"x", "w"}, {"y"});
  AddOutput(g, "y");
  return model;
}

absl::Status ImportExternal(const TemporaryFolder& folder,
                            const std::vector<std::pair<std::string, std::string>>& entries) {
  folder.Write("m.onnx", ExternalModel(entries).SerializeAsString());
  return ImportOnnx(folder / "m.onnx").status();
}

const std::string kTwoFloats("\0\0\x80\x3f\0\0\0\x40", 8);

// ---- 1: external data stays below the model's folder

TEST(ExternalData, IsMappedFromBesideAndBelow) {
  TemporaryFolder folder;
  folder.Write("w.bin", kTwoFloats);
  std::filesystem::create_directory(folder / "sub");
  folder.Write("sub/w.bin", "1" + kTwoFloats);
  EXPECT_TRUE(ImportExternal(folder, {{"location", "w.bin"}}).ok());
  EXPECT_TRUE(ImportExternal(folder, {{"location", "./sub/w.bin"}, {"offset", "1"}}).ok())
      << "an offset that is not aligned is legal";
}

TEST(ExternalData, PathsThatLeaveTheFolderAreRefused) {
  TemporaryFolder outer;
  outer.Write("secret", kTwoFloats);
  std::filesystem::create_directory(outer / "in");
  std::filesystem::create_directory(outer / "in/dir");
  std::filesystem::create_symlink(outer / "secret", outer / "in/link");
  std::filesystem::create_symlink(outer.path(), outer / "in/up");
  std::filesystem::create_hard_link(outer / "secret", outer / "in/hard");
  ASSERT_EQ(mkfifo((outer / "in/fifo").c_str(), 0600), 0);
  for (const std::string& location : std::vector<std::string>{
           "../secret", "/etc/passwd", outer / "secret", "dir/../../secret", "C:\\x", "C:x",
           "\\\\host\\x", std::string("w\0.bin", 6), "link", "up/secret", "hard", "fifo", "dir", "",
           ".", "*/_ORT_MEM_ADDR_/*", "missing", "/dev/zero"}) {
    outer.Write("in/m.onnx", ExternalModel({{"location", location}}).SerializeAsString());
    EXPECT_FALSE(ImportOnnx(outer / "in/m.onnx").ok()) << location;
  }
}

// ---- 2: from memory there is no folder, wherever the tensor stands

TEST(ExternalData, IsRefusedInModelsFromMemory) {
  ExpectError(Import(ExternalModel({{"location", "w.bin"}})).status(), "came from memory");
  auto model = EmptyModel();
  auto* value = AddAttr(AddNode(model.mutable_graph(), "Constant", {}, {"y"}), "value",
                        AttributeProto::TENSOR)
                    ->mutable_t();
  value->set_data_type(TensorProto::FLOAT);
  value->add_dims(2);
  SetExternal(value, {{"location", "/etc/passwd"}});
  AddOutput(model.mutable_graph(), "y");
  ExpectError(Import(model).status(), "came from memory");
  auto sparse = EmptyModel();
  auto* s = sparse.mutable_graph()->add_sparse_initializer();
  s->add_dims(2);
  s->mutable_values()->set_name("y");
  s->mutable_values()->set_data_type(TensorProto::FLOAT);
  s->mutable_values()->add_dims(2);
  SetExternal(s->mutable_values(), {{"location", "w.bin"}});
  AddOutput(sparse.mutable_graph(), "y");
  ExpectError(Import(sparse).status(), "came from memory");
}

// ---- 3: offset and length

TEST(ExternalData, OffsetsAndLengthsAreChecked) {
  TemporaryFolder folder;
  folder.Write("w.bin", kTwoFloats);
  for (const char* offset : {"-1", "4", "8", "18446744073709551615", "18446744073709551612",
                             "9223372036854775807", "1e3", "0x0", "", "1 "})
    EXPECT_FALSE(ImportExternal(folder, {{"location", "w.bin"}, {"offset", offset}}).ok() &&
                 std::string(offset) != "1 ")
        << offset;
  for (const char* length : {"-8", "7", "9", "1125899906842624", "eight"})
    EXPECT_FALSE(ImportExternal(folder, {{"location", "w.bin"}, {"length", length}}).ok())
        << length;
  ExpectError(ImportExternal(folder, {{"location", "w.bin"}, {"password", "1"}}), "unknown key");
  ExpectError(ImportExternal(folder, {{"location", "w.bin"}, {"location", "v.bin"}}), "twice");
}

// ---- 5: payloads

absl::Status ReadPayload(const std::function<void(TensorProto*)>& fill) {
  TensorProto t;
  t.set_name("t");
  t.set_data_type(TensorProto::FLOAT);
  fill(&t);
  return TensorProtoReader("").Read(t).status();
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
  ExpectError(ReadPayload([](TensorProto* t) { t->set_data_type(99); }), "99");
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

// ---- 8: recursion

onnx::FunctionProto Function(const std::string& name, const std::string& op, int calls) {
  onnx::FunctionProto f;
  f.set_name(name);
  f.set_domain("local");
  f.add_input("v0");
  for (int i = 0; i < calls; ++i) {
    auto* n = f.add_node();
    n->set_op_type(op);
    n->set_domain(op == "Relu" ? "" : "local");
    n->add_input("v" + std::to_string(i));
    n->add_output("v" + std::to_string(i + 1));
  }
  f.add_output("v" + std::to_string(calls));
  auto* import = f.add_opset_import();
  import->set_domain("");
  import->set_version(21);
  return f;
}

onnx::ModelProto CallingModel(const std::string& function) {
  auto model = EmptyModel();
  AddInput(model.mutable_graph(), "x", {2});
  AddNode(model.mutable_graph(), function, {"x"}, {"y"})->set_domain("local");
  AddOutput(model.mutable_graph(), "y");
  return model;
}

TEST(Recursion, FunctionsThatCallThemselves) {
  auto self = CallingModel("F");
  *self.add_functions() = Function("F", "F", 1);
  ExpectError(Import(self).status(), "calls itself");
  auto each_other = CallingModel("F");
  *each_other.add_functions() = Function("F", "G", 1);
  *each_other.add_functions() = Function("G", "F", 1);
  ExpectError(Import(each_other).status(), "calls itself");
  auto in_body = CallingModel("F");
  onnx::FunctionProto f = Function("F", "Relu", 1);
  auto* body = AddAttr(f.mutable_node(0), "then_branch", AttributeProto::GRAPH)->mutable_g();
  AddNode(body, "F", {"v0"}, {"z"})->set_domain("local");
  *in_body.add_functions() = f;
  ExpectError(Import(in_body).status(), "calls itself");
}

TEST(Recursion, TenWayFunctionsTenDeepMeetTheNodeBudgetAtOnce) {
  auto model = CallingModel("F0");
  for (int i = 0; i < 10; ++i)
    *model.add_functions() =
        Function("F" + std::to_string(i), i == 9 ? "Relu" : "F" + std::to_string(i + 1), 10);
  const auto begin = std::chrono::steady_clock::now();
  ExpectError(Import(model).status(), "nodes with its functions inlined");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
}

TEST(Recursion, LongChainsOfFunctionsMeetTheDepthBudget) {
  auto model = CallingModel("F0");
  for (int i = 0; i < 1000; ++i)
    *model.add_functions() =
        Function("F" + std::to_string(i), i == 999 ? "Relu" : "F" + std::to_string(i + 1), 1);
  ExpectError(Import(model).status(), "nest deeper");
}

TEST(Recursion, DeepSubgraphsMeetTheDepthBudget) {
  for (int depth : {70, 10'000}) {
    auto model = EmptyModel();
    onnx::GraphProto inner;
    std::string bytes;
    // By hand, from the inside out: a message that deep cannot be built as an object.
    auto field = [](int number, const std::string& content) {
      std::string out(1, static_cast<char>(number << 3 | 2));
      for (size_t n = content.size();; n >>= 7) {
        out += static_cast<char>(n >= 128 ? (n & 127) | 128 : n);
        if (n < 128) break;
      }
      return out + content;
    };
    for (int i = 0; i < depth; ++i) {
      const std::string attribute =
          field(1, "then_branch") + "\xa0\x01\x05" + field(6, bytes);  // type = GRAPH
      bytes = field(1, field(2, "y") + field(4, "If") + field(5, attribute));
    }
    const std::string file = model.SerializeAsString() + field(7, bytes);
    const absl::Status s = ImportOnnxBytes(file).status();
    EXPECT_FALSE(s.ok());
    ExpectError(s, "deeper");
  }
}

// ---- 9: graph shape

TEST(GraphShape, CyclesDuplicatesAndDanglingNamesAreErrors) {
  auto cycle = EmptyModel();
  AddNode(cycle.mutable_graph(), "Relu", {"b"}, {"a"});
  AddNode(cycle.mutable_graph(), "Neg", {"a"}, {"b"});
  AddOutput(cycle.mutable_graph(), "a");
  ExpectError(Import(cycle).status(), "cycle");
  auto twice = EmptyModel();
  AddInput(twice.mutable_graph(), "x", {2});
  AddNode(twice.mutable_graph(), "Relu", {"x"}, {"a"});
  AddNode(twice.mutable_graph(), "Neg", {"x"}, {"a"});
  AddOutput(twice.mutable_graph(), "a");
  ExpectError(Import(twice).status(), "defined twice");
  auto dangling = EmptyModel();
  AddNode(dangling.mutable_graph(), "Relu", {"nothing"}, {"a"});
  AddOutput(dangling.mutable_graph(), "a");
  ExpectError(Import(dangling).status(), "'nothing' is not made");
  auto output = EmptyModel();
  AddOutput(output.mutable_graph(), "nothing");
  ExpectError(Import(output).status(), "'nothing' is not made");
  auto none = EmptyModel();
  AddNode(none.mutable_graph(), "Relu", {}, {});
  ExpectError(Import(none).status(), "no outputs");
  auto initializers = EmptyModel();
  AddInitializer(initializers.mutable_graph(), "w", {1}, {1});
  AddInitializer(initializers.mutable_graph(), "w", {1}, {2});
  ExpectError(Import(initializers).status(), "defined twice");
  auto inputs = EmptyModel();
  AddInput(inputs.mutable_graph(), "x", {1});
  AddInput(inputs.mutable_graph(), "x", {1});
  ExpectError(Import(inputs).status(), "defined twice");
}

TEST(GraphShape, UnusedInitializersAreDropped) {
  auto model = EmptyModel();
  auto* g = model.mutable_graph();
  AddInput(g, "x", {2});
  AddInitializer(g, "unused", {1}, {1});
  AddNode(g, "Relu", {"x"}, {"y"});
  AddOutput(g, "y");
  auto graph = Import(model);
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_EQ((*graph)->num_nodes(), 1u);
}

TEST(GraphShape, LongChainsAndWideNodesImportInLinearTime) {
  auto chain = EmptyModel();
  auto* g = chain.mutable_graph();
  AddInput(g, "v0", {2});
  const int n = 20'000;
  for (int i = n; i-- > 0;)  // backwards: they must be sorted too
    AddNode(g, "Relu", {"v" + std::to_string(i)}, {"v" + std::to_string(i + 1)});
  AddOutput(g, "v" + std::to_string(n));
  auto graph = Import(chain);
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_EQ((*graph)->num_nodes(), static_cast<size_t>(n));
  auto wide = EmptyModel();
  AddInput(wide.mutable_graph(), "x", {2});
  auto* sum = AddNode(wide.mutable_graph(), "Sum", {}, {"y"});
  for (int i = 0; i < 100'000; ++i) sum->add_input("x");
  AddOutput(wide.mutable_graph(), "y");
  EXPECT_TRUE(Import(wide).ok());
  OnnxImportOptions few;
  few.max_nodes = 100;
  ExpectError(Import(chain, few).status(), "100");
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
