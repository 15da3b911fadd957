#pragma once

// The kernels, once, over a vector type V: one of ../ops with what quantising asks for on top:
//
//   load_bf16(from), load_f16(from)               kLanes numbers, at any alignment
//   select(a, b, then, other)     a > b ? then : other, lane by lane; a NaN is not greater
//   magnitude(x), truncate(x), nearest_even(x)    of any finite x and of infinity
//   store_levels(to, x)           whole numbers 0 .. 255, one a byte
//   Squares                       sixteen doubles: add<part>(v) adds the squares of vector `part`
//   of
//                                 sixteen numbers; store(out)
//   pack<kBits>(levels, out)      32 levels → 4 * kBits bytes
//
// The rule of ../ops/ops_body.h holds: builtins and templates over V only.

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "backends/cpu/quantize/kernels.h"

namespace bobby::cpu {

template <typename V>
struct QuantizeBody {
  using Reg = typename V::Reg;
  using Element = QuantizeRow::Element;
  static constexpr int kSums = 16;
  static constexpr float kSmallestScale = 1e-7f;

  template <Element kElement>
  static Reg load(const std::byte* row, std::int64_t column) {
    if constexpr (kElement == Element::kBf16) return V::load_bf16(row + 2 * column);
    if constexpr (kElement == Element::kF16) return V::load_f16(row + 2 * column);
    if constexpr (kElement == Element::kF32)
      return V::load(reinterpret_cast<const float*>(row + 4 * column));
  }

  template <Element kElement>
  static bool ranges(const QuantizeRow& row, const QuantizeGroups& groups) {
    Reg finite = V::set1(0);  // x * 0, summed: NaN after the first x that is no number
    const std::int64_t count = row.cols / row.group_size;
    for (std::int64_t group = 0; group < count; ++group) {
      const std::int64_t begin = group * row.group_size;
      Reg low = load<kElement>(row.weight, begin);
      Reg high = low;
      for (std::int64_t i = begin; i < begin + row.group_size; i += V::kLanes) {
        const Reg x = load<kElement>(row.weight, i);
        low = V::min(low, x);
        high = V::max(high, x);
        finite = V::add(finite, V::mul(x, V::set1(0)));
      }
      groups.low[group] = -V::largest(V::sub(V::set1(0), low));
      groups.high[group] = V::largest(high);
    }
    return V::sum(finite) == 0;
  }

  static Reg nearest_away(Reg x) {
    const Reg whole = V::truncate(x);
    const Reg step = V::select(x, V::set1(0), V::set1(1), V::set1(-1));
    const Reg rest = V::magnitude(V::sub(x, whole));
    return V::add(whole, V::select(V::set1(0.5f), rest, V::set1(0), step));
  }

  static void scales_of(Reg low, Reg high, Reg levels, bool away, Reg& scale, Reg& bias) {
    const Reg zero = V::set1(0);
    if (away) high = V::max(high, zero);
    const Reg step = V::max(V::div(V::sub(high, low), levels), V::set1(kSmallestScale));
    const Reg low_size = V::magnitude(low);
    const Reg high_size = V::magnitude(high);
    scale = V::select(low_size, high_size, step, V::sub(zero, step));
    const Reg edge = V::select(low_size, high_size, low, high);
    const Reg ratio = V::div(edge, scale);
    const Reg zero_level = away ? nearest_away(ratio) : V::nearest_even(ratio);
    const Reg size = V::magnitude(zero_level);
    scale = V::select(size, zero, V::div(edge, zero_level), scale);
    bias = V::select(size, zero, edge, zero);
  }

  static void scales(const QuantizeRow& row, const QuantizeGroups& groups) {
    const Reg levels = V::set1(static_cast<float>((1 << row.bits) - 1));
    const std::int64_t count = row.cols / row.group_size;
    for (std::int64_t i = 0; i < count; i += V::kLanes) {
      const std::int64_t rest = count - i;
      const std::int64_t lanes = rest < V::kLanes ? rest : V::kLanes;
      Reg scale;
      Reg bias;
      scales_of(V::load_n(groups.low + i, lanes), V::load_n(groups.high + i, lanes), levels,
                row.away, scale, bias);
      V::store_n(groups.scale + i, scale, lanes);
      V::store_n(groups.bias + i, bias, lanes);
    }
  }

  /// What one group is quantised with.
  struct Group {
    Reg scale;
    Reg bias;
    Reg stored;
    Reg top;
  };

  /// Sums over a row.
  struct Sums {
    typename V::Squares error;
    typename V::Squares weight;
    Reg largest = V::set1(0);
  };

