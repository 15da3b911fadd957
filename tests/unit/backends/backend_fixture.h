#pragma once

// What the tests of every backend share: random numbers of the kind models hold, weights of every
// format, activations in a backend's memory, sequences over scattered KV blocks.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "backends/backend.h"
#include "tensor/formats/affine.h"
#include "tensor/formats/dense.h"

namespace bobby::test {

/// Half the distance from 1 to the next fp32 number: the relative error of one rounding.
inline constexpr double kUnit = 0x1p-24;

/// Bound on the relative error of `n` fp32 roundings, one upon another.
inline double gamma(std::int64_t n) {
  const double error = static_cast<double>(n) * kUnit;
  return error / (1.0 - error);
}

/// Gaussian numbers, one in 200 of them 20 times as large: what hidden states look like.
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  float normal(float deviation = 1.0f) {
    return static_cast<float>(std::normal_distribution<double>()(engine_)) * deviation;
  }
  std::vector<float> normals(std::int64_t count, float deviation = 1.0f) {
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) value = normal(deviation);
    return values;
  }
  std::vector<float> activations(std::int64_t count) {
    std::vector<float> values = normals(count);
    for (float& value : values)
      if (integer(200) == 0) value *= 20.0f;
    return values;
  }
  /// In [0, below).
  std::int64_t integer(std::int64_t below) {
    return std::uniform_int_distribution<std::int64_t>(0, below - 1)(engine_);
  }
  template <typename T>
  void shuffle(std::vector<T>& values) {
    std::shuffle(values.begin(), values.end(), engine_);
  }

 private:
  std::mt19937_64 engine_;
};

inline WeightFormat dense(DType dtype) {
  return {WeightFormat::Kind::kDense, dtype, 0, 0};
}
inline WeightFormat affine(int bits, int group_size, DType dtype = DType::kBF16) {
  return {WeightFormat::Kind::kAffine, dtype, bits, group_size};
}

/// Every format that linear() may be asked for: dense, and affine bits x group size x scale type.
inline std::vector<WeightFormat> all_formats() {
  std::vector<WeightFormat> formats;
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    formats.push_back(dense(dtype));
    for (const int bits : kAffineBits)
      for (const int group_size : kAffineGroupSizes)
        formats.push_back(affine(bits, group_size, dtype));
  }
  return formats;
}

/// "affine 4-bit group 64 (bfloat16 scales)" as a test's name: letters and digits only.
inline std::string test_name(const WeightFormat& format) {
  std::string name = format.to_string();
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
}

/// A weight's bytes in memory of their own, `offset` bytes off any alignment, and their view.
class WeightBytes {
 public:
  /// [rows, cols] of the values given, stored in `format`.
  WeightBytes(const WeightFormat& format, std::int64_t rows, std::int64_t cols,
              const std::vector<float>& values, std::size_t offset = 0) {
    const std::size_t element = dtype_bytes(format.dtype);
    std::vector<std::byte> stored(values.size() * element);
    narrow(format.dtype, values.data(), static_cast<std::int64_t>(values.size()), stored.data());
    view_ = {"test.weight", dense(format.dtype), rows, cols, stored.data(), nullptr, nullptr};
    if (format.kind == WeightFormat::Kind::kAffine) {
      auto quantized = quantize(view_, format.bits, format.group_size).value();
      view_ = quantized.view();
      view_.weight = keep(weight_, quantized.weight, offset);
      view_.scales = keep(scales_, quantized.scales, offset);
      view_.biases = keep(biases_, quantized.biases, offset);
    } else {
      view_.weight = keep(weight_, stored, offset);
    }
    view_.name = "test.weight";
  }
  /// Random weights of a model's size: deviation 1/sqrt(cols).
  WeightBytes(const WeightFormat& format, std::int64_t rows, std::int64_t cols, Random& random,
              std::size_t offset = 0)
      : WeightBytes(format, rows, cols,
                    random.normals(rows * cols, 1.0f / std::sqrt(static_cast<float>(cols))),
                    offset) {}

  const WeightView& view() const { return view_; }

