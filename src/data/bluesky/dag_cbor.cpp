#include "data/bluesky/dag_cbor.h"

#include <bit>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <simdjson.h>
#include <utility>

namespace bobby::data {
namespace {

using nlohmann::json;

constexpr std::uint64_t kLinkTag = 42;

enum Major : std::uint8_t {
  kUnsigned = 0,
  kNegative = 1,
  kBytes = 2,
  kText = 3,
  kArray = 4,
  kMap = 5,
  kTag = 6,
  kSimple = 7,
};

std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The order of DAG-CBOR's map keys: shorter ones first, those of one length by their bytes.
bool stands_before(std::string_view left, std::string_view right) {
  return left.size() != right.size() ? left.size() < right.size() : left < right;
}

class Decoder {
 public:
  explicit Decoder(Bytes bytes) : reader_(bytes) {}

  Result<json> whole() {
    BOBBY_TRY(json value, next(0));
    if (reader_.left() > 0) return malformed("something stands after the value");
    return value;
  }

 private:
  struct Head {
    std::uint8_t major = 0;
    std::uint8_t info = 0;
    std::uint64_t number = 0;
  };

  tl::unexpected<Error> malformed(std::string_view what) const {
    return fail({.code = ErrorCode::kMalformed,
                 .problem = fmt::format("is not DAG-CBOR: at byte {}, {}", item_, what)});
  }

  Result<Head> head() {
    item_ = reader_.position();
    const auto first = reader_.byte();
    if (!first) return malformed("the bytes end too early");
    Head head{.major = static_cast<std::uint8_t>(*first >> 5),
              .info = static_cast<std::uint8_t>(*first & 31U)};
    head.number = head.info;
    if (head.info < 24) return head;
    if (head.info == 31) return malformed("a length is left open (indefinite)");
    if (head.info > 27) return malformed("a reserved kind of number");
    const std::size_t width = std::size_t{1} << (head.info - 24);
    const auto number = reader_.big_endian(width);
    if (!number) return malformed("the bytes end too early");
    head.number = *number;
    const bool is_float = head.major == kSimple && width > 1;
    const std::uint64_t least = width == 1 ? 24 : std::uint64_t{1} << (4 * width);
    if (!is_float && head.number < least) return malformed("a number in more bytes than it needs");
    return head;
  }

  Result<json> next(int depth) {
    if (depth > kDeepestCbor)
      return fail({.code = ErrorCode::kLimit,
                   .problem = fmt::format("holds values nested more than {} deep", kDeepestCbor)});
    if (++items_ > kMostCborItems)
      return fail({.code = ErrorCode::kLimit,
                   .problem = fmt::format("holds more than {} values", kMostCborItems)});
    BOBBY_TRY(const Head head, this->head());
    switch (head.major) {
      case kUnsigned: return json(head.number);
      case kNegative: return negative(head.number);
      case kBytes: return bytes(head.number);
      case kText: return text(head.number);
      case kArray: return array(head.number, depth);
      case kMap: return map(head.number, depth);
      case kTag: return link(head.number);
      default: return simple(head);
    }
  }

  Result<json> negative(std::uint64_t number) const {
    if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      return malformed("a number below -2^63");
    return json(-1 - static_cast<std::int64_t>(number));
  }

  Result<json> bytes(std::uint64_t length) {
    const auto taken = reader_.take(length);
    if (!taken) return malformed("a byte string longer than the bytes that are left");
    return json::binary(binary_of(*taken));
  }

  Result<std::string> text(std::uint64_t length) {
    const auto taken = reader_.take(length);
    if (!taken) return malformed("a text longer than the bytes that are left");
    if (!simdjson::validate_utf8(as_text(*taken))) return malformed("a text that is not UTF-8");
    return std::string(as_text(*taken));
  }

  Result<json> array(std::uint64_t length, int depth) {
    if (length > reader_.left()) return malformed("an array longer than the bytes that are left");
    json values = json::array();
    for (std::uint64_t i = 0; i < length; ++i) {
      BOBBY_TRY(json value, next(depth + 1));
      values.push_back(std::move(value));
    }
    return values;
  }

  Result<json> map(std::uint64_t length, int depth) {
    if (length > reader_.left() / 2) return malformed("a map longer than the bytes that are left");
    json object = json::object();
    std::string last;
    for (std::uint64_t i = 0; i < length; ++i) {
      BOBBY_TRY(const Head head, this->head());
      if (head.major != kText) return malformed("a map key that is not text");
      BOBBY_TRY(std::string key, text(head.number));
      if (i > 0 && !stands_before(last, key))
        return malformed("a map key out of order, or twice there");
      BOBBY_TRY(json value, next(depth + 1));
      last = key;
      object.emplace(std::move(key), std::move(value));
    }
    return object;
  }

  Result<json> link(std::uint64_t tag) {
    if (tag != kLinkTag) return malformed(fmt::format("tag {}, where only 42 may stand", tag));
    BOBBY_TRY(const Head head, this->head());
    const auto taken = head.major == kBytes ? reader_.take(head.number) : std::nullopt;
    if (!taken || taken->empty() || taken->front() != std::byte{0})
      return malformed("a link that is not one");
    const Bytes cid = taken->subspan(1);
    ByteReader reader(cid);
    if (auto read = read_cid(reader); !read)
      return malformed("a link that " + std::move(read).error().to_string());
    if (reader.left() > 0) return malformed("a link with bytes left over");
    return json::binary(binary_of(cid), kLinkTag);
  }

  Result<json> simple(const Head& head) const {
    switch (head.info) {
      case 20: return json(false);
      case 21: return json(true);
      case 22: return json(nullptr);
      case 27: {
        const double number = std::bit_cast<double>(head.number);
        if (!std::isfinite(number)) return malformed("a number that is NaN or infinite");
        return json(number);
      }
      default: return malformed("a value that DAG-CBOR does not have");
    }
  }

  static std::vector<std::uint8_t> binary_of(Bytes bytes) {
    const auto* first = reinterpret_cast<const std::uint8_t*>(bytes.data());
    return {first, first + bytes.size()};
  }

  ByteReader reader_;
  std::size_t item_ = 0;  // where the item begins that is being read
  std::size_t items_ = 0;
};

}  // namespace

Result<json> decode_dag_cbor(Bytes bytes) {
  return Decoder(bytes).whole();
}

std::optional<Cid> link_of(const json& value) {
  if (!value.is_binary()) return std::nullopt;
  const json::binary_t& binary = value.get_binary();
  if (!binary.has_subtype() || binary.subtype() != kLinkTag) return std::nullopt;
  ByteReader reader(std::as_bytes(std::span(binary)));
  auto cid = read_cid(reader);
  if (!cid) return std::nullopt;
  return *cid;
}

const json* find_value(const json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

const std::string* find_text(const json& object, std::string_view key) {
  const json* value = find_value(object, key);
  return value == nullptr ? nullptr : value->get_ptr<const std::string*>();
}

std::optional<Cid> find_link(const json& object, std::string_view key) {
  const json* value = find_value(object, key);
  return value == nullptr ? std::nullopt : link_of(*value);
}

const json::binary_t* find_bytes(const json& object, std::string_view key) {
  const json* value = find_value(object, key);
  if (value == nullptr || !value->is_binary() || value->get_binary().has_subtype()) return nullptr;
  return value->get_ptr<const json::binary_t*>();
}

std::optional<std::uint64_t> find_unsigned(const json& object, std::string_view key) {
  const json* value = find_value(object, key);
  if (value == nullptr || !value->is_number_unsigned()) return std::nullopt;
  return value->get<std::uint64_t>();
}

}  // namespace bobby::data
