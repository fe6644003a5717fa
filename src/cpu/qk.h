// Scores of a panel: S = K Q^T, laid out as panel.h says.
//
// Rows are the lanes: a word of a key is broadcast against the words of 16 queries, so there is no horizontal sum, no
// packing of K, and the softmax over keys is lane-wise. A panel of few rows has kSplit words of each query side by
// side; as many words of a key are broadcast at once, and the lanes of a row are added up at the end.
#pragma once

#include "cpu/isa/common.h"
#include "cpu/kernel.h"
#include "cpu/panel.h"
#include "cpu/prefetch.h"

namespace flash_mla::cpu {
namespace {

template <class M>
constexpr int kPanelVecs = kPanelRows / M::kLanes;

/// The score vector of kSplit keys from the sums of each.
template <class M, int kSplit, int kVecs>
FLASH_MLA_INLINE void fold(const typename M::Vec (*sum)[kVecs], typename M::Vec (&score)[kVecs]) {
  if constexpr (kSplit == 1) {
    FLASH_MLA_UNROLL for (int i = 0; i < kVecs; ++i) score[i] = sum[0][i];
  } else if constexpr (kSplit == 2) {
    score[0] = M::fold_pairs(sum[0][0], sum[1][0]);
  } else {
    score[0] = M::fold_quads(sum[0][0], sum[1][0], sum[2][0], sum[3][0]);
  }
}

/// `max` takes the largest score of each lane; NaN does not count.
template <class M, int kSplit, int kKeys>
FLASH_MLA_INLINE void qk_block(const uint32_t* q, const typename M::Stored* const* keys, int64_t offset, int words,
                               float* scores, typename M::Vec (&max)[kPanelVecs<M>], Prefetcher& prefetcher) {
  constexpr int kVecs = kPanelVecs<M>;
  typename M::Vec sum[kKeys][kVecs];
  const char* row[kKeys];
  FLASH_MLA_UNROLL for (int n = 0; n < kKeys; ++n) {
    row[n] = reinterpret_cast<const char*>(keys[n] + offset);
    FLASH_MLA_UNROLL for (int i = 0; i < kVecs; ++i) sum[n][i] = M::zero();
  }
  const auto step = [&](int64_t word) __attribute__((always_inline)) {
    typename M::Operand query[kVecs];
    const uint32_t* words_of_rows = q + word * (kPanelRows / kSplit);
    FLASH_MLA_UNROLL for (int i = 0; i < kVecs; ++i) query[i] = M::load_operand(words_of_rows + i * M::kLanes);
    FLASH_MLA_UNROLL for (int n = 0; n < kKeys; ++n) {
      const typename M::Operand key = M::template broadcast<kSplit>(row[n] + word * 4);
      FLASH_MLA_UNROLL for (int i = 0; i < kVecs; ++i) sum[n][i] = M::dot(sum[n][i], query[i], key);
    }
  };
  PrefetchCursor next = Prefetcher::begin(prefetcher, words / (2 * kSplit));
  int64_t word = 0;
  for (; word + 2 * kSplit <= words; word += 2 * kSplit) {
    step(word);
    step(word + kSplit);
    fetch(next);
  }
  if (word < words) step(word);
  Prefetcher::end(prefetcher, next);
  FLASH_MLA_UNROLL for (int n = 0; n < kKeys; n += kSplit) {
    typename M::Vec score[kVecs];
    fold<M, kSplit, kVecs>(sum + n, score);
    FLASH_MLA_UNROLL for (int i = 0; i < kVecs; ++i) {
      max[i] = M::max_number(score[i], max[i]);
      M::store(scores + n / kSplit * kPanelRows + i * M::kLanes, score[i]);
    }
  }
}

/// The rows start `offset` elements behind where `keys` point.
template <class M, int kSplit>
FLASH_MLA_NOINLINE void qk_tile(const uint32_t* q, const typename M::Stored* const* keys, int64_t offset, int count,
                                int words, float* scores, float* max_out, Prefetcher& prefetcher) {
  typename M::Vec max[kPanelVecs<M>];
  FLASH_MLA_UNROLL for (int i = 0; i < kPanelVecs<M>; ++i) max[i] = M::set(-__builtin_inff());
  const auto run = [&]<int kKeys>(const typename M::Stored* const* rows, int n) __attribute__((always_inline)) {
    qk_block<M, kSplit, kKeys>(q, rows, offset, words, scores + n / kSplit * kPanelRows, max, prefetcher);
  };
  int n = 0;
  for (; n + M::kQkKeys <= count; n += M::kQkKeys) run.template operator()<M::kQkKeys>(keys + n, n);
  if constexpr (M::kQkKeys > 4) {
    for (; n + 4 <= count; n += 4) run.template operator()<4>(keys + n, n);
  }
  for (; n < count; n += kSplit) {
    const typename M::Stored* rows[kSplit];
    for (int i = 0; i < kSplit; ++i) rows[i] = keys[n + i < count ? n + i : count - 1];
    run.template operator()<kSplit>(rows, n);
  }
  FLASH_MLA_UNROLL for (int i = 0; i < kPanelVecs<M>; ++i) M::store(max_out + i * M::kLanes, max[i]);
  if constexpr (kSplit > 1) {
    hide_rest<kSplit>(count, scores);
    max_over_parts<kSplit>(max_out);
  }
}

}  // namespace
}  // namespace flash_mla::cpu
