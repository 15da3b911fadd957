#pragma once

#include <functional>
#include <memory>

#include "backends/backend.h"
#include "base/progress.h"
#include "base/result.h"
#include "model/model.h"
#include "tokenizer/tokenizer.h"

namespace bobby {

/// A model ready to run. Members are destroyed last to first, so the model goes before its backend.
struct LoadedModel {
  std::shared_ptr<Backend> backend;
  std::unique_ptr<Model> model;
  std::shared_ptr<const Tokenizer> tokenizer;
};

/// Makes the model; called at most once at a time, and again only after it failed.
using ModelLoader = std::function<Result<std::shared_ptr<LoadedModel>>(const ProgressFn&)>;

}  // namespace bobby
