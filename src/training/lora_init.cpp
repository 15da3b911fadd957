#include "training/lora_init.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "training/mlx_random.h"

namespace bobby {
namespace {

// named_modules() takes children from a stack, so the last one made comes first.
constexpr std::array<std::string_view, 7> kInBlock = {
    "mlp.up_proj",      "mlp.down_proj",    "mlp.gate_proj",   "self_attn.o_proj",
    "self_attn.v_proj", "self_attn.k_proj", "self_attn.q_proj"};
constexpr std::string_view kBlocks = "model.layers.";
constexpr std::int64_t kAfterBlocks = std::numeric_limits<std::int64_t>::max();

using Place = std::pair<std::int64_t, std::size_t>;  // block, place in it

Result<Place> place_of(std::string_view module) {
  if (module == "lm_head") return Place{kAfterBlocks, 0};
  if (module == "model.embed_tokens") return Place{kAfterBlocks, 1};
  if (module.starts_with(kBlocks)) {
    const std::string_view rest = module.substr(kBlocks.size());
    std::int64_t block = 0;
    const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), block);
    const std::size_t digits = static_cast<std::size_t>(parsed.ptr - rest.data());
    if (parsed.ec == std::errc() && block >= 0 && digits < rest.size() && rest[digits] == '.')
      if (const auto* found = std::ranges::find(kInBlock, rest.substr(digits + 1));
          found != kInBlock.end())
        return Place{block, static_cast<std::size_t>(found - kInBlock.begin())};
  }
  return fail({.code = ErrorCode::kUnsupported,
               .where = "module '" + std::string(module) + "'",
               .problem = "is none that an adapter is trained for",
               .expected = "a linear of a block, lm_head or model.embed_tokens"});
}

}  // namespace

Result<std::vector<std::size_t>> mlx_module_order(std::span<const std::string> modules) {
  std::vector<Place> places;
  places.reserve(modules.size());
  for (const std::string& module : modules) {
    BOBBY_TRY(const Place place, place_of(module));
    places.push_back(place);
  }
  std::vector<std::size_t> order(modules.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return places[i]; });
  return order;
}

Result<void> init_lora_a(std::uint64_t seed, std::span<const LoraA> modules) {
  std::vector<std::string> names;
  names.reserve(modules.size());
  for (const LoraA& each : modules) names.push_back(each.module);
  BOBBY_TRY(const std::vector<std::size_t> order, mlx_module_order(names));
  MlxRandom random(seed);
  for (const std::size_t i : order) {
    const float bound = static_cast<float>(1.0 / std::sqrt(static_cast<double>(modules[i].inputs)));
    random.skip();  // mlx-lm makes a plain layer first, whose weights are then thrown away
    random.uniform(-bound, bound, modules[i].values);
  }
  return {};
}

}  // namespace bobby
