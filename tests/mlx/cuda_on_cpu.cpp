#include "mlx/cuda_on_cpu.h"

#include <memory>
#include <stdexcept>
#include <ucontext.h>
#include <vector>

namespace bobby::test::cuda_on_cpu {

Dim threadIdx;
Dim blockIdx;
Dim gridDim;

namespace {

constexpr int kWarp = 32;
constexpr std::size_t kStack = 128 * 1024;

struct Barrier {
  int arrived = 0;
  unsigned generation = 0;
};

struct Fiber {
  ucontext_t context = {};
  std::unique_ptr<char[]> stack = std::make_unique<char[]>(kStack);
  bool done = false;
};

/// The block under way.
struct Block {
  std::vector<Fiber> fibers;
  Barrier all;
  std::vector<Barrier> warps;
  std::vector<float> exchanged;
  ucontext_t main = {};
  const std::function<void()>* kernel = nullptr;
  std::size_t steps = 0;  // barriers that were passed, and fibers that ended
};
Block* block = nullptr;

Fiber& current() {
  return block->fibers[static_cast<std::size_t>(threadIdx.x)];
}

void wait_for(Barrier& barrier, int count) {
  if (++barrier.arrived == count) {
    barrier.arrived = 0;
    ++barrier.generation;
    ++block->steps;
    return;
  }
  const unsigned mine = barrier.generation;
  while (barrier.generation == mine) swapcontext(&current().context, &block->main);
}

void run_fiber() {
  (*block->kernel)();
  current().done = true;
  ++block->steps;
}

void run_block(int threads) {
  for (int i = 0; i < threads; ++i) {
    Fiber& fiber = block->fibers[static_cast<std::size_t>(i)];
    fiber.done = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStack;
    fiber.context.uc_link = &block->main;
    makecontext(&fiber.context, run_fiber, 0);
  }
  for (bool any = true; any;) {
    any = false;
    const std::size_t before = block->steps;
    for (int i = 0; i < threads; ++i) {
      Fiber& fiber = block->fibers[static_cast<std::size_t>(i)];
      if (fiber.done) continue;
      any = true;
      threadIdx = {i, 0};
      swapcontext(&block->main, &fiber.context);
    }
    if (any && block->steps == before)
      throw std::logic_error("threads wait at a barrier that the others do not reach");
  }
}

}  // namespace

void launch(Dim grid, int threads, const std::function<void()>& kernel) {
  Block own;
  own.fibers = std::vector<Fiber>(static_cast<std::size_t>(threads));
  own.warps.resize(static_cast<std::size_t>(threads / kWarp));
  own.exchanged.resize(static_cast<std::size_t>(threads));
  own.kernel = &kernel;
  block = &own;
  gridDim = grid;
  for (int y = 0; y < grid.y; ++y)
    for (int x = 0; x < grid.x; ++x) {
      blockIdx = {x, y};
      run_block(threads);
    }
  block = nullptr;
}

void __syncthreads() {
  wait_for(block->all, static_cast<int>(block->fibers.size()));
}

void __syncwarp() {
  wait_for(block->warps[static_cast<std::size_t>(threadIdx.x / kWarp)], kWarp);
}

float __shfl_xor_sync(unsigned /*mask*/, float value, int lanes) {
  const auto own = static_cast<std::size_t>(threadIdx.x);
  block->exchanged[own] = value;
  __syncwarp();
  const float others = block->exchanged[own ^ static_cast<std::size_t>(lanes)];
  __syncwarp();
  return others;
}

}  // namespace bobby::test::cuda_on_cpu
