#include "cli/termination.h"

#include <csignal>
#include <pthread.h>
#include <thread>
#include <unistd.h>

namespace bobby::cli {
namespace {

constexpr int kInterruptedExit = 130;

sigset_t ending_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

void take_one() {
  const sigset_t signals = ending_signals();
  int signal = 0;
  while (sigwait(&signals, &signal) != 0) {
  }
}

}  // namespace

Termination::Termination() {
  const sigset_t signals = ending_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

void Termination::wait() {
  take_one();
}

void Termination::let_go() {
  std::thread([] {
    take_one();
    _exit(kInterruptedExit);
  }).detach();
}

}  // namespace bobby::cli
