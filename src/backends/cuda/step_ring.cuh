#pragma once

// The ring of shared memory that one thread keeps filling with what its block will read, and how
// blocks wait for each other's numbers.

#include "backends/cuda/launch.cuh"
#include "backends/cuda/step_program.h"
#include "backends/cuda/tile_order.h"

namespace bobby::cuda {

inline constexpr int kQuarterBytes = kQuarterGroups * kTileRecordBytes;  // 9216
inline constexpr int kSlotBytes = 4 * kQuarterBytes;  // 16 rows of a weight, 4096 columns

__device__ inline unsigned shared_address(const void* pointer) {
  return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

// --- numbers that blocks make for each other ---------------------------------------------------

inline constexpr unsigned kUnset = 0xffffffffu;  // a NaN that no operation gives

__device__ inline bool is_set(float value) {
  return __float_as_uint(value) != kUnset;
}
__device__ inline void publish(float* to, float value) {
  if (!is_set(value)) value = __int_as_float(0x7fffffff);
  asm volatile("st.relaxed.gpu.global.f32 [%0], %1;" ::"l"(to), "f"(value) : "memory");
}
__device__ inline void unset(float* to) {
  asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(to), "r"(kUnset) : "memory");
}
__device__ inline float look(const float* from) {
  float value;
  asm volatile("ld.relaxed.gpu.global.f32 %0, [%1];" : "=f"(value) : "l"(from) : "memory");
  return value;
}
__device__ inline void wait_for(const unsigned* counter, unsigned target) {
  unsigned seen;
  do {
    asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(seen) : "l"(counter) : "memory");
  } while (static_cast<int>(seen - target) < 0);
}
__device__ inline void look_at_eight(const float* from, float (&to)[8]) {
  asm volatile("ld.relaxed.gpu.global.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(to[0]), "=f"(to[1]), "=f"(to[2]), "=f"(to[3])
               : "l"(from)
               : "memory");
  asm volatile("ld.relaxed.gpu.global.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(to[4]), "=f"(to[5]), "=f"(to[6]), "=f"(to[7])
               : "l"(from + 4)
               : "memory");
}
__device__ inline bool all_set(const float (&values)[8]) {
  bool set = true;
#pragma unroll
  for (const float value : values) set = set && is_set(value);
  return set;
}

/// A barrier of `threads` threads of the block.
__device__ inline void meet(int barrier, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}

// --- the ring --------------------------------------------------------------------------------

__device__ inline void init_barrier(unsigned long long* barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)),
               "r"(arrivals)
               : "memory");
}

__device__ inline void arrive_at(unsigned long long* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier))
               : "memory");
}

__device__ inline void wait_phase(unsigned barrier, unsigned phase) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra again;\n"
      "}\n" ::"r"(barrier),
      "r"(phase)
      : "memory");
}

/// Where a reader or the writer stands.
struct Cursor {
  int slot = 0;
  unsigned phase = 0;

  __device__ void next(int slots) {
    if (++slot < slots) return;
    slot = 0;
    phase ^= 1;
  }
};

/// Slots of four quarters, each for the four warps that read it. A quarter may be empty; every warp
/// waits for its quarter of every slot and releases it, so that no phase is ever missed.
struct Ring {
  unsigned char* data;       // [slots] of kSlotBytes
  unsigned long long* full;  // [slots, 4]
  unsigned long long* empty;
  int slots;

  __device__ void init() const {
    for (int i = 0; i < slots * 4; ++i) {
      init_barrier(full + i, 1);
      init_barrier(empty + i, 4);
    }
  }
  /// A warp's quarter of the slot at the cursor, once it is there.
  __device__ unsigned char* read(const Cursor& at, int quarter) const {
    wait_phase(shared_address(full + at.slot * 4 + quarter), at.phase);
    return data + at.slot * kSlotBytes + quarter * kQuarterBytes;
  }
  /// A warp has read it.
  __device__ void release(const Cursor& at, int quarter, int lane) const {
    __syncwarp();
    if (lane == 0) arrive_at(empty + at.slot * 4 + quarter);
  }
};

/// The one thread that fills the ring. While its block multiplies, many copies are under way; while
/// it waits for others' numbers few are, since each makes every other access wait longer.
class RingWriter {
 public:
  __device__ RingWriter(const Ring& ring, const int* multiplies, int many, int few)
      : ring_(ring), multiplies_(multiplies), many_(many), few_(few) {
    asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(once_));
    asm volatile("createpolicy.fractional.L2::evict_last.b64 %0, 1.0;" : "=l"(again_));
  }
  /// The next quarter; the fourth completes a slot. `again`: it will be read by others, too.
  __device__ void put(const unsigned char* from, int bytes, bool again = false) {
    const int i = at_.slot * 4 + quarter_;
    wait_phase(shared_address(ring_.empty + i), at_.phase ^ 1);
    const int most = *multiplies_ ? many_ : few_;
    for (++ahead_; ahead_ > most; --ahead_) {
      wait_phase(shared_address(ring_.full + last_.slot * 4 + last_quarter_), last_.phase);
      advance(last_, last_quarter_);
    }
    const unsigned barrier = shared_address(ring_.full + i);
    if (bytes > 0) {
      asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier),
                   "r"(bytes)
                   : "memory");
      asm volatile(
          "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint "
          "[%0], [%1], %2, [%3], %4;" ::"r"(
              shared_address(ring_.data + at_.slot * kSlotBytes + quarter_ * kQuarterBytes)),
          "l"(from), "r"(bytes), "r"(barrier), "l"(again ? again_ : once_)
          : "memory");
    } else {
      asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
    }
    advance(at_, quarter_);
  }

 private:
  __device__ void advance(Cursor& cursor, int& quarter) const {
    if (++quarter < 4) return;
    quarter = 0;
    cursor.next(ring_.slots);
  }

  Ring ring_;
  const volatile int* multiplies_;
  int many_, few_;
  int ahead_ = 0;
  Cursor at_, last_;
  int quarter_ = 0;
  int last_quarter_ = 0;
  unsigned long long once_ = 0;
  unsigned long long again_ = 0;
};

}  // namespace bobby::cuda
