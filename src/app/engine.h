#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/locate.h"
#include "app/settings.h"
#include "base/progress.h"
#include "base/result.h"
#include "generation/generator.h"
#include "hub/cache/download.h"
#include "lora/adapter.h"
#include "model/model.h"

namespace bobby {

/// Whether a model without a tokenizer will do.
enum class TokenizerUse { kRequired, kNone };

/// Makes the backend that `settings` asks for and loads the model in `folder` onto it, with its
/// tokenizer unless that is not needed (random models for measuring have none).
Result<std::shared_ptr<LoadedModel>> load_model(const Settings& settings,
                                                const std::filesystem::path& folder,
                                                TokenizerUse tokenizer,
                                                const ProgressFn& progress = {});

/// An adapter of --adapter, read. `factor` on every module's own scale makes the folder's scale the
/// one that was given, so that PEFT's patterns keep their ratios.
struct ChosenAdapter {
  AdapterName name;
  std::shared_ptr<const Adapter> adapter;
  float factor = 1.0f;
};

/// What makes the folder's own scale the one that was given, if one was. kUsage: it is 0.
Result<float> scale_factor(const Adapter& adapter, std::optional<float> scale, std::string where);

/// Reads the adapter in name.folder. kUsage: a scale for a folder whose own is 0.
Result<ChosenAdapter> load_chosen_adapter(AdapterName name);

/// Reads every --adapter, downloading what has to be; the problems of all of them in one Error.
Result<std::vector<ChosenAdapter>> load_adapters(const Settings& settings,
                                                 const hub::PullWatch& watch = {});

/// Puts the adapters onto the model, or onto the generator's, which is loaded for it. Errors name
/// the adapter and every tensor that does not fit.
Result<std::vector<AdapterUse>> attach_adapters(Model& model,
                                                const std::vector<ChosenAdapter>& adapters);
Result<std::vector<AdapterUse>> attach_adapters(Generator& generator,
                                                const std::vector<ChosenAdapter>& adapters);

}  // namespace bobby
