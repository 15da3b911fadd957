#pragma once

namespace bobby {

/// Waits until what was written to `descriptor` is on the disk. 0, or what errno says.
///
/// fsync(); on Apple's systems, where that leaves the bytes in the drive's own cache, F_FULLFSYNC,
/// and fsync() on file systems that do not know it.
int sync_to_disk(int descriptor);

}  // namespace bobby
