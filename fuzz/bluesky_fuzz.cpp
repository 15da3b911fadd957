// Bytes as DAG-CBOR, as a CAR file, and as blocks whose names nobody checks: without the last, no
// changed byte would get past its digest. Whatever they are, reading ends. Seeds:
//   mkdir seeds && cp tests/unit/data/bluesky/real_repo.car seeds && bluesky_fuzz NEW_INPUTS seeds

#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

#include "data/bluesky/car_file.h"
#include "data/bluesky/dag_cbor.h"
#include "data/bluesky/post_record.h"
#include "data/bluesky/repo_source.h"
#include "data/bluesky/repo_tree.h"

namespace {

using namespace bobby;
using namespace bobby::data;

void require(bool condition) {
  if (!condition) std::abort();
}

void read_cbor(Bytes bytes) {
  const auto value = decode_dag_cbor(bytes);
  require(value || !value.error().to_string().empty());
}

Result<void> take_post(const SourcePost& post) {
  require(!post.text.empty() && post.id.starts_with("at://"));
  return {};
}

void read_file(Bytes bytes) {
  static const int file = memfd_create("bluesky_fuzz", 0);
  require(file >= 0 && ftruncate(file, 0) == 0);
  require(pwrite(file, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  const auto source = open_bluesky_repo("/proc/self/fd/" + std::to_string(file));
  require(source.has_value());
  SourceReport report;
  const auto done = (*source)->read(take_post, report, {.progress = {}, .temporary_folder = {}});
  require(done || !done.error().to_string().empty());
}

// The sections of what may be a CAR file, under whatever names they bear.
std::map<std::string, Bytes> sections(ByteReader reader) {
  std::map<std::string, Bytes> blocks;
  if (const auto header = reader.varint(); !header || !reader.take(*header)) return blocks;
  for (;;) {
    const auto length = reader.varint();
    const auto section = length ? reader.take(*length) : std::nullopt;
    if (!section) return blocks;
    ByteReader inside(*section);
    const auto cid = read_cid(inside);
    if (cid) blocks.emplace(cid->to_string(), section->subspan(inside.position()));
  }
}

void walk(Bytes bytes) {
  const auto blocks = sections(ByteReader(bytes));
  const BlockReader reader = [&](const Cid& cid) -> Result<Bytes> {
    const auto found = blocks.find(cid.to_string());
    if (found == blocks.end()) return fail({.code = ErrorCode::kNotFound});
    return found->second;
  };
  for (const auto& [name, block] : blocks) {
    const auto commit = read_commit(block);
    if (!commit) continue;
    SourceCounts counts;
    const PostSink sink = take_post;
    PostRecords posts(commit->did, counts, sink);
    std::string last;
    const auto done = walk_records(commit->tree, reader,
                                   [&](std::string_view key, const Cid& cid) -> Result<void> {
                                     require(key > last);
                                     last = key;
                                     BOBBY_TRY(const Bytes record, reader(cid));
                                     BOBBY_TRY(const auto value, decode_dag_cbor(record));
                                     return posts.take(key, value);
                                   });
    require(done || !done.error().to_string().empty() || done.error().code == ErrorCode::kNotFound);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes = std::as_bytes(std::span(data, size));
  read_cbor(bytes);
  read_file(bytes);
  walk(bytes);
  return 0;
}
