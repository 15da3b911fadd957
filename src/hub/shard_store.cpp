#include "hub/shard_store.h"

#include <algorithm>
#include <set>
#include <system_error>

#include "base/safetensors_error.h"
#include "hub/page_stream.h"
#include "lora/json_object.h"
#include "safetensors/reader.h"

namespace bobby {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kPartBytes = 8u << 20;

bool same_tensors(const safetensors::File& file, const Shard& shard) {
  if (file.tensors().size() != shard.tensors.size()) return false;
  return std::ranges::all_of(shard.tensors, [&](const safetensors::TensorInfo& wanted) {
    const safetensors::Tensor* found = file.find(wanted.name);
    return found != nullptr && found->dtype == wanted.dtype && found->shape == wanted.shape;
  });
}

}  // namespace

ShardStore::ShardStore(ResumableFolder& folder, const std::vector<Shard>& shards)
    : folder_(folder), shards_(shards) {}

fs::path ShardStore::note_path(std::size_t shard) const {
  return folder_.notes() / (shards_[shard].file_name + ".json");
}

Result<void> ShardStore::take_up(const ProgressFn& progress) {
  std::error_code ignored;
  while (finished() < shards_.size() && fs::exists(note_path(finished()), ignored)) {
    auto note = read_json_object(note_path(finished()));
    if (!note || !note->contains("tensors") || !note->contains("note") ||
        !is_whole(finished(), note->at("tensors"), progress))
      break;
    notes_.push_back(note->at("note"));
  }
  folder_.keep(finished() > 0);
  return remove_others();
}

bool ShardStore::is_whole(std::size_t shard, const nlohmann::json& digests,
                          const ProgressFn& progress) {
  std::uint64_t total = 0;
  for (const Shard& one : shards_) total += one.bytes;
  const auto file = safetensors::File::open(folder_.path() / shards_[shard].file_name);
  if (!file || !same_tensors(*file, shards_[shard])) return false;
  std::vector<PageStream::Part> parts;
  for (const safetensors::Tensor& tensor : file->tensors())
    for (std::size_t at = 0; at < tensor.data.size(); at += kPartBytes)
      parts.push_back(
          {&*file, tensor.data.subspan(at, std::min(kPartBytes, tensor.data.size() - at))});
  PageStream pages(parts, 4);
  std::size_t part = 0;
  for (const safetensors::Tensor& tensor : file->tensors()) {
    Sha256 digest;
    for (std::size_t at = 0; at < tensor.data.size(); at += kPartBytes, ++part) {
      pages.wait_for(part);
      digest.update(parts[part].bytes);
      pages.drop(part);
      checked_ += parts[part].bytes.size();
      if (progress) progress({"check", checked_, total});
    }
    const auto noted = digests.find(tensor.name);
    if (noted == digests.end() || !noted->is_string() || *noted != digest.hex_digest())
      return false;
  }
  return true;
}

Result<void> ShardStore::remove_others() const {
  std::set<std::string> kept = {folder_.notes().filename().string()};
  for (std::size_t i = 0; i < finished(); ++i) kept.insert(shards_[i].file_name);
  std::vector<fs::path> others;
  std::error_code error;
  for (fs::directory_iterator entry(folder_.path(), error), end; !error && entry != end;
       entry.increment(error))
    if (!kept.contains(entry->path().filename().string())) others.push_back(entry->path());
  for (std::size_t i = finished(); i < shards_.size(); ++i) others.push_back(note_path(i));
  for (const fs::path& other : others)
    if (!error) fs::remove_all(other, error);
  if (error)
    return fail({.code = ErrorCode::kIo,
                 .where = folder_.path().string(),
                 .problem = "what an earlier run left cannot be removed: " + error.message()});
  return {};
}

Result<void> ShardStore::begin_shard() {
  if (writer_) return {};
  const Shard& shard = shards_.at(finished());
  auto made = safetensors::Writer::create(folder_.path() / shard.file_name, shard.tensors,
                                          {{"format", "mlx"}}, {.write_behind = true});
  if (!made) return fail(to_error(std::move(made).error()));
  writer_ = *std::move(made);
  digests_.clear();
  for (const safetensors::TensorInfo& one : shard.tensors) digests_.try_emplace(one.name);
  return {};
}

Result<void> ShardStore::append(std::string_view tensor, std::span<const std::byte> bytes) {
  BOBBY_CHECK(begin_shard());
  if (auto written = writer_->append(tensor, bytes); !written)
    return fail(to_error(std::move(written).error()));
  digests_.find(tensor)->second.update(bytes);
  return {};
}

Result<void> ShardStore::finish_shard(nlohmann::json note) {
  BOBBY_CHECK(begin_shard());
  if (auto done = writer_->finish(); !done) return fail(to_error(std::move(done).error()));
  writer_.reset();
  nlohmann::json digests = nlohmann::json::object();
  for (auto& [name, digest] : digests_) digests[name] = digest.hex_digest();
  BOBBY_CHECK(folder_.write_text(
      note_path(finished()), nlohmann::json{{"tensors", digests}, {"note", note}}.dump() + "\n"));
  notes_.push_back(std::move(note));
  folder_.keep();
  return {};
}

}  // namespace bobby
