#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "app/settings.h"
#include "base/result.h"
#include "generation/generator.h"
#include "server/api/adapter_directory.h"

namespace bobby {

/// What a registry stands on; all of it outlives the registry.
struct RegistryParts {
  const Settings* settings = nullptr;
  Generator* generator = nullptr;
  std::filesystem::path model_folder;
  std::string model_type;
  /// Told of what goes on by itself, in one sentence; from any thread.
  std::function<void(std::string_view)> note = {};
};

/// The adapters of a server: those of --adapter, the subfolders of --adapter-dir, and what is
/// loaded later. An adapter is read and uploaded when it is first used. While it is in use its
/// folder is watched: when its files change and read well, new requests get the new one and running
/// ones keep theirs; files that do not read well change nothing.
class AdapterRegistry final : public server::AdapterDirectory {
 public:
  /// Reads every adapter once. An Error names each of --adapter's that cannot be used; of
  /// --adapter-dir's, those are noted and left out.
  static Result<std::unique_ptr<AdapterRegistry>> open(RegistryParts parts);
  ~AdapterRegistry() override;

  /// --adapter, as requests that name none use it.
  std::vector<server::AdapterChoice> defaults() const;

  std::vector<server::AdapterEntry> list() const override;
  Result<AdapterUse> find(const server::AdapterChoice& choice) override;
  Result<server::AdapterEntry> load(const std::string& path, const std::string& name) override;
  Result<void> unload(std::string_view name) override;
  Result<server::Voice> voice(std::span<const server::AdapterChoice> choices) override;

  /// Looks at the folders once; the watching thread does so every second.
  void look();

 private:
  struct State;
  explicit AdapterRegistry(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace bobby
