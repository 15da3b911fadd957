#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "bluesky/post_record.h"
#include "http/answer.h"

namespace bobby::bluesky {

/// What a page says of itself: Open Graph's title and description, else its own. Never empty in its
/// title: that is the address then. `html` may be anything.
Card card_of_page(const std::string& url, std::string_view html);

/// Gets a page and makes its card. kUsage for what is no https URL; kIo for another status than
/// 200; http::Get's errors.
Result<Card> fetch_card(const http::Get& get, const std::string& url);

}  // namespace bobby::bluesky
