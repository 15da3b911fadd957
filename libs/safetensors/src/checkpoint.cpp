#include <algorithm>
#include <iterator>
#include <set>
#include <system_error>

#include "index.h"
#include "problems.h"
#include "safetensors/sharded.h"

namespace safetensors {
namespace fs = std::filesystem;
namespace {

constexpr const char* kIndexName = "model.safetensors.index.json";

void append(std::vector<Error>& all, Error error) {
  std::ranges::move(split(std::move(error)), std::back_inserter(all));
}

std::string_view name_of(const Tensor* tensor) {
  return tensor->name;
}

// `model*.safetensors` of a folder, sorted.
Result<std::vector<fs::path>> model_files(const fs::path& folder) {
  std::vector<fs::path> paths;
  std::error_code failed;
  for (fs::directory_iterator entry(folder, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with("model") && name.ends_with(".safetensors")) paths.push_back(entry->path());
  }
  if (failed)
    return fail({.code = ErrorCode::kIo,
                 .file = folder.string(),
                 .problem = "cannot list the folder: " + failed.message()});
  if (paths.empty())
    return fail({.code = ErrorCode::kFileNotFound,
                 .file = folder.string(),
                 .problem = "the folder has no checkpoint",
                 .expected = std::string(kIndexName) + " or model*.safetensors"});
  std::ranges::sort(paths);
  return paths;
}

}  // namespace

class CheckpointBuilder {
 public:
  static Result<Checkpoint> open(const fs::path& path, const OpenOptions& options) {
    std::error_code failed;
    if (fs::is_directory(path, failed)) {
      if (fs::exists(path / kIndexName, failed)) return from_index(path / kIndexName, options);
      const Result<std::vector<fs::path>> paths = model_files(path);
      if (!paths) return fail(paths.error());
      return from_files(path.string(), *paths, options);
    }
    if (path.extension() == ".json") return from_index(path, options);
    return from_files(path.string(), std::span(&path, 1), options);
  }

  static Result<Checkpoint> from_files(std::string name, std::span<const fs::path> paths,
                                       const OpenOptions& options) {
    std::vector<Error> errors;
    Checkpoint checkpoint = load(std::move(name), paths, options, errors);
    if (!errors.empty()) return fail(join(std::move(errors)));
    return checkpoint;
  }

 private:
  static Result<Checkpoint> from_index(const fs::path& path, const OpenOptions& options) {
    const Result<WeightMap> map = read_index(path);
    if (!map) return fail(map.error());
    std::set<fs::path> shards;
    for (const auto& [tensor, file_name] : *map) shards.insert(path.parent_path() / file_name);
    const std::vector<fs::path> paths(shards.begin(), shards.end());
    std::vector<Error> errors;
    Checkpoint checkpoint = load(path.string(), paths, options, errors);
    if (errors.empty()) compare(checkpoint, *map, errors);
    if (!errors.empty()) return fail(join(std::move(errors)));
    return checkpoint;
  }

  static Checkpoint load(std::string name, std::span<const fs::path> paths,
                         const OpenOptions& options, std::vector<Error>& errors) {
    Checkpoint checkpoint;
    checkpoint.name_ = std::move(name);
    for (const fs::path& path : paths) {
      Result<File> file = File::open(path, options);
      if (file)
        checkpoint.files_.push_back(std::move(*file));
      else
        append(errors, std::move(file).error());
    }
    for (const File& file : checkpoint.files_)
      for (const Tensor& tensor : file.tensors()) checkpoint.tensors_.push_back(&tensor);
    std::vector<const Tensor*>& tensors = checkpoint.tensors_;
    std::ranges::stable_sort(tensors, {}, name_of);
    Problems problems(checkpoint.name_);
    for (std::size_t i = 1; i < tensors.size(); ++i)
      if (tensors[i - 1]->name == tensors[i]->name)
        problems.add({.code = ErrorCode::kDuplicateKey,
                      .tensor = tensors[i]->name,
                      .problem = "the name stands in two files",
                      .found = checkpoint.file_of(*tensors[i - 1]).name() + " and " +
                               checkpoint.file_of(*tensors[i]).name()});
    if (!problems.empty()) append(errors, problems.join());
    return checkpoint;
  }

  // The index and the shards, both ways.
  static void compare(const Checkpoint& checkpoint, const WeightMap& map,
                      std::vector<Error>& errors) {
    Problems problems(checkpoint.name_);
    for (const auto& [name, file_name] : map) {
      const Tensor* tensor = checkpoint.find(name);
      const std::string held =
          tensor == nullptr ? std::string("no file that has it")
                            : fs::path(checkpoint.file_of(*tensor).name()).filename().string();
      if (held != file_name)
        problems.add({.code = ErrorCode::kIndexMismatch,
                      .tensor = name,
                      .problem = "the index and the files disagree",
                      .expected = file_name,
                      .found = held});
    }
    for (const Tensor* tensor : checkpoint.tensors())
      if (map.find(tensor->name) == map.end())
        problems.add({.code = ErrorCode::kIndexMismatch,
                      .tensor = tensor->name,
                      .problem = "the index does not name it",
                      .found = checkpoint.file_of(*tensor).name()});
    if (!problems.empty()) append(errors, problems.join());
  }
};

Result<Checkpoint> Checkpoint::open(const fs::path& path, const OpenOptions& options) {
  return guard(path.string(), [&] { return CheckpointBuilder::open(path, options); });
}

Result<Checkpoint> Checkpoint::open_files(std::span<const fs::path> paths,
                                          const OpenOptions& options) {
  const std::string name = paths.empty() ? "" : paths[0].parent_path().string();
  return guard(name, [&] { return CheckpointBuilder::from_files(name, paths, options); });
}

const Tensor* Checkpoint::find(std::string_view tensor_name) const {
  const auto found = std::ranges::lower_bound(tensors_, tensor_name, {}, name_of);
  return found != tensors_.end() && (*found)->name == tensor_name ? *found : nullptr;
}

Result<const Tensor*> Checkpoint::get(std::string_view tensor_name) const {
  if (const Tensor* tensor = find(tensor_name)) return tensor;
  return fail({.code = ErrorCode::kTensorNotFound,
               .file = name_,
               .tensor = std::string(tensor_name),
               .problem = "there is no such tensor"});
}

const File& Checkpoint::file_of(const Tensor& tensor) const {
  return *std::ranges::find_if(files_, [&](const File& file) {
    const std::span<const Tensor> tensors = file.tensors();
    return std::less_equal<>{}(tensors.data(), &tensor) &&
           std::less<>{}(&tensor, tensors.data() + tensors.size());
  });
}

std::uint64_t Checkpoint::byte_size() const {
  std::uint64_t bytes = 0;  // cannot overflow: each file's data is mapped memory
  for (const Tensor* tensor : tensors_) bytes += tensor->byte_size();
  return bytes;
}

std::vector<Error> check_checkpoint(const fs::path& path, const OpenOptions& options) {
  Result<Checkpoint> checkpoint = Checkpoint::open(path, options);
  if (checkpoint) return {};
  return split(std::move(checkpoint).error());
}

}  // namespace safetensors
