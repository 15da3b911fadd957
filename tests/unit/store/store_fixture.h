#pragma once

// A folder for one test's stores, and children that are other processes.

#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include "store/draft_store.h"

namespace bobby::store::testing {

namespace fs = std::filesystem;

class StoreTest : public ::testing::Test {
 protected:
  StoreTest() {
    std::string name = (fs::temp_directory_path() / "bobby-store-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    path_ = folder_ / "bobby.sqlite";
  }
  ~StoreTest() override { fs::remove_all(folder_); }

  std::unique_ptr<DraftStore> open(StoreOptions options = {}) const {
    auto store = DraftStore::open(path_, options);
    EXPECT_TRUE(store) << store.error().to_string();
    return store ? *std::move(store) : nullptr;
  }

  /// What opening says; fails the test when it works.
  Error open_error(StoreOptions options = {}) const {
    auto store = DraftStore::open(path_, options);
    EXPECT_FALSE(store) << "it was opened";
    return store ? Error{} : store.error();
  }

  fs::path folder_;
  fs::path path_;
};

/// Runs `body` in a child process, which ends with what it returns.
template <typename Body>
pid_t in_child(Body body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  return child;
}

/// How a child ended: its exit status, or minus the signal.
inline int ended(pid_t child) {
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace bobby::store::testing
