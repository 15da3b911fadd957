#include "backends/cuda/launch.cuh"
#include "backends/cuda/training/instructions.cuh"
#include "backends/cuda/training/row_ops.h"

namespace bobby::cuda {
namespace {

constexpr int kThreads = 256;

/// The four numbers of a thread as one, where all exist.
struct Four {
  float v[4];
};
__device__ inline Four load_four(const float* from) {
  const float4 four = *reinterpret_cast<const float4*>(from);
  return {{four.x, four.y, four.z, four.w}};
}
__device__ inline void store_four(float* to, const Four& four) {
  *reinterpret_cast<float4*>(to) = make_float4(four.v[0], four.v[1], four.v[2], four.v[3]);
}

/// Numbers i to i + 3 of a row; which way they are read hangs on the row's length alone.
__device__ inline Four row_four(const float* row, int i, int cols) {
  if (cols % 4 == 0) return load_four(row + i);
  Four four = {};
#pragma unroll
  for (int j = 0; j < 4; ++j)
    if (i + j < cols) four.v[j] = row[i + j];
  return four;
}
__device__ inline void put_four(float* row, int i, int cols, const Four& four) {
  if (cols % 4 == 0) return store_four(row + i, four);
#pragma unroll
  for (int j = 0; j < 4; ++j)
    if (i + j < cols) row[i + j] = four.v[j];
}

__global__ void __launch_bounds__(kThreads)
    norm_kernel(const float* x, const float* weight, float eps, float* out, int cols) {
  __shared__ float shared[32];
  allow_next();
  begin();
  x += static_cast<long long>(blockIdx.x) * cols;
  out += static_cast<long long>(blockIdx.x) * cols;
  const int first = static_cast<int>(threadIdx.x) * 4;
  float sum = 0.0f;
  for (int i = first; i < cols; i += kThreads * 4) {
    const Four a = row_four(x, i, cols);
#pragma unroll
    for (int j = 0; j < 4; ++j) sum = fmaf(a.v[j], a.v[j], sum);
  }
  sum = block_sum(sum, shared);
  const float factor = 1.0f / sqrtf(sum / static_cast<float>(cols) + eps);
  for (int i = first; i < cols; i += kThreads * 4) {
    Four a = row_four(x, i, cols);
    const Four w = row_four(weight, i, cols);
#pragma unroll
    for (int j = 0; j < 4; ++j) a.v[j] = a.v[j] * factor * w.v[j];
    put_four(out, i, cols, a);
  }
}

/// With f = 1 / sqrt(mean(x^2) + eps) and g = weight * out_gradient:
/// x_gradient += f * g - x * f^3 * sum(g * x) / cols
__global__ void __launch_bounds__(kThreads)
    norm_backward_kernel(const float* x, const float* weight, float eps, const float* out_gradient,
                         float* x_gradient, int cols) {
  __shared__ float shared[32];
  allow_next();
  begin();
  const long long at = static_cast<long long>(blockIdx.x) * cols;
  x += at;
  out_gradient += at;
  x_gradient += at;
  const int first = static_cast<int>(threadIdx.x) * 4;
  float squares = 0.0f;
  float along = 0.0f;
  for (int i = first; i < cols; i += kThreads * 4) {
    const Four a = row_four(x, i, cols);
    const Four w = row_four(weight, i, cols);
    const Four g = row_four(out_gradient, i, cols);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      squares = fmaf(a.v[j], a.v[j], squares);
      along = fmaf(w.v[j] * g.v[j], a.v[j], along);
    }
  }
  squares = block_sum(squares, shared);
  along = block_sum(along, shared);
  const float factor = 1.0f / sqrtf(squares / static_cast<float>(cols) + eps);
  const float back = -factor * factor * factor * along / static_cast<float>(cols);
  for (int i = first; i < cols; i += kThreads * 4) {
    const Four a = row_four(x, i, cols);
    const Four w = row_four(weight, i, cols);
    const Four g = row_four(out_gradient, i, cols);
    Four sum = row_four(x_gradient, i, cols);
#pragma unroll
    for (int j = 0; j < 4; ++j) sum.v[j] += fmaf(a.v[j], back, factor * (w.v[j] * g.v[j]));
    put_four(x_gradient, i, cols, sum);
  }
}

/// Calls f(i) for every number, four of a thread where they lie so.
template <typename F>
__device__ inline void for_each(long long count, const F& f) {
  const long long first = (static_cast<long long>(blockIdx.x) * kThreads + threadIdx.x) * 4;
#pragma unroll
  for (int i = 0; i < 4; ++i)
    if (first + i < count) f(first + i);
}

/// Whether all arrays may be read in fours: the caller's rows begin anywhere.
template <typename... Pointers>
__device__ inline bool aligned(Pointers... pointers) {
  return ((reinterpret_cast<unsigned long long>(pointers) % 16 == 0) && ...);
}

__global__ void __launch_bounds__(kThreads)
    add_kernel(const float* x, const float* y, float* out, long long count) {
  allow_next();
  begin();
  const long long first = (static_cast<long long>(blockIdx.x) * kThreads + threadIdx.x) * 4;
  if (first + 4 <= count && aligned(x, y, out)) {
    Four a = load_four(x + first);
    const Four b = load_four(y + first);
#pragma unroll
    for (int i = 0; i < 4; ++i) a.v[i] += b.v[i];
    return store_four(out + first, a);
  }
  for_each(count, [&](long long i) { out[i] = x[i] + y[i]; });
}

__device__ inline float sigmoid(float x) {
  return 1.0f / (1.0f + expf(-x));
}

__device__ inline float swiglu_of(float gate, float up) {
  return gate * sigmoid(gate) * up;
}

__global__ void __launch_bounds__(kThreads)
    swiglu_kernel(const float* gate, const float* up, float* out, long long count) {
  allow_next();
  begin();
  const long long first = (static_cast<long long>(blockIdx.x) * kThreads + threadIdx.x) * 4;
  if (first + 4 <= count && aligned(gate, up, out)) {
    Four a = load_four(gate + first);
    const Four b = load_four(up + first);
#pragma unroll
    for (int i = 0; i < 4; ++i) a.v[i] = swiglu_of(a.v[i], b.v[i]);
    return store_four(out + first, a);
  }
  for_each(count, [&](long long i) { out[i] = swiglu_of(gate[i], up[i]); });
}

/// With s = sigmoid(gate): the derivative of silu is s * (1 + gate * (1 - s)).
__device__ inline void swiglu_gradients(float gate, float& up, float& gradient) {
  const float s = sigmoid(gate);
  const float slope = s * fmaf(gate, 1.0f - s, 1.0f);
  const float to_gate = gradient * up * slope;
  up = gradient * (gate * s);
  gradient = to_gate;
}

__global__ void __launch_bounds__(kThreads)
    swiglu_backward_kernel(const float* gate, const float* up, const float* out_gradient,
                           float* gate_gradient, float* up_gradient, long long count) {
  allow_next();
  begin();
  const long long first = (static_cast<long long>(blockIdx.x) * kThreads + threadIdx.x) * 4;
  if (first + 4 <= count && aligned(gate, up, out_gradient, gate_gradient, up_gradient)) {
    const Four g = load_four(gate + first);
    Four u = load_four(up + first);
    Four d = load_four(out_gradient + first);
#pragma unroll
    for (int i = 0; i < 4; ++i) swiglu_gradients(g.v[i], u.v[i], d.v[i]);
    store_four(gate_gradient + first, d);
    return store_four(up_gradient + first, u);
  }
  for_each(count, [&](long long i) {
    float u = up[i];
    float d = out_gradient[i];
    swiglu_gradients(gate[i], u, d);
    gate_gradient[i] = d;
    up_gradient[i] = u;
  });
}

__global__ void __launch_bounds__(kThreads)
    angles_kernel(const float* inv_freq, int half, int positions, float* angles) {
  allow_next();
  begin();
  const int index = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (index >= positions * half) return;
  const int position = index / half;
  const int i = index % half;
  const double angle = static_cast<float>(position) * inv_freq[i];
  float* row = angles + static_cast<long long>(position) * 2 * half;
  row[i] = static_cast<float>(cos(angle));
  row[half + i] = static_cast<float>(sin(angle));
}

constexpr int kPairs = kLargestHalf / 32;  // of a lane

/// Columns i and half + i of a head.
struct RopePair {
  float low = 0.0f, high = 0.0f;
  float low_gradient = 0.0f, high_gradient = 0.0f;
  float low_norm = 1.0f, high_norm = 1.0f;
  float cosine = 0.0f, sine = 0.0f;

