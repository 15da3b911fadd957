#include "data/bluesky/car_file.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <tuple>
#include <utility>

#include "data/bluesky/dag_cbor.h"

namespace bobby::data {
namespace {

constexpr std::size_t kLongestHeader = std::size_t{1} << 16;
constexpr std::size_t kLongestVarint = 9;
// How much is read at once from end to end, and for one block in any order.
constexpr std::size_t kAheadInOrder = std::size_t{1} << 22;
constexpr std::size_t kAheadAnywhere = std::size_t{1} << 12;

Error at(std::uint64_t offset, Error error) {
  return std::move(error).in(fmt::format("byte {}", offset));
}

}  // namespace

std::uint64_t CarFile::key_of(const Cid& cid) {
  std::uint64_t key = 0;
  std::memcpy(&key, cid.digest.data(), sizeof key);
  return key;
}

Result<CarFile> CarFile::open(const std::filesystem::path& path, const ProgressFn& progress) {
  BOBBY_TRY(ByteFile file, ByteFile::open(path));
  CarFile car(std::move(file));
  BOBBY_TRY(const std::uint64_t offset, car.read_header());
  BOBBY_CHECK(car.index_blocks(offset, progress));
  return car;
}

// Reads {"roots": [CID, ...], "version": 1}; returns where the first block begins.
Result<std::uint64_t> CarFile::read_header() {
  auto bytes = file_.view(0, kLongestVarint + kLongestHeader, 0);
  if (!bytes) return fail(at(0, std::move(bytes).error()));
  ByteReader reader(*bytes);
  const auto length = reader.varint();
  const auto header = length && *length <= kLongestHeader ? reader.take(*length) : std::nullopt;
  if (!header || header->empty())
    return fail(at(0, {.code = ErrorCode::kMalformed, .problem = "has no header of a CAR file"}));
  auto value = decode_dag_cbor(*header);
  if (!value)
    return fail(at(
        0, {.code = ErrorCode::kMalformed,
            .problem = "has no header of a CAR file: it " + std::move(value).error().to_string()}));
  const auto version = find_unsigned(*value, "version");
  if (version && *version != 1)
    return fail(at(0, {.code = ErrorCode::kUnsupported,
                       .problem = "is a CAR file of another version",
                       .expected = "1",
                       .found = std::to_string(*version)}));
  const nlohmann::json* roots = find_value(*value, "roots");
  const auto root = roots != nullptr && roots->is_array() && !roots->empty() ? link_of((*roots)[0])
                                                                             : std::nullopt;
  if (!version || !root)
    return fail(at(0, {.code = ErrorCode::kMalformed,
                       .problem = "has a CAR header without a version and a root"}));
  root_ = *root;
  return reader.position();
}

Result<CarFile::Section> CarFile::section_at(std::uint64_t offset, std::size_t ahead) {
  BOBBY_TRY(const Bytes start, file_.view(offset, kLongestVarint, ahead));
  ByteReader length_reader(start);
  const auto length = length_reader.varint();
  if (!length)
    return fail({.code = ErrorCode::kMalformed,
                 .problem = "has no length of a block: the file is cut off or damaged"});
  if (*length > kLongestBlock + kCidBytes)
    return fail({.code = ErrorCode::kLimit,
                 .problem = "has a block that is too long",
                 .expected = fmt::format("at most {} bytes", kLongestBlock),
                 .found = fmt::format("{}", *length)});
  const std::uint64_t begin = offset + length_reader.position();
  if (*length > file_.size() - begin)
    return fail({.code = ErrorCode::kMalformed,
                 .problem = "has a block that goes on past the end: the file is cut off",
                 .expected = fmt::format("{} bytes", *length),
                 .found = fmt::format("{}", file_.size() - begin)});
  const auto bytes_length = static_cast<std::size_t>(*length);
  BOBBY_TRY(const Bytes bytes, file_.view(begin, bytes_length, ahead));
  ByteReader reader(bytes);
  BOBBY_TRY(const Cid cid, read_cid(reader));
  return Section{
      .cid = cid, .content = bytes.subspan(reader.position()), .end = begin + bytes.size()};
}

Result<void> CarFile::index_blocks(std::uint64_t offset, const ProgressFn& progress) {
  std::uint64_t told = 0;
  while (offset < file_.size()) {
    auto section = section_at(offset, kAheadInOrder);
    if (!section) return fail(at(offset, std::move(section).error()));
    if (!section->cid.names(section->content))
      return fail(at(offset, {.code = ErrorCode::kMismatch,
                              .problem = fmt::format("the block is not what its CID {} names",
                                                     section->cid.to_string()),
                              .hint = "the file is damaged or forged"}));
    entries_.push_back({.key = key_of(section->cid), .offset = offset});
    offset = section->end;
    if (progress && offset - told >= kAheadInOrder)
      progress({.phase = "check", .done = told = offset, .total = file_.size()});
  }
  std::sort(entries_.begin(), entries_.end(), [](const Entry& left, const Entry& right) {
    return std::tie(left.key, left.offset) < std::tie(right.key, right.offset);
  });
  return {};
}

Result<Bytes> CarFile::block(const Cid& cid) {
  const std::uint64_t key = key_of(cid);
  auto entry =
      std::lower_bound(entries_.begin(), entries_.end(), key,
                       [](const Entry& left, std::uint64_t right) { return left.key < right; });
  for (; entry != entries_.end() && entry->key == key; ++entry) {
    auto section = section_at(entry->offset, kAheadAnywhere);
    if (!section) return fail(at(entry->offset, std::move(section).error()));
    if (section->cid != cid) continue;
    if (!cid.names(section->content))
      return fail(at(entry->offset, {.code = ErrorCode::kMismatch,
                                     .problem = "the file has changed while it was read"}));
    return section->content;
  }
  return fail(
      {.code = ErrorCode::kNotFound, .problem = fmt::format("has no block {}", cid.to_string())});
}

}  // namespace bobby::data
