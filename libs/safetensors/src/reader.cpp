#include "safetensors/reader.h"

#include <algorithm>
#include <cstring>

#include "header.h"
#include "problems.h"
#include "text.h"

namespace safetensors {

// Makes Files; the only place that does, so that none exists unchecked.
class FileBuilder {
 public:
  static Result<File> build(std::string name, std::span<const std::byte> bytes,
                            const OpenOptions& options) {
    File file;
    file.name_ = std::move(name);
    Problems problems(file.name_);
    const std::string_view json = header_text(bytes, options, problems);
    if (problems.empty()) fill(file, json, bytes, options, problems);
    if (!problems.empty()) return fail(problems.join());
    return file;
  }

  static Result<File> map(const std::filesystem::path& path, const OpenOptions& options) {
    Result<MappedFile> mapping = MappedFile::open(path);
    if (!mapping) return fail(std::move(mapping).error());
    const std::span<const std::byte> bytes = mapping->bytes();
    Result<File> file = build(path.string(), bytes, options);
    if (file) file->mapping_ = std::move(*mapping);
    return file;
  }

 private:
  static constexpr std::size_t kLengthBytes = 8;

  // The N bytes after the length field.
  static std::string_view header_text(std::span<const std::byte> bytes, const OpenOptions& options,
                                      Problems& problems) {
    if (bytes.size() < kLengthBytes) {
      problems.add({.code = ErrorCode::kFileTooSmall,
                    .problem = bytes.empty() ? "the file is empty" : "the file is too small",
                    .expected = "at least 8 bytes",
                    .found = std::to_string(bytes.size())});
      return {};
    }
    std::uint64_t length = 0;
    std::memcpy(&length, bytes.data(), kLengthBytes);
    const std::uint64_t limit = std::min(options.max_header_bytes, kMaxHeaderBytes);
    if (length > limit) {
      problems.add(
          {.code = ErrorCode::kHeaderTooLarge,
           .problem = "the header's length is beyond the limit; is this a safetensors file?",
           .expected = "at most " + std::to_string(limit) + " bytes",
           .found = std::to_string(length)});
      return {};
    }
    if (length > bytes.size() - kLengthBytes) {
      problems.add({.code = ErrorCode::kHeaderTruncated,
                    .problem = "the file ends inside the header",
                    .expected = std::to_string(length) + " bytes of header",
                    .found = std::to_string(bytes.size() - kLengthBytes)});
      return {};
    }
    return {reinterpret_cast<const char*>(bytes.data()) + kLengthBytes,
            static_cast<std::size_t>(length)};
  }

  static void fill(File& file, std::string_view json, std::span<const std::byte> bytes,
                   const OpenOptions& options, Problems& problems) {
    file.data_begin_ = kLengthBytes + json.size();
    const std::span<const std::byte> data = bytes.subspan(kLengthBytes + json.size());
    Header header = parse_header(json, problems);
    const bool all_read = problems.empty();
    const bool placed = check_sizes(header.tensors, problems);
    file.by_name_ = sort_by_name(header.tensors, problems);
    // Without all entries in their place, the tiling would report holes that are not there.
    const std::uint64_t end =
        all_read && placed ? check_tiling(header.tensors, data.size(), options.lenient, problems)
                           : 0;
    if (!problems.empty()) return;
    for (Tensor& tensor : header.tensors)
      tensor.data = data.subspan(static_cast<std::size_t>(tensor.begin),
                                 static_cast<std::size_t>(tensor.byte_size()));
    file.metadata_ = std::move(header.metadata);
    file.tensors_ = std::move(header.tensors);
    file.stray_bytes_ = data.size() - end;
  }
};

Result<File> File::open(const std::filesystem::path& path, const OpenOptions& options) {
  return guard(path.string(), [&] { return FileBuilder::map(path, options); });
}

Result<File> File::from_bytes(std::span<const std::byte> bytes, const OpenOptions& options,
                              std::string label) {
  return guard(label, [&]() -> Result<File> { return FileBuilder::build(label, bytes, options); });
}

const Tensor* File::find(std::string_view tensor_name) const {
  const auto name = [&](std::uint32_t index) -> std::string_view { return tensors_[index].name; };
  const auto found = std::ranges::lower_bound(by_name_, tensor_name, {}, name);
  return found != by_name_.end() && name(*found) == tensor_name ? &tensors_[*found] : nullptr;
}

Result<const Tensor*> File::get(std::string_view tensor_name) const {
  if (const Tensor* tensor = find(tensor_name)) return tensor;
  return fail({.code = ErrorCode::kTensorNotFound,
               .file = name_,
               .tensor = std::string(tensor_name),
               .problem = "there is no such tensor"});
}

void File::advise(const Tensor& tensor, Advice advice) const {
  if (mapping_) mapping_->advise(tensor.data, advice);
}

std::vector<Error> check(const std::filesystem::path& path, const OpenOptions& options) {
  Result<File> file = File::open(path, options);
  if (file) return {};
  return split(std::move(file).error());
}

}  // namespace safetensors
