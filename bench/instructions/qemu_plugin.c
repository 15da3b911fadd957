// A plugin of qemu-aarch64 that counts the instructions of a program: vector ones, loads, stores
// and the rest, "counts V L S R" on the standard error output when it ends. The part of qemu's
// plugin interface (version 1) that it uses is declared here: distributions do not package the
// header.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*tb_trans_cb)(qemu_plugin_id_t id, struct qemu_plugin_tb* tb);
typedef void (*udata_cb)(qemu_plugin_id_t id, void* userdata);
enum { INLINE_ADD_U64 = 0 };

extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, tb_trans_cb cb);
extern void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, udata_cb cb, void* userdata);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb* tb);
extern struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb* tb, size_t i);
extern const void* qemu_plugin_insn_data(const struct qemu_plugin_insn* insn);
extern void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn* insn, int op,
                                                       void* counter, uint64_t add);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

enum { VECTOR, LOAD, STORE, REST, KINDS };
static uint64_t counts[KINDS];

// By the top level of A64's encoding, bits 28 to 25.
static int kind_of(uint32_t code) {
  const uint32_t group = code >> 25 & 15;
  if ((group & 7) == 7) return VECTOR;
  if ((group & 5) != 4) return REST;
  if ((code & 0xbe000000u) == 0x0c000000u) return code >> 22 & 1 ? LOAD : STORE;  // ld1 .. st4
  if ((code & 0x3a000000u) == 0x28000000u) return code >> 22 & 1 ? LOAD : STORE;  // pairs
  if ((code & 0x3b000000u) == 0x18000000u) return LOAD;                           // literals
  // One register: opc 00 stores; with a vector register 10 does, too (128 bits).
  const uint32_t opc = code >> 22 & 3;
  return opc == 0 || (opc == 2 && code >> 26 & 1) ? STORE : LOAD;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb* tb) {
  (void)id;
  for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); ++i) {
    struct qemu_plugin_insn* insn = qemu_plugin_tb_get_insn(tb, i);
    uint32_t code;
    memcpy(&code, qemu_plugin_insn_data(insn), sizeof code);
    qemu_plugin_register_vcpu_insn_exec_inline(insn, INLINE_ADD_U64, &counts[kind_of(code)], 1);
  }
}

static void at_exit(qemu_plugin_id_t id, void* userdata) {
  (void)id;
  (void)userdata;
  fprintf(stderr, "counts %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", counts[VECTOR],
          counts[LOAD], counts[STORE], counts[REST]);
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id,
                                                               const void* info, int argc,
                                                               char** argv) {
  (void)info;
  (void)argc;
  (void)argv;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, at_exit, NULL);
  return 0;
}
