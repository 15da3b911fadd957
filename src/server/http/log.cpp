#include "server/http/log.h"

#include <cmath>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <string_view>

namespace bobby::http {
namespace {

std::string time_text(std::chrono::system_clock::time_point time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(time - seconds).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03d}Z",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)), milliseconds);
}

std::string json_text(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

// Bare where that can be read back, else quoted as JSON quotes: a path cannot forge a line.
std::string logfmt_value(std::string_view text) {
  for (const char c : text)
    if (c <= ' ' || c >= 0x7F || c == '"' || c == '=' || c == '\\') return json_text(text);
  return text.empty() ? "-" : std::string(text);
}

}  // namespace

std::string as_logfmt(const LogLine& line) {
  std::string text =
      fmt::format("time={} id={} method={} path={} status={} ms={:.1f} bytes={} client={}",
                  time_text(line.time), logfmt_value(line.id), logfmt_value(line.method),
                  logfmt_value(line.path), line.status, line.milliseconds, line.bytes,
                  logfmt_value(line.client));
  if (!line.note.empty()) text += " note=" + logfmt_value(line.note);
  return text;
}

std::string as_json(const LogLine& line) {
  nlohmann::ordered_json object = {
      {"time", time_text(line.time)}, {"id", line.id},
      {"method", line.method},        {"path", line.path},
      {"status", line.status},        {"ms", std::round(line.milliseconds * 10) / 10},
      {"bytes", line.bytes},          {"client", line.client}};
  if (!line.note.empty()) object["note"] = line.note;
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace bobby::http
