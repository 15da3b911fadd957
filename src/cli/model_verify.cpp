// bobby model verify: whether a file or folder is what it says.

#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/device.h"
#include "app/obtain.h"
#include "base/safetensors_error.h"
#include "cli/command.h"
#include "cli/signals.h"
#include "hub/cache/cached_repositories.h"
#include "lora/adapter.h"
#include "model/model.h"
#include "safetensors/safetensors.h"
#include "tensor/half.h"
#include "tokenizer/tokenizer.h"

namespace bobby::cli {
namespace {

namespace fs = std::filesystem;
using safetensors::DType;

// Numbers of `tensor` that are NaN or infinite; 0 for types that hold neither.
std::uint64_t count_bad_numbers(const safetensors::Tensor& tensor) {
  std::uint64_t bad = 0;
  const auto count = [&](auto element, auto is_bad) {
    using Element = decltype(element);
    for (std::size_t at = 0; at + sizeof(Element) <= tensor.data.size(); at += sizeof(Element)) {
      Element value;
      std::memcpy(&value, tensor.data.data() + at, sizeof value);  // files may be misaligned
      bad += is_bad(value) ? 1 : 0;
    }
  };
  // All exponent bits set: infinity or NaN.
  if (tensor.dtype == DType::kF16)
    count(std::uint16_t{}, [](std::uint16_t bits) { return (bits & 0x7c00u) == 0x7c00u; });
  else if (tensor.dtype == DType::kBF16)
    count(std::uint16_t{}, [](std::uint16_t bits) { return (bits & 0x7f80u) == 0x7f80u; });
  else if (tensor.dtype == DType::kF32)
    count(float{}, [](float value) { return !std::isfinite(value); });
  else if (tensor.dtype == DType::kF64)
    count(double{}, [](double value) { return !std::isfinite(value); });
  return bad;
}

class Verifier {
 public:
  explicit Verifier(const Invocation& invocation) : invocation_(invocation) {}

  // The tensors of a file or folder; false when they could not be opened.
  bool check_tensors(const fs::path& path) {
    auto opened = safetensors::Checkpoint::open(path);
    if (!opened) {
      problems_.push_back(to_error(std::move(opened).error()));
      return false;
    }
    tensors_ = opened->tensors().size();
    bytes_ = opened->byte_size();
    if (invocation_.settings.flag(Opt::kDeep)) check_numbers(*opened);
    return true;
  }

  void check_model_folder(const fs::path& folder) {
    if (check_tensors(folder)) {
      // Loading asks for every tensor by name and shape, and touches none of their bytes.
      if (auto backend = make_backend(invocation_.settings); !backend)
        problems_.push_back(std::move(backend).error());
      else if (auto model = Model::load(folder, **backend); !model)
        problems_.push_back(std::move(model).error());
      else
        vocab_size_ = (*model)->config().vocab_size;
    } else if (auto config = ModelConfig::load(folder); !config) {
      problems_.push_back(std::move(config).error());
    }
    std::error_code status;
    if (fs::exists(folder / "tokenizer.json", status)) check_tokenizer(folder / "tokenizer.json");
  }

  void check_adapter_folder(const fs::path& folder) {
    auto adapter = load_adapter(folder);
    if (!adapter) {
      problems_.push_back(std::move(adapter).error());
      return;
    }
    for (const char* name : {"adapters.safetensors", "adapter_model.safetensors"})
      if (std::error_code status; fs::exists(folder / name, status)) check_tensors(folder / name);
  }

  // The files of a repository in the cache, against the hashes that the hub gave.
  Result<fs::path> check_cached(const hub::HubName& name) {
    BOBBY_TRY(const hub::HubSettings its, hub_settings(invocation_.settings));
    const ProgressFn progress = invocation_.console.progress();
    BOBBY_TRY(hub::Verified verified,
              hub::verify_cached(its.cache, name, [&](std::string_view file) {
                progress({.phase = file, .done = 0, .total = 0});
              }));
    invocation_.console.end_progress();
    for (const std::string& file : verified.unnamed)
      invocation_.console.note(fmt::format("{}: nothing here says what hash it must have", file));
    hashed_ = verified.files - verified.unnamed.size();
    problems_ = std::move(verified.problems);
    return std::move(verified.folder);
  }

