// The adapters of a server, on a small model with real adapter folders.

#include "app/adapter_registry.h"

#include <algorithm>
#include <fstream>
#include <gtest/gtest.h>
#include <mutex>

#include "app/adapter_files.h"
#include "app/engine.h"
#include "lora/conversion.h"
#include "model/attached_adapter.h"
#include "temporary_folder.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;

const fs::path kFixtures = fs::path(BOBBY_SOURCE_DIR) / "tests/parity/models/qwen3-f32";

class Registry : public testing::Test {
 protected:
  void SetUp() override {
    fs::copy(kFixtures / "adapters", folder_.path() / "voices", fs::copy_options::recursive);
    fs::copy(kFixtures / "adapters/mlx-all", folder_.path() / "own");
  }

  void open(const std::string& scale = {}) {
    settings_ = Settings::resolve({.flags = {{Opt::kAdapter, {own().string() + scale}},
                                             {Opt::kAdapterDir, {voices().string()}},
                                             {Opt::kDevice, {"reference"}},
                                             {Opt::kPromptForm, {"chatml"}}},
                                   .environment = Environment(),
                                   .working_folder = folder_.path()})
                    .value();
    generator_ = std::make_unique<Generator>([this](const ProgressFn& progress) {
      return load_model(*settings_, kFixtures / "model", TokenizerUse::kNone, progress);
    });
    auto opened = AdapterRegistry::open({.settings = &*settings_,
                                         .generator = generator_.get(),
                                         .model_folder = kFixtures / "model",
                                         .model_type = "qwen3",
                                         .note = [this](std::string_view sentence) {
                                           const std::lock_guard lock(mutex_);
                                           notes_.emplace_back(sentence);
                                         }});
    ASSERT_TRUE(opened) << opened.error().to_string();
    registry_ = *std::move(opened);
  }

  fs::path own() const { return folder_.path() / "own"; }
  fs::path voices() const { return folder_.path() / "voices"; }

  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : registry_->list()) found.push_back(entry.name);
    return found;
  }

  std::string digest(const std::string& name) {
    const auto use = registry_->find({name, std::nullopt});
    return use ? use->adapter->adapter().sha256 : use.error().to_string();
  }

  /// Puts other tensors into the folder of "own", and lets the registry see it.
  void replace_own(const std::function<void(const fs::path& tensors)>& change) {
    change(own() / "adapters.safetensors");
    fs::last_write_time(own() / "adapters.safetensors",
                        fs::file_time_type::clock::now() + std::chrono::seconds(++ahead_));
    registry_->look();  // a change that has just been seen may still go on
    registry_->look();
  }

  bool noted(const std::string& part) {
    const std::lock_guard lock(mutex_);
    for (const std::string& sentence : notes_)
      if (sentence.find(part) != std::string::npos) return true;
    return false;
  }

  TemporaryFolder folder_;
  std::optional<Settings> settings_;
  std::unique_ptr<Generator> generator_;
  std::mutex mutex_;
  std::vector<std::string> notes_;
  std::unique_ptr<AdapterRegistry> registry_;
  int ahead_ = 0;
};

TEST_F(Registry, OffersTheDefaultsAndEverySubfolder) {
  open(":3");
  EXPECT_EQ(names(),
            (std::vector<std::string>{"mlx-all", "own", "peft-dora", "peft-rslora-patterns"}));
  EXPECT_EQ(registry_->defaults(), (std::vector<server::AdapterChoice>{{"own", 3.0f}}));
  for (const auto& entry : registry_->list()) {
    EXPECT_EQ(entry.is_default, entry.name == "own");
    EXPECT_EQ(entry.format, entry.name.starts_with("peft") ? "peft" : "mlx");
    EXPECT_GT(entry.rank, 0);
    EXPECT_FALSE(entry.modules.empty());
    EXPECT_EQ(entry.loaded_at, "") << "nothing was used yet";
  }
  EXPECT_FALSE(generator_->loaded());
}

TEST_F(Registry, OffersGgufFilesToo) {
  open();
  const Adapter own = *load_adapter(this->own());
  const BaseFacts base{.name = "",
                       .model_type = "qwen3",
                       .num_hidden_layers = 2,
                       .num_attention_heads = 3,
                       .num_key_value_heads = 1,
                       .head_dim = 10,
                       .tie_word_embeddings = false};
  const auto written = write_adapter(own, {.dialect = Adapter::Source::kGguf,
                                           .path = voices() / "voice.gguf",
                                           .base = base,
                                           .voice_json = R"({"post": {"char_limit": 123}})"});
  ASSERT_TRUE(written) << written.error().to_string();
  registry_->look();
  const auto entries = registry_->list();
  const auto entry = std::ranges::find(entries, "voice.gguf", &server::AdapterEntry::name);
  ASSERT_NE(entry, entries.end());
  EXPECT_EQ(entry->format, "gguf");
  EXPECT_EQ(entry->scale, own.scale);
  const auto use = registry_->find({"voice.gguf", std::nullopt});
  ASSERT_TRUE(use) << use.error().to_string();
  const std::vector<server::AdapterChoice> choices = {{"voice.gguf", std::nullopt}};
  const auto voice = registry_->voice(choices);
  ASSERT_TRUE(voice) << voice.error().to_string();
  EXPECT_EQ(voice->rules.char_limit, 123);
}

