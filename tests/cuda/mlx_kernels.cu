// The MLX backend's kernels, which MLX compiles at first use on a GPU: here they are only compiled.

#include <cstddef>
#include <cuda_fp16.h>

#include "backends/mlx/kernels/low_rank.cuh"
#include "backends/mlx/kernels/row_attention.cuh"
#include "backends/mlx/kernels/row_product.cuh"

__global__ void mlx_row_product(RowInput x, Matrix matrix, Addend addend, const float* residual,
                                float* y) {
  row_product(x, matrix, addend, residual, matrix.outputs, y);
}

__global__ void mlx_low_rank(RowInput x, const float* a, int ranks, int columns, float* z) {
  low_rank(x, a, ranks, columns, a, 1, z);
}

template <typename Cell, int kHeadDim>
__global__ void mlx_rope_store(RowHeads from, HeadNorm norm, RowPlaces places,
                               LayerCache<Cell> cache, float* q, float* k) {
  rope_store<Cell, kHeadDim, 16>(from, norm, norm, 1e-6f, norm.weight, places, cache, q, k);
}

template <typename Cell, int kHeadDim>
__global__ void mlx_row_attention(const float* q, RowPlaces places, LayerCache<Cell> cache,
                                  float* y) {
  row_attention<Cell, kHeadDim, 16>(q, cache, places, 0.1f, y);
}

template __global__ void mlx_rope_store<__half, 128>(RowHeads, HeadNorm, RowPlaces,
                                                     LayerCache<__half>, float*, float*);
template __global__ void mlx_rope_store<float, 96>(RowHeads, HeadNorm, RowPlaces, LayerCache<float>,
                                                   float*, float*);
template __global__ void mlx_row_attention<__half, 128>(const float*, RowPlaces, LayerCache<__half>,
                                                        float*);
template __global__ void mlx_row_attention<float, 96>(const float*, RowPlaces, LayerCache<float>,
                                                      float*);
