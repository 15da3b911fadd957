#include <algorithm>
#include <string>

#include "support.h"

namespace safetensors::testing {
namespace {

namespace fs = std::filesystem;

// A file of one-byte tensors, one for each letter of `names`, whose value is the letter.
void write_letters(const fs::path& path, std::string_view names) {
  std::vector<std::string> entries;
  for (std::size_t i = 0; i < names.size(); ++i)
    entries.push_back(entry(names.substr(i, 1), "U8", "[1]", offsets(i, i + 1)));
  write_bytes(path, file_with(header_of(entries), names));
}

void write_text(const fs::path& path, std::string_view text) {
  write_bytes(path, to_bytes(text));
}

constexpr const char* kIndex = "model.safetensors.index.json";

class CheckpointTest : public ::testing::Test {
 protected:
  void SetUp() override {
    write_letters(folder_ / "model-00001-of-00002.safetensors", "ac");
    write_letters(folder_ / "model-00002-of-00002.safetensors", "bd");
  }

  void write_good_index() {
    const auto written = write_index(folder_ / kIndex,
                                     {{"a", "model-00001-of-00002.safetensors"},
                                      {"c", "model-00001-of-00002.safetensors"},
                                      {"b", "model-00002-of-00002.safetensors"},
                                      {"d", "model-00002-of-00002.safetensors"}},
                                     4);
    ASSERT_TRUE(written) << sentence(written);
  }

  void expect_letters(const Result<Checkpoint>& checkpoint) {
    ASSERT_TRUE(checkpoint) << sentence(checkpoint);
    std::string names;
    for (const Tensor* tensor : checkpoint->tensors()) {
      names += tensor->name;
      EXPECT_EQ(static_cast<char>(tensor->data[0]), tensor->name[0]);
      EXPECT_EQ(checkpoint->find(tensor->name), tensor);
      EXPECT_EQ(checkpoint->file_of(*tensor).find(tensor->name), tensor);
    }
    EXPECT_EQ(names, "abcd");
    EXPECT_EQ(checkpoint->byte_size(), 4u);
    EXPECT_EQ(checkpoint->files().size(), 2u);
    EXPECT_EQ(checkpoint->find("e"), nullptr);
    EXPECT_EQ(checkpoint->get("e").error().code, ErrorCode::kTensorNotFound);
  }

  Error error_with_index(std::string_view json) {
    write_text(folder_ / kIndex, json);
    const Result<Checkpoint> checkpoint = Checkpoint::open(folder_.path());
    EXPECT_FALSE(checkpoint);
    return checkpoint ? Error{} : checkpoint.error();
  }

