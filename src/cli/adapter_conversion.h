#pragma once

#include "cli/command.h"
#include "lora/adapter.h"

namespace bobby::cli {

/// Reads the adapter that the first argument names, writes it to --out in `dialect` with its voice,
/// and says what could not be held exactly. --model, where it was given, is its base.
Result<int> convert_adapter(const Invocation& invocation, Adapter::Source dialect);

/// The dialect that one of "mlx", "peft", "gguf" names.
Adapter::Source dialect_of(std::string_view name);

/// kUsage: the option was not given.
Result<void> need_option(const Settings& settings, Opt id);

}  // namespace bobby::cli
