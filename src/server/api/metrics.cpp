#include "server/api/metrics.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <vector>

namespace bobby::server {
namespace {

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

/// Samples of the text format, each family with its help and type.
class Page {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    text_ += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name, help, type);
  }
  template <typename Value>
  void sample(std::string_view name, std::string_view labels, Value value) {
    if (labels.empty())
      text_ += fmt::format("{} {}\n", name, value);
    else
      text_ += fmt::format("{}{{{}}} {}\n", name, labels, value);
  }
  template <typename Value>
  void gauge(std::string_view name, std::string_view help, Value value,
             std::string_view labels = {}) {
    family(name, "gauge", help);
    sample(name, labels, value);
  }
  template <typename Value>
  void counter(std::string_view name, std::string_view help, Value value) {
    family(name, "counter", help);
    sample(name, {}, value);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

double share(std::int64_t part, std::int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0.0;
}

void add_engine(Page& page, const EngineStats& engine) {
  page.gauge("bobby_rows_running", "Sequences being decoded.", engine.running_rows);
  page.gauge("bobby_rows_max", "Sequences that can be decoded together.", engine.max_rows);
  page.gauge("bobby_requests_running", "Requests being worked on.", engine.running_requests);
  page.gauge("bobby_requests_prefilling", "Requests whose prompt is being read.",
             engine.prefilling_requests);
  page.gauge("bobby_requests_waiting", "Requests in the queue.", engine.waiting_requests);
  page.family("bobby_requests_total", "counter", "Requests that ended, by what became of them.");
  page.sample("bobby_requests_total", "outcome=\"done\"", engine.requests_done);
  page.sample("bobby_requests_total", "outcome=\"failed\"", engine.requests_failed);
  page.sample("bobby_requests_total", "outcome=\"cancelled\"", engine.requests_cancelled);
  page.sample("bobby_requests_total", "outcome=\"refused\"", engine.requests_refused);
  page.counter("bobby_prompt_tokens_total", "Tokens of prompts.", engine.prompt_tokens);
  page.counter("bobby_cached_prompt_tokens_total",
               "Tokens of prompts that were found in the cache.", engine.cached_prompt_tokens);
  page.counter("bobby_generated_tokens_total", "Tokens drawn.", engine.generated_tokens);
  page.counter("bobby_steps_total", "Forward passes.", engine.steps);
  page.counter("bobby_step_seconds_total", "Time in forward passes.", engine.step_seconds);
  page.gauge("bobby_last_step_seconds", "Time of the last forward pass.",
             engine.last_step_ms / 1000.0);
  page.gauge("bobby_tokens_per_second", "Tokens drawn in a second of forward passes, since start.",
             engine.step_seconds > 0.0
                 ? static_cast<double>(engine.generated_tokens) / engine.step_seconds
                 : 0.0);
  page.gauge("bobby_kv_bytes", "Bytes of the pool of keys and values.", engine.kv_bytes);
  page.gauge("bobby_kv_blocks", "Blocks of the pool.", engine.kv_blocks);
  page.gauge("bobby_kv_blocks_in_use", "Blocks that requests hold or that are kept.",
             engine.kv_blocks_in_use);
  page.gauge("bobby_kv_blocks_cached", "Blocks kept for prompts to come.", engine.kv_blocks_cached);
}

void add_transport(Page& page, const http::TransportCounts& counts) {
  constexpr std::string_view kClasses = "12345";
  page.gauge("bobby_http_connections", "Open connections.", counts.connections_open);
  page.gauge("bobby_http_requests_running", "HTTP requests being answered.",
             counts.requests_running);
  page.counter("bobby_http_connections_total", "Connections taken.", counts.connections_taken);
  page.counter("bobby_http_connections_refused_total", "Connections beyond the limit.",
               counts.connections_refused);
  const auto labels = [](const http::RouteCounts& route) {
    return fmt::format("method=\"{}\",route=\"{}\"", escaped(route.method), escaped(route.route));
  };
  page.family("bobby_http_requests_total", "counter", "HTTP requests, by route and status.");
  for (const http::RouteCounts& route : counts.routes)
    for (std::size_t i = 0; i < route.by_class.size(); ++i)
      if (route.by_class[i] > 0)
        page.sample("bobby_http_requests_total",
                    fmt::format("{},status=\"{}xx\"", labels(route), kClasses[i]),
                    route.by_class[i]);
  page.family("bobby_http_response_bytes_total", "counter", "Bytes written.");
  for (const http::RouteCounts& route : counts.routes)
    page.sample("bobby_http_response_bytes_total", labels(route), route.bytes);
  page.family("bobby_http_request_seconds", "histogram", "Time to answer, streams to their end.");
  for (const http::RouteCounts& route : counts.routes) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < route.durations.size(); ++i) {
      sum += route.durations[i];
      const std::string bound = i < http::kDurationBounds.size()
                                    ? fmt::format("{}", http::kDurationBounds[i])
                                    : std::string("+Inf");
      page.sample("bobby_http_request_seconds_bucket",
                  fmt::format("{},le=\"{}\"", labels(route), bound), sum);
    }
    page.sample("bobby_http_request_seconds_sum", labels(route), route.seconds);
    page.sample("bobby_http_request_seconds_count", labels(route), sum);
  }
}

