// The keys of one tile: a pointer to each key's row, whatever pages it came from, so that no page size, stride or
// window changes what the dot products see.
//
// Rows are used in place where their element is what the dot product takes and the last block of columns stays inside
// the row; otherwise they are converted or padded into scratch, once a tile for all panels.
#pragma once

#include "cpu/isa/common.h"
#include "cpu/kernel.h"
#include "cpu/prefetch.h"

namespace flash_mla::cpu {
namespace {

// Stands in for the keys that round an odd tile up. Zero, so that a weight of zero times it is zero.
alignas(64) constexpr uint32_t kZeroRow[1024 + 64] = {};

struct FromFloat32 {
  using Raw = float;
  template <class Isa>
  FLASH_MLA_INLINE typename Isa::Vec load(const Raw* p) {
    return Isa::load(p);
  }
};
struct FromBfloat16 {
  using Raw = uint16_t;
  template <class Isa>
  FLASH_MLA_INLINE typename Isa::Vec load(const Raw* p) {
    return Isa::from_bfloat16(p);
  }
};
struct FromFloat16 {
  using Raw = uint16_t;
  template <class Isa>
  FLASH_MLA_INLINE typename Isa::Vec load(const Raw* p) {
    return Isa::from_float16(p);
  }
};

/// Converts `width` elements and fills up to `padded` with zeros.
template <class M, class From>
void stage_row(float* to, const typename From::Raw* from, int width, int padded) {
  int i = 0;
  for (; i + M::kLanes <= width; i += M::kLanes) M::store(to + i, From::template load<M>(from + i));
  if (i < width) {
    typename From::Raw tail[M::kLanes] = {};
    memcpy(tail, from + i, sizeof(*from) * (width - i));
    float converted[M::kLanes];
    M::store(converted, From::template load<M>(tail));
    for (int j = 0; i < width; ++i, ++j) to[i] = converted[j];
  }
  for (; i < padded; ++i) to[i] = 0;
}
template <class M, class From>
void stage_row(uint16_t* to, const uint16_t* from, int width, int padded) {
  memcpy(to, from, 2 * static_cast<size_t>(width));
  memset(to + width, 0, 2 * static_cast<size_t>(padded - width));
}

/// Calls visit(first key, k offset, v offset, keys) for each stretch of visible keys [begin, end) that shares a page.
template <class Visit>
FLASH_MLA_INLINE void for_each_run(const Unit& unit, int64_t begin, int64_t end, Visit visit) {
  const KeyPages& keys = unit.keys;
  const uint32_t page_size = static_cast<uint32_t>(keys.page_size);
  while (begin < end) {
    const bool sink = begin < unit.sink_end;
    const int64_t key = sink ? begin : begin - unit.sink_end + unit.window_begin;
    const uint32_t column = static_cast<uint32_t>(key) / page_size;
    const uint32_t offset = static_cast<uint32_t>(key) % page_size;
    const int64_t page = keys.pages[column * keys.table_stride];
    const int64_t count = minimum((sink ? minimum(end, unit.sink_end) : end) - begin, page_size - offset);
    visit(key, page * keys.k_page_stride + offset * keys.k_token_stride,
          page * keys.v_page_stride + offset * keys.v_token_stride, count);
    begin += count;
  }
}

constexpr int round_up(int value, int multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// Widths of rows as the blocks read them: keys in whole words, values in whole blocks of columns.
template <class M>
struct Widths {
  static constexpr int kBlock = M::kPvVecs * M::kLanes;
  int words;   // of a key
  int blocks;  // of columns of a value
  int k_row;   // elements of a staged key row (where V is part of K, of both)
  int v_row;

  Widths(const Unit& unit)
      : words((unit.d + M::kDepth - 1) / M::kDepth),
        blocks((unit.d_v + kBlock - 1) / kBlock),
        k_row(words * M::kDepth),
        v_row(blocks * kBlock) {
    if (unit.keys.v == nullptr && k_row < v_row) k_row = v_row;
  }
};

template <class M, class From>
class KeyTile {
 public:
  using Stored = typename M::Stored;
  using Raw = typename From::Raw;

  const Stored* k[kMaxTileKeys];
  const Stored* v[kMaxTileKeys];
  int32_t key[kMaxTileKeys];  // position in the sequence
  int count = 0;

  KeyTile(const Unit& unit, const Widths<M>& widths, Stored* staging)
      : unit_(unit), widths_(widths), staging_(staging) {
    const bool separate = unit.keys.v != nullptr;
    direct_ = kSameElement && unit.d % M::kDepth == 0 && widths.v_row <= (separate ? unit.d_v : unit.d);
  }

  /// Whether the rows are the cache's own, which stay where they are when the next tile is loaded.
  [[nodiscard]] bool in_place() const { return direct_; }

  void load(int64_t begin, int64_t end) {
    count = 0;
    for_each_run(unit_, begin, end, [&](int64_t first, int64_t k_offset, int64_t v_offset, int64_t keys) {
      for (int64_t i = 0; i < keys; ++i, ++count) {
        key[count] = static_cast<int32_t>(first + i);
        place(k_offset + i * unit_.keys.k_token_stride, v_offset + i * unit_.keys.v_token_stride);
      }
    });
    if (count % M::kDepth != 0) v[count] = reinterpret_cast<const Stored*>(kZeroRow);
  }

  /// Announces the rows of visible keys [begin, end), to be fetched over that many iterations.
  void prefetch(int64_t begin, int64_t end, int64_t iterations, Prefetcher& prefetcher) const {
    prefetcher.clear();
    const KeyPages& keys = unit_.keys;
    for_each_run(unit_, begin, end, [&](int64_t, int64_t k_offset, int64_t v_offset, int64_t n) {
      add_run(prefetcher, static_cast<const Raw*>(keys.k) + k_offset, keys.k_token_stride, unit_.d, n);
      if (keys.v != nullptr)
        add_run(prefetcher, static_cast<const Raw*>(keys.v) + v_offset, keys.v_token_stride, unit_.d_v, n);
    });
    prefetcher.start(iterations);
  }

 private:
  static constexpr bool kSameElement = sizeof(Stored) == sizeof(Raw);

  void place(int64_t k_offset, int64_t v_offset) {
    const Raw* k_row = static_cast<const Raw*>(unit_.keys.k) + k_offset;
    if (direct_) {
      k[count] = v[count] = reinterpret_cast<const Stored*>(k_row);
    } else {
      Stored* staged = staging_ + static_cast<int64_t>(count) * widths_.k_row;
      stage_row<M, From>(staged, k_row, unit_.d, widths_.k_row);
      k[count] = v[count] = staged;
    }
    if (unit_.keys.v == nullptr) return;
    const Raw* v_row = static_cast<const Raw*>(unit_.keys.v) + v_offset;
    if (direct_) {
      v[count] = reinterpret_cast<const Stored*>(v_row);
    } else {
      Stored* staged = staging_ + int64_t{kMaxTileKeys} * widths_.k_row + static_cast<int64_t>(count) * widths_.v_row;
      stage_row<M, From>(staged, v_row, unit_.d_v, widths_.v_row);
      v[count] = staged;
    }
  }

  static void add_run(Prefetcher& prefetcher, const Raw* row, int64_t stride, int width, int64_t rows) {
    const int64_t bytes = static_cast<int64_t>(sizeof(Raw));
    if (stride <= width + 64) {  // the gap between rows is at most a few lines: fetch it along
      prefetcher.add(row, ((rows - 1) * stride + width) * bytes);
      return;
    }
    for (int64_t i = 0; i < rows; ++i) prefetcher.add(row + i * stride, width * bytes);
  }

  const Unit& unit_;
  const Widths<M>& widths_;
  Stored* staging_;
  bool direct_;
};

}  // namespace
}  // namespace flash_mla::cpu
