#include "cli/signals.h"

#include <csignal>
#include <sys/time.h>
#include <unistd.h>

namespace bobby::cli {
namespace {

constexpr int kInterruptedExit = 130;
std::atomic<bool> cancel_flag{false};
static_assert(std::atomic<bool>::is_always_lock_free, "set from a signal handler");

extern "C" void on_interrupt(int) {
  if (cancel_flag.exchange(true)) _exit(kInterruptedExit);
  const itimerval most_of_a_second = {.it_interval = {0, 0}, .it_value = {0, 800000}};
  setitimer(ITIMER_REAL, &most_of_a_second, nullptr);
}

extern "C" void on_interrupt_without_limit(int) {
  if (cancel_flag.exchange(true)) _exit(kInterruptedExit);
}

extern "C" void on_alarm(int) {
  _exit(kInterruptedExit);
}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, nullptr);  // no SA_RESTART: a blocked read must come back
}

}  // namespace

void install_signal_handlers() {
  handle(SIGINT, on_interrupt);
  handle(SIGTERM, on_interrupt);
  handle(SIGALRM, on_alarm);
  handle(SIGPIPE, SIG_IGN);
  handle(SIGXFSZ, SIG_IGN);
}

void let_work_end() {
  handle(SIGINT, on_interrupt_without_limit);
  handle(SIGTERM, on_interrupt_without_limit);
  const itimerval none = {};  // of a signal that came before
  setitimer(ITIMER_REAL, &none, nullptr);
}

const std::atomic<bool>& cancelled() {
  return cancel_flag;
}

}  // namespace bobby::cli
