#include "training/config.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <yaml-cpp/yaml.h>

#include "training/config_reader.h"

namespace bobby {
namespace {

constexpr std::size_t kMostBytes = 1 << 20;
constexpr std::size_t kMostProblems = 50;

Error joined(std::vector<YamlProblem> problems) {
  std::ranges::stable_sort(problems, {}, &YamlProblem::line);
  if (problems.size() > kMostProblems) problems.resize(kMostProblems);
  std::vector<Error> errors;
  for (YamlProblem& problem : problems) errors.push_back(std::move(problem.error));
  return join_errors(std::move(errors));
}

}  // namespace

Result<TrainingConfig> read_training_config(const std::filesystem::path& file) {
  std::error_code status;
  if (std::filesystem::is_directory(file, status))
    return fail(
        {.code = ErrorCode::kIo, .where = file.string(), .problem = "is a folder, not a file"});
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  if (!stream)
    return fail({.code = errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
                 .where = file.string(),
                 .problem = fmt::format("cannot be read ({})", std::strerror(errno))});
  std::string text(kMostBytes + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(stream.gcount()));
  if (text.size() > kMostBytes)
    return fail({.code = ErrorCode::kLimit,
                 .where = file.string(),
                 .problem = "is larger than the 1 MB that a config may have"});
  BOBBY_TRY(TrainingConfig config, parse_training_config(text, file.string()));
  config.config_file = file.string();
  return config;
}

Result<TrainingConfig> parse_training_config(std::string_view yaml, const std::string& name) {
  std::vector<YamlProblem> problems;
  TrainingConfig config;
  try {
    const YAML::Node root = YAML::Load(std::string(yaml));
    if (!root.IsMap())
      return fail({.code = ErrorCode::kUsage,
                   .where = name,
                   .problem = "is not a mapping of keys to values"});
    YamlMapping keys(root, name, "", problems);
    config = read_config_keys(keys);
  } catch (const YAML::Exception& error) {
    return fail(
        {.code = ErrorCode::kUsage,
         .where = error.mark.is_null() ? name : fmt::format("{}:{}", name, error.mark.line + 1),
         .problem = fmt::format("is not YAML ({})", error.msg)});
  }
  if (!problems.empty()) return fail(joined(std::move(problems)));
  return config;
}

LearningRate learning_rate_of(const TrainingConfig& config) {
  return config.lr_schedule ? LearningRate(*config.lr_schedule)
                            : LearningRate(config.learning_rate);
}

}  // namespace bobby
