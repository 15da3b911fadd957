// Adapters of llama.cpp: NAME.weight.lora_a [rank, in_features], .lora_b [out_features, rank]; of
// token_embd lora_a is [vocab_size, rank]. The scale is alpha / rank of each module, 1 where alpha
// is absent or 0. Files of the llama architecture hold b of q and k in the order of row_order.h.
// Source: llama.cpp, src/llama-adapter.{h,cpp} and convert_lora_to_gguf.py

#include "lora/gguf_adapter.h"

#include <cmath>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

#include "base/sha256.h"
#include "gguf/gguf.h"
#include "gguf/names.h"
#include "gguf/row_order.h"
#include "lora/block_path.h"
#include "lora/common_scale.h"
#include "lora/transposed.h"
#include "tensor/formats/dense.h"
#include "tensor/half.h"

namespace bobby {
namespace {

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i)
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

std::optional<DType> dtype_of(std::uint32_t type) {
  switch (static_cast<GgufType>(type)) {
    case GgufType::kF32: return DType::kF32;
    case GgufType::kF16: return DType::kF16;
    case GgufType::kBF16: return DType::kBF16;
    default: return std::nullopt;
  }
}

/// Blocks of 32 numbers d * q: a float16 scale, then 32 signed bytes. Exact in float32.
std::vector<float> from_q8_0(std::span<const std::byte> data) {
  constexpr std::size_t kBlock = 2 + 32;
  std::vector<float> values;
  values.reserve(data.size() / kBlock * 32);
  for (std::size_t at = 0; at + kBlock <= data.size(); at += kBlock) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, data.data() + at, sizeof bits);
    const float scale = f16_to_float(bits);
    for (std::size_t i = 0; i < 32; ++i)
      values.push_back(scale * static_cast<float>(static_cast<std::int8_t>(data[at + 2 + i])));
  }
  return values;
}

/// Sorts a file's tensors into modules and gathers everything that is wrong with them.
class GgufAdapterReader {
 public:
  explicit GgufAdapterReader(const GgufFile& file) : file_(file) {}

  Result<Adapter> read() {
    BOBBY_CHECK(read_keys());
    for (const GgufTensor& tensor : file_.tensors()) sort_in(tensor);
    for (const auto& [path, pair] : pairs_) add_module(path, pair);
    if (problems_.empty() && adapter_.modules.empty())
      report(ErrorCode::kMismatch, "the file", "holds no adapted module");
    if (!problems_.empty()) return fail(join_errors(std::move(problems_)));
    adapter_.scale = common_scale(adapter_.modules);
    BOBBY_CHECK(put_rows_in_order());
    return std::move(adapter_);
  }

 private:
  struct Pair {
    const GgufTensor* a = nullptr;
    const GgufTensor* b = nullptr;
  };

  Result<void> read_keys() {
    adapter_.source = Adapter::Source::kGguf;
    BOBBY_TRY(const auto type, file_.find<std::string>(kGgufType));
    if (type != "adapter")
      return fail({.code = ErrorCode::kMismatch,
                   .where = "key 'general.type'",
                   .problem = "says that this is no adapter",
                   .expected = "adapter",
                   .found = type.value_or("nothing"),
                   .hint = "'bobby model import-gguf' reads models"});
    BOBBY_TRY(const auto kind, file_.get<std::string>(kGgufAdapterType));
    if (kind != "lora")
      return fail({.code = ErrorCode::kUnsupported,
                   .where = "key 'adapter.type'",
                   .problem = "names an adapter that is not implemented",
                   .expected = "lora",
                   .found = kind});
    if (file_.metadata().contains(kGgufInvocation))
      return fail({.code = ErrorCode::kUnsupported,
                   .where = "key 'adapter.alora.invocation_tokens'",
                   .problem = "adapters that wake at a token are not implemented"});
    BOBBY_TRY(adapter_.architecture, file_.get<std::string>(kGgufArchitecture));
    BOBBY_TRY(const auto alpha, file_.find<double>(kGgufAlpha));
    alpha_ = static_cast<float>(alpha.value_or(0.0));
    if (!std::isfinite(alpha_))
      return fail({.code = ErrorCode::kNumeric,
                   .where = "key 'adapter.lora.alpha'",
                   .problem = "is not a finite number"});
    return {};
  }

