#pragma once

// Loops over vectors in registers must be unrolled; where a vector is an array (portable), and in a
// sanitized build, unrolling only costs minutes of compile time.
#if defined(BOBBY_VECTORS_IN_REGISTERS) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define BOBBY_UNROLL(n) _Pragma(BOBBY_UNROLL_TEXT(GCC unroll n))
#define BOBBY_UNROLL_TEXT(text) #text
#else
#define BOBBY_UNROLL(n)
#endif
