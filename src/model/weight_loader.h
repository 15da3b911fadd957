#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "backends/backend.h"
#include "base/thread_pool.h"
#include "model/config.h"
#include "safetensors/safetensors.h"
#include "tensor/formats/float_modes.h"

namespace bobby {

/// A projection of the model. `slot` is its number among the model's modules, by which a step finds
/// what an adapter adds to it.
struct Linear {
  const Weight* weight = nullptr;  ///< [out_features, in_features]
  const Weight* bias = nullptr;    ///< dense [1, out_features], or null
  int slot = -1;
};

/// A module that an adapter may name.
struct Module {
  std::string path;                ///< the checkpoint's: "model.layers.0.self_attn.q_proj"
  const Weight* weight = nullptr;  ///< [out_features, in_features]
};

/// What a loader made: the weights themselves, what else must live as long, and the modules by
/// slot.
struct LoadedWeights {
  std::vector<std::vector<float>> computed;  ///< vectors that the checkpoint does not hold
  std::vector<safetensors::AlignedView<std::byte>> copies;  ///< tensors that the file misaligns
  std::vector<std::unique_ptr<std::byte[]>> converted;      ///< of floating point modes, made exact
  std::vector<std::unique_ptr<Weight>> weights;
  std::vector<Module> modules;
};

/// Asks a checkpoint for tensors by name, dtype and shape, and hands them to a backend. What is
/// missing or wrong is noted and null returned in its place; finish() reports all of it together.
class WeightLoader {
 public:
  /// All three must outlive the weights.
  WeightLoader(const safetensors::Checkpoint& checkpoint, const ModelConfig& config,
               Backend& backend);

  /// PATH.weight, dense or quantised (then with PATH.scales and, when affine, PATH.biases; the
  /// format is that of config.json's entry, or of the tensors), and PATH.bias when `bias`. What is
  /// in a floating point mode is turned into its exact_format() in memory.
  Linear linear(const std::string& path, std::int64_t out_features, std::int64_t in_features,
                bool bias = false);
  /// PATH.weight of a norm, dense [size] of any float type.
  const Weight* norm(const std::string& path, std::int64_t size);
  /// A vector that the checkpoint does not hold.
  const Weight* computed(const std::string& name, std::vector<float> values);
  /// Adds a module that shares another's weight (a tied head).
  Linear shared(const std::string& path, const Linear& other);

  /// The weights, or every tensor that is missing or wrong and every one that nobody asked for, in
  /// one Error. Call last, once.
  Result<LoadedWeights> finish();

 private:
  using Tensor = safetensors::Tensor;

  enum class Elements : std::uint8_t { kFloats, kWords, kBytes };

  const Tensor* take(const std::string& name);
  bool check(const Tensor& tensor, std::int64_t rows, std::int64_t cols, Elements elements,
             bool vector = false);
  const std::byte* bytes_of(const Tensor& tensor);
  bool is_quantised(const std::string& path) const;
  QuantizationMode mode_of(const std::string& path, std::int64_t cols) const;
  bool affine_format(const std::string& path, const Tensor& weight, const Tensor& scales,
                     std::int64_t cols, WeightFormat& format);
  const Weight* affine(const std::string& path, std::int64_t rows, std::int64_t cols);
  const Weight* floats(const std::string& path, std::int64_t rows, std::int64_t cols,
                       const FloatMode& mode);
  bool convert(const FloatWeightView& from, WeightView& to);
  const Weight* dense(const std::string& path, const std::string& name, std::int64_t rows,
                      std::int64_t cols, bool vector);
  const Weight* upload(const WeightView& view);
  int add_module(const std::string& path, const Weight* weight);
  bool is_leftover(const std::string& name) const;
  void report(ErrorCode code, std::string where, std::string problem, std::string expected = {},
              std::string found = {}, std::string hint = {});

  const safetensors::Checkpoint& checkpoint_;
  const ModelConfig& config_;
  Backend& backend_;
  std::unordered_set<const Tensor*> taken_;
  std::unique_ptr<ThreadPool> pool_;  ///< made when something is converted
  LoadedWeights loaded_;
  std::vector<Error> problems_;
};

}  // namespace bobby
