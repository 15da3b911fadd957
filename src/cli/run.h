#pragma once

#include <string>
#include <vector>

namespace bobby::cli {

/// Runs `bobby WORDS...` and returns its exit code. Everything that main() does.
int run(const std::vector<std::string>& words);

}  // namespace bobby::cli
