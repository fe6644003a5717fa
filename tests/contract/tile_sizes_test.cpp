// How many keys the CPU kernels take at a time: what the growth promises, at the shapes that matter.
#include "cpu/tile_sizes.h"

#include <gtest/gtest.h>

namespace flash_mla::cpu {
namespace {

constexpr int64_t kLatentBytes = 2 * 576;

TEST(TileSizes, AnMlaTileOfBfloat16GrowsToTheLongest) {
  const TileSizes tiles = tile_sizes(kLatentBytes, 1);
  EXPECT_EQ(tiles.first, 16);
  EXPECT_EQ(tiles.after(16), 32);
  EXPECT_EQ(tiles.after(32), 64);
  EXPECT_EQ(tiles.after(64), 128);
  EXPECT_EQ(tiles.after(128), 128);
}

TEST(TileSizes, MorePanelsComputeLongerSoTilesGrowFaster) {
  EXPECT_EQ(tile_sizes(kLatentBytes, 2).after(16), 64);
  EXPECT_EQ(tile_sizes(kLatentBytes, 8).after(16), 128);
}

TEST(TileSizes, WideRowsOfOnePanelStayShort) {
  EXPECT_EQ(tile_sizes(4 * 576, 1).most, 64);
  EXPECT_EQ(tile_sizes(2 * 8 * 256, 1).most, 64);  // K and V of 8 KV heads
  EXPECT_EQ(tile_sizes(4 * 576, 8).most, 128);     // shared by panels: stores of the output weigh more
}

TEST(TileSizes, AllAreEvenAndFitTheScores) {
  for (int64_t bytes = 2; bytes <= 16 * 1024; bytes *= 2) {
    for (int64_t panels = 1; panels <= kMaxPanels; ++panels) {
      const TileSizes tiles = tile_sizes(bytes, panels);
      int64_t keys = tiles.first;
      while (keys != tiles.most) {
        EXPECT_EQ(keys % 2, 0);
        EXPECT_LT(keys, tiles.after(keys));
        keys = tiles.after(keys);
      }
      EXPECT_EQ(keys % 2, 0);
      EXPECT_LE(keys, kMaxTileKeys);
    }
  }
}

}  // namespace
}  // namespace flash_mla::cpu
