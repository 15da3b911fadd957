// The reference is checked against numbers worked out by hand and against identities, so that it
// can be the definition for the others.

#include "backends/reference/reference.h"

#include <numbers>

#include "backend_fixture.h"

namespace bobby {
namespace {

using namespace test;

class ReferenceTest : public testing::Test {
 protected:
  std::unique_ptr<Weight> load(const WeightBytes& bytes) {
    return backend_->load_weight(bytes.view()).value();
  }
  std::unique_ptr<LoraWeight> load(const LoraView& view) {
    return backend_->load_lora(view).value();
  }
  Tensor tensor(std::int64_t rows, std::int64_t cols) { return {*backend_, rows, cols}; }
  Tensor tensor(std::int64_t rows, std::int64_t cols, const std::vector<float>& values) {
    return {*backend_, rows, cols, values};
  }
  std::vector<float> values(const Tensor& tensor) { return tensor.values(*backend_); }

  std::unique_ptr<Backend> backend_ = make_reference_backend();
  Random random_{1};
};

#if defined(__SANITIZE_ADDRESS__)
// TooMuchMemory: a request no machine can meet must come back as null, as it does without ASan.
extern "C" const char* __asan_default_options() {
  return "allocator_may_return_null=1";
}
#endif

const WeightFormat kF32 = dense(DType::kF32);

TEST_F(ReferenceTest, SupportsEveryFormatAndNamesTheOthers) {
  for (const WeightFormat& format : all_formats())
    EXPECT_TRUE(backend_->supports(format)) << format.to_string();
  for (const WeightFormat& format : {affine(7, 64), affine(4, 16), affine(0, 64),
                                     dense(DType::kI32), affine(4, 64, DType::kU8)}) {
    const auto answer = backend_->supports(format);
    ASSERT_FALSE(answer) << format.to_string();
    EXPECT_EQ(answer.error().code, ErrorCode::kUnsupported);
    EXPECT_FALSE(answer.error().to_string().empty());
  }
}

TEST_F(ReferenceTest, BuffersAreAlignedAndZeroed) {
  const auto buffer = backend_->allocate(1000).value();
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer->data()) % 64, 0u);
  EXPECT_EQ(buffer->size(), 1000u);
  const auto* bytes = static_cast<const char*>(buffer->data());
  EXPECT_TRUE(std::all_of(bytes, bytes + 1000, [](char c) { return c == 0; }));
  EXPECT_TRUE(backend_->allocate(0));
}

TEST_F(ReferenceTest, TooMuchMemoryIsAnError) {
  const auto buffer = backend_->allocate(std::numeric_limits<std::size_t>::max() / 4);
  ASSERT_FALSE(buffer);
  EXPECT_EQ(buffer.error().code, ErrorCode::kLimit);
  const auto kv = backend_->allocate_kv({.layers = 1 << 20,
                                         .num_key_value_heads = 1 << 10,
                                         .head_dim = 128,
                                         .block_tokens = 32,
                                         .blocks = 1 << 10});
  ASSERT_FALSE(kv);
  EXPECT_EQ(kv.error().code, ErrorCode::kLimit);
}

TEST_F(ReferenceTest, LinearByHand) {
  const WeightBytes w(kF32, 2, 3, {1, 2, 3, -1, 0, 0.5f});
  const WeightBytes bias(kF32, 1, 2, {10, 20});
  const auto weight = load(w);
  const auto bias_weight = load(bias);
  const Tensor x = tensor(2, 3, {1, 1, 1, 2, -4, 8});
  const Tensor out = tensor(2, 2);
  const Projection plain[] = {{.weight = weight.get(), .out = out}};
  backend_->linear(x, plain);
  EXPECT_EQ(values(out), (std::vector<float>{6, -0.5f, 18, 2}));
  const Projection biased[] = {{.weight = weight.get(), .bias = bias_weight.get(), .out = out}};
  backend_->linear(x, biased);
  EXPECT_EQ(values(out), (std::vector<float>{16, 19.5f, 28, 22}));
}

TEST_F(ReferenceTest, LinearSeesTheDequantisedWeightInEveryFormat) {
  for (const WeightFormat& format : all_formats()) {
    SCOPED_TRACE(format.to_string());
    const WeightBytes w(format, 3, 256, random_, 1);
    const auto weight = load(w);
    std::vector<float> one_hot(256, 0.0f);
    one_hot[77] = 1.0f;
    const Tensor out = tensor(1, 3);
    const Projection projections[] = {{.weight = weight.get(), .out = out}};
    backend_->linear(tensor(1, 256, one_hot), projections);
    for (std::int64_t row = 0; row < 3; ++row) {
      std::vector<float> dequantised(256);
      dequantize_row(w.view(), row, dequantised.data());
      EXPECT_EQ(values(out)[static_cast<std::size_t>(row)], dequantised[77]);
    }
  }
}

