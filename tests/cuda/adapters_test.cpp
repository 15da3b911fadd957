// Adapters of many ranks, alone and summed, on some of the rows of products that add them
// themselves.

#include "cuda/cuda_fixture.h"

namespace bobby::test {
namespace {

class CudaAdapters : public CudaFixture {
 protected:
  struct Matrix {
    std::unique_ptr<WeightBytes> bytes;
    std::vector<std::unique_ptr<LoraBytes>> loras;
  };
  struct Use {
    std::size_t lora;
    std::int64_t begin, count;
    float scale;
  };
  static constexpr std::int64_t kRanks[] = {8, 1, 5, 16, 64, 12, 8, 24};  // the last two: DoRA

  std::vector<Matrix> matrices(std::initializer_list<std::int64_t> rows, std::int64_t cols,
                               DType dtype) {
    std::vector<Matrix> made;
    for (const std::int64_t count : rows) {
      made.emplace_back();
      made.back().bytes = std::make_unique<WeightBytes>(affine(4, 64, dtype), count, cols, random_);
      for (std::size_t i = 0; i < std::size(kRanks); ++i)
        made.back().loras.push_back(
            std::make_unique<LoraBytes>(kRanks[i], cols, count, random_, /*dora=*/i >= 6));
    }
    return made;
  }
  struct Loaded {
    std::unique_ptr<Weight> weight;
    std::vector<std::unique_ptr<LoraWeight>> loras;
  };
  static std::vector<Loaded> load(Backend& backend, const std::vector<Matrix>& matrices) {
    std::vector<Loaded> loaded;
    for (const Matrix& matrix : matrices) {
      loaded.push_back({backend.load_weight(matrix.bytes->view()).value(), {}});
      for (const auto& lora : matrix.loras)
        loaded.back().loras.push_back(backend.load_lora(lora->view()).value());
    }
    return loaded;
  }
  /// linear() of rows [begin, begin + rows); what is used is said for all rows, matrix by matrix.
  static void linear(Backend& backend, const std::vector<Loaded>& loaded,
                     const std::vector<std::vector<Use>>& uses, std::int64_t begin, Activation x,
                     const std::vector<Activation>& outs) {
    std::vector<std::vector<LoraRows>> rows(loaded.size());
    std::vector<Projection> projections;
    for (std::size_t i = 0; i < loaded.size(); ++i) {
      for (const Use& use : uses[i]) {
        const std::int64_t first = std::max(use.begin, begin);
        const std::int64_t last = std::min(use.begin + use.count, begin + x.rows);
        if (first < last)
          rows[i].push_back(
              {first - begin, last - first, loaded[i].loras[use.lora].get(), use.scale});
      }
      projections.push_back({.weight = loaded[i].weight.get(), .lora = rows[i], .out = outs[i]});
    }
    backend.linear(x, projections);
  }
  std::vector<std::vector<float>> on_device(const std::vector<Loaded>& loaded,
                                            const std::vector<std::vector<Use>>& uses,
                                            const std::vector<float>& x, std::int64_t begin,
                                            std::int64_t rows) {
    const std::int64_t cols = loaded.front().weight->cols();
    const DeviceTensor in(*cuda_, rows, cols, rows_of(x, cols, begin, rows));
    std::vector<DeviceTensor> tensors;
    for (const Loaded& one : loaded) tensors.emplace_back(*cuda_, rows, one.weight->rows());
    linear(*cuda_, loaded, uses, begin, in, {tensors.begin(), tensors.end()});
    std::vector<std::vector<float>> values;
    for (const DeviceTensor& tensor : tensors) values.push_back(tensor.values(*cuda_));
    return values;
  }
  /// Ways to use adapters, for `count` matrices and 64 rows.
  std::vector<std::vector<std::vector<Use>>> ways(std::size_t count) {
    std::vector<std::vector<std::vector<Use>>> ways;
    for (std::size_t lora = 0; lora < std::size(kRanks); ++lora)  // one for all rows
      ways.emplace_back(count, std::vector<Use>{{lora, 0, 64, 2.0f}});
    ways.emplace_back(count, std::vector<Use>{{0, 3, 5, 1.0f}});  // few rows
    ways.emplace_back(count);                                     // of one matrix alone
    ways.back().back() = {{3, 0, 64, 0.5f}};
    ways.emplace_back(count);  // another for each row, and rows without
    for (auto& of_matrix : ways.back())
      for (std::int64_t row = 0; row < 64; ++row)
        if (row % 9 != 4)
          of_matrix.push_back({static_cast<std::size_t>(row * 5 % 8), row, 1, 1.5f});
    ways.emplace_back(count);  // the same rank
    for (auto& of_matrix : ways.back())
      for (std::int64_t row = 0; row < 64; ++row)
        of_matrix.push_back({static_cast<std::size_t>(row % 2 * 6), row, 1, -0.5f});
    ways.emplace_back(count);  // several summed
    for (auto& of_matrix : ways.back())
      for (std::size_t i = 0; i < 14; ++i)
        of_matrix.push_back({i % 8, random_.integer(40), 1 + random_.integer(24), 0.7f});
    return ways;
  }
};

TEST_F(CudaAdapters, RowsOfDecodeHaveTheBitsOfEightAtATime) {
  struct Shape {
    std::initializer_list<std::int64_t> rows;
    std::int64_t cols;
    DType dtype;
  };
  for (const Shape& shape :
       {Shape{{48, 208, 16}, 576, DType::kBF16}, Shape{{1024, 256, 256}, 4096, DType::kF16},
        Shape{{640}, 12288, DType::kBF16}, Shape{{10240, 4096}, 320, DType::kBF16}}) {
    const auto made = matrices(shape.rows, shape.cols, shape.dtype);
    const auto loaded = load(*cuda_, made);
    const auto x = random_.activations(64 * shape.cols);
    int way = 0;
    for (const auto& uses : ways(made.size())) {
      std::vector<std::vector<float>> expected(made.size());
      for (std::int64_t begin = 0; begin < 64; begin += 8) {
        const auto some = on_device(loaded, uses, x, begin, 8);
        for (std::size_t i = 0; i < some.size(); ++i)
          expected[i].insert(expected[i].end(), some[i].begin(), some[i].end());
      }
      for (const std::int64_t rows : {9, 10, 16, 17, 32, 33, 64}) {
        const auto found = on_device(loaded, uses, x, 0, rows);
        for (std::size_t i = 0; i < found.size(); ++i)
          expect_same_bits(found[i], rows_of(expected[i], loaded[i].weight->rows(), 0, rows));
        if (HasFailure())
          FAIL() << shape.cols << " columns, way " << way << ", " << rows << " rows";
      }
      ++way;
    }
  }
}

TEST_F(CudaAdapters, RowsOfPromptsAreWithinTheirError) {
  // One chunk of columns, a few, and so many that a block takes two of them.
  for (const std::int64_t cols : {64, 576, 4416}) {
    const auto made = matrices({144, 48}, cols, DType::kBF16);
    const auto loaded = load(*cuda_, made);
    const auto on_host = load(*reference_, made);
    for (const std::int64_t rows : {70, 600}) {
      const auto x = random_.activations(rows * cols);
      const SequenceRows prompt{.row_begin = 0, .row_count = rows, .blocks = {}};
      std::vector<std::vector<std::vector<Use>>> ways;
      for (std::size_t lora = 0; lora<std::size(kRanks); lora += cols> 4096 ? 4 : 1)
        ways.push_back({{{lora, 0, rows, 2.0f}}, {{lora, 5, rows - 9, 1.0f}}});
      ways.push_back({{{0, 0, rows, 1.0f}, {2, 0, rows, 1.0f}, {3, 20, 30, 1.0f}}, {}});
      ways.push_back({{{0, 0, rows, 1.0f}, {6, 0, rows, 1.0f}}, {{7, 0, rows, 1.0f}}});
      for (const auto& uses : ways) {
        cuda_->begin_step({&prompt, 1});
        const auto found = on_device(loaded, uses, x, 0, rows);
        const auto again = on_device(loaded, uses, x, 0, rows);
        auto copy = x;
        std::vector<std::vector<float>> expected;
        std::vector<Activation> outs;
        for (const Loaded& one : on_host)
          expected.emplace_back(static_cast<std::size_t>(rows * one.weight->rows()));
        for (std::size_t i = 0; i < expected.size(); ++i)
          outs.push_back({expected[i].data(), rows, on_host[i].weight->rows()});
        linear(*reference_, on_host, uses, 0, {copy.data(), rows, cols}, outs);
        for (std::size_t i = 0; i < found.size(); ++i) {
          expect_same_bits(again[i], found[i]);
          const std::int64_t width = on_host[i].weight->rows();
          for (std::int64_t row = 0; row < rows; ++row) {
            double error = 0, size = 0;
            for (std::int64_t n = 0; n < width; ++n) {
              const auto at = static_cast<std::size_t>(row * width + n);
              error += std::pow(static_cast<double>(found[i][at]) - expected[i][at], 2);
              size += std::pow(static_cast<double>(expected[i][at]), 2);
            }
            ASSERT_LE(std::sqrt(error), 0x1p-11 * std::sqrt(size))
                << cols << " columns, adapter " << uses[0][0].lora << ", row " << row;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace bobby::test
