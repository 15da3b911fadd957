#include "hub/cache/file_choice.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <fnmatch.h>
#include <nlohmann/json.hpp>
#include <set>

#include "hub/cache/hub_name.h"

namespace bobby::hub {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 6> kTokenizerFiles = {
    "tokenizer.json",    "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "chat_template.jinja",   "chat_template.json"};
constexpr std::array<std::string_view, 2> kModelFiles = {"config.json", "generation_config.json"};
constexpr std::array<std::string_view, 2> kAdapterFiles = {"adapter_config.json", "voice.json"};
constexpr std::array<std::string_view, 2> kAdapterWeights = {"adapters.safetensors",
                                                             "adapter_model.safetensors"};

bool is_model_weights(std::string_view path) {
  return path.starts_with("model") && path.ends_with(".safetensors") &&
         path.find('/') == std::string_view::npos;
}

class Chooser {
 public:
  Chooser(const std::vector<std::string>& paths, const std::vector<std::string>& exclude)
      : paths_(paths), exclude_(exclude) {}

  bool has(std::string_view name) const { return std::ranges::find(paths_, name) != paths_.end(); }

  template <typename Names>
  void take(const Names& names, std::vector<std::string>& into) {
    for (const auto& name : names) {
      const std::string path(name);
      if (has(path) && !matches_any(exclude_, path) && taken_.insert(path).second)
        into.push_back(path);
    }
  }

  std::vector<std::string> model_weights() const {
    std::vector<std::string> found;
    std::ranges::copy_if(paths_, std::back_inserter(found), is_model_weights);
    std::ranges::sort(found);
    return found;
  }

 private:
  const std::vector<std::string>& paths_;
  const std::vector<std::string>& exclude_;
  std::set<std::string> taken_;
};

tl::unexpected<Error> lacks(std::string problem, std::string expected) {
  return fail({.code = ErrorCode::kNotFound,
               .problem = std::move(problem),
               .expected = std::move(expected),
               .hint = "--include PATTERN gets other files"});
}

}  // namespace

bool matches_any(const std::vector<std::string>& patterns, const std::string& path) {
  return std::ranges::any_of(patterns, [&](const std::string& pattern) {
    return ::fnmatch(pattern.c_str(), path.c_str(), 0) == 0;
  });
}

Result<FileChoice> choose_files(const std::vector<std::string>& paths, Content content,
                                const std::vector<std::string>& include,
                                const std::vector<std::string>& exclude) {
  Chooser chooser(paths, exclude);
  FileChoice choice;
  const bool holds_adapter = chooser.has("adapter_config.json");
  const std::vector<std::string> model_weights = chooser.model_weights();
  const bool holds_model = chooser.has("config.json") && !model_weights.empty();
  if (content == Content::kModel && !holds_model && include.empty())
    return lacks("the repository holds no model that can be run",
                 "config.json and model*.safetensors");
  if (content == Content::kAdapter && !holds_adapter)
    return lacks("the repository holds no adapter", "adapter_config.json");
  if (content == Content::kTokenizer && !chooser.has("tokenizer.json"))
    return lacks("the repository holds no tokenizer", "tokenizer.json");
  if (content == Content::kAny && !holds_adapter && !holds_model && include.empty())
    return lacks("the repository holds neither a model nor an adapter",
                 "config.json and model*.safetensors, or adapter_config.json");
  const bool any = content == Content::kAny;
  const bool model = (any && (holds_model || !holds_adapter)) || content == Content::kModel;
  choice.has_model = model && holds_model;
  if (model) chooser.take(kModelFiles, choice.small);
  if (model || content == Content::kTokenizer) chooser.take(kTokenizerFiles, choice.small);
  if ((any && holds_adapter) || content == Content::kAdapter) {
    chooser.take(kAdapterFiles, choice.small);
    chooser.take(kAdapterWeights, choice.weights);
  }
  if (model && chooser.has(kIndexFile)) {
    choice.has_index = !matches_any(exclude, std::string(kIndexFile));
    chooser.take(std::array{kIndexFile}, choice.small);
  } else if (model) {
    chooser.take(model_weights, choice.weights);
  }
  std::vector<std::string> further;
  std::ranges::copy_if(paths, std::back_inserter(further),
                       [&](const std::string& path) { return matches_any(include, path); });
  chooser.take(further, choice.weights);
  return choice;
}

Result<std::vector<std::string>> indexed_weights(std::string_view text, const std::string& where) {
  const json index = json::parse(text, nullptr, false);
  const auto malformed = [&](std::string problem) {
    return fail({.code = ErrorCode::kMalformed, .where = where, .problem = std::move(problem)});
  };
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (!index.is_object() || map == index.end() || !map->is_object())
    return malformed("is no index of weights: it has no object 'weight_map'");
  std::set<std::string> files;
  for (const auto& [tensor, file] : map->items()) {
    const bool safe = file.is_string() && is_safe_path(file.get_ref<const std::string&>()) &&
                      file.get_ref<const std::string&>().find('/') == std::string::npos;
    if (!safe)
      return malformed(
          fmt::format("key 'weight_map' names a file that is not one beside it: {}",
                      file.dump(-1, ' ', true, json::error_handler_t::replace).substr(0, 200)));
    files.insert(file.get<std::string>());
  }
  return std::vector<std::string>(files.begin(), files.end());
}

}  // namespace bobby::hub
