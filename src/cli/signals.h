#pragma once

#include <atomic>

namespace bobby::cli {

/// From here on: the first Ctrl-C (or SIGTERM) sets cancelled(), and ends the process by itself if
/// the work has not stopped within most of a second; the second ends it at once. A closed pipe or
/// a file that may not grow is an error of the write, not a signal.
void install_signal_handlers();

/// From here on the first Ctrl-C (or SIGTERM) lets the work take the time it needs to come to a
/// good end; the second still ends the process at once.
void let_work_end();

/// Set when the user wants the work to stop; what runs long looks at it.
const std::atomic<bool>& cancelled();

}  // namespace bobby::cli
