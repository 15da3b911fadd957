#include "hub/quantize_plan.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <set>
#include <tuple>

#include "base/safetensors_error.h"
#include "base/sha256.h"
#include "hub/checkpoint_layout.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;
using safetensors::Checkpoint;
using safetensors::Tensor;

bool is_dropped(const Tensor& tensor, const ModelConfig& config) {
  return tensor.name.ends_with(".rotary_emb.inv_freq") ||
         (config.tie_word_embeddings && tensor.name == "lm_head.weight");
}

nlohmann::json entry_of(const QuantizationConfig& how) {
  return {{"group_size", how.group_size}, {"bits", how.bits}, {"mode", "affine"}};
}

class Planner {
 public:
  Planner(const Checkpoint& source, const ModelConfig& config, const QuantizeModelOptions& options)
      : source_(source), config_(config), options_(options) {}

  Result<QuantizePlan> run() {
    plan_.quantization = entry_of({options_.group_size, options_.bits});
    std::vector<Error> errors;
    for (const Tensor* tensor : in_file_order()) {
      auto job = plan(*tensor);
      if (job)
        plan_.jobs.push_back(*std::move(job));
      else
        errors.push_back(std::move(job).error());
    }
    for (const QuantizeRule& rule : options_.rules)
      if (!matched_.contains(&rule))
        errors.push_back({.code = ErrorCode::kUsage,
                          .where = fmt::format("'{}'", rule.path),
                          .problem = "is the path of no matrix in this model"});
    if (!errors.empty()) return fail(join_errors(std::move(errors)));
    BOBBY_CHECK(place());
    return std::move(plan_);
  }

 private:
  /// As they lie on the disk, which is then read from one end to the other.
  std::vector<const Tensor*> in_file_order() const {
    std::vector<const Tensor*> tensors;
    for (const Tensor* tensor : source_.tensors())
      if (!is_dropped(*tensor, config_)) tensors.push_back(tensor);
    std::ranges::stable_sort(tensors, {}, [this](const Tensor* tensor) {
      return std::tuple(&source_.file_of(*tensor), tensor->begin);
    });
    return tensors;
  }

  /// What is asked of a module: nothing where it stays dense.
  Result<std::optional<QuantizationConfig>> asked(const std::string& path) {
    std::optional<QuantizationConfig> how = QuantizationConfig{options_.group_size, options_.bits};
    if (!options_.recipe.empty()) {
      BOBBY_TRY(how->bits, recipe_bits(options_.recipe, path, config_.num_hidden_layers));
    }
    for (const QuantizeRule& rule : options_.rules) {
      if (!path_matches(rule.path, path)) continue;
      matched_.insert(&rule);
      how = rule.quantization;
    }
    return how;
  }

  Result<QuantizeJob> plan(const Tensor& tensor) {
    constexpr std::string_view kWeight = ".weight";
    const safetensors::File& file = source_.file_of(tensor);
    QuantizeJob job{.tensor = &tensor, .file = &file, .out = {tensor}};
    const std::optional<DType> dtype = float_dtype(tensor.dtype);
    if (!dtype)
      return fail(Error{.code = ErrorCode::kUnsupported,
                        .where = fmt::format("tensor '{}'", tensor.name),
                        .problem = "has a dtype that is not quantised",
                        .expected = "F32, F16 or BF16",
                        .found = std::string(safetensors::dtype_name(tensor.dtype))}
                      .in(file.name()));
    if (tensor.shape.size() != 2 || !tensor.name.ends_with(kWeight)) return job;
    job.path = tensor.name.substr(0, tensor.name.size() - kWeight.size());
    BOBBY_TRY(const std::optional<QuantizationConfig> how, asked(job.path));
    const auto cols = static_cast<std::int64_t>(tensor.shape[1]);
    if (!how || cols == 0 || cols % how->group_size != 0) {
      plan_.left_dense.push_back(job.path);
      plan_.quantization[job.path] = false;
      return job;
    }
    if (!options_.recipe.empty() || how->bits != options_.bits ||
        how->group_size != options_.group_size)
      plan_.quantization[job.path] = entry_of(*how);
    job.format = {.kind = WeightFormat::Kind::kAffine,
                  .dtype = *dtype,
                  .bits = how->bits,
                  .group_size = how->group_size};
    job.out = stored_tensors({.path = job.path,
                              .kind = ModelTensor::Kind::kLinear,
                              .rows = static_cast<std::int64_t>(tensor.shape[0]),
                              .cols = cols},
                             *job.format);
    return job;
  }

  /// Shards, and sizes.
  Result<void> place() {
    std::vector<std::vector<safetensors::TensorInfo>> together;
    for (const QuantizeJob& job : plan_.jobs) {
      together.push_back(job.out);
      plan_.bytes_before += job.tensor->byte_size();
    }
    BOBBY_TRY(plan_.shards, plan_shards(together, options_.shard_bytes));
    std::map<std::string, std::size_t, std::less<>> shard_of;
    for (std::size_t i = 0; i < plan_.shards.size(); ++i) {
      plan_.bytes_after += plan_.shards[i].bytes;
      for (const auto& tensor : plan_.shards[i].tensors) shard_of[tensor.name] = i;
    }
    for (QuantizeJob& job : plan_.jobs) job.shard = shard_of.at(job.out[0].name);
    std::ranges::sort(plan_.left_dense);
    return {};
  }

  const Checkpoint& source_;
  const ModelConfig& config_;
  const QuantizeModelOptions& options_;
  QuantizePlan plan_;
  std::set<const QuantizeRule*> matched_;
};

}  // namespace

WeightView QuantizeJob::view() const {
  return {.name = path,
          .format = {.dtype = format->dtype},
          .rows = static_cast<std::int64_t>(tensor->shape[0]),
          .cols = static_cast<std::int64_t>(tensor->shape[1]),
          .weight = tensor->data.data()};
}

std::string QuantizePlan::description(const Checkpoint& source, Rounding rounding) const {
  nlohmann::ordered_json words = {{"version", 1},
                                  {"rounding", rounding == Rounding::kGpu ? "gpu" : "cpu"},
                                  {"quantization", quantization}};
  for (const safetensors::File& file : source.files()) {
    std::error_code error;
    const auto time = fs::last_write_time(file.name(), error).time_since_epoch();
    words["source"].push_back({{"file", fs::weakly_canonical(file.name(), error).string()},
                               {"size", fs::file_size(file.name(), error)},
                               {"time", std::chrono::nanoseconds(time).count()}});
  }
  for (const Shard& shard : shards) {
    Sha256 names;
    for (const auto& tensor : shard.tensors) {
      const std::string line =
          fmt::format("{} {}\n", tensor.name, safetensors::describe(tensor.dtype, tensor.shape));
      names.update(std::as_bytes(std::span(line)));
    }
    words["files"].push_back({{"file", shard.file_name}, {"tensors", names.hex_digest()}});
  }
  return words.dump(1) + "\n";
}

Result<QuantizePlan> plan_quantization(const Checkpoint& source, const ModelConfig& config,
                                       const QuantizeModelOptions& options) {
  return Planner(source, config, options).run();
}

}  // namespace bobby
