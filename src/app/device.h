#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "app/settings.h"
#include "backends/backend.h"
#include "backends/timed/timed.h"
#include "base/result.h"
#include "tensor/formats/affine.h"

namespace bobby {

/// A --device: "cpu", "reference", "cuda", "cuda:1", "mlx", "mlx:cpu". Naming one does not mean
/// having it.
struct DeviceName {
  enum class Kind { kCpu, kReference, kCuda, kMlx };
  Kind kind = Kind::kCpu;
  int index = 0;      ///< cuda:N
  bool host = false;  ///< mlx:cpu
};

/// kUsage names the nearest known device.
Result<DeviceName> parse_device(std::string_view text);

/// The backend that --device, --threads, --isa and --activations ask for. kUnsupported says how to
/// get a device that this build does not have. The only place that names concrete backends.
/// With --stages its operations are clocked.
Result<std::unique_ptr<Backend>> make_backend(const Settings& settings);

/// The kernels of quantising that --isa, or BOBBY_CPU_ISA, asks for. kUnsupported, kUsage.
Result<QuantizeRows> make_row_quantizer(const Settings& settings);

/// The CPU backend, whatever --device says: for what must be in host memory and in fp32.
Result<std::unique_ptr<Backend>> make_host_backend(const Settings& settings);

/// What the operations of a backend made with --stages took since the last call; of any other,
/// none.
std::vector<StageTime> take_stages(Backend& backend);

/// How --kv asks keys and values to be kept. Unless it is given: f32 on the reference backend,
/// which is there to be compared with, and f16 on any other.
KvFormat kv_format(const Settings& settings);
/// "f32", "f16", "int8": the values of --kv.
std::string_view kv_format_name(KvFormat format);

}  // namespace bobby
