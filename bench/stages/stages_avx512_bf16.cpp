// The stages as attend.h strings them together, on VDPBF16PS.
#include "bench/stages/stages.h"

#include <new>

#include "cpu/isa/avx512_bf16.h"
#include "cpu/pv.h"
#include "cpu/qk.h"
#include "cpu/refine.h"
#include "cpu/softmax.h"

namespace flash_mla::bench {
namespace {

using namespace flash_mla::cpu;
using Math = Avx512Bf16Math;

constexpr int kWords = kWidth / 2, kBlockWidth = Math::kPvVecs * Math::kLanes, kBlocks = kValueWidth / kBlockWidth;
constexpr float kScaleLog2 = 1.44269504f / 24;

/// A tile and its panel; the arrays lie behind it.
struct Tile {
  int keys;
  Panel panel;
  Outstanding<Math> outstanding;
  Prefetcher prefetcher;
  alignas(64) float max[kPanelRows];
  uint16_t* row[kMaxTileKeys];
  uint32_t* queries;
  float *scores, *output;
  uint32_t* weights;
};

constexpr size_t kTileBytes = (sizeof(Tile) + 63) / 64 * 64;
constexpr size_t kQueryBytes = sizeof(uint32_t) * kWords * kPanelRows;
constexpr size_t kOutputBytes = sizeof(float) * kValueWidth * kPanelRows;
constexpr size_t kScoreBytes = sizeof(float) * kMaxTileKeys * kPanelRows;

Tile& tile_at(void* memory) {
  return *static_cast<Tile*>(memory);
}

void scores(void* memory) {
  Tile& tile = tile_at(memory);
  qk_tile<Math, 1>(tile.queries, tile.row, 0, tile.keys, kWords, tile.scores, tile.max, tile.prefetcher);
}

void softmax(void* memory) {
  Tile& tile = tile_at(memory);
  softmax_tile<Math, 1>(tile.panel, tile.outstanding, kScaleLog2, tile.scores, tile.max, tile.keys, tile.weights,
                        nullptr, tile.output, kBlocks, kBlockWidth);
}

void values(void* memory) {
  Tile& tile = tile_at(memory);
  pv_tile<Math>(tile.weights, tile.row, 0, tile.keys / 2, kBlocks, tile.output, kPanelRows, 0xffff, false,
                tile.prefetcher);
}

void all(void* memory) {
  Tile& tile = tile_at(memory);
  scores(memory);
  softmax(memory);
  values(memory);
  tile.outstanding.note<1>(tile.panel, kScaleLog2, tile.scores, tile.max, tile.keys, tile.row, 0, tile.output, kBlocks);
}

double score_flop(int keys) {
  return 2.0 * kPanelRows * kWidth * keys;
}
double value_flop(int keys) {
  return 2.0 * kPanelRows * kValueWidth * keys;
}

}  // namespace

size_t tile_bytes(int keys) {
  return kTileBytes + kQueryBytes + kOutputBytes + kScoreBytes + kScoreBytes + kOutstandingBytes +
         sizeof(uint16_t) * kWidth * static_cast<size_t>(keys);
}

void fill_tile(void* memory, int keys, void (*row)(const void*, int, uint16_t*), const void* source) {
  Tile& tile = *new (memory) Tile;
  char* end = static_cast<char*>(memory) + kTileBytes;
  const auto take = [&end](size_t bytes) {
    char* begin = end;
    end += bytes;
    return begin;
  };
  tile.keys = keys;
  tile.queries = reinterpret_cast<uint32_t*>(take(kQueryBytes));
  tile.output = reinterpret_cast<float*>(take(kOutputBytes));
  tile.scores = reinterpret_cast<float*>(take(kScoreBytes));
  tile.weights = reinterpret_cast<uint32_t*>(take(kScoreBytes));
  tile.outstanding.start(take(kOutstandingBytes));
  for (int r = 0; r < kPanelRows; ++r) {
    uint16_t query[kWidth];
    row(source, r, query);
    for (int word = 0; word < kWords; ++word) memcpy(&tile.queries[word * kPanelRows + r], query + 2 * word, 4);
  }
  for (int key = 0; key < keys; ++key) {
    tile.row[key] = reinterpret_cast<uint16_t*>(take(sizeof(uint16_t) * kWidth));
    row(source, kPanelRows + key, tile.row[key]);
  }
  memset(tile.output, 0, kOutputBytes);
  Unit unit = {};
  unit.group = kPanelRows;
  unit.s_k = keys, unit.s_q = 1;
  start_panel<Math>(unit, 0, kPanelRows, kWords, tile.panel);
  tile.prefetcher.clear();
  // The first tile raises the maximum, which later ones seldom do: that is not measured.
  scores(memory);
  softmax(memory);
  tile.panel.touched = true;
}

const Stage kAvx512Bf16Stages[kStages] = {
    {"scores", score_flop, scores},
    {"softmax", [](int) { return 0.0; }, softmax},
    {"values", value_flop, values},
    {"all", [](int keys) { return score_flop(keys) + value_flop(keys); }, all},
};

}  // namespace flash_mla::bench
