/* c_api_test MODEL ADAPTER: the C ABI from C11, each function at least once. */

#include <bobby/bobby.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures = 0;

static void expect(int holds, const char* what, int line) {
  if (holds) return;
  fprintf(stderr, "line %d: not so: %s\n", line, what);
  ++failures;
}
#define EXPECT(condition) expect((condition) != 0, #condition, __LINE__)

/* That a call ends with `status`, and has a message exactly when it fails. */
static void expect_status(bobby_status found, bobby_status wanted, char** error, int line) {
  if (found != wanted || (*error == NULL) != (wanted == BOBBY_OK)) {
    fprintf(stderr, "line %d: expected %s, found %s: %s\n", line, bobby_status_name(wanted),
            bobby_status_name(found), *error != NULL ? *error : "(no message)");
    ++failures;
  }
  bobby_string_free(*error);
  *error = NULL;
}
#define EXPECT_STATUS(wanted, call) expect_status((call), (wanted), &error, __LINE__)

struct seen {
  char text[4096];
  size_t size;
  int calls;
  int32_t answer;
};

static int32_t on_text(void* user, uint32_t index, int32_t attempt, const char* text, size_t size) {
  struct seen* seen = user;
  (void)index;
  (void)attempt;
  EXPECT(strlen(text) <= size);
  if (seen->size + size <= sizeof seen->text) {
    memcpy(seen->text + seen->size, text, size);
    seen->size += size;
  }
  ++seen->calls;
  return seen->answer;
}

static void on_progress(void* user, const char* phase, uint64_t done, uint64_t total) {
  EXPECT(phase != NULL && done <= total);
  ++*(int*)user;
}

static bobby_generator* make_generator(const char* model, const char* adapter) {
  char* error = NULL;
  bobby_generator* generator = NULL;
  bobby_generator_options options;
  EXPECT_STATUS(BOBBY_OK, bobby_generator_options_init(&options, sizeof options, &error));
  options.model = model;
  options.adapters = &adapter;
  options.adapter_count = 1;
  options.threads = 1;
  EXPECT_STATUS(BOBBY_OK, bobby_generator_create(&options, &generator, &error));
  return generator;
}

static bobby_generate_options raw_request(void) {
  char* error = NULL;
  bobby_generate_options options;
  EXPECT_STATUS(BOBBY_OK, bobby_generate_options_init(&options, sizeof options, &error));
  options.prompt = "hello";
  options.max_tokens = 20;
  options.has_seed = 1;
  options.seed = 7;
  options.raw = 1;
  return options;
}

static void test_posts(bobby_generator* generator) {
  char* error = NULL;
  struct seen seen = {.size = 0};
  int prefill = 0;
  bobby_generate_options options = raw_request();
  options.on_text = on_text;
  options.user = &seen;
  bobby_posts* posts = NULL;
  size_t count = 0;
  size_t size = 0;
  const char* text = NULL;
  const char* json = NULL;
  EXPECT_STATUS(BOBBY_OK, bobby_generator_generate(generator, &options, &posts, &error));
  EXPECT_STATUS(BOBBY_OK, bobby_posts_count(posts, &count, &error));
  EXPECT(count == 1);
  EXPECT_STATUS(BOBBY_OK, bobby_posts_text(posts, 0, &text, &size, &error));
  EXPECT(seen.size == size && memcmp(seen.text, text, size) == 0);
  EXPECT_STATUS(BOBBY_USAGE, bobby_posts_text(posts, 1, &text, &size, &error));
  EXPECT(text == NULL);
  EXPECT_STATUS(BOBBY_OK, bobby_posts_json(posts, &json, &error));
  EXPECT(json != NULL && strstr(json, "\"seed\":7") != NULL);
  bobby_posts_free(posts);

  seen.answer = 1; /* stop */
  seen.calls = 0;
  options.max_tokens = 400;
  EXPECT_STATUS(BOBBY_OK, bobby_generator_generate(generator, &options, &posts, &error));
  EXPECT(seen.calls == 1);
  EXPECT_STATUS(BOBBY_OK, bobby_posts_json(posts, &json, &error));
  EXPECT(json != NULL && strstr(json, "\"cancelled\":true") != NULL);
  bobby_posts_free(posts);

  options = raw_request();
  options.on_prefill = on_progress;
  options.user = &prefill;
  EXPECT_STATUS(BOBBY_OK, bobby_generator_generate(generator, &options, &posts, NULL));
  EXPECT(prefill > 0);
  bobby_posts_free(posts);
}

static void test_generator(bobby_generator* generator) {
  char* error = NULL;
  char* trace = NULL;
  int calls = 0;
  int32_t loaded = 2;
  bobby_memory_stats stats = {.size = sizeof stats};
  EXPECT_STATUS(BOBBY_OK, bobby_generator_loaded(generator, &loaded, &error));
  EXPECT(loaded == 0);
  EXPECT_STATUS(BOBBY_OK, bobby_generator_prewarm(generator, on_progress, &calls, &error));
  EXPECT(calls > 0);
  EXPECT_STATUS(BOBBY_OK, bobby_generator_loaded(generator, &loaded, &error));
  EXPECT(loaded == 1);
  test_posts(generator);
  EXPECT_STATUS(BOBBY_OK, bobby_generator_memory_stats(generator, &stats, &error));
  EXPECT(stats.size == sizeof stats && stats.weight_bytes > 0 && stats.peak_rss_bytes > 0);
  stats.size = 1;
  EXPECT_STATUS(BOBBY_USAGE, bobby_generator_memory_stats(generator, &stats, &error));
  EXPECT_STATUS(BOBBY_OK, bobby_generator_last_trace(generator, &trace, &error));
  EXPECT(trace != NULL && trace[0] == '{');
  bobby_string_free(trace);
}

