#include "hub/gguf_import.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/output_folder.h"
#include "gguf/gguf.h"
#include "gguf/names.h"
#include "gguf/row_order.h"
#include "hub/checkpoint_writer.h"
#include "hub/gguf_blocks.h"
#include "hub/gguf_tokenizer.h"
#include "safetensors/tensor.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// The attention's shape and the rest of config.json's numbers.
struct Shape {
  std::string architecture;
  std::uint64_t hidden_size = 0, layers = 0, intermediate_size = 0, heads = 0, kv_heads = 0;
  std::uint64_t head_dim = 0, context = 0;
  double rope_theta = 0, rms_norm_eps = 0;
};

Result<Shape> read_shape(const GgufFile& file) {
  Shape shape;
  BOBBY_TRY(shape.architecture, file.get<std::string>("general.architecture"));
  const std::string& arch = shape.architecture;
  if (arch != "llama" && arch != "qwen3")
    return fail({.code = ErrorCode::kUnsupported,
                 .where = file.name(),
                 .problem = fmt::format("architecture '{}' is not implemented", arch),
                 .expected = "llama or qwen3"});
  const auto key = [&arch](std::string_view name) { return arch + "." + std::string(name); };
  BOBBY_TRY(shape.hidden_size, file.get<std::uint64_t>(key("embedding_length")));
  BOBBY_TRY(shape.layers, file.get<std::uint64_t>(key("block_count")));
  BOBBY_TRY(shape.intermediate_size, file.get<std::uint64_t>(key("feed_forward_length")));
  BOBBY_TRY(shape.heads, file.get<std::uint64_t>(key("attention.head_count")));
  BOBBY_TRY(const auto kv_heads, file.find<std::uint64_t>(key("attention.head_count_kv")));
  BOBBY_TRY(shape.context, file.get<std::uint64_t>(key("context_length")));
  BOBBY_TRY(shape.rms_norm_eps, file.get<double>(key("attention.layer_norm_rms_epsilon")));
  BOBBY_TRY(const auto theta, file.find<double>(key("rope.freq_base")));
  BOBBY_TRY(const auto key_length, file.find<std::uint64_t>(key("attention.key_length")));
  BOBBY_TRY(const auto rope_dims, file.find<std::uint64_t>(key("rope.dimension_count")));
  BOBBY_TRY(const auto experts, file.find<std::uint64_t>(key("expert_count")));
  BOBBY_TRY(const auto scaling, file.find<std::string>(key("rope.scaling.type")));
  shape.kv_heads = kv_heads.value_or(shape.heads);
  shape.rope_theta = theta.value_or(10000.0);
  constexpr std::uint64_t kMost = 1u << 24;
  for (const std::uint64_t number : {shape.hidden_size, shape.layers, shape.intermediate_size,
                                     shape.heads, shape.kv_heads, shape.context})
    if (number == 0 || number > kMost)
      return fail({.code = ErrorCode::kMalformed,
                   .where = file.name(),
                   .problem = "the model's shape in the metadata is impossible",
                   .expected = fmt::format("sizes from 1 to {}", kMost),
                   .found = fmt::format("{}", number)});
  shape.head_dim = key_length.value_or(shape.hidden_size / shape.heads);
  const auto unsupported = [&file](std::string problem) {
    return fail(
        {.code = ErrorCode::kUnsupported, .where = file.name(), .problem = std::move(problem)});
  };
  if (experts.value_or(0) != 0) return unsupported("mixture-of-experts models are not implemented");
  if (scaling && *scaling != "none")
    return unsupported(fmt::format("rope scaling '{}' is not imported", *scaling));
  if (shape.head_dim == 0 || shape.head_dim > kMost || shape.head_dim % 2 != 0)
    return unsupported(
        fmt::format("head size {} is not implemented (even sizes only)", shape.head_dim));
  if (rope_dims && *rope_dims != shape.head_dim)
    return unsupported(
        fmt::format("rotating {} of {} dimensions is not implemented", *rope_dims, shape.head_dim));
  return shape;
}

// Rows of the GGUF in the checkpoint's order (row_order.h); empty when nothing is moved.
Result<std::vector<std::int64_t>> row_source(const Shape& shape, std::string_view path,
                                             const GgufTensor& tensor, const std::string& where) {
  if (!has_paired_rows(shape.architecture, path)) return std::vector<std::int64_t>();
  const std::int64_t rows = tensor.shape.at(0);
  const std::uint64_t heads = path.ends_with(".q_proj") ? shape.heads : shape.kv_heads;
  if (static_cast<std::uint64_t>(rows) != heads * shape.head_dim)
    return fail({.code = ErrorCode::kMismatch,
                 .where = where,
                 .problem = "has the wrong number of rows",
                 .expected = fmt::format("{} (heads x head size)", heads * shape.head_dim),
                 .found = fmt::format("{}", rows)});
  return paired_row_source(rows, static_cast<std::int64_t>(shape.head_dim));
}

