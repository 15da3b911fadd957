// Causal attention within each sequence, queries a block at a time against all keys that the
// block's last query sees. The weights are computed again in the backward; nothing is kept.
//
// Backward, with P the softmax and G the gradient of out:
//   V's: P^T G;  P's: G V^T;  scores': scale * P * (P's - rowsum(P * P's));  Q's: S K;  K's: S^T Q
// A key/value head's gradients are summed over its query heads and their blocks in order, by one
// thread.

#include "backends/cpu/training/attention.h"

#include <algorithm>
#include <cassert>
#include <vector>

namespace bobby::cpu {
namespace {

constexpr std::int64_t kQueries = 60;  // a multiple of every tile's rows

/// One head's columns of a sequence's rows.
template <typename T>
struct Head {
  T* data;
  std::int64_t stride;
};

template <typename T>
Head<T> head_of(Matrix<T> x, const TrainingSequence& sequence, std::int64_t head,
                std::int64_t head_dim) {
  return {x.row(sequence.begin) + head * head_dim, x.cols};
}

/// The keys or values of a head transposed: [head_dim, count] in panels.
template <typename T>
void pack_head(const TrainingKernels<T>& kernels, Head<T> head, std::int64_t count,
               std::int64_t head_dim, T* packed) {
  for (std::int64_t first = 0; first < count; first += kPanelCols)
    kernels.pack_transposed(head.data + first * head.stride, head.stride,
                            std::min(kPanelCols, count - first), head_dim,
                            packed + first * head_dim);
}

/// out [queries, count] = x [queries, head_dim] times a packed head.
template <typename T>
void times_packed(const TrainingKernels<T>& kernels, const T* x, std::int64_t x_stride,
                  const T* packed, std::int64_t queries, std::int64_t count, std::int64_t head_dim,
                  T* out) {
  for (std::int64_t first = 0; first < count; first += kPanelCols)
    kernels.multiply({.a = x,
                      .a_row_stride = x_stride,
                      .b = packed + first * head_dim,
                      .b_stride = kPanelCols,
                      .c = out + first,
                      .c_stride = count,
                      .rows = queries,
                      .cols = std::min(kPanelCols, count - first),
                      .depth = head_dim});
}

/// Scores [queries, count] to weights, in place: query i sees `before` + i + 1 positions.
template <typename T>
void weigh(const TrainingKernels<T>& kernels, T* scores, std::int64_t queries, std::int64_t count,
           std::int64_t before, T scale) {
  for (std::int64_t i = 0; i < queries; ++i) {
    T* row = scores + i * count;
    const std::int64_t seen = before + i + 1;
    T largest;
    const T sum = kernels.exponentials(row, seen, scale, &largest);
    kernels.scale(row, seen, 1 / sum);
    std::fill(row + seen, row + count, T{0});
  }
}

std::int64_t panels(std::int64_t count) {
  return (count + kPanelCols - 1) / kPanelCols * kPanelCols;
}

/// A block of one head's queries.
struct Block {
  const TrainingSequence* sequence;
  std::int64_t head;
  std::int64_t begin;
  std::int64_t queries;
};

template <typename T>
void attend(TrainingMachine<T>& machine, const AttentionArgs<T>& args, const Block& block,
            int thread) {
  const std::int64_t head_dim = args.head_dim;
  const std::int64_t kv_head = block.head / (args.q.cols / args.k.cols);
  const std::int64_t count = block.begin + block.queries;
  T* packed = machine.thread_memory(thread, panels(count) * head_dim + block.queries * count);
  T* scores = packed + panels(count) * head_dim;

  const Head<T> q = head_of(args.q, *block.sequence, block.head, head_dim);
  const Head<T> v = head_of(args.v, *block.sequence, kv_head, head_dim);
  const Head<T> out = head_of(args.out, *block.sequence, block.head, head_dim);
  pack_head(machine.kernels, head_of(args.k, *block.sequence, kv_head, head_dim), count, head_dim,
            packed);
  times_packed(machine.kernels, q.data + block.begin * q.stride, q.stride, packed, block.queries,
               count, head_dim, scores);
  weigh(machine.kernels, scores, block.queries, count, block.begin, args.scale);
  machine.kernels.multiply({.a = scores,
                            .a_row_stride = count,
                            .b = v.data,
                            .b_stride = v.stride,
                            .c = out.data + block.begin * out.stride,
                            .c_stride = out.stride,
                            .rows = block.queries,
                            .cols = head_dim,
                            .depth = count});
}

/// One key/value head of a sequence, with all query heads that look at it.
template <typename T>
class HeadBackward {
 public:
  HeadBackward(TrainingMachine<T>& machine, const AttentionArgs<T>& args,
               const AttentionGradient<T>& gradient, const TrainingSequence& sequence,
               std::int64_t kv_head, int thread)
      : kernels_(machine.kernels),
        args_(args),
        gradient_(gradient),
        sequence_(sequence),
        kv_head_(kv_head) {
    const std::int64_t packed = panels(sequence.count) * args.head_dim;
    const std::int64_t scores = kQueries * sequence.count;
    keys_ = machine.thread_memory(thread, 2 * packed + 2 * scores);
    values_ = keys_ + packed;
    weights_ = values_ + packed;
    scores_gradient_ = weights_ + scores;
  }

