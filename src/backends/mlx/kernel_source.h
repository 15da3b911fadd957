#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace bobby::mlx_backend {

struct KernelFile {
  std::string_view name;  ///< "row_product.cuh"
  std::string_view text;
};

/// kernels/*.cuh; written by the build.
std::span<const KernelFile> kernel_files();

/// Some of them one behind the other, as MLX compiles them: without #include, comments and
/// indentation, since it copies and hashes a kernel's text each time that it is called.
std::string kernel_source(std::initializer_list<std::string_view> names);

}  // namespace bobby::mlx_backend
