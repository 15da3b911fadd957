// The MLX backend's own CUDA kernels, run on the processor thread by thread, against double.

#include <gtest/gtest.h>
#include <limits>
#include <vector>

#include "backends/mlx/row_attention.h"
#include "backends/mlx/row_product.h"
#include "mlx/cuda_on_cpu.h"
#include "unit/backends/backend_fixture.h"

namespace bobby::test::cuda_on_cpu {
#include "backends/mlx/kernels/low_rank.cuh"
#include "backends/mlx/kernels/row_attention.cuh"
#include "backends/mlx/kernels/row_product.cuh"
}  // namespace bobby::test::cuda_on_cpu

namespace bobby::test {
namespace {

namespace cu = cuda_on_cpu;
using mlx_backend::RowAttention;
using mlx_backend::RowProduct;

static_assert(RowProduct::kThreads == cu::kWarps * 32);
static_assert(RowProduct::kOutputsOfABlock == cu::kWarps * cu::kOutputs);

enum class Before { kNothing, kNorm, kSwiglu };

std::size_t at(std::int64_t index) {
  return static_cast<std::size_t>(index);
}

/// Rows of x as kernels take them, and as they are in double.
struct Input {
  Input(Before what, int count, int columns_, Random& random)
      : before(what),
        rows(count),
        columns(columns_),
        width(what == Before::kSwiglu ? 2 * columns : columns),
        x(random.normals(rows * width, 2.0f)),
        norm(random.normals(what == Before::kNorm ? columns : 1)) {}

  cu::RowInput view() const {
    return {x.data(), width, norm.data(), static_cast<int>(norm.size()), &eps};
  }
  std::vector<double> row(int index) const {
    std::vector<double> values(at(columns));
    const float* own = x.data() + index * width;
    double squares = 0;
    for (int c = 0; c < columns; ++c) squares += static_cast<double>(own[c]) * own[c];
    for (int c = 0; c < columns; ++c) {
      const double v = own[c];
      values[at(c)] = before == Before::kSwiglu ? v / (1 + std::exp(-v)) * own[columns + c]
                      : before == Before::kNorm
                          ? v * norm[at(c)] / std::sqrt(squares / columns + eps)
                          : v;
    }
    return values;
  }

  Before before;
  int rows;
  int columns;
  int width;
  std::vector<float> x;
  std::vector<float> norm;
  float eps = 1e-6f;
};

struct Weights {
  Weights(int outputs_, int columns_, int group_, Random& random)
      : outputs(outputs_),
        columns(columns_),
        group(group_),
        words(at(outputs) * at(columns / 8)),
        scales(random.normals(std::int64_t{outputs} * columns / group, 0.1f)),
        biases(random.normals(std::int64_t{outputs} * columns / group, 0.1f)) {
    for (unsigned& word : words) word = static_cast<unsigned>(random.integer(1LL << 32));
  }
  cu::Matrix view() const {
    return {words.data(), scales.data(), biases.data(), outputs, columns, columns / group};
  }
  /// q * scale and the bias.
  std::pair<double, double> terms(int n, int c) const {
    const unsigned q = words[at(n) * at(columns / 8) + at(c / 8)] >> (c % 8 * 4) & 15u;
    const std::size_t g = at(n) * at(columns / group) + at(c / group);
    return {static_cast<double>(q) * scales[g], biases[g]};
  }

  int outputs, columns, group;
  std::vector<unsigned> words;
  std::vector<float> scales, biases;
};

struct ProductCase {
  int rows, outputs, columns, group;
  Before before;
  int ranks;
  bool residual;
};

class RowKernelsTest : public testing::Test {
 protected:
  void check_product(const ProductCase& c);

