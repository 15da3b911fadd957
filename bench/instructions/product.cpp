// One product of linear() on one thread, for count.py, which counts its instructions:
//   product ISA BITS GROUP COLS ROWS_OF_X LEVEL ROWS
// BITS 16: a dense bf16 weight. LEVEL: q15 or int8. Whatever ROWS is, everything but the product
// takes the same instructions.

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "backends/cpu/linear/linear.h"

namespace {

constexpr std::int64_t kMaxRows = 256;

}  // namespace

int main(int argc, char** argv) {
  using namespace bobby;
  if (argc != 8) return 2;
  const auto isa = parse_isa(argv[1]);
  const int bits = std::atoi(argv[2]);
  const std::int64_t x_rows = std::atoi(argv[5]);
  WeightView view;
  view.format.kind = bits == 16 ? WeightFormat::Kind::kDense : WeightFormat::Kind::kAffine;
  view.format.dtype = DType::kBF16;
  view.format.bits = bits == 16 ? 0 : bits;
  view.format.group_size = bits == 16 ? 0 : std::atoi(argv[3]);
  view.cols = std::atoi(argv[4]);
  view.rows = std::atoi(argv[7]);
  if (!isa || view.rows > kMaxRows) return 2;

  std::vector<std::byte> levels(view.weight_row_bytes() * kMaxRows, std::byte{0x39});
  std::vector<std::byte> scales(static_cast<std::size_t>(view.cols) * 4 * kMaxRows / 32,
                                std::byte{0x3c});
  view.weight = levels.data();
  view.scales = view.biases = scales.data();
  std::vector<float> x(static_cast<std::size_t>(x_rows * view.cols), 0.25f);
  std::vector<float> out(static_cast<std::size_t>(x_rows * kMaxRows));
  const Weight weight(view);
  Projection projection;
  projection.weight = &weight;
  projection.out = {out.data(), x_rows, view.rows};

  ThreadPool pool(1);
  const bool int8 = std::string_view(argv[6]) == "int8";
  cpu::LinearEngine engine(*isa, pool, int8 ? ActivationFormat::kInt8 : ActivationFormat::kQ15);
  std::raise(SIGCONT);  // a tracer's mark; nothing otherwise
  engine.linear({x.data(), x_rows, view.cols}, {&projection, 1});
  std::raise(SIGCONT);
  std::printf("%g\n", out[0]);
}
