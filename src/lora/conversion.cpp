#include "lora/conversion.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <utility>

#include "base/safetensors_error.h"
#include "lora/adapter_writer.h"
#include "lora/block_path.h"
#include "lora/transposed.h"
#include "tensor/formats/dense.h"

namespace bobby {
namespace {

AdapterModule* find_module(Adapter& adapter, std::string_view path) {
  const auto found = std::find_if(adapter.modules.begin(), adapter.modules.end(),
                                  [&](const AdapterModule& module) { return module.path == path; });
  return found == adapter.modules.end() ? nullptr : &*found;
}

Error other_architecture(const Adapter& adapter, std::string_view model_type) {
  return {.code = ErrorCode::kMismatch,
          .where = "the base",
          .problem = "has another architecture",
          .expected = adapter.architecture,
          .found = std::string(model_type)};
}

/// What the base's config.json contradicts.
Result<void> check_base(const Adapter& adapter, const BaseFacts& base) {
  std::vector<Error> problems;
  if (!adapter.may_adapt(base.model_type))
    problems.push_back(other_architecture(adapter, base.model_type));
  for (const AdapterModule& module : adapter.modules) {
    const BlockPath block = block_path(module.path);
    if (block.layer && *block.layer >= base.num_hidden_layers)
      problems.push_back({.code = ErrorCode::kMismatch,
                          .where = module.path,
                          .problem = "is adapted, but the base has not so many blocks",
                          .expected = "at most " + std::to_string(base.num_hidden_layers)});
    const bool q = block.rest == "self_attn.q_proj";
    const std::int64_t rows =
        (q ? base.num_attention_heads : base.num_key_value_heads) * base.head_dim;
    if ((q || block.rest == "self_attn.k_proj") && module.out_features != rows)
      problems.push_back({.code = ErrorCode::kMismatch,
                          .where = module.path,
                          .problem = "is adapted for other heads than the base has",
                          .expected = std::to_string(rows) + " rows",
                          .found = std::to_string(module.out_features)});
  }
  if (!problems.empty()) return fail(join_errors(std::move(problems)));
  return {};
}

Error needs_base(std::string where, std::string problem) {
  return {.code = ErrorCode::kUsage,
          .where = std::move(where),
          .problem = std::move(problem),
          .hint = "name the base with --model; its config.json is enough"};
}

/// The head that adds to the logits what a tied, adapted embedding adds as a head in mlx-lm.
AdapterModule head_of(const AdapterModule& embedding) {
  return {.path = std::string(kHeadPath),
          .rank = embedding.rank,
          .in_features = embedding.out_features,
          .out_features = embedding.in_features,
          .a = transposed(embedding.b, embedding.out_features, embedding.rank),
          .b = transposed(embedding.a, embedding.rank, embedding.in_features),
          .magnitude = {},
          .scale = embedding.scale,
          .dtype = embedding.dtype};
}

bool same_pair(const AdapterModule& x, const AdapterModule& y) {
  return x.rank == y.rank && x.scale == y.scale && x.a == y.a && x.b == y.b;
}

tl::unexpected<Error> no_place(std::string_view path, std::string problem) {
  return fail(
      {.code = ErrorCode::kUnsupported, .where = std::string(path), .problem = std::move(problem)});
}

/// A tied embedding is adapted in both its uses by mlx-lm, and only where tokens are looked up by
/// the others, for which the head is a module of its own.
Result<void> settle_tied_embedding(Adapter& adapter, Adapter::Source to) {
  AdapterModule* embedding = find_module(adapter, kEmbeddingPath);
  AdapterModule* head = find_module(adapter, kHeadPath);
  if (to == Adapter::Source::kGguf)
    return no_place(embedding ? kEmbeddingPath : kHeadPath,
                    "is one with the other in this base, and llama.cpp cannot adapt either then");
  if (to == Adapter::Source::kPeft) {
    if (adapter.source == Adapter::Source::kMlx && embedding) {
      adapter.modules.push_back(head_of(*embedding));
      adapter.keys.clear();
    }
    return {};
  }
  if (!embedding) return no_place(kHeadPath, "is no module of its own in mlx-lm with this base");
  if (!head || !same_pair(*head, head_of(*embedding)))
    return no_place(kEmbeddingPath,
                    "is the head as well in mlx-lm with this base, and the adapter changes one "
                    "without the other");
  adapter.modules.erase(adapter.modules.begin() + (head - adapter.modules.data()));
  return {};
}

Result<void> settle_embedding(Adapter& adapter, const AdapterTarget& target) {
  using enum Adapter::Source;
  const bool embedding = find_module(adapter, kEmbeddingPath) != nullptr;
  const bool head = find_module(adapter, kHeadPath) != nullptr;
  if (adapter.source == target.dialect || !(embedding || head)) return {};
  if (embedding && adapter.dora)
    return no_place(kEmbeddingPath, "is an embedding, for which DoRA is not implemented");
  // A head of mlx-lm's or llama.cpp's is there only where it is not tied.
  if (!embedding && adapter.source != kPeft) return {};
  if (adapter.source == kGguf && target.dialect == kPeft) return {};
  if (!target.base)
    return fail(needs_base(std::string(embedding ? kEmbeddingPath : kHeadPath),
                           "means one thing or two, by whether the base ties embedding and head"));
  return target.base->tie_word_embeddings ? settle_tied_embedding(adapter, target.dialect)
                                          : Result<void>();
}

}  // namespace

ModuleSet module_set(const Adapter& adapter) {
  ModuleSet set;
  std::set<std::int64_t> layers;
  std::set<std::string> names;
  std::size_t in_blocks = 0;
  for (const AdapterModule& module : adapter.modules) {
    const BlockPath block = block_path(module.path);
    if (!block.layer) {
      set.outer.push_back(module.path);
      continue;
    }
    ++in_blocks;
    layers.insert(*block.layer);
    names.emplace(block.rest);
  }
  set.layers.assign(layers.begin(), layers.end());
  set.names.assign(names.begin(), names.end());
  set.same_in_all = in_blocks == layers.size() * names.size();
  return set;
}

void multiply_b(AdapterModule& module, double factor, std::int64_t& inexact) {
  if (factor == 1.0) return;
  bool rounded = false;
  for (float& value : module.b) {
    const double product = static_cast<double>(value) * factor;
    value = static_cast<float>(product);
    rounded = rounded || static_cast<double>(value) != product;
  }
  module.dtype = DType::kF32;
  int exponent = 0;
  const bool power_of_two = std::abs(std::frexp(factor, &exponent)) == 0.5;
  if (factor != 0.0 && (rounded || !power_of_two)) ++inexact;
}

std::string folded_sentence(std::int64_t modules) {
  return std::to_string(modules) +
         " modules have a scale of their own, which this dialect cannot hold: lora_b is multiplied "
         "by the ratio, and each number rounded to float32 (by at most 6e-8 of itself)";
}

nlohmann::json shortest_json(float value) {
  char text[32];
  const auto [end, code] = std::to_chars(text, text + sizeof text, value);
  return nlohmann::json::parse(text, end);
}

Result<void> write_matrices(const std::filesystem::path& path,
                            const std::vector<MatrixToWrite>& matrices,
                            const safetensors::Metadata& metadata) {
  std::vector<safetensors::TensorInfo> infos;
  const auto stored = [](DType dtype) {
    if (dtype == DType::kF16) return safetensors::DType::kF16;
    return dtype == DType::kBF16 ? safetensors::DType::kBF16 : safetensors::DType::kF32;
  };
  for (const MatrixToWrite& matrix : matrices) {
    const auto rows = static_cast<std::uint64_t>(matrix.rows);
    const auto cols = static_cast<std::uint64_t>(matrix.cols);
    std::vector<std::uint64_t> shape = {rows};
    if (cols > 0) shape = matrix.transposed ? std::vector{cols, rows} : std::vector{rows, cols};
    infos.push_back({matrix.name, stored(matrix.dtype), std::move(shape)});
  }
  auto writer = safetensors::Writer::create(path, std::move(infos), metadata);
  if (!writer) return fail(to_error(std::move(writer).error()));
  for (const MatrixToWrite& matrix : matrices) {
    const std::vector<float> turned = matrix.transposed
                                          ? transposed(*matrix.values, matrix.rows, matrix.cols)
                                          : std::vector<float>();
    const std::vector<float>& values = matrix.transposed ? turned : *matrix.values;
    std::vector<std::byte> bytes(values.size() * dtype_bytes(matrix.dtype));
    narrow(matrix.dtype, values.data(), static_cast<std::int64_t>(values.size()), bytes.data());
    if (auto written = writer->append(matrix.name, bytes); !written)
      return fail(to_error(std::move(written).error()));
  }
  if (auto finished = writer->finish(); !finished)
    return fail(to_error(std::move(finished).error()));
  return {};
}

Result<Adapter> in_checkpoint_order(Adapter adapter, std::string_view model_type,
                                    std::int64_t head_dim) {
  if (!adapter.may_adapt(model_type)) return fail(other_architecture(adapter, model_type));
  for (AdapterModule& module : adapter.modules) {
    BOBBY_TRY(auto ordered, unpaired_b(adapter, module, head_dim));
    if (!ordered.empty()) module.b = std::move(ordered);
  }
  adapter.paired_rows = false;
  return adapter;
}

Result<AdapterWritten> write_adapter(Adapter adapter, const AdapterTarget& target) {
  if (target.base) BOBBY_CHECK(check_base(adapter, *target.base));
  if (target.base && adapter.base_name.empty()) adapter.base_name = target.base->name;
  if (adapter.paired_rows && !target.base)
    return fail(needs_base("the GGUF file",
                           "orders the rows of q and k by heads and does not say how long one is"));
  if (adapter.paired_rows) {
    BOBBY_TRY(adapter, in_checkpoint_order(std::move(adapter), target.base->model_type,
                                           target.base->head_dim));
  }
  BOBBY_CHECK(settle_embedding(adapter, target));
  switch (target.dialect) {
    case Adapter::Source::kMlx: return write_mlx_adapter(adapter, target);
    case Adapter::Source::kPeft: return write_peft_adapter(adapter, target);
    case Adapter::Source::kGguf: break;
  }
  if (!target.base) return fail(needs_base("a GGUF adapter", "says for which architecture it is"));
  return write_gguf_adapter(adapter, target);
}

}  // namespace bobby