  __device__ RopePair() {}
  /// The gradients, from those of what was rotated.
  __device__ void turn_back() {
    const float first = low_gradient;
    low_gradient = first * cosine + high_gradient * sine;
    high_gradient = high_gradient * cosine - first * sine;
  }
};

/// A warp a head.
__global__ void __launch_bounds__(kThreads)
    rope_kernel(const __grid_constant__ RopeJob job, const SequenceChunk* chunks) {
  allow_next();
  begin();
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int heads = job.sides[0].heads + job.sides[1].heads;
  const int half = job.half;
  const int dim = 2 * half;
  const SequenceChunk chunk = chunks[blockIdx.y];
  const int number =
      static_cast<int>(blockIdx.x) * (kThreads / 32) + static_cast<int>(threadIdx.x) / 32;
  if (number >= heads * chunk.count) return;
  const int row = number / heads;
  int head = number % heads;
  const RopeSide& side = job.sides[head < job.sides[0].heads ? 0 : 1];
  if (head >= job.sides[0].heads) head -= job.sides[0].heads;
  const long long at = (static_cast<long long>(chunk.begin + row) * side.heads + head) * dim;
  const float* x = side.projected + at;
  const float* angles = job.angles + static_cast<long long>(chunk.position + row) * dim;
  float* to = side.to + at;

  // All that the head needs is asked for at once. Without a norm: factors of one, exactly.
  const float* gradient = job.backward ? side.rotated_gradient + at : x;
  RopePair pairs[kPairs];
#pragma unroll
  for (int j = 0; j < kPairs; ++j) {
    const int i = lane + j * 32;
    if (i >= half) continue;
    RopePair& pair = pairs[j];
    pair.low = x[i];
    pair.high = x[half + i];
    pair.cosine = angles[i];
    pair.sine = angles[half + i];
    if (side.norm) {
      pair.low_norm = side.norm[i];
      pair.high_norm = side.norm[half + i];
    }
    if (job.backward) {
      pair.low_gradient = gradient[i];
      pair.high_gradient = gradient[half + i];
    }
  }
  float factor = 1.0f;
  if (side.norm) {
    float squares = 0.0f;
#pragma unroll
    for (const RopePair& pair : pairs) squares = fmaf(pair.low, pair.low, squares);
#pragma unroll
    for (const RopePair& pair : pairs) squares = fmaf(pair.high, pair.high, squares);
    factor = 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(dim) + job.eps);
  }
  if (job.backward) {
    float along = 0.0f;
#pragma unroll
    for (RopePair& pair : pairs) {
      pair.turn_back();
      along = fmaf(pair.low_norm * pair.low_gradient, pair.low, along);
      along = fmaf(pair.high_norm * pair.high_gradient, pair.high, along);
    }
    if (side.norm) {
      const float back = -factor * factor * factor * warp_sum(along) / static_cast<float>(dim);
#pragma unroll
      for (RopePair& pair : pairs) {
        pair.low_gradient = fmaf(pair.low, back, factor * (pair.low_norm * pair.low_gradient));
        pair.high_gradient = fmaf(pair.high, back, factor * (pair.high_norm * pair.high_gradient));
      }
    }
  }
#pragma unroll
  for (int j = 0; j < kPairs; ++j) {
    const int i = lane + j * 32;
    if (i >= half) continue;
    const RopePair& pair = pairs[j];
    const float first = pair.low * factor * pair.low_norm;
    const float second = pair.high * factor * pair.high_norm;
    to[i] = job.backward ? pair.low_gradient : first * pair.cosine - second * pair.sine;
    to[half + i] = job.backward ? pair.high_gradient : second * pair.cosine + first * pair.sine;
  }
}

