#include "backends/cuda/step_runner.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "backends/cuda/step_match.h"
#include "backends/cuda/weight.h"

namespace bobby::cuda {
namespace {

constexpr int kSpares = 4;         // blocks for the adapters' A
constexpr int kMostWorkers = 128;  // which divide the matrices of most models evenly
// Copies of 9 KB under way in a block: bandwidth times latency asks for three; while a block waits
// for others they only make that wait longer.
constexpr int kManyCopies = 16;
constexpr int kFewCopies = 2;
constexpr std::size_t kPrograms = 8;
constexpr std::size_t kAdapters = 4;

std::size_t round_up(std::size_t bytes) {
  return (bytes + 255) / 256 * 256;
}

bool same_ops(std::span<const StepOp> a, std::span<const StepOp> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

/// Rows that are each a sequence's next token, and all of them asked for.
bool decodes(const StepRecorder& step) {
  const auto rows = static_cast<std::int64_t>(step.tokens().size());
  if (step.sequences().size() != step.tokens().size() ||
      step.selected().size() != step.tokens().size())
    return false;
  for (std::int64_t i = 0; i < rows; ++i) {
    const SequenceRows& sequence = step.sequences()[static_cast<std::size_t>(i)];
    if (sequence.row_begin != i || sequence.row_count != 1 ||
        step.selected()[static_cast<std::size_t>(i)] != i)
      return false;
  }
  return true;
}

/// Whether the kernel knows what to do with these adapters: one a row, plain, behind no head. They
/// come in the order of the operations.
bool fit(std::span<const StepLora> loras, std::size_t ops) {
  for (std::size_t i = 0; i < loras.size(); ++i) {
    const LoraView& view = loras[i].rows.lora->view();
    if (view.output_multiplier || view.rank > kStepMaxRank || view.in_features % 8 != 0 ||
        loras[i].op + 1 == static_cast<std::int64_t>(ops))
      return false;
    for (std::size_t j = i; j-- > 0 && loras[j].op == loras[i].op;) {
      const LoraRows& a = loras[i].rows;
      const LoraRows& b = loras[j].rows;
      if (loras[i].projection == loras[j].projection && a.row_begin < b.row_begin + b.row_count &&
          b.row_begin < a.row_begin + a.row_count)
        return false;
    }
  }
  return true;
}

}  // namespace

StepRunner::StepRunner(cudaStream_t stream) : stream_(stream) {
  int device = 0, major = 0, shared = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  cudaDeviceGetAttribute(&multiprocessors_, cudaDevAttrMultiProcessorCount, device);
  cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  if (major >= 9 && multiprocessors_ > 2 * kSpares)
    shared_limit_ = static_cast<std::size_t>(shared);
}

StepRunner::Program* StepRunner::find(const StepRecorder& step) {
  for (const auto& program : programs_)
    if (step.form() != 0 && program->form == step.form()) return program.get();
  for (const auto& program : programs_) {
    if (!same_ops(program->ops, step.ops())) continue;
    program->form = step.form();
    return program.get();
  }
  return nullptr;
}

Result<StepRunner::Program*> StepRunner::add(std::span<const StepOp> ops) {
  auto program = std::make_unique<Program>();
  program->ops.assign(ops.begin(), ops.end());
  if (auto form = match_step(ops)) {
    program->args = form->args;
    program->element = form->element;
    BOBBY_CHECK(lay_out(*program, form->layers));
  }
  Program* added = program.get();
  if (programs_.size() < kPrograms) {
    programs_.push_back(std::move(program));
  } else {
    programs_[next_program_] = std::move(program);
    next_program_ = (next_program_ + 1) % kPrograms;
  }
  return added;
}

Result<void> StepRunner::lay_out(Program& program, const std::vector<StepLayer>& layers) {
  StepArgs& args = program.args;
  // Every block has a share of each product: then what a block has seen tells what others have
  // read.
  const int shares = std::min({args.hidden, args.intermediate,
                               (args.heads + 2 * args.kv_heads) * 128, args.vocab}) /
                     kTileRows;
  args.spares = kSpares;
  args.workers = std::min({kMostWorkers, multiprocessors_ - kSpares, shares});
  const int tiles = args.hidden / kTileRows;
  args.own_columns = (tiles + args.workers - 1) / args.workers * kTileRows;
  program.shared_bytes = place_step(args, shared_limit_);
  if (program.shared_bytes == 0) return {};
  args.many_copies = std::min(kManyCopies, 4 * args.slots);
  args.few_copies = std::min(kFewCopies, 4 * args.slots);
  if (!can_run_step(args, program.element, program.shared_bytes, shared_limit_)) {
    cudaGetLastError();
    program.shared_bytes = 0;
    return {};
  }
  const std::size_t bytes = layers.size() * sizeof(StepLayer);
  BOBBY_TRY(program.layers, DeviceMemory::make(bytes));
  BOBBY_CHECK(check(cudaMemcpyAsync(program.layers->data(), layers.data(), bytes,
                                    cudaMemcpyHostToDevice, stream_),
                    "a step's layers"));
  args.layers = static_cast<const StepLayer*>(program.layers->data());
  return make_exchange(program);
}

Result<void> StepRunner::make_exchange(Program& program) {
  StepArgs& args = program.args;
  const auto rows = static_cast<std::size_t>(args.rows);
  const auto heads = static_cast<std::size_t>(args.heads);
  const auto hidden = static_cast<std::size_t>(args.hidden);
  const std::size_t q = heads * 128, k = static_cast<std::size_t>(args.kv_heads) * 128;
  const std::size_t floats =
      rows * (2 * hidden + 2 * q + 2 * k + static_cast<std::size_t>(args.intermediate));
  const std::size_t counters = (rows * heads + 1) * sizeof(unsigned);
  BOBBY_TRY(program.exchange, DeviceMemory::zeroed(floats * sizeof(float) + counters, stream_));
  auto* at = static_cast<float*>(program.exchange->data());
  BOBBY_CHECK(check(cudaMemsetAsync(at, 0xff, floats * sizeof(float), stream_), "a step's memory"));
  const auto next = [&](std::size_t width) { return std::exchange(at, at + rows * width); };
  StepExchange& exchange = args.exchange;
  exchange.x = next(hidden);
  exchange.mid = next(hidden);
  exchange.q = next(q);
  exchange.k = next(k);
  exchange.v = next(k);
  exchange.attention = next(q);
  exchange.activation = next(static_cast<std::size_t>(args.intermediate));
  exchange.progress = reinterpret_cast<unsigned*>(at);
  args.chunk_counters = exchange.progress + 1;
  return {};
}

Result<const StepRunner::Adapters*> StepRunner::find_adapters(Program& program,
                                                              std::span<const StepLora> loras) {
  for (const Adapters& adapters : program.adapters)
    if (std::ranges::equal(adapters.loras, loras)) return &adapters;
  if (program.adapters.size() < kAdapters) program.adapters.emplace_back();
  Adapters& adapters = program.adapters[program.next_adapters];
  program.next_adapters = (program.next_adapters + 1) % kAdapters;
  adapters.loras.assign(loras.begin(), loras.end());
  adapters.fit = fit(loras, program.ops.size());
  if (!adapters.fit) return &adapters;
  if (auto built = build(program, adapters); !built) {
    adapters.loras.clear();  // or the next step would find them
    return fail(std::move(built).error());
  }
  return &adapters;
}

Result<void> StepRunner::build(const Program& program, Adapters& adapters) {
  constexpr std::size_t kOps = 11;
  constexpr int kProductOf[kOps] = {-1, kStepQkv,    -1, -1,        kStepO, -1,
                                    -1, kStepGateUp, -1, kStepDown, -1};
  const auto products = static_cast<std::size_t>(program.args.layer_count) * kStepProducts;
  std::vector<StepDelta> deltas(products * kMatrices * kStepRows);
  std::vector<std::vector<StepDot>> dots_of(products);
  int z = 0;
  for (const StepLora& lora : adapters.loras) {
    const auto op = static_cast<std::size_t>(lora.op - 1);
    const std::size_t product =
        op / kOps * kStepProducts + static_cast<std::size_t>(kProductOf[op % kOps]);
    const auto& on = static_cast<const CudaLora&>(*lora.rows.lora);
    const LoraEntry entry = on.entry(lora.rows);
    for (int row = entry.row_begin; row < entry.row_begin + entry.row_count; ++row) {
      deltas[(product * kMatrices + static_cast<std::size_t>(lora.projection)) * kStepRows +
             static_cast<std::size_t>(row)] = {entry.b, entry.scale, entry.rank, z};
      for (int r = 0; r < entry.rank; ++r)
        dots_of[product].push_back(
            {entry.a + static_cast<std::ptrdiff_t>(r) * entry.in_features, row, z++});
    }
  }
  std::vector<int> begin = {0};
  std::vector<StepDot> dots;
  for (auto& some : dots_of) {
    std::ranges::stable_sort(some, {}, &StepDot::x_row);
    dots.insert(dots.end(), some.begin(), some.end());
    begin.push_back(static_cast<int>(dots.size()));
  }
  const std::size_t parts[] = {
      round_up(deltas.size() * sizeof(StepDelta)), round_up(begin.size() * sizeof(int)),
      round_up(dots.size() * sizeof(StepDot)), round_up(static_cast<std::size_t>(z) * 8)};
  BOBBY_TRY(adapters.memory,
            DeviceMemory::zeroed(parts[0] + parts[1] + parts[2] + parts[3], stream_));
  auto* to = static_cast<std::byte*>(adapters.memory->data());
  const auto put = [&](const auto& values, std::size_t room) {
    const void* at = to;
    cudaMemcpyAsync(to, values.data(), values.size() * sizeof(values[0]), cudaMemcpyHostToDevice,
                    stream_);
    to += room;
    return at;
  };
  adapters.tables.deltas = static_cast<const StepDelta*>(put(deltas, parts[0]));
  adapters.tables.dots_begin = static_cast<const int*>(put(begin, parts[1]));
  adapters.tables.dots = static_cast<const StepDot*>(put(dots, parts[2]));
  adapters.tables.z = reinterpret_cast<unsigned long long*>(to);
  return {};
}

Result<void> StepRunner::place(const StepRecorder& step, StepArgs& args) {
  next_blocks_.clear();
  int longest = 0;
  for (std::size_t i = 0; i < step.sequences().size(); ++i) {
    const SequenceRows& sequence = step.sequences()[i];
    args.tokens[i] = step.tokens()[i];
    args.positions[i] = static_cast<int>(sequence.position);
    args.blocks_begin[i] = static_cast<int>(next_blocks_.size());
    longest = std::max(longest, args.positions[i] + 1);
    next_blocks_.insert(next_blocks_.end(), sequence.blocks.begin(), sequence.blocks.end());
  }
  args.chunks = (longest + kHeadChunk - 1) / kHeadChunk;
  if (args.chunks > 1) BOBBY_CHECK(make_parts(args));
  if (device_ && blocks_ == next_blocks_) return {};
  if (in_flight_) BOBBY_CHECK(check(cudaStreamSynchronize(stream_), "a step"));
  const std::size_t bytes = next_blocks_.size() * sizeof(std::int32_t);
  if (!device_ || device_->size() < bytes) {
    const std::size_t room = std::max(2 * bytes, std::size_t{1} << 16);
    device_.reset();  // last made, so that it stands for both
    BOBBY_TRY(host_, PinnedMemory::make(room));
    BOBBY_TRY(device_, DeviceMemory::make(room));
  }
  std::swap(blocks_, next_blocks_);
  std::memcpy(host_->data(), blocks_.data(), bytes);
  in_flight_ = true;
  return check(
      cudaMemcpyAsync(device_->data(), host_->data(), bytes, cudaMemcpyHostToDevice, stream_),
      "block tables");
}

Result<void> StepRunner::make_parts(StepArgs& args) {
  const auto units = static_cast<std::size_t>(args.rows * args.heads) *
                     std::bit_ceil(static_cast<std::size_t>(args.chunks));
  const std::size_t bytes = units * (128 * sizeof(float) + sizeof(float2));
  if (!parts_ || parts_->size() < bytes) {
    parts_.reset();
    BOBBY_TRY(parts_, DeviceMemory::make(bytes));
  }
  args.totals = static_cast<float2*>(parts_->data());
  args.parts = reinterpret_cast<float*>(args.totals + units);
  return {};
}

Result<bool> StepRunner::run(const StepRecorder& step) {
  if (shared_limit_ == 0 || !step.complete() || !decodes(step)) return false;
  Program* program = find(step);
  if (!program) {
    BOBBY_TRY(program, add(step.ops()));
  }
  if (program->shared_bytes == 0) return false;
  StepArgs args = program->args;
  BOBBY_CHECK(place(step, args));
  args.blocks = static_cast<const int*>(device_->data());
  if (!step.loras().empty()) {
    BOBBY_TRY(const Adapters* adapters, find_adapters(*program, step.loras()));
    if (!adapters->fit) return false;
    args.adapters = adapters->tables;
  }
  ++program->args.epoch;
  args.epoch = program->args.epoch;
  BOBBY_CHECK(check(run_step(args, program->element, program->shared_bytes, stream_), "a step"));
  return true;
}

}  // namespace bobby::cuda
