#include "app/device.h"

#include <charconv>
#include <fmt/format.h>
#include <string>
#include <vector>

#include "app/suggest.h"
#include "backends/cpu/cpu.h"
#include "backends/cpu/quantize.h"
#ifdef BOBBY_CUDA
#include "backends/cuda/cuda.h"
#endif
#ifdef BOBBY_MLX
#include "backends/mlx/mlx.h"
#endif
#include "backends/reference/reference.h"

namespace bobby {

Result<DeviceName> parse_device(std::string_view text) {
  using Kind = DeviceName::Kind;
  if (text == "cpu") return DeviceName{Kind::kCpu};
  if (text == "reference") return DeviceName{Kind::kReference};
  if (text == "mlx") return DeviceName{Kind::kMlx};
  if (text == "mlx:cpu") return DeviceName{Kind::kMlx, 0, true};
  if (text == "cuda") return DeviceName{Kind::kCuda};
  if (text.starts_with("cuda:")) {
    const std::string_view digits = text.substr(5);
    int index = -1;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
    if (error == std::errc() && end == digits.data() + digits.size() && index >= 0)
      return DeviceName{Kind::kCuda, index};
  }
  const std::vector<std::string> known = {"cpu", "reference", "cuda", "mlx"};
  return fail({.code = ErrorCode::kUsage,
               .where = "--device",
               .problem = "no such device",
               .expected = "cpu, reference, cuda[:N] or mlx[:cpu]",
               .found = fmt::format("\"{}\"", text),
               .hint = did_you_mean(text, known)});
}

namespace {

Result<std::unique_ptr<Backend>> make_named_backend(const Settings& settings) {
  BOBBY_TRY(const DeviceName device, parse_device(settings.text(Opt::kDevice)));
  switch (device.kind) {
    case DeviceName::Kind::kReference: return make_reference_backend();
    case DeviceName::Kind::kCpu: return make_host_backend(settings);
    case DeviceName::Kind::kCuda:
#ifdef BOBBY_CUDA
      return make_cuda_backend({.device = device.index});
#else
      return fail({.code = ErrorCode::kUnsupported,
                   .where = fmt::format("--device {}", settings.text(Opt::kDevice)),
                   .problem = "this build has no CUDA backend",
                   .hint = "build it with -DBOBBY_CUDA=ON; --device cpu works everywhere"});
#endif
    case DeviceName::Kind::kMlx:
#ifdef BOBBY_MLX
      return make_mlx_backend(
          {.device = device.host ? MlxOptions::Device::kCpu : MlxOptions::Device::kBest});
#else
      return fail({.code = ErrorCode::kUnsupported,
                   .where = fmt::format("--device {}", settings.text(Opt::kDevice)),
                   .problem = "this build has no MLX backend",
                   .hint =
                       "build it with -DBOBBY_MLX=ON: on a Mac the preset macos-metal does, see "
                       "docs/guides/apple-silicon.md; --device cpu works everywhere"});
#endif
  }
  return fail({.code = ErrorCode::kInternal, .problem = "a device without a case"});
}

}  // namespace

Result<std::unique_ptr<Backend>> make_backend(const Settings& settings) {
  BOBBY_TRY(std::unique_ptr<Backend> backend, make_named_backend(settings));
  if (settings.flag(Opt::kStages)) backend = make_timed_backend(std::move(backend));
  return backend;
}

Result<QuantizeRows> make_row_quantizer(const Settings& settings) {
  std::optional<CpuIsa> asked;
  if (settings.given(Opt::kIsa)) asked = parse_isa(settings.text(Opt::kIsa));
  return cpu_quantize_rows(asked);
}

Result<std::unique_ptr<Backend>> make_host_backend(const Settings& settings) {
  CpuOptions options{.threads = static_cast<int>(settings.integer(Opt::kThreads)),
                     .isa = std::nullopt,
                     .activations = settings.text(Opt::kActivations) == "int8"
                                        ? ActivationFormat::kInt8
                                        : ActivationFormat::kQ15};
  if (settings.given(Opt::kIsa)) options.isa = parse_isa(settings.text(Opt::kIsa));
  return make_cpu_backend(options);
}

std::vector<StageTime> take_stages(Backend& backend) {
  auto* timed = dynamic_cast<TimedBackend*>(&backend);
  if (timed == nullptr) return {};
  std::vector<StageTime> stages = timed->stages();
  timed->reset();
  return stages;
}

KvFormat kv_format(const Settings& settings) {
  if (!settings.given(Opt::kKv))
    return settings.text(Opt::kDevice) == "reference" ? KvFormat::kF32 : KvFormat::kF16;
  for (const KvFormat format : {KvFormat::kF32, KvFormat::kInt8})
    if (settings.text(Opt::kKv) == kv_format_name(format)) return format;
  return KvFormat::kF16;
}

std::string_view kv_format_name(KvFormat format) {
  switch (format) {
    case KvFormat::kF32: return "f32";
    case KvFormat::kF16: return "f16";
    case KvFormat::kInt8: return "int8";
  }
  return "?";
}

}  // namespace bobby
