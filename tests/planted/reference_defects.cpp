// Defects of the reference.
#include <algorithm>
#include <limits>

#include "flash_mla/decode.h"
#include "planted.h"

namespace flash_mla::planted {

#define FLASH_MLA_REFERENCE "_ZN9flash_mla16reference_decodeERKNS_10DecodeArgsERKNS_4MaskEl"

Result<ReferenceResult> real_reference(const DecodeArgs& args, const Mask& mask, int64_t d_v)
    FLASH_MLA_REAL(FLASH_MLA_REFERENCE);

Result<ReferenceResult> wrap_reference(const DecodeArgs& args, const Mask& mask, int64_t d_v)
    FLASH_MLA_WRAP(FLASH_MLA_REFERENCE);
Result<ReferenceResult> wrap_reference(const DecodeArgs& args, const Mask& mask, int64_t d_v) {
  if (is_planted("reference_demands_out") && args.out.absent()) return Status{StatusCode::invalid_argument, "planted"};
  Result<ReferenceResult> result = real_reference(args, mask, d_v);
  if (!result.ok()) {
    if (is_planted("reference_takes_bad_calls")) return ReferenceResult{};
    return result;
  }
  ReferenceResult& value = result.value();
  if (is_planted("reference_is_off")) {
    for (double& lse : value.lse) lse += 0.01;
    for (double& out : value.out) out *= 1.1;
  }
  if (is_planted("reference_swaps_heads") && !value.out.empty()) {
    std::rotate(value.out.begin(), value.out.begin() + d_v, value.out.end());
  }
  if (is_planted("reference_overflows")) {
    for (double& lse : value.lse) lse = lse > 700 ? std::numeric_limits<double>::infinity() : lse;
  }
  if (is_planted("reference_writes") && args.out.data != nullptr) *static_cast<char*>(args.out.data) = 1;
  return result;
}

}  // namespace flash_mla::planted
