// Plain C++: every processor. Vectors are arrays of sixteen, worked on out of line: inlined into
// every shape of product they cost minutes of compile time and gain little.
#include "backends/cpu/linear/kernels.h"

namespace bobby::cpu {
namespace {

struct V {
  struct I32 {
    std::int32_t lane[16];
  };
  struct F32 {
    float lane[16];
  };
  struct Words {
    std::uint16_t word[32];
  };

  static I32 zero_i() { return {}; }
  static F32 zero_f() { return {}; }
  static Words load_words(const unsigned char* bytes) {
    Words words;
    __builtin_memcpy(words.word, bytes, sizeof words.word);
    return words;
  }
  template <int kBits>
  [[gnu::noinline]] static Words spread(const unsigned char* bytes) {
    Words words;
    for (int i = 0; i < 32; i += 8, bytes += kBits) {  // eight values fill kBits bytes
      std::uint64_t string = 0;
      __builtin_memcpy(&string, bytes, kBits);
      for (int j = 0; j < 8; ++j) {
        words.word[i + j] =
            static_cast<std::uint16_t>((string >> (j * kBits)) & ((1u << kBits) - 1));
      }
    }
    return words;
  }
  template <int kBits, int kField>
  [[gnu::noinline]] static Words field(Words words) {
    if constexpr (kBits == 16) return words;
    for (int i = 0; i < 32; ++i) {
      words.word[i] =
          static_cast<std::uint16_t>((words.word[i] >> (kField * kBits)) & ((1u << kBits) - 1));
    }
    return words;
  }
  template <int kLanes>
  [[gnu::noinline]] static I32 dot(I32 acc, const Words& words, const std::int16_t* x) {
    for (int i = 0; i < 16; ++i) {
      acc.lane[i] += static_cast<std::int16_t>(words.word[2 * i]) * x[2 * i] +
                     static_cast<std::int16_t>(words.word[2 * i + 1]) * x[2 * i + 1];
    }
    return acc;
  }
  template <int kLanes>
  [[gnu::noinline]] static I32 reduce(const I32* v) {
    I32 sums = {};
    for (int g = 0; g < 16; ++g) {
      for (int i = 0; i < kLanes; ++i) {
        sums.lane[g] += v[(g * kLanes + i) / 16].lane[(g * kLanes + i) % 16];
      }
    }
    return sums;
  }
  [[gnu::noinline]] static F32 to_float(const I32& a) {
    F32 out;
    for (int i = 0; i < 16; ++i) out.lane[i] = static_cast<float>(a.lane[i]);
    return out;
  }
  static F32 mul(const F32& a, const F32& b) {
    F32 out;
    for (int i = 0; i < 16; ++i) out.lane[i] = a.lane[i] * b.lane[i];
    return out;
  }
  static F32 add(const F32& a, const F32& b) {
    F32 out;
    for (int i = 0; i < 16; ++i) out.lane[i] = a.lane[i] + b.lane[i];
    return out;
  }
  [[gnu::noinline]] static F32 fma(const F32& a, const F32& b, const F32& c) {
    F32 out;
    for (int i = 0; i < 16; ++i) out.lane[i] = __builtin_fmaf(a.lane[i], b.lane[i], c.lane[i]);
    return out;
  }
  static F32 load_f(const float* values) {
    F32 out;
    __builtin_memcpy(out.lane, values, sizeof out.lane);
    return out;
  }
  template <int kType>
  [[gnu::noinline]] static F32 load_as(const unsigned char* bytes) {
    F32 out;
    if constexpr (kType == kF32) {
      __builtin_memcpy(out.lane, bytes, sizeof out.lane);
    } else {
      std::uint16_t bits[16];
      __builtin_memcpy(bits, bytes, sizeof bits);
      for (int i = 0; i < 16; ++i) out.lane[i] = kType == kBF16 ? bf16(bits[i]) : f16(bits[i]);
    }
    return out;
  }
  [[gnu::noinline]] static float fold(F32 a) {
    for (int half = 8; half > 0; half /= 2) {
      for (int i = 0; i < half; ++i) a.lane[i] += a.lane[i + half];
    }
    return a.lane[0];
  }

 private:
  static float from_bits(std::uint32_t bits) {
    float value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
  }
  static float bf16(std::uint16_t bits) { return from_bits(std::uint32_t{bits} << 16); }
  // Exact: the exponent is moved by a multiplication with 2^112, which also normalises subnormals.
  static float f16(std::uint16_t bits) {
    const std::uint32_t sign = (bits & 0x8000u) << 16;
    const std::uint32_t magnitude = (bits & 0x7fffu) << 13;
    if (magnitude >= 0x0f800000u) return from_bits(sign | 0x70000000u | magnitude);  // inf, NaN
    const float value = from_bits(magnitude) * 0x1p112f;
    return sign != 0 ? -value : value;
  }
};

}  // namespace
}  // namespace bobby::cpu

#include "backends/cpu/linear/kernel_body.h"

namespace bobby::cpu {
const LinearKernels kPortableKernels = {"portable", false, pack, quant, quant_scratch, dense, lora};
}  // namespace bobby::cpu
