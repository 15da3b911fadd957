#include "gguf/gguf.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <fmt/format.h>
#include <limits>
#include <set>
#include <utility>

#include "base/safetensors_error.h"

namespace bobby {

static_assert(std::endian::native == std::endian::little, "GGUF is read as it lies in memory");

namespace {

constexpr std::uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr std::uint64_t kDefaultAlignment = 32;
constexpr std::uint32_t kMaxDimensions = 4;

enum class ValueType : std::uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64
};

// Elements and bytes of one block of a tensor type.
struct BlockShape {
  std::int64_t elements;
  std::int64_t bytes;
};

std::optional<BlockShape> block_shape(std::uint32_t type) {
  switch (static_cast<GgufType>(type)) {
    case GgufType::kF32: return BlockShape{1, 4};
    case GgufType::kF16: return BlockShape{1, 2};
    case GgufType::kBF16: return BlockShape{1, 2};
    case GgufType::kQ4_0: return BlockShape{32, 2 + 16};
    case GgufType::kQ4_1: return BlockShape{32, 4 + 16};
    case GgufType::kQ8_0: return BlockShape{32, 2 + 32};
  }
  return std::nullopt;
}

// Reads forward through untrusted bytes; every read is checked against what is left.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  std::size_t position() const { return position_; }
  std::size_t left() const { return bytes_.size() - position_; }

  template <typename T>
  Result<T> read(std::string_view what) {
    if (left() < sizeof(T)) return truncated(what, sizeof(T));
    T value;
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }

  Result<std::string> read_string(std::string_view what) {
    BOBBY_TRY(const auto length, read<std::uint64_t>(what));
    if (length > left()) return truncated(what, length);
    std::string text(reinterpret_cast<const char*>(bytes_.data() + position_), length);
    position_ += length;
    return text;
  }

  // A count of things that take at least `bytes_each`: what cannot fit in the file is a lie.
  Result<std::uint64_t> read_count(std::string_view what, std::uint64_t bytes_each) {
    BOBBY_TRY(const auto count, read<std::uint64_t>(what));
    if (count > left() / bytes_each)
      return fail({.code = ErrorCode::kMalformed,
                   .where = file_,
                   .problem = fmt::format("{} cannot fit in the file", what),
                   .expected = fmt::format("at most {}", left() / bytes_each),
                   .found = fmt::format("{}", count),
                   .hint = "the file is truncated or damaged"});
    return count;
  }

 private:
  tl::unexpected<Error> truncated(std::string_view what, std::uint64_t wanted) const {
    return fail({.code = ErrorCode::kMalformed,
                 .where = file_,
                 .problem = fmt::format("the file ends inside {} at byte {}", what, position_),
                 .expected = fmt::format("{} more bytes", wanted),
                 .found = fmt::format("{}", left()),
                 .hint = "download it again"});
  }

  std::span<const std::byte> bytes_;
  std::size_t position_ = 0;
  const std::string& file_;
};

template <typename Wire, typename Wide>
Result<GgufValue> read_number(Cursor& cursor, std::string_view key) {
  BOBBY_TRY(const auto value, cursor.read<Wire>(key));
  return GgufValue(static_cast<Wide>(value));
}

Result<GgufValue> read_scalar(Cursor& cursor, ValueType type, const std::string& key,
                              const std::string& file) {
  switch (type) {
    case ValueType::kU8: return read_number<std::uint8_t, std::uint64_t>(cursor, key);
    case ValueType::kI8: return read_number<std::int8_t, std::int64_t>(cursor, key);
    case ValueType::kU16: return read_number<std::uint16_t, std::uint64_t>(cursor, key);
    case ValueType::kI16: return read_number<std::int16_t, std::int64_t>(cursor, key);
    case ValueType::kU32: return read_number<std::uint32_t, std::uint64_t>(cursor, key);
    case ValueType::kI32: return read_number<std::int32_t, std::int64_t>(cursor, key);
    case ValueType::kU64: return read_number<std::uint64_t, std::uint64_t>(cursor, key);
    case ValueType::kI64: return read_number<std::int64_t, std::int64_t>(cursor, key);
    case ValueType::kF32: return read_number<float, double>(cursor, key);
    case ValueType::kF64: return read_number<double, double>(cursor, key);
    case ValueType::kBool: {
      BOBBY_TRY(const auto value, cursor.read<std::uint8_t>(key));
      return GgufValue(value != 0);
    }
    case ValueType::kString: {
      BOBBY_TRY(auto value, cursor.read_string(key));
      return GgufValue(std::move(value));
    }
    case ValueType::kArray: break;
  }
  return fail({.code = ErrorCode::kMalformed,
               .where = file,
               .problem = fmt::format("key '{}' has the unknown value type {}", key,
                                      static_cast<std::uint32_t>(type))});
}

