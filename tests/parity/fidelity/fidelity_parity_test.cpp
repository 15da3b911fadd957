// fidelity::measure against numpy's numbers on a tiny model; see tools/oracle/fuse.py.

#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "backends/cpu/cpu.h"
#include "fidelity/html_report.h"
#include "fidelity/json_report.h"
#include "fidelity/measure.h"
#include "fidelity/text_report.h"

namespace bobby::fidelity {
namespace {

namespace fs = std::filesystem;

const fs::path kFolder = BOBBY_SOURCE_DIR "/tests/parity/models/qwen3-4bit-g32";

struct Run {
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Model> model;
  std::shared_ptr<const Adapter> adapter;
  Report report;
};

nlohmann::json golden() {
  return nlohmann::json::parse(
      std::ifstream(BOBBY_SOURCE_DIR "/tests/parity/fidelity/golden/fidelity.json"));
}

std::vector<Sequence> sequences_of(const nlohmann::json& golden) {
  std::vector<Sequence> sequences;
  for (const auto& sequence : golden.at("sequences"))
    sequences.push_back({sequence.at("tokens"), sequence.at("begin")});
  return sequences;
}

Report run(const std::string& name, std::vector<Sequence> sequences, int threads) {
  auto backend = make_cpu_backend({.threads = threads});
  EXPECT_TRUE(backend);
  const fs::path folder = kFolder / "model";
  auto model = Model::load(folder, **backend);
  EXPECT_TRUE(model);
  auto adapter = load_adapter(kFolder / "adapters" / name);
  EXPECT_TRUE(adapter);
  const auto shared = std::make_shared<const Adapter>(*adapter);
  auto attached = (*model)->attach(shared);
  EXPECT_TRUE(attached) << attached.error().to_string();
  const Subject subject{.model_folder = folder,
                        .adapter = *shared,
                        .host = **backend,
                        .runtime = model->get(),
                        .attached = *attached,
                        .sequences = std::move(sequences)};
  auto report = measure(
      subject, {.rounding = Rounding::kCpu, .kv_format = KvFormat::kF32, .threads = threads});
  EXPECT_TRUE(report) << report.error().to_string();
  return *report;
}

TEST(FidelityParity, NumbersAreNumpys) {
  const auto expected = golden();
  const Report report = run("mlx-all", sequences_of(expected), 2);
  ASSERT_EQ(report.reference.size(), expected.at("positions"));
  // The reference itself is in fp32 on both sides, its sums in another order.
  EXPECT_NEAR(report.reference_perplexity() / expected.at("perplexity").get<double>(), 1.0, 1e-5);
  for (const auto& [name, numbers] : expected.at("ways").items()) {
    SCOPED_TRACE(name);
    const auto way = std::ranges::find_if(
        report.ways, [&](const WayResult& result) { return way_name(result.way) == name; });
    ASSERT_NE(way, report.ways.end());
    const WayNumbers found = numbers_of(*way, report.reference);
    // A weight that lies on a rounding boundary falls otherwise after fp32 than after double.
    EXPECT_NEAR(found.mean_divergence / numbers.at("mean_kl").get<double>(), 1.0, 0.02);
    EXPECT_NEAR(found.perplexity / numbers.at("perplexity").get<double>(), 1.0, 1e-3);
    EXPECT_NEAR(static_cast<double>(found.top_differs), numbers.at("top1_differs"), 1.0);
  }
  const WayNumbers runtime = numbers_of(*report.find(Way::kRuntime), report.reference);
  EXPECT_EQ(runtime.top_differs, 0);
  EXPECT_LT(runtime.mean_divergence, 1e-5);
}

TEST(FidelityParity, WhatIsLeftOfEachModuleIsNumpys) {
  const auto expected = golden().at("modules");
  const Report report = run("mlx-all", sequences_of(golden()), 1);
  ASSERT_EQ(report.modules.size(), expected.size());
  for (const ModuleKept& module : report.modules) {
    SCOPED_TRACE(module.path);
    const auto& numbers = expected.at(module.path);
    EXPECT_NEAR(module.fused.relative_size(), numbers.at("relative_size"), 1e-5);
    EXPECT_NEAR(module.fused.kept(), numbers.at("fused").at("kept"), 1e-4);
    EXPECT_NEAR(module.fused.lost(), numbers.at("fused").at("noise"), 1e-4);
    EXPECT_NEAR(module.requantized.kept(), numbers.at("requantized").at("kept"), 5e-3);
    EXPECT_NEAR(module.requantized.lost(), numbers.at("requantized").at("noise"), 5e-3);
  }
}

TEST(FidelityParity, ThreadsAndBatchesChangeNothing) {
  std::vector<Sequence> sequences = sequences_of(golden());
  const Report one = run("mlx-all", sequences, 1);
  const Report two = run("mlx-all", sequences, 2);
  for (std::size_t way = 0; way < kWays; ++way)
    for (std::size_t i = 0; i < one.reference.size(); ++i)
      ASSERT_EQ(one.ways[way].rows[i].divergence, two.ways[way].rows[i].divergence);
  const std::vector<Sequence> first(sequences.begin(), sequences.begin() + 1);
  const Report alone = run("mlx-all", first, 2);
  for (std::size_t i = 0; i < alone.reference.size(); ++i)
    ASSERT_EQ(alone.ways[0].rows[i].loss, one.ways[0].rows[i].loss);
}

TEST(FidelityParity, DoraRunsInEveryWay) {
  const Report report = run("mlx-dora", sequences_of(golden()), 2);
  const WayNumbers runtime = numbers_of(*report.find(Way::kRuntime), report.reference);
  const WayNumbers fused = numbers_of(*report.find(Way::kFused), report.reference);
  const WayNumbers none = numbers_of(*report.find(Way::kNoAdapter), report.reference);
  EXPECT_LT(runtime.mean_divergence, 1e-5);
  EXPECT_LT(fused.mean_divergence, 1e-3);
  EXPECT_GT(none.mean_divergence, 10 * fused.mean_divergence);
}

TEST(FidelityParity, WithoutTextsTheWeightsAloneAreLookedAt) {
  const Report with = run("mlx-all", sequences_of(golden()), 2);
  const Report report = run("mlx-all", {}, 2);
  EXPECT_TRUE(report.reference.empty());
  ASSERT_EQ(report.modules.size(), with.modules.size());
  for (std::size_t i = 0; i < report.modules.size(); ++i) {
    EXPECT_EQ(report.modules[i].requantized.lost(), with.modules[i].requantized.lost());
    EXPECT_EQ(report.modules[i].fused.kept(), with.modules[i].fused.kept());
  }
}

TEST(FidelityParity, AnAdaptedEmbeddingIsRefusedByName) {
  auto backend = make_cpu_backend({.threads = 1});
  ASSERT_TRUE(backend);
  const auto adapter = load_adapter(kFolder / "adapters/mlx-head");
  ASSERT_TRUE(adapter);
  const fs::path folder = kFolder / "model";
  const auto report = measure({.model_folder = folder, .adapter = *adapter, .host = **backend}, {});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(report.error().to_string().find("model.embed_tokens"), std::string::npos);
}

TEST(FidelityReports, SayTheSameInEveryForm) {
  Report report = run("mlx-all", sequences_of(golden()), 2);
  report.adapter = "<b>mine</b>";
  report.model = "tiny";
  report.data = "valid.jsonl";
  const std::string page = html_report(report);
  EXPECT_EQ(page.find("<b>mine"), std::string::npos);
  EXPECT_NE(page.find("&lt;b&gt;mine"), std::string::npos);
  EXPECT_EQ(page.find("<script"), std::string::npos);
  const auto json = json_report(report);
  EXPECT_EQ(json.at("modules").size(), 14u);
  EXPECT_EQ(json.at("ways").size(), kWays);
  const std::string text = text_report(report);
  for (const WayLine& line : way_lines(report)) {
    EXPECT_NE(text.find(line.name), std::string::npos);
    EXPECT_NE(page.find(line.perplexity), std::string::npos);
  }
  EXPECT_TRUE(voice_lost({.wanted_squares = 1, .product = 0.4, .error_squares = 0.5}));
  EXPECT_TRUE(voice_lost({.wanted_squares = 1, .product = 1, .error_squares = 0.9}));
  EXPECT_FALSE(voice_lost({.wanted_squares = 1, .product = 1, .error_squares = 0.7}));
}

}  // namespace
}  // namespace bobby::fidelity
