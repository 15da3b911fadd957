#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace bobby {

/// One number that TensorBoard plots under `tag`.
struct EventScalar {
  std::string_view tag;
  float value = 0.0f;
};

/// What a TensorBoard event file begins with: one record that says which version it is of.
/// `wall_time`: seconds since 1970.
std::string event_file_header(double wall_time);

/// One record with the numbers of a step, to be appended to the file.
std::string event_record(double wall_time, std::int64_t step, std::span<const EventScalar> scalars);

/// One record with a text under `tag`.
std::string event_text_record(double wall_time, std::int64_t step, std::string_view tag,
                              std::string_view text);

}  // namespace bobby
