// External data of ONNX models (ATTACKS.md, classes 1 to 4): only regular files below the model's
// own folder are ever opened, and no address in a file means anything.
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "absl/strings/str_cat.h"
#include "exchange/graph_file.h"
#include "exchange/model.h"
#include "exchange/onnx_export.h"
#include "exchange/onnx_import.h"
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

// The check and the reading are one open: a name that changes what it stands for meanwhile gives
// its own bytes or an error, never those of the file outside.
TEST(ExternalData, ASwapBetweenCheckAndOpenLeadsNowhere) {
  TemporaryFolder outer;
  outer.Write("secret", std::string(8, 'S'));
  std::filesystem::create_directory(outer / "in");
  outer.Write("in/good", kTwoFloats);
  std::filesystem::create_symlink(outer / "secret", outer / "in/link");
  outer.Write("in/w.bin", kTwoFloats);
  outer.Write("in/m.onnx", ExternalModel({{"location", "w.bin"}}).SerializeAsString());
  std::atomic<bool> done = false;
  std::thread swaps([&] {
    for (int i = 0; !done; ++i) {
      const std::string from = outer / (i % 2 == 0 ? "in/link" : "in/good"), to = outer / "in/next";
      std::error_code error;
      std::filesystem::remove(to, error);
      i % 2 == 0 ? std::filesystem::copy_symlink(from, to, error)
                 : void(std::filesystem::copy_file(from, to, error));
      std::filesystem::rename(to, outer / "in/w.bin", error);
    }
  });
  // Until both have been met, where the other thread is slow to get its turn.
  int good = 0, refused = 0;
  for (int i = 0; i < 500 || ((good == 0 || refused == 0) && i < 500'000); ++i) {
    auto graph = ImportOnnx(outer / "in/m.onnx");
    ++(graph.ok() ? good : refused);
    if (!graph.ok()) continue;
    for (const auto& node : (*graph)->nodes()) {
      if (!node->Is("Constant")) continue;
      EXPECT_EQ(std::memcmp(node->GetTensor("value")->raw(), kTwoFloats.data(), 8), 0);
    }
  }
  done = true;
  swaps.join();
  EXPECT_GT(good, 0);
  EXPECT_GT(refused, 0);
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

// Wherever a model may hold a tensor: each is refused from bytes, and from a file where it leads
// out.
TEST(ExternalData, IsRefusedWhereverATensorStands) {
  auto outside = [](TensorProto* t) {
    t->set_name("t");
    t->set_data_type(TensorProto::FLOAT);
    t->add_dims(2);
    SetExternal(t, {{"location", "../secret"}});
  };
  auto constant = [&](auto* node) {
    auto* a = AddAttr(node, "value", AttributeProto::TENSOR);
    outside(a->mutable_t());
  };
  auto sparse = [&](onnx::SparseTensorProto* s, bool indices) {
    s->add_dims(4);
    outside(s->mutable_values());
    auto* i = s->mutable_indices();
    i->set_data_type(TensorProto::INT64);
    i->add_dims(2);
    if (indices) {
      s->mutable_values()->clear_external_data();
      s->mutable_values()->set_data_location(TensorProto::DEFAULT);
      s->mutable_values()->set_raw_data(kTwoFloats);
      SetExternal(i, {{"location", "../secret"}});
    } else {
      i->add_int64_data(0);
      i->add_int64_data(1);
    }
  };
  auto branch = [](onnx::NodeProto* node, const char* name) {
    auto* g = AddAttr(node, name, AttributeProto::GRAPH)->mutable_g();
    AddOutput(g, "y");
    return g;
  };
  std::vector<std::pair<const char*, onnx::ModelProto>> models;
  auto add = [&](const char* where) {
    models.push_back({where, EmptyModel()});
    AddOutput(models.back().second.mutable_graph(), "y");
    return models.back().second.mutable_graph();
  };
  constant(AddNode(add("node attribute"), "Constant", {}, {"y"}));
  for (bool indices : {false, true}) {
    auto* g = add("sparse initializer");
    sparse(g->add_sparse_initializer(), indices);
    g->mutable_sparse_initializer(0)->mutable_values()->set_name("y");
    auto* node = AddNode(add("sparse attribute"), "Constant", {}, {"y"});
    sparse(AddAttr(node, "sparse_value", AttributeProto::SPARSE_TENSOR)->mutable_sparse_tensor(),
           indices);
  }
  for (const char* part : {"subgraph node", "subgraph initializer"}) {
    auto* g = add(part);
    AddInput(g, "c", {}, TensorProto::BOOL);
    auto* node = AddNode(g, "If", {"c"}, {"y"});
    for (const char* name : {"then_branch", "else_branch"}) {
      auto* body = branch(node, name);
      if (part == std::string("subgraph node")) {
        constant(AddNode(body, "Constant", {}, {"y"}));
      } else {
        outside(body->add_initializer());
        body->mutable_initializer(0)->set_name("t");
        AddNode(body, "Relu", {"t"}, {"y"});
      }
    }
  }
  AddNode(add("function"), "F", {}, {"y"})->set_domain("local");
  auto* f = models.back().second.add_functions();
  f->set_name("F");
  f->set_domain("local");
  f->add_output("y");
  auto* opset = f->add_opset_import();
  opset->set_version(21);
  auto* node = f->add_node();
  node->set_op_type("Constant");
  node->add_output("y");
  constant(node);

  TemporaryFolder folder;
  folder.Write("secret", kTwoFloats);
  std::filesystem::create_directory(folder / "in");
  for (const auto& [where, model] : models) {
    SCOPED_TRACE(where);
    ExpectError(Import(model).status(), "came from memory");
    folder.Write("in/m.onnx", model.SerializeAsString());
    ExpectError(ImportOnnx(folder / "in/m.onnx").status(), "folder");
  }
}

// ---- 3: offset and length

TEST(ExternalData, OffsetsAndLengthsAreChecked) {
  TemporaryFolder folder;
  folder.Write("w.bin", kTwoFloats);
  for (const char* offset :
       {"-1", "4", "8", "18446744073709551615", "18446744073709551612", "9223372036854775800",
        "1125899906842624", "9223372036854775807", "1e3", "0x0", "", "1 "})
    EXPECT_FALSE(ImportExternal(folder, {{"location", "w.bin"}, {"offset", offset}}).ok() &&
                 std::string(offset) != "1 ")
        << offset;
  for (const char* length : {"-8", "7", "9", "1125899906842624", "eight"})
    EXPECT_FALSE(ImportExternal(folder, {{"location", "w.bin"}, {"length", length}}).ok())
        << length;
  ExpectError(ImportExternal(folder, {{"location", "w.bin"}, {"password", "1"}}), "unknown key");
  ExpectError(ImportExternal(folder, {{"location", "w.bin"}, {"location", "v.bin"}}), "twice");
}

// ---- 4: no address in a file

// What other libraries put into locations to point into their own memory is a file name like any
// other, from a file and from bytes; and what we write does not depend on where tensors lie.
TEST(ExternalData, AddressesMeanNothing) {
  TemporaryFolder folder;
  const std::string address = absl::StrCat(reinterpret_cast<uintptr_t>(kTwoFloats.data()));
  for (const char* tag : {"*/_ORT_MEM_ADDR_/*", "_ORT_MEM_ADDR_", "memory:", "mem://", "ptr"}) {
    const std::vector<std::pair<std::string, std::string>> entries = {
        {"location", tag}, {"offset", address}, {"length", "8"}};
    EXPECT_FALSE(ImportExternal(folder, entries).ok()) << tag;
    ExpectError(Import(ExternalModel(entries)).status(), "came from memory");
    const std::string with = absl::StrCat(tag, address);
    EXPECT_FALSE(ImportExternal(folder, {{"location", with}}).ok()) << with;
  }
}

TEST(ExternalData, WhatWeWriteHoldsNoAddresses) {
  std::vector<std::string> written[2];
  std::vector<std::unique_ptr<Graph>> alive;  // so that the second lies elsewhere
  for (auto& files : written) {
    auto model = EmptyModel();
    AddInput(model.mutable_graph(), "x", {40});
    AddInitializer(model.mutable_graph(), "w", {40}, std::vector<float>(40, 2));
    AddNode(model.mutable_graph(), "Add", {"x", "w"}, {"y"});
    AddOutput(model.mutable_graph(), "y");
    auto graph = Import(model);
    ASSERT_TRUE(graph.ok()) << graph.status();
    TemporaryFolder folder;
    for (const char* name : {"m.onnx", "m.sluice", "m.sluice.txt"}) {
      ASSERT_TRUE(WriteModel(**graph, folder / name).ok());
      std::ifstream file(folder / name, std::ios::binary);
      files.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
      EXPECT_FALSE(files.back().empty());
    }
    alive.push_back(*std::move(graph));
  }
  EXPECT_EQ(written[0], written[1]);
}

}  // namespace
}  // namespace sluice
