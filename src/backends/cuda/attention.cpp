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
  for (std::int64_t index = 0; index < shape().layers; ++index) {
    const KvLayer one = layer(index);
    const long long stride = 2ll * one.heads * one.part_bytes;
    cudaMemcpyAsync(one.data + to * stride, one.data + from * stride,
                    static_cast<std::size_t>(stride), cudaMemcpyDeviceToDevice, stream_);
  }
}

Result<void> AttentionEngine::place(std::span<const SequenceRows> sequences) {
  next_rows_.clear();
  next_blocks_.clear();
  for (const SequenceRows& sequence : sequences) {
    const int blocks_begin = static_cast<int>(next_blocks_.size());
    next_blocks_.insert(next_blocks_.end(), sequence.blocks.begin(), sequence.blocks.end());
    for (std::int64_t i = 0; i < sequence.row_count; ++i)
      next_rows_.push_back({static_cast<int>(sequence.row_begin + i),
                            static_cast<int>(sequence.position + i), blocks_begin});
  }
  if (device_ && same(rows_, next_rows_) && blocks_ == next_blocks_) return {};
  std::swap(rows_, next_rows_);
  std::swap(blocks_, next_blocks_);
  angles_of_ = nullptr;
  longest_ = 0;
  for (const RowPlace& row : rows_) longest_ = std::max(longest_, row.position + 1);
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

Result<void> AttentionEngine::rope_and_store(const RopeStore& args) {
  const auto& kv = static_cast<const CudaKv&>(*args.kv);
  const std::int64_t head_dim = kv.shape().head_dim;
  assert(args.q.cols % head_dim == 0 && head_dim % 2 == 0);
  assert(args.k.cols == kv.shape().num_key_value_heads * head_dim && args.v.cols == args.k.cols);
  BOBBY_CHECK(place(args.sequences));
  if (rows_.empty()) return {};
  BOBBY_CHECK(find_angles(vector_of(args.inv_freq), head_dim / 2));
  cuda::rope_and_store({.q = args.q.data,
                        .k = args.k.data,
                        .v = args.v.data,
                        .q_norm = vector_of(args.q_norm),
                        .k_norm = vector_of(args.k_norm),
                        .eps = args.rms_norm_eps,
                        .heads = static_cast<int>(args.q.cols / head_dim)},
                       kv.layer(args.layer), places(), stream_);
  return {};
}

Result<void> AttentionEngine::attention(const Attention& args) {
  const auto& kv = static_cast<const CudaKv&>(*args.kv);
  const std::int64_t head_dim = kv.shape().head_dim;
  assert(args.q.cols == args.out.cols && args.q.cols % head_dim == 0);
  BOBBY_CHECK(place(args.sequences));
  if (rows_.empty()) return {};
  AttendArgs attend_args{.q = args.q.data,
                         .out = args.out.data,
                         .scale = args.scale,
                         .heads = static_cast<int>(args.q.cols / head_dim),
                         .spans = 0};
  const int span = span_of(kv.layer(args.layer));
  attend_args.spans = (longest_ + span - 1) / span;
  // As many rows at a time as their partial results fit.
  const std::size_t parts =
      static_cast<std::size_t>(attend_args.heads) * static_cast<std::size_t>(attend_args.spans);
  const std::size_t row_bytes =
      parts * (static_cast<std::size_t>(head_dim) * sizeof(float) + sizeof(float2));
  BOBBY_CHECK(grow(scratch_, row_bytes, kScratch));
  const auto most = static_cast<int>(std::min<std::size_t>(scratch_->size() / row_bytes, 32768));
  const KvLayer layer = kv.layer(args.layer);
  const auto attend_rows = [&](int begin, int end) {
    for (; begin < end; begin += most) {
      attend_args.row_begin = begin;
      attend_args.row_count = std::min(most, end - begin);
      attend_args.totals = static_cast<float2*>(scratch_->data());
      attend_args.parts = reinterpret_cast<float*>(
          attend_args.totals + parts * static_cast<std::size_t>(attend_args.row_count));
      attend(attend_args, layer, places(), stream_);
    }
  };
  int begin = 0;  // of the rows that are still to be done
  int row = 0;
  for (const SequenceRows& sequence : args.sequences) {
    const int count = static_cast<int>(sequence.row_count);
    if (count > kDecodeRows && has_prompt_attention(layer)) {
      attend_rows(begin, row);
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
  attend_rows(begin, row);
  return {};
}

}  // namespace bobby::cuda
