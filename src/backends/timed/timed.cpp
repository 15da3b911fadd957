#include "backends/timed/timed.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace bobby {
namespace {

// "model.layers.3.self_attn.q_proj" and "model.layers.3.self_attn.q_proj.weight" are "q_proj".
std::string_view module_name(std::string_view name) {
  constexpr std::string_view kWeight = ".weight";
  if (name.ends_with(kWeight)) name.remove_suffix(kWeight.size());
  const std::size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? name : name.substr(dot + 1);
}

std::string stage_of(std::span<const Projection> projections) {
  std::string name;
  for (const Projection& projection : projections) {
    if (!name.empty()) name += ' ';
    name += module_name(projection.weight->view().name);
  }
  return name;
}

std::uint64_t bytes_of(std::span<const Projection> projections) {
  std::uint64_t bytes = 0;
  for (const Projection& projection : projections) bytes += projection.weight->view().total_bytes();
  return bytes;
}

class Timed final : public TimedBackend {
 public:
  explicit Timed(std::unique_ptr<Backend> inner) : inner_(std::move(inner)) {}

  std::vector<StageTime> stages() const override { return stages_; }
  void reset() override { stages_.clear(); }

  std::string_view name() const override { return inner_->name(); }
  std::string description() const override { return inner_->description(); }
  Result<void> supports(const WeightFormat& format) const override {
    return inner_->supports(format);
  }
  Result<std::unique_ptr<Buffer>> allocate(std::size_t bytes) override {
    return inner_->allocate(bytes);
  }
  Result<std::unique_ptr<Weight>> load_weight(const WeightView& view) override {
    return inner_->load_weight(view);
  }
  Result<std::unique_ptr<LoraWeight>> load_lora(const LoraView& view) override {
    return inner_->load_lora(view);
  }
  Result<std::unique_ptr<KvStorage>> allocate_kv(const KvShape& shape) override {
    return inner_->allocate_kv(shape);
  }

  void begin_step(std::span<const SequenceRows> sequences) override {
    inner_->begin_step(sequences);
  }
  bool bits_follow_chunks() const override { return inner_->bits_follow_chunks(); }
  void embed(const Weight& table, std::span<const std::int32_t> tokens,
             std::span<const LoraRows> lora, Activation out) override {
    clock("embed", 0, [&] { inner_->embed(table, tokens, lora, out); });
  }
  void rms_norm(Activation x, const Weight& weight, float eps, Activation out) override {
    clock("rms_norm", 0, [&] { inner_->rms_norm(x, weight, eps, out); });
  }
  void linear(Activation x, std::span<const Projection> projections) override {
    clock(stage_of(projections), bytes_of(projections), [&] { inner_->linear(x, projections); });
  }
  void rope_and_store(const RopeStore& args) override {
    clock("rope_and_store", 0, [&] { inner_->rope_and_store(args); });
  }
  void attention(const Attention& args) override {
    clock("attention", 0, [&] { inner_->attention(args); });
  }
  void copy_kv_block(KvStorage& kv, std::int32_t from, std::int32_t to) override {
    clock("copy_kv_block", 0, [&] { inner_->copy_kv_block(kv, from, to); });
  }
  Result<void> read_kv_block(const KvStorage& kv, std::int32_t block,
                             std::span<std::byte> host) override {
    return inner_->read_kv_block(kv, block, host);
  }
  Result<void> write_kv_block(KvStorage& kv, std::int32_t block,
                              std::span<const std::byte> host) override {
    return inner_->write_kv_block(kv, block, host);
  }
  void swiglu(Activation gate, Activation up, Activation out) override {
    clock("swiglu", 0, [&] { inner_->swiglu(gate, up, out); });
  }
  void add(Activation x, Activation y) override {
    clock("add", 0, [&] { inner_->add(x, y); });
  }
  void select_rows(Activation x, std::span<const std::int32_t> rows, Activation out) override {
    clock("select_rows", 0, [&] { inner_->select_rows(x, rows, out); });
  }
  Result<void> copy_out(Activation x, std::span<float> host) override {
    Result<void> result;
    clock("copy_out", 0, [&] { result = inner_->copy_out(x, host); });
    return result;
  }
  Result<std::span<const TopLogits>> top_logits(Activation logits) override {
    Result<std::span<const TopLogits>> result;
    clock("top_logits", 0, [&] { result = inner_->top_logits(logits); });
    return result;
  }
  Result<double> read_bandwidth() override { return inner_->read_bandwidth(); }
  // A failure that an operation's own sync met is told at the next one, as the seam promises.
  TrainingOps* training() override { return inner_->training(); }
  Result<void> sync() override {
    if (!failure_) return std::exchange(failure_, Result<void>());
    return inner_->sync();
  }

 private:
  template <typename Operation>
  void clock(std::string_view name, std::uint64_t bytes, const Operation& operation) {
    const auto start = std::chrono::steady_clock::now();
    operation();
    if (auto done = inner_->sync(); !done && failure_) failure_ = std::move(done);
    const std::chrono::duration<double, std::milli> spent =
        std::chrono::steady_clock::now() - start;
    auto stage = std::ranges::find(stages_, name, &StageTime::name);
    if (stage == stages_.end()) {
      stages_.push_back({.name = std::string(name)});
      stage = stages_.end() - 1;
    }
    stage->milliseconds += spent.count();
    ++stage->calls;
    stage->weight_bytes += bytes;
  }

  std::unique_ptr<Backend> inner_;
  std::vector<StageTime> stages_;
  Result<void> failure_;
};

}  // namespace

std::unique_ptr<TimedBackend> make_timed_backend(std::unique_ptr<Backend> inner) {
  return std::make_unique<Timed>(std::move(inner));
}

}  // namespace bobby