  void sort_in(const GgufTensor& tensor) {
    std::string_view name = tensor.name;
    const bool is_a = name.ends_with(kGgufA);
    const bool is_b = name.ends_with(kGgufB);
    if (is_a || is_b) name.remove_suffix(is_a ? kGgufA.size() : kGgufB.size());
    const auto path = is_a || is_b ? checkpoint_path(name) : std::nullopt;
    if (!path || path->ends_with("norm")) {
      report(ErrorCode::kMismatch, tensor.name, "is not part of an adapter",
             "NAME.weight.lora_a or .lora_b, of a module that is known here",
             shape_text(tensor.shape));
      return;
    }
    (is_a ? pairs_[*path].a : pairs_[*path].b) = &tensor;
  }

  void add_module(const std::string& path, const Pair& pair) {
    if (!pair.a || !pair.b) {
      report(ErrorCode::kMismatch, pair.a ? pair.a->name : pair.b->name, "has no partner",
             pair.a ? ".lora_b" : ".lora_a");
      return;
    }
    const bool embedding = path == kEmbeddingPath;
    const auto matrix = [](const GgufTensor& tensor) {
      return tensor.shape.size() == 2 && tensor.shape[0] > 0 && tensor.shape[1] > 0;
    };
    const bool matrices = matrix(*pair.a) && matrix(*pair.b);
    const std::int64_t rank = matrices ? pair.b->shape[1] : 0;
    if (!matrices || pair.a->shape[embedding ? 1 : 0] != rank) {
      report(ErrorCode::kMismatch, pair.a->name, "does not fit its lora_b",
             embedding ? "[features, rank] and [features, rank]"
                       : "[rank, features] and [features, rank]",
             shape_text(pair.a->shape) + " and " + shape_text(pair.b->shape));
      return;
    }
    AdapterModule module{.path = path,
                         .rank = rank,
                         .in_features = pair.a->shape[embedding ? 0 : 1],
                         .out_features = pair.b->shape[0],
                         .a = numbers(*pair.a),
                         .b = numbers(*pair.b),
                         .magnitude = {},
                         .scale = alpha_ == 0.0f ? 1.0f : alpha_ / static_cast<float>(rank)};
    if (pair.a->type == pair.b->type) module.dtype = dtype_of(pair.a->type).value_or(DType::kF32);
    if (module.a.empty() || module.b.empty()) return;
    if (embedding) module.a = transposed(module.a, module.in_features, rank);
    adapter_.modules.push_back(std::move(module));
  }

  /// Empty after a problem.
  std::vector<float> numbers(const GgufTensor& tensor) {
    const auto dtype = dtype_of(tensor.type);
    const bool blocks = tensor.type == static_cast<std::uint32_t>(GgufType::kQ8_0);
    if (!dtype && !blocks) {
      report(ErrorCode::kUnsupported, tensor.name, "has the wrong type", "F32, F16, BF16 or Q8_0",
             gguf_type_name(tensor.type));
      return {};
    }
    std::vector<float> values;
    if (blocks) {
      values = from_q8_0(tensor.data);
    } else {
      values.resize(tensor.data.size() / dtype_bytes(*dtype));
      widen(*dtype, tensor.data.data(), static_cast<std::int64_t>(values.size()), values.data());
    }
    for (const float value : values)
      if (!std::isfinite(value)) {
        report(ErrorCode::kNumeric, tensor.name, "holds NaN or infinity");
        return {};
      }
    return values;
  }

