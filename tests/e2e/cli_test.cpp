// Help, exit codes, suggestions, settings and output, without a model.

#include <chrono>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sstream>

#include "bobby_process.h"

namespace bobby::e2e {
namespace {

class Cli : public testing::Test {
 protected:
  Outcome run(const std::vector<std::string>& words, const std::string& input = {}) {
    return run_bobby(world_, words, input);
  }

  TemporaryFolder folder_;
  World world_{folder_.path()};
};

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

const std::vector<std::vector<std::string>> kCommands = {{"post"},
                                                         {"serve"},
                                                         {"model", "inspect"},
                                                         {"model", "verify"},
                                                         {"model", "import-gguf"},
                                                         {"model", "quantize"},
                                                         {"model", "synth"},
                                                         {"model", "logits"},
                                                         {"model", "fuse"},
                                                         {"adapter", "inspect"},
                                                         {"adapter", "fidelity"},
                                                         {"data", "import"},
                                                         {"data", "inspect"},
                                                         {"bot", "login"},
                                                         {"bot", "draft"},
                                                         {"bot", "review"},
                                                         {"bot", "approve"},
                                                         {"bot", "reject"},
                                                         {"bot", "post"},
                                                         {"bot", "run"},
                                                         {"bot", "status"},
                                                         {"tokenize"},
                                                         {"bench"},
                                                         {"config"},
                                                         {"completions"},
                                                         {"man"}};

TEST_F(Cli, EachCommandsHelpHasItsOptionsAndAnExample) {
  for (auto words : kCommands) {
    words.emplace_back("--help");
    const Outcome outcome = run(words);
    EXPECT_EQ(outcome.exit_code, 0) << words[0];
    EXPECT_EQ(outcome.err, "");
    const auto examples = outcome.out.find("\nExamples:\n");
    ASSERT_NE(examples, std::string::npos) << words[0];
    EXPECT_TRUE(has(outcome.out.substr(examples), "bobby " + words[0])) << words[0];
    for (const char* option : {"--model", "--adapter", "--device", "--threads", "--config",
                               "--json", "--verbose", "--quiet", "--offline"})
      EXPECT_TRUE(has(outcome.out, option)) << words[0] << " " << option;
  }
}

TEST_F(Cli, TheOverviewNamesWhatWorks) {
  const Outcome outcome = run({"--help"});
  EXPECT_EQ(outcome.exit_code, 0);
  for (const char* command : {"model quantize", "model fuse", "adapter export", "bot run"})
    EXPECT_TRUE(has(outcome.out, command)) << command;
}

TEST_F(Cli, WrongUsageEndsWithTwoAndNamesTheNearest) {
  const auto expect_usage = [&](const std::vector<std::string>& words, const std::string& part) {
    const Outcome outcome = run(words);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err.rfind("bobby: ", 0), 0u) << outcome.err;
    EXPECT_TRUE(has(outcome.err, part)) << outcome.err;
  };
  expect_usage({"pots"}, "did you mean post?");
  expect_usage({"model", "inspct"}, "did you mean model inspect?");
  expect_usage({"post", "--temprature", "1"}, "did you mean --temperature?");
  expect_usage({"post", "--temperature", "hot"}, "--temperature");
  expect_usage({"post", "--temperature"}, "--temperature");
  expect_usage({"post", "--seed", "1", "--seed", "2"}, "more than once");
  expect_usage({"post", "1", "two", "three"}, "three");
  expect_usage({"post", "x", "two"}, "COUNT");
  expect_usage({"model", "verify"}, "PATH");
  expect_usage({"-v", "config"}, "after it");
  expect_usage({"completions", "tcsh"}, "bash, zsh or fish");
  expect_usage({"bench", "--batch", "1,x"}, "--batch");
}

TEST_F(Cli, SettingsComeFromTheStrongestSource) {
  write_file(folder_.path() / "config/bobby/config.toml", "count = 2\ntop_k = 9\n");
  write_file(folder_.path() / "bobby.toml", "count = 3\n");
  const auto origin_of = [&](const Outcome& outcome, const std::string& name) {
    std::istringstream lines(outcome.out);
    for (std::string line; std::getline(lines, line);) {
      const auto object = nlohmann::json::parse(line);
      if (object["name"] == name)
        return object["value"].dump() + " " + object["origin"].get<std::string>();
    }
    return std::string("none");
  };
  EXPECT_EQ(origin_of(run({"config", "--json"}), "count"), "3 bobby.toml:1");
  EXPECT_EQ(origin_of(run({"config", "--json"}), "top_k"),
            "9 " + (folder_.path() / "config/bobby/config.toml").string() + ":2");
  world_.variables["BOBBY_COUNT"] = "4";
  EXPECT_EQ(origin_of(run({"config", "--json"}), "count"), "4 BOBBY_COUNT");
  EXPECT_EQ(origin_of(run({"config", "--json", "--count", "5"}), "count"), "5 --count");
  EXPECT_EQ(origin_of(run({"config", "--json"}), "temperature"), "0.7 default");
}

TEST_F(Cli, UnknownKeysAndVariablesAreErrors) {
  world_.variables["BOBBY_TEMPRATURE"] = "1";
  Outcome outcome = run({"config"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_TRUE(has(outcome.err, "did you mean BOBBY_TEMPERATURE?")) << outcome.err;
  world_.variables.clear();
  write_file(folder_.path() / "bobby.toml", "max_token = 3\n");
  outcome = run({"config"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_TRUE(has(outcome.err, "bobby.toml:1: key 'max_token'")) << outcome.err;
  EXPECT_TRUE(has(outcome.err, "did you mean max_tokens?")) << outcome.err;
}

TEST_F(Cli, ErrorsAreJsonWhenAskedFor) {
  const Outcome outcome = run({"post", "--json", "--top-p", "7"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.out, "");
  const auto error = nlohmann::json::parse(outcome.err)["error"];
  EXPECT_EQ(error["code"], "usage");
  EXPECT_EQ(error["where"], "--top-p");
  EXPECT_TRUE(has(error["message"], "0 to 1"));
}

TEST_F(Cli, AbsentBackendsSayHowToGetOn) {
  write_file(folder_.path() / "empty/config.json", "{}");
  std::vector<const char*> absent = {"cuda", "cuda:1"};
#ifndef BOBBY_MLX
  absent.insert(absent.end(), {"mlx", "mlx:cpu"});
#endif
  for (const char* device : absent) {
    const Outcome outcome = run({"bench", "--model", "empty", "--device", device});
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_TRUE(has(outcome.err, "--device cpu works everywhere")) << outcome.err;
    const bool mlx = std::string_view(device).starts_with("mlx");
    EXPECT_EQ(has(outcome.err, "docs/guides/apple-silicon.md"), mlx) << outcome.err;
  }
  const Outcome unknown = run({"bench", "--model", "empty", "--device", "cpuu"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_TRUE(has(unknown.err, "did you mean cpu?")) << unknown.err;
}

TEST_F(Cli, AMissingModelSaysWhatToDo) {
  const Outcome demo = run({"post"});
  EXPECT_EQ(demo.exit_code, 1);
  EXPECT_TRUE(has(demo.err, "make post")) << demo.err;
  const Outcome hub = run({"post", "--model", "Qwen/Qwen3-8B", "--offline"});
  EXPECT_EQ(hub.exit_code, 1);
  EXPECT_TRUE(has(hub.err, "Qwen/Qwen3-8B: is not in the cache")) << hub.err;
  EXPECT_TRUE(has(hub.err, "without --offline")) << hub.err;
}

TEST_F(Cli, NothingIsColouredOffATerminal) {
  world_.variables["TERM"] = "xterm-256color";
  const Outcome outcome = run({"pots"});
  EXPECT_EQ(outcome.err.find('\033'), std::string::npos);
}

TEST_F(Cli, TheReferenceInTheRepositoryIsThatOfTheTables) {
  const Outcome outcome = run({"man", "--format", "markdown"});
  ASSERT_EQ(outcome.exit_code, 0);
  EXPECT_TRUE(outcome.out ==
              read_file(std::filesystem::path(BOBBY_SOURCE_DIR) / "docs/guides/commands.md"))
      << "make it anew: bobby man --format markdown > docs/guides/commands.md";
}

TEST_F(Cli, CompletionsAndManPagesHoldEveryOption) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const Outcome outcome = run({"completions", shell});
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_TRUE(has(outcome.out, "temperature")) << shell;
    EXPECT_TRUE(has(outcome.out, "import-gguf")) << shell;
    EXPECT_TRUE(has(outcome.out, "avx512-vnni")) << shell;
  }
  const Outcome page = run({"man", "model", "quantize"});
  EXPECT_EQ(page.exit_code, 0);
  EXPECT_TRUE(has(page.out, "group\\-size")) << page.out;
  write_file(folder_.path() / "bobby.bash", run({"completions", "bash"}).out);
  EXPECT_EQ(std::system(("bash -n " + (folder_.path() / "bobby.bash").string()).c_str()), 0);
}

TEST_F(Cli, AFullDiskIsReported) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  const std::string command = "cd '" + folder_.path().string() + "' && env -i HOME=. '" +
                              BOBBY_BINARY_FILE + "' --help > /dev/full 2> err";
  const int status = std::system(command.c_str());
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_TRUE(has(read_file(folder_.path() / "err"), "stdout: cannot be written"));
}

TEST_F(Cli, AReaderThatLeavesEndsItQuietly) {
  const std::string command = "cd '" + folder_.path().string() + "' && { env -i HOME=. '" +
                              BOBBY_BINARY_FILE +
                              "' man --format markdown 2> err; echo $? > code; } | true";
  ASSERT_EQ(std::system(command.c_str()), 0);
  EXPECT_EQ(read_file(folder_.path() / "err"), "");
}

}  // namespace
}  // namespace bobby::e2e