TEST_F(ReferenceTest, LoraRowsAreSummedAndOthersUntouched) {
  const WeightBytes w(kF32, 2, 2, {1, 0, 0, 1});
  const auto weight = load(w);
  // B(Ax) with A = [1 1], B = [1; 2]: (x0 + x1) * (1, 2).
  const float a[] = {1, 1};
  const float b[] = {1, 2};
  const auto lora = load(LoraView{"lora", 1, 2, 2, a, b, nullptr});
  const LoraRows rows[] = {{.row_begin = 1, .row_count = 2, .lora = lora.get(), .scale = 2.0f},
                           {.row_begin = 2, .row_count = 1, .lora = lora.get(), .scale = 0.5f}};
  const Tensor out = tensor(3, 2);
  const Projection projections[] = {{.weight = weight.get(), .lora = rows, .out = out}};
  backend_->linear(tensor(3, 2, {1, 2, 1, 2, 1, 2}), projections);
  EXPECT_EQ(values(out), (std::vector<float>{1, 2, 1 + 6, 2 + 12, 1 + 7.5f, 2 + 15}));
}

TEST_F(ReferenceTest, DoraScalesTheProductButNotTheBias) {
  const WeightBytes w(kF32, 2, 1, {3, 5});
  const WeightBytes bias(kF32, 1, 2, {100, 200});
  const auto weight = load(w);
  const auto bias_weight = load(bias);
  const float a[] = {1};
  const float b[] = {1, -1};
  const float multiplier[] = {2, 0.5f};
  const auto lora = load(LoraView{"lora", 1, 1, 2, a, b, multiplier});
  const LoraRows rows[] = {{.row_begin = 0, .row_count = 1, .lora = lora.get(), .scale = 4.0f}};
  const Tensor out = tensor(1, 2);
  const Projection projections[] = {
      {.weight = weight.get(), .bias = bias_weight.get(), .lora = rows, .out = out}};
  backend_->linear(tensor(1, 1, {1}), projections);
  // multiplier * (y + scale * B(Ax)) + bias
  EXPECT_EQ(values(out), (std::vector<float>{2 * (3 + 4) + 100, 0.5f * (5 - 4) + 200}));
}

TEST_F(ReferenceTest, EmbedTakesTheTokensRowAndLoraColumn) {
  const WeightBytes w(kF32, 3, 2, {1, 2, 3, 4, 5, 6});
  const auto table = load(w);
  const float a[] = {10, 20, 30, 1, 2, 3};  // [rank 2, vocab 3]
  const float b[] = {1, 0, 0, 1};           // [hidden 2, rank 2]
  const auto lora = load(LoraView{"lora", 2, 3, 2, a, b, nullptr});
  const LoraRows rows[] = {{.row_begin = 1, .row_count = 1, .lora = lora.get(), .scale = 0.5f}};
  const std::int32_t tokens[] = {2, 2, 0};
  const Tensor out = tensor(3, 2);
  backend_->embed(*table, tokens, rows, out);
  EXPECT_EQ(values(out), (std::vector<float>{5, 6, 5 + 15, 6 + 1.5f, 1, 2}));
}

TEST_F(ReferenceTest, RmsNormByHandAndInPlace) {
  const WeightBytes w(kF32, 1, 2, {1, 10});
  const auto weight = load(w);
  const Tensor x = tensor(2, 2, {3, 4, 0, 0});
  backend_->rms_norm(x, *weight, 0.0f, tensor(2, 2));
  backend_->rms_norm(x, *weight, 1e-6f, x);
  const double factor = 1 / std::sqrt(12.5 + 1e-6);
  EXPECT_NEAR(values(x)[0], 3 * factor, 1e-6);
  EXPECT_NEAR(values(x)[1], 40 * factor, 1e-5);
  EXPECT_EQ(values(x)[2], 0.0f);  // eps keeps a row of zeros from 0/0
}

TEST_F(ReferenceTest, ElementwiseByHand) {
  const Tensor gate = tensor(1, 4, {0, 1, -100, 100});
  const Tensor up = tensor(1, 4, {5, 2, 3, 2});
  const Tensor out = tensor(1, 4);
  backend_->swiglu(gate, up, out);
  EXPECT_EQ(values(out)[0], 0.0f);
  EXPECT_NEAR(values(out)[1], 2 * 0.7310585786300049, 2e-7);
  EXPECT_NEAR(values(out)[2], 0.0, 1e-40);
  EXPECT_EQ(values(out)[3], 200.0f);
  backend_->add(gate, up);
  EXPECT_EQ(values(gate), (std::vector<float>{5, 3, -97, 102}));
  const std::int32_t rows[] = {2, 0, 2};
  const Tensor selected = tensor(3, 1);
  backend_->select_rows(tensor(3, 1, {7, 8, 9}), rows, selected);
  EXPECT_EQ(values(selected), (std::vector<float>{9, 7, 9}));
}

