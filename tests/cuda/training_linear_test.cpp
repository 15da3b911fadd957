// linear() and linear_backward() against the CPU's in double, alone and packed; and the products
// beneath them, on warpgroups and on warps.

#include "backends/cpu/training/linear.h"
#include "backends/cuda/training/product.h"
#include "backends/cuda/training/rounding.h"
#include "cuda/training_fixture.h"

namespace bobby::test {
namespace {

constexpr double kBf16 = 6e-3;

struct LinearCase {
  std::string name;
  WeightFormat format;
  std::int64_t in = 0;
  std::vector<std::int64_t> outs;
  std::int64_t rank = 0;  // 0: no pairs
  bool dora = false;
  bool bias = false;
  float dropout = 0.0f;
};

/// What a case starts from, in host memory.
struct LinearValues {
  struct Projection {
    std::vector<float> bias, a, b, multiplier, a_before, b_before, multiplier_before, gradient;
  };
  std::vector<float> x;
  std::vector<Projection> projections;
};

struct LinearFound {
  struct Projection {
    std::vector<float> out, low, a, b, multiplier;
  };
  std::vector<float> x_gradient;
  std::vector<Projection> projections;
};

class CudaTrainingLinear : public TrainingFixture {
 protected:
  LinearValues values_for(const LinearCase& test, std::int64_t rows) {
    LinearValues values{.x = random_.normals(rows * test.in), .projections = {}};
    for (const std::int64_t out : test.outs) {
      LinearValues::Projection p;
      p.bias = random_.normals(out);
      p.a = random_.normals(test.rank * test.in, 0.1f);
      p.b = random_.normals(test.rank * out, 0.3f);
      p.multiplier = random_.normals(out, 0.3f);
      for (float& multiplier : p.multiplier) multiplier += 1.0f;
      p.a_before = random_.normals(test.rank * test.in);
      p.b_before = random_.normals(test.rank * out);
      p.multiplier_before = random_.normals(out);
      p.gradient = random_.normals(rows * out);
      values.projections.push_back(std::move(p));
    }
    return values;
  }
  std::vector<WeightBytes> weights_for(const LinearCase& test) {
    std::vector<WeightBytes> weights;
    for (const std::int64_t out : test.outs)
      weights.emplace_back(test.format, out, test.in, random_);
    return weights;
  }
  static Dropout dropout_of(const LinearCase& test, std::size_t index) {
    return {test.dropout, 0x1234567890abcdefull + index};
  }

  /// What a projection has on the device.
  struct Held {
    Held(CudaTrainingLinear& fixture, const LinearCase& test, const WeightBytes& bytes,
         const LinearValues::Projection& p, std::int64_t rows)
        : weight(fixture.cuda_->load_weight(bytes.view()).value()),
          bias_bytes(dense(DType::kF32), 1, bytes.view().rows, p.bias),
          bias(fixture.cuda_->load_weight(bias_bytes.view()).value()),
          a(fixture, test.rank, test.in, p.a),
          b(fixture, test.rank, bytes.view().rows, p.b),
          multiplier(fixture, 1, bytes.view().rows, p.multiplier),
          a_gradient(fixture, test.rank, test.in, p.a_before),
          b_gradient(fixture, test.rank, bytes.view().rows, p.b_before),
          multiplier_gradient(fixture, 1, bytes.view().rows, p.multiplier_before),
          out(fixture, rows, bytes.view().rows),
          gradient(fixture, rows, bytes.view().rows, p.gradient),
          low(fixture, rows, test.rank),
          unscaled(fixture, rows, bytes.view().rows) {}
    std::unique_ptr<Weight> weight;
    WeightBytes bias_bytes;
    std::unique_ptr<Weight> bias;
    On a, b, multiplier, a_gradient, b_gradient, multiplier_gradient, out, gradient, low, unscaled;
    TrainingLora lora;
  };

