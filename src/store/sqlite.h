#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace bobby::store {

/// A prepared statement; a Run uses it. Belongs to the Database that made it and dies before it.
class Statement {
 public:
  Statement() = default;
  explicit Statement(sqlite3_stmt* handle);
  sqlite3_stmt* handle() const { return handle_.get(); }

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* handle) const;
  };
  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
};

/// One connection, for one thread at a time. Its errors name the file.
class Database {
 public:
  /// The file must exist and is left as it is. Calls wait for other processes this long.
  static Result<Database> open(const std::filesystem::path& path,
                               std::chrono::milliseconds busy_timeout);
  /// From now on readers and a writer do not wait for each other. Stays with the file.
  Result<void> use_write_ahead_log();

  Result<Statement> prepare(std::string_view sql);
  /// Any number of statements without results.
  Result<void> execute(const std::string& sql);
  /// A statement's first column as a number, or as text, of its first row.
  Result<std::int64_t> number(std::string_view sql);
  Result<std::string> text(std::string_view sql);

  /// What went wrong in the call before, whose result was `code`.
  Error error(int code) const;
  const std::filesystem::path& path() const { return path_; }
  sqlite3* handle() const { return handle_.get(); }

 private:
  struct Close {
    void operator()(sqlite3* handle) const;
  };
  Database(std::filesystem::path path, std::chrono::milliseconds busy_timeout, sqlite3* handle)
      : path_(std::move(path)), busy_timeout_(busy_timeout), handle_(handle) {}

  std::filesystem::path path_;
  std::chrono::milliseconds busy_timeout_;
  std::unique_ptr<sqlite3, Close> handle_;
};

/// One use of a statement: bind values from 1, then next() for each row, columns from 0. Its end
/// makes the statement free for the next use.
class Run {
 public:
  Run(Database& database, const Statement& statement)
      : database_(database), handle_(statement.handle()) {}
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  Run& bind(int index, std::int64_t value);
  Run& bind(int index, std::optional<std::int64_t> value);
  Run& bind(int index, std::string_view value);

  /// Whether there is a further row; also runs statements that have none.
  Result<bool> next();

  std::int64_t number(int column) const;
  std::optional<std::int64_t> optional_number(int column) const;
  std::string text(int column) const;

 private:
  Run& bound(int code);

  Database& database_;
  sqlite3_stmt* handle_;
  int bind_result_ = 0;
};

/// Begins at once with the right to write, or to read one state only; undone unless committed.
class Transaction {
 public:
  enum class Kind { kRead, kWrite };
  static Result<Transaction> begin(Database& database, Kind kind);
  ~Transaction();
  Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;

  Result<void> commit();

 private:
  explicit Transaction(Database& database) : database_(&database) {}
  Database* database_;
};

}  // namespace bobby::store
