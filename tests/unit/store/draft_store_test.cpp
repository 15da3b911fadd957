// What the interface promises, whatever stands behind it.

#include <atomic>
#include <fmt/format.h>
#include <regex>
#include <set>
#include <thread>
#include <vector>

#include "store_fixture.h"

namespace bobby::store::testing {
namespace {

using DraftStoreTest = StoreTest;

NewDraft draft(std::string text, std::string prompt = {}) {
  return {.text = std::move(text), .prompt = std::move(prompt), .graphemes = 5};
}

std::vector<std::string> found(DraftStore& store, const std::string& query,
                               const std::string& status = {}) {
  const auto page = store.list({.query = query, .status = status});
  EXPECT_TRUE(page) << page.error().to_string();
  std::vector<std::string> texts;
  if (page)
    for (const Draft& each : page->drafts) texts.push_back(each.text);
  return texts;
}

TEST_F(DraftStoreTest, KeepsEveryFieldAsGiven) {
  const std::string text("Héllo \0 👩‍👩‍👧 ", 28);
  auto store = open();
  const auto made = store->create(
      {.text = text, .prompt = "on tea", .adapter = "voice", .seed = -7, .graphemes = 9});
  ASSERT_TRUE(made) << made.error().to_string();
  store.reset();
  const auto draft = open()->get(made->id);
  ASSERT_TRUE(draft && *draft);
  EXPECT_EQ((*draft)->text, text);
  EXPECT_EQ((*draft)->prompt, "on tea");
  EXPECT_EQ((*draft)->adapter, "voice");
  EXPECT_EQ((*draft)->seed, -7);
  EXPECT_EQ((*draft)->graphemes, 9);
  EXPECT_EQ((*draft)->status, "draft");
  EXPECT_EQ((*draft)->created_at, made->created_at);
  EXPECT_EQ((*draft)->updated_at, made->created_at);
  const std::regex rfc3339(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)");
  EXPECT_TRUE(std::regex_match(made->created_at, rfc3339)) << made->created_at;
}

TEST_F(DraftStoreTest, ASeedMayBeAbsent) {
  const auto made = open()->create(draft("one"));
  ASSERT_TRUE(made);
  EXPECT_EQ(made->seed, std::nullopt);
}

TEST_F(DraftStoreTest, UnknownIdsAreNothingAndIdsAreNotGivenTwice) {
  auto store = open();
  EXPECT_EQ(store->get(1).value(), std::nullopt);
  EXPECT_EQ(store->update(1, {.text = "x"}).value(), std::nullopt);
  EXPECT_FALSE(store->remove(1).value());
  const std::int64_t id = store->create(draft("one"))->id;
  EXPECT_TRUE(store->remove(id).value());
  EXPECT_FALSE(store->remove(id).value());
  EXPECT_EQ(store->get(id).value(), std::nullopt);
  EXPECT_GT(store->create(draft("two"))->id, id);
}

TEST_F(DraftStoreTest, ChangesOnlyWhatIsAsked) {
  auto store = open();
  const Draft made = store->create(draft("first words", "prompt")).value();
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  const Draft approved = store->update(made.id, {.status = "approved"}).value().value();
  EXPECT_EQ(approved.text, "first words");
  EXPECT_EQ(approved.graphemes, 5);
  EXPECT_EQ(approved.status, "approved");
  EXPECT_EQ(approved.created_at, made.created_at);
  EXPECT_GT(approved.updated_at, made.updated_at);
  const Draft changed =
      store->update(made.id, {.text = "other text", .graphemes = 10}).value().value();
  EXPECT_EQ(changed.text, "other text");
  EXPECT_EQ(changed.graphemes, 10);
  EXPECT_EQ(changed.status, "draft") << "nobody approved that text";
  EXPECT_EQ(store->update(made.id, {.status = "approved"})->value().status, "approved");
  EXPECT_EQ(store->update(made.id, {.text = "other text", .graphemes = 10})->value().status,
            "approved");
  EXPECT_EQ(found(*store, "other prompt").size(), 1u);
  EXPECT_TRUE(found(*store, "first").empty()) << "the old text is still searched";
}

TEST_F(DraftStoreTest, RefusesWhatIsNoTextAndNoStatus) {
  auto store = open();
  const auto bad = store->create(draft("a\xff"));
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, ErrorCode::kUsage);
  EXPECT_EQ(bad.error().where, "text");
  EXPECT_EQ(store->create(draft("a", "\xc0\x80")).error().where, "prompt");
  const std::int64_t id = store->create(draft("fine"))->id;
  EXPECT_EQ(store->update(id, {.status = "burnt"}).error().where, "status");
  EXPECT_EQ(store->update(id, {.text = "\x80"}).error().where, "text");
  EXPECT_EQ(store->list({.status = "burnt"}).error().where, "status");
  EXPECT_EQ(store->list({.limit = 0}).error().where, "limit");
  EXPECT_EQ(store->get(id).value()->text, "fine");
}

TEST_F(DraftStoreTest, FindsWordsInAnyCase) {
  auto store = open();
  for (const char* text : {"Die Straße am Fluß", "Ein ΚΌΣΜΟΣ", "cafe\u0301 at noon", "100% sure_"})
    ASSERT_TRUE(store->create(draft(text, "Über Kaffee")));
  using Texts = std::vector<std::string>;
  EXPECT_EQ(found(*store, "STRASSE fluss"), Texts{"Die Straße am Fluß"});
  EXPECT_EQ(found(*store, "κόσμος"), Texts{"Ein ΚΌΣΜΟΣ"});
  EXPECT_EQ(found(*store, "CAFÉ"), Texts{"cafe\u0301 at noon"});
  EXPECT_EQ(found(*store, "0% E_"), Texts{"100% sure_"}) << "no wildcards";
  EXPECT_EQ(found(*store, "kaffee über").size(), 4u);
  EXPECT_EQ(found(*store, "kaffee straße"), Texts{"Die Straße am Fluß"}) << "text and prompt";
  EXPECT_TRUE(found(*store, "kaffee tee").empty());
  EXPECT_EQ(found(*store, " \t\n").size(), 4u);
  std::string many;
  for (int i = 0; i < 5000; ++i) many += "die ";
  EXPECT_EQ(found(*store, many).size(), 1u);
}

TEST_F(DraftStoreTest, PagesRunFromTheNewestToTheOldest) {
  auto store = open();
  for (int i = 0; i < 25; ++i) {
    const auto made = store->create(draft(fmt::format("number {}", i)));
    ASSERT_TRUE(made);
    if (i % 5 != 0) continue;
    ASSERT_TRUE(store->update(made->id, {.status = "approved"}));
  }
  std::vector<std::string> seen;
  DraftQuery query = {.limit = 10};
  for (int pages = 0; pages < 3; ++pages) {
    const DraftPage page = store->list(query).value();
    EXPECT_EQ(page.total, 25);
    EXPECT_EQ(page.has_more, pages < 2);
    for (const Draft& each : page.drafts) seen.push_back(each.text);
    query.before = page.drafts.back().id;
  }
  ASSERT_EQ(seen.size(), 25u);
  for (int i = 0; i < 25; ++i) EXPECT_EQ(seen[i], fmt::format("number {}", 24 - i));
  const DraftPage approved = store->list({.status = "approved", .limit = 5}).value();
  EXPECT_EQ(approved.drafts.size(), 5u);
  EXPECT_EQ(approved.total, 5);
  EXPECT_FALSE(approved.has_more);
  EXPECT_EQ(found(*store, "number 20", "approved").size(), 1u);
  EXPECT_TRUE(found(*store, "number 21", "approved").empty());
}

TEST_F(DraftStoreTest, ThreadsShareAStore) {
  auto store = open();
  constexpr int kThreads = 8;
  constexpr int kEach = 25;
  std::atomic<int> failures = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const auto made = store->create(draft(fmt::format("thread {} text {}", t, i)));
        if (!made || made->text != fmt::format("thread {} text {}", t, i)) ++failures;
        if (made && !store->update(made->id, {.status = "rejected"}).value_or(std::nullopt))
          ++failures;
        if (i % 5 == 4 && made && !store->remove(made->id).value_or(false)) ++failures;
        if (!store->list({.query = "thread", .limit = 3})) ++failures;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  const DraftPage page = store->list({.limit = 1000}).value();
  EXPECT_EQ(page.total, kThreads * kEach * 4 / 5);
  std::set<std::string> texts;
  for (const Draft& each : page.drafts) {
    EXPECT_EQ(each.status, "rejected");
    texts.insert(each.text);
  }
  EXPECT_EQ(texts.size(), page.drafts.size());
  EXPECT_TRUE(store->check());
}

}  // namespace
}  // namespace bobby::store::testing
