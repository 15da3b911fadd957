#pragma once

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "backends/cpu/cpu.h"
#include "safetensors/safetensors.h"
#include "training/network.h"

namespace bobby::testing {

namespace fs = std::filesystem;

/// The value, or an exception with the error's sentence, which fails the test that asked.
template <typename T>
T value_of(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().to_string());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// One case of the oracle: a tiny model, what is trained of it, a batch, and what MLX made of it.
class NetworkGolden {
 public:
  static fs::path folder() { return fs::path(BOBBY_SOURCE_DIR) / "tests/parity/training/network"; }
  static std::vector<nlohmann::json> cases() {
    std::ifstream stream(folder() / "cases.json");
    return nlohmann::json::parse(stream).get<std::vector<nlohmann::json>>();
  }

  explicit NetworkGolden(const nlohmann::json& settings)
      : settings_(settings),
        file_(std::move(*safetensors::File::open(
            folder() / (settings.at("name").get<std::string>() + ".safetensors")))) {}

  template <typename T>
  std::vector<T> all(const std::string& name) const {
    const safetensors::Tensor* tensor = file_.find(name);
    if (!tensor) throw std::runtime_error("golden has no " + name);
    const auto view = std::move(*tensor->as<T>());
    return {view.begin(), view.end()};
  }
  std::size_t tensor_count() const { return file_.tensors().size(); }

  TrainingRows rows() const {
    TrainingRows rows{.inputs = all<std::int32_t>("inputs"),
                      .targets = all<std::int32_t>("targets"),
                      .weights = all<float>("weights"),
                      .sequences = {}};
    std::int64_t begin = 0;
    for (const std::int32_t count : all<std::int32_t>("lengths")) {
      const auto record = static_cast<std::int64_t>(rows.sequences.size());
      rows.sequences.push_back({begin, count, record});
      begin += count;
    }
    return rows;
  }

  NetworkOptions options() const {
    return {.lora = {.dora = settings_.at("dora"),
                     .rank = settings_.at("rank"),
                     .scale = settings_.at("scale"),
                     .num_layers = settings_.at("num_layers"),
                     .keys = settings_.value("keys", std::vector<std::string>())}};
  }

  /// With the oracle's values, uploaded.
  std::unique_ptr<Network> network(Backend& backend, const NetworkOptions& options) const {
    const fs::path model = fs::path(BOBBY_SOURCE_DIR) / "tests/parity/models" /
                           settings_.at("model").get<std::string>() / "model";
    auto network = value_of(Network::load(model, backend, options));
    for (TrainableTensor& tensor : network->tensors())
      tensor.value = all<float>("value/" + tensor.name);
    value_of(network->upload());
    return network;
  }

 private:
  nlohmann::json settings_;
  safetensors::File file_;
};

/// Rows of some sequences of a batch, as a batch of their own.
inline TrainingRows rows_of(const TrainingRows& all, const std::vector<std::size_t>& sequences) {
  TrainingRows rows;
  for (const std::size_t index : sequences) {
    const TrainingSequence& sequence = all.sequences[index];
    rows.sequences.push_back(
        {static_cast<std::int64_t>(rows.inputs.size()), sequence.count, sequence.record});
    const auto append = [&](auto& to, const auto& from) {
      to.insert(to.end(), from.begin() + sequence.begin,
                from.begin() + sequence.begin + sequence.count);
    };
    append(rows.inputs, all.inputs);
    append(rows.targets, all.targets);
    append(rows.weights, all.weights);
  }
  return rows;
}

}  // namespace bobby::testing
