// What the host and the Hopper kernels agree on: work units, parameters, launch figures and names. Plain C++, also for
// the device's compiler; no CUDA header is needed.
//
// What the host provides
// - The fat binary's kernels by decode_kernel() and merge_kernel_name(). A decode is at most two launches on one
// stream:
//   decode, then, if there are merges, merge.
// - decode: grid (num_parts, 1, 1), block (DecodeKernel::threads, 1, 1), DecodeKernel::shared_bytes of dynamic shared
//   memory (CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES has to be raised to it), no cluster. Parameters, in order:
//   the tensor map by value (128 bytes, aligned to 64), DecodeParams by value.
// - merge: grid (num_merges, merge_blocks(rows, d_v), 1), block (kMergeThreads, 1, 1), no dynamic shared memory.
// Parameter:
//   MergeParams by value. Launched with programmatic stream serialization, behind its decode in the same stream: it
//   waits itself for what decode writes. No other grid may come between.
// - The tensor map of the k cache (cuTensorMapEncodeTiled): element type of the cache (BFLOAT16 or FLOAT16), rank 4,
//   extents {d, page_size, h_kv, num_pages}, byte strides {token, KV head, page}, box {kChunkColumns,
//   box_rows(page_size), 1, 1}, element strides 1, no interleave, SWIZZLE_128B, L2 promotion 256B, out of bounds:
//   zeros. So the cache's base and all its strides have to be multiples of 16 bytes (the stride of an axis of extent 1
//   does not matter: give any such multiple) and the page size one of 8 (tensor_map_fits()). For other caches
//   DecodeParams::gathers is set and the map may hold anything.
// - In device memory: units grouped by part, part_begin [num_parts + 1], merges; the workspace for partial results:
//   partial_out [partial rows][d_v] float32 and partial_lse [partial rows] float32.
#pragma once

#include <stdint.h>