static void test_cancel(bobby_generator* generator) {
  char* error = NULL;
  bobby_cancel* cancel = NULL;
  bobby_posts* posts = NULL;
  bobby_generate_options options = raw_request();
  EXPECT_STATUS(BOBBY_OK, bobby_cancel_create(&cancel, &error));
  EXPECT_STATUS(BOBBY_OK, bobby_cancel_set(cancel, &error));
  options.cancel = cancel;
  EXPECT_STATUS(BOBBY_OK, bobby_generator_generate(generator, &options, &posts, &error));
  size_t count = 1;
  EXPECT_STATUS(BOBBY_OK, bobby_posts_count(posts, &count, &error));
  EXPECT(count == 0);
  bobby_posts_free(posts);
  bobby_cancel_free(cancel);
}

static void test_tokenizer(const char* model) {
  char* error = NULL;
  bobby_tokenizer* tokenizer = NULL;
  int64_t vocabulary = 0;
  int32_t* ids = NULL;
  size_t count = 0;
  char* text = NULL;
  size_t size = 0;
  EXPECT_STATUS(BOBBY_OK, bobby_tokenizer_load(model, &tokenizer, &error));
  EXPECT_STATUS(BOBBY_OK, bobby_tokenizer_vocab_size(tokenizer, &vocabulary, &error));
  EXPECT(vocabulary == 259);
  EXPECT_STATUS(BOBBY_OK, bobby_tokenizer_encode(tokenizer, "h\0i", 3, &ids, &count, &error));
  EXPECT(count == 3 && ids[0] == 'h' && ids[2] == 'i');
  EXPECT_STATUS(BOBBY_OK, bobby_tokenizer_decode(tokenizer, ids, count, &text, &size, &error));
  EXPECT(size == 3 && memcmp(text, "h\0i", 3) == 0);
  bobby_string_free(text);
  bobby_tokens_free(ids);
  const int32_t unknown = 100000;
  EXPECT_STATUS(BOBBY_LIMIT, bobby_tokenizer_decode(tokenizer, &unknown, 1, &text, NULL, &error));
  EXPECT(text == NULL);
  EXPECT_STATUS(BOBBY_OK, bobby_tokenizer_encode(tokenizer, "", 0, &ids, &count, &error));
  EXPECT(count == 0 && ids != NULL);
  bobby_tokens_free(ids);
  bobby_tokenizer_free(tokenizer);
}

static void test_arrays(void) {
  char* error = NULL;
  float w[2 * 64];
  float back[2 * 64];
  float x[64];
  float product[2];
  uint32_t weight[2 * 8];
  float scales[2];
  float biases[2];
  for (int i = 0; i < 2 * 64; ++i) w[i] = (float)(i % 16) - 8.0f;
  for (int i = 0; i < 64; ++i) x[i] = 1.0f;
  bobby_quantized quantized;
  EXPECT_STATUS(BOBBY_OK, bobby_quantized_init(&quantized, sizeof quantized, &error));
  EXPECT_STATUS(BOBBY_USAGE, bobby_quantize(w, &quantized, &error)); /* no arrays yet */
  quantized.rows = 2;
  quantized.cols = 64;
  quantized.weight = weight;
  quantized.scales = scales;
  quantized.biases = biases;
  EXPECT_STATUS(BOBBY_OK, bobby_quantize(w, &quantized, &error));
  EXPECT_STATUS(BOBBY_OK, bobby_dequantize(&quantized, back, &error));
  EXPECT(memcmp(w, back, sizeof w) == 0);
  EXPECT_STATUS(BOBBY_OK, bobby_quantized_matmul(x, 1, &quantized, 1, product, &error));
  EXPECT(product[0] == -32.0f && product[1] == -32.0f);
  quantized.cols = INT64_MAX;
  EXPECT_STATUS(BOBBY_USAGE, bobby_dequantize(&quantized, back, &error));
  quantized.cols = 64;
  EXPECT_STATUS(BOBBY_USAGE, bobby_quantized_matmul(x, INT64_MAX, &quantized, 1, product, &error));
  quantized.bits = 7;
  EXPECT_STATUS(BOBBY_UNSUPPORTED, bobby_quantize(w, &quantized, &error));
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  EXPECT(strcmp(bobby_version(), "0.1.0") == 0);
  EXPECT(strcmp(bobby_status_name(BOBBY_OK), "ok") == 0);
  EXPECT(strcmp(bobby_status_name(BOBBY_TIMEOUT), "timeout") == 0);
  EXPECT(strcmp(bobby_status_name(77), "internal") == 0);
  bobby_generator* generator = make_generator(argv[1], argv[2]);
  test_generator(generator);
  test_cancel(generator);
  bobby_generator_free(generator);
  bobby_generator_free(NULL);
  test_tokenizer(argv[1]);
  test_arrays();
  if (failures == 0) puts("all as expected");
  return failures == 0 ? 0 : 1;
}
