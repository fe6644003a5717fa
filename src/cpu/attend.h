// One unit of attention: up to 128 query rows of a KV head over a run of keys.
//
//   for each tile of keys:
//     for each panel of 16 rows:  S = K Q^T (qk.h),  P = softmax (softmax.h),  O += P V (pv.h, refine.h)
//
// S and P of a panel stay in L1, the queries and outputs of all panels in L2, and a tile's keys are read from memory
// once for all panels.
#pragma once

#include "cpu/key_tile.h"
#include "cpu/output.h"
#include "cpu/panel.h"
#include "cpu/pv.h"
#include "cpu/qk.h"
#include "cpu/refine.h"
#include "cpu/softmax.h"

namespace flash_mla::cpu {
namespace {

/// Cuts scratch into the arrays of a unit; scratch.cpp adds up the same sizes.
template <class M>
struct Scratch {
  uint32_t* queries;  // [panels][words][16]
  float* output;      // [panels][blocks][16][block width]
  float* scores;      // [kMaxTileKeys][16]
  uint32_t* weights;  // [kMaxTileKeys / kDepth][16]
  char* outstanding;  // [panels] of kOutstandingBytes
  typename M::Stored* staging;

  Scratch(void* memory, int panels, const Widths<M>& widths) {
    char* p = static_cast<char*>(memory);
    const auto take = [&p](int64_t bytes) {
      char* taken = p;
      p += (bytes + 63) / 64 * 64;
      return taken;
    };
    queries = reinterpret_cast<uint32_t*>(take(int64_t{4} * panels * kPanelRows * widths.words));
    output = reinterpret_cast<float*>(take(int64_t{4} * panels * kPanelRows * widths.v_row));
    scores = reinterpret_cast<float*>(take(int64_t{4} * kMaxTileKeys * kPanelRows));
    weights = reinterpret_cast<uint32_t*>(take(int64_t{4} * kMaxTileKeys * kPanelRows));
    outstanding = take(static_cast<int64_t>(kOutstandingBytes) * panels);
    staging = reinterpret_cast<typename M::Stored*>(p);
  }
};

template <class M, class From>
void attend(const Unit& unit, void* memory) {
  constexpr float kLog2E = 1.44269504088896f;
  constexpr int kWidth = M::kPvVecs * M::kLanes;
  const Widths<M> widths(unit);
  const int panels = static_cast<int>((unit.row_count + kPanelRows - 1) / kPanelRows);
  const Scratch<M> scratch(memory, panels, widths);
  const int64_t query_words = static_cast<int64_t>(widths.words) * kPanelRows;
  const int64_t output_floats = static_cast<int64_t>(widths.v_row) * kPanelRows;
  // A scale of 0 makes all weights equal; the least normal number does the same and keeps hidden keys (-inf) hidden.
  const float magnitude = unit.scale < 0 ? -unit.scale : unit.scale;
  const float scale_log2 = magnitude > 0 ? magnitude * kLog2E : 0x1p-126f;

  Panel panel[kMaxUnitRows / kPanelRows];
  Outstanding<M> outstanding[kMaxUnitRows / kPanelRows];
  for (int p = 0; p < panels; ++p) {
    const int64_t first_row = unit.row_begin + p * kPanelRows;
    start_panel(unit, first_row, panel[p]);
    outstanding[p].start(scratch.outstanding + p * kOutstandingBytes);
    pack_queries<M, From>(unit, first_row, panel[p].rows, widths.words, scratch.queries + p * query_words);
  }

  KeyTile<M, From> tile(unit, widths, scratch.staging);
  Prefetcher prefetcher;
  for (int64_t begin = unit.begin; begin < unit.end; begin += unit.tile_keys) {
    const int64_t end = minimum(begin + unit.tile_keys, unit.end);
    tile.load(begin, end);
    const int64_t qk_iterations = (tile.count + M::kQkKeys - 1) / M::kQkKeys * (widths.words / 2);
    const int64_t pv_iterations = (kPanelRows + M::kPvRows - 1) / M::kPvRows * widths.blocks * (tile.count / M::kDepth);
    tile.prefetch(end, minimum(end + unit.tile_keys, unit.end), panels * (qk_iterations + pv_iterations), prefetcher);

    const int32_t first_key = tile.key[0], last_key = tile.key[tile.count - 1];
    for (int p = 0; p < panels; ++p) {
      Panel& rows = panel[p];
      if (first_key >= rows.most_end) continue;
      alignas(64) float max[kPanelRows];
      qk_tile<M>(scratch.queries + p * query_words, tile.k, tile.count, widths.words, scratch.scores, max, prefetcher);
      uint32_t live = 0xffff;
      if (!sees_all(unit, rows, first_key, last_key)) {
        live = hide_keys(unit, rows, tile.key, tile.count, scratch.scores);
        if (live == 0) continue;
        tile_max<M>(scratch.scores, tile.count, max);
      }
      float* output = scratch.output + p * output_floats;
      softmax_tile<M>(rows, outstanding[p], scale_log2, scratch.scores, max, tile.count, scratch.weights, output,
                      widths.blocks, kWidth);
      pv_tile<M>(scratch.weights, tile.v, (tile.count + M::kDepth - 1) / M::kDepth, widths.blocks, output, rows.rows,
                 live, !rows.touched, prefetcher);
      rows.touched = true;
      outstanding[p].note(rows, scale_log2, scratch.scores, max, tile.count, tile.v, output, widths.blocks);
      if (!tile.in_place()) outstanding[p].add(rows, output, widths.blocks);
    }
  }
  for (int p = 0; p < panels; ++p) {
    float* output = scratch.output + p * output_floats;
    outstanding[p].add(panel[p], output, widths.blocks);
    write_panel<M>(unit, panel[p], unit.row_begin + p * kPanelRows, output, widths.blocks);
  }
}

}  // namespace
}  // namespace flash_mla::cpu
