#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "lora/adapter.h"

namespace bobby {

/// Keys of an adapter's GGUF file.
inline constexpr std::string_view kGgufType = "general.type";
inline constexpr std::string_view kGgufArchitecture = "general.architecture";
inline constexpr std::string_view kGgufAdapterType = "adapter.type";
inline constexpr std::string_view kGgufAlpha = "adapter.lora.alpha";
inline constexpr std::string_view kGgufInvocation = "adapter.alora.invocation_tokens";
/// Behind the architecture's name: the size of a head. llama.cpp's converter does not write it into
/// an adapter; ours does, so that the file can be read without its base.
inline constexpr std::string_view kGgufKeyLength = ".attention.key_length";
/// Ours: the text of voice.json.
inline constexpr std::string_view kGgufVoice = "bobby.voice";

/// What GGUF puts behind a module's name.
inline constexpr std::string_view kGgufA = ".weight.lora_a";
inline constexpr std::string_view kGgufB = ".weight.lora_b";

/// Reads an adapter's GGUF file; errors name the file.
Result<Adapter> read_gguf_adapter(const std::filesystem::path& path);

/// The text of voice.json in a file that was exported here; nullopt: it holds none. kLimit: it is
/// larger than 1 MiB.
Result<std::optional<std::string>> gguf_adapter_voice(const std::filesystem::path& path);

}  // namespace bobby
