#include "generation/kv_blocks.h"

#include <gtest/gtest.h>

namespace bobby {
namespace {

using Blocks = std::vector<std::int32_t>;

TEST(KvBlocks, AreTakenLowestFirst) {
  KvBlocks pool(4);
  EXPECT_EQ(*pool.acquire(2), (Blocks{0, 1}));
  EXPECT_EQ(*pool.acquire(1), (Blocks{2}));
  pool.release(Blocks{0});
  EXPECT_EQ(*pool.acquire(2), (Blocks{0, 3}));
  EXPECT_EQ(pool.free_blocks(), 0);
}

TEST(KvBlocks, RefusesMoreThanThereAreAndTakesNothing) {
  KvBlocks pool(2);
  const auto blocks = pool.acquire(3);
  ASSERT_FALSE(blocks);
  EXPECT_EQ(blocks.error().code, ErrorCode::kLimit);
  EXPECT_EQ(pool.free_blocks(), 2);
  EXPECT_TRUE(pool.acquire(0)->empty());
}

TEST(KvBlocks, AreFreeWhenTheLastOwnerReleasesThem) {
  KvBlocks pool(3);
  const Blocks shared = *pool.acquire(2);
  pool.share(shared);
  pool.share(Blocks{1});
  EXPECT_EQ(pool.owners(0), 2);
  EXPECT_EQ(pool.owners(1), 3);
  pool.release(shared);
  pool.release(shared);
  EXPECT_EQ(pool.owners(0), 0);
  EXPECT_EQ(pool.owners(1), 1);
  EXPECT_EQ(pool.free_blocks(), 2);
  EXPECT_EQ(*pool.acquire(2), (Blocks{0, 2})) << "1 is still owned";
}

}  // namespace
}  // namespace bobby
