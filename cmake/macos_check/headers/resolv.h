/* What txt_lookup.cpp uses of macOS's <resolv.h>, which the fetched headers lack. Compiled, never
 * linked. */
#pragma once
#include <sys/types.h>

struct __res_state {
  int options;
};
typedef struct __res_state* res_state;

#ifdef __cplusplus
extern "C" {
#endif
int res_ninit(res_state);
void res_nclose(res_state);
int res_nquery(res_state, const char*, int, int, u_char*, int);
#ifdef __cplusplus
}
#endif
