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
#include "cpu/queries.h"
#include "cpu/refine.h"
#include "cpu/softmax.h"
#include "cpu/tile_sizes.h"

namespace flash_mla::cpu {
namespace {

/// Cuts scratch into the arrays of a unit; scratch.cpp adds up the same sizes.
template <class M>
struct Scratch {
  uint32_t* queries;  // [panels][words][16]
  float* output;      // [panels][blocks][16][block width]
  float* scores;      // [kMaxTileKeys][16]
  uint32_t* weights;  // [kMaxTileKeys / kDepth][16]
  uint32_t* rest;     // as weights
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
    rest = reinterpret_cast<uint32_t*>(take(int64_t{4} * kMaxTileKeys * kPanelRows));
    outstanding = take(static_cast<int64_t>(kOutstandingBytes) * panels);
    staging = reinterpret_cast<typename M::Stored*>(p);
  }
};

/// A unit under way.
template <class M, class From>
class Attention {
 public:
  Attention(const Unit& unit, void* memory)
      : unit_(unit),
        widths_(unit),
        panels_(static_cast<int>(num_panels(unit.row_count, unit.kv_heads))),
        panel_rows_(unit.kv_heads > 1 ? unit.row_count / unit.kv_heads : kPanelRows),
        tiles_(tiles_of(unit)),
        scratch_(memory, panels_, widths_),
        in_two_steps_(M::kDepth == 2 && (unit.d_v <= kNarrow || visible_keys(unit) <= kShort)) {
    // A scale of 0 makes all weights equal; the least normal number does the same and keeps hidden keys (-inf) hidden.
    constexpr float kLog2E = 1.44269504088896f;
    const float magnitude = unit.scale < 0 ? -unit.scale : unit.scale;
    scale_log2_ = magnitude > 0 ? magnitude * kLog2E : 0x1p-126f;
    // Nobody fetched the first tile, unless the unit before was this worker's: it comes while the queries are packed.
    Prefetcher prefetcher;
    KeyTile<M, From>::prefetch(unit, unit.begin, minimum(unit.begin + tiles_.first, unit.end), 1, prefetcher);
    prefetcher.rush();
    for (int p = 0; p < panels_; ++p) {
      const int64_t first_row = unit.row_begin + p * panel_rows_;
      const int64_t rows = minimum(panel_rows_, unit.row_begin + unit.row_count - first_row);
      start_panel<M>(unit, first_row, rows, widths_.words, panel_[p]);
      outstanding_[p].start(scratch_.outstanding + p * kOutstandingBytes);
      with_split<M>(panel_[p], [&]<int kSplit>() {
        pack_queries<M, From, kSplit>(unit, first_row, panel_[p].rows, widths_.words, queries(p));
      });
    }
  }

  /// `next`, if any, is the unit that this thread will take up then: its first tile is fetched during the last of this.
  void run(const Unit* next) {
    KeyTile<M, From> tile(unit_, widths_);
    Prefetcher prefetcher;
    int64_t keys = tiles_.first, end = 0;
    for (int64_t begin = unit_.begin; begin < unit_.end; begin = end) {
      end = minimum(begin + keys, unit_.end);
      keys = tiles_.after(keys);
      tile.find(unit_, begin, end);
      if (end < unit_.end) {
        tile.prefetch(unit_, end, minimum(end + keys, unit_.end), iterations(tile.count), prefetcher);
      } else if (next != nullptr) {
        const int64_t first_end = minimum(next->begin + tiles_of(*next).first, next->end);
        tile.prefetch(*next, next->begin, first_end, iterations(tile.count), prefetcher);
      } else {
        prefetcher.clear();
      }
      if (unit_.kv_heads == 1) tile.stage(unit_, 0, scratch_.staging);
      for (int p = 0; p < panels_; ++p) {
        if (tile.key[0] >= panel_[p].most_end) continue;
        if (unit_.kv_heads > 1) tile.stage(unit_, p, scratch_.staging);
        with_split<M>(panel_[p], [&]<int kSplit>() { take_tile<kSplit>(p, tile, prefetcher); });
      }
    }
    for (int p = 0; p < panels_; ++p) {
      outstanding_[p].add(panel_[p], output(p), widths_.blocks);
      write_panel<M>(unit_, panel_[p], unit_.row_begin + p * panel_rows_, output(p), widths_.blocks);
    }
  }

