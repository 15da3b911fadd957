#include "store/sqlite.h"

#include <cstring>
#include <sqlite3.h>
#include <thread>
#include <utility>

namespace bobby::store {

Statement::Statement(sqlite3_stmt* handle) : handle_(handle) {}

void Statement::Finalize::operator()(sqlite3_stmt* handle) const {
  sqlite3_finalize(handle);
}

void Database::Close::operator()(sqlite3* handle) const {
  sqlite3_close_v2(handle);
}

namespace {

// The kind of a failure in words; `problem` stays empty where SQLite's own sentence is the best.
Error describe(int code) {
  switch (code & 0xff) {
    case SQLITE_NOTADB:
      return {.code = ErrorCode::kMalformed,
              .problem = "is not a database",
              .hint = "move it away, or name another file"};
    case SQLITE_CORRUPT:
      return {.code = ErrorCode::kMalformed,
              .problem = "is damaged",
              .hint = "put a backup in its place, or move it away to start anew"};
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return {.code = ErrorCode::kIo,
              .problem = "may not be written",
              .hint = "allow this user to write the file and its folder"};
    case SQLITE_CANTOPEN: return {.code = ErrorCode::kIo, .problem = "cannot be opened"};
    case SQLITE_FULL:
      return {.code = ErrorCode::kIo,
              .problem = "the disk is full",
              .hint = "free some space; nothing was changed"};
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {.code = ErrorCode::kIo,
              .problem = "is locked by another process",
              .hint = "try again, or end the other one"};
    case SQLITE_IOERR: return {.code = ErrorCode::kIo, .problem = "cannot be read or written"};
    case SQLITE_NOMEM: return {.code = ErrorCode::kLimit, .problem = "there is no memory left"};
    case SQLITE_TOOBIG: return {.code = ErrorCode::kLimit, .problem = "a text is too long"};
    default: return {.code = ErrorCode::kInternal};
  }
}

}  // namespace

Error Database::error(int code) const {
  Error error = describe(code);
  error.where = path_.string();
  if (error.problem.empty()) error.problem = sqlite3_errmsg(handle_.get());
  const int primary = code & 0xff;
  if (primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN)
    if (const int system = sqlite3_system_errno(handle_.get()); system != 0)
      error.found = std::strerror(system);
  return error;
}

Result<Database> Database::open(const std::filesystem::path& path,
                                std::chrono::milliseconds busy_timeout) {
  sqlite3* handle = nullptr;
  // No mutex of SQLite's: a connection has one of its owner's.
  const int code =
      sqlite3_open_v2(path.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  Database database(path, busy_timeout, handle);
  if (code != SQLITE_OK) return fail(database.error(code));
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, static_cast<int>(busy_timeout.count()));
  if (sqlite3_db_readonly(handle, "main") == 1) return fail(database.error(SQLITE_READONLY));
  // A hostile file's schema shall run nothing.
  sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  // FULL: a commit is on the disk before it is answered; on Apple's systems not in its drive's
  // cache.
  BOBBY_CHECK(
      database.execute("PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; "
                       "PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON;"));
  return database;
}

Result<void> Database::use_write_ahead_log() {
  // Changing the journal does not wait for others by itself.
  const auto deadline = std::chrono::steady_clock::now() + busy_timeout_;
  while (true) {
    auto mode = text("PRAGMA journal_mode = WAL");
    if (mode && *mode == "wal") return {};
    if (mode)
      return fail({.code = ErrorCode::kIo,
                   .where = path_.string(),
                   .problem = "its file system has no shared memory",
                   .found = "journal mode " + *mode,
                   .hint = "keep it on a local disk"});
    const int code = sqlite3_errcode(handle_.get()) & 0xff;
    if (code != SQLITE_BUSY || std::chrono::steady_clock::now() >= deadline)
      return fail(std::move(mode).error());
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* handle = nullptr;
  const int code = sqlite3_prepare_v3(handle_.get(), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &handle, nullptr);
  if (code != SQLITE_OK) return fail(error(code));
  return Statement(handle);
}

Result<void> Database::execute(const std::string& sql) {
  const int code = sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return fail(error(code));
  return {};
}

Result<std::int64_t> Database::number(std::string_view sql) {
  BOBBY_TRY(const Statement statement, prepare(sql));
  Run run(*this, statement);
  BOBBY_TRY(const bool found, run.next());
  return found ? run.number(0) : 0;
}

Result<std::string> Database::text(std::string_view sql) {
  BOBBY_TRY(const Statement statement, prepare(sql));
  Run run(*this, statement);
  BOBBY_TRY(const bool found, run.next());
  return found ? run.text(0) : std::string();
}

Run::~Run() {
  sqlite3_reset(handle_);
  sqlite3_clear_bindings(handle_);
}

Run& Run::bound(int code) {
  if (bind_result_ == SQLITE_OK) bind_result_ = code;
  return *this;
}

Run& Run::bind(int index, std::int64_t value) {
  return bound(sqlite3_bind_int64(handle_, index, value));
}

Run& Run::bind(int index, std::optional<std::int64_t> value) {
  return value ? bind(index, *value) : bound(sqlite3_bind_null(handle_, index));
}

Run& Run::bind(int index, std::string_view value) {
  // A null pointer would bind NULL.
  const char* data = value.empty() ? "" : value.data();
  return bound(
      sqlite3_bind_text64(handle_, index, data, value.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
}

Result<bool> Run::next() {
  if (bind_result_ != SQLITE_OK) return fail(database_.error(bind_result_));
  const int code = sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return fail(database_.error(code));
}

std::int64_t Run::number(int column) const {
  return sqlite3_column_int64(handle_, column);
}

std::optional<std::int64_t> Run::optional_number(int column) const {
  if (sqlite3_column_type(handle_, column) == SQLITE_NULL) return std::nullopt;
  return number(column);
}

std::string Run::text(int column) const {
  const unsigned char* bytes = sqlite3_column_text(handle_, column);
  if (bytes == nullptr) return {};
  return {reinterpret_cast<const char*>(bytes),
          static_cast<std::size_t>(sqlite3_column_bytes(handle_, column))};
}

Result<Transaction> Transaction::begin(Database& database, Kind kind) {
  // Asking for the right to write at once: a reader that wants it later may be refused.
  BOBBY_CHECK(database.execute(kind == Kind::kWrite ? "BEGIN IMMEDIATE" : "BEGIN"));
  return Transaction(database);
}

Transaction::~Transaction() {
  // Some failures have undone it already.
  if (database_ && sqlite3_get_autocommit(database_->handle()) == 0)
    sqlite3_exec(database_->handle(), "ROLLBACK", nullptr, nullptr, nullptr);
}

Result<void> Transaction::commit() {
  BOBBY_CHECK(database_->execute("COMMIT"));
  database_ = nullptr;
  return {};
}

}  // namespace bobby::store
