#include "training/event_file.h"

#include <boost/crc.hpp>
#include <cstring>

namespace bobby {
namespace {

// Protocol buffers' wire format, as far as an Event needs it.
enum WireType : std::uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

template <typename T>
void put_little_endian(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof value; ++i)
    out += static_cast<char>((value >> (8 * i)) & 0xff);
}

void put_key(std::string& out, std::uint32_t field, WireType type) {
  put_varint(out, field << 3 | type);
}

void put_bytes(std::string& out, std::uint32_t field, std::string_view bytes) {
  put_key(out, field, kBytes);
  put_varint(out, bytes.size());
  out += bytes;
}

void put_number(std::string& out, std::uint32_t field, std::uint64_t value) {
  put_key(out, field, kVarint);
  put_varint(out, value);
}

template <typename Bits, typename Float>
void put_float(std::string& out, std::uint32_t field, Float value) {
  Bits bits;
  static_assert(sizeof bits == sizeof value);
  std::memcpy(&bits, &value, sizeof bits);
  put_key(out, field, sizeof bits == 8 ? kFixed64 : kFixed32);
  put_little_endian(out, bits);
}

std::uint32_t masked_crc32c(std::string_view bytes) {
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc;
  crc.process_bytes(bytes.data(), bytes.size());
  const std::uint32_t sum = static_cast<std::uint32_t>(crc.checksum());
  return ((sum >> 15) | (sum << 17)) + 0xa282ead8u;
}

// TFRecord: length, its check sum, the bytes, their check sum.
std::string framed(std::string_view message) {
  std::string record;
  put_little_endian(record, static_cast<std::uint64_t>(message.size()));
  put_little_endian(record, masked_crc32c(record));
  record += message;
  put_little_endian(record, masked_crc32c(message));
  return record;
}

// The fields of tensorflow.Event.
constexpr std::uint32_t kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5;
// Of Summary and Summary.Value.
constexpr std::uint32_t kValue = 1, kTag = 1, kSimpleValue = 2, kTensor = 8, kMetadata = 9;

std::string event(double wall_time, std::int64_t step, std::string_view summary) {
  std::string message;
  put_float<std::uint64_t>(message, kWallTime, wall_time);
  put_number(message, kStep, static_cast<std::uint64_t>(step));
  put_bytes(message, kSummary, summary);
  return framed(message);
}

}  // namespace

std::string event_file_header(double wall_time) {
  std::string message;
  put_float<std::uint64_t>(message, kWallTime, wall_time);
  put_bytes(message, kFileVersion, "brain.Event:2");
  return framed(message);
}

std::string event_record(double wall_time, std::int64_t step,
                         std::span<const EventScalar> scalars) {
  std::string summary;
  for (const EventScalar& scalar : scalars) {
    std::string value;
    put_bytes(value, kTag, scalar.tag);
    put_float<std::uint32_t>(value, kSimpleValue, scalar.value);
    put_bytes(summary, kValue, value);
  }
  return event(wall_time, step, summary);
}

std::string event_text_record(double wall_time, std::int64_t step, std::string_view tag,
                              std::string_view text) {
  std::string plugin;
  put_bytes(plugin, 1, "text");  // PluginData.plugin_name
  std::string metadata;
  put_bytes(metadata, 1, plugin);  // SummaryMetadata.plugin_data
  std::string shape;
  put_bytes(shape, 2, std::string("\x08\x01", 2));  // TensorShapeProto.dim { size: 1 }
  std::string tensor;
  put_number(tensor, 1, 7);     // TensorProto.dtype: DT_STRING
  put_bytes(tensor, 2, shape);  // TensorProto.tensor_shape
  put_bytes(tensor, 8, text);   // TensorProto.string_val
  std::string value;
  put_bytes(value, kTag, tag);
  put_bytes(value, kTensor, tensor);
  put_bytes(value, kMetadata, metadata);
  std::string summary;
  put_bytes(summary, kValue, value);
  return event(wall_time, step, summary);
}

}  // namespace bobby
