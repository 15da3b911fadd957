#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <gtest/gtest.h>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backends/cpu/training/machine.h"
#include "backends/cuda/cuda.h"
#include "backends/training_ops.h"
#include "unit/backends/backend_fixture.h"

namespace bobby::test {

/// The operations of training on a device, and a machine that computes them in double.
class TrainingFixture : public testing::Test {
 protected:
  /// An activation on the device.
  class On {
   public:
    On(TrainingFixture& fixture, std::int64_t rows, std::int64_t cols)
        : fixture_(fixture),
          buffer_(fixture.cuda_
                      ->allocate(static_cast<std::size_t>(std::max<std::int64_t>(rows * cols, 1)) *
                                 sizeof(float))
                      .value()),
          x_{static_cast<float*>(buffer_->data()), rows, cols} {}
    On(TrainingFixture& fixture, std::int64_t rows, std::int64_t cols,
       const std::vector<float>& values)
        : On(fixture, rows, cols) {
      const auto copied = fixture.ops_->copy_in(values, x_);
      EXPECT_TRUE(copied) << copied.error().to_string();
    }
    operator Activation() const { return x_; }  // NOLINT(google-explicit-constructor)
    std::vector<float> values() const {
      std::vector<float> host(static_cast<std::size_t>(x_.rows * x_.cols));
      const auto copied = fixture_.ops_->copy_out(x_, host);
      EXPECT_TRUE(copied) << copied.error().to_string();
      return host;
    }

   private:
    TrainingFixture& fixture_;
    std::unique_ptr<Buffer> buffer_;
    Activation x_;
  };

  /// The same numbers in double.
  class Double {
   public:
    Double(std::int64_t rows, std::int64_t cols)
        : values_(static_cast<std::size_t>(rows * cols)), rows_(rows), cols_(cols) {}
    Double(std::int64_t rows, std::int64_t cols, const std::vector<float>& values)
        : values_(values.begin(), values.end()), rows_(rows), cols_(cols) {}
    cpu::Matrix<double> matrix() { return {values_.data(), rows_, cols_}; }
    const std::vector<double>& values() const { return values_; }

   private:
    std::vector<double> values_;
    std::int64_t rows_, cols_;
  };

  void SetUp() override {
    auto backend = make_cuda_backend();
    if (!backend) GTEST_SKIP() << backend.error().to_string();
    cuda_ = *std::move(backend);
    ops_ = cuda_->training();
    ASSERT_NE(ops_, nullptr);
  }
  void TearDown() override {
    if (!worst_of_.empty()) std::printf("  worst: %.2e %s\n", worst_, worst_of_.c_str());
  }

  /// Notes the relative L2 error, which must be within `bound`.
  void expect_near(const std::vector<float>& found, const std::vector<double>& expected,
                   double bound, const std::string& what) {
    ASSERT_EQ(found.size(), expected.size()) << what;
    double distance = 0;
    double norm = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
      distance += std::pow(static_cast<double>(found[i]) - expected[i], 2);
      norm += expected[i] * expected[i];
    }
    const double error = norm > 0 ? std::sqrt(distance / norm) : std::sqrt(distance);
    EXPECT_LE(error, bound) << what;
    EXPECT_FALSE(std::isnan(error)) << what;
    if (worst_of_.empty() || !(error <= worst_)) {
      worst_ = error;
      worst_of_ = what;
    }
  }

  /// Sequences of these lengths, one after the other; records from `first_record` on.
  static std::vector<TrainingSequence> sequences_of(const std::vector<std::int64_t>& lengths,
                                                    std::int64_t first_record = 40) {
    std::vector<TrainingSequence> sequences;
    std::int64_t begin = 0;
    for (const std::int64_t length : lengths) {
      sequences.push_back(
          {begin, length, first_record + static_cast<std::int64_t>(sequences.size())});
      begin += length;
    }
    return sequences;
  }
  static std::int64_t rows_in(const std::vector<TrainingSequence>& sequences) {
    return sequences.back().begin + sequences.back().count;
  }

  std::unique_ptr<Backend> cuda_;
  TrainingOps* ops_ = nullptr;
  ThreadPool pool_{2};
  cpu::TrainingMachine<double> double_{cpu::kDoubleTraining, pool_};
  Random random_{11};
  double worst_ = 0;
  std::string worst_of_;
};

}  // namespace bobby::test