__global__ void __launch_bounds__(kThreads)
    scatter_kernel(const float* from, const int* rows, int cols, float* to) {
  allow_next();
  begin();
  const long long row = rows[blockIdx.x];
  const float* source = from + static_cast<long long>(blockIdx.x) * cols;
  for (int i = static_cast<int>(threadIdx.x); i < cols; i += kThreads)
    to[row * cols + i] = source[i];
}

// Losses: a block a row.

constexpr int kLossThreads = 1024;

__device__ inline float block_max(float value, float* shared) {
  value = warp_max(value);
  __syncthreads();
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
  __syncthreads();
  return warp_max(threadIdx.x % 32 < kLossThreads / 32 ? shared[threadIdx.x % 32] : value);
}

__global__ void __launch_bounds__(kLossThreads) loss_kernel(const __grid_constant__ LossJob job) {
  __shared__ float shared[32];
  allow_next();
  begin();
  const int row = static_cast<int>(blockIdx.x);
  const bool real = row < job.rows;
  const float* logits = job.logits + static_cast<long long>(real ? row : 0) * job.vocab;
  float factor = 0.0f;
  float largest = 0.0f;
  if (real) {
    largest = logits[0];
    for (int i = static_cast<int>(threadIdx.x); i < job.vocab; i += kLossThreads)
      largest = fmaxf(largest, logits[i]);
    largest = block_max(largest, shared);
    float sum = 0.0f;
    for (int i = static_cast<int>(threadIdx.x); i < job.vocab; i += kLossThreads)
      sum += expf(logits[i] - largest);
    sum = block_sum(sum, shared);
    factor = job.weights[row] / sum;
    if (threadIdx.x == 0)
      job.losses[row] = log(static_cast<double>(sum)) + static_cast<double>(largest) -
                        static_cast<double>(logits[job.targets[row]]);
  }
  if (!job.gradient.data) return;
  const int target = real ? job.targets[row] : -1;
  const int pieces = job.gradient.col_blocks * 8;
  for (int piece = static_cast<int>(threadIdx.x); piece < pieces; piece += kLossThreads) {
    float values[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int col = piece * 8 + i;
      values[i] = real && col < job.vocab ? expf(logits[col] - largest) * factor : 0.0f;
      if (col == target) values[i] -= job.weights[row];
    }
    const long long block =
        static_cast<long long>(row / kBlock) * job.gradient.col_blocks + piece / 8;
    *reinterpret_cast<uint4*>(job.gradient.data + block * kBlockBytes +
                              piece_offset(row % kBlock, piece % 8)) =
        make_uint4(pack_bf16(values[0], values[1]), pack_bf16(values[2], values[3]),
                   pack_bf16(values[4], values[5]), pack_bf16(values[6], values[7]));
  }
}

}  // namespace

