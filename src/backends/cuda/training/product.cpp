#include "backends/cuda/training/product.h"

#include <cassert>

namespace bobby::cuda {
namespace {

/// Whether the device has the instructions of sm_90a.
bool has_warpgroup_products() {
  static const bool has = [] {
    int device = 0, major = 0, minor = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
    return major == 9 && minor == 0;
  }();
  return has;
}

}  // namespace

ProductOutput& ProductArgs::add_output(float* out, int cols) {
  assert(output_count < kMostOutputs);
  ProductOutput& output = outputs[output_count++];
  output.out = out;
  output.cols = cols;
  output.col_blocks = blocks_of(cols);
  output.first_term = term_count;
  return output;
}

void ProductArgs::add_term(const unsigned char* a, const unsigned char* b, int depth_blocks) {
  assert(output_count > 0 && term_count < kMostTerms);
  terms[term_count++] = {a, b, depth_blocks};
  ++outputs[output_count - 1].terms;
}

void product(ProductArgs args, cudaStream_t stream, ProductPath path) {
  if (args.rows == 0 || args.output_count == 0) return;
  if (path == ProductPath::kFastest && has_warpgroup_products())
    return product_on_warpgroups(args, stream);
  product_on_warps(args, stream);
}

}  // namespace bobby::cuda
