#include "backends/cpu/isa.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <string>
#include <utility>

namespace bobby {
namespace {

constexpr std::array<std::pair<CpuIsa, std::string_view>, 5> kNames = {{
    {CpuIsa::kPortable, "portable"},
    {CpuIsa::kNeon, "neon"},
    {CpuIsa::kAvx2, "avx2"},
    {CpuIsa::kAvx512, "avx512"},
    {CpuIsa::kAvx512Vnni, "avx512-vnni"},
}};

std::string available_names() {
  std::vector<std::string_view> names;
  for (const CpuIsa isa : available_isas()) names.push_back(isa_name(isa));
  return fmt::format("one of {}", fmt::join(names, ", "));
}

}  // namespace

std::string_view isa_name(CpuIsa isa) {
  return std::ranges::find(kNames, isa, &std::pair<CpuIsa, std::string_view>::first)->second;
}

std::optional<CpuIsa> parse_isa(std::string_view name) {
  const auto* found = std::ranges::find(kNames, name, &std::pair<CpuIsa, std::string_view>::second);
  if (found == kNames.end()) return std::nullopt;
  return found->first;
}

std::vector<CpuIsa> available_isas() {
  std::vector<CpuIsa> isas = {CpuIsa::kPortable};
#if defined(__x86_64__)
  // Each set is everything that its files are compiled for (see the CMakeLists.txt); the compiler's
  // run time has also asked the system whether it saves the registers.
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
      !__builtin_cpu_supports("f16c"))
    return isas;
  isas.push_back(CpuIsa::kAvx2);
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
    return isas;
  isas.push_back(CpuIsa::kAvx512);
  if (__builtin_cpu_supports("avx512vnni")) isas.push_back(CpuIsa::kAvx512Vnni);
#elif defined(__aarch64__)
  isas.push_back(CpuIsa::kNeon);  // every 64-bit ARM processor has it
#endif
  return isas;
}

namespace cpu {

Result<CpuIsa> select_isa(std::optional<CpuIsa> asked) {
  const std::vector<CpuIsa> available = available_isas();
  std::string where = "--isa";
  if (const char* name = std::getenv("BOBBY_CPU_ISA"); !asked && name && *name) {
    where = "BOBBY_CPU_ISA";
    asked = parse_isa(name);
    if (!asked)
      return fail({.code = ErrorCode::kUsage,
                   .where = where,
                   .problem = "is not the name of an instruction set",
                   .expected = available_names(),
                   .found = fmt::format("'{}'", name)});
  }
  if (!asked) return available.back();
  if (std::ranges::find(available, *asked) == available.end())
    return fail({.code = ErrorCode::kUnsupported,
                 .where = where,
                 .problem = "this processor or this build does not have the instruction set",
                 .expected = available_names(),
                 .found = std::string(isa_name(*asked))});
  return *asked;
}

const CpuOps& ops_for(CpuIsa isa) {
#if defined(__x86_64__)
  if (isa == CpuIsa::kAvx2) return kAvx2Ops;
  if (isa == CpuIsa::kAvx512 || isa == CpuIsa::kAvx512Vnni) return kAvx512Ops;
#endif
  return kPortableOps;
}

}  // namespace cpu
}  // namespace bobby
