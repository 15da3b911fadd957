#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/result.h"
#include "bluesky/private_file.h"
#include "store/outbox.h"

namespace bobby::cli {

/// The turn of one of several daemons of an account: a lock on a file, which a process that dies
/// lets go at once, among those of this machine, and a lease in the store among machines. It saves
/// requests; that no post goes out twice does not hang on it.
class BotTurn {
 public:
  /// `lock_file` is made where there is none. `outbox` must outlive this.
  BotTurn(store::Outbox& outbox, const std::string& did, std::filesystem::path lock_file);
  ~BotTurn();
  BotTurn(const BotTurn&) = delete;
  BotTurn& operator=(const BotTurn&) = delete;

  /// Whether it is this one's turn, from now on for two minutes. The store's errors; kIo.
  Result<bool> hold(store::Moment now);

 private:
  store::Outbox& outbox_;
  std::string name_;
  std::string machine_;
  std::filesystem::path lock_file_;
  std::optional<bluesky::FileLock> lock_;
};

}  // namespace bobby::cli
