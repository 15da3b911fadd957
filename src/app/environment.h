#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace bobby {

/// Environment variables as a value, so that tests can make their own. An empty one counts as
/// unset.
class Environment {
 public:
  Environment() = default;
  explicit Environment(std::map<std::string, std::string, std::less<>> variables)
      : variables_(std::move(variables)) {}
  static Environment of_process();

  std::optional<std::string> get(std::string_view name) const;
  const std::map<std::string, std::string, std::less<>>& variables() const { return variables_; }

  /// $HOME, or "." when there is none.
  std::filesystem::path home() const;
  /// $XDG_CONFIG_HOME/bobby, $XDG_DATA_HOME/bobby, $XDG_STATE_HOME/bobby: by default under
  /// ~/.config, ~/.local/share and ~/.local/state.
  std::filesystem::path config_folder() const;
  std::filesystem::path data_folder() const;
  std::filesystem::path state_folder() const;

 private:
  std::filesystem::path xdg(std::string_view variable, std::string_view fallback) const;

  std::map<std::string, std::string, std::less<>> variables_;
};

}  // namespace bobby
