#include "hub/fuse_model.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/output_folder.h"
#include "base/safetensors_error.h"
#include "base/thread_pool.h"
#include "hub/checkpoint_layout.h"
#include "hub/checkpoint_writer.h"
#include "hub/model_files.h"
#include "lora/conversion.h"
#include "lora/json_object.h"
#include "safetensors/sharded.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;
using safetensors::Checkpoint;
using safetensors::Tensor;

constexpr std::string_view kWeight = ".weight";
constexpr std::string_view kEmbedding = "model.embed_tokens";
constexpr std::size_t kChunkBytes = 8u << 20;
constexpr std::int64_t kBlockRows = 16;

std::string shape_text(std::int64_t rows, std::int64_t cols) {
  return fmt::format("[{}, {}]", rows, cols);
}

/// One matrix or vector of the source, and what becomes of it.
struct Job {
  std::vector<const Tensor*> stored;  ///< the weight, and what belongs to it
  bool copied = false;
  WeightView view = {};  ///< unless copied
  const WeightDelta* delta = nullptr;
  WeightFormat format = {};  ///< what is written, unless copied
  std::vector<safetensors::TensorInfo> out = {};
};

/// Reads what there is and decides what becomes of it. Must outlive the jobs.
class Planner {
 public:
  Planner(const Checkpoint& checkpoint, const ModelConfig& config, const Adapter& adapter,
          const FuseModelOptions& options)
      : checkpoint_(checkpoint), config_(config), adapter_(adapter), options_(options) {
    for (const ModelTensor& tensor : model_tensors(config))
      if (tensor.is_matrix()) columns_[tensor.path] = tensor.cols;
  }

  Result<std::vector<Job>> plan() {
    for (const AdapterModule& module : adapter_.modules) {
      const bool embedding = module.path == kEmbedding;
      deltas_.emplace(module.path, embedding ? WeightDelta::of_embedding(module, options_.factor)
                                             : WeightDelta::of_linear(module, options_.factor));
      check_placement(module);
    }
    for (const Tensor* tensor : checkpoint_.tensors()) plan_tensor(*tensor);
    for (const auto& [path, delta] : deltas_)
      if (!found_.contains(path))
        problems_.push_back({.code = ErrorCode::kMismatch,
                             .where = path,
                             .problem = "is adapted, but the model has no such module",
                             .hint = "the adapter was made for another base"});
    if (!problems_.empty()) return fail(join_errors(std::move(problems_)));
    return std::move(jobs_);
  }

 private:
  /// Refuses what a fused folder cannot say.
  void check_placement(const AdapterModule& module) {
    const bool tied = config_.tie_word_embeddings;
    const auto refuse = [&](std::string problem) {
      problems_.push_back({.code = ErrorCode::kUnsupported,
                           .where = module.path,
                           .problem = std::move(problem),
                           .hint = "use the adapter at run time"});
    };
    if (module.path == kEmbedding && adapter_.dora)
      refuse("is an embedding, for which DoRA is not implemented");
    if (module.path == kEmbedding && tied && adapter_.source != Adapter::Source::kMlx)
      refuse("is adapted in its look-up alone, while the head shares its weights");
    if (module.path == "lm_head" && tied)
      refuse("is adapted, while its weights are those of the embedding");
  }

  bool is_dropped(const std::string& name) const {
    return name.ends_with(".rotary_emb.inv_freq") ||
           (config_.tie_word_embeddings && name.starts_with("lm_head."));
  }

  const Tensor* sibling(const std::string& path, std::string_view ending) const {
    return checkpoint_.find(path + std::string(ending));
  }

  void plan_tensor(const Tensor& tensor) {
    const std::string& name = tensor.name;
    if (is_dropped(name)) return;
    for (const std::string_view part : {".scales", ".biases"})
      if (name.ends_with(part) &&
          sibling(name.substr(0, name.size() - part.size()), kWeight) != nullptr)
        return;  // goes with its weight
    Job job{.stored = {&tensor}};
    if (!name.ends_with(kWeight) || tensor.shape.size() != 2) return copy(std::move(job));
    const std::string path = name.substr(0, name.size() - kWeight.size());
    const auto delta = deltas_.find(path);
    if (delta != deltas_.end()) {
      found_.insert(path);
      job.delta = &delta->second;
    }
    if (!view_of(path, tensor, job) || !check_shape(job)) return;
    if (options_.requantize && job.delta == nullptr) return copy(std::move(job));
    plan_matrix(std::move(job));
  }

