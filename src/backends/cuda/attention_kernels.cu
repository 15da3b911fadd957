#include "backends/cuda/head_attention.cuh"

namespace bobby::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;
constexpr int kHeadsAtOnce = 4;

// --- rope and store --------------------------------------------------------------------------

__global__ void angles_kernel(const RowPlace* rows, const float* inv_freq, int half,
                              float2* angles) {
  allow_next();
  begin();
  const int i = static_cast<int>(blockIdx.y) * kThreads + static_cast<int>(threadIdx.x);
  if (i >= half) return;
  const float angle = static_cast<float>(rows[blockIdx.x].position) * inv_freq[i];
  double sine, cosine;
  sincos(static_cast<double>(angle), &sine, &cosine);
  angles[static_cast<long long>(blockIdx.x) * half + i] =
      make_float2(static_cast<float>(cosine), static_cast<float>(sine));
}

/// Normalises and rotates one head in place: lane l the pairs l, l + 32, ...
__device__ void prepare_head(float* x, const float* norm, float eps, const float2* angles, int half,
                             int lane) {
  float factor = 1.0f;
  if (norm) {
    float squares = 0.0f;
    for (int i = lane; i < half; i += 32) {
      squares = fmaf(x[i], x[i], squares);
      squares = fmaf(x[i + half], x[i + half], squares);
    }
    factor = 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(2 * half) + eps);
  }
  for (int i = lane; i < half; i += 32) {
    float first = x[i];
    float second = x[i + half];
    if (norm) {
      first = first * factor * norm[i];
      second = second * factor * norm[i + half];
    }
    const float2 angle = angles[i];
    x[i] = first * angle.x - second * angle.y;
    x[i + half] = second * angle.x + first * angle.y;
  }
}

/// Each lane stores the pairs that it rotated.
__device__ void store_head(const KvLayer& kv, unsigned char* part, int slot, const float* x,
                           int lane) {
  const int half = kv.head_dim / 2;
  const int begin = slot * kv.head_dim;
  float scale = 0.0f;
  if (kv.format == KvFormat::kInt8) {
    float largest = 0.0f;
    bool finite = true;
    for (int i = lane; i < half; i += 32) {
      finite = finite && isfinite(x[i]) && isfinite(x[i + half]);
      largest = fmaxf(largest, fmaxf(fabsf(x[i]), fabsf(x[i + half])));
    }
    largest = warp_max(largest);
    scale = __all_sync(0xffffffffu, finite) ? largest / 127.0f : __int_as_float(0x7fc00000);
    if (lane == 0) scales_of(kv, part)[slot] = scale;
  }
  int saturated = 0;
  for (int i = lane; i < half; i += 32) {
    for (const int at : {i, i + half}) {
      const float value = x[at];
      switch (kv.format) {
        case KvFormat::kF32: reinterpret_cast<float*>(part)[begin + at] = value; break;
        case KvFormat::kF16: {
          saturated += fabsf(value) > kLargestHalf;
          const float fitting = value > kLargestHalf    ? kLargestHalf
                                : value < -kLargestHalf ? -kLargestHalf
                                                        : value;
          reinterpret_cast<__half*>(part)[begin + at] = __float2half_rn(fitting);
          break;
        }
        case KvFormat::kInt8: {
          const float steps =
              scale > 0.0f ? fminf(fmaxf(rintf(value / scale), -127.0f), 127.0f) : 0.0f;
          reinterpret_cast<signed char*>(part)[begin + at] = static_cast<signed char>(steps);
          break;
        }
      }
    }
  }
  if (saturated > 0) atomicAdd(kv.saturated, static_cast<unsigned long long>(saturated));
}

/// A warp a head of q, k or v.
__global__ void rope_kernel(RopeArgs args, KvLayer kv, Places places) {
  allow_next();
  begin();
  const int lane = static_cast<int>(threadIdx.x) % 32;
  int head = static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / 32;
  if (head >= args.heads + 2 * kv.heads) return;
  const RowPlace place = places.rows[blockIdx.y];
  const int half = kv.head_dim / 2;
  const float2* angles = places.angles + static_cast<long long>(blockIdx.y) * half;
  if (head < args.heads) {
    float* q = args.q + (static_cast<long long>(place.row) * args.heads + head) * kv.head_dim;
    prepare_head(q, args.q_norm, args.eps, angles, half, lane);
    return;
  }
  head -= args.heads;
  const int block = places.blocks[place.blocks_begin + place.position / kv.block_tokens];
  const int slot = place.position % kv.block_tokens;
  const int values = head >= kv.heads;
  head -= values * kv.heads;
  const long long at = (static_cast<long long>(place.row) * kv.heads + head) * kv.head_dim;
  if (!values) prepare_head(args.k + at, args.k_norm, args.eps, angles, half, lane);
  store_head(kv, part_of(kv, block, values, head), slot, values ? args.v + at : args.k + at, lane);
}

