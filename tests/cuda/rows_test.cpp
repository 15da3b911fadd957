// Many rows of x: a row's bits are those of the row alone for any number of rows of decode, and a
// prompt's rows depend on nothing but their own prompt.

#include "cuda/cuda_fixture.h"

namespace bobby::test {
namespace {

class CudaRows : public CudaFixture {
 protected:
  struct Loaded {
    std::vector<std::unique_ptr<WeightBytes>> bytes;
    std::vector<std::unique_ptr<Weight>> weights;
  };
  /// Matrices that share x, of `rows` rows each.
  Loaded load(std::initializer_list<std::int64_t> rows, std::int64_t cols, DType dtype) {
    Loaded loaded;
    for (const std::int64_t count : rows) {
      loaded.bytes.push_back(
          std::make_unique<WeightBytes>(affine(4, 64, dtype), count, cols, random_));
      loaded.weights.push_back(cuda_->load_weight(loaded.bytes.back()->view()).value());
    }
    return loaded;
  }
  /// Outputs of all matrices, one after the other, for rows [begin, begin + rows) of x.
  std::vector<std::vector<float>> products(const Loaded& loaded, const std::vector<float>& x,
                                           std::int64_t begin, std::int64_t rows) {
    const std::int64_t cols = loaded.weights.front()->cols();
    const DeviceTensor in(*cuda_, rows, cols, rows_of(x, cols, begin, rows));
    std::vector<DeviceTensor> outs;
    for (const auto& weight : loaded.weights)
      outs.emplace_back(*cuda_, rows, weight->rows(),
                        std::vector<float>(static_cast<std::size_t>(rows * weight->rows()),
                                           std::numeric_limits<float>::quiet_NaN()));
    std::vector<Projection> projections;
    for (std::size_t i = 0; i < outs.size(); ++i)
      projections.push_back({.weight = loaded.weights[i].get(), .out = outs[i]});
    cuda_->linear(in, projections);
    std::vector<std::vector<float>> values;
    for (const DeviceTensor& out : outs) values.push_back(out.values(*cuda_));
    return values;
  }
  /// Rows [begin, begin + rows) of `found` are the rows of `expected` from `expected_begin` on.
  static void expect_rows(const Loaded& loaded, const std::vector<std::vector<float>>& found,
                          std::int64_t begin, const std::vector<std::vector<float>>& expected,
                          std::int64_t expected_begin, std::int64_t rows) {
    for (std::size_t i = 0; i < found.size(); ++i) {
      const std::int64_t width = loaded.weights[i]->rows();
      expect_same_bits(rows_of(found[i], width, begin, rows),
                       rows_of(expected[i], width, expected_begin, rows));
    }
  }
};

// Blocks of eight tiles that lie in two matrices, blocks with fewer, K in whole parts and not, and
// enough tiles that some are cut and some are not.
TEST_F(CudaRows, AnyNumberGivesTheBitsOfEightAtATime) {
  struct Shape {
    std::initializer_list<std::int64_t> rows;
    std::int64_t cols;
    DType dtype;
  };
  for (const Shape& shape :
       {Shape{{48, 208, 16}, 576, DType::kBF16}, Shape{{16}, 64, DType::kF16},
        Shape{{1024, 256, 256}, 4096, DType::kF16}, Shape{{640}, 12288, DType::kBF16},
        Shape{{20480}, 320, DType::kBF16}}) {
    const Loaded loaded = load(shape.rows, shape.cols, shape.dtype);
    const auto x = random_.activations(64 * shape.cols);
    std::vector<std::vector<float>> expected(loaded.weights.size());
    for (std::int64_t begin = 0; begin < 64; begin += 8) {
      const auto some = products(loaded, x, begin, 8);
      for (std::size_t i = 0; i < some.size(); ++i)
        expected[i].insert(expected[i].end(), some[i].begin(), some[i].end());
    }
    for (const std::int64_t rows : {9, 10, 16, 17, 32, 33, 64}) {
      expect_rows(loaded, products(loaded, x, 0, rows), 0, expected, 0, rows);
      if (HasFailure()) FAIL() << shape.cols << " columns, " << rows << " rows";
    }
  }
}

TEST_F(CudaRows, APromptsRowsAreWithinTheirError) {
  for (const DType dtype : {DType::kBF16, DType::kF16})
    for (const std::int64_t cols : {64, 576, 4096}) {
      const Loaded loaded = load({176}, cols, dtype);
      constexpr std::int64_t kRows = 600;
      auto x = random_.activations(kRows * cols);
      for (std::int64_t i = 0; i < cols; ++i) {  // rows of any size, and of nothing
        x[static_cast<std::size_t>(3 * cols + i)] *= 1e-12f;
        x[static_cast<std::size_t>(4 * cols + i)] *= 1e12f;
        x[static_cast<std::size_t>(5 * cols + i)] = 0.0f;
      }
      const SequenceRows prompt{.row_begin = 0, .row_count = kRows, .blocks = {}};
      cuda_->begin_step({&prompt, 1});
      const auto found = products(loaded, x, 0, kRows).front();
      const auto weight = reference_->load_weight(loaded.bytes.front()->view()).value();
      std::vector<float> expected(static_cast<std::size_t>(kRows * 176));
      Activation in{x.data(), kRows, cols};
      const Projection projection{.weight = weight.get(), .out = {expected.data(), kRows, 176}};
      reference_->linear(in, {&projection, 1});
      for (std::int64_t row = 0; row < kRows; ++row) {
        double error = 0, size = 0;
        for (std::int64_t n = 0; n < 176; ++n) {
          const auto at = static_cast<std::size_t>(row * 176 + n);
          error += std::pow(static_cast<double>(found[at]) - expected[at], 2);
          size += std::pow(static_cast<double>(expected[at]), 2);
        }
        // A number's rounding is 2^-12 of it at most; sums of many are far below.
        ASSERT_LE(std::sqrt(error), 0x1p-11 * std::sqrt(size)) << cols << " columns, row " << row;
      }
    }
}

TEST_F(CudaRows, APromptsBitsAreItsOwn) {
  const Loaded loaded = load({144, 64}, 4096, DType::kBF16);
  const auto x = random_.activations(430 * 4096);
  const SequenceRows alone{.row_begin = 0, .row_count = 200, .blocks = {}};
  cuda_->begin_step({&alone, 1});
  const auto expected = products(loaded, x, 0, 200);
  cuda_->begin_step({});
  const auto decode = products(loaded, x, 200, 30);
  // Decode rows before, a short sequence, the prompt, and another prompt.
  std::vector<float> mixed = rows_of(x, 4096, 200, 30);
  mixed.insert(mixed.end(), x.begin(), x.begin() + 200 * 4096);
  mixed.insert(mixed.end(), x.begin() + 230 * 4096, x.end());
  const SequenceRows step[] = {{.row_begin = 0, .row_count = 1, .blocks = {}},
                               {.row_begin = 1, .row_count = 29, .blocks = {}},
                               {.row_begin = 30, .row_count = 200, .blocks = {}},
                               {.row_begin = 230, .row_count = 200, .blocks = {}}};
  cuda_->begin_step(step);
  const auto found = products(loaded, mixed, 0, 430);
  expect_rows(loaded, found, 30, expected, 0, 200);
  expect_rows(loaded, found, 0, decode, 0, 30);
}

TEST_F(CudaRows, WhatIsNotFiniteStaysInItsRow) {
  const Loaded loaded = load({48}, 576, DType::kBF16);
  auto x = random_.activations(200 * 576);
  const SequenceRows prompt{.row_begin = 0, .row_count = 200, .blocks = {}};
  for (const bool hinted : {false, true}) {
    if (hinted) cuda_->begin_step({&prompt, 1});
    x[70 * 576 + 5] = 1.0f;
    const auto expected = products(loaded, x, 0, 200);
    x[70 * 576 + 5] = std::numeric_limits<float>::infinity();
    const auto found = products(loaded, x, 0, 200);
    expect_rows(loaded, found, 0, expected, 0, 70);
    expect_rows(loaded, found, 71, expected, 71, 129);
    for (std::int64_t n = 0; n < 48; ++n)
      EXPECT_TRUE(std::isnan(found[0][static_cast<std::size_t>(70 * 48 + n)]));
  }
}

// Adapters of ranks that are a multiple of four and not, DoRA, on rows of decode and of prompts,
// and more of them on one row than a block notes.
TEST_F(CudaRows, AdaptersOfPromptsAndOfDecodeInOneStep) {
  constexpr std::int64_t kCols = 576, kOut = 144, kRows = 430;
  const Loaded loaded = load({kOut}, kCols, DType::kBF16);
  const auto x = random_.activations(kRows * kCols);
  const SequenceRows step[] = {{.row_begin = 0, .row_count = 1, .blocks = {}},
                               {.row_begin = 1, .row_count = 29, .blocks = {}},
                               {.row_begin = 30, .row_count = 200, .blocks = {}},
                               {.row_begin = 230, .row_count = 200, .blocks = {}}};
  std::vector<std::unique_ptr<LoraBytes>> bytes;
  for (const std::int64_t rank : {8, 3, 20})
    bytes.push_back(std::make_unique<LoraBytes>(rank, kCols, kOut, random_, rank == 20));
  const auto run = [&](Backend& backend, Activation in, Activation out) {
    const auto weight = backend.load_weight(loaded.bytes.front()->view()).value();
    std::vector<std::unique_ptr<LoraWeight>> loras;
    for (const auto& one : bytes) loras.push_back(backend.load_lora(one->view()).value());
    std::vector<LoraRows> rows = {{0, 25, loras[0].get(), 2.0f},
                                  {10, 250, loras[1].get(), 0.5f},
                                  {260, 170, loras[0].get(), 1.0f},
                                  {300, 100, loras[2].get(), 1.5f}};
    for (int i = 0; i < 90; ++i) rows.push_back({40, 1, loras[1].get(), 0.01f});
    const Projection projection{.weight = weight.get(), .lora = rows, .out = out};
    backend.begin_step(step);
    backend.linear(in, {&projection, 1});
    EXPECT_TRUE(backend.sync());
  };
  const DeviceTensor in(*cuda_, kRows, kCols, x), out(*cuda_, kRows, kOut);
  run(*cuda_, in, out);
  const auto found = out.values(*cuda_);
  std::vector<float> expected(found.size()), copy = x;
  run(*reference_, {copy.data(), kRows, kCols}, {expected.data(), kRows, kOut});
  for (std::int64_t row = 0; row < kRows; ++row) {
    double error = 0, size = 0;
    for (std::int64_t n = 0; n < kOut; ++n) {
      const auto at = static_cast<std::size_t>(row * kOut + n);
      error += std::pow(static_cast<double>(found[at]) - expected[at], 2);
      size += std::pow(static_cast<double>(expected[at]), 2);
    }
    ASSERT_LE(std::sqrt(error), 0x1p-11 * std::sqrt(size)) << "row " << row;
  }
}

// swiglu() may round its output for the product that follows: the same bits as from anywhere else,
// and nothing of it is left when x has changed.
TEST_F(CudaRows, AProductAfterSwigluIsThatOfItsNumbers) {
  constexpr std::int64_t kCols = 576;
  const Loaded loaded = load({144}, kCols, DType::kF16);
  for (const std::int64_t rows : {9, 40, 64, 100, 200}) {
    const SequenceRows prompt{.row_begin = 0, .row_count = rows, .blocks = {}};
    for (const bool hinted : {false, true}) {
      if (hinted)
        cuda_->begin_step({&prompt, 1});
      else
        cuda_->begin_step({});
      const auto gates = random_.activations(rows * kCols), ups = random_.activations(rows * kCols);
      const DeviceTensor gate(*cuda_, rows, kCols, gates), up(*cuda_, rows, kCols, ups);
      const DeviceTensor out(*cuda_, rows, 144), after(*cuda_, rows, 144);
      const Projection projection{.weight = loaded.weights.front().get(), .out = out};
      cuda_->swiglu(gate, up, gate);
      cuda_->linear(gate, {&projection, 1});
      const Projection again{.weight = loaded.weights.front().get(), .out = after};
      cuda_->add(gate, up);
      cuda_->linear(gate, {&again, 1});
      const auto sums = gate.values(*cuda_);
      for (std::size_t i = 0; i < sums.size(); ++i) {
        const double g = gates[i];
        ASSERT_NEAR(sums[i], g / (1 + std::exp(-g)) * ups[i] + ups[i],
                    1e-5 * (1 + std::abs(g * ups[i]) + std::abs(ups[i])));
      }
      expect_same_bits(after.values(*cuda_), products(loaded, sums, 0, rows).front());
      const DeviceTensor plain(*cuda_, rows, kCols, gates);
      cuda_->swiglu(plain, up, plain);
      expect_same_bits(out.values(*cuda_), products(loaded, plain.values(*cuda_), 0, rows).front());
    }
  }
}

}  // namespace
}  // namespace bobby::test