  Result<int> finish(const fs::path& path) {
    if (!problems_.empty()) return fail(join_errors(std::move(problems_)));
    Console& console = invocation_.console;
    if (console.json())
      console.print_json({{"path", path.string()},
                          {"ok", true},
                          {"tensors", tensors_},
                          {"bytes", bytes_},
                          {"hashed", hashed_},
                          {"deep", invocation_.settings.flag(Opt::kDeep)}});
    else
      console.print(
          fmt::format("{}: well formed, {} tensors, {} bytes{}{}", path.string(), tensors_, bytes_,
                      hashed_ > 0 ? fmt::format(", {} files as the hub has them", hashed_) : "",
                      invocation_.settings.flag(Opt::kDeep) ? ", every number finite" : ""));
    return kDone;
  }

 private:
  void check_numbers(const safetensors::Checkpoint& checkpoint) {
    const ProgressFn progress = invocation_.console.progress();
    std::uint64_t done = 0;
    for (const safetensors::Tensor* tensor : checkpoint.tensors()) {
      progress({"verify", done, checkpoint.byte_size()});
      done += tensor->byte_size();
      if (const std::uint64_t bad = count_bad_numbers(*tensor); bad > 0)
        problems_.push_back({.code = ErrorCode::kNumeric,
                             .where = fmt::format("{}: tensor '{}'",
                                                  checkpoint.file_of(*tensor).name(), tensor->name),
                             .problem = "holds numbers that are NaN or infinite",
                             .expected = "none",
                             .found = fmt::format("{} of {}", bad, tensor->size())});
    }
    invocation_.console.end_progress();
  }

  void check_tokenizer(const fs::path& file) {
    auto tokenizer = Tokenizer::from_file(file);
    if (!tokenizer)
      problems_.push_back(std::move(tokenizer).error());
    else if (vocab_size_ > 0 && tokenizer->vocab_size() > vocab_size_)
      problems_.push_back({.code = ErrorCode::kMismatch,
                           .where = file.string(),
                           .problem = "has ids that the model's vocabulary lacks",
                           .expected = fmt::format("at most {}", vocab_size_),
                           .found = fmt::format("{}", tokenizer->vocab_size())});
  }

  const Invocation& invocation_;
  std::vector<Error> problems_;
  std::size_t tensors_ = 0;
  std::uint64_t bytes_ = 0;
  std::size_t hashed_ = 0;
  std::int64_t vocab_size_ = 0;
};

Result<int> run(const Invocation& invocation) {
  fs::path path = invocation.arguments.front();
  Verifier verifier(invocation);
  std::error_code status;
  if (!fs::exists(path, status)) {
    const auto name = hub::parse_hub_name(invocation.arguments.front());
    if (!name)
      return fail({.code = ErrorCode::kNotFound,
                   .where = path.string(),
                   .problem = "no such file or folder"});
    BOBBY_TRY(path, verifier.check_cached(*name));
  }
  if (!fs::is_directory(path, status))
    verifier.check_tensors(path);
  else if (fs::exists(path / "adapter_config.json", status))
    verifier.check_adapter_folder(path);
  else
    verifier.check_model_folder(path);
  return verifier.finish(path);
}

constexpr Argument kArguments[] = {
    {"PATH|ORG/NAME", true,
     "A .safetensors file, a sharded index, a model or adapter folder, or a repository in the "
     "Hugging Face cache"}};
constexpr Opt kOptions[] = {Opt::kDeep};
constexpr Example kExamples[] = {
    {"bobby model verify ./Qwen3-8B-MLX-4bit", "header, tensors, config and tokenizer"},
    {"bobby model verify ORG/NAME", "and every file against the hub's hash of it"},
    {"bobby model verify model.safetensors --deep", "one file, and every number in it"},
};

}  // namespace

const Command kModelVerify = {
    .group = "model",
    .name = "verify",
    .summary = "check that a model, adapter or safetensors file is what it says",
    .description =
        "Checks a safetensors file, all shards of a model folder with its config and tokenizer, or "
        "an adapter folder, and names everything that is wrong. Of a repository in the Hugging "
        "Face "
        "cache, every file is also read and compared with the hub's hash of it. Exits with 0 when "
        "all is well, 1 "
        "when not.",
    .arguments = kArguments,
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
