#include "hub/quantize_model.h"

#include <algorithm>
#include <fmt/format.h>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/output_folder.h"
#include "base/safetensors_error.h"
#include "base/thread_pool.h"
#include "hub/checkpoint_layout.h"
#include "hub/checkpoint_writer.h"
#include "hub/model_files.h"
#include "lora/json_object.h"
#include "model/config.h"
#include "safetensors/sharded.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;
using safetensors::Checkpoint;
using safetensors::Tensor;

constexpr std::size_t kChunkBytes = 8u << 20;
constexpr std::int64_t kBlockRows = 16;

/// One tensor of the source, and what becomes of it.
struct Job {
  const Tensor* tensor = nullptr;
  std::string path = {};                    ///< module path, when it is a weight to quantise
  std::optional<WeightFormat> format = {};  ///< unset: copied
  std::vector<safetensors::TensorInfo> out = {};

  /// The dense weight. Precondition: format.
  WeightView view() const {
    return {.name = path,
            .format = {.dtype = format->dtype},
            .rows = static_cast<std::int64_t>(tensor->shape[0]),
            .cols = static_cast<std::int64_t>(tensor->shape[1]),
            .weight = tensor->data.data()};
  }
};

bool is_dropped(const Tensor& tensor, const ModelConfig& config) {
  return tensor.name.ends_with(".rotary_emb.inv_freq") ||
         (config.tie_word_embeddings && tensor.name == "lm_head.weight");
}

/// Plans one tensor; notes a module that stays dense in `left_dense`.
Result<Job> plan(const Tensor& tensor, const QuantizeModelOptions& options,
                 std::vector<std::string>& left_dense) {
  constexpr std::string_view kWeight = ".weight";
  Job job{.tensor = &tensor, .out = {tensor}};
  const std::optional<DType> dtype = float_dtype(tensor.dtype);
  if (!dtype)
    return fail({.code = ErrorCode::kUnsupported,
                 .where = fmt::format("tensor '{}'", tensor.name),
                 .problem = "has a dtype that is not quantised",
                 .expected = "F32, F16 or BF16",
                 .found = std::string(safetensors::dtype_name(tensor.dtype))});
  if (tensor.shape.size() != 2 || !tensor.name.ends_with(kWeight)) return job;
  job.path = tensor.name.substr(0, tensor.name.size() - kWeight.size());
  const auto cols = static_cast<std::int64_t>(tensor.shape[1]);
  if (cols == 0 || cols % options.group_size != 0) {
    left_dense.push_back(job.path);
    return job;
  }
  job.format = {.kind = WeightFormat::Kind::kAffine,
                .dtype = *dtype,
                .bits = options.bits,
                .group_size = options.group_size};
  job.out = stored_tensors({.path = job.path,
                            .kind = ModelTensor::Kind::kLinear,
                            .rows = static_cast<std::int64_t>(tensor.shape[0]),
                            .cols = cols},
                           *job.format);
  return job;
}

Result<std::vector<Job>> plan_all(const Checkpoint& checkpoint, const ModelConfig& config,
                                  const QuantizeModelOptions& options,
                                  std::vector<std::string>& left_dense) {
  std::vector<Job> jobs;
  std::vector<Error> errors;
  for (const Tensor* tensor : checkpoint.tensors()) {
    if (is_dropped(*tensor, config)) continue;
    auto job = plan(*tensor, options, left_dense);
    if (job)
      jobs.push_back(*std::move(job));
    else
      errors.push_back(std::move(job).error().in(checkpoint.file_of(*tensor).name()));
  }
  if (!errors.empty()) return fail(join_errors(std::move(errors)));
  return jobs;
}

/// Quantises one weight, chunk by chunk, its rows shared out among the threads.
class RowQuantizer {
 public:
  RowQuantizer(ThreadPool& pool, Rounding rounding) : pool_(pool), rounding_(rounding) {}

  Result<void> run(const Job& job, CheckpointWriter& writer) {
    const WeightView dense = job.view();
    WeightView affine = dense;
    affine.format = *job.format;
    const auto chunk_rows = std::max<std::int64_t>(
        kBlockRows, static_cast<std::int64_t>(kChunkBytes / dense.weight_row_bytes()));
    for (std::int64_t begin = 0; begin < dense.rows; begin += chunk_rows) {
      const std::int64_t count = std::min(chunk_rows, dense.rows - begin);
      const auto rows = static_cast<std::size_t>(count);
      weight_.resize(rows * affine.weight_row_bytes());
      scales_.resize(rows * affine.scales_row_bytes());
      biases_.resize(scales_.size());
      BOBBY_CHECK(quantize_chunk(dense, affine, begin, count));
      BOBBY_CHECK(writer.append(job.out[0].name, weight_));
      BOBBY_CHECK(writer.append(job.out[1].name, scales_));
      BOBBY_CHECK(writer.append(job.out[2].name, biases_));
    }
    return {};
  }

