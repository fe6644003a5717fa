// The stages of a tile, each on its own, as plain functions: what they are made of is compiled for one instruction set.
#pragma once

#include <stddef.h>

namespace flash_mla::bench {

/// 16 query rows of MLA's widths (576 / 512).
inline constexpr int kWidth = 576, kValueWidth = 512, kRows = 16;

struct Stage {
  const char* name;
  double (*flop)(int keys);  ///< counted in dot products of one run
  void (*run)(void* tile);
};

/// Memory for a tile of that many keys (at most 128) and all that its stages read and write.
size_t tile_bytes(int keys);
/// Lays a tile out in `memory` (tile_bytes(keys), aligned to 64) and fills it with values of that deviation, which
/// normal() draws.
void fill_tile(void* memory, int keys, float (*normal)(void* source), void* source);

inline constexpr int kStages = 4;
extern const Stage kAvx512Bf16Stages[kStages];

}  // namespace flash_mla::bench
