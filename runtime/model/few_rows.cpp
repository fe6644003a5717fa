#include "model/few_rows.h"

#include "model/few_rows_avx512_bf16.h"

namespace flash_mla::runtime {

#ifdef FLASH_MLA_RUNTIME_FEW_ROWS
int64_t most_few_rows() {
  constexpr int64_t kMost = 12;  // 2048 x 8192 on Zen 4: oneDNN is ahead from 16 rows on
  static const bool runs = __builtin_cpu_supports("avx512bf16") != 0;
  return runs ? kMost : 0;
}

void multiply_few_rows(const FewRowsProduct& product) {
  constexpr int64_t kWorthATeam = 1 << 16;  // weights, which take some microseconds
  const int64_t blocks = (product.outer + kFewRowsColumns - 1) / kFewRowsColumns;
  const bool team = product.batch * product.inner * product.outer > kWorthATeam;
  // Dynamic: a thread that loses its core for a while would hold up the others.
#pragma omp parallel for schedule(dynamic) if (team)
  for (int64_t i = 0; i < product.batch * blocks; ++i) multiply_few_rows_block(product, i / blocks, i % blocks);
}
#else
int64_t most_few_rows() {
  return 0;
}

void multiply_few_rows(const FewRowsProduct&) {}
#endif

}  // namespace flash_mla::runtime
