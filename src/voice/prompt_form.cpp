#include "voice/prompt_form.h"

#include <algorithm>
#include <array>
#include <set>
#include <span>

#include "base/nearest_name.h"
#include "base/sha256.h"

namespace bobby {
namespace {

constexpr std::string_view kSystemMarker = "<|im_start|>system";
constexpr std::string_view kEndMarker = "<|im_end|>";

const std::array<PromptForm, 5>& built_in() {
  static const std::array<PromptForm, 5> forms = {{
      // Qwen3 told not to think: the soft switch at the end of the prompt, and no empty think block
      // in the answer, which is what the adapters for this project are trained on.
      {.name = "qwen3-no-think",
       .begin = "",
       .system_begin = "<|im_start|>system\n",
       .system_end = "<|im_end|>\n",
       .system = std::nullopt,
       .user_begin = "<|im_start|>user\n",
       .user_end = " /no_think<|im_end|>\n",
       .assistant_begin = "<|im_start|>assistant\n",
       .stops = {"<|im_end|>", "<|endoftext|>"}},
      {.name = "chatml",
       .begin = "",
       .system_begin = "<|im_start|>system\n",
       .system_end = "<|im_end|>\n",
       .system = std::nullopt,
       .user_begin = "<|im_start|>user\n",
       .user_end = "<|im_end|>\n",
       .assistant_begin = "<|im_start|>assistant\n",
       .stops = {"<|im_end|>", "<|endoftext|>"}},
      {.name = "llama3",
       .begin = "<|begin_of_text|>",
       .system_begin = "<|start_header_id|>system<|end_header_id|>\n\n",
       .system_end = "<|eot_id|>",
       .system = std::nullopt,
       .user_begin = "<|start_header_id|>user<|end_header_id|>\n\n",
       .user_end = "<|eot_id|>",
       .assistant_begin = "<|start_header_id|>assistant<|end_header_id|>\n\n",
       .stops = {"<|eot_id|>", "<|end_of_text|>"}},
      // Llama 3.1 and later: dates before every system message. 3.1's template and 3.3's have this
      // date; 3.2's falls back to it and else takes the day, on which no answer should depend.
      {.name = "llama3.1",
       .begin = "<|begin_of_text|>",
       .system_begin = "<|start_header_id|>system<|end_header_id|>\n\n",
       .system_end = "<|eot_id|>",
       .system_preface = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n",
       .system = std::nullopt,
       .user_begin = "<|start_header_id|>user<|end_header_id|>\n\n",
       .user_end = "<|eot_id|>",
       .assistant_begin = "<|start_header_id|>assistant<|end_header_id|>\n\n",
       .stops = {"<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"}},
      {.name = "raw",
       .begin = "",
       .system_begin = "",
       .system_end = "",
       .system = std::nullopt,
       .user_begin = "",
       .user_end = "",
       .assistant_begin = "",
       .stops = {}},
  }};
  return forms;
}

/// Every <|...|> in the pieces and stops of `form`.
std::set<std::string, std::less<>> markers(const PromptForm& form) {
  std::set<std::string, std::less<>> found;
  const auto collect = [&](std::string_view text) {
    for (std::size_t begin = text.find("<|"); begin != std::string_view::npos;
         begin = text.find("<|", begin + 2)) {
      const std::size_t end = text.find("|>", begin);
      if (end == std::string_view::npos) break;
      found.emplace(text.substr(begin, end + 2 - begin));
    }
  };
  for (const std::string* piece :
       {&form.begin, &form.system_begin, &form.system_end, &form.system_preface, &form.user_begin,
        &form.user_end, &form.assistant_begin})
    collect(*piece);
  found.insert(form.stops.begin(), form.stops.end());
  found.erase("");
  return found;
}

/// The system message that a ChatML template writes when the conversation has none, as SmolLM2's
/// and Qwen2.5's do: a literal between the markers, inside a string of the template. Its line end
/// is an escape in tokenizer_config.json and a real one in a GGUF file.
std::optional<std::string> default_system(std::string_view chat_template) {
  for (std::size_t at = chat_template.find(kSystemMarker); at != std::string_view::npos;
       at = chat_template.find(kSystemMarker, at + 1)) {
    std::string_view rest = chat_template.substr(at + kSystemMarker.size());
    if (rest.starts_with('\n'))
      rest.remove_prefix(1);
    else if (rest.starts_with("\\n"))
      rest.remove_prefix(2);
    else
      continue;
    const std::string_view text = rest.substr(0, rest.find(kEndMarker));
    const bool literal = text.size() < rest.size() && !text.empty() &&
                         text.find_first_of("'\"{}\\") == std::string_view::npos;
    if (literal) return std::string(text);
  }
  return std::nullopt;
}

std::string assemble(const PromptForm& form, std::string_view prompt, std::string_view system) {
  std::string text = form.begin;
  if (!system.empty() || !form.system_preface.empty())
    text.append(form.system_begin)
        .append(form.system_preface)
        .append(system)
        .append(form.system_end);
  return text.append(form.user_begin)
      .append(prompt)
      .append(form.user_end)
      .append(form.assistant_begin);
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace

std::span<const PromptForm> prompt_forms() {
  return built_in();
}

Result<PromptForm> find_prompt_form(std::string_view name) {
  std::vector<std::string_view> names;
  for (const PromptForm& form : built_in()) {
    if (form.name == name) return form;
    names.push_back(form.name);
  }
  std::string known;
  for (const std::string_view each : names)
    known += (known.empty() ? "" : ", ") + std::string(each);
  return fail({.code = ErrorCode::kUsage,
               .where = "prompt form '" + std::string(name) + "'",
               .problem = "is not known",
               .expected = "one of " + known,
               .hint = "the nearest is '" + std::string(nearest_name(name, names)) + "'"});
}

Result<PromptForm> choose_prompt_form(std::string_view model, std::string_view model_type,
                                      std::string_view chat_template) {
  const bool chatml =
      contains(chat_template, "<|im_start|>") && contains(chat_template, kEndMarker);
  // Qwen3's later instruct models cannot think and know no switch for it: they are plain ChatML.
  if (model_type.starts_with("qwen3") &&
      (chat_template.empty() || (chatml && contains(chat_template, "enable_thinking"))))
    return find_prompt_form("qwen3-no-think");
  if (chatml) {
    BOBBY_TRY(PromptForm form, find_prompt_form("chatml"));
    form.system = default_system(chat_template);
    return form;
  }
  if (contains(chat_template, "<|start_header_id|>") && contains(chat_template, "<|eot_id|>"))
    return find_prompt_form(contains(chat_template, "Cutting Knowledge Date") ? "llama3.1"
                                                                              : "llama3");
  return fail({.code = ErrorCode::kUnsupported,
               .where = std::string(model) + " (model_type '" + std::string(model_type) + "')",
               .problem = chat_template.empty()
                              ? "has no chat template to choose a prompt form by"
                              : "has a chat template of a shape that is not known here",
               .hint = "choose one with --prompt-form qwen3-no-think|chatml|llama3|llama3.1|raw"});
}

Result<void> check_free_of_markers(const PromptForm& form, std::string_view what,
                                   std::string_view text) {
  for (const std::string& marker : markers(form))
    if (text.find(marker) != std::string_view::npos)
      return fail({.code = ErrorCode::kUsage,
                   .where = std::string(what),
                   .problem = "holds '" + marker + "', which in the prompt form '" + form.name +
                              "' marks the turns themselves",
                   .hint = "take it out, or use the form 'raw' and write the turns yourself"});
  return {};
}

Result<std::string> render_prompt(const PromptForm& form, std::string_view prompt,
                                  const std::optional<std::string>& system) {
  const std::string message = system ? *system : form.system.value_or("");
  if (!message.empty() && form.system_begin.empty() && form.system_end.empty())
    return fail({.code = ErrorCode::kUsage,
                 .where = "system message",
                 .problem = "has no place in the prompt form '" + form.name + "'",
                 .hint = "write it into the prompt"});
  BOBBY_CHECK(check_free_of_markers(form, "prompt", prompt));
  BOBBY_CHECK(check_free_of_markers(form, "system message", message));
  return assemble(form, prompt, message);
}

std::string prompt_prefix_sha256(const PromptForm& form) {
  const std::string text = assemble(form, "{prompt}", form.system.value_or(""));
  return sha256_hex(std::as_bytes(std::span(text)));
}

}  // namespace bobby
