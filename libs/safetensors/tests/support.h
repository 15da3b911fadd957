#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

#include "safetensors/safetensors.h"

namespace safetensors::testing {

using Bytes = std::vector<std::byte>;

inline Bytes to_bytes(std::string_view text) {
  const auto view = std::as_bytes(std::span(text));
  return {view.begin(), view.end()};
}

/// A file by hand: length field, header as given, `data`.
inline Bytes file_with(std::string_view header, std::string_view data = {}) {
  std::string text;
  for (int i = 0; i < 8; ++i)
    text += static_cast<char>(static_cast<std::uint64_t>(header.size()) >> (8 * i));
  return to_bytes(text.append(header).append(data));
}

/// "NAME":{"dtype":"DTYPE","shape":SHAPE,"data_offsets":OFFSETS}
inline std::string entry(std::string_view name, std::string_view dtype, std::string_view shape,
                         std::string_view offsets) {
  std::string text = "\"";
  text.append(name).append("\":{\"dtype\":\"").append(dtype).append("\",\"shape\":").append(shape);
  return text.append(",\"data_offsets\":").append(offsets).append("}");
}

/// A header of these entries.
inline std::string header_of(const std::vector<std::string>& entries) {
  std::string text = "{";
  for (const std::string& one : entries) text.append(text.size() == 1 ? "" : ",").append(one);
  return text.append("}");
}

/// "[begin,end]"
inline std::string offsets(std::size_t begin, std::size_t end) {
  std::string text = "[";
  text.append(std::to_string(begin)).append(",").append(std::to_string(end));
  return text.append("]");
}

/// The codes of every problem of a file; empty when it is accepted.
inline std::vector<ErrorCode> problems(const Bytes& file, const OpenOptions& options = {}) {
  const Result<File> opened = File::from_bytes(file, options);
  if (opened) return {};
  std::vector<ErrorCode> codes = {opened.error().code};
  for (const Error& error : opened.error().also) codes.push_back(error.code);
  return codes;
}

inline std::vector<ErrorCode> only(ErrorCode code) {
  return {code};
}

/// A folder of a test's own, removed at its end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "safetensors-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

  std::size_t entries() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(path_), {}));
  }

 private:
  std::filesystem::path path_;
};

inline void write_bytes(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
  ASSERT_TRUE(out.good()) << path;
}

inline Bytes read_bytes(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  return to_bytes(text);
}

/// The sentence of a failed result, for assertion messages.
template <typename T>
std::string sentence(const Result<T>& result) {
  return result ? std::string() : result.error().to_string();
}

}  // namespace safetensors::testing
