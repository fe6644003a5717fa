// The stages of a tile, each on its own, as plain functions: what they are made of is compiled for one instruction set.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace flash_mla::bench {

/// 16 query rows of MLA's widths (576 / 512).
inline constexpr int kWidth = 576, kValueWidth = 512;

struct Stage {
  const char* name;
  double (*flop)(int keys);  ///< counted in dot products of one run
  void (*run)(void* tile);
};

/// Memory for a tile of that many keys (at most 128) and all that its stages read and write.
size_t tile_bytes(int keys);
/// Lays a tile out in `memory` (tile_bytes(keys), aligned to 64). `row` copies row number n of kWidth bfloat16: 16
/// queries, then the keys.
void fill_tile(void* memory, int keys, void (*row)(const void* source, int n, uint16_t* to), const void* source);

inline constexpr int kStages = 4;
extern const Stage kAvx512Bf16Stages[kStages];

}  // namespace flash_mla::bench
