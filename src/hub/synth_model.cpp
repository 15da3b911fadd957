#include "hub/synth_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>

#include "base/output_folder.h"
#include "base/thread_pool.h"
#include "hub/checkpoint_layout.h"
#include "hub/checkpoint_writer.h"
#include "hub/random_numbers.h"
#include "hub/synth_config.h"
#include "tensor/formats/dense.h"

namespace bobby {
namespace {

constexpr float kDeviation = 0.02f;         // of a weight: the usual initial one
constexpr std::uint64_t kChunk = 1u << 21;  // elements made and written at a time
constexpr std::int64_t kBlock = 1 << 14;    // elements that one thread takes at a time

/// Makes and writes the tensors, chunk by chunk, one tensor after the other.
class Synthesizer {
 public:
  Synthesizer(const SynthOptions& options, CheckpointWriter& writer, const ProgressFn& progress)
      : options_(options),
        writer_(writer),
        progress_(progress),
        pool_(std::max(1, options.threads)) {}

  Result<void> run(const ModelTensor& tensor, const WeightFormat& format) {
    const auto stored = stored_tensors(tensor, format);
    const auto elements = static_cast<std::uint64_t>(tensor.rows * tensor.cols);
    const float reach = kDeviation * std::sqrt(3.0f);  // a uniform number's deviation is reach/√3
    if (tensor.kind == ModelTensor::Kind::kNorm)
      return floats(stored[0].name, elements, format.dtype, [](float u) { return 1 + 0.1f * u; });
    if (format.kind == WeightFormat::Kind::kDense)
      return floats(stored[0].name, elements, format.dtype, [reach](float u) { return reach * u; });

    // Levels are uniform, so scale * (levels / 2) is the reach; scales vary by half and have both
    // signs, as a quantiser's have, and biases centre their groups.
    const float levels = static_cast<float>((1 << format.bits) - 1);
    const auto scale = [=](float u) {
      return std::copysign(0.75f + 0.5f * std::abs(u), u) * 2 * reach / levels;
    };
    const auto bias = [=](float u) { return -scale(u) * levels / 2; };
    const std::uint64_t groups = elements / static_cast<std::uint64_t>(format.group_size);
    BOBBY_CHECK(words(stored[0].name, elements * static_cast<std::uint64_t>(format.bits) / 32));
    BOBBY_CHECK(floats(stored[1].name, groups, format.dtype, scale, stored[1].name));
    return floats(stored[2].name, groups, format.dtype, bias, stored[1].name);
  }

 private:
  Result<void> words(const std::string& name, std::uint64_t count) {
    const RandomNumbers random(options_.seed, name);
    return chunks(name, count, 4, [&](std::uint64_t first, std::span<std::byte> out) {
      std::uint32_t made[kBlock];
      random.words(first, {made, out.size() / 4});
      std::memcpy(out.data(), made, out.size());
    });
  }

  /// f of uniform numbers in [-1, 1), those of `stream` (default: the tensor's own).
  template <typename F>
  Result<void> floats(const std::string& name, std::uint64_t count, DType dtype, F f,
                      const std::string& stream = {}) {
    const RandomNumbers random(options_.seed, stream.empty() ? name : stream);
    return chunks(name, count, dtype_bytes(dtype),
                  [&](std::uint64_t first, std::span<std::byte> out) {
                    float made[kBlock];
                    const std::span<float> values(made, out.size() / dtype_bytes(dtype));
                    random.uniform(first, -1.0f, 1.0f, values);
                    for (float& value : values) value = f(value);
                    narrow(dtype, made, static_cast<std::int64_t>(values.size()), out.data());
                  });
  }

  /// Calls make(first element, bytes of at most kBlock elements) on the threads, and writes.
  template <typename Make>
  Result<void> chunks(const std::string& name, std::uint64_t count, std::size_t element,
                      const Make& make) {
    for (std::uint64_t first = 0; first < count; first += kChunk) {
      const std::uint64_t size = std::min(kChunk, count - first);
      buffer_.resize(size * element);
      pool_.parallel_for(
          static_cast<std::int64_t>(size), kBlock, [&](std::int64_t begin, std::int64_t end, int) {
            const auto at = static_cast<std::size_t>(begin);
            const auto length = static_cast<std::size_t>(end - begin);
            make(first + at, std::span(buffer_).subspan(at * element, length * element));
          });
      BOBBY_CHECK(writer_.append(name, buffer_));
      done_ += buffer_.size();
      if (progress_) progress_({"synthesize", done_, writer_.total_bytes()});
    }
    return {};
  }

  const SynthOptions& options_;
  CheckpointWriter& writer_;
  const ProgressFn& progress_;
  ThreadPool pool_;
  std::vector<std::byte> buffer_;
  std::uint64_t done_ = 0;
};

/// config.json's `quantization`, with an entry `false` for each module that cannot be quantised.
void complete_quantization(SynthConfig& made, const std::vector<ModelTensor>& tensors) {
  if (!made.config.quantization) return;
  nlohmann::json& block = made.json["quantization"];
  for (const ModelTensor& tensor : tensors)
    if (tensor.is_matrix() &&
        format_of(tensor, made.config, DType::kF32).kind == WeightFormat::Kind::kDense)
      block[tensor.path] = false;
  made.json["quantization_config"] = block;
}

}  // namespace

Result<SynthModel> synth_model(const SynthOptions& options, const ProgressFn& progress) {
  if (!is_float_dtype(options.dtype))
    return fail({.code = ErrorCode::kUnsupported,
                 .where = "synth",
                 .problem = "weights are floating point numbers",
                 .found = std::string(dtype_name(options.dtype))});
  BOBBY_TRY(SynthConfig made, synth_config(options.arch, options.bits, options.group_size));
  const std::vector<ModelTensor> tensors = model_tensors(made.config);
  complete_quantization(made, tensors);
  std::vector<safetensors::TensorInfo> infos;
  for (const ModelTensor& tensor : tensors)
    for (auto& info : stored_tensors(tensor, format_of(tensor, made.config, options.dtype)))
      infos.push_back(std::move(info));

  BOBBY_TRY(OutputFolder output, OutputFolder::create(options.folder));
  BOBBY_TRY(CheckpointWriter writer,
            CheckpointWriter::create(output.path(), infos, options.shard_bytes));
  Synthesizer synthesizer(options, writer, progress);
  for (const ModelTensor& tensor : tensors)
    BOBBY_CHECK(synthesizer.run(tensor, format_of(tensor, made.config, options.dtype)));
  BOBBY_CHECK(writer.finish());
  BOBBY_CHECK(output.write_text("config.json", made.json.dump(4) + "\n"));
  BOBBY_CHECK(output.commit());
  return SynthModel{.tensors = static_cast<std::int64_t>(infos.size()),
                    .bytes = writer.total_bytes()};
}

}  // namespace bobby
