#include <algorithm>
#include <csignal>
#include <cstring>
#include <numeric>
#include <string>
#include <sys/resource.h>
#include <type_traits>

#include "support.h"

namespace safetensors::testing {
namespace {

static_assert(!std::is_copy_constructible_v<Writer>);

TensorInfo info(std::string name, DType dtype, std::vector<std::uint64_t> shape) {
  return {.name = std::move(name), .dtype = dtype, .shape = std::move(shape)};
}

TensorData tensor(std::string name, DType dtype, std::vector<std::uint64_t> shape,
                  std::span<const std::byte> data) {
  TensorData made;
  static_cast<TensorInfo&>(made) = info(std::move(name), dtype, std::move(shape));
  made.data = data;
  return made;
}

TEST(Writer, LayoutIsTheDocumentedOne) {
  TemporaryFolder folder;
  const Bytes data = to_bytes("0123456789abcdef");
  const std::span<const std::byte> bytes = data;
  const std::vector<TensorData> tensors = {
      tensor("b", DType::kU8, {3}, bytes.first(3)), tensor("z", DType::kF32, {2}, bytes.first(8)),
      tensor("h", DType::kBF16, {1}, bytes.first(2)), tensor("a", DType::kF32, {1}, bytes.first(4)),
      tensor("d", DType::kI64, {2}, bytes)};
  const auto written = write_file(folder / "f", tensors, {{"k", "v\""}});
  ASSERT_TRUE(written) << sentence(written);
  const std::string json =
      R"({"__metadata__":{"k":"v\""},"d":{"dtype":"I64","shape":[2],"data_offsets":[0,16]},)"
      R"("a":{"dtype":"F32","shape":[1],"data_offsets":[16,20]},)"
      R"("z":{"dtype":"F32","shape":[2],"data_offsets":[20,28]},)"
      R"("h":{"dtype":"BF16","shape":[1],"data_offsets":[28,30]},)"
      R"("b":{"dtype":"U8","shape":[3],"data_offsets":[30,33]}})";
  std::string header = json;
  while ((8 + header.size()) % 64 != 0) header += ' ';
  EXPECT_EQ(read_bytes(folder / "f"), file_with(header,
                                                "0123456789abcdef012301234567"
                                                "01"
                                                "012"));
  EXPECT_EQ(folder.entries(), 1u);
}

TEST(Writer, FileWithoutTensors) {
  TemporaryFolder folder;
  ASSERT_TRUE(write_file(folder / "f", {}));
  EXPECT_EQ(read_bytes(folder / "f"), file_with(std::string("{}").append(54, ' ')));
  EXPECT_TRUE(File::open(folder / "f").has_value());
}

