// The operations of training that see rows, and attention and the loss, against the CPU's in
// double.

#include "backends/cpu/training/attention.h"
#include "backends/cpu/training/cross_entropy.h"
#include "backends/cpu/training/rope.h"
#include "backends/cpu/training/row_ops.h"
#include "cuda/training_fixture.h"

namespace bobby::test {
namespace {

constexpr double kExact = 2e-6;      // a few roundings to fp32
constexpr double kBf16 = 6e-3;       // products of numbers of 8 bits
constexpr double kBf16Twice = 1e-2;  // products of what comes out of such

class CudaTrainingOps : public TrainingFixture {};

TEST_F(CudaTrainingOps, Copies) {
  const std::vector<float> values = random_.normals(7 * 5);
  const On x(*this, 7, 5, values);
  const On y(*this, 7, 5);
  ops_->copy(x, y);
  expect_same_bits(y.values(), values);
  ops_->zero(y);
  expect_same_bits(y.values(), std::vector<float>(35, 0.0f));
  ops_->add(x, x, y);
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(y.values()[i], values[i] + values[i]);
}

TEST_F(CudaTrainingOps, Embed) {
  for (const WeightFormat& format : {affine(4, 64), affine(3, 32), dense(DType::kF32)}) {
    const WeightBytes bytes(format, 96, 128, random_);
    const auto table = cuda_->load_weight(bytes.view()).value();
    const std::vector<std::int32_t> tokens = {95, 0, 7, 7};
    const On out(*this, 4, 128);
    ops_->embed(*table, tokens, out);
    Double expected(4, 128);
    cpu::embed(double_, bytes.view(), tokens, expected.matrix());
    expect_near(out.values(), expected.values(), kExact, format.to_string());
  }
}

TEST_F(CudaTrainingOps, Norm) {
  for (const std::int64_t cols : {33, 96, 4096}) {
    const std::int64_t rows = 5;
    const auto x = random_.activations(rows * cols);
    const auto weight = random_.normals(cols);
    const auto gradient = random_.normals(rows * cols);
    const auto before = random_.normals(rows * cols);
    const WeightBytes bytes(dense(DType::kF32), 1, cols, weight);
    const auto loaded = cuda_->load_weight(bytes.view()).value();
    const On dx(*this, rows, cols, x), out(*this, rows, cols), g(*this, rows, cols, gradient),
        x_gradient(*this, rows, cols, before);
    ops_->rms_norm(dx, *loaded, 1e-6f, out);
    ops_->rms_norm_backward(dx, *loaded, 1e-6f, g, x_gradient);
    Double ex(rows, cols, x), eout(rows, cols), eg(rows, cols, gradient),
        egradient(rows, cols, before), eweight(1, cols, weight);
    cpu::rms_norm(double_, ex.matrix(), eweight.matrix().data, 1e-6, eout.matrix());
    cpu::rms_norm_backward(double_, ex.matrix(), eweight.matrix().data, 1e-6, eg.matrix(),
                           egradient.matrix());
    expect_near(out.values(), eout.values(), kExact, "out, " + std::to_string(cols));
    expect_near(x_gradient.values(), egradient.values(), kExact,
                "gradient, " + std::to_string(cols));
  }
}

TEST_F(CudaTrainingOps, Swiglu) {
  for (const std::int64_t cols : {31, 192}) {
    const std::int64_t rows = 6;
    const auto gate = random_.activations(rows * cols);
    const auto up = random_.normals(rows * cols);
    const auto gradient = random_.normals(rows * cols);
    const On g(*this, rows, cols, gate), u(*this, rows, cols, up), out(*this, rows, cols),
        d(*this, rows, cols, gradient), g_gradient(*this, rows, cols);
    ops_->swiglu(g, u, out);
    ops_->swiglu_backward(g, u, d, g_gradient, d);  // in place, as a block does
    Double eg(rows, cols, gate), eu(rows, cols, up), eout(rows, cols), ed(rows, cols, gradient),
        eg_gradient(rows, cols);
    cpu::swiglu(double_, eg.matrix(), eu.matrix(), eout.matrix());
    cpu::swiglu_backward(double_, eg.matrix(), eu.matrix(), ed.matrix(), eg_gradient.matrix(),
                         ed.matrix());
    expect_near(out.values(), eout.values(), kExact, "out");
    expect_near(g_gradient.values(), eg_gradient.values(), kExact, "gate's");
    expect_near(d.values(), ed.values(), kExact, "up's");
  }
}

TEST_F(CudaTrainingOps, Rope) {
  for (const std::int64_t half : {5, 64})
    for (const bool normed : {false, true}) {
      const auto sequences = sequences_of({3, 70, 1});
      const std::int64_t rows = rows_in(sequences), heads = 3, kv_heads = 1, dim = 2 * half;
      const auto q = random_.normals(rows * heads * dim),
                 k = random_.normals(rows * kv_heads * dim);
      const auto q_gradient = random_.normals(rows * heads * dim);
      const auto k_gradient = random_.normals(rows * kv_heads * dim);
      const auto norm = random_.normals(dim);
      std::vector<float> frequencies(static_cast<std::size_t>(half));
      for (std::size_t i = 0; i < frequencies.size(); ++i)
        frequencies[i] = std::pow(0.7f, static_cast<float>(i));
      const WeightBytes norm_bytes(dense(DType::kF32), 1, dim, norm);
      const WeightBytes frequency_bytes(dense(DType::kF32), 1, half, frequencies);
      const auto norm_weight = cuda_->load_weight(norm_bytes.view()).value();
      const auto frequency_weight = cuda_->load_weight(frequency_bytes.view()).value();
      const On dq(*this, rows, heads * dim, q), dk(*this, rows, kv_heads * dim, k),
          q_out(*this, rows, heads * dim), k_out(*this, rows, kv_heads * dim),
          qg(*this, rows, heads * dim, q_gradient), kg(*this, rows, kv_heads * dim, k_gradient);
      TrainingRope rope{.q_projected = dq,
                        .k_projected = dk,
                        .q = q_out,
                        .k = k_out,
                        .q_norm = normed ? norm_weight.get() : nullptr,
                        .k_norm = normed ? norm_weight.get() : nullptr,
                        .rms_norm_eps = 1e-6f,
                        .inv_freq = frequency_weight.get(),
                        .sequences = sequences};
      ops_->rope(rope);
      const auto q_found = q_out.values(), k_found = k_out.values();
      rope.q = qg;
      rope.k = kg;
      ops_->rope_backward(rope, qg, kg);
      const auto check = [&](std::int64_t count, const std::vector<float>& from,
                             const std::vector<float>& gradient, const std::vector<float>& found,
                             const std::vector<float>& found_gradient, const std::string& what) {
        Double projected(rows, count * dim, from), rotated(rows, count * dim),
            turned(rows, count * dim, gradient), weight(1, dim, norm);
        cpu::RopeArgs<double> args{.projected = projected.matrix(),
                                   .rotated = rotated.matrix(),
                                   .norm = normed ? weight.matrix().data : nullptr,
                                   .eps = 1e-6f,
                                   .inv_freq = frequencies,
                                   .sequences = sequences};
        cpu::rope(double_, args);
        expect_near(found, rotated.values(), kExact, what);
        args.rotated = turned.matrix();
        cpu::rope_backward(double_, args, turned.matrix());
        expect_near(found_gradient, turned.values(), kExact, what + "'s gradient");
      };
      check(heads, q, q_gradient, q_found, qg.values(), "q");
      check(kv_heads, k, k_gradient, k_found, kg.values(), "k");
    }
}

/// q, k, v and the gradient of out, rows by heads.
struct AttentionValues {
  std::vector<float> q, k, v, gradient;
};

class CudaTrainingAttention : public TrainingFixture {
 protected:
  struct Found {
    std::vector<float> out, q, k, v;
  };
  Found run(const AttentionValues& values, const std::vector<TrainingSequence>& sequences,
            std::int64_t heads, std::int64_t kv_heads, std::int64_t dim) {
    const std::int64_t rows = rows_in(sequences);
    const On q(*this, rows, heads * dim, values.q), k(*this, rows, kv_heads * dim, values.k),
        v(*this, rows, kv_heads * dim, values.v), out(*this, rows, heads * dim),
        gradient(*this, rows, heads * dim, values.gradient), qg(*this, rows, heads * dim),
        kg(*this, rows, kv_heads * dim), vg(*this, rows, kv_heads * dim);
    const TrainingAttention args{.q = q,
                                 .k = k,
                                 .v = v,
                                 .out = out,
                                 .head_dim = dim,
                                 .scale = 1.0f / std::sqrt(static_cast<float>(dim)),
                                 .sequences = sequences};
    ops_->attention(args);
    ops_->attention_backward(args, {.out = gradient, .q = qg, .k = kg, .v = vg});
    return {out.values(), qg.values(), kg.values(), vg.values()};
  }
  AttentionValues values_for(std::int64_t rows, std::int64_t heads, std::int64_t kv_heads,
                             std::int64_t dim) {
    return {random_.normals(rows * heads * dim, 2.0f), random_.normals(rows * kv_heads * dim),
            random_.normals(rows * kv_heads * dim), random_.normals(rows * heads * dim)};
  }
};

TEST_F(CudaTrainingAttention, AgainstDouble) {
  struct Shape {
    std::int64_t heads, kv_heads, dim;
  };
  for (const Shape& shape : {Shape{3, 1, 10}, Shape{4, 2, 48}, Shape{2, 1, 64}, Shape{4, 1, 128}}) {
    const auto sequences = sequences_of({1, 63, 130, 64});
    const std::int64_t rows = rows_in(sequences);
    const auto& [heads, kv_heads, dim] = shape;
    const AttentionValues values = values_for(rows, heads, kv_heads, dim);
    const Found found = run(values, sequences, heads, kv_heads, dim);
    Double q(rows, heads * dim, values.q), k(rows, kv_heads * dim, values.k),
        v(rows, kv_heads * dim, values.v), out(rows, heads * dim),
        gradient(rows, heads * dim, values.gradient), qg(rows, heads * dim),
        kg(rows, kv_heads * dim), vg(rows, kv_heads * dim);
    const cpu::AttentionArgs<double> args{.q = q.matrix(),
                                          .k = k.matrix(),
                                          .v = v.matrix(),
                                          .out = out.matrix(),
                                          .head_dim = dim,
                                          .scale = 1.0f / std::sqrt(static_cast<float>(dim)),
                                          .sequences = sequences};
    cpu::attention(double_, args);
    cpu::attention_backward<double>(
        double_, args,
        {.out = gradient.matrix(), .q = qg.matrix(), .k = kg.matrix(), .v = vg.matrix()});
    const std::string of = ", heads of " + std::to_string(dim);
    expect_near(found.out, out.values(), kBf16Twice, "out" + of);
    expect_near(found.q, qg.values(), kBf16Twice, "q's" + of);
    expect_near(found.k, kg.values(), kBf16Twice, "k's" + of);
    expect_near(found.v, vg.values(), kBf16Twice, "v's" + of);
  }
}

TEST_F(CudaTrainingAttention, PackedAsAlone) {
  const std::int64_t heads = 2, kv_heads = 1, dim = 64;
  const auto sequences = sequences_of({5, 100, 70});
  const AttentionValues values = values_for(rows_in(sequences), heads, kv_heads, dim);
  const Found packed = run(values, sequences, heads, kv_heads, dim);
  for (const TrainingSequence& sequence : sequences) {
    const auto part = [&](const std::vector<float>& all, std::int64_t cols) {
      return rows_of(all, cols, sequence.begin, sequence.count);
    };
    const Found alone = run({part(values.q, heads * dim), part(values.k, kv_heads * dim),
                             part(values.v, kv_heads * dim), part(values.gradient, heads * dim)},
                            sequences_of({sequence.count}), heads, kv_heads, dim);
    expect_same_bits(alone.out, part(packed.out, heads * dim));
    expect_same_bits(alone.q, part(packed.q, heads * dim));
    expect_same_bits(alone.k, part(packed.k, kv_heads * dim));
    expect_same_bits(alone.v, part(packed.v, kv_heads * dim));
  }
}

TEST_F(CudaTrainingOps, CrossEntropy) {
  struct Shape {
    std::int64_t rows, hidden, vocab;
    DType dtype;
  };
  for (const Shape& shape : {Shape{9, 40, 97, DType::kBF16}, Shape{200, 128, 640, DType::kF32}}) {
    const auto& [rows, hidden, vocab, dtype] = shape;
    const auto x = random_.normals(rows * hidden, 2.0f);
    const WeightBytes bytes(dense(dtype), vocab, hidden, random_);
    const auto head = cuda_->load_weight(bytes.view()).value();
    std::vector<std::int32_t> targets;
    std::vector<float> weights;
    for (std::int64_t row = 0; row < rows; ++row) {
      targets.push_back(static_cast<std::int32_t>(random_.integer(vocab)));
      weights.push_back(row % 3 == 1 ? 0.0f : 0.01f * static_cast<float>(row + 1));
    }
    const On dx(*this, rows, hidden, x), gradient(*this, rows, hidden);
    const auto count = static_cast<std::size_t>(rows);
    std::vector<double> losses(count), alone(count), expected(count);
    ASSERT_TRUE(ops_->cross_entropy({.x = dx,
                                     .head = head.get(),
                                     .targets = targets,
                                     .weights = weights,
                                     .row_loss = losses,
                                     .x_gradient = gradient}));
    ASSERT_TRUE(ops_->cross_entropy({.x = dx,
                                     .head = head.get(),
                                     .targets = targets,
                                     .weights = weights,
                                     .row_loss = alone,
                                     .x_gradient = {}}));
    EXPECT_EQ(losses, alone);
    Double ex(rows, hidden, x), egradient(rows, hidden);
    cpu::cross_entropy<double>(double_, {.x = ex.matrix(),
                                         .head = &bytes.view(),
                                         .targets = targets,
                                         .weights = weights,
                                         .row_loss = expected,
                                         .x_gradient = egradient.matrix()});
    expect_near({losses.begin(), losses.end()}, expected, kBf16, "losses");
    expect_near(gradient.values(), egradient.values(), kBf16, "gradient");
  }
}

}  // namespace
}  // namespace bobby::test
