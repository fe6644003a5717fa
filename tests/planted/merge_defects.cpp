// Defects of merge().
#include <limits>
#include <vector>

#include "flash_mla/merge.h"
#include "planted.h"
#include "values.h"

namespace flash_mla::planted {

#define FLASH_MLA_MERGE \
  "_ZN9flash_mla5mergeESt4spanIKNS_13PartialResultELm18446744073709551615EERKNS_11BasicTensorIPvEES8_"

Status real_merge(std::span<const PartialResult> parts, const Tensor& out, const Tensor& lse)
    FLASH_MLA_REAL(FLASH_MLA_MERGE);

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

bool any_part_nan(std::span<const PartialResult> parts) {
  for (const PartialResult& part : parts) {
    Tensor out;
    out.data = const_cast<void*>(part.out.data);
    out.dtype = part.out.dtype, out.rank = part.out.rank, out.shape = part.out.shape, out.strides = part.out.strides;
    if (any_nan(out)) return true;
  }
  return false;
}

}  // namespace

Status wrap_merge(std::span<const PartialResult> given, const Tensor& out, const Tensor& lse)
    FLASH_MLA_WRAP(FLASH_MLA_MERGE);
Status wrap_merge(std::span<const PartialResult> given, const Tensor& out, const Tensor& lse) {
  std::vector<PartialResult> parts(given.begin(), given.end());
  if (is_planted("merge_forgets_the_last_part") && parts.size() > 1) parts.pop_back();
  if (is_planted("merge_writes_first") && out.data != nullptr) *static_cast<uint16_t*>(out.data) = 1;
  for (PartialResult& part : parts) {
    if (is_planted("merge_assumes_dense_parts")) make_dense(part.out), make_dense(part.lse);
    if (is_planted("merge_has_offsets_of_32_bits")) cut_strides(part.out), cut_strides(part.lse);
  }
  const Status status = real_merge(parts, out, lse);
  if (!status.ok()) {
    if (is_planted("merge_takes_bad_calls")) return {};
    if (is_planted("merge_says_little")) return {status.code(), "invalid argument"};
    return status;
  }
  if (is_planted("merge_is_inexact")) change_elements(out, [](double x) { return x * (1 + 0x1p-6); });
  if (is_planted("merge_makes_empty_rows_nan")) {
    bool empty = false;
    change_elements(lse, [&](double x) {
      empty = empty || x == -HUGE_VAL;
      return x;
    });
    if (empty) change_elements(out, [](double x) { return x == 0 ? kNan : x; });
  }
  if (is_planted("merge_reads_empty_parts") && any_part_nan(parts)) change_elements(out, [](double) { return kNan; });
  return status;
}

}  // namespace flash_mla::planted