  void copy(Job job) {
    job.copied = true;
    for (const Tensor* tensor : job.stored) job.out.push_back(*tensor);
    jobs_.push_back(std::move(job));
  }

  /// MLX's mode of a module, by its own entry or the model's.
  QuantizationMode mode_of(const std::string& path) const {
    const auto own = config_.quantization_by_path.find(path);
    if (own != config_.quantization_by_path.end() && own->second) return own->second->mode;
    return config_.quantization ? config_.quantization->mode : QuantizationMode::kAffine;
  }

  bool view_of(const std::string& path, const Tensor& tensor, Job& job) {
    job.view = {.name = path,
                .format = {},
                .rows = static_cast<std::int64_t>(tensor.shape[0]),
                .cols = static_cast<std::int64_t>(tensor.shape[1]),
                .weight = tensor.data.data()};
    const Tensor* scales = sibling(path, ".scales");
    const Tensor* biases = sibling(path, ".biases");
    if (scales == nullptr) {
      const auto dtype = float_dtype(tensor.dtype);
      if (!dtype) return report(ErrorCode::kUnsupported, tensor, "F32, F16 or BF16");
      job.view.format = {.dtype = *dtype};
      return true;
    }
    if (const FloatMode* mode = find_float_mode(mode_of(path)); mode != nullptr) {
      problems_.push_back({.code = ErrorCode::kUnsupported,
                           .where = fmt::format("tensor '{}'", tensor.name),
                           .problem = fmt::format("is in mode {}, which is not fused", mode->name),
                           .expected = "an affine or a dense base",
                           .hint = "use the adapter at run time"});
      return false;
    }
    const auto dtype = float_dtype(scales->dtype);
    if (!dtype || biases == nullptr || scales->shape.size() != 2)
      return report(ErrorCode::kUnsupported, tensor,
                    "an affine quantization with scales and biases");
    return affine_view(tensor, *scales, *biases, *dtype, job);
  }

  /// mlx-lm's rule: a module's own entry decides, else the tensors' shapes.
  bool affine_view(const Tensor& tensor, const Tensor& scales, const Tensor& biases, DType dtype,
                   Job& job) {
    const auto cols = columns_.find(job.view.name);
    if (cols == columns_.end())
      return report(ErrorCode::kMismatch, tensor, "a module of this " + config_.model_type);
    job.view.cols = cols->second;
    job.view.format = {.kind = WeightFormat::Kind::kAffine, .dtype = dtype};
    const auto own = config_.quantization_by_path.find(job.view.name);
    if (own != config_.quantization_by_path.end() && own->second) {
      job.view.format.bits = own->second->bits;
      job.view.format.group_size = own->second->group_size;
    } else {
      const auto width = static_cast<std::uint64_t>(job.view.cols);
      const std::uint64_t groups = std::max<std::uint64_t>(1, scales.shape[1]);
      job.view.format.bits =
          static_cast<int>(std::min<std::uint64_t>(tensor.shape[1], width) * 32 / width);
      job.view.format.group_size = static_cast<int>(width / groups);
    }
    if (!check_format(job.view.format, job.view.cols, job.view.name))
      return report(ErrorCode::kMismatch, tensor, "an affine quantization of its columns");
    const auto expected = stored_tensors({.path = job.view.name,
                                          .kind = ModelTensor::Kind::kLinear,
                                          .rows = job.view.rows,
                                          .cols = job.view.cols},
                                         job.view.format);
    for (const auto& [found, wanted] :
         {std::pair{&tensor, expected[0]}, std::pair{&scales, expected[1]},
          std::pair{&biases, expected[2]}})
      if (found->dtype != wanted.dtype || found->shape != wanted.shape)
        return report(ErrorCode::kMismatch, *found,
                      safetensors::describe(wanted.dtype, wanted.shape));
    job.stored = {&tensor, &scales, &biases};
    job.view.scales = scales.data.data();
    job.view.biases = biases.data.data();
    return true;
  }

  bool report(ErrorCode code, const Tensor& tensor, std::string expected) {
    problems_.push_back({.code = code,
                         .where = fmt::format("tensor '{}'", tensor.name),
                         .problem = "is not what is read here",
                         .expected = std::move(expected),
                         .found = safetensors::describe(tensor.dtype, tensor.shape)});
    return false;
  }

