// How many keys of a unit are taken at a time.
#pragma once

#include "cpu/isa/common.h"
#include "cpu/kernel.h"

namespace flash_mla::cpu {
namespace {

/// Tiles grow from `first` keys to `most`. All are even.
struct TileSizes {
  int64_t first, growth, most;

  /// The size of the tile that follows one of `keys`.
  [[nodiscard]] constexpr int64_t after(int64_t keys) const { return keys * growth < most ? keys * growth : most; }
};

/// For keys of that many bytes as the dot products read them, each read by so many panels.
///
/// Nothing is computed until the first tile has come from memory, so it is small; while a tile is computed the next one
/// is fetched, so that may be longer by no more than what computing takes longer than fetching. The longer a tile, the
/// fewer times the output is loaded, added to and stored; but it and the next should take no more than a third of an L2
/// of 1 MiB, but where several panels share the reading and the stores weigh more.
constexpr TileSizes tile_sizes(int64_t key_bytes, int64_t panels) {
  constexpr int64_t kFirst = 16, kMostGrowth = 8, kTileBytes = 160 * 1024;
  const bool is_long = panels > 1 || kMaxTileKeys * key_bytes <= kTileBytes;
  return {kFirst, 2 * panels < kMostGrowth ? 2 * panels : kMostGrowth, is_long ? kMaxTileKeys : kMaxTileKeys / 2};
}

}  // namespace
}  // namespace flash_mla::cpu
