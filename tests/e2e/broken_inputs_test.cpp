// Broken, lying and hostile files: each ends with one clear sentence and exit code 1 or 2.

#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <memory>

#include "tiny_model.h"

namespace bobby::e2e {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

template <typename T>
std::string little_endian(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

std::string safetensors_bytes(const std::string& header, const std::string& data = {}) {
  return little_endian<std::uint64_t>(header.size()) + header + data;
}

// A safetensors file taken apart, to be put together wrongly.
struct Parts {
  json header;
  std::string data;

  explicit Parts(const std::string& bytes) {
    std::uint64_t size = 0;
    std::memcpy(&size, bytes.data(), sizeof size);
    header = json::parse(bytes.substr(8, size));
    data = bytes.substr(8 + size);
  }
  std::string bytes() const { return safetensors_bytes(header.dump(), data); }
};

std::string gguf_text(const std::string& text) {
  return little_endian<std::uint64_t>(text.size()) + text;
}

class BrokenInputs : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TemporaryFolder>();
    world_ = World{folder_->path()};
    made_ = make_tiny_model(world_);
  }
  static void TearDownTestSuite() { folder_.reset(); }

  void SetUp() override { ASSERT_EQ(made_.exit_code, 0) << made_.err; }

  static fs::path at(const std::string& name) { return folder_->path() / name; }

  // A copy of the tiny model, in a folder of its own.
  static std::string model_copy(const std::string& name) {
    fs::remove_all(at(name));
    fs::copy(at("tiny"), at(name), fs::copy_options::recursive);
    return name;
  }
  static std::string adapter_copy(const std::string& name) {
    fs::remove_all(at(name));
    fs::copy(at("tiny-adapter"), at(name), fs::copy_options::recursive);
    return name;
  }

  // Runs and checks that it refuses with one sentence that holds `part`.
  static void refuses(const std::vector<std::string>& words, const std::string& part,
                      int exit_code = 1) {
    const Outcome outcome = run_bobby(world_, words);
    std::string line = "bobby";
    for (const std::string& word : words) line += " " + word.substr(0, 60);
    EXPECT_EQ(outcome.exit_code, exit_code) << line << "\n" << outcome.err;
    EXPECT_EQ(outcome.out, "") << line;
    EXPECT_EQ(outcome.err.rfind("bobby: ", 0), 0u) << line << "\n" << outcome.err;
    EXPECT_NE(outcome.err.find(part), std::string::npos) << line << "\n" << outcome.err;
    // Further problems of the same kind follow indented; nothing else does.
    for (std::size_t end = outcome.err.find('\n'); end + 1 < outcome.err.size();
         end = outcome.err.find('\n', end + 1))
      EXPECT_EQ(outcome.err[end + 1], ' ') << line << "\n" << outcome.err;
  }

  // The same for both commands that open a model folder.
  static void refuses_model(const std::string& name, const std::string& part) {
    refuses({"model", "verify", name}, part);
    refuses({"post", "hello", "--model", name}, part);
  }

  static void edit_config(const std::string& name, const std::function<void(json&)>& edit) {
    json config = json::parse(read_file(at(name) / "config.json"));
    edit(config);
    write_file(at(name) / "config.json", config.dump());
  }

  static void edit_weights(const fs::path& file, const std::function<void(Parts&)>& edit) {
    Parts parts(read_file(file));
    edit(parts);
    write_file(file, parts.bytes());
  }

  static std::unique_ptr<TemporaryFolder> folder_;
  static World world_;
  static Outcome made_;
};

std::unique_ptr<TemporaryFolder> BrokenInputs::folder_;
World BrokenInputs::world_;
Outcome BrokenInputs::made_;

TEST_F(BrokenInputs, WrongPaths) {
  fs::create_directories(at("empty"));
  refuses({"post", "--model", "./nowhere"}, "nowhere");
  refuses({"model", "verify", "nowhere"}, "nowhere");
  refuses({"model", "inspect", "empty"}, "config.json");
  refuses({"post", "--model", "empty"}, "config.json");
  refuses({"adapter", "inspect", "nowhere"}, "nowhere");
  refuses({"adapter", "inspect", "empty"}, "adapter_config.json");
  refuses({"model", "import-gguf", "nowhere.gguf", "out"}, "nowhere.gguf");
  refuses({"model", "quantize", "nowhere", "out"}, "nowhere");
  refuses({"tokenize", "--model", "empty"}, "tokenizer.json");
  refuses({"config", "--config", "nowhere.toml"}, "nowhere.toml");
  refuses({"post", "hello", "--model", "tiny/config.json"}, "config.json");
  refuses({"model", "logits", "--model", "tiny", "--tokens", "1", "--out", "no/such/folder/x"},
          "no/such/folder");
}

