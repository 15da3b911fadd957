/* Bobby Posts for C and for what binds to C.
 *
 * A function that can fail returns a bobby_status. With `error` not NULL, *error is NULL after
 * success and otherwise a sentence of the caller's own: bobby_string_free(). No exception comes
 * out. What a call writes through a pointer is untouched after a failure; a handle or string is
 * NULL. Strings are UTF-8 and end with NUL; those that are passed in need to live during the call
 * only. A struct begins with its size, by which a later library tells an earlier caller's: its init
 * function sets it, and every default. A size larger than the library's own is refused.
 * Handles may be used from several threads at once, and freed when nobody uses them; so may NULL.
 */
#ifndef BOBBY_BOBBY_C_H
#define BOBBY_BOBBY_C_H

#include <bobby/export.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef int32_t bobby_status;
enum {
  BOBBY_OK = 0,
  BOBBY_USAGE = 1,       /* what was asked cannot be asked: a NULL, a value out of its range */
  BOBBY_NOT_FOUND = 2,   /* a file, model or adapter is not there */
  BOBBY_IO = 3,          /* the operating system refused a read or a write */
  BOBBY_MALFORMED = 4,   /* bytes that are not what their format says */
  BOBBY_UNSUPPORTED = 5, /* well formed, but nothing here implements it */
  BOBBY_MISMATCH = 6,    /* two things that must agree do not */
  BOBBY_LIMIT = 7,       /* a size, length or memory bound was met */
  BOBBY_NUMERIC = 8,     /* NaN or infinity where a number was needed */
  BOBBY_CANCELLED = 9,   /* the caller stopped it */
  BOBBY_INTERNAL = 10,   /* a bug of this library */
  BOBBY_BUSY = 11,       /* a queue is full */
  BOBBY_TIMEOUT = 12     /* a deadline has passed */
};

/* "0.1.0". */
BOBBY_API const char* bobby_version(void);
/* "ok", "usage", "not_found", ...; "internal" for a number that is none of the above. */
BOBBY_API const char* bobby_status_name(bobby_status status);
BOBBY_API void bobby_string_free(char* string);

/* ---- Posts ---- */

typedef struct bobby_generator bobby_generator;
typedef struct bobby_posts bobby_posts;
typedef struct bobby_cancel bobby_cancel;

/* How far a long piece of work is; total 0: unknown. */
typedef void (*bobby_progress_fn)(void* user, const char* phase, uint64_t done, uint64_t total);
/* A piece of the raw text of post `index`; `attempt` counts from 0. Returns 0 to go on, anything
 * else to stop the request. May be called from another thread than the one that waits. */
typedef int32_t (*bobby_text_fn)(void* user, uint32_t index, int32_t attempt, const char* text,
                                 size_t text_size);

/* NULL and 0 mean the default, which is that of `bobby post`; neither BOBBY_* variables nor config
 * files are read. */
typedef struct bobby_generator_options {
  size_t size;
  const char* model; /* a folder, an installed model's name or ORG/NAME of the Hugging Face hub */
  const char* const* adapters; /* adapter_count folders or names, ":SCALE" for another scale */
  size_t adapter_count;
  const char* device;      /* "cpu", "reference", "cuda", "cuda:1" */
  const char* kv;          /* "f16", "f32", "int8" */
  const char* activations; /* "q15", "int8" */
  const char* prompt_form;
  int64_t max_context; /* tokens of a sequence */
  int32_t threads;
  int32_t reserved; /* 0 */
} bobby_generator_options;

typedef struct bobby_generate_options {
  size_t size;
  const char* prompt; /* NULL: "Write a post in your style" */
  const char* system; /* NULL: the model's own message; "": none */
  int64_t count;
  int64_t max_tokens;
  float temperature; /* 0: always the likeliest token */
  float top_p;
  float min_p;
  float repetition_penalty;
  int64_t top_k; /* 0: all */
  uint64_t seed; /* looked at when has_seed */
  int32_t has_seed;
  int32_t raw;           /* what the model wrote: nothing cleaned, nothing rejected */
  int64_t char_limit;    /* in graphemes, 0: none, -1: the voice's own, or 300 */
  int64_t min_chars;     /* -1: the voice's own, or 20 */
  int32_t keep_emojis;   /* 0, 1, or -1: as the voice says */
  int32_t keep_hashtags; /* 0, 1, or -1: as the voice says */
  int32_t hard_limit;    /* do not lead a post to the end of a sentence near char_limit */
  int32_t retries;
  bobby_text_fn on_text;        /* NULL: none */
  bobby_progress_fn on_prefill; /* NULL: none */
  void* user;                   /* handed to both */
  bobby_cancel* cancel;         /* NULL: none */
} bobby_generate_options;

typedef struct bobby_memory_stats {
  size_t size;
  uint64_t weight_bytes; /* 0 before the model is loaded */
  uint64_t kv_bytes;
  uint64_t kv_saturated; /* numbers that the KV pool's fp16 cells could not hold */
  uint64_t peak_rss_bytes;
} bobby_memory_stats;

/* `size`: sizeof the struct, as the caller knows it. */
BOBBY_API bobby_status bobby_generator_options_init(bobby_generator_options* options, size_t size,
                                                    char** error);
