#include "bluesky/card.h"

#include <algorithm>
#include <fmt/format.h>
#include <libxml/HTMLparser.h>
#include <map>
#include <memory>

#include "http/url.h"
#include "voice/graphemes.h"
#include "voice/utf8.h"

namespace bobby::bluesky {
namespace {

constexpr std::size_t kMostHtml = std::size_t{2} << 20;
constexpr std::size_t kMostTitle = 200;  // graphemes: longer ones are shown nowhere
constexpr std::size_t kMostDescription = 500;

struct FreeDocument {
  void operator()(xmlDoc* document) const { xmlFreeDoc(document); }
};
struct FreeText {
  void operator()(xmlChar* text) const { xmlFree(text); }
};

std::string owned(xmlChar* text) {
  const std::unique_ptr<xmlChar, FreeText> owner(text);
  return text == nullptr ? std::string() : std::string(reinterpret_cast<const char*>(text));
}

std::string attribute(xmlNode* node, const char* name) {
  return owned(xmlGetProp(node, reinterpret_cast<const xmlChar*>(name)));
}

std::string_view name_of(const xmlNode* node) {
  return node->type == XML_ELEMENT_NODE ? reinterpret_cast<const char*>(node->name) : "";
}

// One line, its white space single, and no longer than it is shown.
std::string tidied(const std::string& text, std::size_t most_graphemes) {
  std::string line;
  for (const char c : repair_utf8(text)) {
    const bool is_space = static_cast<unsigned char>(c) <= ' ';
    if (!is_space)
      line += c;
    else if (!line.empty() && line.back() != ' ')
      line += ' ';
  }
  while (line.ends_with(' ')) line.pop_back();
  const auto parts = split_graphemes(line);
  if (parts.size() <= most_graphemes) return line;
  return line.substr(0, static_cast<std::size_t>(parts[most_graphemes].data() - line.data()));
}

// The first text under each name: "title", and those of <meta property=... or name=...>.
std::map<std::string, std::string> facts(xmlNode* root) {
  std::map<std::string, std::string> found;
  const auto note = [&](const std::string& name, std::string text) {
    if (!text.empty()) found.emplace(name, std::move(text));
  };
  // In the order of the document, without a stack of calls that a page could make as deep as it
  // likes.
  for (xmlNode* node = root; node != nullptr;) {
    if (name_of(node) == "title") {
      note("title", owned(xmlNodeGetContent(node)));
    } else if (name_of(node) == "meta") {
      std::string name = attribute(node, "property");
      if (name.empty()) name = attribute(node, "name");
      if (!name.empty()) note(name, attribute(node, "content"));
    }
    if (node->children != nullptr) {
      node = node->children;
      continue;
    }
    while (node != nullptr && node->next == nullptr) node = node == root ? nullptr : node->parent;
    if (node != nullptr) node = node->next;
  }
  return found;
}

std::string first_of(const std::map<std::string, std::string>& found,
                     std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (const auto fact = found.find(name); fact != found.end()) return fact->second;
  return {};
}

}  // namespace

Card card_of_page(const std::string& url, std::string_view html) {
  Card card{.uri = url, .title = {}, .description = {}};
  html = html.substr(0, kMostHtml);
  const std::unique_ptr<xmlDoc, FreeDocument> document(
      htmlReadMemory(html.data(), static_cast<int>(html.size()), nullptr, nullptr,
                     HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING |
                         HTML_PARSE_NONET | HTML_PARSE_COMPACT));
  if (document) {
    const auto found = facts(xmlDocGetRootElement(document.get()));
    card.title = tidied(first_of(found, {"og:title", "twitter:title", "title"}), kMostTitle);
    card.description =
        tidied(first_of(found, {"og:description", "twitter:description", "description"}),
               kMostDescription);
  }
  if (card.title.empty()) card.title = tidied(url, kMostTitle);
  return card;
}

Result<Card> fetch_card(const http::Get& get, const std::string& url) {
  if (!url.starts_with("https://") &&
      !(http::is_plain_http(url) && http::leads_to_this_machine(url)))
    return fail(
        {.code = ErrorCode::kUsage, .where = http::shown_url(url), .problem = "is not https"});
  BOBBY_TRY(const http::Answer answer, get(url));
  if (answer.status != 200)
    return fail({.code = ErrorCode::kIo,
                 .where = http::shown_url(url),
                 .problem = fmt::format("answers with status {}", answer.status)});
  return card_of_page(url, answer.body);
}

}  // namespace bobby::bluesky