TEST_F(BrokenInputs, Safetensors) {
  const std::string good = read_file(at("tiny/model.safetensors"));
  const auto is_refused = [&](const std::string& bytes, const std::string& part) {
    write_file(at("bad.safetensors"), bytes);
    refuses({"model", "verify", "bad.safetensors"}, part);
  };
  is_refused("", "bad.safetensors");
  is_refused("1234567", "bad.safetensors");
  is_refused(good.substr(0, 8), "bad.safetensors");
  is_refused(good.substr(0, 100), "bad.safetensors");
  is_refused(good.substr(0, good.size() - 1), "bad.safetensors");
  is_refused(good + "x", "bad.safetensors");
  is_refused(std::string(8, '\xff') + good, "bad.safetensors");
  is_refused(safetensors_bytes("{"), "bad.safetensors");
  is_refused(safetensors_bytes("\xff\xfe{}"), "bad.safetensors");
  is_refused(safetensors_bytes("[]"), "bad.safetensors");
  is_refused(safetensors_bytes(std::string(200000, '[')), "bad.safetensors");
  const auto one = [](const std::string& dtype, const std::string& shape, const std::string& range,
                      const std::string& data) {
    return safetensors_bytes("{\"w\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
                                 ",\"data_offsets\":" + range + "}}",
                             data);
  };
  const std::string four(4, '\0');
  is_refused(one("F99", "[1]", "[0,4]", four), "F99");
  is_refused(one("F32", "[2]", "[0,4]", four), "'w'");
  is_refused(one("F32", "[1]", "[4,0]", four), "'w'");
  is_refused(one("F32", "[1]", "[0,18446744073709551615]", four), "'w'");
  is_refused(one("F32", "[4294967296,4294967296,4294967296]", "[0,4]", four), "'w'");
  is_refused(one("F32", "[-1]", "[0,4]", four), "'w'");
  is_refused(one("F32", "[1.5]", "[0,4]", four), "'w'");
}

TEST_F(BrokenInputs, Shards) {
  const std::string name = model_copy("shards");
  fs::rename(at(name) / "model.safetensors", at(name) / "model-00001-of-00002.safetensors");
  const auto index = [&](const json& weight_map) {
    write_file(at(name) / "model.safetensors.index.json",
               json{{"metadata", {{"total_size", 1}}}, {"weight_map", weight_map}}.dump());
  };
  index({{"lm_head.weight", "model-00002-of-00002.safetensors"}});
  refuses_model(name, "model-00002-of-00002.safetensors");
  index({{"lm_head.weight", "../tiny/model.safetensors"}});
  refuses_model(name, "../tiny/model.safetensors");
  write_file(at(name) / "model.safetensors.index.json", "{\"weight_map\": 7}");
  refuses_model(name, "weight_map");
  write_file(at(name) / "model.safetensors.index.json", "not JSON");
  refuses_model(name, "index.json");
}

TEST_F(BrokenInputs, ModelTensors) {
  const std::string name = model_copy("tensors");
  const fs::path file = at(name) / "model.safetensors";
  edit_weights(file, [](Parts& parts) {
    auto entry = parts.header["model.norm.weight"];
    parts.header.erase("model.norm.weight");
    parts.header["model.norm.weird"] = entry;
  });
  refuses_model(name, "model.norm.weight");

  model_copy("tensors");
  edit_weights(file, [](Parts& parts) {
    auto& shape = parts.header["lm_head.scales"]["shape"];
    std::swap(shape[0], shape[1]);
  });
  refuses_model(name, "lm_head.weight': and its scales");

  model_copy("tensors");
  edit_weights(file, [](Parts& parts) { parts.header["lm_head.weight"]["dtype"] = "I32"; });
  refuses_model(name, "lm_head.weight");
}

TEST_F(BrokenInputs, NanWeights) {
  const std::string name = model_copy("nan");
  edit_weights(at(name) / "model.safetensors", [](Parts& parts) {
    const auto begin = parts.header["model.norm.weight"]["data_offsets"][0].get<std::size_t>();
    parts.data[begin] = '\xc0';
    parts.data[begin + 1] = '\x7f';
  });
  refuses({"post", "hello", "--model", name}, "NaN");
  refuses({"model", "verify", name, "--deep"}, "model.norm.weight");
}

