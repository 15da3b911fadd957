#include "backends/cuda/attention.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <fmt/format.h>
#include <utility>

#include "backends/cuda/prefill_attention.h"
#include "backends/cuda/weight.h"

namespace bobby::cuda {
namespace {

constexpr std::size_t kScratch = std::size_t{64} << 20;
constexpr std::size_t kArrived = std::size_t{1}
                                 << 18;  // rows of a pass times their heads, at least
constexpr std::int64_t kHeadDim = 128;
constexpr std::size_t kPlaces = std::size_t{1} << 16;
constexpr int kDecodeRows = 64;  // more rows of one sequence are a prompt's

bool same(const std::vector<RowPlace>& left, const std::vector<RowPlace>& right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](const RowPlace& a, const RowPlace& b) {
                      return a.row == b.row && a.position == b.position &&
                             a.blocks_begin == b.blocks_begin;
                    });
}

Result<void> grow(std::unique_ptr<DeviceMemory>& memory, std::size_t bytes, std::size_t least) {
  if (memory && memory->size() >= bytes) return {};
  memory.reset();  // waits for the device
  BOBBY_TRY(memory, DeviceMemory::make(std::max(bytes, least)));
  return {};
}

/// Whether each row is its sequence's only one and reads no block that another row writes.
bool stand_alone(std::span<const SequenceRows> sequences, std::int64_t block_tokens) {
  std::vector<std::int32_t> written;
  for (const SequenceRows& one : sequences) {
    if (one.row_count != 1) return false;
    written.push_back(one.blocks[static_cast<std::size_t>(one.position / block_tokens)]);
  }
  std::ranges::sort(written);
  std::size_t read = 0;  // of those, each by its own row at least
  for (const SequenceRows& one : sequences)
    for (const std::int32_t block :
         one.blocks.first(static_cast<std::size_t>(one.position / block_tokens) + 1))
      read += std::ranges::binary_search(written, block) ? 1 : 0;
  return read == written.size();
}

}  // namespace

Result<std::unique_ptr<CudaKv>> CudaKv::make(const KvShape& shape, cudaStream_t stream,
                                             std::shared_ptr<Unfinished> unfinished) {
  assert(shape.layers > 0 && shape.num_key_value_heads > 0 && shape.head_dim > 0);
  assert(shape.block_tokens > 0 && shape.blocks > 0);
  std::unique_ptr<CudaKv> kv(new CudaKv(shape, stream, std::move(unfinished)));
  auto memory = shape.bytes_at_most() < 0x1p62
                    ? DeviceMemory::zeroed(
                          static_cast<std::size_t>(shape.blocks) * shape.block_bytes(), stream)
                    : fail({.code = ErrorCode::kLimit, .problem = "more than any device has"});
  if (!memory) {
    Error error = std::move(memory).error().in(
        fmt::format("KV cache of {:.0f} bytes", shape.bytes_at_most()));
    error.hint = "ask for a shorter context or fewer sequences";
    return fail(std::move(error));
  }
  kv->memory_ = *std::move(memory);
  BOBBY_TRY(kv->counter_, DeviceMemory::zeroed(sizeof(unsigned long long), stream));
  load_prompt_attention(kv->layer(0));
  load_row_attention(kv->layer(0));
  return kv;
}

std::uint64_t CudaKv::saturated() const {
  if (unfinished_ && unfinished_->finish) unfinished_->finish();
  unsigned long long count = 0;
  cudaMemcpyAsync(&count, counter_->data(), sizeof count, cudaMemcpyDeviceToHost, stream_);
  cudaStreamSynchronize(stream_);
  return count;
}

KvLayer CudaKv::layer(std::int64_t index) const {
  assert(index >= 0 && index < shape().layers);
  const auto part = static_cast<std::int64_t>(shape().head_block_bytes());
  const std::int64_t stride = shape().blocks * 2 * shape().num_key_value_heads * part;
  return {.data = static_cast<unsigned char*>(memory_->data()) + index * stride,
          .part_bytes = part,
          .heads = static_cast<int>(shape().num_key_value_heads),
          .head_dim = static_cast<int>(shape().head_dim),
          .block_tokens = static_cast<int>(shape().block_tokens),
          .format = shape().format,
          .saturated = static_cast<unsigned long long*>(counter_->data())};
}

void CudaKv::copy_block(std::int32_t from, std::int32_t to) {
  assert(from >= 0 && from < shape().blocks && to >= 0 && to < shape().blocks);
  if (from == to) return;
  for (std::int64_t index = 0; index < shape().layers; ++index)
    cudaMemcpyAsync(block(index, to), block(index, from), layer_bytes(), cudaMemcpyDeviceToDevice,
                    stream_);
}

Result<void> CudaKv::read_block(std::int32_t number, std::byte* host) const {
  for (std::int64_t index = 0; index < shape().layers; ++index, host += layer_bytes())
    BOBBY_CHECK(check(
        cudaMemcpyAsync(host, block(index, number), layer_bytes(), cudaMemcpyDeviceToHost, stream_),
        "reading keys and values"));
  return check(cudaStreamSynchronize(stream_), "reading keys and values");
}

