// What the dispatcher and the per-ISA objects agree on: one unit of attention as plain numbers and pointers.
//
// The per-ISA objects are compiled with their own instruction flags. They include only this header, <stdint.h> and the
// intrinsics, and keep everything else in an anonymous namespace: an inline function that the linker merged from such
// an object into portable code would be an illegal instruction on other machines.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace flash_mla::cpu {

/// Query rows that share a key in registers: the lanes of the score tile, on every ISA.
inline constexpr int kPanelRows = 16;
/// Keys a tile at most, even; a panel's scores of one tile (8 KiB) stay in L1.
inline constexpr int kMaxTileKeys = 128;

/// Keys a panel notes for refinement (refine.h): their weights and a pointer each.
inline constexpr int kMaxOutstanding = 256;
inline constexpr size_t kOutstandingBytes = kMaxOutstanding * (4 * kPanelRows + sizeof(void*));

enum class Element : int { float32, bfloat16, float16 };

/// Rows of one KV head: row r is query token r / group and head r % group. Strides in elements.
struct QueryRows {
  const void* data;  // token 0, first head of the KV head's group
  int64_t token_stride, head_stride;
};
struct OutRows {
  void* data;
  int64_t token_stride, head_stride;
  Element element;
};
struct LseRows {
  float* data;  // null: not wanted
  int64_t token_stride, head_stride;
};

/// Where key n of one sequence lives, for the first of the unit's KV heads. Strides in elements.
struct KeyPages {
  const void* k;
  const void* v;  // null: V is the first columns of K
  int64_t k_page_stride, k_token_stride, k_head_stride;
  int64_t v_page_stride, v_token_stride, v_head_stride;
  const int32_t* pages;  // page of keys [i * page_size, (i + 1) * page_size) at pages[i * table_stride]
  int64_t table_stride;
  int64_t page_size;
};

/// Rows [row_begin, row_begin + row_count) of a KV head, or of several KV heads that share one query token (row_begin
/// is 0 then, and each has row_count / kv_heads of the rows, at most kPanelRows), over the visible keys numbered
/// [begin, end) of their block (core::KeyRange: number n is key n before sink_end, else n - sink_end + window_begin).
struct Unit {
  QueryRows q;
  KeyPages keys;
  OutRows out;
  LseRows lse;
  int64_t group;
  int64_t kv_heads;
  int64_t row_begin, row_count;
  int64_t begin, end;
  int64_t sink_end, window_begin;
  // What one row sees: keys k < key_end(token), and of those the last `window` (0: all) or the first `sinks`.
  int64_t s_k, s_q;
  bool causal;
  int64_t window, sinks;
  int d, d_v;
  float scale;
};

/// Partial results: parts of `rows` rows each with `columns` columns, `stride` floats apart (a multiple of 16), and
/// their lse.
struct MergeRows {
  const float* out;  // part p, row r at out + (p * rows + r) * stride
  const float* lse;  // lse[p * rows + r]
  int64_t parts, rows, columns, stride;
  int64_t group, row_begin;  // row r of a part is row row_begin + r of the targets
  OutRows target;
  LseRows target_lse;
};

/// `next`: the unit that the same thread will take up then, or null; its first keys are fetched in advance.
using AttendFunction = void (*)(const Unit& unit, const Unit* next, void* scratch);
using MergeFunction = void (*)(const MergeRows& merge, int64_t first, int64_t last);

/// Panels a unit takes at most.
inline constexpr int kMaxPanels = 8;
/// Of up to kPanelRows rows each, none with rows of two KV heads.
inline int64_t num_panels(int64_t rows, int64_t kv_heads) {
  return kv_heads > 1 ? kv_heads : (rows + kPanelRows - 1) / kPanelRows;
}

/// Bytes of scratch an attend function needs (alignment 64), the same for every ISA and element.
size_t scratch_size(int64_t panels, int d, int d_v, bool separate_v);

}  // namespace flash_mla::cpu
