#include "hub/quantize_model.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/disk_space.h"
#include "base/safetensors_error.h"
#include "base/thread_pool.h"
#include "hub/chunk_writer.h"
#include "hub/model_files.h"
#include "hub/page_stream.h"
#include "hub/quantize_plan.h"
#include "hub/resumable_folder.h"
#include "hub/shard_store.h"
#include "lora/json_object.h"
#include "model/config.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using safetensors::Checkpoint;

constexpr std::size_t kChunkBytes = 8u << 20;
constexpr std::size_t kChunksAhead = 6;
constexpr std::int64_t kBlockRows = 16;

/// What is read and written at one time: rows of a matrix, or bytes of what is copied.
struct Piece {
  const QuantizeJob* job = nullptr;
  std::int64_t begin = 0;
  std::int64_t count = 0;
  std::span<const std::byte> bytes;  ///< of the source
  bool last_of_job = false;
  bool last_of_shard = false;
};

void add_pieces(const QuantizeJob& job, std::vector<Piece>& pieces) {
  const std::span<const std::byte> data = job.tensor->data;
  const bool matrix = job.format.has_value();
  const std::size_t unit = matrix ? job.view().weight_row_bytes() : 1;
  const auto units = static_cast<std::int64_t>(data.size() / unit);
  const auto step = static_cast<std::int64_t>(std::max<std::size_t>(1, kChunkBytes / unit));
  for (std::int64_t begin = 0; begin == 0 || begin < units; begin += step) {
    const std::int64_t count = std::min(step, units - begin);
    pieces.push_back({.job = &job,
                      .begin = begin,
                      .count = count,
                      .bytes = data.subspan(static_cast<std::size_t>(begin) * unit,
                                            static_cast<std::size_t>(count) * unit)});
  }
  pieces.back().last_of_job = true;
}

/// The pieces of what is in no finished shard.
std::vector<Piece> pieces_of(const QuantizePlan& plan, std::size_t finished) {
  std::vector<Piece> pieces;
  for (const QuantizeJob& job : plan.jobs)
    if (job.shard >= finished) add_pieces(job, pieces);
  for (std::size_t i = 0; i < pieces.size(); ++i)
    pieces[i].last_of_shard =
        i + 1 == pieces.size() || pieces[i + 1].job->shard != pieces[i].job->shard;
  return pieces;
}

/// Quantises rows, shared out among the threads, and sums up what that took from each module.
class ChunkQuantizer {
 public:
  explicit ChunkQuantizer(const QuantizeModelOptions& options)
      : options_(options), pool_(std::max(1, options.threads)) {}

  Result<void> fill(const Piece& piece, QuantizedChunk& chunk) {
    chunk.job = piece.job;
    if (!piece.job->format) {
      chunk.weight.assign(piece.bytes.begin(), piece.bytes.end());
      return {};
    }
    WeightView affine = piece.job->view();
    affine.format = *piece.job->format;
    const auto rows = static_cast<std::size_t>(piece.count);
    chunk.weight.resize(rows * affine.weight_row_bytes());
    chunk.scales.resize(rows * affine.scales_row_bytes());
    chunk.biases.resize(chunk.scales.size());
    errors_.resize(rows);
    BOBBY_CHECK(quantize(piece, affine, chunk));
    for (const RowError& row : errors_) {
      sum_.error += row.error;
      sum_.weight += row.weight;
      sum_.largest = std::max(sum_.largest, row.largest);
    }
    return {};
  }

  /// What the job that was filled last lost.
  TensorError take_error(const QuantizeJob& job) {
    const RowError sum = std::exchange(sum_, {});
    return {.path = job.path,
            .quantization = {job.format->group_size, job.format->bits},
            .relative = sum.weight > 0 ? std::sqrt(sum.error / sum.weight) : 0,
            .largest = static_cast<double>(sum.largest)};
  }

 private:
  Result<void> quantize(const Piece& piece, const WeightView& affine, QuantizedChunk& chunk) {
    const WeightView dense = piece.job->view();
    std::mutex mutex;
    std::int64_t first_bad = piece.count;  // the lowest row's, whichever thread came first
    Result<void> result;
    pool_.parallel_for(piece.count, kBlockRows, [&](std::int64_t begin, std::int64_t end, int) {
      const auto row = static_cast<std::size_t>(begin);
      const AffineRows out{.weight = chunk.weight.data() + row * affine.weight_row_bytes(),
                           .scales = chunk.scales.data() + row * affine.scales_row_bytes(),
                           .biases = chunk.biases.data() + row * affine.scales_row_bytes(),
                           .errors = errors_.data() + row};
      auto done = options_.quantize_rows(dense, piece.begin + begin, end - begin, affine.format,
                                         options_.rounding, out);
      if (done) return;
      const std::lock_guard lock(mutex);
      if (begin >= first_bad) return;
      first_bad = begin;
      result = std::move(done);
    });
    return result;
  }

  const QuantizeModelOptions& options_;
  ThreadPool pool_;
  std::vector<RowError> errors_;
  RowError sum_;
};

