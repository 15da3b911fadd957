#pragma once

// What the public handles point to.

#include <bobby/text_generation.h>
#include <filesystem>
#include <memory>
#include <mutex>
#include <utility>

#include "app/engine.h"
#include "app/settings.h"
#include "base/result.h"
#include "generation/generator.h"
#include "tokenizer/tokenizer.h"

namespace bobby::v1 {

struct Tokenizer::Impl {
  std::filesystem::path folder;
  std::shared_ptr<const bobby::Tokenizer> tokenizer;
};

struct Adapter::Impl {
  ChosenAdapter chosen;
};

struct __attribute__((visibility("hidden"))) Model::Impl {
  Settings settings;
  std::filesystem::path folder;
  std::shared_ptr<LoadedModel> loaded;

  std::mutex mutex;  // guards the rest, and loaded->tokenizer
  std::filesystem::path tokenizer_folder;
  std::shared_ptr<bobby::Generator> engine;  // one for all that serve with this model

  /// The engine, made with the first tokenizer. kUsage for another one, kMismatch for one with more
  /// tokens than the model.
  bobby::Result<std::shared_ptr<bobby::Generator>> engine_for(const Tokenizer::Impl& tokenizer);
};

/// The way between a handle and what it points to.
struct Internal {
  template <typename Handle>
  static auto& of(const Handle& handle) {
    return *handle.impl_;
  }
  template <typename Handle, typename Pointer>
  static Handle make(Pointer impl) {
    return Handle(std::move(impl));
  }
};

}  // namespace bobby::v1
