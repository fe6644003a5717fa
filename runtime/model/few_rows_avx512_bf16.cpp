// Compiled for AVX512_BF16: nothing here may be used elsewhere, so it includes no inline function of others.
#include "model/few_rows_avx512_bf16.h"

#include <immintrin.h>

namespace flash_mla::runtime {
namespace {

constexpr int kVectors = 4;       // of 16 columns, a block's width
constexpr int64_t kMostRows = 6;  // at a time: 24 sums, 4 vectors of weights and a pair of x fill the registers
constexpr int64_t kPair = 2 * kFewRowsColumns;
constexpr int64_t kAhead = 4096;  // bytes

struct Rows {
  const uint16_t* x;
  int64_t x_stride;
  void* out;
  int64_t out_stride;
};

__m512bh broadcast_pair(const uint16_t* x, bool has_second) {
  const uint32_t second = has_second ? x[1] : 0;
  return reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(x[0] | second << 16)));
}

template <int kRows>
void add_pair(__m512 (&sums)[kRows][kVectors], const Rows& rows, int64_t k, bool whole, const uint16_t* weights) {
  __m512bh columns[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) columns[v] = reinterpret_cast<__m512bh>(_mm512_loadu_si512(weights + 32 * v));
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
    const __m512bh pair = broadcast_pair(rows.x + r * rows.x_stride + k, whole);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sums[r][v] = _mm512_dpbf16_ps(sums[r][v], pair, columns[v]);
  }
}

void store(const __m512 (&sums)[kVectors], void* out, bool as_bfloat16, int64_t columns) {
  for (int v = 0; v < kVectors && columns > 16 * v; ++v) {
    const int64_t left = columns - 16 * v;
    const auto mask = static_cast<__mmask16>(left >= 16 ? 0xffff : (1u << left) - 1);
    if (as_bfloat16) {
      const __m256i rounded = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(sums[v]));
      _mm256_mask_storeu_epi16(static_cast<uint16_t*>(out) + 16 * v, mask, rounded);
    } else {
      _mm512_mask_storeu_ps(static_cast<float*>(out) + 16 * v, mask, sums[v]);
    }
  }
}

template <int kRows>
void multiply(const FewRowsProduct& product, const uint16_t* weights, const Rows& rows, int64_t columns) {
  constexpr int kChains = kRows == 1 ? 2 : 1;  // 4 sums alone would wait for each other
  __m512 sums[kChains][kRows][kVectors] = {};
  const int64_t whole = product.inner / (2 * kChains) * (2 * kChains);
  for (int64_t k = 0; k < whole; k += 2 * kChains) {
    const uint16_t* at = weights + k / 2 * kPair;
#pragma GCC unroll 2
    for (int chain = 0; chain < kChains; ++chain) {
      const char* ahead = reinterpret_cast<const char*>(at + chain * kPair) + kAhead;
#pragma GCC unroll 4
      for (int line = 0; line < kVectors; ++line) _mm_prefetch(ahead + 64 * line, _MM_HINT_T0);
      add_pair<kRows>(sums[chain], rows, k + 2 * chain, true, at + chain * kPair);
    }
  }
  for (int64_t k = whole; k < product.inner; k += 2) {
    add_pair<kRows>(sums[0], rows, k, k + 1 < product.inner, weights + k / 2 * kPair);
  }
  for (int r = 0; r < kRows; ++r) {
    if constexpr (kChains == 2) {
      for (int v = 0; v < kVectors; ++v) sums[0][r][v] = _mm512_add_ps(sums[0][r][v], sums[1][r][v]);
    }
    const int64_t size = product.out_is_bfloat16 ? sizeof(uint16_t) : sizeof(float);
    store(sums[0][r], static_cast<char*>(rows.out) + r * rows.out_stride * size, product.out_is_bfloat16, columns);
  }
}

using Multiply = void (*)(const FewRowsProduct&, const uint16_t*, const Rows&, int64_t);
constexpr Multiply kMultiply[kMostRows] = {multiply<1>, multiply<2>, multiply<3>,
                                           multiply<4>, multiply<5>, multiply<6>};

}  // namespace

void multiply_few_rows_block(const FewRowsProduct& product, int64_t index, int64_t block) {
  const int64_t blocks = (product.outer + kFewRowsColumns - 1) / kFewRowsColumns;
  const int64_t depth = (product.inner + kFewRowsDepth - 1) / kFewRowsDepth * kFewRowsDepth;
  const uint16_t* weights = product.weights + (index * blocks + block) * depth * kFewRowsColumns;
  const int64_t first = block * kFewRowsColumns;
  const int64_t left = product.outer - first, columns = left < kFewRowsColumns ? left : kFewRowsColumns;
  const int64_t size = product.out_is_bfloat16 ? sizeof(uint16_t) : sizeof(float);
  // More rows than registers: the block is in the second-level cache when it is read again.
  for (int64_t row = 0; row < product.rows; row += kMostRows) {
    const int64_t left_rows = product.rows - row, count = left_rows < kMostRows ? left_rows : kMostRows;
    const int64_t out = index * product.out_batch_stride + row * product.out_row_stride + first;
    const Rows rows = {product.x + index * product.x_batch_stride + row * product.x_row_stride, product.x_row_stride,
                       static_cast<char*>(product.out) + out * size, product.out_row_stride};
    kMultiply[count - 1](product, weights, rows, columns);
  }
}

}  // namespace flash_mla::runtime
