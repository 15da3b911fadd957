#include "backends/cpu/ops/vector_portable.h"
#include "backends/cpu/quantize/quantize_body.h"

namespace bobby::cpu {
namespace {

struct Portable : VectorPortable {
  typedef double Doubles __attribute__((vector_size(32)));

  static Reg bits_of(Ints bits) {
    Reg v;
    std::memcpy(&v, &bits, sizeof v);
    return v;
  }
  static Ints bits_of(Reg v) {
    Ints bits;
    std::memcpy(&bits, &v, sizeof bits);
    return bits;
  }

  static Reg load_bf16(const std::byte* from) {
    typedef std::uint16_t Halves __attribute__((vector_size(8)));
    Halves halves;
    std::memcpy(&halves, from, sizeof halves);
    return bits_of(__builtin_convertvector(halves, Ints) << 16);
  }
  static Reg load_f16(const std::byte* from) {
    std::uint16_t halves[kLanes];
    std::memcpy(halves, from, sizeof halves);
    return load_half_n(halves, kLanes);
  }
  static Reg select(Reg a, Reg b, Reg then, Reg other) { return a > b ? then : other; }
  static Reg magnitude(Reg x) { return bits_of(bits_of(x) & 0x7fffffff); }
  static Reg truncate(Reg x) {
    // Beyond 2^23 every float is whole; within, the conversion is defined.
    const Reg size = magnitude(x);
    const Reg small = set1(0x1p23f) > size ? x : set1(0);
    const Reg whole = __builtin_convertvector(__builtin_convertvector(small, Ints), Reg);
    return set1(0x1p23f) > size ? whole : x;
  }
  static Reg nearest_even(Reg x) {
    const Reg magic =
        x > set1(0) ? set1(0x1p23f) : set1(-0x1p23f);  // leaves no room for a fraction
    return set1(0x1p23f) > magnitude(x) ? (x + magic) - magic : x;
  }
  static void store_levels(std::uint8_t* to, Reg v) {
    typedef std::uint8_t Bytes __attribute__((vector_size(4)));
    const Bytes bytes = __builtin_convertvector(__builtin_convertvector(v, Ints), Bytes);
    std::memcpy(to, &bytes, sizeof bytes);
  }

  struct Squares {
    Doubles sums[4] = {};
    template <int kPart>
    void add(Reg v) {
      const Doubles wide = __builtin_convertvector(v, Doubles);
      sums[kPart] += wide * wide;
    }
    void store(double* out) const { std::memcpy(out, sums, sizeof sums); }
  };

  template <int kBits>
  static void pack(const std::uint8_t* levels, std::byte* out) {
    for (int i = 0; i < 32; i += 8, out += kBits) {
      std::uint64_t string = 0;
      for (int j = 0; j < 8; ++j)
        string |= static_cast<std::uint64_t>(levels[i + j]) << (kBits * j);
      std::memcpy(out, &string, kBits);  // little-endian machines only, as the file format
    }
  }
};

}  // namespace

constinit const QuantizeKernels kPortableQuantize = QuantizeBody<Portable>::table();

}  // namespace bobby::cpu