BOBBY_API bobby_status bobby_generate_options_init(bobby_generate_options* options, size_t size,
                                                   char** error);

/* Loads nothing yet. options NULL: the defaults. */
BOBBY_API bobby_status bobby_generator_create(const bobby_generator_options* options,
                                              bobby_generator** generator, char** error);
BOBBY_API void bobby_generator_free(bobby_generator* generator);
/* Loads the model unless it is there. progress NULL: none. */
BOBBY_API bobby_status bobby_generator_prewarm(bobby_generator* generator,
                                               bobby_progress_fn progress, void* user,
                                               char** error);
/* *loaded: 0 or 1. */
BOBBY_API bobby_status bobby_generator_loaded(const bobby_generator* generator, int32_t* loaded,
                                              char** error);
/* stats->size says how much of it the caller knows. */
BOBBY_API bobby_status bobby_generator_memory_stats(const bobby_generator* generator,
                                                    bobby_memory_stats* stats, char** error);
/* Where the time of the last request went, as JSON: bobby_string_free(). */
BOBBY_API bobby_status bobby_generator_last_trace(const bobby_generator* generator, char** json,
                                                  char** error);
/* Writes posts: bobby_posts_free(). options NULL: the defaults. That none was acceptable, or that
 * the request was cancelled under way, is no failure: the JSON says so. */
BOBBY_API bobby_status bobby_generator_generate(bobby_generator* generator,
                                                const bobby_generate_options* options,
                                                bobby_posts** posts, char** error);

BOBBY_API bobby_status bobby_posts_count(const bobby_posts* posts, size_t* count, char** error);
/* Of post `index` < count; the text lives as long as `posts`. text_size NULL: not wanted. */
BOBBY_API bobby_status bobby_posts_text(const bobby_posts* posts, size_t index, const char** text,
                                        size_t* text_size, char** error);
/* All about them, in the shape that `POST /v1/posts` answers with; lives as long as `posts`. */
BOBBY_API bobby_status bobby_posts_json(const bobby_posts* posts, const char** json, char** error);
BOBBY_API void bobby_posts_free(bobby_posts* posts);

/* A flag that stops the requests that were given it, from any thread, for good. */
BOBBY_API bobby_status bobby_cancel_create(bobby_cancel** cancel, char** error);
BOBBY_API bobby_status bobby_cancel_set(bobby_cancel* cancel, char** error);
BOBBY_API void bobby_cancel_free(bobby_cancel* cancel);

/* ---- Tokens ---- */

typedef struct bobby_tokenizer bobby_tokenizer;

/* Reads tokenizer.json of a folder. */
BOBBY_API bobby_status bobby_tokenizer_load(const char* folder, bobby_tokenizer** tokenizer,
                                            char** error);
BOBBY_API void bobby_tokenizer_free(bobby_tokenizer* tokenizer);
BOBBY_API bobby_status bobby_tokenizer_vocab_size(const bobby_tokenizer* tokenizer, int64_t* size,
                                                  char** error);
/* *ids holds *count ids: bobby_tokens_free(). */
BOBBY_API bobby_status bobby_tokenizer_encode(const bobby_tokenizer* tokenizer, const char* text,
                                              size_t text_size, int32_t** ids, size_t* count,
                                              char** error);
/* The text: bobby_string_free(). text_size NULL: not wanted. */
BOBBY_API bobby_status bobby_tokenizer_decode(const bobby_tokenizer* tokenizer, const int32_t* ids,
                                              size_t count, char** text, size_t* text_size,
                                              char** error);
BOBBY_API void bobby_tokens_free(int32_t* ids);

/* ---- Arrays ---- */

/* A weight [rows, cols] in MLX's affine format. The arrays are the caller's. */
typedef struct bobby_quantized {
  size_t size;
  int64_t rows;
  int64_t cols;
  int32_t group_size; /* 32, 64 or 128 */
  int32_t bits;       /* 2, 3, 4, 5, 6 or 8 */
  uint32_t* weight;   /* [rows, cols * bits / 32] */
  float* scales;      /* [rows, cols / group_size] */
  float* biases;      /* [rows, cols / group_size] */
} bobby_quantized;

/* No arrays yet, groups of 64, 4 bits. */
BOBBY_API bobby_status bobby_quantized_init(bobby_quantized* quantized, size_t size, char** error);
/* w [rows, cols] into the arrays of `quantized`, as mx.quantize, bit for bit. */
BOBBY_API bobby_status bobby_quantize(const float* w, bobby_quantized* quantized, char** error);
/* The numbers that it stands for: w [rows, cols]. */
BOBBY_API bobby_status bobby_dequantize(const bobby_quantized* quantized, float* w, char** error);
/* transpose: x [x_rows, cols] times its transpose into out [x_rows, rows]; otherwise x [x_rows,
 * rows] times it into out [x_rows, cols]. */
BOBBY_API bobby_status bobby_quantized_matmul(const float* x, int64_t x_rows,
                                              const bobby_quantized* quantized, int32_t transpose,
                                              float* out, char** error);

#ifdef __cplusplus
}
#endif

#endif
