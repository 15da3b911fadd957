#pragma once

// Instructions of tensor cores and clusters that the kernels of training use beside those of
// ../tensor_core.cuh.

#include <cstdint>

#include "backends/cuda/tensor_core.cuh"

namespace bobby::cuda {

#ifdef __CUDACC__

/// The block's dynamic shared memory.
__device__ inline unsigned char* dynamic_shared() {
  extern __shared__ __align__(1024) unsigned char dynamic_shared_memory[];
  return dynamic_shared_memory;
}

/// Two numbers rounded to bf16: `low` in the lower half.
__device__ inline unsigned pack_bf16(float low, float high) {
  unsigned packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}

/// The nearest tf32, as a float.
__device__ inline float to_tf32(float value) {
  unsigned bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
  return __uint_as_float(bits);
}

/// Four 8 x 8 matrices of 16-bit numbers: lane l gives the address of row l % 8 of matrix l / 8.
__device__ inline void load_matrices(unsigned (&to)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(row))
               : "memory");
}
__device__ inline void load_transposed(unsigned (&to)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(row))
               : "memory");
}

/// c += a b: a [16, 16], b [16, 8], in bf16.
__device__ inline void mma_bf16(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
      "{%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// c += a b: a [16, 8], b [8, 8], in tf32.
__device__ inline void mma_tf32(float (&c)[4], const float (&a)[4], float b0, float b1) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
      "{%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
        "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b0)), "r"(__float_as_uint(b1)));
}

#ifdef BOBBY_WGMMA

__device__ inline unsigned cluster_rank() {
  unsigned rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

/// All threads of the cluster; what they wrote before is seen after.
__device__ inline void cluster_sync() {
  asm volatile(
      "barrier.cluster.arrive.release;\n"
      "barrier.cluster.wait.acquire;\n" ::
          : "memory");
}

/// Arrives at the same barrier of block `rank` of the cluster.
__device__ inline void barrier_arrive_at(std::uint64_t* barrier, unsigned rank) {
  asm volatile(
      "{\n"
      ".reg .b32 remote;\n"
      "mapa.shared::cluster.u32 remote, %0, %1;\n"
      "mbarrier.arrive.shared::cluster.b64 _, [remote];\n"
      "}\n" ::"r"(shared_address(barrier)),
      "r"(rank)
      : "memory");
}

/// bulk_copy() to the same place in every block of `mask`, where the same barrier counts.
__device__ inline void bulk_copy_to_all(void* to, const void* from, unsigned bytes,
                                        std::uint64_t* barrier, unsigned short mask) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], "
      "[%1], %2, [%3], %4;" ::"r"(shared_address(to)),
      "l"(from), "r"(bytes), "r"(shared_address(barrier)), "h"(mask)
      : "memory");
}

/// Blocks, one after the other, of which the instruction takes 16 rows: those are the depth. Adding
/// 128 to it moves 16 rows on.
__device__ inline std::uint64_t depth_rows_descriptor(const void* blocks) {
  constexpr std::uint64_t kNextBlock = 8192 >> 4;
  constexpr std::uint64_t kEightRows = 1024 >> 4;
  return ((shared_address(blocks) & 0x3ffffu) >> 4) | (kNextBlock << 16) | (kEightRows << 32) |
         (1ull << 62);
}

#define BOBBY_D128(c, d, i) BOBBY_D64(c, d, i), BOBBY_D64(c, d, i + 64)
#define BOBBY_N128                                                                               \
  BOBBY_N64                                                                                      \
  ",%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,%80,%81,%82,%83,%84,%85,%86" \
  ",%87,%88,%89,%90,%91,%92,%93,%94,%95,%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107" \
  ",%108,%109,%110,%111,%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125"   \
  ",%126,%127"

/// d (+)= a b, both in shared memory, bf16: a [64, 16], b [16, N]; kDepthRows: b's rows are the
/// depth. `keep` 0: d = a b.
#define BOBBY_WGMMA_BLOCKS(N, COUNT, LIST, A, B, P)                                              \
  template <bool kDepthRows>                                                                     \
  __device__ inline void wgmma_blocks(float(&d)[COUNT], std::uint64_t a, std::uint64_t b,        \
                                      int keep) {                                                \
    asm volatile("{.reg .pred p; setp.ne.b32 p, " P                                              \
                 ", 0; "                                                                         \
                 "wgmma.mma_async.sync.aligned.m64n" N "k16.f32.bf16.bf16 {" LIST "}, " A ", " B \
                 ", p, 1, 1, 0, " BOBBY_PLACE_##COUNT ";}"                                       \
                 : BOBBY_D##COUNT("f", d, 0)                                                     \
                 : "l"(a), "l"(b), "r"(keep), "n"(kDepthRows ? 1 : 0));                          \
  }
#define BOBBY_PLACE_32 "%35"
#define BOBBY_PLACE_64 "%67"
#define BOBBY_PLACE_128 "%131"
BOBBY_WGMMA_BLOCKS("64", 32, BOBBY_N32, "%32", "%33", "%34")
BOBBY_WGMMA_BLOCKS("128", 64, BOBBY_N64, "%64", "%65", "%66")
BOBBY_WGMMA_BLOCKS("256", 128, BOBBY_N128, "%128", "%129", "%130")
#undef BOBBY_WGMMA_BLOCKS

#endif  // BOBBY_WGMMA
#endif  // __CUDACC__

}  // namespace bobby::cuda