Result<GgufValue> read_array(Cursor& cursor, const std::string& key, const std::string& file) {
  BOBBY_TRY(const auto wire_type, cursor.read<std::uint32_t>(key));
  const auto type = static_cast<ValueType>(wire_type);
  BOBBY_TRY(const auto count, cursor.read_count(fmt::format("the array of key '{}'", key), 1));
  std::vector<std::int64_t> integers;
  std::vector<double> reals;
  std::vector<std::string> strings;
  for (std::uint64_t i = 0; i < count; ++i) {
    BOBBY_TRY(auto element, read_scalar(cursor, type, key, file));
    if (auto* text = std::get_if<std::string>(&element)) {
      strings.push_back(std::move(*text));
    } else if (const auto* real = std::get_if<double>(&element)) {
      reals.push_back(*real);
    } else if (const auto* natural = std::get_if<std::uint64_t>(&element)) {
      integers.push_back(static_cast<std::int64_t>(*natural));
    } else if (const auto* integer = std::get_if<std::int64_t>(&element)) {
      integers.push_back(*integer);
    } else {
      integers.push_back(std::get<bool>(element) ? 1 : 0);
    }
  }
  if (type == ValueType::kString) return GgufValue(std::move(strings));
  if (type == ValueType::kF32 || type == ValueType::kF64) return GgufValue(std::move(reals));
  return GgufValue(std::move(integers));
}

// One tensor's entry in the header; `offset` counts from the start of the data section.
struct TensorInfo {
  GgufTensor tensor;
  std::uint64_t offset = 0;
};

Result<TensorInfo> read_tensor_info(Cursor& cursor, const std::string& file) {
  TensorInfo info;
  BOBBY_TRY(info.tensor.name, cursor.read_string("a tensor's name"));
  BOBBY_TRY(const auto dimensions, cursor.read<std::uint32_t>("a tensor's dimensions"));
  const std::string where = fmt::format("{}: tensor '{}'", file, info.tensor.name);
  if (dimensions == 0 || dimensions > kMaxDimensions)
    return fail({.code = ErrorCode::kMalformed,
                 .where = where,
                 .problem = "has an impossible number of dimensions",
                 .expected = "1 to 4",
                 .found = fmt::format("{}", dimensions)});
  std::int64_t elements = 1;
  for (std::uint32_t i = 0; i < dimensions; ++i) {
    BOBBY_TRY(const auto size, cursor.read<std::uint64_t>("a tensor's shape"));
    if (size > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) ||
        __builtin_mul_overflow(elements, static_cast<std::int64_t>(size), &elements))
      return fail(
          {.code = ErrorCode::kMalformed, .where = where, .problem = "its shape overflows"});
    info.tensor.shape.push_back(static_cast<std::int64_t>(size));
  }
  std::reverse(info.tensor.shape.begin(), info.tensor.shape.end());
  BOBBY_TRY(info.tensor.type, cursor.read<std::uint32_t>("a tensor's type"));
  BOBBY_TRY(info.offset, cursor.read<std::uint64_t>("a tensor's offset"));
  return info;
}