TEST(Writer, ChunksInAnyOrder) {
  TemporaryFolder folder;
  Result<Writer> writer = Writer::create(
      folder / "f",
      {info("a", DType::kU8, {4}), info("b", DType::kU16, {2}), info("e", DType::kF32, {0})});
  ASSERT_TRUE(writer) << sentence(writer);
  EXPECT_FALSE(std::filesystem::exists(folder / "f"));
  ASSERT_TRUE(writer->append("a", to_bytes("1")));
  ASSERT_TRUE(writer->append("b", to_bytes("wxy")));
  ASSERT_TRUE(writer->append("a", to_bytes("234")));
  ASSERT_TRUE(writer->append("a", {}));
  ASSERT_TRUE(writer->append("b", to_bytes("z")));
  const auto finished = writer->finish();
  ASSERT_TRUE(finished) << sentence(finished);
  const Result<File> file = File::open(folder / "f");
  ASSERT_TRUE(file) << sentence(file);
  EXPECT_TRUE(std::ranges::equal(file->find("a")->data, to_bytes("1234")));
  EXPECT_TRUE(std::ranges::equal(file->find("b")->data, to_bytes("wxyz")));
  EXPECT_EQ(writer->finish().error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(writer->append("a", {}).error().code, ErrorCode::kInvalidArgument);
}

TEST(Writer, WritingBehindMakesTheSameFile) {
  TemporaryFolder folder;
  const Bytes data(5u << 20, std::byte{7});
  const std::vector<TensorInfo> tensors = {info("a", DType::kU8, {40u << 20}),
                                           info("b", DType::kF32, {5u << 18})};
  std::vector<Bytes> files;
  for (const bool write_behind : {false, true}) {
    auto writer = Writer::create(folder / "f", tensors, {}, {.write_behind = write_behind});
    ASSERT_TRUE(writer) << sentence(writer);
    for (int i = 0; i < 8; ++i) ASSERT_TRUE(writer->append("a", data));
    ASSERT_TRUE(writer->append("b", data));
    const auto finished = writer->finish();
    ASSERT_TRUE(finished) << sentence(finished);
    files.push_back(read_bytes(folder / "f"));
  }
  EXPECT_EQ(files[0].size(), files[1].size());
  EXPECT_TRUE(files[0] == files[1]);
}

TEST(Writer, AbandonedWriterLeavesNothing) {
  TemporaryFolder folder;
  {
    Result<Writer> writer = Writer::create(folder / "f", {info("a", DType::kU8, {4})});
    ASSERT_TRUE(writer);
    EXPECT_EQ(folder.entries(), 1u);
    Writer moved = std::move(*writer);
    ASSERT_TRUE(moved.append("a", to_bytes("12")));
  }
  EXPECT_EQ(folder.entries(), 0u);
}

TEST(Writer, IncompleteTensorsAreNamedAndTheOldFileStays) {
  TemporaryFolder folder;
  write_bytes(folder / "f", to_bytes("old"));
  Result<Writer> writer = Writer::create(
      folder / "f",
      {info("a", DType::kU8, {4}), info("b", DType::kU8, {1}), info("c", DType::kU8, {2})});
  ASSERT_TRUE(writer);
  ASSERT_TRUE(writer->append("b", to_bytes("1")));
  ASSERT_TRUE(writer->append("c", to_bytes("1")));
  const auto finished = writer->finish();
  ASSERT_FALSE(finished);
  EXPECT_EQ(finished.error().code, ErrorCode::kSizeMismatch);
  EXPECT_EQ(finished.error().tensor, "a");
  ASSERT_EQ(finished.error().also.size(), 1u);
  EXPECT_EQ(finished.error().also[0].tensor, "c");
  EXPECT_EQ(read_bytes(folder / "f"), to_bytes("old"));
  EXPECT_EQ(folder.entries(), 1u);
}

TEST(Writer, TooMuchDataIsRefusedAndCanBeCorrected) {
  TemporaryFolder folder;
  Result<Writer> writer = Writer::create(folder / "f", {info("a", DType::kU8, {4})});
  ASSERT_TRUE(writer);
  EXPECT_EQ(writer->append("a", to_bytes("12345")).error().code, ErrorCode::kSizeMismatch);
  EXPECT_EQ(writer->append("b", {}).error().code, ErrorCode::kTensorNotFound);
  ASSERT_TRUE(writer->append("a", to_bytes("1234")));
  EXPECT_TRUE(writer->finish());
}

TEST(Writer, WhatCannotBeWritten) {
  TemporaryFolder folder;
  const auto code = [&](std::vector<TensorInfo> tensors, const Metadata& metadata = {}) {
    return Writer::create(folder / "f", std::move(tensors), metadata).error().code;
  };
  EXPECT_EQ(code({info("a", DType::kU8, {}), info("a", DType::kI8, {})}),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({info("__metadata__", DType::kU8, {})}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({info("\xff", DType::kU8, {})}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({}, {{"k", "\xc0\x80"}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({info("a", DType::kF4, {3})}), ErrorCode::kSubByte);
  EXPECT_EQ(code({info("a", DType::kF64, {std::uint64_t{1} << 60})}), ErrorCode::kOverflow);
  // Each fits in 64 bits; together they pass what an operating system can address.
  const std::uint64_t large = std::uint64_t{1} << 60;
  std::vector<TensorInfo> many;
  for (int i = 0; i < 8; ++i) many.push_back(info(std::to_string(i), DType::kU8, {large}));
  EXPECT_EQ(code(many), ErrorCode::kOverflow);
  EXPECT_EQ(folder.entries(), 0u);
}

TEST(Writer, HundredMegabytesOfMetadataAreRefused) {
  TemporaryFolder folder;
  const Metadata metadata = {{"k", std::string(kMaxHeaderBytes, 'x')}};
  EXPECT_EQ(write_file(folder / "f", {}, metadata).error().code, ErrorCode::kHeaderTooLarge);
  EXPECT_EQ(folder.entries(), 0u);
}

TEST(Writer, WhatIsTheOwnersAloneIsSoFromTheStart) {
  using std::filesystem::perms;
  TemporaryFolder folder;
  const auto mode = [](const std::filesystem::path& file) {
    return std::filesystem::status(file).permissions();
  };
  constexpr perms kOwner = perms::owner_read | perms::owner_write;
  Result<Writer> writer =
      Writer::create(folder / "f", {info("a", DType::kU8, {1})}, {}, {.owner_only = true});
  ASSERT_TRUE(writer);
  ASSERT_EQ(folder.entries(), 1u);
  EXPECT_EQ(mode(std::filesystem::directory_iterator(folder.path())->path()), kOwner);
  ASSERT_TRUE(writer->append("a", to_bytes("1")));
  ASSERT_TRUE(writer->finish());
  EXPECT_EQ(mode(folder / "f"), kOwner);
}

TEST(Writer, TargetsThatCannotBe) {
  TemporaryFolder folder;
  const auto code = [](const std::filesystem::path& path) {
    return Writer::create(path, {}).error().code;
  };
  EXPECT_EQ(code(folder.path()), ErrorCode::kNotAFile);
  EXPECT_EQ(code("/dev/null"), ErrorCode::kNotAFile);
  EXPECT_EQ(code(""), ErrorCode::kNotAFile);
  EXPECT_EQ(code(folder / "absent" / "f"), ErrorCode::kFileNotFound);
}

TEST(Writer, LongestFileNameAndRelativePath) {
  TemporaryFolder folder;
  const std::string name(255, 'n');
  ASSERT_TRUE(write_file(folder / name, {}));
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  const auto written = write_file("plain", {});
  std::filesystem::current_path(before);
  ASSERT_TRUE(written) << sentence(written);
  EXPECT_TRUE(std::filesystem::exists(folder / "plain"));
}

TEST(Writer, RewritingAMappedFileKeepsTheMapping) {
  TemporaryFolder folder;
  Bytes data(100'000);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i * 7);
  ASSERT_TRUE(write_file(folder / "f", std::vector{tensor("a", DType::kU8, {data.size()}, data)}));
  const Result<File> old_file = File::open(folder / "f");
  ASSERT_TRUE(old_file);
  // The new file is made from the mapping of the old one, half of it.
  const std::span<const std::byte> mapped = old_file->find("a")->data;
  const auto written =
      write_file(folder / "f", std::vector{tensor("b", DType::kU8, {50'000}, mapped.last(50'000))});
  ASSERT_TRUE(written) << sentence(written);
  EXPECT_TRUE(std::ranges::equal(mapped, data));
  const Result<File> new_file = File::open(folder / "f");
  ASSERT_TRUE(new_file);
  EXPECT_TRUE(
      std::ranges::equal(new_file->find("b")->data, std::span<const std::byte>(data).last(50'000)));
}

// A limit on file sizes stands in for a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : old_handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limited = {bytes, old_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limited);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, old_handler_);
  }

 private:
  void (*old_handler_)(int);
  rlimit old_ = {};
};

TEST(Writer, FailedWriteLeavesNothingAndStaysFailed) {
  TemporaryFolder folder;
  const Bytes data(8192);
  Result<Writer> writer = Writer::create(folder / "f", {info("a", DType::kU8, {16384})});
  ASSERT_TRUE(writer);
  ASSERT_TRUE(writer->append("a", data));
  {
    const FileSizeLimit limit(10'000);
    EXPECT_EQ(writer->append("a", data).error().code, ErrorCode::kIo);
  }
  EXPECT_EQ(writer->append("a", data).error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(writer->finish());
  { const Writer last = std::move(*writer); }
  EXPECT_EQ(folder.entries(), 0u);
}

TEST(Writer, WriteFileChecksSizes) {
  TemporaryFolder folder;
  const Bytes data = to_bytes("abc");
  EXPECT_EQ(write_file(folder / "f", std::vector{tensor("a", DType::kU8, {4}, data)}).error().code,
            ErrorCode::kSizeMismatch);
  EXPECT_EQ(write_file(folder / "f", std::vector{tensor("a", DType::kU8, {2}, data)}).error().code,
            ErrorCode::kSizeMismatch);
  EXPECT_EQ(folder.entries(), 0u);
}

}  // namespace
}  // namespace safetensors::testing