  bool check_shape(const Job& job) {
    if (job.delta == nullptr ||
        (job.delta->rows() == job.view.rows && job.delta->cols() == job.view.cols))
      return true;
    problems_.push_back({.code = ErrorCode::kMismatch,
                         .where = job.view.name,
                         .problem = "is adapted for another shape",
                         .expected = shape_text(job.view.rows, job.view.cols),
                         .found = shape_text(job.delta->rows(), job.delta->cols())});
    return false;
  }

  void plan_matrix(Job job) {
    job.format = {.dtype = options_.dtype};
    if (options_.requantize) {
      job.format = job.view.format;
      if (options_.format) {
        job.format.bits = options_.format->bits;
        job.format.group_size = options_.format->group_size;
      }
      if (auto checked = check_format(job.format, job.view.cols, job.view.name); !checked)
        return problems_.push_back(std::move(checked).error());
    }
    job.out = stored_tensors({.path = job.view.name,
                              .kind = ModelTensor::Kind::kLinear,
                              .rows = job.view.rows,
                              .cols = job.view.cols},
                             job.format);
    jobs_.push_back(std::move(job));
  }

  const Checkpoint& checkpoint_;
  const ModelConfig& config_;
  const Adapter& adapter_;
  const FuseModelOptions& options_;
  std::map<std::string, std::int64_t> columns_;  // of every matrix of the architecture
  std::map<std::string, WeightDelta> deltas_;
  std::set<std::string> found_;  // adapted modules that the checkpoint has
  std::vector<Job> jobs_;
  std::vector<Error> problems_;
};

/// Writes one matrix, chunk by chunk, its rows shared out among the threads.
class MatrixWriter {
 public:
  MatrixWriter(ThreadPool& pool, const FuseModelOptions& options)
      : pool_(pool), options_(options) {}

  Result<void> run(const Job& job, CheckpointWriter& writer, DeltaKept* kept) {
    WeightView made = job.view;
    made.format = job.format;
    const auto chunk_rows = std::max<std::int64_t>(
        kBlockRows,
        static_cast<std::int64_t>(kChunkBytes / made.weight_row_bytes()) / kBlockRows * kBlockRows);
    for (std::int64_t begin = 0; begin < made.rows; begin += chunk_rows) {
      const std::int64_t count = std::min(chunk_rows, made.rows - begin);
      const auto rows = static_cast<std::size_t>(count);
      weight_.resize(rows * made.weight_row_bytes());
      scales_.resize(rows * made.scales_row_bytes());
      biases_.resize(scales_.size());
      BOBBY_CHECK(make_rows(job, made, begin, count, kept));
      BOBBY_CHECK(writer.append(job.out[0].name, weight_));
      if (job.out.size() == 1) continue;
      BOBBY_CHECK(writer.append(job.out[1].name, scales_));
      BOBBY_CHECK(writer.append(job.out[2].name, biases_));
    }
    return {};
  }

 private:
  Result<void> make_rows(const Job& job, const WeightView& made, std::int64_t chunk,
                         std::int64_t count, DeltaKept* kept) {
    const bool quantized = made.format.kind == WeightFormat::Kind::kAffine;
    const FusedRows rows{.base = job.view,
                         .delta = job.delta,
                         .dtype = quantized ? job.view.format.dtype : made.format.dtype,
                         .rounding = options_.rounding};
    std::vector<DeltaKept> parts(static_cast<std::size_t>((count + kBlockRows - 1) / kBlockRows));
    std::mutex mutex;
    Result<void> result;
    pool_.parallel_for(count, kBlockRows, [&](std::int64_t begin, std::int64_t end, int) {
      const auto row = static_cast<std::size_t>(begin);
      DeltaKept* part = kept ? &parts[static_cast<std::size_t>(begin / kBlockRows)] : nullptr;
      std::byte* weight = weight_.data() + row * made.weight_row_bytes();
      const AffineRows out{.weight = weight,
                           .scales = scales_.data() + row * made.scales_row_bytes(),
                           .biases = biases_.data() + row * made.scales_row_bytes()};
      auto done = quantized ? rows.quantized(chunk + begin, end - begin, made.format,
                                             options_.quantize_rounding, out, part)
                            : rows.dense(chunk + begin, end - begin, weight, part);
      if (done) return;
      const std::lock_guard lock(mutex);
      result = std::move(done);
    });
    if (kept != nullptr)
      for (const DeltaKept& part : parts) *kept += part;
    return result;
  }

