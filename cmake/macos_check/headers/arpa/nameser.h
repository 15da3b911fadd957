/* What txt_lookup.cpp uses of macOS's <arpa/nameser.h>, which the fetched headers lack. Compiled,
 * never linked. */
#pragma once
#include <sys/types.h>

typedef enum { ns_s_an = 1 } ns_sect;
enum { ns_c_in = 1, ns_t_txt = 16 };
typedef struct {
  u_int16_t counts[4];
} ns_msg;
typedef struct {
  u_int16_t type, length;
  const u_char* data;
} ns_rr;
#define ns_msg_count(message, section) ((message).counts[section] + 0)
#define ns_rr_type(record) ((record).type + 0)
#define ns_rr_rdlen(record) ((record).length + 0)
#define ns_rr_rdata(record) ((record).data + 0)

#ifdef __cplusplus
extern "C" {
#endif
int ns_initparse(const u_char*, int, ns_msg*);
int ns_parserr(ns_msg*, ns_sect, int, ns_rr*);
#ifdef __cplusplus
}
#endif
