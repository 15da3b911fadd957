#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "app/options.h"

namespace bobby::cli {

/// What a post is, for every command that makes or shows posts' settings.
inline constexpr std::array kPostOptions = {
    Opt::kCount,      Opt::kPrompt,
    Opt::kPromptForm, Opt::kSystem,
    Opt::kMaxTokens,  Opt::kTemperature,
    Opt::kTopP,       Opt::kTopK,
    Opt::kMinP,       Opt::kRepetitionPenalty,
    Opt::kGreedy,     Opt::kSeed,
    Opt::kCharLimit,  Opt::kHardLimit,
    Opt::kMinChars,   Opt::kRetries,
    Opt::kKeepEmojis, Opt::kKeepHashtags,
};

template <std::size_t First, std::size_t Second>
constexpr std::array<Opt, First + Second> joined(const std::array<Opt, First>& first,
                                                 const std::array<Opt, Second>& second) {
  std::array<Opt, First + Second> all = {};
  std::ranges::copy(second, std::ranges::copy(first, all.begin()).out);
  return all;
}

}  // namespace bobby::cli
