#pragma once

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/sha256.h"

namespace bobby {

inline const std::filesystem::path kGoldens =
    std::filesystem::path(BOBBY_SOURCE_DIR) / "tests/parity/tokenizer/goldens";

inline std::vector<std::string> read_lines(const std::string& name) {
  std::ifstream stream(kGoldens / name);
  EXPECT_TRUE(stream) << name;
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

inline nlohmann::json read_json(const std::string& name) {
  std::ifstream stream(kGoldens / name);
  return nlohmann::json::parse(stream);
}

inline std::string digest(const std::string& text) {
  return sha256_hex(std::as_bytes(std::span(text)));
}

}  // namespace bobby
