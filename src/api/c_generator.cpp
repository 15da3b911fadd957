#include <algorithm>
#include <atomic>
#include <bobby/bobby_c.h>
#include <bobby/generator.h>
#include <memory>
#include <string>
#include <utility>

#include "api/c_support.h"

struct bobby_generator {
  bobby::v1::Generator generator;
};
struct bobby_posts {
  bobby::v1::PostBatch batch;
  std::string json;
};
struct bobby_cancel {
  std::atomic<bool> is_set = false;
};

namespace bobby::api {
namespace {

std::string text_or_empty(const char* text) {
  return text == nullptr ? "" : text;
}

bobby_generator_options default_generator_options() {
  bobby_generator_options options = {};
  options.size = sizeof options;
  return options;
}

bobby_generate_options default_generate_options() {
  const v1::GenerateOptions defaults;
  bobby_generate_options options = {};
  options.size = sizeof options;
  options.count = defaults.count;
  options.max_tokens = defaults.max_tokens;
  options.temperature = defaults.temperature;
  options.top_p = defaults.top_p;
  options.min_p = defaults.min_p;
  options.repetition_penalty = defaults.repetition_penalty;
  options.top_k = defaults.top_k;
  options.char_limit = -1;
  options.min_chars = -1;
  options.keep_emojis = -1;
  options.keep_hashtags = -1;
  options.retries = static_cast<int32_t>(defaults.retries);
  return options;
}

v1::Result<v1::GeneratorOptions> read_options(const bobby_generator_options* given) {
  auto read = read_struct("bobby_generator_options", given, default_generator_options());
  if (!read) return read.error();
  if (read->adapter_count > 0)
    if (auto checked = check_arguments({{"adapters", read->adapters}}); !checked)
      return checked.error();
  v1::GeneratorOptions options{.model = text_or_empty(read->model),
                               .device = text_or_empty(read->device),
                               .threads = read->threads,
                               .kv = text_or_empty(read->kv),
                               .activations = text_or_empty(read->activations),
                               .prompt_form = text_or_empty(read->prompt_form),
                               .max_context = read->max_context};
  for (std::size_t i = 0; i < read->adapter_count; ++i)
    options.adapters.push_back(text_or_empty(read->adapters[i]));
  return options;
}

/// The caller's -1: unset.
template <typename Value>
void set_unless_negative(std::optional<Value>& field, std::int64_t value) {
  if (value != -1) field = static_cast<Value>(value);
}

v1::GenerateOptions to_options(const bobby_generate_options& read, std::atomic<bool>& own_cancel) {
  v1::GenerateOptions options;
  if (read.prompt != nullptr) options.prompt = read.prompt;
  if (read.system != nullptr) options.system = read.system;
  options.count = read.count;
  options.max_tokens = read.max_tokens;
  options.temperature = read.temperature;
  options.top_p = read.top_p;
  options.min_p = read.min_p;
  options.repetition_penalty = read.repetition_penalty;
  options.top_k = read.top_k;
  if (read.has_seed != 0) options.seed = read.seed;
  options.raw = read.raw != 0;
  set_unless_negative(options.char_limit, read.char_limit);
  set_unless_negative(options.min_chars, read.min_chars);
  set_unless_negative(options.keep_emojis, read.keep_emojis);
  set_unless_negative(options.keep_hashtags, read.keep_hashtags);
  options.hard_limit = read.hard_limit != 0;
  options.retries = read.retries;
  options.cancel = read.cancel != nullptr ? &read.cancel->is_set : &own_cancel;
  if (read.on_text != nullptr)
    options.on_text = [read, cancel = options.cancel](std::uint32_t index, int attempt,
                                                      std::string_view piece) {
      const std::string text(piece);
      if (cancel->load()) return;
      if (read.on_text(read.user, index, attempt, text.c_str(), text.size()) != 0)
        cancel->store(true);
    };
  if (read.on_prefill != nullptr)
    options.on_prefill = [read](const v1::Progress& now) {
      read.on_prefill(read.user, std::string(now.phase).c_str(), now.done, now.total);
    };
  return options;
}

}  // namespace
}  // namespace bobby::api

using namespace bobby::api;  // NOLINT(google-build-using-namespace): the C functions are thin over
                             // it
using bobby::v1::Error;
using bobby::v1::ErrorCode;
using bobby::v1::Result;

