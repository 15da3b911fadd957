#pragma once

#include <bobby/export.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace bobby::v1 {

/// Stable kinds of failure.
enum class ErrorCode {
  kUsage = 1,    ///< what was asked cannot be asked (a value out of its range, an empty field)
  kNotFound,     ///< a file, model or adapter is not there
  kIo,           ///< the operating system refused a read or a write
  kMalformed,    ///< bytes that are not what their format says
  kUnsupported,  ///< well formed, but nothing here implements it
  kMismatch,     ///< two things that must agree do not (an adapter and its model, shapes)
  kLimit,        ///< a size, length or memory bound was met
  kNumeric,      ///< NaN or infinity where a number was needed
  kCancelled,    ///< the caller stopped it
  kInternal,     ///< a bug of this library
  kBusy,         ///< a queue is full
  kTimeout,      ///< a deadline has passed
};

/// "usage", "not_found", ...: the names that the command line and the HTTP API use, too.
BOBBY_API std::string_view code_name(ErrorCode code);

/// Why something failed.
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;  ///< a sentence: where, what is wrong, what was expected, what to do
};

/// What Result::value() throws when there is none.
class BOBBY_API ResultError : public std::runtime_error {
 public:
  explicit ResultError(const Error& error) : std::runtime_error(error.message), code_(error.code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

/// A value, or why there is none. Nothing here throws but value() and the caller's own callbacks.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  /// The value; throws ResultError without one.
  T& value() & { return checked(), *std::get_if<0>(&state_); }
  const T& value() const& { return checked(), *std::get_if<0>(&state_); }
  T&& value() && { return checked(), std::move(*std::get_if<0>(&state_)); }

  /// Precondition: has_value().
  T& operator*() & { return *std::get_if<0>(&state_); }
  const T& operator*() const& { return *std::get_if<0>(&state_); }
  T&& operator*() && { return std::move(*std::get_if<0>(&state_)); }
  T* operator->() { return std::get_if<0>(&state_); }
  const T* operator->() const { return std::get_if<0>(&state_); }

  /// Precondition: !has_value().
  const Error& error() const { return *std::get_if<1>(&state_); }

 private:
  void checked() const {
    if (!has_value()) throw ResultError(error());
  }

  std::variant<T, Error> state_;
};

/// That something worked, or why not.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)), failed_(true) {}

  bool has_value() const { return !failed_; }
  explicit operator bool() const { return has_value(); }
  void value() const {
    if (failed_) throw ResultError(error_);
  }
  /// Precondition: !has_value().
  const Error& error() const { return error_; }

 private:
  Error error_;
  bool failed_ = false;
};

}  // namespace bobby::v1
