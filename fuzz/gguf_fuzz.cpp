// Bytes as a GGUF file, and as an adapter's. Whatever they are, reading ends; what was read fits
// its own shapes. Seeds: a file of `bobby adapter export --to gguf` of a tiny model.
//   gguf_fuzz NEW_INPUTS seeds

#include <cstdint>
#include <cstdlib>
#include <string>

#include "gguf/gguf.h"
#include "lora/adapter.h"
#include "lora/delta_norm.h"

namespace {

using namespace bobby;

void require(bool condition) {
  if (!condition) std::abort();
}

void read_container(std::span<const std::byte> bytes) {
  const auto file = GgufFile::parse(bytes, "input");
  if (!file) return require(!file.error().to_string().empty());
  for (const GgufTensor& tensor : file->tensors()) {
    require(!tensor.shape.empty() && tensor.shape.size() <= 4);
    if (!tensor.data.empty())
      require(tensor.data.data() >= bytes.data() &&
              tensor.data.data() + tensor.data.size() <= bytes.data() + bytes.size());
  }
}

void read_adapter(std::span<const std::byte> bytes) {
  const auto adapter = parse_gguf_adapter(bytes, "input");
  if (!adapter) return require(!adapter.error().to_string().empty());
  for (const AdapterModule& module : adapter->modules) {
    require(static_cast<std::int64_t>(module.a.size()) == module.rank * module.in_features);
    require(static_cast<std::int64_t>(module.b.size()) == module.out_features * module.rank);
    require(delta_norm(module) >= 0.0);
    const auto ordered = unpaired_b(*adapter, module, 4);
    if (ordered) require(ordered->empty() || ordered->size() == module.b.size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  read_container(bytes);
  read_adapter(bytes);
  return 0;
}
