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
alignas(64) inline constexpr uint32_t kZeroRow[1024 + 64] = {};

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

  explicit Widths(const Unit& unit)
      : words((unit.d + M::kDepth - 1) / M::kDepth),
        blocks((unit.d_v + kBlock - 1) / kBlock),
        k_row(words * M::kDepth),
        v_row(blocks * kBlock) {
    if (unit.keys.v == nullptr && k_row < v_row) k_row = v_row;
  }
};

template <class A, class B>
inline constexpr bool kSame = false;
template <class A>
inline constexpr bool kSame<A, A> = true;

template <class M, class From>
class KeyTile {
 public:
  using Stored = typename M::Stored;
  using Raw = typename From::Raw;

  int32_t key[kMaxTileKeys];  // position in the sequence
  int count = 0;

  KeyTile(const Unit& unit, const Widths<M>& widths) : widths_(widths) {
    separate_ = unit.keys.v != nullptr;
    in_place_ = kSame<Stored, Raw> && unit.d % M::kDepth == 0 && widths.v_row <= (separate_ ? unit.d_v : unit.d);
  }

  /// Whether the rows are the cache's own, which stay where they are when the next tile comes.
  [[nodiscard]] bool in_place() const { return in_place_; }
  /// [count] pointers to rows of keys and values, as the dot products take them; a row of zeros follows.
  [[nodiscard]] const Stored* const* k() const { return rows_of(raw_k_, k_); }
  [[nodiscard]] const Stored* const* v() const { return separate_ ? rows_of(raw_v_, v_) : k(); }

  /// Finds the rows of visible keys [begin, end) of a unit.
  void find(const Unit& unit, int64_t begin, int64_t end) {
    const KeyPages& keys = unit.keys;
    count = 0;
    for_each_run(unit, begin, end, [&](int64_t first, int64_t k_offset, int64_t v_offset, int64_t n) {
      const Raw* k_row = static_cast<const Raw*>(keys.k) + k_offset;
      for (int64_t i = 0; i < n; ++i) {
        key[count + i] = static_cast<int32_t>(first + i);
        raw_k_[count + i] = k_row + i * keys.k_token_stride;
      }
      if (separate_) {
        const Raw* v_row = static_cast<const Raw*>(keys.v) + v_offset;
        for (int64_t i = 0; i < n; ++i) raw_v_[count + i] = v_row + i * keys.v_token_stride;
      }
      count += static_cast<int>(n);
    });
  }

  /// Where the unit's KV head number `head` has its rows behind those of its first, in elements.
  [[nodiscard]] int64_t k_offset(const Unit& unit, int64_t head) const {
    return in_place_ ? head * unit.keys.k_head_stride : 0;
  }
  [[nodiscard]] int64_t v_offset(const Unit& unit, int64_t head) const {
    return !in_place_ ? 0 : head * (separate_ ? unit.keys.v_head_stride : unit.keys.k_head_stride);
  }

  /// Makes k() and v() those of a KV head: converts or pads rows that the dot products cannot take as they are.
  void stage(const Unit& unit, int64_t head, Stored* staging) {
    if (in_place_) {
      raw_k_[count] = zero_row(k_offset(unit, head));
      raw_v_[count] = zero_row(v_offset(unit, head));
      return;
    }
    for (int n = 0; n < count; ++n, staging += widths_.k_row) {
      stage_row<M, From>(staging, raw_k_[n] + head * unit.keys.k_head_stride, unit.d, widths_.k_row);
      k_[n] = staging;
    }
    k_[count] = v_[count] = reinterpret_cast<const Stored*>(kZeroRow);
    if (!separate_) return;
    for (int n = 0; n < count; ++n, staging += widths_.v_row) {
      stage_row<M, From>(staging, raw_v_[n] + head * unit.keys.v_head_stride, unit.d_v, widths_.v_row);
      v_[n] = staging;
    }
  }

  /// Announces the rows of visible keys [begin, end) of a unit, to be fetched over that many iterations.
  static void prefetch(const Unit& unit, int64_t begin, int64_t end, int64_t iterations, Prefetcher& prefetcher) {
    const KeyPages& keys = unit.keys;
    prefetcher.clear();
    for_each_run(unit, begin, end, [&](int64_t, int64_t k_offset, int64_t v_offset, int64_t n) {
      announce(static_cast<const Raw*>(keys.k) + k_offset, keys.k_token_stride, keys.k_head_stride, unit.d,
               unit.kv_heads, n, prefetcher);
      if (keys.v != nullptr)
        announce(static_cast<const Raw*>(keys.v) + v_offset, keys.v_token_stride, keys.v_head_stride, unit.d_v,
                 unit.kv_heads, n, prefetcher);
    });
    prefetcher.start(iterations);
  }

 private:
  /// What has zeros `offset` elements on.
  static const Raw* zero_row(int64_t offset) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): no object lies there
    return reinterpret_cast<const Raw*>(reinterpret_cast<uintptr_t>(kZeroRow) -
                                        static_cast<uintptr_t>(offset) * sizeof(Raw));
  }

  /// `rows` rows of `heads` heads: as one piece each, if heads lie side by side.
  static void announce(const Raw* row, int64_t stride, int64_t head_stride, int64_t width, int64_t heads, int64_t rows,
                       Prefetcher& prefetcher) {
    constexpr int64_t kBytes = sizeof(Raw);
    if (head_stride == width) width *= heads, heads = 1;
    for (int64_t head = 0; head < heads; ++head, row += head_stride) {
      if (stride == width) {
        prefetcher.add(row, rows * width * kBytes);
      } else {
        for (int64_t i = 0; i < rows; ++i) prefetcher.add(row + i * stride, width * kBytes);
      }
    }
  }

  const Stored* const* rows_of(const Raw* const* raw, const Stored* const* staged) const {
    if constexpr (kSame<Stored, Raw>) {
      if (in_place_) return raw;
    }
    return staged;
  }

  const Widths<M>& widths_;
  bool separate_, in_place_;
  const Raw *raw_k_[kMaxTileKeys + 1], *raw_v_[kMaxTileKeys + 1];
  const Stored *k_[kMaxTileKeys + 1], *v_[kMaxTileKeys + 1];
};

}  // namespace
}  // namespace flash_mla::cpu
