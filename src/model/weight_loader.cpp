#include "model/weight_loader.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>

#include "base/safetensors_error.h"
#include "lora/tensor_file.h"
#include "tensor/formats/affine.h"

namespace bobby {

namespace {

bool is_float(safetensors::DType dtype) {
  return dtype == safetensors::DType::kF32 || dtype == safetensors::DType::kF16 ||
         dtype == safetensors::DType::kBF16;
}

std::string shape_text(std::int64_t rows, std::int64_t cols, bool vector) {
  if (vector) return "[" + std::to_string(cols) + "]";
  return "[" + std::to_string(rows) + ", " + std::to_string(cols) + "]";
}

bool ends_with(const std::string& text, std::string_view ending) {
  return std::string_view(text).ends_with(ending);
}

bool is_bits(std::uint64_t bits) {
  return std::find(kAffineBits.begin(), kAffineBits.end(), bits) != kAffineBits.end();
}

bool is_group_size(std::uint64_t size) {
  return std::find(kAffineGroupSizes.begin(), kAffineGroupSizes.end(), size) !=
         kAffineGroupSizes.end();
}

}  // namespace

WeightLoader::WeightLoader(const safetensors::Checkpoint& checkpoint, const ModelConfig& config,
                           Backend& backend)
    : checkpoint_(checkpoint), config_(config), backend_(backend) {}

Linear WeightLoader::linear(const std::string& path, std::int64_t out_features,
                            std::int64_t in_features, bool bias) {
  Linear linear;
  if (!is_quantised(path))
    linear.weight = dense(path, path + ".weight", out_features, in_features, false);
  else if (const FloatMode* mode = find_float_mode(mode_of(path, in_features)))
    linear.weight = floats(path, out_features, in_features, *mode);
  else
    linear.weight = affine(path, out_features, in_features);
  if (bias) linear.bias = dense(path, path + ".bias", 1, out_features, true);
  linear.slot = add_module(path, linear.weight);
  return linear;
}

const Weight* WeightLoader::norm(const std::string& path, std::int64_t size) {
  return dense(path, path + ".weight", 1, size, true);
}

const Weight* WeightLoader::computed(const std::string& name, std::vector<float> values) {
  loaded_.computed.push_back(std::move(values));
  const std::vector<float>& kept = loaded_.computed.back();  // its elements stay where they are
  return upload({.name = name,
                 .format = {.kind = WeightFormat::Kind::kDense, .dtype = DType::kF32},
                 .rows = 1,
                 .cols = static_cast<std::int64_t>(kept.size()),
                 .weight = reinterpret_cast<const std::byte*>(kept.data())});
}

Linear WeightLoader::shared(const std::string& path, const Linear& other) {
  return {.weight = other.weight, .bias = other.bias, .slot = add_module(path, other.weight)};
}

int WeightLoader::add_module(const std::string& path, const Weight* weight) {
  loaded_.modules.push_back({path, weight});
  return static_cast<int>(loaded_.modules.size()) - 1;
}

Result<LoadedWeights> WeightLoader::finish() {
  for (const Tensor* tensor : checkpoint_.tensors())
    if (!taken_.contains(tensor) && !is_leftover(tensor->name))
      report(ErrorCode::kMismatch, "tensor '" + tensor->name + "'",
             "is not part of this " + config_.model_type + " model", {},
             safetensors::describe(tensor->dtype, tensor->shape));
  if (!problems_.empty()) return fail(join_errors(std::move(problems_)));
  return std::move(loaded_);
}

/// Tensors that some checkpoints hold and that no forward reads.
bool WeightLoader::is_leftover(const std::string& name) const {
  if (ends_with(name, ".rotary_emb.inv_freq")) return true;  // recomputed from config.json
  return config_.tie_word_embeddings && name.starts_with("lm_head.");  // the embedding is the head
}

const safetensors::Tensor* WeightLoader::take(const std::string& name) {
  const Tensor* tensor = checkpoint_.find(name);
  if (tensor)
    taken_.insert(tensor);
  else
    report(ErrorCode::kMismatch, "tensor '" + name + "'", "is missing");
  return tensor;
}

bool WeightLoader::check(const Tensor& tensor, std::int64_t rows, std::int64_t cols,
                         Elements elements, bool vector) {
  const auto is = [](std::uint64_t found, std::int64_t expected) {
    return found == static_cast<std::uint64_t>(expected);
  };
  const bool shape =
      vector ? tensor.shape.size() == 1 && is(tensor.shape[0], cols)
             : tensor.shape.size() == 2 && is(tensor.shape[0], rows) && is(tensor.shape[1], cols);
  const bool dtype = elements == Elements::kWords   ? tensor.dtype == safetensors::DType::kU32
                     : elements == Elements::kBytes ? tensor.dtype == safetensors::DType::kU8
                                                    : is_float(tensor.dtype);
  if (shape && dtype) return true;
  const std::string_view expected = elements == Elements::kWords   ? "U32 "
                                    : elements == Elements::kBytes ? "U8 "
                                                                   : "F32, F16 or BF16 ";
  report(ErrorCode::kMismatch, "tensor '" + tensor.name + "'",
         shape ? "has the wrong dtype" : "has the wrong shape",
         std::string(expected) + shape_text(rows, cols, vector),
         safetensors::describe(tensor.dtype, tensor.shape));
  return false;
}

/// The tensor's bytes in the mapped file; where the file misaligns an element, in a copy.
const std::byte* WeightLoader::bytes_of(const Tensor& tensor) {
  auto view = tensor.as<std::byte>(safetensors::dtype_alignment(tensor.dtype));
  if (!view) {
    problems_.push_back(to_error(view.error()));
    return nullptr;
  }
  const std::byte* bytes = view->data();
  if (view->is_copy()) loaded_.copies.push_back(std::move(*view));
  return bytes;
}

const Weight* WeightLoader::dense(const std::string& path, const std::string& name,
                                  std::int64_t rows, std::int64_t cols, bool vector) {
  const Tensor* tensor = take(name);
  if (!tensor || !check(*tensor, rows, cols, Elements::kFloats, vector)) return nullptr;
  return upload({.name = path,
                 .format = {.kind = WeightFormat::Kind::kDense, .dtype = *to_dtype(tensor->dtype)},
                 .rows = rows,
                 .cols = cols,
                 .weight = bytes_of(*tensor)});
}

/// mlx-lm's rule: config.json's entry decides; without one, whether the file has scales.
bool WeightLoader::is_quantised(const std::string& path) const {
  const auto entry = config_.quantization_by_path.find(path);
  if (entry != config_.quantization_by_path.end()) return entry->second.has_value();
  return config_.quantization && checkpoint_.find(path + ".scales");
}

/// The entry's mode; without one, that which has scales like the file's: only affine keeps them in
/// the weight's own dtype.
QuantizationMode WeightLoader::mode_of(const std::string& path, std::int64_t cols) const {
  const auto entry = config_.quantization_by_path.find(path);
  if (entry != config_.quantization_by_path.end()) return entry->second->mode;
  const Tensor* weight = checkpoint_.find(path + ".weight");
  const Tensor* scales = checkpoint_.find(path + ".scales");
  if (!weight || !scales || scales->dtype != safetensors::DType::kU8 || weight->shape.size() != 2 ||
      scales->shape.size() != 2)
    return QuantizationMode::kAffine;
  const auto is = [cols](std::uint64_t found, int numerator, int denominator) {
    return cols % denominator == 0 &&
           found == static_cast<std::uint64_t>(cols / denominator * numerator);
  };
  for (const FloatMode& mode : float_modes())
    if (is(weight->shape[1], mode.bits, 32) && is(scales->shape[1], 1, mode.group_size))
      return mode.mode;
  return QuantizationMode::kAffine;
}

bool WeightLoader::affine_format(const std::string& path, const Tensor& weight,
                                 const Tensor& scales, std::int64_t cols, WeightFormat& format) {
  if (!is_float(scales.dtype)) {
    report(ErrorCode::kUnsupported, "tensor '" + scales.name + "'",
           "is of no quantization that is implemented",
           "F32, F16 or BF16, or the U8 of mxfp4, mxfp8 or nvfp4 in its shape",
           safetensors::describe(scales.dtype, scales.shape));
    return false;
  }
  format.kind = WeightFormat::Kind::kAffine;
  format.dtype = *to_dtype(scales.dtype);
  const auto entry = config_.quantization_by_path.find(path);
  if (entry != config_.quantization_by_path.end()) {
    format.bits = entry->second->bits;
    format.group_size = entry->second->group_size;
  } else if (weight.shape.size() == 2 && scales.shape.size() == 2 && scales.shape[1] > 0) {
    const std::uint64_t columns = static_cast<std::uint64_t>(cols);
    const std::uint64_t group_size = columns / scales.shape[1];
    const std::uint64_t bits = weight.shape[1] > columns ? 0 : weight.shape[1] * 32 / columns;
    format.bits = is_bits(bits) ? static_cast<int>(bits) : 0;
    format.group_size = is_group_size(group_size) ? static_cast<int>(group_size) : 0;
  }
  if (format.bits != 0 && format.group_size != 0 && cols % format.group_size == 0) return true;
  report(ErrorCode::kMismatch, "tensor '" + weight.name + "'",
         "and its scales fit no affine quantization of " + std::to_string(cols) + " columns",
         "2, 3, 4, 5, 6 or 8 bits in groups of 32, 64 or 128",
         safetensors::describe(weight.dtype, weight.shape) + " with scales " +
             safetensors::describe(scales.dtype, scales.shape));
  return false;
}

const Weight* WeightLoader::affine(const std::string& path, std::int64_t rows, std::int64_t cols) {
  const Tensor* weight = take(path + ".weight");
  const Tensor* scales = take(path + ".scales");
  WeightFormat format;
  const bool known = weight && scales && affine_format(path, *weight, *scales, cols, format);
  const Tensor* biases = take(path + ".biases");
  if (!known || !biases) return nullptr;
  const std::int64_t groups = cols / format.group_size;
  const bool weight_ok = check(*weight, rows, cols * format.bits / 32, Elements::kWords);
  const bool scales_ok = check(*scales, rows, groups, Elements::kFloats);
  bool biases_ok = check(*biases, rows, groups, Elements::kFloats);
  if (biases_ok && biases->dtype != scales->dtype) {
    report(ErrorCode::kMismatch, "tensor '" + biases->name + "'",
           "has another dtype than the scales", std::string(dtype_name(format.dtype)),
           safetensors::describe(biases->dtype, biases->shape));
    biases_ok = false;
  }
  if (!weight_ok || !scales_ok || !biases_ok) return nullptr;
  return upload({.name = path,
                 .format = format,
                 .rows = rows,
                 .cols = cols,
                 .weight = bytes_of(*weight),
                 .scales = bytes_of(*scales),
                 .biases = bytes_of(*biases)});
}

const Weight* WeightLoader::floats(const std::string& path, std::int64_t rows, std::int64_t cols,
                                   const FloatMode& mode) {
  const Tensor* weight = take(path + ".weight");
  const Tensor* scales = take(path + ".scales");
  if (!weight || !scales) return nullptr;
  if (cols % mode.group_size != 0) {
    report(ErrorCode::kMismatch, "tensor '" + weight->name + "'",
           "has columns that do not fill whole groups of " + std::string(mode.name),
           "a multiple of " + std::to_string(mode.group_size), std::to_string(cols));
    return nullptr;
  }
  const bool weight_ok = check(*weight, rows, cols * mode.bits / 32, Elements::kWords);
  const bool scales_ok = check(*scales, rows, cols / mode.group_size, Elements::kBytes);
  if (!weight_ok || !scales_ok) return nullptr;
  WeightView to{.name = path, .format = exact_format(mode.mode), .rows = rows, .cols = cols};
  const FloatWeightView from{.name = path,
                             .mode = mode.mode,
                             .rows = rows,
                             .cols = cols,
                             .weight = weight->data.data(),
                             .scales = scales->data.data()};
  return convert(from, to) ? upload(to) : nullptr;
}

/// Fills `to` from memory that lives as long as the weights; false after a problem.
bool WeightLoader::convert(const FloatWeightView& from, WeightView& to) {
  constexpr std::int64_t kBlockRows = 64;
  const auto rows = static_cast<std::size_t>(to.rows);
  const std::size_t weight_bytes = rows * to.weight_row_bytes();
  const std::size_t scales_bytes = rows * to.scales_row_bytes();
  auto& memory = loaded_.converted.emplace_back(
      std::make_unique_for_overwrite<std::byte[]>(weight_bytes + 2 * scales_bytes));
  const AffineRows out{.weight = memory.get(),
                       .scales = memory.get() + weight_bytes,
                       .biases = memory.get() + weight_bytes + scales_bytes};
  to.weight = out.weight;
  if (scales_bytes != 0) {
    to.scales = out.scales;
    to.biases = out.biases;
  }
  if (!pool_) pool_ = std::make_unique<ThreadPool>(ThreadPool::available_processors());
  std::mutex mutex;
  std::int64_t first_bad = to.rows;  // that of the lowest row, whichever thread came first
  std::optional<Error> error;
  pool_->parallel_for(to.rows, kBlockRows, [&](std::int64_t begin, std::int64_t end, int) {
    const auto row = static_cast<std::size_t>(begin);
    auto done = convert_rows(from, begin, end - begin,
                             {.weight = out.weight + row * to.weight_row_bytes(),
                              .scales = out.scales + row * to.scales_row_bytes(),
                              .biases = out.biases + row * to.scales_row_bytes()});
    if (done) return;
    const std::lock_guard lock(mutex);
    if (begin >= first_bad) return;
    first_bad = begin;
    error = std::move(done).error();
  });
  if (error) problems_.push_back(*std::move(error));
  return !error;
}

const Weight* WeightLoader::upload(const WeightView& view) {
  if (!view.weight) return nullptr;
  const std::string where = "'" + view.name + "'";
  if (auto supported = backend_.supports(view.format); !supported) {
    problems_.push_back(std::move(supported).error().in(where));
    return nullptr;
  }
  auto weight = backend_.load_weight(view);
  if (weight) return loaded_.weights.emplace_back(std::move(*weight)).get();
  problems_.push_back(std::move(weight).error().in(where));
  return nullptr;
}

void WeightLoader::report(ErrorCode code, std::string where, std::string problem,
                          std::string expected, std::string found, std::string hint) {
  problems_.push_back({.code = code,
                       .where = std::move(where),
                       .problem = std::move(problem),
                       .expected = std::move(expected),
                       .found = std::move(found),
                       .hint = std::move(hint)});
}

}  // namespace bobby
