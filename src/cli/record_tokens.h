#pragma once

#include "app/settings.h"
#include "base/result.h"
#include "data/inspect/inspect.h"
#include "hub/cache/download.h"

namespace bobby::cli {

/// What --model's tokenizer makes of records, as training has them, in the prompt form of
/// --prompt-form or of the model. The prompt is masked.
Result<inspection::TokenSource> make_token_source(const Settings& settings,
                                                  const hub::PullWatch& watch);

}  // namespace bobby::cli
