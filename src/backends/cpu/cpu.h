#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "backends/backend.h"

namespace bobby {

/// Instruction sets that the CPU kernels are written for, slowest first.
enum class CpuIsa { kPortable, kNeon, kNeonDotprod, kNeonI8mm, kAvx2, kAvx512, kAvx512Vnni, kAmx };

/// "portable", "neon", "neon-dotprod", "neon-i8mm", "avx2", "avx512", "avx512-vnni", "amx": the
/// values of --isa and BOBBY_CPU_ISA.
std::string_view isa_name(CpuIsa isa);
std::optional<CpuIsa> parse_isa(std::string_view name);

/// The sets that this build holds and this processor runs, slowest first; never empty.
std::vector<CpuIsa> available_isas();

/// How linear() rounds its input for the product with a quantised weight, group by group of the
/// weight's: to 15 bits, or to 8, which is faster for several rows and costs about a hundred times
/// the error (a product's about 1%). Dense weights and LoRA see fp32 in either.
enum class ActivationFormat { kQ15, kInt8 };

struct CpuOptions {
  int threads = 0;                 ///< 0: as many as the processor has cores for this process
  std::optional<CpuIsa> isa = {};  ///< unset: the best of available_isas(), or BOBBY_CPU_ISA
  ActivationFormat activations = ActivationFormat::kQ15;
};

/// The CPU backend. kUnsupported when the asked-for instruction set is not available here.
Result<std::unique_ptr<Backend>> make_cpu_backend(const CpuOptions& options = {});

}  // namespace bobby
