#include "cuda/decode.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numbers>

#include "cuda/launch.h"
#include "dispatch/plan_state.h"

namespace flash_mla::cuda {

namespace {

using core::Problem;
using internal::PlanState;
using sm90::RowStrides;

constexpr int64_t kLargest32 = std::numeric_limits<int32_t>::max();

sm90::Element element_of(DType dtype) {
  return dtype == DType::bfloat16 ? sm90::Element::bfloat16 : sm90::Element::float16;
}

/// Query rows of every sequence and KV head; 0 where they differ, as with ragged q, whose plans have s_q = 0.
int64_t rows_of(const DecodeShape& shape) {
  return shape.s_q * (shape.h_q / shape.h_kv);
}
sm90::DecodeKernel kernel_of(const DecodeShape& shape) {
  return sm90::decode_kernel(element_of(shape.dtype), shape.d, shape.d_v, rows_of(shape));
}

RowStrides row_strides(const Problem& problem, const ConstTensor& rows) {
  return {problem.ragged ? 0 : rows.strides[0], problem.token_stride(rows), problem.head_stride(rows)};
}

sm90::Outputs outputs_of(const Problem& problem) {
  sm90::Outputs outputs{};
  outputs.out = problem.out.data;
  outputs.out_strides = row_strides(problem, problem.out);
  if (!problem.lse.absent()) {
    outputs.lse = static_cast<float*>(problem.lse.data);
    outputs.lse_strides = {problem.ragged ? 0 : problem.lse.strides[0], problem.lse_token_stride(),
                           problem.lse_head_stride()};
  }
  outputs.out_is_float32 = problem.shape.out_dtype == DType::float32 ? 1 : 0;
  outputs.group = static_cast<int32_t>(problem.group());
  return outputs;
}

/// In bytes; of an axis of extent 1, which is not walked, any that a tensor map takes.
sm90::KeyStrides key_strides(const Problem& problem) {
  const ConstTensor& k = problem.k_cache;
  const auto bytes = static_cast<int64_t>(size_of(k.dtype));
  const int64_t row = (problem.shape.d * bytes + 15) / 16 * 16;
  return {problem.num_pages > 1 ? k.strides[0] * bytes : row, problem.shape.page_size > 1 ? k.strides[1] * bytes : row,
          problem.shape.h_kv > 1 ? k.strides[2] * bytes : row};
}

Status map_cache(const Current& current, const Problem& problem, const sm90::KeyStrides& strides, void* somewhere,
                 TensorMap& map) {
  // A cache without pages is never read, but a map needs an address and an extent.
  const bool none = problem.num_pages == 0;
  const uint64_t extents[] = {static_cast<uint64_t>(problem.shape.d), static_cast<uint64_t>(problem.shape.page_size),
                              static_cast<uint64_t>(problem.shape.h_kv),
                              static_cast<uint64_t>(std::max<int64_t>(1, problem.num_pages))};
  const uint64_t bytes[] = {static_cast<uint64_t>(strides.token), static_cast<uint64_t>(strides.head),
                            static_cast<uint64_t>(strides.page)};
  const uint32_t box[] = {sm90::kChunkColumns, static_cast<uint32_t>(sm90::box_rows(problem.shape.page_size)), 1, 1};
  const uint32_t ones[] = {1, 1, 1, 1};
  return check(*current.driver,
               current.driver->encode_tensor_map(
                   &map, problem.k_cache.dtype == DType::bfloat16 ? TensorMapType::bfloat16 : TensorMapType::float16, 4,
                   none ? somewhere : const_cast<void*>(problem.k_cache.data), extents, bytes, box, ones, kNoInterleave,
                   kSwizzle128B, kPromoteTo256B, kZerosOutOfBounds),
               "cuTensorMapEncodeTiled");
}

/// By the copy engine where a tensor map fits the cache, else row by row.
Status bring_keys(const Current& current, const Problem& problem, void* somewhere, TensorMap& map,
                  sm90::DecodeParams& params) {
  const sm90::KeyStrides strides = key_strides(problem);
  const auto address = reinterpret_cast<uintptr_t>(problem.k_cache.data);
  if (sm90::tensor_map_fits(address, problem.shape.page_size, strides.token, strides.head, strides.page)) {
    return map_cache(current, problem, strides, somewhere, map);
  }
  params.gathers = 1;
  params.k = problem.k_cache.data;
  params.k_strides = strides;
  params.k_is_aligned = sm90::rows_are_aligned(address, strides.token, strides.head, strides.page) ? 1 : 0;
  return {};
}

sm90::DecodeParams decode_params(const PlanState& plan, const Problem& problem, const char* workspace) {
  const DeviceLayout& layout = plan.device.layout;
  sm90::DecodeParams params{};
  params.outputs = outputs_of(problem);
  params.q = problem.q.data;
  params.q_strides = row_strides(problem, problem.q);
  params.units = reinterpret_cast<const sm90::Unit*>(workspace + layout.units);
  params.part_begin = reinterpret_cast<const int32_t*>(workspace + layout.part_begin);
  params.page_table = static_cast<const int32_t*>(problem.page_table.data);
  params.table_sequence_stride = problem.page_table.strides[0];
  params.table_column_stride = problem.page_table.strides[1];
  params.num_pages = problem.num_pages;
  params.partial_out = reinterpret_cast<float*>(const_cast<char*>(workspace) + layout.partial_out);
  params.partial_lse = reinterpret_cast<float*>(const_cast<char*>(workspace) + layout.partial_lse);
  params.scale_log2 = static_cast<float>(problem.scale * std::numbers::log2e);
  params.page_size = static_cast<int32_t>(problem.shape.page_size);
  params.causal = plan.mask.causal ? 1 : 0;
  params.window = plan.mask.window > kLargest32 ? 0 : static_cast<int32_t>(plan.mask.window);
  params.sinks = static_cast<int32_t>(std::min(plan.mask.sinks, kLargest32));
  return params;
}

Status merge(const Current& current, const PlanState& plan, const sm90::DecodeParams& decoded, const char* workspace,
             Stream stream) {
  const Result<Function> kernel = function(current, sm90::merge_kernel_name(element_of(plan.shape.dtype)), 0);
  if (!kernel.ok()) return kernel.status();
  sm90::MergeParams params{};
  params.outputs = decoded.outputs;
  params.merges = reinterpret_cast<const sm90::Merge*>(workspace + plan.device.layout.merges);
  params.partial_out = decoded.partial_out;
  params.partial_lse = decoded.partial_lse;
  params.d_v = static_cast<int32_t>(plan.shape.d_v);
  void* arguments[] = {&params};
  const auto merges = static_cast<unsigned>(plan.device.num_merges);
  return launch(current, kernel.value(),
                {.grid = {merges, sm90::merge_blocks(rows_of(plan.shape), plan.shape.d_v)},
                 .threads = sm90::kMergeThreads,
                 .overlaps = true},
                stream, arguments);
}

}  // namespace

Status check_shape(const DecodeShape& shape) {
  if (shape.dtype != DType::bfloat16 && shape.dtype != DType::float16) {
    return core::error(StatusCode::unsupported, "dtype is {}: sm90 takes bfloat16 and float16", name_of(shape.dtype));
  }
  if (shape.separate_v) {
    return core::error(StatusCode::unsupported, "separate_v is true: sm90 takes V as the first d_v columns of K");
  }
  if (!sm90::is_supported(shape.d, shape.d_v)) {
    std::string pairs;
    for (const sm90::Widths& widths : sm90::kWidths) {
      pairs += core::format("{}{}/{}", pairs.empty() ? "" : ", ", widths.d, widths.d_v);
    }
    return core::error(StatusCode::unsupported, "d/d_v is {}/{}: sm90 has kernels for {}", shape.d, shape.d_v, pairs);
  }
  if (shape.page_size > kLargest32) {
    return core::error(StatusCode::unsupported, "page_size is {}: sm90 takes at most {}", shape.page_size, kLargest32);
  }
  return {};
}

Status bind_plan(const DecodeShape& shape, int& num_workers, int& device) {
  const Result<Current> found = current();
  if (!found.ok()) return found.status();
  const Result<int> sms = num_sms(found.value());
  if (!sms.ok()) return sms.status();
  const sm90::DecodeKernel kernel = kernel_of(shape);
  for (const auto& [name, bytes] : {std::pair{kernel.name, kernel.shared_bytes},
                                    std::pair{sm90::merge_kernel_name(element_of(shape.dtype)), int64_t{0}}}) {
    const Result<Function> loaded = function(found.value(), name, bytes);
    if (!loaded.ok()) return loaded.status();
  }
  device = found.value().device;
  if (num_workers == 0) num_workers = sms.value();
  return {};
}

Status upload(const PlanState& plan, void* workspace, void* stream) {
  const Result<Current> found = current();
  if (!found.ok()) return found.status();
  const DevicePlan& device = plan.device;
  const Driver& driver = *found.value().driver;
  return check(driver,
               driver.to_device_async(reinterpret_cast<DeviceAddress>(workspace), device.tables.data(),
                                      device.tables.size(), static_cast<Stream>(stream)),
               "cuMemcpyHtoDAsync");
}

Status decode(const PlanState& plan, const Problem& problem, const DecodeArgs& args) {
  const Result<Current> found = current();
  if (!found.ok()) return found.status();
  const Current& here = found.value();
  FLASH_MLA_RETURN_IF_ERROR(check_device(here, plan.device.device));
  if (problem.num_pages > kLargest32) {
    return core::error(StatusCode::unsupported, "k_cache has {} pages: sm90 takes at most {}", problem.num_pages,
                       kLargest32);
  }
  const sm90::DecodeKernel chosen = kernel_of(plan.shape);
  const auto shared_bytes = static_cast<uint32_t>(chosen.shared_bytes);
  const Result<Function> kernel = function(here, chosen.name, shared_bytes);
  if (!kernel.ok()) return kernel.status();
  auto* const workspace = static_cast<char*>(args.workspace);
  sm90::DecodeParams params = decode_params(plan, problem, workspace);
  TensorMap map{};
  FLASH_MLA_RETURN_IF_ERROR(bring_keys(here, problem, workspace, map, params));
  void* arguments[] = {&map, &params};
  const auto stream = static_cast<Stream>(args.stream);
  FLASH_MLA_RETURN_IF_ERROR(launch(here, kernel.value(),
                                   {.grid = {static_cast<unsigned>(plan.num_workers), 1},
                                    .threads = static_cast<unsigned>(chosen.threads),
                                    .shared_bytes = shared_bytes},
                                   stream, arguments));
  return plan.device.num_merges == 0 ? Status{} : merge(here, plan, params, workspace, stream);
}

}  // namespace flash_mla::cuda