/// The same for heads of 128, in registers.
template <KvFormat Format>
__global__ void rope_head_kernel(RopeArgs args, KvLayer kv, Places places) {
  allow_next();
  begin();
  const int lane = static_cast<int>(threadIdx.x) % 32;
  int head = static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / 32;
  if (head >= args.heads + 2 * kv.heads) return;
  const RowPlace place = places.rows[blockIdx.y];
  const bool is_q = head < args.heads;
  head -= is_q ? 0 : args.heads;
  const bool is_v = !is_q && head >= kv.heads;
  head -= is_v ? kv.heads : 0;
  const long long at =
      (static_cast<long long>(place.row) * (is_q ? args.heads : kv.heads) + head) * kHeadDim +
      lane % 16 * 8;
  float x[8];
  load_eight((is_q ? args.q : is_v ? args.v : args.k) + at, x);
  if (!is_v) {
    const float* norm = is_q ? args.q_norm : args.k_norm;
    rotate_head(x, norm ? norm + lane % 16 * 8 : nullptr, args.eps,
                places.angles + static_cast<long long>(blockIdx.y) * (kHeadDim / 2), lane);
    if (lane < 16) {
      float4* to = reinterpret_cast<float4*>((is_q ? args.q : args.k) + at);
      to[0] = make_float4(x[0], x[1], x[2], x[3]);
      to[1] = make_float4(x[4], x[5], x[6], x[7]);
    }
  }
  if (is_q) return;
  int saturated = 0;
  const Cells<Format> cells = to_cells<Format>(x, saturated);
  if (lane >= 16) return;
  const int block = places.blocks[place.blocks_begin + place.position / kv.block_tokens];
  store_cells(kv, part_of(kv, block, is_v, head), place.position % kv.block_tokens, cells, lane);
  if (saturated > 0) atomicAdd(kv.saturated, static_cast<unsigned long long>(saturated));
}

// --- attention -------------------------------------------------------------------------------

template <KvFormat Format>
__device__ float cell(const unsigned char* vector, int i) {
  if constexpr (Format == KvFormat::kF32) return reinterpret_cast<const float*>(vector)[i];
  if constexpr (Format == KvFormat::kF16)
    return __half2float(reinterpret_cast<const __half*>(vector)[i]);
  return static_cast<float>(reinterpret_cast<const signed char*>(vector)[i]);
}

template <KvFormat Format>
constexpr int kCellBytes = Format == KvFormat::kF32   ? 4
                           : Format == KvFormat::kF16 ? 2
                                                      : 1;

