#include "training/optimizer.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <cstdlib>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <utility>

#include "training/host_blocks.h"
#include "training/optimizer_state.h"

namespace bobby {
namespace {

constexpr std::array<std::pair<OptimizerKind, std::string_view>, 5> kNames = {
    {{OptimizerKind::kAdam, "adam"},
     {OptimizerKind::kAdamW, "adamw"},
     {OptimizerKind::kMuon, "muon"},
     {OptimizerKind::kSgd, "sgd"},
     {OptimizerKind::kAdafactor, "adafactor"}}};

// The ranges that the arithmetic needs; the config's reader tells the same with a line.
std::string wrong_option(const OptimizerConfig& config) {
  switch (config.kind) {
    case OptimizerKind::kAdam:
    case OptimizerKind::kAdamW:
      for (const double beta : {config.adam.beta_1, config.adam.beta_2})
        if (!(beta >= 0 && beta < 1)) return fmt::format("betas must be in [0, 1), not {}", beta);
      if (!(config.adam.eps >= 0)) return fmt::format("eps must be >= 0, not {}", config.adam.eps);
      return "";
    case OptimizerKind::kMuon: return config.muon.ns_steps < 0 ? "ns_steps must be >= 0" : "";
    case OptimizerKind::kSgd:
      return config.sgd.nesterov && (config.sgd.momentum <= 0 || config.sgd.dampening != 0)
                 ? "nesterov needs a momentum and no dampening"
                 : "";
    case OptimizerKind::kAdafactor:
      return !(config.adafactor.clip_threshold > 0) ? "clip_threshold must be > 0" : "";
  }
  return "";
}

// Values of a state tensor: Adafactor's row and column means, else one a value of the parameter.
std::size_t size_of(const ParameterUpdate& parameter, std::string_view suffix) {
  if (suffix == "exp_avg_sq_row") return static_cast<std::size_t>(parameter.rows);
  if (suffix == "exp_avg_sq_col") return static_cast<std::size_t>(parameter.cols);
  return static_cast<std::size_t>(parameter.rows * parameter.cols);
}

}  // namespace

std::string_view optimizer_name(OptimizerKind kind) {
  return std::ranges::find(kNames, kind, &std::pair<OptimizerKind, std::string_view>::first)
      ->second;
}

std::optional<OptimizerKind> find_optimizer(std::string_view name) {
  for (const auto& [kind, known] : kNames)
    if (known == name) return kind;
  return std::nullopt;
}

Result<std::unique_ptr<Optimizer>> Optimizer::make(const OptimizerConfig& config) {
  if (const std::string problem = wrong_option(config); !problem.empty())
    return fail({.code = ErrorCode::kUsage,
                 .where = "optimizer " + std::string(optimizer_name(config.kind)),
                 .problem = problem});
  switch (config.kind) {
    case OptimizerKind::kAdam: return make_adam(config.adam, /*decoupled_weight_decay=*/false);
    case OptimizerKind::kAdamW: return make_adam(config.adam, /*decoupled_weight_decay=*/true);
    case OptimizerKind::kMuon: return make_muon(config.muon);
    case OptimizerKind::kSgd: return make_sgd(config.sgd);
    case OptimizerKind::kAdafactor: return make_adafactor(config.adafactor);
  }
  return fail({.code = ErrorCode::kInternal, .problem = "an optimizer of no kind"});
}

void TensorOptimizer::step(float learning_rate, std::span<const ParameterUpdate> updates) {
  ++step_;
  bool apart = true;
  for (const ParameterUpdate& each : updates) {
    assert(each.value.size() == each.gradient.size());
    assert(each.value.size() == static_cast<std::size_t>(each.rows * each.cols));
    apart = prepare(each) && apart;
  }
  const auto run = [&](std::int64_t begin, std::int64_t end, int) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
      update(learning_rate, updates[i]);
  };
  const auto count = static_cast<std::int64_t>(updates.size());
  if (apart)
    for_host_blocks(count, 1, run);
  else
    run(0, count, 0);
}

std::span<float> TensorOptimizer::tensor(const ParameterUpdate& parameter, std::string_view suffix,
                                         std::size_t size) {
  const std::string name = fmt::format("{}.{}", parameter.name, suffix);
  auto found = tensors_.find(name);  // an insertion only where it is new: see prepare()
  if (found == tensors_.end()) found = tensors_.try_emplace(name, size, 0.0f).first;
  std::vector<float>& values = found->second;
  if (values.size() != size) std::abort();
  return values;
}

OptimizerState TensorOptimizer::state() const {
  OptimizerState all{.step = step_, .tensors = {}};
  all.tensors.reserve(tensors_.size());
  for (const auto& [name, values] : tensors_) all.tensors.push_back({name, values});
  return all;
}

Result<void> TensorOptimizer::take_over(const OptimizerState& state,
                                        std::span<const ParameterUpdate> parameters) {
  std::map<std::string, std::vector<float>, std::less<>> tensors;
  for (const StateTensor& each : state.tensors) {
    const std::size_t dot = std::min(each.name.rfind('.'), each.name.size());
    const std::string_view name = std::string_view(each.name).substr(0, dot);
    const std::string_view suffix =
        std::string_view(each.name).substr(std::min(dot + 1, each.name.size()));
    const auto wrong = [&](std::string problem, std::string expected, std::string found) {
      return fail({.code = ErrorCode::kMismatch,
                   .where = "optimizer state '" + each.name + "'",
                   .problem = std::move(problem),
                   .expected = std::move(expected),
                   .found = std::move(found)});
    };
    if (std::ranges::find(suffixes_, suffix) == suffixes_.end())
      return wrong("belongs to another optimizer",
                   fmt::format("NAME.{}", fmt::join(suffixes_, ", NAME.")), "");
    if (!parameters.empty()) {
      const auto found = std::ranges::find(parameters, name, &ParameterUpdate::name);
      if (found == parameters.end())
        return wrong("belongs to no parameter that is trained", "", "");
      const std::size_t size = size_of(*found, suffix);
      if (each.values.size() != size)
        return wrong("has another size", fmt::format("{} values", size),
                     fmt::format("{}", each.values.size()));
    }
    tensors[each.name] = each.values;
  }
  tensors_ = std::move(tensors);
  step_ = state.step;
  return {};
}

double gradient_norm(std::span<const std::span<float>> gradients) {
  double squares = 0;
  for (const std::span<float> gradient : gradients)
    for (const float value : gradient) squares += static_cast<double>(value) * value;
  return std::sqrt(squares);
}

double clip_gradient_norm(std::span<const std::span<float>> gradients, double max_norm) {
  const double norm = gradient_norm(gradients);
  if (!std::isfinite(norm)) return norm;
  const float scale = std::min(as_float(max_norm) / (as_float(norm) + 1e-6f), 1.0f);
  if (scale < 1.0f)
    for (const std::span<float> gradient : gradients)
      for (float& value : gradient) value *= scale;
  return norm;
}

}  // namespace bobby