Result<void> CudaKv::write_block(std::int32_t number, const std::byte* host) {
  for (std::int64_t index = 0; index < shape().layers; ++index, host += layer_bytes())
    BOBBY_CHECK(check(
        cudaMemcpyAsync(block(index, number), host, layer_bytes(), cudaMemcpyHostToDevice, stream_),
        "writing keys and values"));
  return check(cudaStreamSynchronize(stream_), "writing keys and values");
}

unsigned char* CudaKv::block(std::int64_t index, std::int32_t number) const {
  assert(number >= 0 && number < shape().blocks);
  return layer(index).data + number * static_cast<std::int64_t>(layer_bytes());
}

bool AttentionEngine::is_placed(std::span<const SequenceRows> sequences, const CudaKv& kv) {
  next_rows_.clear();
  next_blocks_.clear();
  for (const SequenceRows& sequence : sequences) {
    const int blocks_begin = static_cast<int>(next_blocks_.size());
    next_blocks_.insert(next_blocks_.end(), sequence.blocks.begin(), sequence.blocks.end());
    for (std::int64_t i = 0; i < sequence.row_count; ++i)
      next_rows_.push_back({static_cast<int>(sequence.row_begin + i),
                            static_cast<int>(sequence.position + i), blocks_begin});
  }
  return device_ && same(rows_, next_rows_) && blocks_ == next_blocks_ &&
         block_tokens_ == kv.shape().block_tokens;
}

Result<void> AttentionEngine::place(std::span<const SequenceRows> sequences, const CudaKv& kv) {
  if (is_placed(sequences, kv)) return {};
  assert(!held_);
  std::swap(rows_, next_rows_);
  std::swap(blocks_, next_blocks_);
  angles_of_ = nullptr;
  longest_ = 0;
  for (const RowPlace& row : rows_) longest_ = std::max(longest_, row.position + 1);
  block_tokens_ = kv.shape().block_tokens;
  alone_ = stand_alone(sequences, block_tokens_);
  return send();
}

Result<void> AttentionEngine::send() {
  const std::size_t row_bytes = rows_.size() * sizeof(RowPlace);
  const std::size_t bytes = row_bytes + blocks_.size() * sizeof(std::int32_t);
  if (in_flight_) BOBBY_CHECK(check(cudaStreamSynchronize(stream_), "a step"));
  if (!host_ || host_->size() < bytes) {
    host_.reset();
    BOBBY_TRY(host_, PinnedMemory::make(std::max(2 * bytes, kPlaces)));
  }
  BOBBY_CHECK(grow(device_, bytes, host_->size()));
  std::memcpy(host_->data(), rows_.data(), row_bytes);
  std::memcpy(host_->data() + row_bytes, blocks_.data(), bytes - row_bytes);
  in_flight_ = true;
  return check(
      cudaMemcpyAsync(device_->data(), host_->data(), bytes, cudaMemcpyHostToDevice, stream_),
      "block tables");
}

Places AttentionEngine::places() const {
  const auto* rows = static_cast<const RowPlace*>(device_->data());
  return {.rows = rows,
          .blocks = reinterpret_cast<const int*>(rows + rows_.size()),
          .angles = angles_ ? static_cast<const float2*>(angles_->data()) : nullptr,
          .count = static_cast<int>(rows_.size())};
}

Result<void> AttentionEngine::find_angles(const float* inv_freq, std::int64_t half) {
  if (angles_of_ == inv_freq) return {};
  BOBBY_CHECK(
      grow(angles_, rows_.size() * static_cast<std::size_t>(half) * sizeof(float2), kPlaces));
  rope_angles(places().rows, static_cast<int>(rows_.size()), inv_freq, static_cast<int>(half),
              static_cast<float2*>(angles_->data()), stream_);
  angles_of_ = inv_freq;
  return {};
}

RopeArgs AttentionEngine::rope_args(const RopeStore& args) const {
  return {.q = args.q.data,
          .k = args.k.data,
          .v = args.v.data,
          .q_norm = vector_of(args.q_norm),
          .k_norm = vector_of(args.k_norm),
          .eps = args.rms_norm_eps,
          .heads = static_cast<int>(args.q.cols /
                                    static_cast<const CudaKv&>(*args.kv).shape().head_dim)};
}

Result<bool> AttentionEngine::hold_rope(const RopeStore& args) {
  const auto& kv = static_cast<const CudaKv&>(*args.kv);
  const KvLayer layer = kv.layer(args.layer);
  if (!has_row_attention(layer)) return false;
  BOBBY_CHECK(place(args.sequences, kv));
  if (rows_.empty() || !alone_) return false;
  BOBBY_CHECK(find_angles(vector_of(args.inv_freq), kv.shape().head_dim / 2));
  held_ = {rope_args(args), layer};
  return true;
}

