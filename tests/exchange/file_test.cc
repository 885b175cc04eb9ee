#include "exchange/file.h"

#include "tests/exchange/model_builder.h"

namespace sluice {
namespace {

TEST(AtomicFile, ReplacesTheTargetOnCommitAndLeavesNothingWithout) {
  TemporaryFolder folder;
  folder.Write("f", "old");
  {
    auto file = AtomicFile::Create(folder / "f");
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE((*file)->Append(std::string(3 << 20, 'x')).ok());
  }
  EXPECT_EQ((*MappedFile::Open(folder / "f"))->bytes(), "old");
  EXPECT_EQ(folder.Count(), 1u);
  ASSERT_TRUE(WriteFileAtomically(folder / "f", "new").ok());
  EXPECT_EQ((*MappedFile::Open(folder / "f"))->bytes(), "new");
  EXPECT_EQ(folder.Count(), 1u);
}

TEST(AtomicFile, AMappingSurvivesItsFileBeingReplaced) {
  TemporaryFolder folder;
  folder.Write("f", "old");
  auto mapped = *MappedFile::Open(folder / "f");
  ASSERT_TRUE(WriteFileAtomically(folder / "f", "new").ok());
  EXPECT_EQ(mapped->bytes(), "old");
}

TEST(AtomicFile, UnwritableTargetsAreErrors) {
  EXPECT_FALSE(WriteFileAtomically("/nonexistent/f", "x").ok());
  EXPECT_FALSE(WriteFileAtomically("/proc/f", "x").ok());
  TemporaryFolder folder;
  std::filesystem::create_directory(folder / "dir");
  folder.Write("dir/inside", "x");
  EXPECT_FALSE(WriteFileAtomically(folder / "dir", "x").ok());  // a folder is in the way
  EXPECT_EQ(folder.Count(), 1u);
}

TEST(MappedFile, OnlyRegularFiles) {
  EXPECT_FALSE(MappedFile::Open("/tmp").ok());
  EXPECT_FALSE(MappedFile::Open("/dev/zero").ok());
  EXPECT_FALSE(MappedFile::Open("/nonexistent").ok());
  TemporaryFolder folder;
  auto empty = MappedFile::Open(folder.Write("empty", ""));
  ASSERT_TRUE(empty.ok());
  EXPECT_EQ((*empty)->bytes().size(), 0u);
}

}  // namespace
}  // namespace sluice
