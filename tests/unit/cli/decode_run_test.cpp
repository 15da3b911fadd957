#include "cli/decode_run.h"

#include <gtest/gtest.h>

#include "backends/reference/reference.h"
#include "lora/adapter.h"
#include "parity/models/model_runner.h"

namespace bobby::cli {
namespace {

using testing::Tokens;
using testing::value_of;

// A prompt that ends inside a block, computed once for the rows with the same adapters, gives every
// row what it gets from one of its own.
TEST(DecodeRun, ASharedPromptChangesNoLogits) {
  const auto folder =
      std::filesystem::path(BOBBY_SOURCE_DIR) / "tests/parity/models/qwen3-4bit-g32";
  const auto backend = make_reference_backend();
  const auto model = value_of(Model::load(folder / "model", *backend));
  const auto adapter = value_of(model->attach(
      std::make_shared<const Adapter>(value_of(load_adapter(folder / "adapters/mlx-all")))));
  const std::vector<AdapterUse> uses = {{adapter, 1.0f}};
  const std::vector<std::span<const AdapterUse>> rows = {{}, uses, {}, uses, {}};

  Tokens prompt;
  for (std::int32_t i = 0; i < 40; ++i) prompt.push_back((7 * i + 3) % 90);
  const DecodeRun::Room room{.max_tokens = 45, .kv_format = KvFormat::kF32};
  DecodeRun::Room shared_room = room;
  shared_room.shared_tokens = 40;
  DecodeRun apart = value_of(DecodeRun::make(*model, room, rows));
  DecodeRun shared = value_of(DecodeRun::make(*model, shared_room, rows));
  EXPECT_EQ(apart.computing().size(), 5u);
  EXPECT_EQ(std::vector<std::size_t>(shared.computing().begin(), shared.computing().end()),
            (std::vector<std::size_t>{0, 1}));
  EXPECT_LT(shared.kv().shape().blocks, apart.kv().shape().blocks);

  const auto step = [&](DecodeRun& run, const std::vector<Tokens>& tokens) {
    const Activation logits = value_of(run.advance(tokens, LogitsRows::kLast));
    std::vector<float> host(static_cast<std::size_t>(logits.rows * logits.cols));
    value_of(backend->copy_out(logits, host));
    return host;
  };
  const Tokens begin(prompt.begin(), prompt.begin() + 16), end(prompt.begin() + 16, prompt.end());
  step(apart, std::vector(5, begin));
  step(apart, std::vector(5, end));
  step(shared, std::vector(2, begin));
  step(shared, std::vector(2, end));
  EXPECT_EQ(shared.computing().size(), 5u);
  for (std::int32_t i = 0; i < 5; ++i) {
    const std::vector<Tokens> next = {{i}, {i + 1}, {i + 2}, {i + 3}, {i + 4}};
    const auto logits = step(shared, next);
    EXPECT_EQ(logits, step(apart, next)) << i;
    const auto cols = logits.size() / 5;
    EXPECT_NE(std::vector(logits.begin(), logits.begin() + static_cast<std::ptrdiff_t>(cols)),
              std::vector(logits.begin() + static_cast<std::ptrdiff_t>(cols),
                          logits.begin() + static_cast<std::ptrdiff_t>(2 * cols)));
  }
}

}  // namespace
}  // namespace bobby::cli
