#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "lora/adapter.h"
#include "server/api/adapter_directory.h"

namespace bobby {

/// When an adapter's files last changed, and how large they are: what tells a new one.
struct FolderStamp {
  std::vector<std::int64_t> numbers;
  bool operator==(const FolderStamp&) const = default;
};
FolderStamp stamp_of(const std::filesystem::path& folder);

/// Whether this looks like an adapter: a folder with a configuration and tensors, or a file that
/// ends in ".gguf".
bool is_adapter_folder(const std::filesystem::path& folder);

/// A folder's name as an adapter's: what a URL or "base:voice" could not hold becomes "-".
std::string adapter_name_of(const std::filesystem::path& folder);
/// Letters, digits, ".", "_" and "-".
bool is_adapter_name(std::string_view name);

/// What is told of an adapter that was read.
server::AdapterEntry describe(const Adapter& adapter, std::string name);

/// The time now, RFC 3339 in UTC.
std::string timestamp();

}  // namespace bobby