  template <int kPart, bool kAway>
  static void levels_of(Reg x, const Group& group, std::uint8_t* levels, Sums& sums) {
    // A NaN is 0 / 0, from a scale that underflowed beside a huge bias: max() makes it 0.
    Reg level = V::div(V::sub(x, group.bias), group.scale);
    level = V::min(V::max(level, V::set1(0)), group.top);
    if constexpr (kAway) {
      const Reg whole = V::truncate(level);
      level = V::select(V::set1(0.5f), V::sub(level, whole), whole, V::add(whole, V::set1(1)));
    } else {
      level = V::round(level);
    }
    V::store_levels(levels, level);
    const Reg error = V::sub(x, V::add(V::mul(group.stored, level), group.bias));
    sums.largest = V::max(V::magnitude(error), sums.largest);
    sums.error.template add<kPart>(error);
    sums.weight.template add<kPart>(x);
  }

  /// Sixteen numbers from `column`, a vector after the other.
  template <Element kElement, bool kAway, int kPart = 0>
  static void sixteen(const QuantizeRow& row, std::int64_t column, const Group& group,
                      std::uint8_t* levels, Sums& sums) {
    if constexpr (kPart * V::kLanes < kSums) {
      const std::int64_t at = column + kPart * V::kLanes;
      levels_of<kPart, kAway>(load<kElement>(row.weight, at), group, levels + at, sums);
      sixteen<kElement, kAway, kPart + 1>(row, column, group, levels, sums);
    }
  }

  static double folded(const typename V::Squares& squares) {
    double sums[kSums];
    squares.store(sums);
    for (int half = kSums / 2; half > 0; half /= 2)
      for (int i = 0; i < half; ++i) sums[i] += sums[i + half];
    return sums[0];
  }

  template <Element kElement, bool kAway>
  static QuantizeSums levels(const QuantizeRow& row, const QuantizeGroups& groups,
                             std::uint8_t* levels) {
    Sums sums;
    const std::int64_t count = row.cols / row.group_size;
    for (std::int64_t g = 0; g < count; ++g) {
      const Group group = {.scale = V::set1(groups.scale[g]),
                           .bias = V::set1(groups.bias[g]),
                           .stored = V::set1(groups.stored[g]),
                           .top = V::set1(static_cast<float>((1 << row.bits) - 1))};
      const std::int64_t begin = g * row.group_size;
      for (std::int64_t i = begin; i < begin + row.group_size; i += kSums)
        sixteen<kElement, kAway>(row, i, group, levels, sums);
    }
    return {.error = folded(sums.error),
            .weight = folded(sums.weight),
            .largest = V::largest(sums.largest)};
  }

  template <Element kElement>
  static QuantizeSums levels(const QuantizeRow& row, const QuantizeGroups& groups,
                             std::uint8_t* to) {
    return row.away ? levels<kElement, true>(row, groups, to)
                    : levels<kElement, false>(row, groups, to);
  }

  template <int kBits>
  static void pack(const std::uint8_t* levels, std::int64_t count, std::byte* out) {
    for (std::int64_t i = 0; i < count; i += 32, out += 4 * kBits)
      V::template pack<kBits>(levels + i, out);
  }

  static bool ranges_any(const QuantizeRow& row, const QuantizeGroups& groups) {
    switch (row.element) {
      case Element::kF32: return ranges<Element::kF32>(row, groups);
      case Element::kF16: return ranges<Element::kF16>(row, groups);
      default: return ranges<Element::kBf16>(row, groups);
    }
  }

  static QuantizeSums levels_any(const QuantizeRow& row, const QuantizeGroups& groups,
                                 std::uint8_t* to) {
    switch (row.element) {
      case Element::kF32: return levels<Element::kF32>(row, groups, to);
      case Element::kF16: return levels<Element::kF16>(row, groups, to);
      default: return levels<Element::kBf16>(row, groups, to);
    }
  }

  static void pack_any(const std::uint8_t* levels, std::int64_t count, int bits, std::byte* out) {
    switch (bits) {
      case 2: return pack<2>(levels, count, out);
      case 3: return pack<3>(levels, count, out);
      case 4: return pack<4>(levels, count, out);
      case 5: return pack<5>(levels, count, out);
      case 6: return pack<6>(levels, count, out);
      default: __builtin_memcpy(out, levels, static_cast<std::size_t>(count));
    }
  }

  static constexpr QuantizeKernels table() {
    return {.ranges = ranges_any, .scales = scales, .levels = levels_any, .pack = pack_any};
  }
};

}  // namespace bobby::cpu