Result<std::span<const std::byte>> tensor_data(const TensorInfo& info, const std::string& file,
                                               std::span<const std::byte> section) {
  const auto block = block_shape(info.tensor.type);
  if (!block) return std::span<const std::byte>();
  const std::string where = fmt::format("{}: tensor '{}'", file, info.tensor.name);
  std::int64_t elements = 1;  // checked against overflow when it was read
  for (const std::int64_t size : info.tensor.shape) elements *= size;
  if (info.tensor.shape.back() % block->elements != 0)
    return fail({.code = ErrorCode::kMalformed,
                 .where = where,
                 .problem = fmt::format("a row is no whole number of {} blocks",
                                        gguf_type_name(info.tensor.type)),
                 .expected = fmt::format("a multiple of {}", block->elements),
                 .found = fmt::format("{}", info.tensor.shape.back())});
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(elements / block->elements, block->bytes, &bytes) ||
      info.offset > section.size() ||
      static_cast<std::uint64_t>(bytes) > section.size() - info.offset)
    return fail({.code = ErrorCode::kMalformed,
                 .where = where,
                 .problem = "its data lie outside the file",
                 .expected = fmt::format("offset {} plus the data within {} bytes", info.offset,
                                         section.size()),
                 .hint = "the file is truncated; download it again"});
  return section.subspan(info.offset, static_cast<std::size_t>(bytes));
}

template <typename T>
constexpr std::string_view kValueName = "a string";
template <>
constexpr std::string_view kValueName<std::uint64_t> = "a non-negative integer";
template <>
constexpr std::string_view kValueName<double> = "a number";
template <>
constexpr std::string_view kValueName<bool> = "a boolean";
template <>
constexpr std::string_view kValueName<std::vector<std::string>> = "an array of strings";
template <>
constexpr std::string_view kValueName<std::vector<std::int64_t>> = "an array of integers";

// The value as T; integers widen to double, and a signed number that is not negative is a natural.
template <typename T>
std::optional<T> value_as(const GgufValue& value) {
  if (const auto* exact = std::get_if<T>(&value)) return *exact;
  const auto* natural = std::get_if<std::uint64_t>(&value);
  const auto* integer = std::get_if<std::int64_t>(&value);
  if constexpr (std::is_same_v<T, std::uint64_t>) {
    if (integer != nullptr && *integer >= 0) return static_cast<std::uint64_t>(*integer);
  } else if constexpr (std::is_same_v<T, double>) {
    if (natural != nullptr) return static_cast<double>(*natural);
    if (integer != nullptr) return static_cast<double>(*integer);
  }
  return std::nullopt;
}

}  // namespace

std::string gguf_type_name(std::uint32_t type) {
  static constexpr std::array<std::string_view, 40> kNames = {
      "F32",     "F16",    "Q4_0",    "Q4_1",  "",       "",      "Q5_0",  "Q5_1",
      "Q8_0",    "Q8_1",   "Q2_K",    "Q3_K",  "Q4_K",   "Q5_K",  "Q6_K",  "Q8_K",
      "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S", "IQ2_S", "IQ4_XS",
      "I8",      "I16",    "I32",     "I64",   "F64",    "IQ1_M", "BF16",  "",
      "",        "",       "TQ1_0",   "TQ2_0", "",       "",      "",      "MXFP4"};
  if (type < kNames.size() && !kNames[type].empty()) return std::string(kNames[type]);
  return fmt::format("type {}", type);
}

Result<GgufFile> GgufFile::open(const std::filesystem::path& path) {
  auto mapped = safetensors::MappedFile::open(path);
  if (!mapped) return fail(to_error(std::move(mapped).error()));
  const std::span<const std::byte> bytes = mapped->bytes();
  BOBBY_TRY(GgufFile file, parse(bytes, path.string()));
  file.file_ = std::move(*mapped);
  return file;
}