  /// With the head's size in the file, now; without it, whoever knows the base does it.
  Result<void> put_rows_in_order() {
    for (const AdapterModule& module : adapter_.modules)
      adapter_.paired_rows |= has_paired_rows(adapter_.architecture, module.path);
    if (!adapter_.paired_rows) return {};
    BOBBY_TRY(const auto head_dim,
              file_.find<std::uint64_t>(adapter_.architecture + std::string(kGgufKeyLength)));
    if (!head_dim) return {};
    for (AdapterModule& module : adapter_.modules) {
      const std::uint64_t rows = static_cast<std::uint64_t>(module.out_features);
      BOBBY_TRY(auto b, unpaired_b(adapter_, module,
                                   static_cast<std::int64_t>(*head_dim > rows ? 0 : *head_dim)));
      if (!b.empty()) module.b = std::move(b);
    }
    adapter_.paired_rows = false;
    return {};
  }

  void report(ErrorCode code, std::string_view tensor, std::string problem,
              std::string expected = {}, std::string found = {}) {
    problems_.push_back({.code = code,
                         .where = "tensor '" + std::string(tensor) + "'",
                         .problem = std::move(problem),
                         .expected = std::move(expected),
                         .found = std::move(found)});
  }

  const GgufFile& file_;
  Adapter adapter_;
  float alpha_ = 0.0f;
  std::map<std::string, Pair> pairs_;
  std::vector<Error> problems_;
};

Result<Adapter> read(const GgufFile& file, const std::string& name) {
  auto adapter = GgufAdapterReader(file).read();
  if (adapter) return adapter;
  // The container's own errors name the file already.
  Error error = std::move(adapter).error();
  const bool named = error.where.starts_with(name);
  return fail(named ? std::move(error) : std::move(error).in(name));
}

}  // namespace

Result<std::vector<float>> unpaired_b(const Adapter& adapter, const AdapterModule& module,
                                      std::int64_t head_dim) {
  if (!adapter.paired_rows || !has_paired_rows(adapter.architecture, module.path))
    return std::vector<float>();
  if (head_dim <= 0 || head_dim % 2 != 0 || module.out_features % head_dim != 0)
    return fail({.code = ErrorCode::kMismatch,
                 .where = module.path,
                 .problem = "is not made of whole heads",
                 .expected = "a multiple of the even head size " + std::to_string(head_dim),
                 .found = std::to_string(module.out_features) + " rows"});
  const std::size_t rank = static_cast<std::size_t>(module.rank);
  std::vector<float> ordered;
  ordered.reserve(module.b.size());
  for (const std::int64_t row : paired_row_source(module.out_features, head_dim)) {
    const auto from = module.b.begin() + row * module.rank;
    ordered.insert(ordered.end(), from, from + static_cast<std::ptrdiff_t>(rank));
  }
  return ordered;
}

Result<Adapter> parse_gguf_adapter(std::span<const std::byte> bytes, std::string name) {
  BOBBY_TRY(const GgufFile file, GgufFile::parse(bytes, name));
  return read(file, name);
}

Result<Adapter> read_gguf_adapter(const std::filesystem::path& path) {
  BOBBY_TRY(const GgufFile file, GgufFile::open(path));
  BOBBY_TRY(Adapter adapter, read(file, path.string()));
  adapter.folder = path;
  BOBBY_TRY(adapter.sha256, sha256_file(path));
  return adapter;
}

Result<std::optional<std::string>> gguf_adapter_voice(const std::filesystem::path& path) {
  constexpr std::size_t kLargest = 1 << 20;
  BOBBY_TRY(const GgufFile file, GgufFile::open(path));
  BOBBY_TRY(auto text, file.find<std::string>(kGgufVoice));
  if (text && text->size() > kLargest)
    return fail({.code = ErrorCode::kLimit,
                 .where = path.string() + ": key 'bobby.voice'",
                 .problem = "is too large for a voice file",
                 .expected = "at most 1 MiB"});
  return text;
}

}  // namespace bobby