bool AttentionEngine::continues_rope(const Attention& args) {
  const auto& kv = static_cast<const CudaKv&>(*args.kv);
  return held_ && held_->args.q == args.q.data && held_->layer.data == kv.layer(args.layer).data &&
         held_->args.heads == static_cast<int>(args.q.cols / kHeadDim) &&
         is_placed(args.sequences, kv);
}

void AttentionEngine::finish_rope() {
  if (!held_) return;
  const HeldRope held = *std::exchange(held_, std::nullopt);
  cuda::rope_and_store(held.args, held.layer, places(), stream_);
}

Result<void> AttentionEngine::rope_and_store(const RopeStore& args) {
  const auto& kv = static_cast<const CudaKv&>(*args.kv);
  const std::int64_t head_dim = kv.shape().head_dim;
  assert(args.q.cols % head_dim == 0 && head_dim % 2 == 0);
  assert(args.k.cols == kv.shape().num_key_value_heads * head_dim && args.v.cols == args.k.cols);
  BOBBY_CHECK(place(args.sequences, kv));
  if (rows_.empty()) return {};
  BOBBY_CHECK(find_angles(vector_of(args.inv_freq), head_dim / 2));
  cuda::rope_and_store(rope_args(args), kv.layer(args.layer), places(), stream_);
  return {};
}

bool AttentionEngine::rounds(const Attention& args) const {
  const KvLayer layer = static_cast<const CudaKv&>(*args.kv).layer(args.layer);
  if (!has_row_attention(layer) || static_cast<std::int64_t>(rows_.size()) != args.out.rows)
    return false;
  return std::ranges::all_of(args.sequences,
                             [](const SequenceRows& one) { return one.row_count <= kDecodeRows; });
}

Result<void> AttentionEngine::attention(const Attention& args, const RowTiles& tiles,
                                        const Deltas& deltas) {
  const auto& kv = static_cast<const CudaKv&>(*args.kv);
  const std::int64_t head_dim = kv.shape().head_dim;
  assert(args.q.cols == args.out.cols && args.q.cols % head_dim == 0);
  BOBBY_CHECK(place(args.sequences, kv));
  if (rows_.empty()) return {};
  const KvLayer layer = kv.layer(args.layer);
  RowAttention rows_args{.attend = {.q = args.q.data,
                                    .out = args.out.data,
                                    .scale = args.scale,
                                    .heads = static_cast<int>(args.q.cols / head_dim),
                                    .longest = longest_},
                         .rope = {},
                         .tiles = tiles};
  if (held_) rows_args.rope = std::exchange(held_, std::nullopt)->args;
  AttendArgs& attend_args = rows_args.attend;
  const int span = span_of(layer);
  attend_args.spans = (longest_ + span - 1) / span;
  // As many rows at a time as their partial results fit.
  const std::size_t parts =
      static_cast<std::size_t>(attend_args.heads) * static_cast<std::size_t>(attend_args.spans);
  const std::size_t row_bytes =
      parts * (static_cast<std::size_t>(head_dim) * sizeof(float) + sizeof(float2));
  BOBBY_CHECK(grow(scratch_, row_bytes, kScratch));
  if (!arrived_ || arrived_->size() < static_cast<std::size_t>(args.q.cols) * sizeof(unsigned)) {
    const std::size_t room =
        std::max(kArrived, static_cast<std::size_t>(args.q.cols)) * sizeof(unsigned);
    arrived_.reset();
    BOBBY_TRY(arrived_, DeviceMemory::zeroed(room, stream_));
  }
  rows_args.arrived = static_cast<unsigned*>(arrived_->data());
  const auto most = static_cast<int>(std::min(
      {scratch_->size() / row_bytes, std::size_t{32768},
       arrived_->size() / sizeof(unsigned) / static_cast<std::size_t>(attend_args.heads)}));
  const auto attend_some = [&](int begin, int end) {
    for (; begin < end; begin += most) {
      attend_args.row_begin = begin;
      attend_args.row_count = std::min(most, end - begin);
      attend_args.totals = static_cast<float2*>(scratch_->data());
      attend_args.parts = reinterpret_cast<float*>(
          attend_args.totals + parts * static_cast<std::size_t>(attend_args.row_count));
      if (has_row_attention(layer))
        attend_rows(rows_args, deltas, layer, places(), stream_);
      else
        attend(attend_args, layer, places(), stream_);
    }
  };
  int begin = 0;  // of the rows that are still to be done
  int row = 0;
  for (const SequenceRows& sequence : args.sequences) {
    const int count = static_cast<int>(sequence.row_count);
    if (count > kDecodeRows && has_prompt_attention(layer)) {
      attend_some(begin, row);
      attend_prompt(attend_args,
                    {.row_begin = static_cast<int>(sequence.row_begin),
                     .row_count = count,
                     .position = static_cast<int>(sequence.position),
                     .blocks_begin = rows_[static_cast<std::size_t>(row)].blocks_begin},
                    layer, places(), stream_);
      begin = row + count;
    }
    row += count;
  }
  attend_some(begin, row);
  return {};
}

}  // namespace bobby::cuda