TEST_F(BrokenInputs, Config) {
  const std::string name = model_copy("config");
  const auto is_refused = [&](const std::function<void(json&)>& edit, const std::string& part) {
    model_copy("config");
    edit_config(name, edit);
    refuses_model(name, part);
  };
  is_refused([](json& config) { config["model_type"] = "bert"; }, "bert");
  is_refused([](json& config) { config.erase("hidden_size"); }, "hidden_size");
  is_refused([](json& config) { config["hidden_size"] = -64; }, "hidden_size");
  is_refused([](json& config) { config["hidden_size"] = "big"; }, "hidden_size");
  is_refused([](json& config) { config["num_hidden_layers"] = 9223372036854775807; },
             "config.json");
  is_refused([](json& config) { config["vocab_size"] = 1e30; }, "vocab_size");
  is_refused([](json& config) { config["num_key_value_heads"] = 3; }, "num_key_value_heads");
  is_refused([](json& config) { config["head_dim"] = 31; }, "head_dim");
  is_refused(
      [](json& config) {
        config["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 4}};
      },
      "yarn");
  is_refused([](json& config) { config["quantization"]["bits"] = 7; }, "bits");
  is_refused([](json& config) { config["quantization"]["mode"] = "mxfp2"; }, "mxfp2");
  // The tensors are affine: a module that is listed is what its entry says.
  is_refused(
      [](json& config) {
        config["quantization"]["lm_head"] = {{"mode", "mxfp4"}};
      },
      "lm_head");
  is_refused([](json& config) { config["num_hidden_layers"] = 3; }, "model.layers.2");
  model_copy("config");
  for (const std::string text : {"", "{", "[1, 2]", "null", "\xff\xfe"}) {
    write_file(at(name) / "config.json", text);
    refuses_model(name, "config.json");
  }
  write_file(at(name) / "config.json", std::string(100000, '['));
  refuses_model(name, "config.json");
}

TEST_F(BrokenInputs, TokenizerJson) {
  const std::string name = model_copy("tokenizer");
  const auto is_refused = [&](const std::string& text, const std::string& part) {
    write_file(at(name) / "tokenizer.json", text);
    refuses({"tokenize", "--model", name}, part);
    refuses({"post", "hello", "--model", name}, part);
    refuses({"model", "verify", name}, part);
  };
  const auto edited = [](const std::function<void(json&)>& edit) {
    json tokenizer = tiny_tokenizer();
    edit(tokenizer);
    return tokenizer.dump();
  };
  is_refused("", "tokenizer.json");
  is_refused("{\"model\"", "tokenizer.json");
  is_refused("{}", "tokenizer.json");
  is_refused(std::string(100000, '['), "tokenizer.json");
  is_refused(edited([](json& file) { file["model"]["type"] = "Unigram"; }), "Unigram");
  is_refused(edited([](json& file) {
               file["normalizer"] = {{"type", "Precompiled"}};
             }),
             "Precompiled");
  is_refused(edited([](json& file) { file["model"]["merges"] = {{"nope", "none"}}; }), "merges");
  is_refused(edited([](json& file) { file["model"]["vocab"]["A"] = -1; }), "vocab");
  is_refused(edited([](json& file) { file["model"]["vocab"] = 7; }), "vocab");
}

TEST_F(BrokenInputs, Gguf) {
  const auto is_refused = [&](const std::string& bytes, const std::string& part) {
    write_file(at("bad.gguf"), bytes);
    refuses({"model", "import-gguf", "bad.gguf", "imported"}, part);
    EXPECT_FALSE(fs::exists(at("imported")));
  };
  const auto header = [](std::uint32_t version, std::uint64_t tensors, std::uint64_t keys) {
    return "GGUF" + little_endian(version) + little_endian(tensors) + little_endian(keys);
  };
  constexpr std::uint64_t kHuge = ~std::uint64_t{0};
  constexpr std::uint32_t kString = 8, kArray = 9;
  is_refused("", "bad.gguf");
  is_refused("GGU", "bad.gguf");
  is_refused("GGML" + header(3, 0, 0).substr(4), "bad.gguf");
  is_refused(header(99, 0, 0), "99");
  is_refused(header(3, kHuge, 0), "bad.gguf");
  is_refused(header(3, 0, kHuge), "bad.gguf");
  is_refused(header(3, 0, 1) + little_endian(kHuge) + "abc", "bad.gguf");
  is_refused(header(3, 0, 1) + gguf_text("k") + little_endian(kArray) + little_endian(kString) +
                 little_endian(kHuge),
             "bad.gguf");
  is_refused(header(3, 0, 0), "general.architecture");
  is_refused(header(3, 0, 1) + gguf_text("general.architecture") + little_endian(kString) +
                 gguf_text("bert"),
             "bert");
  is_refused(header(3, 1, 1) + gguf_text("general.architecture") + little_endian(kString) +
                 gguf_text("llama") + gguf_text("w") + little_endian(std::uint32_t{4}) +
                 little_endian(kHuge) + little_endian(kHuge),
             "bad.gguf");
}

TEST_F(BrokenInputs, Adapters) {
  const std::string name = adapter_copy("adapter");
  const fs::path file = at(name) / "adapters.safetensors";
  const fs::path config_file = at(name) / "adapter_config.json";
  const auto is_refused = [&](const std::string& part) {
    refuses({"post", "hello", "--model", "tiny", "--adapter", name}, part);
    adapter_copy("adapter");
  };
  const auto edit_adapter_config = [&](const std::function<void(json&)>& edit) {
    json config = json::parse(read_file(config_file));
    edit(config);
    write_file(config_file, config.dump());
  };
  write_file(file, read_file(file).substr(0, 200));
  is_refused("adapters.safetensors");
  write_file(config_file, "{");
  is_refused("adapter_config.json");
  edit_adapter_config([](json& config) { config["lora_parameters"].erase("scale"); });
  is_refused("scale");
  edit_adapter_config([](json& config) { config["lora_parameters"]["rank"] = 7; });
  is_refused("rank");
  edit_adapter_config([](json& config) { config["fine_tune_type"] = "prefix"; });
  is_refused("prefix");
  edit_weights(file, [](Parts& parts) {
    const std::string first = parts.header.begin().key() == "__metadata__"
                                  ? std::next(parts.header.begin()).key()
                                  : parts.header.begin().key();
    auto entry = parts.header[first];
    parts.header.erase(first);
    parts.header["model.layers.0.self_attn.extra_proj.lora_a"] = entry;
  });
  is_refused("extra_proj");
  write_file(at(name) / "voice.json", "{\"promt_form\": \"chatml\"}");
  is_refused("prompt_form");

  // Of another model: every module is named.
  json config = tiny_config();
  config["hidden_size"] = 96;
  write_file(at("wide.json"), config.dump());
  ASSERT_EQ(run_bobby(world_, {"model", "synth", "--arch", "wide.json", "--out", "wide",
                               "--adapter-out", "wide-adapter"})
                .exit_code,
            0);
  refuses({"post", "hello", "--model", "tiny", "--adapter", "wide-adapter"}, "q_proj");
}

TEST_F(BrokenInputs, Requests) {
  std::string prompt;
  for (int i = 0; i < 200; ++i) prompt += "words ";
  refuses({"post", "--model", "tiny", "--prompt", prompt}, "511 tokens");
  std::string tokens = "1";
  for (int i = 0; i < 600; ++i) tokens += ",1";
  refuses({"model", "logits", "--model", "tiny", "--tokens", tokens, "--out", "x.safetensors"},
          "512");
  EXPECT_FALSE(fs::exists(at("x.safetensors")));
  refuses({"model", "logits", "--model", "tiny", "--tokens", "5000", "--out", "x.safetensors"},
          "5000", 2);
  refuses({"bench", "--model", "tiny", "--prompt-tokens", "500", "--gen-tokens", "100"}, "512");
  refuses({"model", "synth", "--arch", "gpt-5", "--out", "x"}, "gpt-5");
  refuses({"model", "synth", "--arch", "tiny.json", "--out", "tiny"}, "tiny", 2);
  refuses({"model", "import-gguf", "tiny/model.safetensors", "x"}, "model.safetensors");
}

TEST_F(BrokenInputs, IdsThatAreNone) {
  for (const std::string line : {"hello", "[1, -2]", "[1.5]", "{}", "[99999999999]", "[5000]"}) {
    const Outcome outcome = run_bobby(world_, {"tokenize", "--decode", "--model", "tiny"}, line);
    EXPECT_EQ(outcome.exit_code, 1) << line;
    EXPECT_NE(outcome.err.find("line 1 of the input"), std::string::npos) << outcome.err;
  }
}

}  // namespace
}  // namespace bobby::e2e
