// Property test: what is written is what is read, for random sets of tensors; and files depend on
// what was declared alone.

#include <algorithm>
#include <map>
#include <random>
#include <string>

#include "support.h"

namespace safetensors::testing {
namespace {

struct Made {
  TensorInfo info;
  Bytes data;
};

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  std::uint64_t below(std::uint64_t bound) { return engine_() % bound; }

  std::string text() {
    static const std::vector<std::string> kPieces = {"a",          "model.layers.",
                                                     ".weight",    "\"",
                                                     "\\",         "\n",
                                                     "\x01",       "\x7f",
                                                     "/",          "\u00e9",
                                                     "\U0001f600", "\u2028",
                                                     " ",          std::string(1, '\0')};
    std::string text;
    for (std::uint64_t i = below(6); i > 0; --i) text += kPieces[below(kPieces.size())];
    return text;
  }

  Made tensor(std::string name) {
    Made made;
    made.info.name = std::move(name);
    made.info.dtype = all_dtypes()[below(all_dtypes().size())];
    for (std::uint64_t i = below(5); i > 0; --i) made.info.shape.push_back(below(6));
    Result<std::uint64_t> bytes = byte_count(made.info.dtype, made.info.shape);
    if (!bytes) {  // a sub-byte type in an odd number
      made.info.shape.push_back(4);
      bytes = byte_count(made.info.dtype, made.info.shape);
    }
    made.data.resize(bytes.value());
    for (std::byte& b : made.data) b = static_cast<std::byte>(below(256));
    return made;
  }

  template <typename T>
  void shuffle(std::vector<T>& items) {
    std::shuffle(items.begin(), items.end(), engine_);
  }

 private:
  std::mt19937_64 engine_;
};

void write_in_random_chunks(const std::filesystem::path& path, const std::vector<Made>& tensors,
                            const Metadata& metadata, Random& random) {
  std::vector<TensorInfo> infos;
  for (const Made& made : tensors) infos.push_back(made.info);
  Result<Writer> writer = Writer::create(path, infos, metadata);
  ASSERT_TRUE(writer) << sentence(writer);
  std::vector<std::pair<const Made*, std::size_t>> open;  // tensor, bytes written
  for (const Made& made : tensors)
    if (!made.data.empty()) open.emplace_back(&made, 0);
  while (!open.empty()) {
    const std::size_t pick = random.below(open.size());
    auto& [made, done] = open[pick];
    const std::size_t length = 1 + random.below(made->data.size() - done);
    ASSERT_TRUE(writer->append(made->info.name, std::span(made->data).subspan(done, length)));
    done += length;
    if (done == made->data.size()) open.erase(open.begin() + static_cast<std::ptrdiff_t>(pick));
  }
  const auto finished = writer->finish();
  ASSERT_TRUE(finished) << sentence(finished);
}

TEST(RoundTrip, RandomTensors) {
  TemporaryFolder folder;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    std::map<std::string, Made> by_name;
    for (std::uint64_t i = random.below(20); i > 0; --i) {
      const std::string name = random.text();
      by_name.insert_or_assign(name, random.tensor(name));
    }
    Metadata metadata;
    for (std::uint64_t i = random.below(4); i > 0; --i) metadata[random.text()] = random.text();
    std::vector<Made> tensors;
    for (const auto& [name, made] : by_name) tensors.push_back(made);

    write_in_random_chunks(folder / "a", tensors, metadata, random);
    random.shuffle(tensors);
    write_in_random_chunks(folder / "b", tensors, metadata, random);
    EXPECT_EQ(read_bytes(folder / "a"), read_bytes(folder / "b"));

    const Result<File> file = File::open(folder / "a");
    ASSERT_TRUE(file) << sentence(file);
    EXPECT_EQ(file->metadata(), metadata);
    EXPECT_EQ(file->data_begin() % 64, 0u);
    ASSERT_EQ(file->tensors().size(), by_name.size());
    for (const Tensor& tensor : file->tensors()) {
      ASSERT_TRUE(by_name.contains(tensor.name));
      const Made& made = by_name.at(tensor.name);
      EXPECT_EQ(tensor.dtype, made.info.dtype);
      EXPECT_EQ(tensor.shape, made.info.shape);
      EXPECT_TRUE(std::ranges::equal(tensor.data, made.data));
      EXPECT_EQ((file->data_begin() + tensor.begin) % dtype_alignment(tensor.dtype), 0u);
    }
  }
}

// Any single byte of a header changed: refused or read as something valid, never a crash, and never
// data outside the file (which the sanitizers would see).
TEST(RoundTrip, ChangedHeaderBytesNeverCrash) {
  TemporaryFolder folder;
  Random random(7);
  std::vector<Made> tensors;
  for (const char* name : {"t0", "t1", "t2", "t3"}) tensors.push_back(random.tensor(name));
  write_in_random_chunks(folder / "a", tensors, {{"k", "v"}}, random);
  const Bytes good = read_bytes(folder / "a");
  const std::uint64_t header_end = File::from_bytes(good).value().data_begin();
  for (std::size_t at = 0; at < header_end; ++at) {
    Bytes changed = good;
    changed[at] = static_cast<std::byte>(random.below(256));
    const Result<File> file = File::from_bytes(changed);
    if (!file) continue;
    std::uint64_t sum = 0;
    for (const Tensor& tensor : file->tensors())
      for (const std::byte b : tensor.data) sum += static_cast<std::uint64_t>(b);
    EXPECT_LE(sum, 255 * good.size());
  }
}

}  // namespace
}  // namespace safetensors::testing
