#include "base/sync_file.h"

#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

namespace bobby {

int sync_to_disk(int descriptor) {
#if defined(F_FULLFSYNC)
  if (::fcntl(descriptor, F_FULLFSYNC) == 0) return 0;
#endif
  return ::fsync(descriptor) == 0 ? 0 : errno;
}

}  // namespace bobby