  void run() {
    pack_head(kernels_, head_of(args_.k, sequence_, kv_head_, args_.head_dim), sequence_.count,
              args_.head_dim, keys_);
    pack_head(kernels_, head_of(args_.v, sequence_, kv_head_, args_.head_dim), sequence_.count,
              args_.head_dim, values_);
    for (const Matrix<T>& x : {gradient_.k, gradient_.v}) {
      const Head<T> head = head_of(x, sequence_, kv_head_, args_.head_dim);
      for (std::int64_t row = 0; row < sequence_.count; ++row)
        std::fill_n(head.data + row * head.stride, args_.head_dim, T{0});
    }
    const std::int64_t group = args_.q.cols / args_.k.cols;
    for (std::int64_t head = kv_head_ * group; head < (kv_head_ + 1) * group; ++head)
      for (std::int64_t begin = 0; begin < sequence_.count; begin += kQueries)
        block(head, begin, std::min(kQueries, sequence_.count - begin));
  }

 private:
  void block(std::int64_t head, std::int64_t begin, std::int64_t queries) {
    const std::int64_t head_dim = args_.head_dim;
    const std::int64_t count = begin + queries;
    const auto queries_of = [&](Matrix<T> x) {
      const Head<T> all = head_of(x, sequence_, head, head_dim);
      return Head<T>{all.data + begin * all.stride, all.stride};
    };
    const Head<T> q = queries_of(args_.q);
    const Head<T> out = queries_of(gradient_.out);
    const Head<T> q_gradient = queries_of(gradient_.q);
    const Head<T> k = head_of(args_.k, sequence_, kv_head_, head_dim);

    times_packed(kernels_, q.data, q.stride, keys_, queries, count, head_dim, weights_);
    weigh(kernels_, weights_, queries, count, begin, args_.scale);
    times_packed(kernels_, out.data, out.stride, values_, queries, count, head_dim,
                 scores_gradient_);
    for (std::int64_t i = 0; i < queries; ++i)
      kernels_.softmax_backward(weights_ + i * count, count, args_.scale,
                                scores_gradient_ + i * count);
    add_transposed(weights_, out, queries, count, gradient_.v);
    add_transposed(scores_gradient_, q, queries, count, gradient_.k);
    kernels_.multiply({.a = scores_gradient_,
                       .a_row_stride = count,
                       .b = k.data,
                       .b_stride = k.stride,
                       .c = q_gradient.data,
                       .c_stride = q_gradient.stride,
                       .rows = queries,
                       .cols = head_dim,
                       .depth = count});
  }

  /// The head's first `count` rows of `to` += scores^T x.
  void add_transposed(const T* scores, Head<T> x, std::int64_t queries, std::int64_t count,
                      Matrix<T> to) {
    const Head<T> head = head_of(to, sequence_, kv_head_, args_.head_dim);
    kernels_.multiply({.a = scores,
                       .a_row_stride = 1,
                       .a_depth_stride = count,
                       .b = x.data,
                       .b_stride = x.stride,
                       .c = head.data,
                       .c_stride = head.stride,
                       .rows = count,
                       .cols = args_.head_dim,
                       .depth = queries,
                       .add = true});
  }

  const TrainingKernels<T>& kernels_;
  const AttentionArgs<T>& args_;
  const AttentionGradient<T>& gradient_;
  const TrainingSequence& sequence_;
  std::int64_t kv_head_;
  T* keys_;
  T* values_;
  T* weights_;
  T* scores_gradient_;
};

}  // namespace

template <typename T>
void attention(TrainingMachine<T>& machine, const AttentionArgs<T>& args) {
  std::vector<Block> blocks;
  for (const TrainingSequence& sequence : args.sequences)
    for (std::int64_t head = 0; head < args.q.cols / args.head_dim; ++head)
      for (std::int64_t begin = 0; begin < sequence.count; begin += kQueries)
        blocks.push_back({&sequence, head, begin, std::min(kQueries, sequence.count - begin)});
  machine.pool.parallel_for(static_cast<std::int64_t>(blocks.size()), 1,
                            [&](std::int64_t begin, std::int64_t end, int thread) {
                              for (std::int64_t i = begin; i < end; ++i)
                                attend(machine, args, blocks[static_cast<std::size_t>(i)], thread);
                            });
}

template <typename T>
void attention_backward(TrainingMachine<T>& machine, const AttentionArgs<T>& args,
                        const AttentionGradient<T>& gradient) {
  const std::int64_t heads = args.k.cols / args.head_dim;
  const auto pieces = static_cast<std::int64_t>(args.sequences.size()) * heads;
  machine.pool.parallel_for(pieces, 1, [&](std::int64_t begin, std::int64_t end, int thread) {
    for (std::int64_t i = begin; i < end; ++i)
      HeadBackward<T>(machine, args, gradient, args.sequences[static_cast<std::size_t>(i / heads)],
                      i % heads, thread)
          .run();
  });
}

#define BOBBY_ATTENTION(T)                                                       \
  template void attention(TrainingMachine<T>&, const AttentionArgs<T>&);         \
  template void attention_backward(TrainingMachine<T>&, const AttentionArgs<T>&, \
                                   const AttentionGradient<T>&)
BOBBY_ATTENTION(float);
BOBBY_ATTENTION(double);
#undef BOBBY_ATTENTION

}  // namespace bobby::cpu
