#include "backends/cuda/step_match.h"

#include "backends/cuda/attention.h"
#include "backends/cuda/weight.h"

namespace bobby::cuda {
namespace {

constexpr std::size_t kLayerOps = 11;
constexpr std::size_t kOtherOps = 4;
constexpr int kMostHidden = 4096;  // a norm's row stands in one stretch
constexpr int kMostIntermediate = 3 * 4096;

bool same(const Activation& a, const Activation& b) {
  return a.data == b.data && a.rows == b.rows && a.cols == b.cols;
}

/// Reads a step's operations one after another; once something does not fit, nothing does.
class Matcher {
 public:
  explicit Matcher(std::span<const StepOp> ops) : ops_(ops) {}

  std::optional<StepForm> match() {
    if (ops_.size() < kOtherOps + kLayerOps || (ops_.size() - kOtherOps) % kLayerOps != 0)
      return std::nullopt;
    embed();
    const std::size_t layers = (ops_.size() - kOtherOps) / kLayerOps;
    for (std::size_t i = 0; i < layers && fits_; ++i) layer(static_cast<std::int64_t>(i));
    head();
    if (!fits_) return std::nullopt;
    form_.args.layer_count = static_cast<int>(layers);
    return std::move(form_);
  }

 private:
  void need(bool condition) { fits_ = fits_ && condition; }
  const StepOp& next(StepOp::Kind kind) {
    const StepOp& op = ops_[at_++];
    need(op.kind == kind);
    return op;
  }

  const unsigned char* tiles(const StepOp& op, int i, std::int64_t rows, std::int64_t cols) {
    need(fits_ && op.weight[i] && !op.bias[i]);
    if (!fits_) return nullptr;
    const CudaWeight& weight = on_device(*op.weight[i]);
    need(weight.tiled() && weight.rows() == rows && weight.cols() == cols &&
         weight.view().format.dtype == dtype_);
    return static_cast<const unsigned char*>(weight.matrix().weight);
  }

  void embed() {
    const StepOp& op = next(StepOp::kEmbed);
    if (!fits_) return;
    dtype_ = op.weight[0]->view().format.dtype;
    form_.element = dtype_ == DType::kF16 ? Element::kF16 : Element::kBF16;
    x_ = op.out[0];
    StepArgs& args = form_.args;
    args.rows = static_cast<int>(x_.rows);
    args.hidden = static_cast<int>(x_.cols);
    args.x = x_.data;
    args.table = tiles(op, 0, op.weight[0]->rows(), x_.cols);
    need(x_.rows == op.count && x_.rows >= 1 && x_.rows <= kStepRows && x_.cols <= kMostHidden &&
         x_.cols % kTileGroup == 0);
  }

  /// rms_norm(x): the norm's weight. `out`: what it writes.
  const float* norm(const Activation& x, Activation& out) {
    const StepOp& op = next(StepOp::kRmsNorm);
    need(same(op.in[0], x) && (at_ == 2 || static_cast<float>(op.number) == form_.args.eps));
    if (!fits_) return nullptr;
    form_.args.eps = static_cast<float>(op.number);
    out = op.out[0];
    return vector_of(op.weight[0]);
  }

  void layer(std::int64_t index) {
    StepLayer layer;
    Activation h = {};
    layer.input_norm = norm(x_, h);
    attention(index, h, layer);
    if (!fits_) return;
    layer.post_norm = norm(x_, h);
    mlp(index, h, layer);
    form_.layers.push_back(layer);
  }

