// Defects of decode() as a whole.
#include <omp.h>

#include <cstdlib>
#include <limits>
#include <vector>

#include "flash_mla/decode.h"
#include "planted.h"
#include "values.h"

namespace flash_mla::planted {

#define FLASH_MLA_DECODE "_ZN9flash_mla6decodeERKNS_4PlanERKNS_10DecodeArgsE"

Status real_decode(const Plan& plan, const DecodeArgs& args) FLASH_MLA_REAL(FLASH_MLA_DECODE);

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// A call that is not the one that was made.
void change_call(DecodeArgs& args, std::vector<int32_t>& table, const Plan& plan) {
  if (is_planted("ignores_the_scale")) args.scale.reset();
  if (is_planted("assumes_dense_arrays")) {
    make_dense(args.q);
    make_dense(args.out);
  }
  if (is_planted("shares_a_workspace") && plan.workspace_size() > 0) {
    alignas(64) static char shared[1 << 22];
    args.workspace = shared;
    args.workspace_size = sizeof shared;
  }
  if (is_planted("offsets_of_32_bits")) {
    for (ConstTensor* tensor : {&args.q, &args.v_cache, &args.page_table, &args.seqlens}) cut_strides(*tensor);
    const int64_t most = (int64_t{1} << 31) / args.k_cache.strides[0];
    if (most == 0) return cut_strides(args.k_cache);
    for (int64_t i = 0; i < num_elements(args.page_table); ++i) {
      table.push_back(static_cast<int32_t>(static_cast<const int32_t*>(args.page_table.data)[i] % most));
    }
    args.page_table.data = table.data();
  }
}

/// A reason to refuse that is none.
bool refuses(const DecodeArgs& args) {
  if (is_planted("refuses_empty_batches") && num_elements(args.out) == 0) return true;
  if (is_planted("refuses_odd_widths") && args.q.shape[args.q.rank - 1] % 16 != 0) return true;
  if (is_planted("demands_lse") && args.lse.absent()) return true;
  if (is_planted("checks_dead_entries")) {
    const ConstTensor& table = args.page_table;
    for (int64_t i = 0; i < table.shape[0]; ++i) {
      for (int64_t j = 0; j < table.shape[1]; ++j) {
        const auto page = static_cast<const int32_t*>(table.data)[i * table.strides[0] + j * table.strides[1]];
        if (page < 0 || page >= args.k_cache.shape[0]) return true;
      }
    }
  }
  return false;
}

/// NaN in one row of a sequence, or in one element, and then in many.
void spread_nan(const DecodeArgs& args) {
  const Tensor& out = args.out;
  if (is_planted("nan_spreads_everywhere") && any_nan(out)) change_elements(out, [](double) { return kNan; });
  if (is_planted("nan_spreads_over_columns")) {
    for_each_row(out, [&](int64_t, int64_t offset) {
      bool bad = false;
      const int64_t columns = out.shape[out.rank - 1];
      for (int64_t i = 0; i < columns; ++i) bad = bad || std::isnan(test::load(out.dtype, out.data, offset + i));
      for (int64_t i = 0; bad && i < columns; ++i) test::store(out.dtype, out.data, offset + i, kNan);
    });
  }
}

void spoil_results(const DecodeArgs& args) {
  const Tensor &out = args.out, &lse = args.lse;
  if (num_elements(out) == 0) return;
  if (is_planted("zero_output")) change_elements(out, [](double) { return 0.0; });
  if (is_planted("nan_is_swallowed")) change_elements(out, [](double x) { return std::isnan(x) ? 0 : x; });
  if (is_planted("infinity_is_nan")) change_elements(out, [](double x) { return std::isinf(x) ? kNan : x; });
  if (is_planted("lse_in_base_2") && !lse.absent()) change_elements(lse, [](double x) { return x / std::log(2.0); });
  if (is_planted("empty_rows_are_nan") && !lse.absent()) {
    bool empty = false;
    change_elements(lse, [&](double x) {
      empty = empty || x == -HUGE_VAL;
      return x;
    });
    if (empty) change_elements(out, [](double x) { return x == 0 ? kNan : x; });
  }
  spread_nan(args);
  if (is_planted("writes_beside_out")) *end_of(out) = 1;
  if (is_planted("writes_beside_workspace")) *(static_cast<char*>(args.workspace) + args.workspace_size) = 1;
  if (is_planted("reads_beside_the_cache")) {
    const volatile char* behind = end_of(args.k_cache);
    static_cast<void>(*behind);
  }
}

/// Bits that depend on what they must not depend on.
void flip_bits(const DecodeArgs& args) {
  static int calls = 0;
  if (num_elements(args.out) == 0) return;
  const auto first_page = [&] { return *static_cast<const int32_t*>(args.page_table.data); };
  if (is_planted("bits_follow_the_calls") && calls++ % 2 == 0) flip_bit(args.out);
  if (is_planted("bits_follow_the_pages") && first_page() % 2 == 0) flip_bit(args.out);
  if (is_planted("bits_follow_the_page_size") && args.k_cache.shape[1] % 2 == 1) flip_bit(args.out);
  if (is_planted("bits_follow_the_batch") && args.seqlens.shape[0] > 1) {
    change_elements(args.out, [](double x) { return x * (1 + 0x1p-7); });
  }
  if (is_planted("bits_follow_the_executor") && args.executor != nullptr) flip_bit(args.out);
  if (is_planted("bits_follow_the_workspace")) {
    auto* used = static_cast<unsigned char*>(args.workspace) + args.workspace_size - 1;
    if (*used == 0x5a) flip_bit(args.out);
    *used = 0x5a;
  }
}

}  // namespace

Status wrap_decode(const Plan& plan, const DecodeArgs& given) FLASH_MLA_WRAP(FLASH_MLA_DECODE);
Status wrap_decode(const Plan& plan, const DecodeArgs& given) {
  DecodeArgs args = given;
  std::vector<int32_t> table;
  if (is_planted("writes_before_it_refuses") && args.out.data != nullptr) *static_cast<char*>(args.out.data) = 1;
  if (is_planted("decode_allocates")) {
    void* volatile memory = std::malloc(1);  // volatile: the compiler may leave it out otherwise
    std::free(memory);
  }
  if (is_planted("does_nothing_in_parallel_regions") && omp_in_parallel() != 0) return {};
  if (is_planted("asks_the_executor_for_nothing") && args.executor != nullptr &&
      args.executor->parallel_for != nullptr) {
    args.executor->parallel_for(
        args.executor->pool, 1, [](void*, int) {}, nullptr);
  }
  change_call(args, table, plan);
  if (refuses(args)) return {StatusCode::unsupported, "planted"};
  const Status status = real_decode(plan, args);
  if (!status.ok()) {
    if (is_planted("takes_bad_calls")) return {};
    if (is_planted("takes_stale_plans") && status.code() == StatusCode::plan_mismatch) return {};
    if (is_planted("says_little")) return {status.code(), "invalid argument"};
    return status;
  }
  spoil_results(args);
  flip_bits(args);
  return status;
}

}  // namespace flash_mla::planted