extern "C" {

bobby_status bobby_generator_options_init(bobby_generator_options* options, size_t size,
                                          char** error) {
  return guarded(error, [&] {
    return write_struct("bobby_generator_options", size, default_generator_options(), options);
  });
}

bobby_status bobby_generate_options_init(bobby_generate_options* options, size_t size,
                                         char** error) {
  return guarded(error, [&] {
    return write_struct("bobby_generate_options", size, default_generate_options(), options);
  });
}

bobby_status bobby_generator_create(const bobby_generator_options* options,
                                    bobby_generator** generator, char** error) {
  if (generator != nullptr) *generator = nullptr;
  return guarded(error, [&]() -> Result<void> {
    if (auto checked = check_arguments({{"generator", generator}}); !checked) return checked;
    auto read = read_options(options);
    if (!read) return read.error();
    *generator = new bobby_generator{bobby::v1::Generator(*std::move(read))};
    return {};
  });
}

void bobby_generator_free(bobby_generator* generator) {
  delete generator;
}

bobby_status bobby_generator_prewarm(bobby_generator* generator, bobby_progress_fn progress,
                                     void* user, char** error) {
  return guarded(error, [&]() -> Result<void> {
    if (auto checked = check_arguments({{"generator", generator}}); !checked) return checked;
    if (progress == nullptr) return generator->generator.prewarm();
    return generator->generator.prewarm([&](const bobby::v1::Progress& now) {
      progress(user, std::string(now.phase).c_str(), now.done, now.total);
    });
  });
}

bobby_status bobby_generator_loaded(const bobby_generator* generator, int32_t* loaded,
                                    char** error) {
  return guarded(error, [&]() -> Result<void> {
    if (auto checked = check_arguments({{"generator", generator}, {"loaded", loaded}}); !checked)
      return checked;
    *loaded = generator->generator.loaded() ? 1 : 0;
    return {};
  });
}

bobby_status bobby_generator_memory_stats(const bobby_generator* generator,
                                          bobby_memory_stats* stats, char** error) {
  return guarded(error, [&]() -> Result<void> {
    if (auto checked = check_arguments({{"generator", generator}, {"stats", stats}}); !checked)
      return checked;
    const bobby::v1::MemoryStats now = generator->generator.memory_stats();
    const bobby_memory_stats values = {.size = sizeof values,
                                       .weight_bytes = now.weight_bytes,
                                       .kv_bytes = now.kv_bytes,
                                       .kv_saturated = now.kv_saturated,
                                       .peak_rss_bytes = now.peak_rss_bytes};
    return write_struct("bobby_memory_stats", stats->size, values, stats);
  });
}

bobby_status bobby_generator_last_trace(const bobby_generator* generator, char** json,
                                        char** error) {
  if (json != nullptr) *json = nullptr;
  return guarded(error, [&]() -> Result<void> {
    if (auto checked = check_arguments({{"generator", generator}, {"json", json}}); !checked)
      return checked;
    *json = copy_string(generator->generator.last_trace());
    if (*json == nullptr) throw std::bad_alloc();
    return {};
  });
}

bobby_status bobby_generator_generate(bobby_generator* generator,
                                      const bobby_generate_options* options, bobby_posts** posts,
                                      char** error) {
  if (posts != nullptr) *posts = nullptr;
  return guarded(error, [&]() -> Result<void> {
    if (auto checked = check_arguments({{"generator", generator}, {"posts", posts}}); !checked)
      return checked;
    auto read = read_struct("bobby_generate_options", options, default_generate_options());
    if (!read) return read.error();
    std::atomic<bool> own_cancel = false;
    auto batch = generator->generator.generate(to_options(*read, own_cancel));
    if (!batch) return batch.error();
    auto result = std::make_unique<bobby_posts>();
    result->json = bobby::v1::to_json(*batch);
    result->batch = *std::move(batch);
    *posts = result.release();
    return {};
  });
}

bobby_status bobby_posts_count(const bobby_posts* posts, size_t* count, char** error) {
  return guarded(error, [&]() -> Result<void> {
    if (auto checked = check_arguments({{"posts", posts}, {"count", count}}); !checked)
      return checked;
    *count = posts->batch.posts.size();
    return {};
  });
}

bobby_status bobby_posts_text(const bobby_posts* posts, size_t index, const char** text,
                              size_t* text_size, char** error) {
  if (text != nullptr) *text = nullptr;
  return guarded(error, [&]() -> Result<void> {
    if (auto checked = check_arguments({{"posts", posts}, {"text", text}}); !checked)
      return checked;
    const std::size_t count = posts->batch.posts.size();
    if (index >= count)
      return Error{ErrorCode::kUsage, "index is out of range: expected less than " +
                                          std::to_string(count) + ", found " +
                                          std::to_string(index)};
    const std::string& found = posts->batch.posts[index].text;
    *text = found.c_str();
    if (text_size != nullptr) *text_size = found.size();
    return {};
  });
}

bobby_status bobby_posts_json(const bobby_posts* posts, const char** json, char** error) {
  if (json != nullptr) *json = nullptr;
  return guarded(error, [&]() -> Result<void> {
    if (auto checked = check_arguments({{"posts", posts}, {"json", json}}); !checked)
      return checked;
    *json = posts->json.c_str();
    return {};
  });
}

void bobby_posts_free(bobby_posts* posts) {
  delete posts;
}

bobby_status bobby_cancel_create(bobby_cancel** cancel, char** error) {
  if (cancel != nullptr) *cancel = nullptr;
  return guarded(error, [&]() -> Result<void> {
    if (auto checked = check_arguments({{"cancel", cancel}}); !checked) return checked;
    *cancel = new bobby_cancel;
    return {};
  });
}

bobby_status bobby_cancel_set(bobby_cancel* cancel, char** error) {
  return guarded(error, [&]() -> Result<void> {
    if (auto checked = check_arguments({{"cancel", cancel}}); !checked) return checked;
    cancel->is_set.store(true);
    return {};
  });
}

void bobby_cancel_free(bobby_cancel* cancel) {
  delete cancel;
}

}  // extern "C"
