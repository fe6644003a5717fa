// append(): new rows into their slots.
#include "flash_mla/append.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/check_tensor.h"
#include "core/element.h"
#include "core/error.h"

namespace flash_mla {

namespace {

int64_t slot_at(const ConstTensor& slots, int64_t token) {
  return static_cast<const int64_t*>(slots.data)[token * slots.strides[0]];
}

Status check_rows(const ConstTensor& rows, const core::Expected& expected, DType dtype) {
  FLASH_MLA_RETURN_IF_ERROR(core::check_array(rows, expected));
  FLASH_MLA_RETURN_IF_ERROR(core::check_dtype(rows, expected.name, dtype));
  return core::check_last_stride(rows, expected.name);
}

Status check_cache(const Tensor& cache, const core::Expected& expected) {
  FLASH_MLA_RETURN_IF_ERROR(core::check_array(cache, expected));
  FLASH_MLA_RETURN_IF_ERROR(core::check_last_stride(cache, expected.name));
  return core::check_no_overlap(cache, expected.name);
}

Status check_arrays(const AppendArgs& args) {
  using core::kAny;
  const Tensor& k = args.k_cache;
  FLASH_MLA_RETURN_IF_ERROR(check_cache(k, {"k_cache", "[num_pages, page_size, h_kv, d]", {kAny, kAny, kAny, kAny}}));
  if (!core::is_floating(k.dtype)) {
    return core::invalid("k_cache has dtype {}; expected bfloat16, float16 or float32", name_of(k.dtype));
  }
  FLASH_MLA_RETURN_IF_ERROR(core::check_array(args.slot_mapping, {"slot_mapping", "[tokens]", {kAny}}));
  FLASH_MLA_RETURN_IF_ERROR(core::check_dtype(args.slot_mapping, "slot_mapping", DType::int64));
  const int64_t tokens = args.slot_mapping.shape[0], heads = k.shape[2], d = k.shape[3];
  if (args.rope.absent()) {
    FLASH_MLA_RETURN_IF_ERROR(check_rows(args.rows, {"rows", "[tokens, h_kv, d]", {tokens, heads, d}}, k.dtype));
  } else {
    FLASH_MLA_RETURN_IF_ERROR(
        check_rows(args.rope, {"rope", "[tokens, h_kv, d_rope]", {tokens, heads, kAny}}, k.dtype));
    const int64_t d_rope = args.rope.shape[2];
    if (d_rope > d) return core::invalid("rope has width {}; expected at most d = {}", d_rope, d);
    FLASH_MLA_RETURN_IF_ERROR(
        check_rows(args.rows, {"rows", "[tokens, h_kv, d - d_rope]", {tokens, heads, d - d_rope}}, k.dtype));
  }
  const Tensor& v = args.v_cache;
  if (v.absent()) {
    if (args.v_rows.absent()) return {};
    return core::invalid("v_rows is given but v_cache is absent; expected both or neither");
  }
  FLASH_MLA_RETURN_IF_ERROR(
      check_cache(v, {"v_cache", "[num_pages, page_size, h_kv, d_v]", {k.shape[0], k.shape[1], heads, kAny}}));
  FLASH_MLA_RETURN_IF_ERROR(core::check_dtype(v, "v_cache", k.dtype));
  return check_rows(args.v_rows, {"v_rows", "[tokens, h_kv, d_v]", {tokens, heads, v.shape[3]}}, k.dtype);
}

Status check_slots(const AppendArgs& args) {
  const int64_t tokens = args.slot_mapping.shape[0];
  const int64_t pages = args.k_cache.shape[0], page_size = args.k_cache.shape[1];
  std::vector<std::pair<int64_t, int64_t>> used;  // slot, token
  used.reserve(static_cast<size_t>(tokens));
  for (int64_t token = 0; token < tokens; ++token) {
    const int64_t slot = slot_at(args.slot_mapping, token);
    if (slot == -1) continue;
    if (slot < 0 || page_size == 0 || slot / page_size >= pages) {
      return core::invalid(
          "slot_mapping[{}] = {}; expected -1 (skip) or 0 to num_pages * page_size - 1 with {} pages of {}", token,
          slot, pages, page_size);
    }
    used.emplace_back(slot, token);
  }
  std::sort(used.begin(), used.end());
  const auto twice =
      std::adjacent_find(used.begin(), used.end(), [](const auto& a, const auto& b) { return a.first == b.first; });
  if (twice == used.end()) return {};
  return core::invalid("slot_mapping[{}] and slot_mapping[{}] are both {}; expected each slot once", twice->second,
                       std::next(twice)->second, twice->first);
}

/// Copies one token's rows of all heads into columns [column, column + width) of its slot.
void write(const ConstTensor& rows, int64_t token, const Tensor& cache, int64_t slot, int64_t column) {
  if (rows.shape[2] == 0) return;  // nothing, whose address may be null
  const int64_t bytes = static_cast<int64_t>(size_of(cache.dtype));
  const int64_t page = slot / cache.shape[1], offset = slot % cache.shape[1];
  for (int64_t head = 0; head < cache.shape[2]; ++head) {
    const char* from = static_cast<const char*>(rows.data) + (token * rows.strides[0] + head * rows.strides[1]) * bytes;
    const int64_t to = page * cache.strides[0] + offset * cache.strides[1] + head * cache.strides[2] + column;
    std::memcpy(static_cast<char*>(cache.data) + to * bytes, from, static_cast<size_t>(rows.shape[2] * bytes));
  }
}

}  // namespace

Status append(const AppendArgs& args) {
  FLASH_MLA_RETURN_IF_ERROR(check_arrays(args));
  FLASH_MLA_RETURN_IF_ERROR(check_slots(args));
  for (int64_t token = 0; token < args.slot_mapping.shape[0]; ++token) {
    const int64_t slot = slot_at(args.slot_mapping, token);
    if (slot == -1) continue;
    write(args.rows, token, args.k_cache, slot, 0);
    if (!args.rope.absent()) write(args.rope, token, args.k_cache, slot, args.rows.shape[2]);
    if (!args.v_cache.absent()) write(args.v_rows, token, args.v_cache, slot, 0);
  }
  return {};
}

}  // namespace flash_mla
