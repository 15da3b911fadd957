/* Bobby Posts as a library: in C++20 everything below namespace bobby, in C what bobby_c.h has. */
#ifndef BOBBY_BOBBY_H
#define BOBBY_BOBBY_H

#ifdef __cplusplus

#include <bobby/arrays.h>
#include <bobby/generator.h>
#include <bobby/result.h>
#include <bobby/text_generation.h>
#include <bobby/version.h>

// v1 is part of the names in the shared library, where they must not meet its inner ones.
namespace bobby {
using namespace v1;
}

#else
#include <bobby/bobby_c.h>
#endif

#endif
