#pragma once

// Inner results and errors as public ones. In this room bobby::X is the inner type and v1::X the
// public one; bobby/bobby.h, which makes them one for callers, is not included here.

#include <bobby/result.h>
#include <type_traits>
#include <utility>

#include "base/result.h"

namespace bobby::api {

/// The public code of the same name; kInternal for one that has none.
v1::ErrorCode public_code(ErrorCode code);
v1::Error publish(const Error& error);

template <typename T>
v1::Result<T> publish(Result<T> result) {
  if (!result) return publish(result.error());
  if constexpr (std::is_void_v<T>)
    return {};
  else
    return *std::move(result);
}

}  // namespace bobby::api
