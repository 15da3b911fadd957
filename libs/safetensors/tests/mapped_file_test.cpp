#include <optional>
#include <type_traits>

#include "support.h"

namespace safetensors::testing {
namespace {

static_assert(!std::is_copy_constructible_v<MappedFile>);
static_assert(std::is_nothrow_move_constructible_v<MappedFile>);

TEST(MappedFile, BytesSurviveMoves) {
  TemporaryFolder folder;
  write_bytes(folder / "a", to_bytes("first"));
  write_bytes(folder / "b", to_bytes("second"));
  Result<MappedFile> a = MappedFile::open(folder / "a");
  Result<MappedFile> b = MappedFile::open(folder / "b");
  ASSERT_TRUE(a && b);
  const std::span<const std::byte> first = a->bytes();
  MappedFile moved = std::move(*a);
  EXPECT_EQ(moved.bytes().data(), first.data());
  EXPECT_TRUE(std::ranges::equal(moved.bytes(), to_bytes("first")));
  moved = std::move(*b);
  EXPECT_TRUE(std::ranges::equal(moved.bytes(), to_bytes("second")));
}

TEST(MappedFile, EmptyFile) {
  TemporaryFolder folder;
  write_bytes(folder / "a", {});
  const Result<MappedFile> file = MappedFile::open(folder / "a");
  ASSERT_TRUE(file) << sentence(file);
  EXPECT_TRUE(file->bytes().empty());
  file->advise(file->bytes(), Advice::kSequential);
}

TEST(MappedFile, AdviceAtAnyOffset) {
  TemporaryFolder folder;
  write_bytes(folder / "a", Bytes(10'000));
  const Result<MappedFile> file = MappedFile::open(folder / "a");
  ASSERT_TRUE(file);
  for (const Advice advice :
       {Advice::kNormal, Advice::kSequential, Advice::kRandom, Advice::kWillNeed})
    file->advise(file->bytes().subspan(5'001, 17), advice);
  EXPECT_EQ(file->bytes()[9'999], std::byte{0});
}

}  // namespace
}  // namespace safetensors::testing