/// One head of 4 dimensions over blocks of 2 tokens.
class ReferenceAttentionTest : public ReferenceTest {
 protected:
  void store(const std::vector<float>& k, const std::vector<float>& v, std::int64_t position,
             std::span<const std::int32_t> blocks, const Tensor& q) {
    const auto rows = static_cast<std::int64_t>(k.size()) / 4;
    const SequenceRows sequences[] = {{0, rows, position, blocks}};
    const Tensor keys = tensor(rows, 4, k);
    backend_->rope_and_store({.q = q,
                              .k = keys,
                              .v = tensor(rows, 4, v),
                              .inv_freq = inv_freq_.get(),
                              .sequences = sequences,
                              .kv = kv_.get()});
    rotated_ = values(keys);
  }

  // Quarter turns a position for the first pair, none for the second.
  WeightBytes inv_freq_bytes_{kF32, 1, 2, {std::numbers::pi_v<float> / 2, 0.0f}};
  std::unique_ptr<Weight> inv_freq_ = load(inv_freq_bytes_);
  std::unique_ptr<KvStorage> kv_ = backend_
                                       ->allocate_kv({.layers = 1,
                                                      .num_key_value_heads = 1,
                                                      .head_dim = 4,
                                                      .block_tokens = 2,
                                                      .blocks = 3,
                                                      .format = KvFormat::kF16})
                                       .value();
  std::vector<float> rotated_;
};

TEST_F(ReferenceAttentionTest, RotatesPairsHalfAHeadApart) {
  const std::int32_t blocks[] = {2, 0};
  const Tensor q = tensor(3, 4, {1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4});
  store(values(q), std::vector<float>(12, 0.0f), 0, blocks, q);
  const std::vector<float> expected = {1, 2, 3, 4, -3, 2, 1, 4, -1, 2, -3, 4};
  expect_near_each(rotated_, expected, std::vector<double>(12, 1e-6));
  expect_near_each(values(q), expected, std::vector<double>(12, 1e-6));
}

TEST_F(ReferenceAttentionTest, SoftmaxWeighsValuesCausally) {
  const std::int32_t blocks[] = {1, 0};
  // Keys turn with their position; a query of zeros weighs all alike, whatever they are.
  const Tensor zero = tensor(3, 4);
  store(std::vector<float>(12, 1.0f), {1, 0, 0, 8, 3, 0, 0, 8, 5, 1e9f, -1e9f, 8}, 0, blocks, zero);
  const Tensor out = tensor(3, 4);
  const SequenceRows sequences[] = {{0, 3, 0, blocks}};
  backend_->attention(
      {.q = zero, .out = out, .scale = 1.0f, .sequences = sequences, .kv = kv_.get()});
  const std::vector<float> got = values(out);
  EXPECT_EQ(rows_of(got, 4, 0, 1), (std::vector<float>{1, 0, 0, 8}));
  EXPECT_EQ(rows_of(got, 4, 1, 1), (std::vector<float>{2, 0, 0, 8}));
  // fp16 values saturate instead of becoming infinite.
  EXPECT_FLOAT_EQ(got[8], 3.0f);
  EXPECT_FLOAT_EQ(got[9], 65504.0f / 3);
  EXPECT_FLOAT_EQ(got[10], -65504.0f / 3);
}

TEST_F(ReferenceAttentionTest, ScoresAreScaledAndLargeOnesDoNotOverflow) {
  const std::int32_t blocks[] = {1};
  const Tensor q = tensor(2, 4);
  store({0, 0, 0, 0, 0, 100, 0, 0}, {1, 0, 0, 0, 2, 0, 0, 0}, 0, blocks, q);
  const SequenceRows sequences[] = {{0, 1, 1, blocks}};
  const Tensor out = tensor(1, 4);
  const Tensor query = tensor(1, 4, {0, 100, 0, 0});
  backend_->attention(
      {.q = query, .out = out, .scale = 1.0f, .sequences = sequences, .kv = kv_.get()});
  EXPECT_EQ(values(out)[0], 2.0f);
  backend_->attention(
      {.q = query, .out = out, .scale = 1e-4f, .sequences = sequences, .kv = kv_.get()});
  EXPECT_NEAR(values(out)[0], 1 + 1 / (1 + std::exp(-1.0)), 1e-6);
}

}  // namespace
}  // namespace bobby
