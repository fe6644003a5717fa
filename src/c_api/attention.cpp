#include <algorithm>
#include <vector>

#include "c_api/guard.h"
#include "c_api/plan.h"
#include "c_api/tensor.h"
#include "core/error.h"
#include "flash_mla/append.h"
#include "flash_mla/decode.h"
#include "flash_mla/merge.h"

namespace flash_mla::c_api {

namespace {

DecodeArgs convert_args(const flash_mla_decode_args& args, Executor& executor) {
  DecodeArgs result;
  result.q = to_cpp(args.q);
  result.k_cache = to_cpp(args.k_cache);
  result.v_cache = to_cpp(args.v_cache);
  result.page_table = to_cpp(args.page_table);
  result.seqlens = to_cpp(args.seqlens);
  result.cu_seqlens_q = to_cpp(args.cu_seqlens_q);
  result.out = to_cpp(args.out);
  result.lse = to_cpp(args.lse);
  if (args.scale != nullptr) result.scale = *args.scale;
  result.workspace = args.workspace;
  result.workspace_size = args.workspace_size;
  result.stream = args.stream;
  if (args.executor != nullptr) {
    executor = {args.executor->pool, args.executor->parallel_for};
    result.executor = &executor;
  }
  return result;
}

Status check_count(const char* name, size_t count, size_t expected) {
  if (count == expected) return {};
  return core::invalid("{} = {}; expected {}", name, count, expected);
}

}  // namespace

}  // namespace flash_mla::c_api

using namespace flash_mla::c_api;  // NOLINT(google-build-using-namespace): this file is the namespace's C face

flash_mla_status flash_mla_decode(const flash_mla_plan* plan, const flash_mla_decode_args* args) {
  if (plan == nullptr) return report_null("plan is null");
  if (args == nullptr) return report_null("args is null");
  return guard([&] {
    flash_mla::Executor executor;
    return flash_mla::decode(plan->plan, convert_args(*args, executor));
  });
}

flash_mla_status flash_mla_reference_decode(const flash_mla_decode_args* args, const flash_mla_mask* mask, int64_t d_v,
                                            double* out, size_t out_count, double* lse, size_t lse_count) {
  if (args == nullptr) return report_null("args is null");
  if (mask == nullptr) return report_null("mask is null");
  if (out == nullptr && out_count != 0) return report_null("out is null");
  if (lse == nullptr && lse_count != 0) return report_null("lse is null but lse_count is not 0");
  return guard([&]() -> flash_mla::Status {
    flash_mla::Executor executor;
    const auto result = flash_mla::reference_decode(convert_args(*args, executor), to_cpp(*mask), d_v);
    if (!result.ok()) return result.status();
    const flash_mla::ReferenceResult& rows = result.value();
    FLASH_MLA_RETURN_IF_ERROR(check_count("out_count", out_count, rows.out.size()));
    if (lse != nullptr) FLASH_MLA_RETURN_IF_ERROR(check_count("lse_count", lse_count, rows.lse.size()));
    std::ranges::copy(rows.out, out);
    if (lse != nullptr) std::ranges::copy(rows.lse, lse);
    return {};
  });
}

flash_mla_status flash_mla_append(const flash_mla_append_args* args) {
  if (args == nullptr) return report_null("args is null");
  return guard([&] {
    flash_mla::AppendArgs call;
    call.rows = to_cpp(args->rows);
    call.rope = to_cpp(args->rope);
    call.v_rows = to_cpp(args->v_rows);
    call.slot_mapping = to_cpp(args->slot_mapping);
    call.k_cache = to_cpp(args->k_cache);
    call.v_cache = to_cpp(args->v_cache);
    return flash_mla::append(call);
  });
}

flash_mla_status flash_mla_merge(const flash_mla_partial_result* parts, size_t num_parts, const flash_mla_tensor* out,
                                 const flash_mla_tensor* lse) {
  if (parts == nullptr && num_parts != 0) return report_null("parts is null but num_parts is not 0");
  if (out == nullptr) return report_null("out is null");
  if (lse == nullptr) return report_null("lse is null");
  return guard([&] {
    std::vector<flash_mla::PartialResult> call(num_parts);
    std::transform(parts, parts + num_parts, call.begin(), [](const flash_mla_partial_result& part) {
      return flash_mla::PartialResult{to_cpp(part.out), to_cpp(part.lse)};
    });
    return flash_mla::merge(call, to_cpp(*out), to_cpp(*lse));
  });
}
