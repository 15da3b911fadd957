#include <algorithm>
#include <complex>
#include <cstring>
#include <limits>
#include <sys/stat.h>
#include <type_traits>
#include <utility>

#include "support.h"

namespace safetensors::testing {
namespace {

static_assert(!std::is_copy_constructible_v<File> && std::is_nothrow_move_constructible_v<File>);

TEST(Reader, WhitespaceAroundTheHeader) {
  // The official reader's own cases; its README still says that a header begins with '{'.
  for (const char* header : {"{}", "{}\r \t\n", "\t\n{}", " { } "}) {
    const Bytes file = file_with(header);
    const Result<File> opened = File::from_bytes(file);
    ASSERT_TRUE(opened) << sentence(opened);
    EXPECT_TRUE(opened->tensors().empty());
    EXPECT_EQ(opened->data_begin(), file.size());
  }
}

TEST(Reader, ScalarsAndEmptyTensors) {
  const std::string header = header_of(
      {entry("scalar", "F32", "[]", "[0,4]"), entry("empty", "F32", "[2,0]", "[4,4]"),
       entry("front", "F64", "[0]", "[0,0]"), entry("also front", "U8", "[0,0]", "[0,0]")});
  const Bytes file = file_with(header, std::string_view("\0\0\x80\x3f", 4));
  const Result<File> opened = File::from_bytes(file);
  ASSERT_TRUE(opened) << sentence(opened);
  const Tensor* scalar = opened->find("scalar");
  ASSERT_NE(scalar, nullptr);
  EXPECT_EQ(scalar->size(), 1u);
  EXPECT_EQ(scalar->as<float>().value()[0], 1.0f);
  const Tensor* empty = opened->find("empty");
  ASSERT_NE(empty, nullptr);
  EXPECT_EQ(empty->size(), 0u);
  EXPECT_TRUE(empty->as<float>().value().span().empty());
}

TEST(Reader, TensorsComeInTheOrderOfTheirData) {
  const std::string header =
      header_of({entry("z", "U8", "[2]", "[0,2]"), entry("a", "U8", "[1]", "[5,6]"),
                 entry("m", "U8", "[3]", "[2,5]")});
  const Bytes file = file_with(header, "zzmmma");
  const Result<File> opened = File::from_bytes(file);
  ASSERT_TRUE(opened) << sentence(opened);
  std::string names;
  for (const Tensor& tensor : opened->tensors()) {
    names += tensor.name;
    for (const std::byte b : tensor.data)
      EXPECT_EQ(static_cast<char>(b), tensor.name[0]) << tensor.name;
    EXPECT_EQ(opened->find(tensor.name), &tensor);
  }
  EXPECT_EQ(names, "zma");
  EXPECT_EQ(opened->find("b"), nullptr);
  EXPECT_EQ(opened->find(""), nullptr);
  EXPECT_EQ(opened->get("b").error().code, ErrorCode::kTensorNotFound);
}

TEST(Reader, NamesAreUnescaped) {
  const std::string header =
      header_of({entry(R"(a\"\\\/\n\u00e9\ud83d\ude00\u0000z)", "U8", "[0]", "[0,0]"),
                 entry("", "U8", "[0]", "[0,0]")});
  const Bytes file = file_with(header);
  const Result<File> opened = File::from_bytes(file);
  ASSERT_TRUE(opened) << sentence(opened);
  using namespace std::literals;
  EXPECT_NE(opened->find("a\"\\/\n\u00e9\U0001f600\0z"sv), nullptr);
  EXPECT_NE(opened->find(""), nullptr);
}

TEST(Reader, Metadata) {
  const Bytes file = file_with(R"({"__metadata__":{"format":"mlx","k\u0041":"\u00e9"}})");
  const Result<File> opened = File::from_bytes(file);
  ASSERT_TRUE(opened) << sentence(opened);
  EXPECT_EQ(opened->metadata(), (Metadata{{"format", "mlx"}, {"kA", "\u00e9"}}));
  EXPECT_TRUE(opened->tensors().empty());
  // As the official reader: no metadata.
  const Bytes null = file_with(R"({"__metadata__":null})");
  EXPECT_TRUE(File::from_bytes(null).value().metadata().empty());
}

TEST(Reader, EveryDtype) {
  for (const DType dtype : all_dtypes()) {
    // Eight elements are a whole number of bytes in each.
    const std::size_t bytes = dtype_bits(dtype);
    const Bytes file =
        file_with(header_of({entry("t", dtype_name(dtype), "[2,4]", offsets(0, bytes))}),
                  std::string(bytes, '\xff'));
    const Result<File> opened = File::from_bytes(file);
    ASSERT_TRUE(opened) << sentence(opened);
    EXPECT_EQ(opened->find("t")->dtype, dtype);
    EXPECT_EQ(opened->find("t")->as<std::byte>().value().size(), bytes);
  }
}

TEST(Reader, MovingAFileMovesNothingElse) {
  const Bytes file = file_with(header_of({entry("ab", "U8", "[2]", "[0,2]")}), "xy");
  Result<File> opened = File::from_bytes(file, {}, "label");
  ASSERT_TRUE(opened);
  const Tensor* before = opened->find("ab");
  const File moved = std::move(*opened);
  EXPECT_EQ(moved.find("ab"), before);
  EXPECT_EQ(moved.name(), "label");
  EXPECT_EQ(before->name, "ab");
}

TEST(Reader, MappedFile) {
  TemporaryFolder folder;
  const std::string header = header_of({entry("a", "I32", "[2]", "[0,8]")});
  write_bytes(folder / "a.safetensors", file_with(header, std::string_view("\1\0\0\0\2\0\0\0", 8)));
  Result<File> opened = File::open(folder / "a.safetensors");
  ASSERT_TRUE(opened) << sentence(opened);
  std::filesystem::remove(folder / "a.safetensors");  // the mapping stays
  const File file = std::move(*opened);
  file.advise(*file.find("a"), Advice::kWillNeed);
  const auto view = file.find("a")->as<std::int32_t>();
  ASSERT_TRUE(view);
  EXPECT_EQ((std::vector<std::int32_t>(view->begin(), view->end())),
            (std::vector<std::int32_t>{1, 2}));
}

TEST(Reader, PathsThatAreNoFile) {
  TemporaryFolder folder;
  const auto code = [](const std::filesystem::path& path) { return File::open(path).error().code; };
  EXPECT_EQ(code(folder / "absent"), ErrorCode::kFileNotFound);
  EXPECT_EQ(code(folder / "absent" / "file"), ErrorCode::kFileNotFound);
  EXPECT_EQ(code(folder.path()), ErrorCode::kNotAFile);
  EXPECT_EQ(code("/dev/null"), ErrorCode::kNotAFile);
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(code(folder / "pipe"), ErrorCode::kNotAFile);  // and does not wait for a writer
  write_bytes(folder / "empty", {});
  EXPECT_EQ(code(folder / "empty"), ErrorCode::kFileTooSmall);
  const Error error = File::open(folder / "empty").error();
  EXPECT_EQ(error.file, (folder / "empty").string());
  write_bytes(folder / "secret", file_with("{}"));
  std::filesystem::permissions(folder / "secret", std::filesystem::perms::none);
  const bool root = ::geteuid() == 0;  // who may read everything
  if (root) {
    ASSERT_EQ(::seteuid(65534), 0);
  }
  const ErrorCode denied = code(folder / "secret");
  if (root) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  EXPECT_EQ(denied, ErrorCode::kPermissionDenied);
}

TEST(Reader, CheckListsProblems) {
  TemporaryFolder folder;
  write_bytes(folder / "good", file_with("{}"));
  write_bytes(folder / "bad", file_with(R"({"a":1,"b":2})"));
  EXPECT_TRUE(check(folder / "good").empty());
  const std::vector<Error> errors = check(folder / "bad");
  ASSERT_EQ(errors.size(), 2u);
  EXPECT_EQ(errors[0].tensor, "a");
  EXPECT_EQ(errors[1].tensor, "b");
  EXPECT_TRUE(errors[0].also.empty());
}

TEST(Reader, ErrorIsOneSentence) {
  const Bytes file =
      file_with(header_of({entry("t", "I32", "[2,2]", "[0,4]")}), std::string(4, '\0'));
  EXPECT_EQ(File::from_bytes(file, {}, "x.safetensors").error().to_string(),
            "x.safetensors: tensor 't': data_offsets do not match dtype and shape: "
            "expected 16 bytes for I32 [2, 2], found [0, 4], 4 bytes");
}

}  // namespace
}  // namespace safetensors::testing