  void attention(std::int64_t index, const Activation& h, StepLayer& layer) {
    StepArgs& args = form_.args;
    const StepOp& qkv = next(StepOp::kLinear);
    const StepOp& rope = next(StepOp::kRopeAndStore);
    const StepOp& attend = next(StepOp::kAttention);
    need(qkv.count == 3 && same(qkv.in[0], h) && same(rope.in[0], qkv.out[0]) &&
         same(rope.in[1], qkv.out[1]) && same(rope.in[2], qkv.out[2]) &&
         same(attend.in[0], qkv.out[0]) && rope.kv == attend.kv && rope.layer == index &&
         attend.layer == index);
    if (!fits_) return;
    const auto& kv = static_cast<const CudaKv&>(*rope.kv);
    const KvLayer of_layer = kv.layer(index);
    need(span_of(of_layer) == kHeadChunk && of_layer.block_tokens == 32 &&
         static_cast<float>(rope.number) == args.eps && vector_of(rope.weight[2]) != nullptr);
    if (index == 0) {
      args.kv = of_layer;
      args.heads = static_cast<int>(qkv.out[0].cols / 128);
      args.kv_heads = of_layer.heads;
      args.scale = static_cast<float>(attend.number);
      args.inv_freq = vector_of(rope.weight[2]);
    }
    need(args.heads % args.kv_heads == 0 && args.heads * 128 <= kMostIntermediate &&
         args.kv.heads == of_layer.heads && args.scale == static_cast<float>(attend.number));
    layer.kv = of_layer.data;
    layer.q_norm = vector_of(rope.weight[0]);
    layer.k_norm = vector_of(rope.weight[1]);
    need((layer.q_norm == nullptr) == (layer.k_norm == nullptr));
    for (int i = 0; i < 3; ++i)
      layer.products[kStepQkv].tiles[i] =
          tiles(qkv, i, (i == 0 ? args.heads : args.kv_heads) * 128, args.hidden);
    const StepOp& o = next(StepOp::kLinear);
    layer.products[kStepO].tiles[0] = tiles(o, 0, args.hidden, args.heads * 128);
    need(o.count == 1 && same(o.in[0], attend.out[0]));
    added(o);
  }

  /// x += what `op` made.
  void added(const StepOp& op) {
    const StepOp& add = next(StepOp::kAdd);
    need(same(add.out[0], x_) && same(add.in[0], op.out[0]));
  }

  void mlp(std::int64_t index, const Activation& h, StepLayer& layer) {
    StepArgs& args = form_.args;
    const StepOp& gate_up = next(StepOp::kLinear);
    const StepOp& swiglu = next(StepOp::kSwiglu);
    const StepOp& down = next(StepOp::kLinear);
    need(gate_up.count == 2 && same(gate_up.in[0], h) && same(swiglu.in[0], gate_up.out[0]) &&
         same(swiglu.in[1], gate_up.out[1]) && down.count == 1 && same(down.in[0], swiglu.out[0]));
    if (!fits_) return;
    if (index == 0) {
      args.intermediate = static_cast<int>(gate_up.out[0].cols);
    }
    need(args.intermediate == static_cast<int>(gate_up.out[0].cols) &&
         args.intermediate <= kMostIntermediate && args.intermediate % kTileGroup == 0);
    for (int i = 0; i < 2; ++i)
      layer.products[kStepGateUp].tiles[i] = tiles(gate_up, i, args.intermediate, args.hidden);
    layer.products[kStepDown].tiles[0] = tiles(down, 0, args.hidden, args.intermediate);
    added(down);
  }

  void head() {
    if (!fits_) return;
    StepArgs& args = form_.args;
    const StepOp& select = next(StepOp::kSelectRows);
    need(same(select.in[0], x_) && select.count == x_.rows);
    Activation h = {};
    args.final_norm = norm(select.out[0], h);
    const StepOp& linear = next(StepOp::kLinear);
    need(fits_ && linear.count == 1 && same(linear.in[0], h));
    if (!fits_) return;
    args.vocab = static_cast<int>(linear.out[0].cols);
    args.logits = linear.out[0].data;
    args.head.tiles[0] = tiles(linear, 0, args.vocab, args.hidden);
  }

  std::span<const StepOp> ops_;
  std::size_t at_ = 0;
  bool fits_ = true;
  DType dtype_ = DType::kF32;
  Activation x_;
  StepForm form_;
};

}  // namespace

std::optional<StepForm> match_step(std::span<const StepOp> ops) {
  return Matcher(ops).match();
}

}  // namespace bobby::cuda
