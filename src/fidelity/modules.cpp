#include "fidelity/modules.h"

#include <cstring>
#include <mutex>
#include <utility>

#include "lora/transposed.h"

namespace bobby::fidelity {
namespace {

constexpr std::int64_t kBlockRows = 16;

const Module* find_module(const NetworkWeights& base, std::string_view path) {
  for (const Module& module : base.loaded.modules)
    if (module.path == path) return &module;
  return nullptr;
}

std::string shape_text(std::int64_t rows, std::int64_t cols) {
  return "[" + std::to_string(rows) + ", " + std::to_string(cols) + "]";
}

Result<void> check_module(const AdapterModule& module, const NetworkWeights& base) {
  const Module* found = find_module(base, module.path);
  if (found == nullptr)
    return fail({.code = ErrorCode::kMismatch,
                 .where = module.path,
                 .problem = "is adapted, but the model has no such module",
                 .hint = "the adapter was made for another base"});
  if (module.path == "model.embed_tokens" ||
      (module.path == "lm_head" && base.config.tie_word_embeddings))
    return fail({.code = ErrorCode::kUnsupported,
                 .where = module.path,
                 .problem = "is adapted; what that keeps of an embedding is not measured"});
  if (module.in_features != found->weight->cols() || module.out_features != found->weight->rows())
    return fail({.code = ErrorCode::kMismatch,
                 .where = module.path,
                 .problem = "is adapted for another shape (out_features, in_features)",
                 .expected = shape_text(found->weight->rows(), found->weight->cols()),
                 .found = shape_text(module.out_features, module.in_features)});
  return {};
}

}  // namespace

Result<std::unique_ptr<AdaptedModules>> AdaptedModules::make(const NetworkWeights& base,
                                                             const Subject& subject,
                                                             const Options& options) {
  std::unique_ptr<AdaptedModules> modules(new AdaptedModules(base, subject, options));
  modules->factor_ = subject.factor;
  std::vector<Error> problems;
  for (const AdapterModule& module : subject.adapter.modules) {
    if (auto checked = check_module(module, base); !checked)
      problems.push_back(std::move(checked).error());
    else
      modules->deltas_.emplace(module.path,
                               Adapted{&module, WeightDelta::of_linear(module, subject.factor)});
  }
  if (!problems.empty()) return fail(join_errors(std::move(problems)));
  return modules;
}

std::vector<std::string> AdaptedModules::adapted_paths() const {
  std::vector<std::string> paths;
  for (const Module& module : base_.loaded.modules)
    if (is_adapted(module.path)) paths.push_back(module.path);
  return paths;
}

const WeightDelta* AdaptedModules::delta_of(const std::string& path) const {
  const auto found = deltas_.find(path);
  return found == deltas_.end() ? nullptr : &found->second.delta;
}

/// Calls work(begin, count, kept) for all rows, by threads; the sums are added in the order of the
/// rows, so that they do not depend on the threads.
template <typename Work>
Result<DeltaKept> AdaptedModules::by_rows(std::int64_t rows, bool keep, const Work& work) {
  std::vector<DeltaKept> parts(keep ? static_cast<std::size_t>((rows + kBlockRows - 1) / kBlockRows)
                                    : 0);
  std::mutex mutex;
  Result<void> result;
  pool_.parallel_for(rows, kBlockRows, [&](std::int64_t begin, std::int64_t end, int) {
    DeltaKept* part = keep ? &parts[static_cast<std::size_t>(begin / kBlockRows)] : nullptr;
    auto done = work(begin, end - begin, part);
    if (done) return;
    const std::lock_guard lock(mutex);
    result = std::move(done);
  });
  if (!result) return fail(std::move(result).error());
  DeltaKept sum;
  for (const DeltaKept& part : parts) sum += part;
  return sum;
}

Result<MadeWeight> AdaptedModules::fused(const Linear& linear, DeltaKept* kept) {
  WeightView view = linear.weight->view();
  const FusedRows rows{
      .base = linear.weight->view(), .delta = delta_of(view.name), .dtype = options_.fused_type};
  view.format = {.kind = WeightFormat::Kind::kDense, .dtype = options_.fused_type};
  MadeWeight made;
  made.weight.resize(static_cast<std::size_t>(view.rows) * view.weight_row_bytes());
  BOBBY_TRY(const DeltaKept sum,
            by_rows(view.rows, kept != nullptr,
                    [&](std::int64_t begin, std::int64_t count, DeltaKept* part) {
                      std::byte* out = made.weight.data() +
                                       static_cast<std::size_t>(begin) * view.weight_row_bytes();
                      return rows.dense(begin, count, out, part);
                    }));
  if (kept != nullptr) *kept = sum;
  view.weight = made.weight.data();
  view.scales = view.biases = nullptr;
  BOBBY_TRY(made.loaded, host_.load_weight(view));
  return made;
}

WeightFormat AdaptedModules::requantized_format(const WeightView& view) const {
  if (!options_.requantize && view.format.kind == WeightFormat::Kind::kAffine) return view.format;
  const QuantizationConfig wanted = options_.requantize.value_or(QuantizationConfig{});
  return {.kind = WeightFormat::Kind::kAffine,
          .dtype = view.format.dtype,
          .bits = wanted.bits,
          .group_size = wanted.group_size};
}

Result<MadeWeight> AdaptedModules::requantized(const Linear& linear, bool with_change,
                                               DeltaKept* kept) {
  WeightView view = linear.weight->view();
  view.format = requantized_format(view);
  const FusedRows rows{.base = linear.weight->view(),
                       .delta = with_change ? delta_of(view.name) : nullptr,
                       .dtype = view.format.dtype};
  BOBBY_CHECK(check_format(view.format, view.cols, view.name));
  const std::size_t weight_bytes = view.weight_row_bytes();
  const std::size_t scales_bytes = view.scales_row_bytes();
  MadeWeight made;
  made.weight.resize(static_cast<std::size_t>(view.rows) * weight_bytes);
  made.scales.resize(static_cast<std::size_t>(view.rows) * scales_bytes);
  made.biases.resize(made.scales.size());
  BOBBY_TRY(const DeltaKept sum,
            by_rows(view.rows, kept != nullptr,
                    [&](std::int64_t begin, std::int64_t count, DeltaKept* part) {
                      const auto row = static_cast<std::size_t>(begin);
                      const AffineRows out{.weight = made.weight.data() + row * weight_bytes,
                                           .scales = made.scales.data() + row * scales_bytes,
                                           .biases = made.biases.data() + row * scales_bytes};
                      return rows.quantized(begin, count, view.format, options_.rounding, out,
                                            part);
                    }));
  if (kept != nullptr) *kept = sum;
  view.weight = made.weight.data();
  view.scales = made.scales.data();
  view.biases = made.biases.data();
  BOBBY_TRY(made.loaded, host_.load_weight(view));
  return made;
}

Result<HostPair> AdaptedModules::pair(const std::string& path, const Weight& weight) {
  const AdapterModule& module = *deltas_.find(path)->second.module;
  TrainingOps& ops = *host_.training();
  const std::int64_t rank = module.rank;
  const std::int64_t out = module.out_features;
  const std::int64_t numbers = rank * (module.in_features + out) + 2 * out;
  HostPair pair;
  BOBBY_TRY(pair.memory, host_.allocate(static_cast<std::size_t>(numbers) * sizeof(float)));
  auto* memory = static_cast<float*>(pair.memory->data());
  pair.lora.a = {memory, rank, module.in_features};
  pair.lora.b = {pair.lora.a.data + rank * module.in_features, rank, out};
  pair.lora.scale = module.scale * factor_;
  BOBBY_CHECK(ops.copy_in(module.a, pair.lora.a));
  BOBBY_CHECK(ops.copy_in(transposed(module.b, out, rank), pair.lora.b));
  if (module.magnitude.empty()) return pair;
  pair.lora.multiplier = {pair.lora.b.data + rank * out, 1, out};
  std::vector<float> multiplier(static_cast<std::size_t>(out));
  const Activation norms = {pair.lora.multiplier.data + out, 1, out};
  TrainingLora plain = pair.lora;
  plain.multiplier = {};
  ops.row_norms(weight, &plain, norms);
  BOBBY_CHECK(ops.copy_out(norms, multiplier));
  for (std::size_t row = 0; row < multiplier.size(); ++row)
    multiplier[row] = module.magnitude[row] / multiplier[row];
  BOBBY_CHECK(ops.copy_in(multiplier, pair.lora.multiplier));
  return pair;
}

}  // namespace bobby::fidelity