  LinearFound run(const LinearCase& test, const std::vector<WeightBytes>& weights,
                  const LinearValues& values, const std::vector<TrainingSequence>& sequences,
                  bool with_x_gradient = true) {
    const std::int64_t rows = rows_in(sequences);
    const On x(*this, rows, test.in, values.x), x_gradient(*this, rows, test.in);
    std::vector<std::unique_ptr<Held>> held;
    std::vector<TrainingProjection> projections;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      held.push_back(std::make_unique<Held>(*this, test, weights[i], values.projections[i], rows));
      Held& h = *held.back();
      h.lora = {.a = h.a,
                .b = h.b,
                .multiplier = test.dora ? Activation(h.multiplier) : Activation{},
                .a_gradient = h.a_gradient,
                .b_gradient = h.b_gradient,
                .multiplier_gradient = test.dora ? Activation(h.multiplier_gradient) : Activation{},
                .scale = 1.7f,
                .dropout = dropout_of(test, i)};
      projections.push_back({.weight = h.weight.get(),
                             .bias = test.bias ? h.bias.get() : nullptr,
                             .lora = test.rank > 0 ? &h.lora : nullptr,
                             .out = h.out,
                             .out_gradient = h.gradient,
                             .low = h.low,
                             .unscaled = test.dora ? Activation(h.unscaled) : Activation{}});
    }
    ops_->linear(x, projections, sequences);
    ops_->linear_backward(x, projections, sequences,
                          with_x_gradient ? Activation(x_gradient) : Activation{});
    LinearFound found{.x_gradient = x_gradient.values(), .projections = {}};
    for (const auto& h : held)
      found.projections.push_back({h->out.values(), h->low.values(), h->a_gradient.values(),
                                   h->b_gradient.values(), h->multiplier_gradient.values()});
    return found;
  }

