#include "exchange/file.h"

#include <sys/stat.h>

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

TEST(AtomicFile, HasNoNameBeforeItTakesItsPlace) {
  TemporaryFolder folder;
  auto file = AtomicFile::Create(folder / "f");
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE((*file)->Append(std::string(3 << 20, 'x')).ok());
  ASSERT_TRUE((*file)->Sync().ok());
  // On file systems that have no nameless files one of another name may lie there.
  EXPECT_FALSE(std::filesystem::exists(folder / "f"));
  EXPECT_LE(folder.Count(), 1u);
  ASSERT_TRUE((*file)->Commit().ok());
  EXPECT_EQ(folder.Count(), 1u);
}

TEST(AtomicFile, KeepsPermissionsAndWhatIsNoFile) {
  TemporaryFolder folder;
  using std::filesystem::perms;
  const perms mode = perms::owner_read | perms::owner_write | perms::group_read;
  std::filesystem::permissions(folder.Write("f", "old"), mode);
  ASSERT_TRUE(WriteFileAtomically(folder / "f", "new").ok());
  EXPECT_EQ(std::filesystem::status(folder / "f").permissions(), mode);
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0666), 0);
  ExpectError(WriteFileAtomically(folder / "pipe", "x"), "no file");
  EXPECT_TRUE(std::filesystem::is_fifo(folder / "pipe"));
}

TEST(AtomicFile, LongAndOddNamesWork) {
  TemporaryFolder folder;
  for (const std::string& name : {std::string(250, 'n'), std::string("a b\n\xff.txt")}) {
    ASSERT_TRUE(WriteFileAtomically(folder / name, "1").ok());
    ASSERT_TRUE(WriteFileAtomically(folder / name, "2").ok());
    EXPECT_EQ((*MappedFile::Open(folder / name))->bytes(), "2");
    const std::string part = PartName(folder / name, std::string(32, '0'), ".data");
    EXPECT_LE(part.size(), 255u);
    EXPECT_TRUE(IsPartName(folder / name, part, ".data"));
    EXPECT_FALSE(IsPartName(folder / "other", part, ".data"));
  }
  EXPECT_FALSE(IsPartName("m", "m.data", ".data"));
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