  TemporaryFolder folder_;
};

TEST_F(CheckpointTest, FolderWithIndex) {
  write_good_index();
  expect_letters(Checkpoint::open(folder_.path()));
  expect_letters(Checkpoint::open(folder_ / kIndex));
  EXPECT_TRUE(check_checkpoint(folder_.path()).empty());
}

TEST_F(CheckpointTest, FolderWithoutIndex) {
  write_letters(folder_ / "adapters.safetensors", "a");  // not a model file
  expect_letters(Checkpoint::open(folder_.path()));
}

TEST_F(CheckpointTest, ListOfFiles) {
  const std::vector<fs::path> paths = {folder_ / "model-00002-of-00002.safetensors",
                                       folder_ / "model-00001-of-00002.safetensors"};
  expect_letters(Checkpoint::open_files(paths));
}

TEST_F(CheckpointTest, SingleFile) {
  const Result<Checkpoint> checkpoint =
      Checkpoint::open(folder_ / "model-00001-of-00002.safetensors");
  ASSERT_TRUE(checkpoint) << sentence(checkpoint);
  EXPECT_EQ(checkpoint->tensors().size(), 2u);
}

TEST_F(CheckpointTest, MovingKeepsTensors) {
  Result<Checkpoint> checkpoint = Checkpoint::open(folder_.path());
  ASSERT_TRUE(checkpoint);
  const Tensor* before = checkpoint->find("b");
  const Checkpoint moved = std::move(*checkpoint);
  EXPECT_EQ(moved.find("b"), before);
  EXPECT_EQ(moved.file_of(*before).find("b"), before);
}

TEST_F(CheckpointTest, NameInTwoFiles) {
  write_letters(folder_ / "model-extra.safetensors", "xbc");
  const Result<Checkpoint> checkpoint = Checkpoint::open(folder_.path());
  ASSERT_FALSE(checkpoint);
  EXPECT_EQ(checkpoint.error().code, ErrorCode::kDuplicateKey);
  EXPECT_EQ(checkpoint.error().tensor, "b");
  ASSERT_EQ(checkpoint.error().also.size(), 1u);
  EXPECT_EQ(checkpoint.error().also[0].tensor, "c");
}

TEST_F(CheckpointTest, ProblemsOfAllFilesTogether) {
  write_text(folder_ / "model-00001-of-00002.safetensors", "short");
  write_bytes(folder_ / "model-00002-of-00002.safetensors", file_with("{"));
  const std::vector<Error> errors = check_checkpoint(folder_.path());
  ASSERT_EQ(errors.size(), 2u);
  EXPECT_EQ(errors[0].code, ErrorCode::kFileTooSmall);
  EXPECT_EQ(errors[1].code, ErrorCode::kHeaderNotJson);
  EXPECT_NE(errors[1].file.find("00002-of"), std::string::npos);
}

TEST_F(CheckpointTest, IndexAndFilesDisagree) {
  // "a" in the wrong file, "e" in none, "c" and "d" not named.
  const Error error = error_with_index(
      R"({"metadata":{"total_size":4},"weight_map":{"a":"model-00002-of-00002.safetensors",)"
      R"("b":"model-00002-of-00002.safetensors","e":"model-00001-of-00002.safetensors"}})");
  EXPECT_EQ(error.code, ErrorCode::kIndexMismatch);
  std::string names = error.tensor;
  for (const Error& other : error.also) {
    EXPECT_EQ(other.code, ErrorCode::kIndexMismatch);
    names += other.tensor;
  }
  EXPECT_EQ(names, "aecd");
}

TEST_F(CheckpointTest, IndexNamesAnAbsentFile) {
  const Error error = error_with_index(R"({"weight_map":{"a":"gone.safetensors"}})");
  EXPECT_EQ(error.code, ErrorCode::kFileNotFound);
  EXPECT_NE(error.file.find("gone.safetensors"), std::string::npos);
}

TEST_F(CheckpointTest, IndexMayNotLeaveItsFolder) {
  for (const char* name : {"../x.safetensors", "/etc/passwd", "sub/x.safetensors", "..", ".", "",
                           "x\\u0000.safetensors"}) {
    const Error error =
        error_with_index(std::string(R"({"weight_map":{"a":")").append(name).append("\"}}"));
    EXPECT_EQ(error.code, ErrorCode::kIndexMismatch) << name;
    EXPECT_EQ(error.tensor, "a");
  }
}

TEST_F(CheckpointTest, MalformedIndex) {
  EXPECT_EQ(error_with_index("").code, ErrorCode::kHeaderNotJson);
  EXPECT_EQ(error_with_index("[]").code, ErrorCode::kHeaderInvalid);
  EXPECT_EQ(error_with_index("{}").code, ErrorCode::kHeaderInvalid);
  EXPECT_EQ(error_with_index(R"({"weight_map":[]})").code, ErrorCode::kHeaderInvalid);
  EXPECT_EQ(error_with_index(R"({"weight_map":{"a":1}})").code, ErrorCode::kHeaderInvalid);
  EXPECT_EQ(error_with_index(R"({"weight_map":{"a":"x","a":"x"}})").code, ErrorCode::kDuplicateKey);
  EXPECT_EQ(error_with_index(R"({"weight_map":{},"weight_map":{}})").code,
            ErrorCode::kDuplicateKey);
}

TEST(Checkpoint, FolderWithoutModel) {
  TemporaryFolder folder;
  const Result<Checkpoint> checkpoint = Checkpoint::open(folder.path());
  ASSERT_FALSE(checkpoint);
  EXPECT_EQ(checkpoint.error().code, ErrorCode::kFileNotFound);
  EXPECT_EQ(Checkpoint::open(folder / "absent").error().code, ErrorCode::kFileNotFound);
}

TEST(Checkpoint, IndexIsWrittenAsTransformersDoes) {
  TemporaryFolder folder;
  ASSERT_TRUE(write_index(folder / kIndex, {{"b", "y"}, {"a\"", "x"}}, 12));
  EXPECT_EQ(read_bytes(folder / kIndex),
            to_bytes("{\n  \"metadata\": {\n    \"total_size\": 12\n  },\n  \"weight_map\": {\n"
                     "    \"a\\\"\": \"x\",\n    \"b\": \"y\"\n  }\n}\n"));
  EXPECT_EQ(write_index(folder / kIndex, {{"a", "../x"}}, 0).error().code,
            ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace safetensors::testing