 private:
  static const std::byte* keep(std::vector<std::byte>& owner, const std::vector<std::byte>& bytes,
                               std::size_t offset) {
    owner.resize(bytes.size() + offset);
    std::memcpy(owner.data() + offset, bytes.data(), bytes.size());
    return owner.data() + offset;
  }

  std::vector<std::byte> weight_, scales_, biases_;
  WeightView view_;
};

/// A random low-rank pair; `dora` gives it an output multiplier around 1.
class LoraBytes {
 public:
  LoraBytes(std::int64_t rank, std::int64_t in_features, std::int64_t out_features, Random& random,
            bool dora = false)
      : a_(random.normals(rank * in_features, 1.0f / std::sqrt(static_cast<float>(in_features)))),
        b_(random.normals(out_features * rank, 0.3f)) {
    view_ = {"test.lora", rank, in_features, out_features, a_.data(), b_.data(), nullptr};
    if (!dora) return;
    for (std::int64_t i = 0; i < out_features; ++i)
      multiplier_.push_back(1.0f + random.normal(0.2f));
    view_.output_multiplier = multiplier_.data();
  }
  const LoraView& view() const { return view_; }

 private:
  std::vector<float> a_, b_, multiplier_;
  LoraView view_;
};

/// An activation in memory of its own of a backend.
class Tensor {
 public:
  Tensor(Backend& backend, std::int64_t rows, std::int64_t cols)
      : buffer_(backend.allocate(static_cast<std::size_t>(rows * cols) * sizeof(float)).value()),
        activation_{static_cast<float*>(buffer_->data()), rows, cols} {}
  Tensor(Backend& backend, std::int64_t rows, std::int64_t cols, const std::vector<float>& values)
      : Tensor(backend, rows, cols) {
    EXPECT_EQ(values.size(), static_cast<std::size_t>(rows * cols));
    std::copy(values.begin(), values.end(), activation_.data);  // the backends here share memory
  }

  operator Activation() const { return activation_; }  // NOLINT(google-explicit-constructor)
  std::vector<float> values(Backend& backend) const {
    std::vector<float> host(static_cast<std::size_t>(activation_.rows * activation_.cols));
    EXPECT_TRUE(backend.copy_out(activation_, host).has_value());
    return host;
  }

 private:
  std::unique_ptr<Buffer> buffer_;
  Activation activation_;
};

/// Rows [begin, begin + count) of values [rows, cols].
inline std::vector<float> rows_of(const std::vector<float>& values, std::int64_t cols,
                                  std::int64_t begin, std::int64_t count) {
  return {values.begin() + begin * cols, values.begin() + (begin + count) * cols};
}

/// Sequences whose KV blocks lie scattered over the pool: no two share one, none are in order.
class ScatteredBlocks {
 public:
  ScatteredBlocks(std::int64_t blocks, Random& random) : free_(static_cast<std::size_t>(blocks)) {
    std::iota(free_.begin(), free_.end(), 0);
    random.shuffle(free_);
  }
  /// Blocks for `tokens` tokens. Fails the test when the pool has no more.
  std::vector<std::int32_t> take(std::int64_t tokens, std::int64_t block_tokens) {
    std::vector<std::int32_t> taken;
    for (std::int64_t held = 0; held < tokens; held += block_tokens) {
      if (free_.empty()) {
        ADD_FAILURE() << "the pool of this test is too small";
        break;
      }
      taken.push_back(free_.back());
      free_.pop_back();
    }
    return taken;
  }

 private:
  std::vector<std::int32_t> free_;
};

/// Each result within its own tolerance of what is expected.
inline void expect_near_each(const std::vector<float>& actual, const std::vector<float>& expected,
                             const std::vector<double>& tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  ASSERT_EQ(actual.size(), tolerance.size());
  for (std::size_t i = 0; i < actual.size(); ++i)
    ASSERT_NEAR(actual[i], expected[i], tolerance[i]) << "element " << i;
}

/// Equal bit for bit.
inline void expect_same_bits(const std::vector<float>& actual, const std::vector<float>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i)
    ASSERT_EQ(std::memcmp(&actual[i], &expected[i], sizeof(float)), 0)
        << "element " << i << ": " << actual[i] << " and " << expected[i];
}

}  // namespace bobby::test
