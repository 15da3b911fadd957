#pragma once

// What every function of the C ABI does: check, call the C++ API, turn what comes into a status.

#include <bobby/bobby_c.h>
#include <bobby/result.h>
#include <cstddef>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <new>
#include <string>
#include <string_view>

namespace bobby::api {

/// A copy for bobby_string_free(); nullptr when there is no memory.
char* copy_string(std::string_view text) noexcept;

/// The status of `error`; its message goes to *message unless that is null.
bobby_status report(const v1::Error& error, char** message) noexcept;
bobby_status report(v1::ErrorCode code, std::string_view text, char** message) noexcept;

/// Runs `work`, a Result<void>(), and lets no exception out.
template <typename Work>
bobby_status guarded(char** message, Work work) noexcept {
  if (message != nullptr) *message = nullptr;
  try {
    const v1::Result<void> result = work();
    return result ? BOBBY_OK : report(result.error(), message);
  } catch (const std::bad_alloc&) {
    return report(v1::ErrorCode::kLimit, "there is not enough memory", message);
  } catch (const std::exception& exception) {
    return report(v1::ErrorCode::kInternal, exception.what(), message);
  } catch (...) {
    return report(v1::ErrorCode::kInternal, "an exception that is no std::exception", message);
  }
}

/// kUsage naming the first argument that is null.
struct Argument {
  std::string_view name;
  const void* pointer;
};
v1::Result<void> check_arguments(std::initializer_list<Argument> arguments);

/// kUsage unless `size` is that of a struct that this library knows: `known`, and no less than what
/// the first version of the ABI had, `first`.
v1::Result<void> check_size(std::string_view name, std::size_t size, std::size_t first,
                            std::size_t known);

/// The caller's struct, with `defaults` for what an earlier caller does not know. Null: `defaults`.
template <typename Struct>
v1::Result<Struct> read_struct(std::string_view name, const Struct* given, Struct defaults) {
  if (given == nullptr) return defaults;
  if (auto checked = check_size(name, given->size, sizeof(Struct), sizeof(Struct)); !checked)
    return checked.error();
  std::memcpy(&defaults, given, given->size);
  return defaults;
}

/// Fills the caller's struct, as far as it knows it.
template <typename Struct>
v1::Result<void> write_struct(std::string_view name, std::size_t size, const Struct& values,
                              Struct* out) {
  if (auto checked = check_arguments({{name, out}}); !checked) return checked;
  if (auto checked = check_size(name, size, sizeof(Struct), sizeof(Struct)); !checked)
    return checked;
  std::memcpy(out, &values, size);
  out->size = size;
  return {};
}

}  // namespace bobby::api