/// q . k of up to four heads, along the dimensions in order.
template <KvFormat Format>
__device__ void scores_of(const unsigned char* key, const float* q, int q_stride, int count,
                          int head_dim, float (&scores)[kHeadsAtOnce]) {
  const float* rows[kHeadsAtOnce];
#pragma unroll
  for (int h = 0; h < kHeadsAtOnce; ++h) {
    rows[h] = q + min(h, count - 1) * q_stride;
    scores[h] = 0.0f;
  }
  int i = 0;
  if constexpr (Format == KvFormat::kF16) {
    if (head_dim % 8 == 0) {
#pragma unroll 8
      for (; i < head_dim; i += 8) {
        const uint4 words = *reinterpret_cast<const uint4*>(key + i * 2);
        const auto* halves = reinterpret_cast<const __half*>(&words);
#pragma unroll
        for (int h = 0; h < kHeadsAtOnce; ++h) {
          const float4 low = *reinterpret_cast<const float4*>(rows[h] + i);
          const float4 high = *reinterpret_cast<const float4*>(rows[h] + i + 4);
          const float numbers[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
          for (int j = 0; j < 8; ++j)
            scores[h] = fmaf(numbers[j], __half2float(halves[j]), scores[h]);
        }
      }
    }
  }
  for (; i < head_dim; ++i) {
    const float value = cell<Format>(key, i);
#pragma unroll
    for (int h = 0; h < kHeadsAtOnce; ++h) scores[h] = fmaf(rows[h][i], value, scores[h]);
  }
}

/// One row, one head of the cache with its heads of q, one span of positions.
template <KvFormat Format>
__global__ void __launch_bounds__(kThreads)
    span_kernel(AttendArgs args, KvLayer kv, Places places) {
  extern __shared__ __align__(16) float shared[];
  __shared__ unsigned char* values[kSpan];
  __shared__ float value_scales[kSpan];
  allow_next();
  begin();
  const int tid = static_cast<int>(threadIdx.x);
  const int span = static_cast<int>(blockIdx.x);
  const int kv_head = static_cast<int>(blockIdx.y);
  const RowPlace place = places.rows[args.row_begin + static_cast<int>(blockIdx.z)];
  const int length = place.position + 1;
  const int first = span * kSpan;
  if (first >= length) return;
  const int count = min(kSpan, length - first);
  const int spans = (length + kSpan - 1) / kSpan;
  const int group = args.heads / kv.heads;
  const int dim = kv.head_dim;
  float* q = shared;                                                    // [group, dim]
  float* weights = shared + group * dim;                                // [group, kSpan]
  float2* totals = reinterpret_cast<float2*>(weights + group * kSpan);  // [group]

  const float* from =
      args.q + (static_cast<long long>(place.row) * args.heads + kv_head * group) * dim;
  for (int i = tid; i < group * dim; i += kThreads) q[i] = from[i];
  const int slot_of_thread = tid % kSpan;
  unsigned char* key = nullptr;
  float key_scale = 1.0f;
  if (slot_of_thread < count) {
    const int position = first + slot_of_thread;
    const int block = places.blocks[place.blocks_begin + position / kv.block_tokens];
    const int slot = position % kv.block_tokens;
    const long long cells = static_cast<long long>(slot) * dim * kCellBytes<Format>;
    unsigned char* key_part = part_of(kv, block, 0, kv_head);
    unsigned char* value_part = part_of(kv, block, 1, kv_head);
    key = key_part + cells;
    if (Format == KvFormat::kInt8) key_scale = scales_of(kv, key_part)[slot];
    if (tid < kSpan) {
      values[tid] = value_part + cells;
      value_scales[tid] = Format == KvFormat::kInt8 ? scales_of(kv, value_part)[slot] : 1.0f;
    }
  }
  __syncthreads();

  // Two threads a position, each every other head.
  constexpr int kSharers = kThreads / kSpan;
  for (int h = tid / kSpan; h < group; h += kSharers * kHeadsAtOnce) {
    if (slot_of_thread >= count) break;
    float scores[kHeadsAtOnce];
    const int heads = (group - h + kSharers - 1) / kSharers;
    scores_of<Format>(key, q + h * dim, kSharers * dim, min(heads, kHeadsAtOnce), dim, scores);
#pragma unroll
    for (int j = 0; j < kHeadsAtOnce; ++j)
      if (j < heads)
        weights[(h + j * kSharers) * kSpan + slot_of_thread] = scores[j] * key_scale * args.scale;
  }
  __syncthreads();

  const int lane = tid % 32;
  for (int h = tid / 32; h < group; h += kWarps) {
    float* row = weights + h * kSpan;
    const float low = lane < count ? row[lane] : -INFINITY;
    const float high = lane + 32 < count ? row[lane + 32] : -INFINITY;
    const float most = warp_max(fmaxf(low, high));
    const float low_weight = lane < count ? expf(low - most) : 0.0f;
    const float high_weight = lane + 32 < count ? expf(high - most) : 0.0f;
    const float total = warp_sum(low_weight + high_weight);
    row[lane] = low_weight;
    row[lane + 32] = high_weight;
    if (lane == 0) totals[h] = make_float2(most, total);
  }
  __syncthreads();

  for (int d = tid; d < dim; d += kThreads) {
    for (int h = 0; h < group; h += kHeadsAtOnce) {
      float sums[kHeadsAtOnce] = {};
#pragma unroll 16
      for (int p = 0; p < count; ++p) {
        float value = cell<Format>(values[p], d);
        if constexpr (Format == KvFormat::kInt8) value *= value_scales[p];
#pragma unroll
        for (int j = 0; j < kHeadsAtOnce; ++j)
          sums[j] = fmaf(weights[min(h + j, group - 1) * kSpan + p], value, sums[j]);
      }
#pragma unroll
      for (int j = 0; j < kHeadsAtOnce; ++j) {
        if (h + j >= group) break;
        const int head = kv_head * group + h + j;
        if (spans == 1) {
          args.out[(static_cast<long long>(place.row) * args.heads + head) * dim + d] =
              sums[j] / totals[h + j].y;
        } else {
          const long long part =
              (static_cast<long long>(blockIdx.z) * args.heads + head) * args.spans + span;
          args.parts[part * dim + d] = sums[j];
          if (d == 0) args.totals[part] = totals[h + j];
        }
      }
    }
  }
}

__global__ void merge_kernel(AttendArgs args, int dim, Places places) {
  allow_next();
  begin();
  const RowPlace place = places.rows[args.row_begin + static_cast<int>(blockIdx.y)];
  const int spans = (place.position + kSpan) / kSpan;
  if (spans == 1) return;
  const int head = static_cast<int>(blockIdx.x);
  const long long first = (static_cast<long long>(blockIdx.y) * args.heads + head) * args.spans;
  float most = -INFINITY;
  for (int s = 0; s < spans; ++s) most = fmaxf(most, args.totals[first + s].x);
  for (int d = static_cast<int>(threadIdx.x); d < dim; d += kThreads) {
    float sum = 0.0f;
    float total = 0.0f;
#pragma unroll 4
    for (int s = 0; s < spans; ++s) {
      const float2 of_span = args.totals[first + s];
      const float weight = expf(of_span.x - most);
      sum = fmaf(weight, args.parts[(first + s) * dim + d], sum);
      total = fmaf(weight, of_span.y, total);
    }
    args.out[(static_cast<long long>(place.row) * args.heads + head) * dim + d] = sum / total;
  }
}

template <KvFormat Format>
void launch_spans(const AttendArgs& args, const KvLayer& kv, const Places& places,
                  cudaStream_t stream) {
  const int group = args.heads / kv.heads;
  const std::size_t shared =
      static_cast<std::size_t>(group) * static_cast<std::size_t>(kv.head_dim + kSpan + 2) * 4;
  if (shared > 40 * 1024)
    cudaFuncSetAttribute(span_kernel<Format>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                         static_cast<int>(shared));
  const dim3 grid(static_cast<unsigned>(args.spans), static_cast<unsigned>(kv.heads),
                  static_cast<unsigned>(args.row_count));
  launch(span_kernel<Format>, grid, kThreads, shared, stream, args, kv, places);
}

}  // namespace

