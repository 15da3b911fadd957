#include "data/record_spool.h"

namespace bobby::data {

Result<RecordSpool> RecordSpool::create(const std::filesystem::path& folder) {
  BOBBY_TRY(TemporaryFile file, TemporaryFile::create(folder));
  return RecordSpool(std::move(file));
}

Result<void> RecordSpool::append(std::string_view record) {
  begins_.push_back(file_.size());
  return file_.append(record);
}

Result<std::string> RecordSpool::read(std::size_t index) {
  const std::uint64_t end = index + 1 < begins_.size() ? begins_[index + 1] : file_.size();
  std::string record(end - begins_[index], '\0');
  BOBBY_CHECK(file_.read(begins_[index], record));
  return record;
}

}  // namespace bobby::data
