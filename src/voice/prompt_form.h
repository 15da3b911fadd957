#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bobby {

/// How a prompt is written for a model, as data: rendered text is
///   begin (system_begin system_preface SYSTEM system_end)? user_begin PROMPT user_end
///   assistant_begin
/// Chat templates themselves are not run: each form is one shape that they have in common.
struct PromptForm {
  std::string name;
  std::string begin;
  std::string system_begin;
  std::string system_end;
  /// Comes before the system message; with one, the system's turn stands even when it is empty.
  std::string system_preface = {};
  std::optional<std::string> system;  ///< the system message unless the caller gives another
  std::string user_begin;
  std::string user_end;
  std::string assistant_begin;
  std::vector<std::string> stops;  ///< strings (usually special tokens) that end the answer

  bool operator==(const PromptForm&) const = default;
};

/// The forms built in: "qwen3-no-think", "chatml", "llama3", "llama3.1", "raw".
std::span<const PromptForm> prompt_forms();

/// A built-in form by name. kUsage names the nearest one.
Result<PromptForm> find_prompt_form(std::string_view name);

/// The form that a model was trained with, from config.json's model_type and the text of its
/// chat template ("" when it has none); a default system message in the template is kept.
/// kUnsupported for a template of another shape: names `model` and asks for --prompt-form.
Result<PromptForm> choose_prompt_form(std::string_view model, std::string_view model_type,
                                      std::string_view chat_template);

/// The text to tokenize. `system` replaces the form's own message; "" asks for none.
/// kUsage: a system message in a form without one, or text that holds one of the form's markers
/// (<|im_end|>), which would end the turn it stands in.
Result<std::string> render_prompt(const PromptForm& form, std::string_view prompt,
                                  const std::optional<std::string>& system = std::nullopt);

/// kUsage: `text`, called `what`, holds one of the form's markers.
Result<void> check_free_of_markers(const PromptForm& form, std::string_view what,
                                   std::string_view text);

/// SHA-256 of the form rendered around "{prompt}": stored with an adapter, so that serving it in
/// another form than it was trained in is noticed.
std::string prompt_prefix_sha256(const PromptForm& form);

}  // namespace bobby
