#include "safetensors/writer.h"

#include <algorithm>
#include <limits>
#include <map>
#include <tuple>
#include <utility>

#include "atomic_file.h"
#include "json.h"
#include "problems.h"
#include "safetensors/reader.h"
#include "text.h"

namespace safetensors {
namespace {

constexpr std::uint64_t kDataAlignment = 64;
constexpr std::uint64_t kLengthBytes = 8;

Error argument_error(std::string_view tensor, std::string problem) {
  return {.code = ErrorCode::kInvalidArgument,
          .tensor = std::string(tensor),
          .problem = std::move(problem)};
}

// Where the data of one tensor goes, from the start of the data section, and how far it has come.
struct Slot {
  TensorInfo info;
  std::uint64_t begin = 0;
  std::uint64_t size = 0;
  std::uint64_t filled = 0;
};

// Widest alignment first, so that each tensor starts at a multiple of its own: sizes before it are
// multiples of at least that. The order within is the official writer's.
void sort_for_layout(std::vector<TensorInfo>& tensors) {
  std::ranges::sort(tensors, [](const TensorInfo& a, const TensorInfo& b) {
    return std::tie(b.dtype, a.name) < std::tie(a.dtype, b.name);
  });
}

void check_names(std::span<const TensorInfo> tensors, Problems& problems) {
  std::vector<std::string_view> names;
  for (const TensorInfo& tensor : tensors) {
    if (!is_utf8(tensor.name))
      problems.add(argument_error(tensor.name, "the name is not UTF-8"));
    else if (tensor.name == "__metadata__")
      problems.add(argument_error(tensor.name, "the name is reserved by the format"));
    names.push_back(tensor.name);
  }
  std::ranges::sort(names);
  for (std::size_t i = 1; i < names.size(); ++i)
    if (names[i] == names[i - 1])
      problems.add(argument_error(names[i], "the name is declared twice"));
}

void check_metadata(const Metadata& metadata, Problems& problems) {
  for (const auto& [key, value] : metadata)
    if (!is_utf8(key) || !is_utf8(value))
      problems.add(
          argument_error({}, "metadata key '" + printable(key) + "' or its value is not UTF-8"));
}

std::vector<Slot> place(std::vector<TensorInfo> tensors, Problems& problems) {
  // Offsets in a file are signed 64 bits to the operating system; the header needs its room too.
  constexpr std::uint64_t kMost =
      std::numeric_limits<std::int64_t>::max() - kLengthBytes - kMaxHeaderBytes - kDataAlignment;
  std::vector<Slot> slots;
  std::uint64_t end = 0;
  for (TensorInfo& info : tensors) {
    Result<std::uint64_t> size = byte_count(info.dtype, info.shape);
    if (size && *size > kMost - end)
      size = fail({.code = ErrorCode::kOverflow,
                   .problem = "the file would exceed 2^63 bytes",
                   .found = describe(info.dtype, info.shape)});
    if (!size) {
      size.error().tensor = info.name;
      problems.add(std::move(size).error());
      continue;
    }
    slots.push_back({.info = std::move(info), .begin = end, .size = *size});
    end += *size;
  }
  return slots;
}

void append_entry(std::string& json, const Slot& slot) {
  append_json_string(json, slot.info.name);
  json += ":{\"dtype\":\"";
  json += dtype_name(slot.info.dtype);
  json += "\",\"shape\":[";
  for (std::size_t i = 0; i < slot.info.shape.size(); ++i)
    json.append(i == 0 ? "" : ",").append(std::to_string(slot.info.shape[i]));
  json += "],\"data_offsets\":[" + std::to_string(slot.begin) + "," +
          std::to_string(slot.begin + slot.size) + "]}";
}

void append_metadata(std::string& json, const Metadata& metadata) {
  append_json_string(json, "__metadata__");
  json += ":{";
  const char* comma = "";
  for (const auto& [key, value] : metadata) {
    json += comma;
    append_json_string(json, key);
    json += ':';
    append_json_string(json, value);
    comma = ",";
  }
  json += '}';
}

// Length field, JSON text and the spaces that make the data start at a multiple of 64.
std::string make_header(std::span<const Slot> slots, const Metadata& metadata) {
  std::string header(kLengthBytes, '\0');
  header += '{';
  if (!metadata.empty()) append_metadata(header, metadata);
  for (const Slot& slot : slots) {
    if (header.back() != '{') header += ',';
    append_entry(header, slot);
  }
  header += '}';
  header.resize((header.size() + kDataAlignment - 1) / kDataAlignment * kDataAlignment, ' ');
  for (std::size_t i = 0; i < kLengthBytes; ++i)
    header[i] = static_cast<char>((header.size() - kLengthBytes) >> (8 * i));
  return header;
}

}  // namespace

struct Writer::State {
  std::string name;
  AtomicFile file;
  std::vector<Slot> slots;  // sorted by name
  std::uint64_t data_begin = 0;
  bool failed = false;  // an earlier error left the file's content unknown, or finish() ran

