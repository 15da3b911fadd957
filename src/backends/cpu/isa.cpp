#include "backends/cpu/isa.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <string>
#include <utility>

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace bobby {
namespace {

constexpr std::array<std::pair<CpuIsa, std::string_view>, 8> kNames = {{
    {CpuIsa::kPortable, "portable"},
    {CpuIsa::kNeon, "neon"},
    {CpuIsa::kNeonDotprod, "neon-dotprod"},
    {CpuIsa::kNeonI8mm, "neon-i8mm"},
    {CpuIsa::kAvx2, "avx2"},
    {CpuIsa::kAvx512, "avx512"},
    {CpuIsa::kAvx512Vnni, "avx512-vnni"},
    {CpuIsa::kAmx, "amx"},
}};

#if defined(__x86_64__)
// AMX's registers are large, and Linux gives them to a process that asks once.
bool has_amx() {
#if defined(__linux__)
  static const bool granted = [] {
    if (!__builtin_cpu_supports("amx-tile") || !__builtin_cpu_supports("amx-int8")) return false;
    constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
    constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
    return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  }();
  return granted;
#else
  return false;
#endif
}
#endif

#if defined(__aarch64__)
// Extensions that come one on top of the other in all processors that have them.
#if defined(__linux__)
bool has_dotprod() {
  constexpr unsigned long kDotProduct = 1ul << 20;  // HWCAP_ASIMDDP
  return (getauxval(AT_HWCAP) & kDotProduct) != 0;
}
bool has_i8mm() {
  constexpr unsigned long kInt8Matrix = 1ul << 13;  // HWCAP2_I8MM
  return (getauxval(AT_HWCAP2) & kInt8Matrix) != 0;
}
#elif defined(__APPLE__)
bool has_feature(const char* name) {
  int value = 0;
  std::size_t size = sizeof value;
  return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
}
bool has_dotprod() {
  return has_feature("hw.optional.arm.FEAT_DotProd");
}
bool has_i8mm() {
  return has_feature("hw.optional.arm.FEAT_I8MM");
}
#else
bool has_dotprod() {
  return false;
}
bool has_i8mm() {
  return false;
}
#endif
#endif

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
  if (!__builtin_cpu_supports("avx512vnni")) return isas;
  isas.push_back(CpuIsa::kAvx512Vnni);
  if (has_amx()) isas.push_back(CpuIsa::kAmx);
#elif defined(__aarch64__)
  isas.push_back(CpuIsa::kNeon);  // every 64-bit ARM processor has it
  if (!has_dotprod()) return isas;
  isas.push_back(CpuIsa::kNeonDotprod);
  if (has_i8mm()) isas.push_back(CpuIsa::kNeonI8mm);
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
  if (isa == CpuIsa::kAvx512 || isa == CpuIsa::kAvx512Vnni || isa == CpuIsa::kAmx)
    return kAvx512Ops;
#elif defined(__aarch64__)
  if (isa != CpuIsa::kPortable) return kNeonOps;
#endif
  return kPortableOps;
}

}  // namespace cpu
}  // namespace bobby
