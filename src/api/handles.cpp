#include "api/handles.h"

#include <utility>

#include "api/field_settings.h"
#include "api/publish.h"
#include "api/request_fields.h"
#include "app/device.h"
#include "app/obtain.h"

namespace bobby::v1 {
namespace {

bobby::Result<std::filesystem::path> locate(const Source& source, hub::Content content) {
  if (source.path.empty() == source.hf.empty())
    return fail({.code = bobby::ErrorCode::kUsage,
                 .where = "source",
                 .problem = source.path.empty() ? "is empty" : "is given twice",
                 .expected = "path (a folder) or hf (ORG/NAME)"});
  if (!source.hf.empty()) {
    BOBBY_TRY(const Settings settings, api::FieldSettings().resolve());
    return obtain_from_hub(source.hf, content, settings, {});
  }
  std::error_code status;
  if (std::filesystem::is_directory(source.path, status)) return source.path;
  return fail(
      {.code = bobby::ErrorCode::kNotFound, .where = source.path, .problem = "is no folder"});
}

bobby::Result<std::shared_ptr<Model::Impl>> load(const Source& source,
                                                 const ModelOptions& options) {
  api::FieldSettings fields;
  api::set_device(fields, options);
  auto model = std::make_shared<Model::Impl>();
  BOBBY_TRY(model->settings, fields.resolve());
  BOBBY_TRY(model->folder, locate(source, hub::Content::kModel));
  BOBBY_TRY(model->loaded, bobby::load_model(model->settings, model->folder, TokenizerUse::kNone));
  return model;
}

bobby::Result<std::shared_ptr<const Adapter::Impl>> load(const Source& source,
                                                         const AdapterOptions& options) {
  AdapterName name{.name = source.hf, .folder = {}, .scale = options.scale};
  std::error_code status;
  if (source.hf.empty() && std::filesystem::is_regular_file(source.path, status)) {
    name.folder = source.path;  // a GGUF file
  } else {
    BOBBY_TRY(name.folder, locate(source, hub::Content::kAdapter));
  }
  auto adapter = std::make_shared<Adapter::Impl>();
  BOBBY_TRY(adapter->chosen, load_chosen_adapter(std::move(name)));
  return adapter;
}

bobby::Result<std::shared_ptr<const Tokenizer::Impl>> load(const Source& source) {
  auto tokenizer = std::make_shared<Tokenizer::Impl>();
  BOBBY_TRY(tokenizer->folder, locate(source, hub::Content::kTokenizer));
  BOBBY_TRY(auto read, bobby::Tokenizer::from_file(tokenizer->folder / "tokenizer.json"));
  tokenizer->tokenizer = std::make_shared<const bobby::Tokenizer>(std::move(read));
  return tokenizer;
}

template <typename Handle, typename Pointer>
Result<Handle> wrap(bobby::Result<Pointer> impl) {
  if (!impl) return api::publish(impl.error());
  return Internal::make<Handle>(*std::move(impl));
}

}  // namespace

bobby::Result<std::shared_ptr<bobby::Generator>> Model::Impl::engine_for(
    const Tokenizer::Impl& tokenizer) {
  const std::int64_t tokens = tokenizer.tokenizer->vocab_size();
  const std::int64_t vocabulary = loaded->model->config().vocab_size;
  if (tokens > vocabulary)
    return fail({.code = bobby::ErrorCode::kMismatch,
                 .where = tokenizer.folder.string(),
                 .problem = "is a tokenizer of another model",
                 .expected = "at most " + std::to_string(vocabulary) + " tokens",
                 .found = std::to_string(tokens)});
  const std::lock_guard lock(mutex);
  if (engine == nullptr) {
    loaded->tokenizer = tokenizer.tokenizer;
    tokenizer_folder = tokenizer.folder;
    engine = std::make_shared<bobby::Generator>(
        [loaded = loaded](const bobby::ProgressFn&) { return loaded; },
        bobby::GeneratorOptions{.kv_format = kv_format(settings)});
  } else if (loaded->tokenizer != tokenizer.tokenizer && tokenizer_folder != tokenizer.folder) {
    return fail(
        {.code = bobby::ErrorCode::kUsage,
         .where = tokenizer.folder.string(),
         .problem = "the model already serves with the tokenizer of " + tokenizer_folder.string(),
         .hint = "load the model once more for another one"});
  }
  return engine;
}

Model::Model(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
std::string_view Model::type() const {
  return impl_->loaded->model->config().model_type;
}
std::int64_t Model::vocab_size() const {
  return impl_->loaded->model->config().vocab_size;
}

Adapter::Adapter(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
float Adapter::scale() const {
  return impl_ == nullptr ? 0.0f : impl_->chosen.factor * impl_->chosen.adapter->scale;
}

Tokenizer::Tokenizer(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
std::vector<std::int32_t> Tokenizer::encode(std::string_view text) const {
  return impl_->tokenizer->encode(text);
}
Result<std::string> Tokenizer::decode(std::span<const std::int32_t> ids, bool skip_special) const {
  return api::publish(impl_->tokenizer->decode(ids, skip_special));
}
std::int64_t Tokenizer::vocab_size() const {
  return impl_->tokenizer->vocab_size();
}

Result<Model> load_model(const Source& source, const ModelOptions& options) {
  return wrap<Model>(load(source, options));
}
Result<Adapter> load_adapter(const Source& source, const AdapterOptions& options) {
  return wrap<Adapter>(load(source, options));
}
Result<Tokenizer> load_tokenizer(const Source& source) {
  return wrap<Tokenizer>(load(source));
}

}  // namespace bobby::v1
