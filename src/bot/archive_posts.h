#pragma once

#include <cstddef>
#include <istream>
#include <string_view>

#include "base/result.h"
#include "bot/novelty.h"

namespace bobby::bot {

/// Adds what a person wrote to `index`: of each line of a training set (train.jsonl) the last
/// answer of "messages", "completion" or "text". A text's id is "NAME:LINE". Gives how many were
/// added. kMalformed names the line that is none of these; kIo.
Result<std::size_t> add_archive(NoveltyIndex& index, std::istream& lines, std::string_view name);

}  // namespace bobby::bot