void rope_angles(const RowPlace* rows, int count, const float* inv_freq, int half, float2* angles,
                 cudaStream_t stream) {
  launch(angles_kernel, dim3(static_cast<unsigned>(count), blocks_for(half, kThreads)), kThreads, 0,
         stream, rows, inv_freq, half, angles);
}

void rope_and_store(const RopeArgs& args, const KvLayer& kv, const Places& places,
                    cudaStream_t stream) {
  const dim3 grid(blocks_for(args.heads + 2 * kv.heads, kWarps),
                  static_cast<unsigned>(places.count));
  if (span_of(kv) == kHeadChunk) {
    if (kv.format == KvFormat::kF16)
      launch(rope_head_kernel<KvFormat::kF16>, grid, kThreads, 0, stream, args, kv, places);
    else
      launch(rope_head_kernel<KvFormat::kInt8>, grid, kThreads, 0, stream, args, kv, places);
    return;
  }
  launch(rope_kernel, grid, kThreads, 0, stream, args, kv, places);
}

void attend(const AttendArgs& args, const KvLayer& kv, const Places& places, cudaStream_t stream) {
  switch (kv.format) {
    case KvFormat::kF32: launch_spans<KvFormat::kF32>(args, kv, places, stream); break;
    case KvFormat::kF16: launch_spans<KvFormat::kF16>(args, kv, places, stream); break;
    case KvFormat::kInt8: launch_spans<KvFormat::kInt8>(args, kv, places, stream); break;
  }
  if (args.spans > 1)
    launch(merge_kernel,
           dim3(static_cast<unsigned>(args.heads), static_cast<unsigned>(args.row_count)), kThreads,
           0, stream, args, kv.head_dim, places);
}

}  // namespace bobby::cuda
