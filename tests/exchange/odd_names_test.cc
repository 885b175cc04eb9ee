// Names that a file chose, in what importers and writers say (ATTACKS.md 17).
#include "tests/testing/odd_names.h"

#include <gmock/gmock.h>

#include <functional>

#include "exchange/model.h"
#include "exchange/npy.h"
#include "exchange/safetensors.h"
#include "tests/exchange/model_builder.h"

namespace sluice {
namespace {

class OddNamesTest : public testing::TestWithParam<size_t> {
 protected:
  std::string Name(absl::string_view tag = "") { return OddNames(tag)[GetParam()]; }

  // h = Relu(x), y = Add(h, w): every name odd.
  onnx::ModelProto Model() {
    auto model = EmptyModel();
    auto* g = model.mutable_graph();
    g->set_name(Name("graph"));
    AddInput(g, Name("x"), {2, -1});
    g->mutable_input(0)
        ->mutable_type()
        ->mutable_tensor_type()
        ->mutable_shape()
        ->mutable_dim(1)
        ->set_dim_param(Name("dim"));
    AddInitializer(g, Name("w"), {1}, {1});
    AddNode(g, "Relu", {Name("x")}, {Name("h")})->set_name(Name("node"));
    AddNode(g, "Add", {Name("h"), Name("w")}, {Name("y")})->set_name(Name("node2"));
    AddOutput(g, Name("y"));
    auto* metadata = model.add_metadata_props();
    metadata->set_key(Name("key"));
    metadata->set_value(Name("value"));
    return model;
  }
};

void ExpectSafe(const absl::Status& status) {
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(Unsafe(status.message()), "") << status.message().substr(0, 3000);
}

TEST_P(OddNamesTest, InOnnxImport) {
  ASSERT_TRUE(Import(Model()).ok()) << Import(Model()).status();
  const std::function<void(onnx::ModelProto*)> wrongs[] = {
      [&](auto* m) { m->mutable_graph()->mutable_node(0)->set_op_type(Name("op")); },
      [&](auto* m) { m->mutable_graph()->mutable_node(0)->set_domain(Name("domain")); },
      [&](auto* m) { m->mutable_graph()->mutable_node(0)->set_input(0, Name("nowhere")); },
      [&](auto* m) { m->mutable_graph()->mutable_node(0)->set_input(0, Name("y")); },
      [&](auto* m) { m->mutable_graph()->mutable_node(0)->set_output(0, Name("y")); },
      [&](auto* m) { m->mutable_graph()->mutable_node(0)->add_input(Name("x")); },
      [&](auto* m) { AddInt(m->mutable_graph()->mutable_node(0), Name("attribute"), 1); },
      [&](auto* m) {
        AddInt(m->mutable_graph()->mutable_node(0), Name("attribute"), 1);
        AddInt(m->mutable_graph()->mutable_node(0), Name("attribute"), 1);
      },
      [&](auto* m) { m->mutable_graph()->mutable_output(0)->set_name(Name("nowhere")); },
      [&](auto* m) { m->mutable_graph()->mutable_initializer(0)->add_dims(7); },
      [&](auto* m) { m->mutable_graph()->mutable_initializer(0)->set_data_type(99); },
      [&](auto* m) {
        auto* tensor = m->mutable_graph()->mutable_initializer(0);
        tensor->clear_float_data();
        tensor->set_data_location(onnx::TensorProto::EXTERNAL);
        tensor->add_external_data()->set_key("location");
        tensor->mutable_external_data(0)->set_value(Name("file"));
      },
      [&](auto* m) {
        auto* f = m->add_functions();  // calls itself
        f->set_name(Name("f"));
        f->set_domain(Name("d"));
        f->add_input("a");
        f->add_output("b");
        for (auto* node : {f->add_node(), m->mutable_graph()->mutable_node(0)}) {
          node->set_op_type(Name("f"));
          node->set_domain(Name("d"));
        }
        f->mutable_node(0)->add_input("a");
        f->mutable_node(0)->add_output("b");
      },
  };
  for (const auto& wrong : wrongs) {
    auto model = Model();
    wrong(&model);
    SCOPED_TRACE(&wrong - wrongs);
    ExpectSafe(Import(model).status());
  }
}

TEST_P(OddNamesTest, SurviveEveryFormOfOurs) {
  auto graph = Import(Model());
  ASSERT_TRUE(graph.ok()) << graph.status();
  TemporaryFolder folder;
  for (const char* file : {"m.sluice", "m.txt", "folder", "m.onnx"}) {
    ASSERT_TRUE(WriteModel(**graph, folder / file).ok()) << file;
    auto back = ReadModel(folder / file);
    ASSERT_TRUE(back.ok()) << file << back.status();
    EXPECT_EQ((*back)->inputs()[0]->name(), Name("x")) << file;
    EXPECT_EQ((*back)->output_names()[0], Name("y")) << file;
  }
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    EXPECT_EQ(Unsafe(entry.path().filename().string()), "");  // no file is named by the model
  }
}

TEST_P(OddNamesTest, InTensorFiles) {
  TemporaryFolder folder;
  const Tensor one = Tensor::Scalar<float>(1);
  const absl::Status npz = WriteNpz({{Name(), one}, {Name(), one}}, folder / "t.npz");
  ExpectSafe(npz);
  ExpectSafe(ReadNpy(folder / "missing\n\x1b[31m").status());
  const absl::Status twice =
      WriteSafetensors({{{Name(), one}, {Name(), one}}, {}}, folder / "t.st");
  ExpectSafe(twice);
}

INSTANTIATE_TEST_SUITE_P(All, OddNamesTest, testing::Range<size_t>(0, OddNames("").size()));

}  // namespace
}  // namespace sluice
