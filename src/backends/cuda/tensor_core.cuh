#pragma once

// Hopper's own instructions: barriers that count arriving bytes, bulk copies into shared memory,
// and products of a whole warpgroup with one operand in registers. Compiled for sm_90a alone.

#include <cstdint>
#include <cuda_runtime.h>

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define BOBBY_WGMMA 1
#endif

namespace bobby::cuda {

#ifdef __CUDACC__

__device__ inline std::uint32_t shared_address(const void* pointer) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

#ifdef BOBBY_WGMMA

__device__ inline void barrier_init(std::uint64_t* barrier, unsigned arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)),
               "r"(arrivals));
}

__device__ inline void barrier_arrive(std::uint64_t* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier))
               : "memory");
}

/// Arrives, and lets the phase end only when `bytes` more have come.
__device__ inline void barrier_expect(std::uint64_t* barrier, unsigned bytes) {
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
      "r"(bytes)
      : "memory");
}

__device__ inline void barrier_wait(std::uint64_t* barrier, unsigned parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@done bra.uni over;\n"
      "bra.uni again;\n"
      "over:\n"
      "}\n" ::"r"(shared_address(barrier)),
      "r"(parity)
      : "memory");
}

/// Copies `bytes` (a multiple of 16) to shared memory; `barrier` counts them as they come.
__device__ inline void bulk_copy(void* to, const void* from, unsigned bytes,
                                 std::uint64_t* barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(shared_address(to)),
      "l"(from), "r"(bytes), "r"(shared_address(barrier))
      : "memory");
}

/// Orders the writes of barrier_init() before the copy engine's use of the barriers.
__device__ inline void barrier_init_done() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

template <int Registers>
__device__ inline void grow_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Registers));
}
template <int Registers>
__device__ inline void shrink_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Registers));
}

/// A tile of rows of kRowBytes (64 or 128) in the swizzle of that width; K runs along a row. Adding
/// n to it moves 16 n bytes along the rows.
template <int kRowBytes>
__device__ inline std::uint64_t tile_descriptor(const void* tile) {
  constexpr std::uint64_t kEightRows = 8 * kRowBytes >> 4;
  return ((shared_address(tile) & 0x3ffffu) >> 4) | (1ull << 16) | (kEightRows << 32) |
         ((kRowBytes == 128 ? 1ull : 2ull) << 62);
}

__device__ inline void wgmma_begin() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ inline void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int Left>
__device__ inline void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Left) : "memory");
}

// The accumulators of a product as the operands of its instruction.
#define BOBBY_D4(c, d, i) "+" c(d[i]), "+" c(d[i + 1]), "+" c(d[i + 2]), "+" c(d[i + 3])
#define BOBBY_D8(c, d, i) BOBBY_D4(c, d, i), BOBBY_D4(c, d, i + 4)
#define BOBBY_D16(c, d, i) BOBBY_D8(c, d, i), BOBBY_D8(c, d, i + 8)
#define BOBBY_D32(c, d, i) BOBBY_D16(c, d, i), BOBBY_D16(c, d, i + 16)
#define BOBBY_D64(c, d, i) BOBBY_D32(c, d, i), BOBBY_D32(c, d, i + 32)
#define BOBBY_N8 "%0,%1,%2,%3,%4,%5,%6,%7"
#define BOBBY_N16 BOBBY_N8 ",%8,%9,%10,%11,%12,%13,%14,%15"
#define BOBBY_N32 BOBBY_N16 ",%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define BOBBY_N64                                                                     \
  BOBBY_N32                                                                           \
  ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51," \
  "%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"

/// d (+)= a b: a [64, 32] unsigned bytes in registers, b [32, N] signed bytes, d [64, N] integers,
/// of which a lane holds N / 2 as mma.m16n8 does, one 8 columns after the other. `keep` 0: d = a b.
#define BOBBY_WGMMA_U8(N, COUNT, LIST, A0, A1, A2, A3, B, P)                                   \
  __device__ inline void wgmma_u8(int(&d)[COUNT], const unsigned(&a)[4], std::uint64_t b,      \
                                  int keep) {                                                  \
    asm volatile("{.reg .pred p; setp.ne.b32 p, " P                                            \
                 ", 0; "                                                                       \
                 "wgmma.mma_async.sync.aligned.m64n" N "k32.s32.u8.s8 {" LIST "}, {" A0 "," A1 \
                 "," A2 "," A3 "}, " B ", p;}"                                                 \
                 : BOBBY_D##COUNT("r", d, 0)                                                   \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(keep));             \
  }
BOBBY_WGMMA_U8("32", 16, BOBBY_N16, "%16", "%17", "%18", "%19", "%20", "%21")
BOBBY_WGMMA_U8("64", 32, BOBBY_N32, "%32", "%33", "%34", "%35", "%36", "%37")
BOBBY_WGMMA_U8("128", 64, BOBBY_N64, "%64", "%65", "%66", "%67", "%68", "%69")
#undef BOBBY_WGMMA_U8

/// The same for 16-bit floats: a [64, 16], b [16, N], d [64, N] in fp32.
#define BOBBY_WGMMA_16(NAME, TYPE, N, COUNT, LIST, A0, A1, A2, A3, B, P)                  \
  __device__ inline void NAME(float(&d)[COUNT], const unsigned(&a)[4], std::uint64_t b,   \
                              int keep) {                                                 \
    asm volatile("{.reg .pred p; setp.ne.b32 p, " P                                       \
                 ", 0; "                                                                  \
                 "wgmma.mma_async.sync.aligned.m64n" N "k16.f32." TYPE "." TYPE " {" LIST \
                 "}, {" A0 "," A1 "," A2 "," A3 "}, " B ", p, 1, 1, 0;}"                  \
                 : BOBBY_D##COUNT("f", d, 0)                                              \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(keep));        \
  }
BOBBY_WGMMA_16(wgmma_f16, "f16", "128", 64, BOBBY_N64, "%64", "%65", "%66", "%67", "%68", "%69")
BOBBY_WGMMA_16(wgmma_bf16, "bf16", "128", 64, BOBBY_N64, "%64", "%65", "%66", "%67", "%68", "%69")
#undef BOBBY_WGMMA_16

#endif  // BOBBY_WGMMA
#endif  // __CUDACC__

}  // namespace bobby::cuda