 private:
  // Weights come in two bfloat16 steps, the second for what rounding the first leaves, where a second product is cheap
  // beside what it spares: with so few columns that rounding can turn an output row, and with so few keys that most of
  // them would need refinement.
  static constexpr int kNarrow = 64, kShort = 192;

  static TileSizes tiles_of(const Unit& unit) {
    const int64_t width = unit.d + (unit.keys.v != nullptr ? unit.d_v : 0);
    const int64_t panels = num_panels(unit.row_count, unit.kv_heads);
    return tile_sizes(static_cast<int64_t>(sizeof(typename M::Stored)) * width * unit.kv_heads,
                      unit.kv_heads > 1 ? 1 : panels);
  }

  static int64_t visible_keys(const Unit& unit) { return unit.sink_end + unit.s_k - unit.window_begin; }

  uint32_t* queries(int p) const { return scratch_.queries + int64_t{p} * widths_.words * kPanelRows; }
  float* output(int p) const { return scratch_.output + int64_t{p} * widths_.v_row * kPanelRows; }

  /// Of the inner loops over a tile of `count` keys.
  [[nodiscard]] int64_t iterations(int count) const {
    int64_t sum = 0;
    for (int p = 0; p < panels_; ++p) {
      sum += int64_t{(count + M::kQkKeys - 1) / M::kQkKeys} * (widths_.words / (2 * panel_[p].split)) +
             pv_iterations<M>(panel_[p].rows, widths_.blocks, count / M::kDepth);
    }
    return sum;
  }

  template <int kSplit>
  void take_tile(int p, const KeyTile<M, From>& tile, Prefetcher& prefetcher) {
    constexpr int kWidth = M::kPvVecs * M::kLanes;
    Panel& panel = panel_[p];
    float *scores = scratch_.scores, *out = output(p);
    const int64_t head = unit_.kv_heads > 1 ? p : 0;
    const int64_t v_offset = tile.v_offset(unit_, head);
    alignas(64) float max[kPanelRows];
    qk_tile<M, kSplit>(queries(p), tile.k(), tile.k_offset(unit_, head), tile.count, widths_.words, scores, max,
                       prefetcher);
    uint32_t live = 0xffff;
    if (!sees_all(unit_, panel, tile.key[0], tile.key[tile.count - 1])) {
      live = hide_keys<kSplit>(unit_, panel, tile.key, tile.count, scores);
      if (live == 0) return;
      tile_max<M, kSplit>(scores, tile.count, max);
    }
    uint32_t* rest = in_two_steps_ ? scratch_.rest : nullptr;
    softmax_tile<M, kSplit>(panel, outstanding_[p], scale_log2_, scores, max, tile.count, scratch_.weights, rest, out,
                            widths_.blocks, kWidth);
    const int steps = (tile.count + M::kDepth - 1) / M::kDepth;
    pv_tile<M>(scratch_.weights, tile.v(), v_offset, steps, widths_.blocks, out, panel.rows, live, !panel.touched,
               prefetcher);
    panel.touched = true;
    if (rest != nullptr) {
      pv_tile<M>(rest, tile.v(), v_offset, steps, widths_.blocks, out, panel.rows, live, false, prefetcher);
      return;
    }
    outstanding_[p].template note<kSplit>(panel, scale_log2_, scores, max, tile.count, tile.v(), v_offset, out,
                                          widths_.blocks);
    if (!tile.in_place()) outstanding_[p].add(panel, out, widths_.blocks);
  }

  const Unit& unit_;
  const Widths<M> widths_;
  const int panels_;
  const int64_t panel_rows_;
  const TileSizes tiles_;
  const Scratch<M> scratch_;
  const bool in_two_steps_;
  float scale_log2_;
  Panel panel_[kMaxPanels];
  Outstanding<M> outstanding_[kMaxPanels];
};

template <class M, class From>
void attend(const Unit& unit, const Unit* next, void* scratch) {
  Attention<M, From>(unit, scratch).run(next);
}

}  // namespace
}  // namespace flash_mla::cpu
