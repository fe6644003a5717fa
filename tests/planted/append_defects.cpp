// Defects of append() and of the pages it writes to.
#include "flash_mla/append.h"

#include <algorithm>
#include <vector>

#include "flash_mla/kv_cache.h"
#include "planted.h"
#include "values.h"

namespace flash_mla::planted {

#define FLASH_MLA_APPEND "_ZN9flash_mla6appendERKNS_10AppendArgsE"
#define FLASH_MLA_APPEND_TOKENS "_ZN9flash_mla7KvCache13append_tokensElSt4spanIlLm18446744073709551615EE"

Status real_append(const AppendArgs& args) FLASH_MLA_REAL(FLASH_MLA_APPEND);
Status real_append_tokens(KvCache* cache, int64_t sequence, std::span<int64_t> slots)
    FLASH_MLA_REAL(FLASH_MLA_APPEND_TOKENS);

namespace {

bool plain_slots(const AppendArgs& args) {
  return args.slot_mapping.rank == 1 && args.slot_mapping.data != nullptr && args.slot_mapping.shape[0] > 0 &&
         args.slot_mapping.shape[0] < 100;
}

}  // namespace

Status wrap_append(const AppendArgs& given) FLASH_MLA_WRAP(FLASH_MLA_APPEND);
Status wrap_append(const AppendArgs& given) {
  AppendArgs args = given;
  std::vector<int64_t> slots;
  const bool changes_slots = is_planted("append_writes_to_the_next_slot") || is_planted("append_writes_skipped_tokens");
  if (changes_slots && plain_slots(args)) {
    const int64_t all = args.k_cache.shape[0] * args.k_cache.shape[1];
    for (int64_t i = 0; i < args.slot_mapping.shape[0]; ++i) {
      int64_t slot = static_cast<const int64_t*>(args.slot_mapping.data)[i * args.slot_mapping.strides[0]];
      if (is_planted("append_writes_to_the_next_slot") && slot >= 0 && slot < all) slot = (slot + 1) % all;
      if (is_planted("append_writes_skipped_tokens") && slot == -1) slot = all - 1;
      slots.push_back(slot);
    }
    args.slot_mapping = ConstTensor(slots.data(), DType::int64, {args.slot_mapping.shape[0]});
  }
  if (is_planted("append_writes_before_it_refuses") && args.k_cache.data != nullptr) {
    *static_cast<char*>(args.k_cache.data) = 1;
  }
  if (is_planted("append_forgets_values")) args.v_rows = {}, args.v_cache = {};
  if (is_planted("append_refuses_nothing") &&
      (!plain_slots(args) || (!args.rope.absent() && args.rope.shape[2] == 0))) {
    return {StatusCode::invalid_argument, "planted"};
  }
  if (is_planted("append_has_offsets_of_32_bits")) cut_strides(args.k_cache);
  const Status status = real_append(args);
  if (!status.ok()) {
    if (is_planted("append_takes_bad_calls")) return {};
    if (is_planted("append_says_little")) return {status.code(), "invalid argument"};
    return status;
  }
  if (is_planted("append_spoils_the_rope") && !args.rope.absent() && args.rope.shape[2] > 0) {
    // The last column of the last row of every slot.
    for_each_row(args.k_cache, [&](int64_t, int64_t offset) {
      const auto size = static_cast<int64_t>(size_of(args.k_cache.dtype));
      static_cast<char*>(args.k_cache.data)[(offset + args.k_cache.shape[3] - 1) * size] ^= 1;
    });
  }
  return status;
}

Status wrap_append_tokens(KvCache* cache, int64_t sequence, std::span<int64_t> slots)
    FLASH_MLA_WRAP(FLASH_MLA_APPEND_TOKENS);
Status wrap_append_tokens(KvCache* cache, int64_t sequence, std::span<int64_t> slots) {
  const Status status = real_append_tokens(cache, sequence, slots);
  if (status.ok() && is_planted("cache_hands_out_slots_in_reverse")) std::reverse(slots.begin(), slots.end());
  return status;
}

}  // namespace flash_mla::planted
