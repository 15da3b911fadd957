#include "bluesky/record_formats.h"

#include <algorithm>
#include <charconv>
#include <chrono>

#include "bluesky/identity.h"

namespace bobby::bluesky {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// The number that `count` digits at `at` are; -1: they are none.
int number_at(std::string_view text, std::size_t at, std::size_t count) {
  if (at + count > text.size()) return -1;
  const std::string_view part = text.substr(at, count);
  if (!std::ranges::all_of(part, is_digit)) return -1;
  int number = 0;
  std::from_chars(part.data(), part.data() + part.size(), number);
  return number;
}

bool is_zone(std::string_view text) {
  if (text == "Z") return true;
  if (text.size() != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':') return false;
  const int hours = number_at(text, 1, 2);
  const int minutes = number_at(text, 4, 2);
  return hours >= 0 && hours <= 23 && minutes >= 0 && minutes <= 59 && text != "-00:00";
}

}  // namespace

bool is_record_time(std::string_view text) {
  constexpr std::size_t kSecondsEnd = 19;
  constexpr std::size_t kLongest = 64;
  if (text.size() <= kSecondsEnd || text.size() > kLongest) return false;
  if (text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':')
    return false;
  const int year = number_at(text, 0, 4);
  const int month = number_at(text, 5, 2);
  const int day = number_at(text, 8, 2);
  const int hour = number_at(text, 11, 2);
  const int minute = number_at(text, 14, 2);
  const int second = number_at(text, 17, 2);
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (year < 1 || month < 1 || day < 1 || !date.ok()) return false;
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59) return false;
  std::string_view rest = text.substr(kSecondsEnd);
  if (rest.starts_with('.')) {
    const std::size_t end = rest.find_first_not_of("0123456789", 1);
    if (end == std::string_view::npos || end == 1) return false;
    rest.remove_prefix(end);
  }
  return is_zone(rest);
}

bool is_uri(std::string_view text) {
  constexpr std::size_t kLongest = 8192;
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0 || text.size() > kLongest) return false;
  if (!std::ranges::all_of(text.substr(0, colon),
                           [](char c) { return is_digit(c) || is_letter(c) || c == '_'; }))
    return false;
  std::string_view rest = text.substr(colon + 1);
  if (rest.starts_with("//")) rest.remove_prefix(2);
  return !rest.empty() && rest[0] != '/' &&
         std::ranges::none_of(rest, [](char c) { return static_cast<unsigned char>(c) <= ' '; });
}

bool is_record_key(std::string_view text) {
  constexpr std::size_t kLongest = 512;
  return !text.empty() && text.size() <= kLongest && text != "." && text != ".." &&
         std::ranges::all_of(text, [](char c) {
           return is_digit(c) || is_letter(c) ||
                  std::string_view("._:~-").find(c) != std::string_view::npos;
         });
}

bool is_cid(std::string_view text) {
  constexpr std::size_t kShortest = 8;
  constexpr std::size_t kLongest = 256;
  return text.size() >= kShortest && text.size() <= kLongest &&
         std::ranges::all_of(
             text, [](char c) { return is_digit(c) || is_letter(c) || c == '+' || c == '='; });
}

RecordUri parse_record_uri(std::string_view text) {
  constexpr std::string_view kStart = "at://";
  if (!text.starts_with(kStart)) return {};
  text.remove_prefix(kStart.size());
  const std::size_t first = text.find('/');
  if (first == std::string_view::npos) return {};
  const std::size_t second = text.find('/', first + 1);
  if (second == std::string_view::npos) return {};
  const RecordUri uri{text.substr(0, first), text.substr(first + 1, second - first - 1),
                      text.substr(second + 1)};
  // A collection's name is written as a domain is.
  if (!is_did(uri.did) || !is_record_key(uri.key) || !is_record_key(uri.collection) ||
      uri.collection.find('.') == std::string_view::npos)
    return {};
  return uri;
}

}  // namespace bobby::bluesky
