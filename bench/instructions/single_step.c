// Counts the instructions of a program on x86-64 from its first SIGCONT to the next by stepping
// through them, "counts N 0 0 0" on the standard error output: no simulator that distributions
// package knows AVX-512.
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const pid_t child = fork();
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    execv(argv[1], argv + 1);
    _exit(127);
  }
  unsigned long long count = 0;
  int marks = 0;
  int status;
  waitpid(child, &status, 0);
  while (WIFSTOPPED(status)) {
    const int got = WSTOPSIG(status);
    if (got == SIGCONT) ++marks;
    ptrace(marks == 1 ? PTRACE_SINGLESTEP : PTRACE_CONT, child, NULL,
           (void*)(long)(got == SIGTRAP ? 0 : got));
    waitpid(child, &status, 0);
    count += marks == 1;
  }
  fprintf(stderr, "counts %llu 0 0 0\n", count);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
