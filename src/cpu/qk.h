// Scores of a panel: S[key][16 rows] = K Q^T.
//
// Rows are the lanes: a word of a key is broadcast against the words of 16 queries, so there is no horizontal sum, no
// packing of K, and the softmax over keys is lane-wise.
#pragma once

#include "cpu/isa/common.h"
#include "cpu/kernel.h"
#include "cpu/prefetch.h"

namespace flash_mla::cpu {
namespace {

template <class M>
constexpr int kPanelVecs = kPanelRows / M::kLanes;

/// `max` takes the largest score of each row; NaN does not count.
template <class M, int kKeys>
FLASH_MLA_INLINE void qk_block(const uint32_t* q, const typename M::Stored* const* keys, int words, float* scores,
                               typename M::Vec (&max)[kPanelVecs<M>], Prefetcher& prefetcher) {
  constexpr int kVecs = kPanelVecs<M>;
  typename M::Vec sum[kKeys][kVecs];
  const char* row[kKeys];
  FLASH_MLA_UNROLL for (int n = 0; n < kKeys; ++n) {
    row[n] = reinterpret_cast<const char*>(keys[n]);
    FLASH_MLA_UNROLL for (int i = 0; i < kVecs; ++i) sum[n][i] = M::zero();
  }
  const auto step = [&](int64_t word) __attribute__((always_inline)) {
    typename M::Operand query[kVecs];
    FLASH_MLA_UNROLL for (int i = 0; i < kVecs; ++i) query[i] = M::load_operand(q + word * kPanelRows + i * M::kLanes);
    FLASH_MLA_UNROLL for (int n = 0; n < kKeys; ++n) {
      const typename M::Operand key = M::broadcast(row[n] + word * 4);
      FLASH_MLA_UNROLL for (int i = 0; i < kVecs; ++i) sum[n][i] = M::dot(sum[n][i], query[i], key);
    }
  };
  const char* next = prefetcher.cursor;
  const int64_t stride = prefetcher.step;
  int64_t word = 0;
  for (; word + 2 <= words; word += 2) {
    step(word);
    step(word + 1);
    __builtin_prefetch(next, 0, 2);
    next += stride;
  }
  if (word < words) step(word);
  Prefetcher::moved(prefetcher, next, words / 2);
  FLASH_MLA_UNROLL for (int n = 0; n < kKeys; ++n) {
    FLASH_MLA_UNROLL for (int i = 0; i < kVecs; ++i) {
      max[i] = M::max_number(sum[n][i], max[i]);
      M::store(scores + n * kPanelRows + i * M::kLanes, sum[n][i]);
    }
  }
}

template <class M>
void qk_tile(const uint32_t* q, const typename M::Stored* const* keys, int count, int words, float* scores,
             float* max_out, Prefetcher& prefetcher) {
  typename M::Vec max[kPanelVecs<M>];
  FLASH_MLA_UNROLL for (int i = 0; i < kPanelVecs<M>; ++i) max[i] = M::set(-__builtin_inff());
  int n = 0;
  for (; n + M::kQkKeys <= count; n += M::kQkKeys) {
    qk_block<M, M::kQkKeys>(q, keys + n, words, scores + n * kPanelRows, max, prefetcher);
  }
  if constexpr (M::kQkKeys > 4) {
    for (; n + 4 <= count; n += 4) qk_block<M, 4>(q, keys + n, words, scores + n * kPanelRows, max, prefetcher);
  }
  for (; n < count; ++n) qk_block<M, 1>(q, keys + n, words, scores + n * kPanelRows, max, prefetcher);
  FLASH_MLA_UNROLL for (int i = 0; i < kPanelVecs<M>; ++i) M::store(max_out + i * M::kLanes, max[i]);
}

}  // namespace
}  // namespace flash_mla::cpu