json to_json(const TensorError& error) {
  return {{"path", error.path},
          {"bits", error.quantization.bits},
          {"group_size", error.quantization.group_size},
          {"relative", error.relative},
          {"largest", error.largest}};
}

/// The errors that were noted of the shards that an earlier run finished.
Result<std::vector<TensorError>> noted_errors(const ShardStore& store) {
  std::vector<TensorError> errors;
  try {
    for (std::size_t i = 0; i < store.finished(); ++i)
      for (const json& noted : store.note_of(i))
        errors.push_back({.path = noted.at("path"),
                          .quantization = {noted.at("group_size"), noted.at("bits")},
                          .relative = noted.at("relative"),
                          .largest = noted.at("largest")});
  } catch (const json::exception&) {
    return fail({.code = ErrorCode::kMalformed,
                 .problem = "what an earlier run noted of its work cannot be read"});
  }
  return errors;
}

Result<void> write_weights(const QuantizePlan& plan, const QuantizeModelOptions& options,
                           ShardStore& store, QuantizedModel& made, const ProgressFn& progress) {
  const std::vector<Piece> pieces = pieces_of(plan, store.finished());
  std::vector<PageStream::Part> parts;
  std::uint64_t done = plan.bytes_before;
  for (const Piece& piece : pieces) {
    parts.push_back({piece.job->file, piece.bytes});
    done -= piece.bytes.size();
  }
  PageStream pages(std::move(parts), kChunksAhead);
  ChunkQuantizer quantizer(options);
  ChunkWriter writer(store);
  json note = json::array();
  if (progress) progress({"quantize", done, plan.bytes_before});
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const Piece& piece = pieces[i];
    BOBBY_TRY(std::unique_ptr<QuantizedChunk> chunk, writer.take());
    pages.wait_for(i);
    BOBBY_CHECK(quantizer.fill(piece, *chunk));
    pages.drop(i);
    if (piece.last_of_job && piece.job->format) {
      made.errors.push_back(quantizer.take_error(*piece.job));
      note.push_back(to_json(made.errors.back()));
    }
    if (piece.last_of_shard) chunk->shard_note = std::exchange(note, json::array());
    writer.give(std::move(chunk));
    done += piece.bytes.size();
    if (progress) progress({"quantize", done, plan.bytes_before});
  }
  BOBBY_CHECK(writer.finish());
  // A checkpoint without tensors is a file without tensors.
  if (store.finished() < plan.shards.size()) return store.finish_shard(json::array());
  return {};
}

/// Everything of `folder` but config.json and what is copied.
Result<void> make_weights(const QuantizePlan& plan, const QuantizeModelOptions& options,
                          ResumableFolder& folder, QuantizedModel& made,
                          const ProgressFn& progress) {
  ShardStore store(folder, plan.shards);
  BOBBY_CHECK(store.take_up(progress));
  made.files_taken_up = static_cast<std::int64_t>(store.finished());
  BOBBY_TRY(made.errors, noted_errors(store));
  std::uint64_t to_write = 0;
  for (std::size_t i = store.finished(); i < plan.shards.size(); ++i)
    to_write += plan.shards[i].bytes;
  BOBBY_CHECK(check_disk_space(folder.path(), to_write));
  BOBBY_CHECK(write_weights(plan, options, store, made, progress));
  made.quantized = static_cast<std::int64_t>(made.errors.size());
  return write_shard_index(folder.path(), plan.shards);
}

Result<void> write_config(json config, const json& quantization, const ResumableFolder& folder) {
  config["quantization"] = quantization;
  config["quantization_config"] = quantization;
  return folder.write_text(folder.path() / "config.json", config.dump(4) + "\n");
}

/// Whether the same run could come further another time.
bool is_worth_another_try(ErrorCode code) {
  return code == ErrorCode::kIo || code == ErrorCode::kLimit;
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
  BOBBY_TRY(json config_json, read_json_object(source / "config.json"));
  if (config.quantization || !config.quantization_by_path.empty())
    return fail({.code = ErrorCode::kUsage,
                 .where = source.string(),
                 .problem = "is quantised already",
                 .hint = "start from the original weights"});
  const auto checkpoint = Checkpoint::open(source);
  if (!checkpoint) return fail(to_error(checkpoint.error()));
  BOBBY_TRY(const QuantizePlan plan, plan_quantization(*checkpoint, config, options));

  QuantizedModel made{.left_dense = plan.left_dense,
                      .bytes_before = plan.bytes_before,
                      .bytes_after = plan.bytes_after,
                      .errors = {},
                      .files = static_cast<std::int64_t>(plan.shards.size())};
  BOBBY_TRY(ResumableFolder output,
            ResumableFolder::open(folder, plan.description(*checkpoint, options.rounding)));
  if (auto weights = make_weights(plan, options, output, made, progress); !weights) {
    if (!is_worth_another_try(weights.error().code)) output.keep(false);
    return fail(std::move(weights).error());
  }
  BOBBY_CHECK(write_config(std::move(config_json), plan.quantization, output));
  BOBBY_CHECK(copy_model_files(source, output.path()));
  BOBBY_CHECK(output.commit());
  return made;
}

}  // namespace bobby