// One GGUF tensor and where it goes.
struct Job {
  const GgufTensor* tensor = nullptr;
  std::string where = {};  // for messages
  std::string path = {};   // module path in the checkpoint
  std::string leaf = {};   // "weight" or "bias"
  int bits = 0;            // of the affine format it becomes; 0: copied as it is
};

Result<Job> plan_tensor(const GgufFile& file, const GgufTensor& tensor) {
  Job job{.tensor = &tensor, .where = fmt::format("{}: tensor '{}'", file.name(), tensor.name)};
  const std::size_t dot = tensor.name.rfind('.');
  const auto path = checkpoint_path(std::string_view(tensor.name).substr(0, dot));
  job.leaf = dot == std::string::npos ? "" : tensor.name.substr(dot + 1);
  if (!path || (job.leaf != "weight" && job.leaf != "bias"))
    return fail({.code = ErrorCode::kUnsupported,
                 .where = job.where,
                 .problem = "the checkpoint of this architecture has no place for it"});
  job.path = *path;
  job.bits = affine_bits(tensor.type);
  if (tensor.shape.size() > 2 || (job.bits != 0 && tensor.shape.size() != 2))
    return fail({.code = ErrorCode::kMalformed,
                 .where = job.where,
                 .problem = "has the wrong number of dimensions",
                 .expected = "a matrix, or a vector of plain numbers",
                 .found = fmt::format("{} dimensions", tensor.shape.size())});
  const auto type = static_cast<GgufType>(tensor.type);
  if (job.bits == 0 && type != GgufType::kF32 && type != GgufType::kF16 && type != GgufType::kBF16)
    return fail({.code = ErrorCode::kUnsupported,
                 .where = job.where,
                 .problem = fmt::format("type {} has no lossless place in an MLX folder",
                                        gguf_type_name(tensor.type)),
                 .expected = "Q4_0, Q4_1, Q8_0, F16, BF16 or F32",
                 .hint = "quantise from the original weights with 'bobby model quantize' instead"});
  return job;
}

Result<std::vector<Job>> plan_tensors(const GgufFile& file) {
  std::vector<Job> jobs;
  std::vector<Error> errors;
  for (const GgufTensor& tensor : file.tensors()) {
    auto job = plan_tensor(file, tensor);
    if (job)
      jobs.push_back(*std::move(job));
    else
      errors.push_back(std::move(job).error());
  }
  if (!errors.empty()) return tl::unexpected<Error>(join_errors(std::move(errors)));
  return jobs;
}

safetensors::DType dense_dtype(std::uint32_t type) {
  switch (static_cast<GgufType>(type)) {
    case GgufType::kF16: return safetensors::DType::kF16;
    case GgufType::kBF16: return safetensors::DType::kBF16;
    default: return safetensors::DType::kF32;
  }
}

std::vector<safetensors::TensorInfo> declare(const std::vector<Job>& jobs) {
  std::vector<safetensors::TensorInfo> infos;
  for (const Job& job : jobs) {
    const auto& shape = job.tensor->shape;
    if (job.bits == 0) {
      infos.push_back({fmt::format("{}.{}", job.path, job.leaf),
                       dense_dtype(job.tensor->type),
                       {shape.begin(), shape.end()}});
      continue;
    }
    const auto rows = static_cast<std::uint64_t>(shape[0]);
    const auto cols = static_cast<std::uint64_t>(shape[1]);
    const auto bits = static_cast<std::uint64_t>(job.bits);
    infos.push_back({job.path + ".weight", safetensors::DType::kU32, {rows, cols * bits / 32}});
    infos.push_back({job.path + ".scales", safetensors::DType::kF16, {rows, cols / 32}});
    infos.push_back({job.path + ".biases", safetensors::DType::kF16, {rows, cols / 32}});
  }
  return infos;
}

Result<void> write_tensor(CheckpointWriter& writer, const Job& job, const Shape& shape) {
  BOBBY_TRY(const auto source, row_source(shape, job.path, *job.tensor, job.where));
  if (job.bits != 0) {
    BOBBY_TRY(const AffineTensor affine, affine_from_blocks(*job.tensor, job.where, source));
    BOBBY_CHECK(writer.append(job.path + ".weight", std::as_bytes(std::span(affine.weight))));
    BOBBY_CHECK(writer.append(job.path + ".scales", std::as_bytes(std::span(affine.scales))));
    return writer.append(job.path + ".biases", std::as_bytes(std::span(affine.biases)));
  }
  const std::string name = fmt::format("{}.{}", job.path, job.leaf);
  if (source.empty()) return writer.append(name, job.tensor->data);
  const std::size_t row_bytes = job.tensor->data.size() / source.size();
  for (const std::int64_t row : source)
    BOBBY_CHECK(writer.append(
        name, job.tensor->data.subspan(static_cast<std::size_t>(row) * row_bytes, row_bytes)));
  return {};
}