  Random random_{11};
};

void RowKernelsTest::check_product(const ProductCase& c) {
  const Input x(c.before, c.rows, c.columns, random_);
  const Weights w(c.outputs, c.columns, c.group, random_);
  const auto z = random_.normals(std::max(1, c.rows * c.ranks));
  const auto b = random_.normals(std::max(1, c.outputs * c.ranks));
  const auto residual = random_.normals(c.rows * c.outputs);
  const float scale = 1.5f;
  const cu::Addend addend = c.ranks > 0 ? cu::Addend{z.data(), b.data(), &scale, c.outputs, c.ranks}
                                        : cu::Addend{nullptr, nullptr, nullptr, 1, 1};
  std::vector<float> y(at(c.rows * c.outputs), std::numeric_limits<float>::quiet_NaN());
  constexpr int kBlocks = 2;  // fewer than the outputs ask for
  cu::launch({c.rows, kBlocks}, RowProduct::kThreads, [&] {
    cu::row_product(x.view(), w.view(), addend, residual.data(), c.residual ? c.outputs : 1,
                    y.data());
  });
  for (int m = 0; m < c.rows; ++m) {
    const std::vector<double> row = x.row(m);
    for (int n = 0; n < c.outputs; ++n) {
      double sum = c.residual ? residual[at(m * c.outputs + n)] : 0.0;
      double sizes = std::abs(sum);
      for (int i = 0; i < c.columns; ++i) {
        const auto [scaled, bias] = w.terms(n, i);
        sum += row[at(i)] * (scaled + bias);
        sizes += std::abs(row[at(i)]) * (std::abs(scaled) + std::abs(bias));
      }
      for (int r = 0; r < c.ranks; ++r) {
        const double term = 1.5 * z[at(m * c.ranks + r)] * b[at(n * c.ranks + r)];
        sum += term;
        sizes += std::abs(term);
      }
      // A lane sums a 32nd of the columns; then come five steps, and what is before and behind.
      ASSERT_NEAR(y[at(m * c.outputs + n)], sum, gamma(c.columns / 32 + 40) * sizes)
          << "row " << m << " output " << n << " columns " << c.columns;
    }
  }
}

TEST_F(RowKernelsTest, Product) {
  for (const Before before : {Before::kNothing, Before::kNorm, Before::kSwiglu}) {
    check_product({1, 40, 64, 64, before, 0, false});
    check_product({2, 33, 4160, 32, before, 24, true});  // two tiles, and outputs that do not fill
    check_product({1, 17, 8320, 128, before, 40, false});  // more ranks than lanes
  }
}

TEST_F(RowKernelsTest, LowRank) {
  for (const Before before : {Before::kNothing, Before::kNorm, Before::kSwiglu}) {
    constexpr int kRows = 2, kRanks = 3, kColumns = 1088;
    const Input x(before, kRows, kColumns, random_);
    auto a = random_.normals(kRanks * kColumns);
    a[kColumns + 5] = std::numeric_limits<float>::infinity();  // of rank 1
    const std::vector<float> factor = {2.0f, 0.0f, -1.0f, 0.5f, 1.0f, 0.0f}, ones(16, 1.0f);
    for (const bool own : {true, false}) {
      std::vector<float> z(kRows * kRanks);
      cu::launch({kRows, kRanks}, RowProduct::kThreads, [&] {
        cu::low_rank(x.view(), a.data(), kRanks, kColumns, own ? factor.data() : ones.data(),
                     own ? kRanks : 1, z.data());
      });
      for (int m = 0; m < kRows; ++m)
        for (int r = 0; r < kRanks; ++r) {
          const float f = own ? factor[at(m * kRanks + r)] : 1.0f;
          const float found = z[at(m * kRanks + r)];
          if (f == 0.0f || r == 1) {
            EXPECT_TRUE(f == 0.0f ? found == 0.0f : std::isinf(found)) << m << " " << r;
            continue;
          }
          const std::vector<double> row = x.row(m);
          double sum = 0, sizes = 0;
          for (int i = 0; i < kColumns; ++i) {
            sum += row[at(i)] * a[at(r * kColumns + i)];
            sizes += std::abs(row[at(i)] * a[at(r * kColumns + i)]);
          }
          EXPECT_NEAR(found, f * sum, gamma(80) * sizes * std::abs(f));
        }
    }
  }
}

float read_cell(float cell) {
  return cell;
}
float read_cell(cu::__half cell) {
  return cu::__half2float(cell);
}

/// Rows at different positions of sequences whose blocks lie anywhere in the cache.
template <typename Cell, int kHeadDim>
class AttentionCase {
 public:
  static constexpr int kBlockTokens = 16;