namespace flash_mla::sm90 {

/// Query rows a unit has at most: a row is query token row / group and head row % group of one KV head.
inline constexpr int kTileRows = 64;
/// Keys a step. Parts of a split block cost least if they begin at multiples of it.
inline constexpr int kTileKeys = 64;
/// Columns a box of the k cache.
inline constexpr int kChunkColumns = 64;

inline constexpr int kDecodeThreads = 384;  // two warpgroups that multiply, one that loads
inline constexpr int kPlanThreads = 256;    // a target each
inline constexpr int kMergeThreads = 256;
inline constexpr int kMergeWarps = kMergeThreads / 32;
inline constexpr int kMergeColumns = 128;  // of a row, a warp's

/// Rows that the kernels for few rows pad to: theirs are calls whose rows are a single tile.
inline constexpr int kFewRows[] = {8, 16, 32};
inline constexpr int kFewRowsThreads = 256;  // a warpgroup that multiplies, one that brings keys
inline constexpr int64_t kMaxShared = 232448;

inline constexpr const char* kPlanKernel = "flash_mla_sm90_plan";
/// Parts that the planner on the device plans for, and items up to which it takes them dearest first.
inline constexpr int kMostPlannedParts = 256;
inline constexpr int kMostSortedItems = 4096;

enum class Element : int32_t { bfloat16 = 0, float16 = 1 };

/// The pairs of widths there are kernels for.
struct Widths {
  int32_t d, d_v;
};
inline constexpr Widths kWidths[] = {{576, 512}, {512, 512}, {320, 256}, {288, 256}};

constexpr bool is_supported(int64_t d, int64_t d_v) {
  for (const Widths& widths : kWidths) {
    if (widths.d == d && widths.d_v == d_v) return true;
  }
  return false;
}

/// Rows of a box: what tiles and pages both consist of.
constexpr int64_t box_rows(int64_t page_size) {
  int64_t rows = kTileKeys;
  while (page_size % rows != 0) rows /= 2;
  return rows;
}

constexpr bool rows_are_aligned(uint64_t k_address, int64_t token_stride_bytes, int64_t head_stride_bytes,
                                int64_t page_stride_bytes) {
  return k_address % 16 == 0 && token_stride_bytes % 16 == 0 && head_stride_bytes % 16 == 0 &&
         page_stride_bytes % 16 == 0;
}

/// A map's strides are less than 2^40 and not negative.
constexpr bool tensor_map_fits(uint64_t k_address, int64_t page_size, int64_t token_stride_bytes,
                               int64_t head_stride_bytes, int64_t page_stride_bytes) {
  const auto fits = [](int64_t stride) { return stride >= 0 && stride < int64_t{1} << 40; };
  return page_size % 8 == 0 && fits(token_stride_bytes) && fits(head_stride_bytes) && fits(page_stride_bytes) &&
         rows_are_aligned(k_address, token_stride_bytes, head_stride_bytes, page_stride_bytes);
}

/// Null: no such kernel. The names are extern "C".
constexpr const char* decode_kernel_name(Element element, int64_t d, int64_t d_v) {
  const bool bf16 = element == Element::bfloat16;
  if (d == 576 && d_v == 512) return bf16 ? "flash_mla_sm90_decode_bf16_576_512" : "flash_mla_sm90_decode_fp16_576_512";
  if (d == 512 && d_v == 512) return bf16 ? "flash_mla_sm90_decode_bf16_512_512" : "flash_mla_sm90_decode_fp16_512_512";
  if (d == 320 && d_v == 256) return bf16 ? "flash_mla_sm90_decode_bf16_320_256" : "flash_mla_sm90_decode_fp16_320_256";
  if (d == 288 && d_v == 256) return bf16 ? "flash_mla_sm90_decode_bf16_288_256" : "flash_mla_sm90_decode_fp16_288_256";
  return nullptr;
}
constexpr const char* merge_kernel_name(Element element) {
  return element == Element::bfloat16 ? "flash_mla_sm90_merge_bf16" : "flash_mla_sm90_merge_fp16";
}

constexpr int64_t chunks(int64_t d) {
  return (d + kChunkColumns - 1) / kChunkColumns;
}

/// Dynamic shared memory of the decode kernel for many rows: query rows, two tiles of keys, probabilities, and 3 KiB
/// for the rest (its parts, and room to align them to 1024 bytes). src/sm90/shared_memory.h asserts it.
constexpr int64_t decode_shared_bytes(int64_t d) {
  return 3 * chunks(d) * kTileRows * kChunkColumns * 2 + kTileRows * kTileKeys * 2 + 3072;
}

/// The least of kFewRows that holds as many; 0: none.
constexpr int few_rows(int64_t rows) {
  for (const int padded : kFewRows) {
    if (rows > 0 && rows <= padded) return padded;
  }
  return 0;
}
/// Chunks of keys that fit beside the queries, weights and their remainders, and 1 KiB to align them. Of each row: two
/// figures a warp, its limits and where it goes; of each chunk: two mbarriers (src/sm90/few_rows_memory.h asserts it).
constexpr int64_t few_rows_slots(int64_t d, int64_t rows) {
  const int64_t row_bytes = (chunks(d) + 2) * kChunkColumns * 2 + 2 * 4 * 4 + 8 + 8;
  return (kMaxShared - 1024 - rows * row_bytes) / (kTileKeys * kChunkColumns * 2 + 2 * 8);
}

#define FLASH_MLA_FEW_ROWS_NAME(d, d_v, rows)                           \
  return bf16 ? "flash_mla_sm90_decode_bf16_" #d "_" #d_v "_rows" #rows \
              : "flash_mla_sm90_decode_fp16_" #d "_" #d_v "_rows" #rows
#define FLASH_MLA_FEW_ROWS_NAMES(width, value_width)                 \
  if (d == (width) && d_v == (value_width)) {                        \
    if (rows == 8) FLASH_MLA_FEW_ROWS_NAME(width, value_width, 8);   \
    if (rows == 16) FLASH_MLA_FEW_ROWS_NAME(width, value_width, 16); \
    if (rows == 32) FLASH_MLA_FEW_ROWS_NAME(width, value_width, 32); \
  }
/// For `rows` of kFewRows.
constexpr const char* few_rows_kernel_name(Element element, int64_t d, int64_t d_v, int64_t rows) {
  const bool bf16 = element == Element::bfloat16;
  FLASH_MLA_FEW_ROWS_NAMES(576, 512)
  FLASH_MLA_FEW_ROWS_NAMES(512, 512)
  FLASH_MLA_FEW_ROWS_NAMES(320, 256)
  FLASH_MLA_FEW_ROWS_NAMES(288, 256)
  return nullptr;
}
#undef FLASH_MLA_FEW_ROWS_NAMES
#undef FLASH_MLA_FEW_ROWS_NAME

struct DecodeKernel {
  const char* name;
  int32_t threads;
  int64_t shared_bytes;
};

/// For calls of `rows` query rows (s_q * group) a sequence and KV head; 0: they differ, as with ragged q. Which kernel
/// follows from the shape alone, so that a sequence's bits do not depend on the rest of the batch.
constexpr DecodeKernel decode_kernel(Element element, int64_t d, int64_t d_v, int64_t rows) {
  const int64_t few = few_rows(rows);
  if (few > 0) return {few_rows_kernel_name(element, d, d_v, few), kFewRowsThreads, kMaxShared};
  return {decode_kernel_name(element, d, d_v), kDecodeThreads, decode_shared_bytes(d)};
}

/// The merge's blocks for row blocks of such calls.
constexpr uint32_t merge_blocks(int64_t rows, int64_t d_v) {
  const int64_t most = rows > 0 && rows < kTileRows ? rows : kTileRows;
  return static_cast<uint32_t>((most * (d_v / kMergeColumns) + kMergeWarps - 1) / kMergeWarps);
}

/// One piece of work: up to kTileRows query rows of one sequence and KV head over keys [begin[0], end[0]) and
/// [begin[1], end[1]) of the sequence (the second range is there where a window leaves sinks; begin = end: empty).
/// Every row sees of these what the masks leave it; keys outside are not read, and their page table entries neither.
struct Unit {
  int32_t sequence;
  int32_t kv_head;
  int32_t first_token;  ///< 0, or with ragged q cu_seqlens_q[sequence]
  int32_t s_q;          ///< query tokens of the sequence
  int32_t s_k;
  int32_t row_begin, row_count;  ///< rows [row_begin, row_begin + row_count) of s_q * group
  int32_t begin[2], end[2];
  int32_t reserved;
  int64_t partial_row;  ///< -1: the result is final; else the row of the partial results where row_begin's goes
};
static_assert(sizeof(Unit) == 56);

/// Split row blocks: part p's result for row row_begin + r lies in partial row first_partial + p * row_count + r.
struct Merge {
  int32_t sequence;
  int32_t kv_head;
  int32_t first_token;
  int32_t row_begin, row_count;
  int32_t num_parts;
  int64_t first_partial;
};
static_assert(sizeof(Merge) == 32);

/// Where rows go. Strides in elements. Element [token t, head h] of sequence i is at
/// i * sequence_stride + (first_token + t) * token_stride + h * head_stride; ragged: sequence_stride is 0.
struct RowStrides {
  int64_t sequence, token, head;
};

struct Outputs {
  void* out;   ///< aligned to an element; rows of d_v elements
  float* lse;  ///< null: not wanted
  RowStrides out_strides, lse_strides;
  int32_t out_is_float32;
  int32_t group;  ///< query heads a KV head
};

/// In bytes.
struct KeyStrides {
  int64_t page, token, head;
};

struct DecodeParams {
  Outputs outputs;
  const void* k;  ///< where gathers is not 0: the cache, whose tensor map is not looked at then
  KeyStrides k_strides;
  const void* q;  ///< aligned to an element (rows aligned to 16 bytes load faster)
  RowStrides q_strides;
  const Unit* units;
  const int32_t* part_begin;  ///< [num_parts + 1]: part p does units [part_begin[p], part_begin[p + 1])
  const int32_t* page_table;
  int64_t table_sequence_stride, table_column_stride;
  int64_t num_pages;  ///< at most 2^31 - 1: coordinates of tensor maps have 32 bits
  float* partial_out;
  float* partial_lse;
  float scale_log2;  ///< softmax scale * log2(e)
  int32_t page_size;
  int32_t causal;
  int32_t window;        ///< 0: none; larger than 2^31 - 1 is the same as none
  int32_t sinks;         ///< larger than 2^31 - 1: 2^31 - 1
  int32_t gathers;       ///< not 0: keys are copied row by row, for caches that no tensor map fits
  int32_t k_is_aligned;  ///< with gathers; not 0: k and k_strides are multiples of 16
  int32_t reserved;
};

struct MergeParams {
  Outputs outputs;
  const Merge* merges;
  const float* partial_out;
  const float* partial_lse;
  int32_t d_v;
  int32_t reserved;
};

/// A unit that the planner has placed.
struct PlannedUnit {
  int32_t item, split, begin, count;  ///< quanta of kTileKeys
  int32_t part, index_in_part;
};
/// What becomes of an item.
struct PlannedItem {
  int32_t num_splits;
  int32_t merge;  ///< -1: it is not split
  int64_t first_partial;
};

/// The planner: grid (1, 1, 1), block (kPlanThreads, 1, 1), no dynamic shared memory. Items are the row blocks of all
/// sequences and KV heads: number (sequence * h_kv + head) * row_blocks + block.
struct PlanParams {
  const int32_t* seqlens;
  int64_t seqlens_stride;
  int64_t window, sinks;
  int64_t unit_cost, split_cost, quantum_cost;  ///< nanoseconds
  int32_t causal;
  int32_t batch, s_q, h_kv, group;
  int32_t rows_per_block, row_blocks;
  int32_t num_parts, num_merges;
  // What decode and merge read: [items + parts], [parts + 1], [num_merges]
  Unit* units;
  int32_t* part_begin;
  Merge* merges;
  // Scratch.
  int32_t* quanta;       ///< [items]
  int32_t* order;        ///< [items] dearest first
  int64_t* loads;        ///< [parts][kPlanThreads]
  PlannedUnit* planned;  ///< [items + parts]
  PlannedItem* items;    ///< [items]
};

}  // namespace flash_mla::sm90
