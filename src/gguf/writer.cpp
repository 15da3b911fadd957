#include "gguf/writer.h"

#include <bit>
#include <cstring>
#include <fstream>

namespace bobby {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF is written as it lies in memory");

constexpr std::uint64_t kAlignment = 32;
constexpr std::uint32_t kTypeU32 = 4;
constexpr std::uint32_t kTypeF32 = 6;
constexpr std::uint32_t kTypeString = 8;
constexpr std::uint32_t kTensorF32 = 0;

template <typename T>
void append(std::string& to, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  to.append(bytes, sizeof(T));
}

void append_string(std::string& to, std::string_view text) {
  append(to, std::uint64_t{text.size()});
  to += text;
}

std::uint64_t aligned(std::uint64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

void GgufWriter::key(std::string_view name, std::string_view text) {
  ++key_count_;
  append_string(keys_, name);
  append(keys_, kTypeString);
  append_string(keys_, text);
}

void GgufWriter::key(std::string_view name, std::uint32_t value) {
  ++key_count_;
  append_string(keys_, name);
  append(keys_, kTypeU32);
  append(keys_, value);
}

void GgufWriter::key(std::string_view name, float value) {
  ++key_count_;
  append_string(keys_, name);
  append(keys_, kTypeF32);
  append(keys_, value);
}

void GgufWriter::tensor(std::string_view name, std::span<const std::int64_t> shape,
                        std::span<const float> values) {
  append_string(infos_, name);
  append(infos_, static_cast<std::uint32_t>(shape.size()));
  for (std::size_t i = shape.size(); i-- > 0;) append(infos_, static_cast<std::uint64_t>(shape[i]));
  append(infos_, kTensorF32);
  append(infos_, data_bytes_);
  data_bytes_ += aligned(values.size_bytes());
  tensors_.push_back(values);
}

std::string GgufWriter::header() const {
  std::string bytes = "GGUF";
  append(bytes, std::uint32_t{3});
  append(bytes, std::uint64_t{tensors_.size()});
  append(bytes, key_count_);
  bytes += keys_;
  bytes += infos_;
  bytes.resize(aligned(bytes.size()), '\0');
  return bytes;
}

Result<void> GgufWriter::write(const std::filesystem::path& path) const {
  std::error_code code;
  if (std::filesystem::exists(path, code))
    return fail({.code = ErrorCode::kUsage,
                 .where = path.string(),
                 .problem = "exists already",
                 .hint = "nothing is written over; remove it or choose another name"});
  const std::filesystem::path partial =
      path.parent_path() / ("." + path.filename().string() + ".partial");
  {
    std::ofstream file(partial, std::ios::binary | std::ios::trunc);
    const std::string bytes = header();
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    const std::string padding(kAlignment, '\0');
    for (const std::span<const float> values : tensors_) {
      const std::uint64_t size = values.size_bytes();
      file.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(size));
      file.write(padding.data(), static_cast<std::streamsize>(aligned(size) - size));
    }
    file.close();
    if (file) std::filesystem::rename(partial, path, code);
    if (file && !code) return {};
  }
  std::error_code ignored;
  std::filesystem::remove(partial, ignored);
  return fail({.code = ErrorCode::kIo,
               .where = path.string(),
               .problem = "cannot be written",
               .hint = "the folder must exist and the disk must have room"});
}

}  // namespace bobby
