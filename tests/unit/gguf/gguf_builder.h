#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bobby::test {

/// Writes GGUF version 3 bytes, correct ones or (through `raw`) lying ones.
class GgufBuilder {
 public:
  GgufBuilder& key(std::string_view name, std::string_view text) {
    return entry(name, 8).string(keys_, text);
  }
  GgufBuilder& key(std::string_view name, std::uint32_t value) {
    return entry(name, 4).number(keys_, value);
  }
  GgufBuilder& key(std::string_view name, float value) {
    return entry(name, 6).number(keys_, value);
  }
  GgufBuilder& key(std::string_view name, const std::vector<std::string>& texts) {
    entry(name, 9).number(keys_, std::uint32_t{8}).number(keys_, std::uint64_t{texts.size()});
    for (const std::string& text : texts) string(keys_, text);
    return *this;
  }
  GgufBuilder& key(std::string_view name, const std::vector<std::int32_t>& values) {
    entry(name, 9).number(keys_, std::uint32_t{5}).number(keys_, std::uint64_t{values.size()});
    for (const std::int32_t value : values) number(keys_, value);
    return *this;
  }
  /// `shape` is row-major; GGUF's own order is the reverse.
  GgufBuilder& tensor(std::string_view name, std::vector<std::uint64_t> shape, std::uint32_t type,
                      std::string data) {
    ++tensor_count_;
    string(infos_, name).number(infos_, static_cast<std::uint32_t>(shape.size()));
    for (auto size = shape.rbegin(); size != shape.rend(); ++size) number(infos_, *size);
    data_.resize((data_.size() + 31) / 32 * 32, '\0');
    number(infos_, type).number(infos_, std::uint64_t{data_.size()});
    data_ += data;
    return *this;
  }

  std::string bytes() const {
    std::string file = "GGUF";
    append(file, std::uint32_t{3});
    append(file, tensor_count_);
    append(file, key_count_);
    file += keys_ + infos_;
    file.resize((file.size() + 31) / 32 * 32, '\0');
    return file + data_;
  }

  template <typename T>
  static void append(std::string& to, T value) {
    char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    to.append(bytes, sizeof(T));
  }

 private:
  GgufBuilder& entry(std::string_view name, std::uint32_t type) {
    ++key_count_;
    return string(keys_, name).number(keys_, type);
  }
  GgufBuilder& string(std::string& to, std::string_view text) {
    append(to, std::uint64_t{text.size()});
    to += text;
    return *this;
  }
  template <typename T>
  GgufBuilder& number(std::string& to, T value) {
    append(to, value);
    return *this;
  }

  std::string keys_, infos_, data_;
  std::uint64_t key_count_ = 0, tensor_count_ = 0;
};

}  // namespace bobby::test