// The names and labels of the model server protocol of the Gateway API Inference Extension, as its
// endpoint picker scrapes them unless it is told otherwise. Older pickers ask for the gpu_ name.
void add_picker_names(Page& page, const MetricsInput& input) {
  const EngineStats& engine = input.engine;
  const std::string model = fmt::format("model_name=\"{}\"", escaped(input.model));
  // What is kept for later prompts makes way when blocks are needed.
  const std::int64_t needed =
      std::max<std::int64_t>(engine.kv_blocks_in_use - engine.kv_blocks_cached, 0);
  const double usage = share(needed, engine.kv_blocks);
  page.gauge("vllm:num_requests_waiting", "Requests in the queue.", engine.waiting_requests, model);
  page.gauge("vllm:num_requests_running", "Requests being worked on.", engine.running_requests,
             model);
  page.gauge("vllm:kv_cache_usage_perc", "Share of the blocks of keys and values in use, 0 to 1.",
             usage, model);
  page.gauge("vllm:gpu_cache_usage_perc", "The same under its older name.", usage, model);
  page.gauge("vllm:cache_config_info", "Blocks of keys and values.", 1,
             fmt::format("block_size=\"{}\",num_gpu_blocks=\"{}\"", engine.block_tokens,
                         engine.kv_blocks));
  std::vector<std::string> names;
  for (const AdapterEntry& entry : input.adapters)
    if (!entry.loaded_at.empty()) names.push_back(escaped(entry.name));
  const std::size_t most = std::max<std::size_t>(input.adapters.size(), 64);
  page.gauge("vllm:lora_requests_info", "Adapters that are loaded; the value is the time.",
             fmt::format("{:.3f}", input.now_seconds),
             fmt::format("max_lora=\"{}\",running_lora_adapters=\"{}\",waiting_lora_adapters=\"\"",
                         most, fmt::join(names, ",")));
}

}  // namespace

std::string metrics_text(const MetricsInput& input) {
  Page page;
  page.gauge("bobby_ready", "1 once the model can answer.", input.ready ? 1 : 0);
  page.gauge("bobby_model_info", "The model.", 1,
             fmt::format("model=\"{}\"", escaped(input.model)));
  page.gauge("bobby_peak_rss_bytes", "Most memory that the process had so far.",
             input.peak_rss_bytes);
  page.gauge("bobby_weight_bytes", "Bytes of the model's weights.", input.weight_bytes);
  page.gauge("bobby_adapters", "Adapters on offer.", input.adapters.size());
  add_engine(page, input.engine);
  page.family("bobby_adapter_loads_total", "counter", "Adapters asked to be loaded, by outcome.");
  page.sample("bobby_adapter_loads_total", "outcome=\"done\"", input.adapters_loaded);
  page.sample("bobby_adapter_loads_total", "outcome=\"failed\"", input.adapters_failed);
  add_transport(page, input.transport);
  add_picker_names(page, input);
  return page.take();
}

}  // namespace bobby::server
