/* Bobby Posts as a library. In C++ (20) everything below namespace bobby; in C what bobby_c.h has. */
#ifndef BOBBY_BOBBY_H
#define BOBBY_BOBBY_H

#ifdef __cplusplus

#include <bobby/arrays.h>
#include <bobby/generator.h>
#include <bobby/result.h>
#include <bobby/text_generation.h>

namespace bobby {
// v1 is part of the names in the shared library, so that a later one may hold both.
using namespace v1;

namespace v1 {
/// The library's version, "0.1.0".
BOBBY_API std::string_view version();
}  // namespace v1
}  // namespace bobby

#else
#include <bobby/bobby_c.h>
#endif

#endif