void training_norm(const float* x, const float* weight, float eps, float* out, int rows, int cols,
                   cudaStream_t stream) {
  launch(norm_kernel, dim3(static_cast<unsigned>(rows)), kThreads, 0, stream, x, weight, eps, out,
         cols);
}

void training_norm_backward(const float* x, const float* weight, float eps,
                            const float* out_gradient, float* x_gradient, int rows, int cols,
                            cudaStream_t stream) {
  launch(norm_backward_kernel, dim3(static_cast<unsigned>(rows)), kThreads, 0, stream, x, weight,
         eps, out_gradient, x_gradient, cols);
}

void training_add(const float* x, const float* y, float* out, long long count,
                  cudaStream_t stream) {
  launch(add_kernel, dim3(blocks_for(count, kThreads * 4)), kThreads, 0, stream, x, y, out, count);
}

void training_swiglu(const float* gate, const float* up, float* out, long long count,
                     cudaStream_t stream) {
  launch(swiglu_kernel, dim3(blocks_for(count, kThreads * 4)), kThreads, 0, stream, gate, up, out,
         count);
}

void training_swiglu_backward(const float* gate, const float* up, const float* out_gradient,
                              float* gate_gradient, float* up_gradient, long long count,
                              cudaStream_t stream) {
  launch(swiglu_backward_kernel, dim3(blocks_for(count, kThreads * 4)), kThreads, 0, stream, gate,
         up, out_gradient, gate_gradient, up_gradient, count);
}

void make_angles(const float* inv_freq, int half, int positions, float* angles,
                 cudaStream_t stream) {
  launch(angles_kernel, dim3(blocks_for(static_cast<long long>(positions) * half, kThreads)),
         kThreads, 0, stream, inv_freq, half, positions, angles);
}

void training_rope(const RopeJob& job, const SequenceTable& sequences, cudaStream_t stream) {
  const int heads = job.sides[0].heads + job.sides[1].heads;
  launch(rope_kernel,
         dim3(blocks_for(static_cast<long long>(heads) * kChunkRows, kThreads / 32),
              static_cast<unsigned>(sequences.chunk_count)),
         kThreads, 0, stream, job, sequences.chunks);
}

void scatter_rows(const float* from, const int* rows, int count, int cols, float* to,
                  cudaStream_t stream) {
  launch(scatter_kernel, dim3(static_cast<unsigned>(count)), kThreads, 0, stream, from, rows, cols,
         to);
}

void cross_entropy_rows(const LossJob& job, cudaStream_t stream) {
  const int rows = job.gradient.data ? job.gradient.row_blocks * kBlock : job.rows;
  launch(loss_kernel, dim3(static_cast<unsigned>(rows)), kLossThreads, 0, stream, job);
}

}  // namespace bobby::cuda
