// Writes an adapter as llama.cpp reads it (gguf_adapter.cpp has the layout). One alpha serves every
// module and is a float32: a scale that alpha / rank does not meet is folded into lora_b, unless it
// is the next float, which is left at that and said.

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "gguf/names.h"
#include "gguf/row_order.h"
#include "gguf/writer.h"
#include "lora/adapter_writer.h"
#include "lora/block_path.h"
#include "lora/common_scale.h"
#include "lora/gguf_adapter.h"
#include "lora/transposed.h"

namespace bobby {
namespace {

/// An alpha whose quotient by `rank`, in float32, is `scale`, or comes nearest.
float alpha_of(float scale, std::int64_t rank) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float product = scale * static_cast<float>(rank);
  for (const float alpha :
       {product, std::nextafter(product, kInfinity), std::nextafter(product, -kInfinity)})
    if (alpha / static_cast<float>(rank) == scale) return alpha;
  return product;
}

/// Makes every module's scale alpha / rank; what that changed goes into `written`.
void meet_alpha(Adapter& adapter, float alpha, AdapterWritten& written) {
  // Two neighbouring floats are at most 2^-23 of themselves apart.
  constexpr double kNextFloat = 0x1p-22;
  std::int64_t folded = 0;
  std::int64_t off = 0;
  const AdapterModule* example = nullptr;
  for (AdapterModule& module : adapter.modules) {
    const float met = alpha / static_cast<float>(module.rank);
    const double ratio = static_cast<double>(module.scale) / static_cast<double>(met);
    if (met != module.scale && std::abs(ratio - 1.0) < kNextFloat) {
      ++off;
      example = &module;
    } else {
      multiply_b(module, ratio, folded);
    }
  }
  if (folded > 0) written.inexact.push_back(folded_sentence(folded));
  if (off > 0)
    written.inexact.push_back(
        "alpha / rank comes to " + shortest_json(alpha / static_cast<float>(example->rank)).dump() +
        ", the float next to the "
        "scale " +
        shortest_json(example->scale).dump() + " of " + std::to_string(off) + " modules of rank " +
        std::to_string(example->rank) + " (1e-7 of it)");
}

/// The rows of b in the file's order.
std::vector<float> paired_b(const AdapterModule& module, std::int64_t head_dim) {
  std::vector<float> paired(module.b.size());
  const std::vector<std::int64_t> source = paired_row_source(module.out_features, head_dim);
  for (std::size_t row = 0; row < source.size(); ++row)
    std::copy_n(module.b.begin() + static_cast<std::ptrdiff_t>(row) * module.rank, module.rank,
                paired.begin() + source[row] * module.rank);
  return paired;
}

Result<std::string_view> architecture_of(const BaseFacts& base) {
  if (const auto name = gguf_architecture(base.model_type)) return *name;
  return fail({.code = ErrorCode::kUnsupported,
               .where = "the base's model_type '" + base.model_type + "'",
               .problem = "has no GGUF names here",
               .expected = "llama, mistral, qwen2 or qwen3"});
}

Result<void> check(const Adapter& adapter, std::string_view architecture, const BaseFacts& base) {
  if (adapter.dora)
    return fail({.code = ErrorCode::kUnsupported,
                 .where = "DoRA",
                 .problem = "has no place in a GGUF adapter, which holds no magnitudes"});
  std::vector<Error> problems;
  for (const AdapterModule& module : adapter.modules) {
    if (!gguf_name(module.path))
      problems.push_back({.code = ErrorCode::kUnsupported,
                          .where = module.path,
                          .problem = "has no name in GGUF"});
    else if (has_paired_rows(architecture, module.path) &&
             (base.head_dim % 2 != 0 || module.out_features % base.head_dim != 0))
      problems.push_back({.code = ErrorCode::kMismatch,
                          .where = module.path,
                          .problem = "is not made of whole heads of the base"});
  }
  if (!problems.empty()) return fail(join_errors(std::move(problems)));
  return {};
}

}  // namespace

Result<AdapterWritten> write_gguf_adapter(Adapter& adapter, const AdapterTarget& target) {
  const BaseFacts& base = *target.base;
  BOBBY_TRY(const std::string_view architecture, architecture_of(base));
  BOBBY_CHECK(check(adapter, architecture, base));
  const float scale = common_scale(adapter.modules);
  const float alpha =
      alpha_of(scale, std::max<std::int64_t>(1, common_rank(adapter.modules, scale)));
  if (alpha == 0.0f || !std::isfinite(alpha))
    return fail({.code = ErrorCode::kUnsupported,
                 .where = "scale " + shortest_json(scale).dump(),
                 .problem = "has no alpha in float32; 0 means the scale 1 to llama.cpp"});
  AdapterWritten written{.modules = static_cast<std::int64_t>(adapter.modules.size()),
                         .inexact = {}};
  meet_alpha(adapter, alpha, written);

  GgufWriter writer;
  writer.key(kGgufArchitecture, architecture);
  writer.key(kGgufType, "adapter");
  writer.key(kGgufAdapterType, "lora");
  writer.key(kGgufAlpha, alpha);
  writer.key(std::string(architecture) + std::string(kGgufKeyLength),
             static_cast<std::uint32_t>(base.head_dim));
  if (target.voice_json) writer.key(kGgufVoice, *target.voice_json);
  for (AdapterModule& module : adapter.modules) {
    const std::string name = *gguf_name(module.path);
    if (has_paired_rows(architecture, module.path)) module.b = paired_b(module, base.head_dim);
    const bool embedding = module.path == kEmbeddingPath;
    if (embedding) module.a = transposed(module.a, module.rank, module.in_features);
    const std::array of_a = {embedding ? module.in_features : module.rank,
                             embedding ? module.rank : module.in_features};
    writer.tensor(name + std::string(kGgufA), of_a, module.a);
    writer.tensor(name + std::string(kGgufB), std::array{module.out_features, module.rank},
                  module.b);
  }
  BOBBY_CHECK(writer.write(target.path));
  return written;
}

}  // namespace bobby