// MLX's `quantization` block: the commonest width for all, an entry for each module that differs.
Json quantization_block(const std::vector<Job>& jobs) {
  std::map<int, int> uses;
  for (const Job& job : jobs)
    if (job.bits != 0) ++uses[job.bits];
  if (uses.empty()) return nullptr;
  const auto common = std::max_element(
      uses.begin(), uses.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  Json block = {{"group_size", 32}, {"bits", common->first}, {"mode", "affine"}};
  for (const Job& job : jobs) {
    if (job.tensor->shape.size() != 2 || job.bits == common->first) continue;
    if (job.bits == 0)
      block[job.path] = false;
    else
      block[job.path] = {{"group_size", 32}, {"bits", job.bits}, {"mode", "affine"}};
  }
  return block;
}

// The shortest decimal that reads back as the same float: 1e-05 rather than 9.999999747378752e-06.
Json shortest(double value) {
  return Json::parse(fmt::format("{}", static_cast<float>(value)));
}

Result<std::string> config_json(const GgufFile& file, const Shape& shape,
                                const std::vector<Job>& jobs) {
  const auto find_job = [&jobs](std::string_view path) {
    return std::find_if(jobs.begin(), jobs.end(),
                        [&](const Job& job) { return job.path == path && job.leaf == "weight"; });
  };
  const auto embed = find_job("model.embed_tokens");
  if (embed == jobs.end() || embed->tensor->shape.size() != 2)
    return fail({.code = ErrorCode::kMalformed,
                 .where = file.name(),
                 .problem = "tensor 'token_embd.weight' is missing or no matrix"});
  const bool bias = std::any_of(jobs.begin(), jobs.end(), [](const Job& job) {
    return job.leaf == "bias" && job.path.ends_with(".q_proj");
  });
  const bool llama = shape.architecture == "llama";
  Json config = {{"architectures", {llama ? "LlamaForCausalLM" : "Qwen3ForCausalLM"}},
                 {"model_type", shape.architecture},
                 {"hidden_size", shape.hidden_size},
                 {"num_hidden_layers", shape.layers},
                 {"intermediate_size", shape.intermediate_size},
                 {"num_attention_heads", shape.heads},
                 {"num_key_value_heads", shape.kv_heads},
                 {"head_dim", shape.head_dim},
                 {"vocab_size", embed->tensor->shape[0]},
                 {"max_position_embeddings", shape.context},
                 {"rms_norm_eps", shortest(shape.rms_norm_eps)},
                 {"rope_theta", shortest(shape.rope_theta)},
                 {"hidden_act", "silu"},
                 {"tie_word_embeddings", find_job("lm_head") == jobs.end()},
                 {"attention_bias", bias}};
  for (const auto& [name, key] : {std::pair{"bos_token_id", "tokenizer.ggml.bos_token_id"},
                                  std::pair{"eos_token_id", "tokenizer.ggml.eos_token_id"}}) {
    BOBBY_TRY(const auto id, file.find<std::uint64_t>(key));
    if (id) config[name] = *id;
  }
  if (Json block = quantization_block(jobs); !block.is_null()) {
    config["quantization"] = block;
    config["quantization_config"] = std::move(block);
  }
  return config.dump(2) + "\n";
}

Result<std::uint64_t> write_weights(const fs::path& folder, const Shape& shape,
                                    const std::vector<Job>& jobs, const ProgressFn& progress) {
  BOBBY_TRY(CheckpointWriter writer, CheckpointWriter::create(folder, declare(jobs)));
  std::uint64_t total = 0;
  for (const Job& job : jobs) total += job.tensor->data.size();
  std::uint64_t done = 0;
  for (const Job& job : jobs) {
    BOBBY_CHECK(write_tensor(writer, job, shape));
    done += job.tensor->data.size();
    if (progress) progress({"import", done, total});
  }
  BOBBY_CHECK(writer.finish());
  return writer.total_bytes();
}

}  // namespace

Result<GgufImport> import_gguf(const fs::path& gguf, const fs::path& folder,
                               const ProgressFn& progress) {
  BOBBY_TRY(const GgufFile file, GgufFile::open(gguf));
  BOBBY_TRY(const Shape shape, read_shape(file));
  BOBBY_TRY(const auto jobs, plan_tensors(file));
  BOBBY_TRY(const std::string config, config_json(file, shape, jobs));
  BOBBY_TRY(const TokenizerFiles tokenizer, tokenizer_from_gguf(file));

  BOBBY_TRY(OutputFolder output, OutputFolder::create(folder));
  BOBBY_CHECK(output.write_text("config.json", config));
  BOBBY_CHECK(output.write_text("tokenizer.json", tokenizer.tokenizer_json));
  BOBBY_CHECK(output.write_text("tokenizer_config.json", tokenizer.tokenizer_config_json));
  BOBBY_TRY(const auto bytes, write_weights(output.path(), shape, jobs, progress));
  BOBBY_CHECK(output.commit());

  const Json block = quantization_block(jobs);
  const std::string quantization =
      block.is_null() ? "none" : fmt::format("affine {}-bit group 32", block["bits"].get<int>());
  return GgufImport{.architecture = shape.architecture,
                    .tensors = static_cast<std::int64_t>(jobs.size()),
                    .bytes = bytes,
                    .quantization = quantization};
}

}  // namespace bobby
