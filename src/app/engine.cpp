#include "app/engine.h"

#include <utility>

#include "app/device.h"
#include "app/obtain.h"

namespace bobby {
namespace {

template <typename Target>
Result<std::vector<AdapterUse>> attach_to(Target& target,
                                          const std::vector<ChosenAdapter>& adapters) {
  std::vector<AdapterUse> uses;
  std::vector<Error> errors;
  for (const ChosenAdapter& chosen : adapters) {
    auto result = target.attach(chosen.adapter, chosen.factor);
    if (!result) {
      errors.push_back(std::move(result).error().in(chosen.name.folder.string()));
      continue;
    }
    uses.push_back({*std::move(result), chosen.factor});
  }
  if (!errors.empty()) return fail(join_errors(std::move(errors)));
  return uses;
}

Result<ChosenAdapter> load_one(const std::string& text, const Settings& settings,
                               const hub::PullWatch& watch) {
  BOBBY_TRY(AdapterName name, obtain_adapter(text, settings, watch));
  return load_chosen_adapter(std::move(name));
}

}  // namespace

Result<float> scale_factor(const Adapter& adapter, std::optional<float> scale, std::string where) {
  if (!scale) return 1.0f;
  if (adapter.scale == 0.0f)
    return fail({.code = ErrorCode::kUsage,
                 .where = std::move(where),
                 .problem = "has scale 0, which no other scale can take the place of"});
  return *scale / adapter.scale;
}

Result<ChosenAdapter> load_chosen_adapter(AdapterName name) {
  ChosenAdapter chosen;
  chosen.name = std::move(name);
  BOBBY_TRY(Adapter adapter, load_adapter(chosen.name.folder));
  BOBBY_TRY(chosen.factor, scale_factor(adapter, chosen.name.scale, chosen.name.folder.string()));
  chosen.adapter = std::make_shared<const Adapter>(std::move(adapter));
  return chosen;
}

Result<std::shared_ptr<LoadedModel>> load_model(const Settings& settings,
                                                const std::filesystem::path& folder,
                                                TokenizerUse tokenizer,
                                                const ProgressFn& progress) {
  const auto report = [&](std::string_view phase, std::uint64_t done) {
    if (progress) progress({phase, done, 2});
  };
  auto loaded = std::make_shared<LoadedModel>();
  BOBBY_TRY(loaded->backend, make_backend(settings));
  report("weights", 0);
  BOBBY_TRY(loaded->model, Model::load(folder, *loaded->backend));
  report("tokenizer", 1);
  if (tokenizer == TokenizerUse::kRequired) {
    BOBBY_TRY(Tokenizer read, Tokenizer::from_file(folder / "tokenizer.json"));
    loaded->tokenizer = std::make_shared<const Tokenizer>(std::move(read));
  }
  report("tokenizer", 2);
  return loaded;
}

Result<std::vector<ChosenAdapter>> load_adapters(const Settings& settings,
                                                 const hub::PullWatch& watch) {
  std::vector<ChosenAdapter> adapters;
  std::vector<Error> errors;
  for (const std::string& text : settings.texts(Opt::kAdapter)) {
    auto chosen = load_one(text, settings, watch);
    if (chosen)
      adapters.push_back(*std::move(chosen));
    else
      errors.push_back(std::move(chosen).error());
  }
  if (!errors.empty()) return fail(join_errors(std::move(errors)));
  return adapters;
}

Result<std::vector<AdapterUse>> attach_adapters(Model& model,
                                                const std::vector<ChosenAdapter>& adapters) {
  return attach_to(model, adapters);
}

Result<std::vector<AdapterUse>> attach_adapters(Generator& generator,
                                                const std::vector<ChosenAdapter>& adapters) {
  return attach_to(generator, adapters);
}

}  // namespace bobby