Result<GgufFile> GgufFile::parse(std::span<const std::byte> bytes, std::string name) {
  GgufFile file;
  file.name_ = std::move(name);
  Cursor cursor(bytes, file.name_);
  BOBBY_TRY(const auto magic, cursor.read<std::uint32_t>("the header"));
  if (magic != kMagic)
    return fail({.code = ErrorCode::kMalformed,
                 .where = file.name_,
                 .problem = "is not a GGUF file",
                 .expected = "it to begin with 'GGUF'"});
  BOBBY_TRY(const auto version, cursor.read<std::uint32_t>("the header"));
  if (version != 2 && version != 3)
    return fail({.code = ErrorCode::kUnsupported,
                 .where = file.name_,
                 .problem = "this GGUF version is not read",
                 .expected = "2 or 3 (little-endian)",
                 .found = fmt::format("{}", version)});
  // A tensor entry takes at least 8 + 4 + 8 + 4 + 8 bytes, a key at least 8 + 4 + 1.
  BOBBY_TRY(const auto tensor_count, cursor.read_count("the number of tensors", 32));
  BOBBY_TRY(const auto key_count, cursor.read_count("the number of keys", 13));
  for (std::uint64_t i = 0; i < key_count; ++i) {
    BOBBY_TRY(const std::string key, cursor.read_string("a key"));
    BOBBY_TRY(const auto wire_type, cursor.read<std::uint32_t>(key));
    const auto type = static_cast<ValueType>(wire_type);
    BOBBY_TRY(auto value, type == ValueType::kArray ? read_array(cursor, key, file.name_)
                                                    : read_scalar(cursor, type, key, file.name_));
    if (!file.metadata_.emplace(key, std::move(value)).second)
      return fail({.code = ErrorCode::kMalformed,
                   .where = file.name_,
                   .problem = fmt::format("key '{}' stands twice", key)});
  }

  std::vector<TensorInfo> infos;
  std::set<std::string> names;
  for (std::uint64_t i = 0; i < tensor_count; ++i) {
    BOBBY_TRY(TensorInfo info, read_tensor_info(cursor, file.name_));
    if (!names.insert(info.tensor.name).second)
      return fail({.code = ErrorCode::kMalformed,
                   .where = file.name_,
                   .problem = fmt::format("tensor '{}' stands twice", info.tensor.name)});
    infos.push_back(std::move(info));
  }

  BOBBY_TRY(const auto alignment, file.find<std::uint64_t>("general.alignment"));
  const std::uint64_t align = alignment.value_or(kDefaultAlignment);
  if (align == 0 || align > (std::uint64_t{1} << 20) || !std::has_single_bit(align))
    return fail({.code = ErrorCode::kMalformed,
                 .where = file.name_,
                 .problem = "key 'general.alignment' is not a power of two up to 2^20",
                 .found = fmt::format("{}", align)});
  const std::uint64_t start = (cursor.position() + align - 1) / align * align;
  const auto section = bytes.subspan(std::min<std::uint64_t>(start, bytes.size()));
  for (TensorInfo& info : infos) {
    BOBBY_TRY(info.tensor.data, tensor_data(info, file.name_, section));
    file.tensors_.push_back(std::move(info.tensor));
  }
  return file;
}

template <typename T>
Result<std::optional<T>> GgufFile::find(std::string_view key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) return std::optional<T>();
  auto value = value_as<T>(found->second);
  if (!value)
    return fail({.code = ErrorCode::kMalformed,
                 .where = name_,
                 .problem = fmt::format("key '{}' is not {}", key, kValueName<T>)});
  return value;
}

template <typename T>
Result<T> GgufFile::get(std::string_view key) const {
  BOBBY_TRY(auto value, find<T>(key));
  if (!value)
    return fail({.code = ErrorCode::kMalformed,
                 .where = name_,
                 .problem = fmt::format("key '{}' is missing", key),
                 .expected = std::string(kValueName<T>)});
  return *std::move(value);
}

#define BOBBY_GGUF_VALUE(T)                                    \
  template Result<T> GgufFile::get<T>(std::string_view) const; \
  template Result<std::optional<T>> GgufFile::find<T>(std::string_view) const
BOBBY_GGUF_VALUE(std::uint64_t);
BOBBY_GGUF_VALUE(double);
BOBBY_GGUF_VALUE(bool);
BOBBY_GGUF_VALUE(std::string);
BOBBY_GGUF_VALUE(std::vector<std::string>);
BOBBY_GGUF_VALUE(std::vector<std::int64_t>);
#undef BOBBY_GGUF_VALUE

}  // namespace bobby