TEST_F(Registry, AScaleIsAFactorOnTheFoldersOwn) {
  open();
  const auto plain = registry_->find({"own", std::nullopt});
  ASSERT_TRUE(plain) << plain.error().to_string();
  EXPECT_EQ(plain->factor, 1.0f);
  const float scale = plain->adapter->adapter().scale;
  const auto twice = registry_->find({"own", 2 * scale});
  EXPECT_EQ(twice->factor, 2.0f);
  EXPECT_EQ(twice->adapter, plain->adapter) << "one upload for every scale";
  const auto dora = registry_->find({"peft-dora", 7.0f});
  const auto other = registry_->find({"peft-dora", std::nullopt});
  ASSERT_TRUE(dora && other);
  EXPECT_EQ(dora->factor, dora->adapter->factor()) << "DoRA has an upload for each";
  EXPECT_NE(dora->adapter, other->adapter);
  EXPECT_EQ(registry_->find({"onw", std::nullopt}).error().code, ErrorCode::kNotFound);
}

TEST_F(Registry, AChangedFolderServesNewRequestsAndLeavesRunningOnesAlone) {
  open();
  const auto before = registry_->find({"own", std::nullopt});
  ASSERT_TRUE(before);
  const std::string old_digest = digest("own");
  replace_own([](const fs::path& tensors) {
    std::fstream file(tensors, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-4, std::ios::end);  // the last number of the last tensor
    const float number = 0.125f;
    file.write(reinterpret_cast<const char*>(&number), sizeof number);
  });
  EXPECT_TRUE(noted("'own' changed: new requests get the new one"));
  EXPECT_NE(digest("own"), old_digest);
  EXPECT_EQ(before->adapter->adapter().sha256, old_digest);
}

TEST_F(Registry, AFolderThatIsBrokenChangesNothing) {
  open();
  const std::string old_digest = digest("own");
  replace_own([](const fs::path& tensors) { fs::resize_file(tensors, 100); });
  EXPECT_TRUE(noted("'own' changed, and stays as it was"));
  EXPECT_EQ(digest("own"), old_digest);
  fs::copy_file(kFixtures / "adapters/mlx-all/adapters.safetensors", own() / "adapters.safetensors",
                fs::copy_options::overwrite_existing);
  replace_own([](const fs::path&) {});
  EXPECT_TRUE(noted("'own' changed: new requests get the new one"));
}

TEST_F(Registry, LoadsNamesAndUnloads) {
  open();
  const std::string path = (voices() / "mlx-all").string();
  EXPECT_EQ(registry_->load(path, "own").error().where, "name");
  EXPECT_EQ(registry_->load(path, "own").error().code, ErrorCode::kMismatch);
  EXPECT_EQ(registry_->load(path, "a/b").error().where, "name");
  EXPECT_EQ(registry_->load("/nowhere", "").error().code, ErrorCode::kNotFound);
  const auto entry = registry_->load(path, "second");
  ASSERT_TRUE(entry) << entry.error().to_string();
  EXPECT_EQ(entry->name, "second");
  EXPECT_NE(entry->loaded_at, "");
  const auto held = registry_->find({"second", std::nullopt});
  ASSERT_TRUE(registry_->unload("second"));
  EXPECT_FALSE(registry_->unload("second"));
  EXPECT_FALSE(registry_->find({"second", std::nullopt}));
  EXPECT_FALSE(held->adapter->adapter().sha256.empty()) << "what runs keeps its own";
  ASSERT_TRUE(registry_->unload("peft-dora"));
  registry_->look();
  EXPECT_EQ(std::ranges::count(names(), "peft-dora"), 0) << "it is not offered again by itself";
}

TEST_F(Registry, ANewSubfolderIsOffered) {
  open();
  fs::copy(kFixtures / "adapters/mlx-all", voices() / "late one");
  fs::create_directories(voices() / "broken");
  std::ofstream(voices() / "broken/adapter_config.json") << "{";
  std::ofstream(voices() / "broken/adapters.safetensors") << "x";
  registry_->look();
  EXPECT_EQ(std::ranges::count(names(), "late-one"), 1);
  EXPECT_EQ(std::ranges::count(names(), "broken"), 0);
  EXPECT_TRUE(noted("broken is not offered"));
}

TEST_F(Registry, AVoiceIsWhatItsFileSays) {
  std::ofstream(own() / "voice.json") << R"({"post":{"char_limit":77}})";
  open();
  const std::vector<server::AdapterChoice> choices = {{"own", std::nullopt}};
  EXPECT_EQ(registry_->voice(choices)->rules.char_limit, 77);
  EXPECT_EQ(registry_->voice({})->rules.char_limit, 300);
  EXPECT_EQ(registry_->voice(choices)->form.name, "chatml");
}

}  // namespace
}  // namespace bobby
