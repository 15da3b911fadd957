#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fidelity/forward.h"
#include "fidelity/modules.h"

namespace bobby::fidelity {

/// What runs in fp32 on the host: the reference and the ways but the runtime's.
enum class HostWay : std::uint8_t {
  kReference,
  kFused,
  kRequantized,
  kBaseRequantized,
  kNoAdapter
};
inline constexpr std::size_t kHostWays = 5;

/// A batch of sequences through the blocks in every HostWay, side by side: what the ways have in
/// common (the blocks below the first adapted one) runs once.
class HostRun {
 public:
  /// All must outlive it.
  HostRun(const NetworkWeights& base, AdaptedModules& modules, const Subject& subject,
          const Options& options);

  /// Runs all blocks; on_block() after each. What is left of the modules' change goes to `kept`
  /// (by path) where that is wanted.
  Result<void> run(std::span<const Sequence> sequences, std::vector<ModuleKept>* kept,
                   const std::function<void()>& on_block);
  /// Makes the heads' weights; head_logits() needs them.
  Result<void> prepare_heads(std::vector<ModuleKept>* kept);
  void drop_heads();
  /// Logits [rows.size(), vocab_size] after the batch's rows `rows`, copied to `host`.
  Result<void> head_logits(HostWay way, std::span<const std::int64_t> rows,
                           std::vector<float>& host);
  /// The row of the batch where sequence `index` begins.
  std::int64_t first_row(std::size_t index) const { return sequences_[index].begin; }

 private:
  struct MadeModules {
    std::array<MadeWeight, kBlockProjections> weights;
    std::array<HostPair, kBlockProjections> pairs;
    UsedModules used{};
  };
  struct Head {
    MadeWeight weight;
    HostPair pair;
    UsedModule used;
  };

  Result<void> embed(std::span<const Sequence> sequences);
  Result<void> run_block(std::size_t block, bool own_ways, std::vector<ModuleKept>* kept);
  Result<void> make(HostWay way, std::size_t block, std::vector<ModuleKept>* kept,
                    MadeModules& made);
  Result<void> make_module(HostWay way, const Linear& linear, const std::string& path,
                           DeltaKept* kept, MadeWeight& weight, HostPair& pair, UsedModule& used);
  bool is_adapted(std::size_t block) const;
  Activation x(HostWay way) const { return x_[static_cast<std::size_t>(way)]; }

  const NetworkWeights& base_;
  AdaptedModules& modules_;
  Backend& host_;
  TrainingOps& ops_;
  const Options& options_;
  Forward forward_;
  std::vector<TrainingSequence> sequences_;
  std::unique_ptr<Buffer> memory_;
  std::array<Activation, kHostWays> x_{};
  std::array<Head, kHostWays> heads_{};
  std::unique_ptr<Buffer> logits_memory_;
};

}  // namespace bobby::fidelity
