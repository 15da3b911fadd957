// tokenizer.json's regexes are Oniguruma's. This walks a pattern and writes PCRE2's equivalent;
// what means something else there (\h, \w, ^, nested classes...) or is rare is refused by name.

#include <cctype>
#include <fmt/format.h>

#include "tokenizer/char_class.h"
#include "tokenizer/split_pattern.h"

namespace bobby::detail {
namespace {

// White_Space; PCRE2's own \s has U+180E as well.
constexpr std::string_view kSpaces =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";

class Translator {
 public:
  Translator(std::string_view regex, const std::string& where) : regex_(regex), where_(where) {}

  Result<std::string> run() {
    while (at_ < regex_.size()) {
      const char c = regex_[at_];
      if (c == '\\') {
        BOBBY_CHECK(escape(false));
      } else if (c == '[') {
        BOBBY_CHECK(char_class());
      } else if (c == '(') {
        BOBBY_CHECK(group());
      } else if (c == '{') {
        BOBBY_CHECK(interval());
      } else if (c == '^' || c == '$') {
        return refuse(regex_.substr(at_, 1));
      } else {
        out_.push_back(c);
        ++at_;
      }
    }
    return std::move(out_);
  }

 private:
  tl::unexpected<Error> refuse(std::string_view construct) const {
    return fail({.code = ErrorCode::kUnsupported,
                 .where = where_,
                 .problem = fmt::format("the regex construct '{}' is not supported", construct),
                 .found = std::string(regex_)});
  }

  std::string_view rest() const { return regex_.substr(at_); }

  Result<void> escape(bool in_class) {
    const std::string_view two = regex_.substr(at_, 2);
    if (two.size() < 2) return refuse(two);
    const char c = two[1];
    at_ += 2;
    switch (c) {
      case 'r':
      case 'n':
      case 't':
      case 'f': out_.append(two); return {};
      case 'v':  // vertical tab there, any vertical space in PCRE2
        out_.append("\\x{b}");
        return {};
      case 's':
        out_.append(in_class ? std::string(kSpaces) : fmt::format("[{}]", kSpaces));
        return {};
      case 'S':
        if (in_class) return refuse("\\S in a class");
        out_.append(fmt::format("[^{}]", kSpaces));
        return {};
      case 'd': out_.append("\\p{Nd}"); return {};
      case 'D': out_.append("\\P{Nd}"); return {};
      case 'p':
      case 'P': return property(c == 'P', in_class);
      default:
        // A punctuation character stands for itself.
        if (std::isalnum(static_cast<unsigned char>(c)) || (c & 0x80)) return refuse(two);
        out_.append(two);
        return {};
    }
  }

  /// After "\p" or "\P": "{name}".
  Result<void> property(bool is_negated, bool in_class) {
    const std::size_t close = rest().find('}');
    if (rest().empty() || rest().front() != '{' || close == std::string_view::npos)
      return refuse("\\p without {name}");
    const std::string_view name = rest().substr(1, close - 1);
    at_ += close + 1;
    for (const char c : name)
      if (!std::isalpha(static_cast<unsigned char>(c)) && c != '_')
        return refuse(fmt::format("\\p{{{}}}", name));
    if (name == "L" || name == "N" || name == "M") {
      if (in_class && is_negated) return refuse(fmt::format("\\P{{{}}} in a class", name));
      const auto& newer = name == "L"   ? letters_since_unicode_14()
                          : name == "N" ? numbers_since_unicode_14()
                                        : marks_since_unicode_14();
      std::string members = fmt::format("\\p{{{}}}", name);
      for (const CodePointRange& range : newer)
        members += fmt::format("\\x{{{:x}}}-\\x{{{:x}}}", static_cast<unsigned>(range.first),
                               static_cast<unsigned>(range.last));
      out_.append(in_class ? members : fmt::format("[{}{}]", is_negated ? "^" : "", members));
      return {};
    }
    // A longer name is a script: PCRE2 would otherwise take Script_Extensions.
    const std::string_view kind = name.size() > 2 && name != "Any" ? "sc:" : "";
    out_.append(fmt::format("\\{}{{{}{}}}", is_negated ? 'P' : 'p', kind, name));
    return {};
  }

  Result<void> char_class() {
    out_.push_back('[');
    ++at_;
    if (at_ < regex_.size() && regex_[at_] == '^') {
      out_.push_back('^');
      ++at_;
    }
    if (at_ < regex_.size() && regex_[at_] == ']') return refuse("[]");
    while (at_ < regex_.size()) {
      const char c = regex_[at_];
      if (c == ']') {
        out_.push_back(c);
        ++at_;
        return {};
      }
      if (c == '[') return refuse("[ in a class");
      if (rest().starts_with("&&")) return refuse("&& in a class");
      if (c == '\\') {
        BOBBY_CHECK(escape(true));
        continue;
      }
      out_.push_back(c);
      ++at_;
    }
    return refuse("[ without ]");
  }

  Result<void> group() {
    for (const std::string_view open : {"(?:", "(?i:", "(?=", "(?!", "(?<=", "(?<!", "(?>"})
      if (rest().starts_with(open)) {
        out_.append(open);
        at_ += open.size();
        return {};
      }
    if (rest().starts_with("(?") || rest().starts_with("(*")) return refuse(rest().substr(0, 3));
    out_.push_back('(');
    ++at_;
    return {};
  }

  /// {n}, {n,}, {n,m} and {,m}; not followed by ? or +, which mean something else.
  Result<void> interval() {
    const std::size_t close = rest().find('}');
    if (close == std::string_view::npos) return refuse("{ without }");
    const std::string_view body = rest().substr(1, close - 1);
    const bool is_interval = body.find_first_not_of("0123456789,") == std::string_view::npos &&
                             body.find_first_of("0123456789") != std::string_view::npos &&
                             body.find(',') == body.rfind(',');
    const char after = close + 1 < rest().size() ? rest()[close + 1] : '\0';
    if (!is_interval || after == '?' || after == '+') return refuse(rest().substr(0, close + 1));
    out_.append(body.front() == ',' ? fmt::format("{{0{}}}", body) : fmt::format("{{{}}}", body));
    at_ += close + 1;
    return {};
  }

  std::string_view regex_;
  const std::string& where_;
  std::size_t at_ = 0;
  std::string out_;
};

}  // namespace

Result<std::string> to_pcre2_syntax(std::string_view regex, const std::string& where) {
  return Translator(regex, where).run();
}

}  // namespace bobby::detail