  ThreadPool& pool_;
  const FuseModelOptions& options_;
  std::vector<std::byte> weight_;
  std::vector<std::byte> scales_;
  std::vector<std::byte> biases_;
};

Result<void> write_weights(const std::vector<Job>& jobs, const FuseModelOptions& options,
                           CheckpointWriter& writer, FusedModel& made, const ProgressFn& progress) {
  ThreadPool pool(std::max(1, options.threads));
  MatrixWriter matrices(pool, options);
  std::uint64_t done = 0;
  std::uint64_t total = 0;
  for (const Job& job : jobs)
    for (const Tensor* tensor : job.stored) total += tensor->byte_size();
  for (const Job& job : jobs) {
    if (job.copied) {
      for (const Tensor* tensor : job.stored)
        BOBBY_CHECK(writer.append(tensor->name, tensor->data));
    } else {
      DeltaKept kept;
      if (auto run = matrices.run(job, writer, job.delta ? &kept : nullptr); !run)
        return fail(std::move(run).error().in(job.view.name));
      if (job.delta != nullptr) made.modules.push_back({job.view.name, kept});
    }
    for (const Tensor* tensor : job.stored) done += tensor->byte_size();
    if (progress) progress({"fuse", done, total});
  }
  return writer.finish();
}

std::string fused_config(nlohmann::json config, const std::vector<Job>& jobs,
                         const FuseModelOptions& options) {
  if (!options.requantize) {
    config.erase("quantization");
    config.erase("quantization_config");
    for (const char* key : {"torch_dtype", "dtype"})
      if (config.contains(key)) config[key] = dtype_name(options.dtype);
    return config.dump(4) + "\n";
  }
  for (const Job& job : jobs) {
    if (job.delta == nullptr || job.format == job.view.format) continue;
    const nlohmann::json entry = {
        {"group_size", job.format.group_size}, {"bits", job.format.bits}, {"mode", "affine"}};
    for (const char* key : {"quantization", "quantization_config"})
      config[key][job.view.name] = entry;
  }
  return config.dump(4) + "\n";
}

}  // namespace

Result<FusedModel> fuse_model(const fs::path& source, const Adapter& adapter,
                              const fs::path& folder, const FuseModelOptions& options,
                              const ProgressFn& progress) {
  BOBBY_TRY(const ModelConfig config, ModelConfig::load(source));
  if (adapter.paired_rows) {
    BOBBY_TRY(const Adapter ordered,
              in_checkpoint_order(adapter, config.model_type, config.head_dim));
    return fuse_model(source, ordered, folder, options, progress);
  }
  BOBBY_TRY(nlohmann::json json, read_json_object(source / "config.json"));
  if (options.requantize && !config.quantization)
    return fail({.code = ErrorCode::kUsage,
                 .where = source.string(),
                 .problem = "is not quantised, so nothing can be quantised again",
                 .hint = "fuse, then `bobby model quantize`"});
  if (options.rounding == FuseRounding::kMlx && adapter.dora)
    return fail({.code = ErrorCode::kUnsupported,
                 .where = adapter.folder.string(),
                 .problem =
                     "is DoRA, whose norms mlx-lm takes in the base's type in an order of its "
                     "own",
                 .hint = "fuse it without --as-mlx"});
  const auto checkpoint = Checkpoint::open(source);
  if (!checkpoint) return fail(to_error(checkpoint.error()));
  Planner planner(*checkpoint, config, adapter, options);
  auto jobs = planner.plan();
  if (!jobs) return fail(std::move(jobs).error().in(source.string()));
  std::vector<safetensors::TensorInfo> infos;
  for (const Job& job : *jobs) infos.insert(infos.end(), job.out.begin(), job.out.end());

  BOBBY_TRY(OutputFolder output, OutputFolder::create(folder));
  BOBBY_TRY(CheckpointWriter writer,
            CheckpointWriter::create(output.path(), infos, options.shard_bytes));
  FusedModel made{.modules = {}, .bytes = writer.total_bytes()};
  BOBBY_CHECK(write_weights(*jobs, options, writer, made, progress));
  BOBBY_CHECK(output.write_text("config.json", fused_config(std::move(json), *jobs, options)));
  BOBBY_CHECK(copy_model_files(source, output.path()));
  BOBBY_CHECK(output.commit());
  return made;
}

}  // namespace bobby