 private:
  Result<void> quantize_chunk(const WeightView& dense, const WeightView& affine,
                              std::int64_t chunk_begin, std::int64_t count) {
    std::mutex mutex;
    std::int64_t first_bad = count;  // that of the lowest row, whichever thread came first
    Result<void> result;
    pool_.parallel_for(count, kBlockRows, [&](std::int64_t begin, std::int64_t end, int) {
      const auto row = static_cast<std::size_t>(begin);
      const AffineRows out{.weight = weight_.data() + row * affine.weight_row_bytes(),
                           .scales = scales_.data() + row * affine.scales_row_bytes(),
                           .biases = biases_.data() + row * affine.scales_row_bytes()};
      auto done =
          quantize_rows(dense, chunk_begin + begin, end - begin, affine.format, rounding_, out);
      if (done) return;
      const std::lock_guard lock(mutex);
      if (begin >= first_bad) return;
      first_bad = begin;
      result = std::move(done);
    });
    return result;
  }

  ThreadPool& pool_;
  Rounding rounding_;
  std::vector<std::byte> weight_;
  std::vector<std::byte> scales_;
  std::vector<std::byte> biases_;
};

std::string quantized_config(nlohmann::json config, const QuantizeModelOptions& options,
                             const std::vector<std::string>& left_dense) {
  nlohmann::json block = {
      {"group_size", options.group_size}, {"bits", options.bits}, {"mode", "affine"}};
  for (const std::string& path : left_dense) block[path] = false;
  config["quantization"] = block;
  config["quantization_config"] = std::move(block);
  return config.dump(4) + "\n";
}

Result<void> write_weights(const std::vector<Job>& jobs, const QuantizeModelOptions& options,
                           CheckpointWriter& writer, std::uint64_t total,
                           const ProgressFn& progress) {
  ThreadPool pool(std::max(1, options.threads));
  RowQuantizer quantizer(pool, options.rounding);
  std::uint64_t done = 0;
  for (const Job& job : jobs) {
    if (job.format)
      BOBBY_CHECK(quantizer.run(job, writer));
    else
      BOBBY_CHECK(writer.append(job.out[0].name, job.tensor->data));
    done += job.tensor->byte_size();
    if (progress) progress({"quantize", done, total});
  }
  return writer.finish();
}

}  // namespace

Result<QuantizedModel> quantize_model(const fs::path& source, const fs::path& folder,
                                      const QuantizeModelOptions& options,
                                      const ProgressFn& progress) {
  const WeightFormat format{.kind = WeightFormat::Kind::kAffine,
                            .dtype = DType::kF32,
                            .bits = options.bits,
                            .group_size = options.group_size};
  BOBBY_CHECK(check_format(format, options.group_size, "quantize"));
  BOBBY_TRY(const ModelConfig config, ModelConfig::load(source));
  BOBBY_TRY(nlohmann::json json, read_json_object(source / "config.json"));
  if (config.quantization || !config.quantization_by_path.empty())
    return fail({.code = ErrorCode::kUsage,
                 .where = source.string(),
                 .problem = "is quantised already",
                 .hint = "start from the original weights"});
  const auto checkpoint = Checkpoint::open(source);
  if (!checkpoint) return fail(to_error(checkpoint.error()));

  QuantizedModel made;
  BOBBY_TRY(const std::vector<Job> jobs, plan_all(*checkpoint, config, options, made.left_dense));
  std::vector<safetensors::TensorInfo> infos;
  for (const Job& job : jobs) {
    infos.insert(infos.end(), job.out.begin(), job.out.end());
    made.bytes_before += job.tensor->byte_size();
    if (job.format) ++made.quantized;
  }
  BOBBY_TRY(OutputFolder output, OutputFolder::create(folder));
  BOBBY_TRY(CheckpointWriter writer,
            CheckpointWriter::create(output.path(), infos, options.shard_bytes));
  made.bytes_after = writer.total_bytes();
  BOBBY_CHECK(write_weights(jobs, options, writer, made.bytes_before, progress));
  BOBBY_CHECK(output.write_text("config.json",
                                quantized_config(std::move(json), options, made.left_dense)));
  BOBBY_CHECK(copy_model_files(source, output.path()));
  BOBBY_CHECK(output.commit());
  return made;
}

}  // namespace bobby