  AttentionCase(int q_heads, int kv_heads, std::vector<int> positions, bool together, bool normed,
                Random& random)
      : q_heads_(q_heads),
        kv_heads_(kv_heads),
        rows_(static_cast<int>(positions.size())),
        together_(together),
        normed_(normed),
        positions_(std::move(positions)),
        x_(random.normals(std::int64_t{rows_} * columns())),
        q_norm_(random.normals(kHeadDim)),
        k_norm_(random.normals(kHeadDim)) {
    width_ = 1 + *std::ranges::max_element(positions_) / kBlockTokens + 1;
    std::vector<int> blocks(at(rows_ * (width_ - 1)));
    for (std::size_t i = 0; i < blocks.size(); ++i) blocks[i] = static_cast<int>(i);
    random.shuffle(blocks);
    for (int row = 0; row < rows_; ++row) {
      table_.push_back(positions_[at(row)] - kGained);
      for (int i = 0; i + 1 < width_; ++i) table_.push_back(blocks[at(row * (width_ - 1) + i)]);
    }
    const std::size_t cells = blocks.size() * kBlockTokens * at(kv_heads * kHeadDim);
    keys_.resize(cells);
    values_.resize(cells);
    for (std::size_t i = 0; i < cells; ++i) {
      cu::put(&keys_[i], random.normal());
      cu::put(&values_[i], random.normal());
    }
    for (int i = 0; i < kHeadDim / 2; ++i)
      inv_freq_.push_back(static_cast<float>(std::pow(1e6, -2.0 * i / kHeadDim)));
  }

  void check() {
    const std::vector<Cell> keys_before = keys_;
    std::vector<float> q(at(rows_ * q_heads_ * kHeadDim)), k(at(rows_ * kv_heads_ * kHeadDim));
    store(q, k);
    check_store(q, k, keys_before);
    check_attention(q);
  }

 private:
  static constexpr int kGained = 3;

  int columns() const { return (q_heads_ + 2 * kv_heads_) * kHeadDim; }
  cu::RowPlaces places() const { return {table_.data(), width_, kGained}; }
  cu::LayerCache<Cell> cache() const { return {keys_.data(), values_.data(), kv_heads_}; }
  /// Of q's heads, then k's, then v's.
  const float* head(int row, int index) const {
    return x_.data() + row * columns() + index * kHeadDim;
  }
  std::size_t slot(int row, int token, int kv_head) const {
    const int block = table_[at(row * width_ + 1 + token / kBlockTokens)];
    return at(block * kBlockTokens + token % kBlockTokens) * at(kv_heads_ * kHeadDim) +
           at(kv_head * kHeadDim);
  }

  void store(std::vector<float>& q, std::vector<float>& k) {
    std::vector<float> parts[3];  // q, k, v by themselves
    for (int row = 0; row < rows_; ++row)
      for (int i = 0; i < q_heads_ + 2 * kv_heads_; ++i) {
        auto& part = parts[i < q_heads_ ? 0 : i < q_heads_ + kv_heads_ ? 1 : 2];
        part.insert(part.end(), head(row, i), head(row, i) + kHeadDim);
      }
    const cu::RowHeads from =
        together_ ? cu::RowHeads{x_.data(), columns(), x_.data(), columns(), x_.data()}
                  : cu::RowHeads{parts[0].data(), q_heads_ * kHeadDim, parts[1].data(),
                                 kv_heads_ * kHeadDim, parts[2].data()};
    const int norm_width = normed_ ? kHeadDim : 1;
    cu::launch({q_heads_ + 2 * kv_heads_, rows_}, 32, [&] {
      cu::rope_store<Cell, kHeadDim, kBlockTokens>(
          from, {q_norm_.data(), norm_width}, {k_norm_.data(), norm_width}, kEps, inv_freq_.data(),
          places(), cache(), q.data(), k.data());
    });
  }

  std::vector<double> rotated(const float* x, const std::vector<float>& norm, int position) const {
    double squares = 0;
    for (int i = 0; i < kHeadDim; ++i) squares += static_cast<double>(x[i]) * x[i];
    const double factor = normed_ ? 1 / std::sqrt(squares / kHeadDim + kEps) : 1.0;
    std::vector<double> in, out(kHeadDim);
    for (int i = 0; i < kHeadDim; ++i) in.push_back(x[i] * factor * (normed_ ? norm[at(i)] : 1.0f));
    for (int i = 0; i < kHeadDim / 2; ++i) {
      const double angle = static_cast<float>(position) * inv_freq_[at(i)];  // in fp32, as promised
      const double a = in[at(i)], b = in[at(i + kHeadDim / 2)];
      out[at(i)] = a * std::cos(angle) - b * std::sin(angle);
      out[at(i + kHeadDim / 2)] = b * std::cos(angle) + a * std::sin(angle);
    }
    return out;
  }

