// Defects of the kernels: a unit of work that is not the one that was planned, or another backend's kernel.
#include <algorithm>

#include "cpu/kernels.h"
#include "planted.h"

namespace flash_mla::planted {
namespace {

using cpu::Kernels;
using cpu::Unit;

void change(Unit& unit) {
  const bool last = unit.end == unit.sink_end + (unit.s_k - unit.window_begin);
  if (is_planted("drops_the_last_key") && unit.end > unit.begin) --unit.end;
  if (is_planted("drops_a_key_at_split_borders") && unit.begin > 0 && unit.end > unit.begin) ++unit.begin;
  if (is_planted("reads_past_the_length") && unit.window == 0 && last && unit.s_k > 0) ++unit.end, ++unit.s_k;
  if (is_planted("reads_before_the_window") && unit.window_begin > unit.sink_end) --unit.window_begin;
  if (is_planted("takes_the_first_page_only")) unit.keys.table_stride = 0;
  if (is_planted("forgets_causality")) unit.causal = false;
  if (is_planted("widens_the_window")) unit.window += unit.window > 0 && unit.window < INT32_MAX ? 1 : 0;
  if (is_planted("loses_a_sink")) unit.sinks = std::max<int64_t>(0, unit.sinks - 1);
  if (is_planted("loses_a_column_of_keys") && unit.d > 1) --unit.d;
  if (is_planted("takes_the_first_head_only")) unit.q.head_stride = 0;
  if (is_planted("takes_the_first_query_only")) unit.q.token_stride = 0;
  if (is_planted("forgets_the_scale's_sign") && unit.scale < 0) unit.scale = -unit.scale;
  if (is_planted("loses_half_of_the_scale")) unit.scale *= 0.5f;
  if (is_planted("writes_no_lse")) unit.lse.data = nullptr;
}

template <const Kernels* kReal, int kElement>
void attend(const Unit& given, const Unit* next, void* scratch) {
  Unit unit = given;
  change(unit);
  if (is_planted("leaves_empty_rows_alone") && unit.begin == unit.end) return;
  if (is_planted("shares_scratch_between_workers")) {
    alignas(64) static char shared[1 << 22];
    scratch = shared;
  }
  kReal->attend[kElement](unit, next, scratch);
}

template <const Kernels* kReal>
void merge(const cpu::MergeRows& given, int64_t first, int64_t last) {
  cpu::MergeRows rows = given;
  if (is_planted("skips_the_merge")) return;
  if (is_planted("merges_the_first_part_only")) rows.parts = 1;
  kReal->merge(rows, first, last);
}

#define FLASH_MLA_KERNELS(name, symbol)                    \
  extern const Kernels real_##name FLASH_MLA_REAL(symbol); \
  extern const Kernels wrap_##name FLASH_MLA_WRAP(symbol); \
  const Kernels wrap_##name = {                            \
      {attend<&real_##name, 0>, attend<&real_##name, 1>, attend<&real_##name, 2>}, merge<&real_##name>, 50};

}  // namespace

FLASH_MLA_KERNELS(scalar, "_ZN9flash_mla3cpu14kScalarKernelsE")
#if defined(__x86_64__)
FLASH_MLA_KERNELS(avx2, "_ZN9flash_mla3cpu12kAvx2KernelsE")
FLASH_MLA_KERNELS(avx512, "_ZN9flash_mla3cpu14kAvx512KernelsE")
FLASH_MLA_KERNELS(avx512_bf16, "_ZN9flash_mla3cpu18kAvx512Bf16KernelsE")
#elif defined(__aarch64__)
FLASH_MLA_KERNELS(neon, "_ZN9flash_mla3cpu12kNeonKernelsE")
FLASH_MLA_KERNELS(neon_bf16, "_ZN9flash_mla3cpu16kNeonBf16KernelsE")
#endif

}  // namespace flash_mla::planted
