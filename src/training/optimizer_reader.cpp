#include <algorithm>
#include <cctype>
#include <string>

#include "training/config_reader.h"

namespace bobby {
namespace {

constexpr YamlRange kShare = {.least = 0, .most = 1, .most_open = true};  // [0, 1)
constexpr YamlRange kNotNegative = {.least = 0};

// A list of two numbers, both in `range`.
void read_pair(YamlMapping& options, std::string_view key, const YamlRange& range, double& first,
               double& second) {
  const auto values = options.numbers(key);
  if (!values) return;
  const auto inside = [&](double value) {
    return value >= range.least && !(range.most_open && value >= range.most);
  };
  if (values->size() != 2 || !std::ranges::all_of(*values, inside)) {
    options.report(key, "is not a pair it can be",
                   range.most_open ? "two numbers in [0, 1)" : "two numbers >= 0");
    return;
  }
  first = (*values)[0];
  second = (*values)[1];
}

void read_adam(YamlMapping& options, bool decoupled_weight_decay, AdamOptions& adam) {
  read_pair(options, "betas", kShare, adam.beta_1, adam.beta_2);
  adam.eps = options.number("eps", kNotNegative, adam.eps);
  adam.bias_correction = options.boolean("bias_correction", adam.bias_correction);
  if (decoupled_weight_decay)
    adam.weight_decay = options.number("weight_decay", kNotNegative, adam.weight_decay);
}

void read_muon(YamlMapping& options, MuonOptions& muon) {
  muon.momentum = options.number("momentum", kShare, muon.momentum);
  muon.weight_decay = options.number("weight_decay", kNotNegative, muon.weight_decay);
  muon.nesterov = options.boolean("nesterov", muon.nesterov);
  muon.ns_steps = options.integer("ns_steps", 0, 100, muon.ns_steps);
}

void read_sgd(YamlMapping& options, SgdOptions& sgd) {
  sgd.momentum = options.number("momentum", kNotNegative, sgd.momentum);
  sgd.weight_decay = options.number("weight_decay", kNotNegative, sgd.weight_decay);
  sgd.dampening = options.number("dampening", {.least = 0, .most = 1}, sgd.dampening);
  sgd.nesterov = options.boolean("nesterov", sgd.nesterov);
  if (sgd.nesterov && (sgd.momentum <= 0 || sgd.dampening != 0))
    options.report("nesterov", "needs a momentum and no dampening");
}

void read_adafactor(YamlMapping& options, AdafactorOptions& adafactor) {
  read_pair(options, "eps", kNotNegative, adafactor.eps_1, adafactor.eps_2);
  adafactor.clip_threshold =
      options.number("clip_threshold", {.least = 0, .least_open = true}, adafactor.clip_threshold);
  adafactor.decay_rate = options.number("decay_rate", {}, adafactor.decay_rate);
  if (options.contains("beta_1")) adafactor.beta_1 = options.number("beta_1", kShare, 0);
  adafactor.weight_decay = options.number("weight_decay", kNotNegative, adafactor.weight_decay);
  adafactor.scale_parameter = options.boolean("scale_parameter", adafactor.scale_parameter);
  adafactor.relative_step = options.boolean("relative_step", adafactor.relative_step);
  adafactor.warmup_init = options.boolean("warmup_init", adafactor.warmup_init);
}

void read_options(YamlMapping& options, OptimizerKind kind, OptimizerConfig& config) {
  switch (kind) {
    case OptimizerKind::kAdam: read_adam(options, false, config.adam); break;
    case OptimizerKind::kAdamW: read_adam(options, true, config.adam); break;
    case OptimizerKind::kMuon: read_muon(options, config.muon); break;
    case OptimizerKind::kSgd: read_sgd(options, config.sgd); break;
    case OptimizerKind::kAdafactor: read_adafactor(options, config.adafactor); break;
  }
  options.refuse_other_keys();
}

}  // namespace

OptimizerConfig read_optimizer(YamlMapping& root, bool compat_mlx) {
  OptimizerConfig config;
  config.adam.bias_correction = !compat_mlx;
  std::string name = root.string("optimizer", compat_mlx ? "adam" : "adamw");
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
  if (const auto kind = find_optimizer(name))
    config.kind = *kind;
  else
    root.wrong("optimizer", "is not known", "adam, adamw, muon, sgd or adafactor");

  auto all = root.mapping("optimizer_config");
  if (!all) return config;
  for (const OptimizerKind kind :
       {OptimizerKind::kAdam, OptimizerKind::kAdamW, OptimizerKind::kMuon, OptimizerKind::kSgd,
        OptimizerKind::kAdafactor}) {
    auto options = all->mapping(optimizer_name(kind));
    if (!options) continue;
    OptimizerConfig others = config;  // the other optimizers' options are checked, not used
    read_options(*options, kind, kind == config.kind ? config : others);
  }
  all->refuse_other_keys();
  return config;
}

}  // namespace bobby