  void check(const LinearCase& test, const std::vector<std::int64_t>& lengths) {
    const auto sequences = sequences_of(lengths);
    const std::int64_t rows = rows_in(sequences);
    const auto weights = weights_for(test);
    const LinearValues values = values_for(test, rows);
    const LinearFound found = run(test, weights, values, sequences);
    const std::size_t count = weights.size();
    Double x(rows, test.in, values.x), x_gradient(rows, test.in);
    std::vector<Double> a, b, m, ag, bg, mg, out, gradient, low, unscaled, bias;
    std::vector<cpu::LoraPair<double>> pairs(count);
    std::vector<cpu::LinearOutput<double>> outputs(count);
    for (std::size_t i = 0; i < count; ++i) {
      const std::int64_t outs = test.outs[i];
      const LinearValues::Projection& p = values.projections[i];
      a.emplace_back(test.rank, test.in, p.a);
      b.emplace_back(test.rank, outs, p.b);
      m.emplace_back(1, outs, p.multiplier);
      ag.emplace_back(test.rank, test.in, p.a_before);
      bg.emplace_back(test.rank, outs, p.b_before);
      mg.emplace_back(1, outs, p.multiplier_before);
      out.emplace_back(rows, outs);
      gradient.emplace_back(rows, outs, p.gradient);
      low.emplace_back(rows, test.rank);
      unscaled.emplace_back(rows, outs);
      bias.emplace_back(1, outs, p.bias);
    }
    for (std::size_t i = 0; i < count; ++i) {
      pairs[i] = {.a = a[i].matrix(),
                  .b = b[i].matrix(),
                  .multiplier = test.dora ? m[i].matrix() : cpu::Matrix<double>{},
                  .a_gradient = ag[i].matrix(),
                  .b_gradient = bg[i].matrix(),
                  .multiplier_gradient = mg[i].matrix(),
                  .scale = 1.7f,
                  .dropout = dropout_of(test, i)};
      outputs[i] = {.weight = &weights[i].view(),
                    .bias = test.bias ? bias[i].matrix().data : nullptr,
                    .lora = test.rank > 0 ? &pairs[i] : nullptr,
                    .out = out[i].matrix(),
                    .out_gradient = gradient[i].matrix(),
                    .low = low[i].matrix(),
                    .unscaled = unscaled[i].matrix()};
    }
    cpu::linear<double>(double_, x.matrix(), outputs, sequences);
    cpu::linear_backward<double>(double_, x.matrix(), outputs, sequences, x_gradient.matrix());
    expect_near(found.x_gradient, x_gradient.values(), kBf16, test.name + ": x's");
    for (std::size_t i = 0; i < count; ++i) {
      const LinearFound::Projection& f = found.projections[i];
      const std::string of = test.name + ": ";
      expect_near(f.out, out[i].values(), kBf16, of + "out");
      if (test.rank == 0) continue;
      expect_near(f.low, low[i].values(), 1e-5, of + "low");
      expect_near(f.a, ag[i].values(), 1e-5, of + "A's");
      expect_near(f.b, bg[i].values(), 1e-5, of + "B's");
      if (test.dora) expect_near(f.multiplier, mg[i].values(), kBf16, of + "multiplier's");
    }
  }
};

const std::vector<LinearCase>& cases() {
  static const std::vector<LinearCase> all = {
      {"frozen", affine(4, 64), 128, {192, 96, 96}},
      {"frozen bias", dense(DType::kBF16), 72, {40}, 0, false, true},
      {"lora", affine(4, 64), 192, {128, 64}, 8},
      {"lora of three", affine(4, 32), 96, {160, 32, 32}, 3},
      {"lora of many ranks", dense(DType::kF16), 40, {72, 33}, 27, false, true},
      {"dora", affine(4, 64), 128, {192, 64}, 8, true, true},
      {"dropout", affine(8, 128), 128, {128, 64}, 4, false, false, 0.25f},
      {"dora dropout", dense(DType::kF32), 50, {35}, 5, true, true, 0.5f},
  };
  return all;
}

TEST_F(CudaTrainingLinear, AgainstDouble) {
  for (const LinearCase& test : cases()) check(test, {5, 67, 1, 130});
}

TEST_F(CudaTrainingLinear, WideTiles) {
  check({"wide", affine(4, 64), 256, {1536, 640}, 8}, {150, 170, 77});
}

TEST_F(CudaTrainingLinear, PackedAsAlone) {
  for (const LinearCase& test : cases()) {
    const auto sequences = sequences_of({70, 3, 130});
    const auto weights = weights_for(test);
    const LinearValues values = values_for(test, rows_in(sequences));
    const LinearFound packed = run(test, weights, values, sequences);
    LinearValues next = values;  // the gradients so far go from one sequence to the next
    for (const TrainingSequence& sequence : sequences) {
      next.x = rows_of(values.x, test.in, sequence.begin, sequence.count);
      for (std::size_t i = 0; i < weights.size(); ++i)
        next.projections[i].gradient =
            rows_of(values.projections[i].gradient, test.outs[i], sequence.begin, sequence.count);
      const LinearFound alone = run(test, weights, next, {{0, sequence.count, sequence.record}});
      expect_same_bits(alone.x_gradient,
                       rows_of(packed.x_gradient, test.in, sequence.begin, sequence.count));
      for (std::size_t i = 0; i < weights.size(); ++i) {
        const LinearFound::Projection& f = alone.projections[i];
        expect_same_bits(f.out, rows_of(packed.projections[i].out, test.outs[i], sequence.begin,
                                        sequence.count));
        next.projections[i].a_before = f.a;
        next.projections[i].b_before = f.b;
        next.projections[i].multiplier_before = f.multiplier;
      }
    }
    for (std::size_t i = 0; i < weights.size() && test.rank > 0; ++i) {
      expect_same_bits(next.projections[i].a_before, packed.projections[i].a);
      expect_same_bits(next.projections[i].b_before, packed.projections[i].b);
      if (test.dora)
        expect_same_bits(next.projections[i].multiplier_before, packed.projections[i].multiplier);
    }
  }
}

TEST_F(CudaTrainingLinear, RowNorms) {
  const WeightBytes bytes(affine(4, 64), 96, 128, random_);
  const auto weight = cuda_->load_weight(bytes.view()).value();
  const auto a = random_.normals(4 * 128), b = random_.normals(4 * 96, 0.1f);
  const On da(*this, 4, 128, a), db(*this, 4, 96, b), norms(*this, 1, 96);
  const TrainingLora lora{.a = da, .b = db, .scale = 0.7f};
  Double ea(4, 128, a), eb(4, 96, b), expected(1, 96);
  const cpu::LoraPair<double> pair{.a = ea.matrix(), .b = eb.matrix(), .scale = 0.7f};
  ops_->row_norms(*weight, &lora, norms);
  cpu::row_norms(double_, bytes.view(), &pair, expected.matrix().data);
  expect_near(norms.values(), expected.values(), 2e-6, "with a pair");
  ops_->row_norms(*weight, nullptr, norms);
  cpu::row_norms<double>(double_, bytes.view(), nullptr, expected.matrix().data);
  expect_near(norms.values(), expected.values(), 2e-6, "without");
}

/// a [rows, depth] and b, both rounded to bf16, multiplied by one path or the other.
class CudaTrainingProduct : public TrainingFixture {
 protected:
  std::unique_ptr<Buffer> blocks(const On& x, std::int64_t row_blocks, std::int64_t col_blocks,
                                 cuda::Blocks& to) {
    auto buffer = cuda_->allocate(cuda::block_bytes(row_blocks, col_blocks)).value();
    EXPECT_TRUE(cuda_->sync());
    to = {static_cast<unsigned char*>(buffer->data()), static_cast<int>(row_blocks),
          static_cast<int>(col_blocks)};
    const Activation a = x;
    cuda::round_to_blocks(a.data, nullptr, static_cast<int>(a.rows), static_cast<int>(a.cols), to,
                          nullptr);
    return buffer;
  }
  std::vector<float> multiply(const On& a, const On& b, bool depth_rows, cuda::ProductPath path) {
    const Activation left = a, right = b;
    const std::int64_t cols = depth_rows ? right.cols : right.rows;
    cuda::Blocks left_blocks, right_blocks;
    const auto a_buffer =
        blocks(a, cuda::row_blocks_of(left.rows), cuda::blocks_of(left.cols), left_blocks);
    const auto b_buffer =
        blocks(b, cuda::blocks_of(right.rows), cuda::blocks_of(right.cols), right_blocks);
    const On out(*this, left.rows, cols);
    EXPECT_TRUE(cuda_->sync());
    cuda::ProductArgs args;
    args.rows = static_cast<int>(left.rows);
    args.depth_rows = depth_rows;
    args.add_output(Activation(out).data, static_cast<int>(cols));
    args.add_term(left_blocks.data, right_blocks.data, left_blocks.col_blocks);
    cuda::product(args, nullptr, path);
    EXPECT_EQ(cudaStreamSynchronize(nullptr), cudaSuccess);
    return out.values();
  }
};

float to_bf16(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  bits = (bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u;
  std::memcpy(&value, &bits, sizeof bits);
  return value;
}

TEST_F(CudaTrainingProduct, BothPathsAgainstDouble) {
  struct Shape {
    std::int64_t rows, cols, depth;
  };
  for (const Shape& shape : {Shape{1, 8, 16}, Shape{65, 70, 72}, Shape{129, 200, 130},
                             Shape{300, 700, 320}, Shape{260, 2304, 128}, Shape{385, 3100, 64}})
    for (const bool depth_rows : {false, true}) {
      const auto& [rows, cols, depth] = shape;
      const auto a = random_.normals(rows * depth), b = random_.normals(cols * depth);
      std::vector<double> expected(static_cast<std::size_t>(rows * cols));
      for (std::int64_t row = 0; row < rows; ++row)
        for (std::int64_t col = 0; col < cols; ++col) {
          double sum = 0;
          for (std::int64_t k = 0; k < depth; ++k)
            sum += static_cast<double>(to_bf16(a[static_cast<std::size_t>(row * depth + k)])) *
                   static_cast<double>(to_bf16(
                       b[static_cast<std::size_t>(depth_rows ? k * cols + col : col * depth + k)]));
          expected[static_cast<std::size_t>(row * cols + col)] = sum;
        }
      const On da(*this, rows, depth, a);
      const On db(*this, depth_rows ? depth : cols, depth_rows ? cols : depth, b);
      const std::string of = std::to_string(rows) + " x " + std::to_string(cols) + " x " +
                             std::to_string(depth) + (depth_rows ? " by rows" : "");
      for (const auto path : {cuda::ProductPath::kPlain, cuda::ProductPath::kFastest})
        expect_near(multiply(da, db, depth_rows, path), expected, 1e-5,
                    of + (path == cuda::ProductPath::kPlain ? ", plain" : ", fastest"));
    }
}

/// The tile that an element lies in follows the number of rows; its bits do not.
TEST_F(CudaTrainingProduct, AnyNumberOfRowsGivesTheSameBits) {
  for (const bool depth_rows : {false, true}) {
    const std::int64_t cols = 2304, depth = 192;
    const auto a = random_.normals(390 * depth), b = random_.normals(cols * depth);
    const On db(*this, depth_rows ? depth : cols, depth_rows ? cols : depth, b);
    const On all(*this, 390, depth, a);
    const auto expected = multiply(all, db, depth_rows, cuda::ProductPath::kFastest);
    for (const std::int64_t rows : {1, 100, 130, 260}) {
      const On some(*this, rows, depth, rows_of(a, depth, 390 - rows, rows));
      expect_same_bits(multiply(some, db, depth_rows, cuda::ProductPath::kFastest),
                       rows_of(expected, cols, 390 - rows, rows));
    }
  }
}

}  // namespace
}  // namespace bobby::test