  Slot* find(std::string_view tensor) {
    const auto key = [](const Slot& slot) -> std::string_view { return slot.info.name; };
    const auto found = std::ranges::lower_bound(slots, tensor, {}, key);
    return found != slots.end() && key(*found) == tensor ? &*found : nullptr;
  }
};

Writer::Writer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Writer::Writer(Writer&&) noexcept = default;
Writer& Writer::operator=(Writer&&) noexcept = default;
Writer::~Writer() = default;

Result<Writer> Writer::create(const std::filesystem::path& path, std::vector<TensorInfo> tensors,
                              const Metadata& metadata, const WriteOptions& options) {
  const std::string name = path.string();
  return guard(name, [&]() -> Result<Writer> {
    Problems problems(name);
    check_names(tensors, problems);
    check_metadata(metadata, problems);
    sort_for_layout(tensors);
    std::vector<Slot> slots = place(std::move(tensors), problems);
    if (!problems.empty()) return fail(problems.join());
    const std::string header = make_header(slots, metadata);
    if (header.size() - kLengthBytes > kMaxHeaderBytes)
      return fail({.code = ErrorCode::kHeaderTooLarge,
                   .file = name,
                   .problem = "names, shapes and metadata make a header that no reader accepts",
                   .expected = "at most " + std::to_string(kMaxHeaderBytes) + " bytes",
                   .found = std::to_string(header.size() - kLengthBytes)});
    Result<AtomicFile> file =
        AtomicFile::create(path, options.owner_only ? 0600 : 0666, options.write_behind);
    if (!file) return fail(std::move(file).error());
    if (auto written = file->write_at(0, std::as_bytes(std::span(header))); !written)
      return fail(std::move(written).error());
    std::ranges::sort(slots, {},
                      [](const Slot& slot) -> std::string_view { return slot.info.name; });
    return Writer(std::unique_ptr<State>(new State{.name = name,
                                                   .file = std::move(*file),
                                                   .slots = std::move(slots),
                                                   .data_begin = header.size()}));
  });
}

Result<void> Writer::append(std::string_view name, std::span<const std::byte> chunk) {
  if (!state_ || state_->failed)
    return fail(argument_error(name, "the writer has finished or failed"));
  Slot* slot = state_->find(name);
  if (slot == nullptr)
    return fail({.code = ErrorCode::kTensorNotFound,
                 .file = state_->name,
                 .tensor = std::string(name),
                 .problem = "the tensor was not declared"});
  if (chunk.size() > slot->size - slot->filled)
    return fail({.code = ErrorCode::kSizeMismatch,
                 .file = state_->name,
                 .tensor = std::string(name),
                 .problem = "more data than declared",
                 .expected = std::to_string(slot->size) + " bytes for " +
                             describe(slot->info.dtype, slot->info.shape),
                 .found = std::to_string(slot->filled) + " + " + std::to_string(chunk.size())});
  auto written = state_->file.write_at(state_->data_begin + slot->begin + slot->filled, chunk);
  state_->failed = !written;
  slot->filled += chunk.size();
  return written;
}

Result<void> Writer::finish() {
  if (!state_ || state_->failed)
    return fail(argument_error({}, "the writer has finished or failed before"));
  const std::unique_ptr<State> state = std::move(state_);  // the temporary file goes with it
  return guard(state->name, [&]() -> Result<void> {
    Problems problems(state->name);
    for (const Slot& slot : state->slots)
      if (slot.filled != slot.size)
        problems.add({.code = ErrorCode::kSizeMismatch,
                      .tensor = slot.info.name,
                      .problem = "the data is not complete",
                      .expected = std::to_string(slot.size) + " bytes for " +
                                  describe(slot.info.dtype, slot.info.shape),
                      .found = std::to_string(slot.filled)});
    if (!problems.empty()) return fail(problems.join());
    return state->file.commit();
  });
}

Result<void> write_file(const std::filesystem::path& path, std::span<const TensorData> tensors,
                        const Metadata& metadata) {
  return guard(path.string(), [&]() -> Result<void> {
    Result<Writer> writer =
        Writer::create(path, std::vector<TensorInfo>(tensors.begin(), tensors.end()), metadata);
    if (!writer) return fail(std::move(writer).error());
    for (const TensorData& tensor : tensors)
      if (auto written = writer->append(tensor.name, tensor.data); !written) return written;
    return writer->finish();
  });
}

}  // namespace safetensors
