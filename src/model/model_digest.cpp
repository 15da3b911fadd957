#include "model/model_digest.h"

#include <algorithm>
#include <fstream>
#include <span>
#include <vector>

#include "base/sha256.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kBegin = 64 << 10;
constexpr std::uint64_t kBlock = 4 << 10;
constexpr std::uint64_t kBlocks = 64;

void add_text(Sha256& sum, const std::string& text) {
  sum.update(std::as_bytes(std::span(text.c_str(), text.size() + 1)));  // the NUL ends it
}

Result<void> add_file(Sha256& sum, const fs::path& file) {
  std::error_code error;
  const std::uint64_t size = fs::file_size(file, error);
  std::ifstream stream(file, std::ios::binary);
  std::vector<char> bytes(kBegin);
  add_text(sum, file.filename().string());
  add_text(sum, std::to_string(size));
  const auto add_block = [&](std::uint64_t at, std::uint64_t count) {
    stream.seekg(static_cast<std::streamoff>(at));
    stream.read(bytes.data(), static_cast<std::streamsize>(count));
    sum.update(std::as_bytes(std::span(bytes.data(), count)));
  };
  if (!error) add_block(0, std::min(kBegin, size));
  for (std::uint64_t i = 0; !error && size > kBegin + kBlock && i < kBlocks; ++i)
    add_block(kBegin + (size - kBegin - kBlock) / (kBlocks - 1) * i, kBlock);
  if (error || !stream)
    return fail({.code = ErrorCode::kIo, .where = file.string(), .problem = "cannot be read"});
  return {};
}

}  // namespace

Result<std::string> model_digest(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("model") && name.ends_with(".safetensors")) files.push_back(entry.path());
  }
  if (error || files.empty())
    return fail({.code = ErrorCode::kNotFound,
                 .where = folder.string(),
                 .problem = "holds no model*.safetensors"});
  std::ranges::sort(files);
  Sha256 sum;
  for (const fs::path& file : files) BOBBY_CHECK(add_file(sum, file));
  return sum.hex_digest();
}

}  // namespace bobby
