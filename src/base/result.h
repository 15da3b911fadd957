#pragma once

#include <tl/expected.hpp>
#include <utility>

#include "base/error.h"

namespace bobby {

/// A value or an Error. `Result<void>` for work that only can fail.
template <typename T>
using Result = tl::expected<T, Error>;

/// `return fail({.code = ErrorCode::kNotFound, .where = path, .problem = "no such file"});`
inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace bobby

#define BOBBY_CONCAT_INNER(a, b) a##b
#define BOBBY_CONCAT(a, b) BOBBY_CONCAT_INNER(a, b)

/// BOBBY_TRY(auto x, expression): x is the value, or the enclosing function returns the Error.
#define BOBBY_TRY(declaration, expression) \
  BOBBY_TRY_INNER(BOBBY_CONCAT(result_, __LINE__), declaration, expression)
#define BOBBY_TRY_INNER(result, declaration, expression)                           \
  auto result = (expression);                                                      \
  if (!result) return ::tl::unexpected<::bobby::Error>(std::move(result).error()); \
  declaration = *std::move(result)

/// BOBBY_CHECK(expression): for Result<void>; the enclosing function returns the Error, if any.
#define BOBBY_CHECK(expression)                                                 \
  do {                                                                          \
    if (auto check_result = (expression); !check_result)                        \
      return ::tl::unexpected<::bobby::Error>(std::move(check_result).error()); \
  } while (false)
