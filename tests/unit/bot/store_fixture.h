#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>
#include <memory>
#include <string>

#include "bot/filters.h"
#include "bot/post_maker.h"
#include "store/draft_store.h"
#include "store/outbox.h"

namespace bobby::bot {

/// A store of its own, with helpers.
class StoreFixture : public ::testing::Test {
 protected:
  static constexpr const char* kAccount = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";

  StoreFixture() {
    std::string name = (std::filesystem::temp_directory_path() / "bobby-bot-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    drafts_ = store::DraftStore::open(folder_ / "store").value();
    outbox_ = store::Outbox::open(folder_ / "store").value();
  }
  ~StoreFixture() override {
    outbox_.reset();
    drafts_.reset();
    std::filesystem::remove_all(folder_);
  }

  std::int64_t draft(const std::string& text) {
    return drafts_->create({.text = text, .graphemes = 1}).value().id;
  }
  std::string status(std::int64_t id) { return drafts_->get(id)->value().status; }

  static PostMaker maker(FilterConfig config = {}, PostStyle style = {}) {
    return {Filter::make(config).value(), std::move(style)};
  }

  std::filesystem::path folder_;
  std::unique_ptr<store::DraftStore> drafts_;
  std::unique_ptr<store::Outbox> outbox_;
};

}  // namespace bobby::bot