  void check_store(const std::vector<float>& q, const std::vector<float>& k,
                   const std::vector<Cell>& keys_before) const {
    std::size_t changed = 0;
    for (std::size_t i = 0; i < keys_.size(); ++i)
      changed += read_cell(keys_[i]) != read_cell(keys_before[i]);
    EXPECT_EQ(changed, k.size());
    for (int row = 0; row < rows_; ++row) {
      const int position = positions_[at(row)];
      for (int h = 0; h < q_heads_ + kv_heads_; ++h) {
        const bool is_q = h < q_heads_;
        const auto expected = rotated(head(row, h), is_q ? q_norm_ : k_norm_, position);
        const float* found = is_q ? q.data() + (row * q_heads_ + h) * kHeadDim
                                  : k.data() + (row * kv_heads_ + h - q_heads_) * kHeadDim;
        for (int i = 0; i < kHeadDim; ++i) ASSERT_NEAR(found[i], expected[at(i)], 3e-6);
        if (is_q) continue;
        const std::size_t own = slot(row, position, h - q_heads_);
        for (int i = 0; i < kHeadDim; ++i) {
          Cell key, value;
          cu::put(&key, found[i]);
          cu::put(&value, head(row, h + kv_heads_)[i]);
          ASSERT_EQ(read_cell(keys_[own + at(i)]), read_cell(key));
          ASSERT_EQ(read_cell(values_[own + at(i)]), read_cell(value));
        }
      }
    }
  }

  void check_attention(const std::vector<float>& q) const {
    std::vector<float> y(q.size());
    cu::launch({q_heads_, rows_}, RowAttention::kThreads, [&] {
      cu::row_attention<Cell, kHeadDim, kBlockTokens>(q.data(), cache(), places(), kScale,
                                                      y.data());
    });
    for (int row = 0; row < rows_; ++row)
      for (int h = 0; h < q_heads_; ++h) {
        const std::size_t own = at((row * q_heads_ + h) * kHeadDim);
        std::vector<double> weights, expected(kHeadDim);
        double all = 0;
        for (int token = 0; token <= positions_[at(row)]; ++token) {
          const std::size_t key = slot(row, token, h / (q_heads_ / kv_heads_));
          double score = 0;
          for (int i = 0; i < kHeadDim; ++i)
            score += static_cast<double>(q[own + at(i)]) * read_cell(keys_[key + at(i)]);
          weights.push_back(std::exp(score * kScale));
          all += weights.back();
          for (int i = 0; i < kHeadDim; ++i)
            expected[at(i)] += weights.back() * read_cell(values_[key + at(i)]);
        }
        for (int i = 0; i < kHeadDim; ++i)
          ASSERT_NEAR(y[own + at(i)], expected[at(i)] / all, 3e-6) << row << " " << h << " " << i;
      }
  }

  static constexpr float kEps = 1e-6f, kScale = 0.125f;
  int q_heads_, kv_heads_, rows_;
  bool together_, normed_;
  std::vector<int> positions_;
  std::vector<float> x_, q_norm_, k_norm_, inv_freq_;
  int width_ = 0;
  std::vector<int> table_;
  std::vector<Cell> keys_, values_;
};

TEST_F(RowKernelsTest, Attention) {
  AttentionCase<float, 128>(4, 2, {3}, true, true, random_).check();
  AttentionCase<float, 32>(6, 2, {39, 8, 132}, false, true, random_).check();
  AttentionCase<cu::__half, 96>(4, 4, {69, 70}, true, false, random_).check();
  AttentionCase<cu::__half, 64>(8, 1, {31, 32}, false, false, random_).check();
}

TEST_F(RowKernelsTest, HalfCellsStayFinite) {
  cu::__half cell;
  cu::put(&cell, 1e9f);
  EXPECT_EQ(read_cell(cell), 65504.0f);
  cu::put(&cell, -std::numeric_limits<float>::infinity());
  EXPECT_EQ(read_cell(cell), -65504.0f);
  cu::put(&cell, std::numeric_limits<float>::quiet_NaN());
  EXPECT_TRUE(std::isnan(read_cell(cell)));
}

}  // namespace
}  // namespace bobby::test
