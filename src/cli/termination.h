#pragma once

namespace bobby::cli {

/// For a process that ends itself in order: from here on SIGINT and SIGTERM no longer end it by
/// themselves, but are waited for. Made before other threads are, which must not take them.
class Termination {
 public:
  Termination();

  /// Returns when the user wants the process to end.
  void wait();
  /// From here on the next such signal ends the process at once.
  void let_go();
};

}  // namespace bobby::cli
