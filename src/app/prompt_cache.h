#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/result.h"
#include "generation/generator.h"

namespace bobby {

/// What the keys and values in a prompt cache file depend on, beside tokens and voices. A file
/// whose stamp differs is of no use.
struct PromptCacheStamp {
  std::string model;     ///< model_stamp() of the base
  std::string computed;  ///< version, backend, cell format, chunk length
};

/// Whether `file` can be written at the end: it is a prompt cache of whatever version or model, or
/// is not there yet and its folder is. kUsage: anything else would be lost.
Result<void> check_prompt_cache_place(const std::filesystem::path& file);

/// SHA-256 over a model folder's config.json, and over the names, sizes, times of change and
/// headers of its safetensors files; their data is not read. kNotFound, kIo.
Result<std::string> model_stamp(const std::filesystem::path& folder);

/// Of a loaded model under these options.
Result<PromptCacheStamp> prompt_cache_stamp(const std::filesystem::path& folder,
                                            const LoadedModel& loaded,
                                            const GeneratorOptions& options);

/// How much of a prompt cache was saved or loaded.
struct PromptCacheAmount {
  std::int64_t blocks = 0;
  std::int64_t tokens = 0;
  std::uint64_t bytes = 0;  ///< of keys and values
};

/// Writes what `generator` has cached to `file`, whole or not at all, readable by its owner alone:
/// it tells what was asked. docs/formats/prompt-cache.md. kIo.
Result<PromptCacheAmount> save_prompt_cache(const std::filesystem::path& file,
                                            const PromptCacheStamp& stamp, Generator& generator);

/// Gives `generator` what save_prompt_cache() wrote, the most recently used first, as much as its
/// memory takes. kMismatch: another base, backend or version wrote it; kMalformed: damaged, or no
/// such file at all by its content; kNotFound, kIo. Nothing was taken then.
Result<PromptCacheAmount> load_prompt_cache(const std::filesystem::path& file,
                                            const PromptCacheStamp& stamp, Generator& generator);

}  // namespace bobby
