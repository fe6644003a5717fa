#include "core/problem.h"

#include <cmath>
#include <limits>

#include "core/check_tensor.h"
#include "core/element.h"
#include "core/error.h"

namespace flash_mla::core {

namespace {

constexpr int64_t kMaxWidth = 1024;

Status check_width(const char* name, int64_t value) {
  if (value >= 1 && value <= kMaxWidth) return {};
  return invalid("{} = {}; expected 1 to {}", name, value, kMaxWidth);
}

Status check_cache(const ConstTensor& cache, const Expected& expected, DType dtype) {
  FLASH_MLA_RETURN_IF_ERROR(check_array(cache, expected));
  FLASH_MLA_RETURN_IF_ERROR(check_dtype(cache, expected.name, dtype));
  return check_last_stride(cache, expected.name);
}

Status read_out(const DecodeArgs& args, bool require_out, Problem& problem) {
  const DecodeShape& shape = problem.shape;
  if (!args.out.absent() || require_out) {
    const Status fits =
        problem.ragged
            ? check_array(args.out, {"out", "[total_q, h_q, d_v]", {problem.total_q, shape.h_q, shape.d_v}})
            : check_array(args.out, {"out", "[b, s_q, h_q, d_v]", {shape.batch, shape.s_q, shape.h_q, shape.d_v}});
    FLASH_MLA_RETURN_IF_ERROR(fits);
    if (args.out.dtype != shape.dtype && args.out.dtype != DType::float32) {
      return invalid("out has dtype {}; expected {} (q's) or float32", name_of(args.out.dtype), name_of(shape.dtype));
    }
    FLASH_MLA_RETURN_IF_ERROR(check_last_stride(args.out, "out"));
    FLASH_MLA_RETURN_IF_ERROR(check_no_overlap(args.out, "out"));
    problem.shape.out_dtype = args.out.dtype;
    problem.out = args.out;
  }
  if (!args.lse.absent()) {
    const Status fits = problem.ragged
                            ? check_array(args.lse, {"lse", "[h_q, total_q]", {shape.h_q, problem.total_q}})
                            : check_array(args.lse, {"lse", "[b, h_q, s_q]", {shape.batch, shape.h_q, shape.s_q}});
    FLASH_MLA_RETURN_IF_ERROR(fits);
    FLASH_MLA_RETURN_IF_ERROR(check_dtype(args.lse, "lse", DType::float32));
    FLASH_MLA_RETURN_IF_ERROR(check_no_overlap(args.lse, "lse"));
    problem.lse = args.lse;
  }
  return {};
}

Status read_q(const DecodeArgs& args, Problem& problem) {
  problem.ragged = !args.cu_seqlens_q.absent();
  DecodeShape& shape = problem.shape;
  if (problem.ragged) {
    FLASH_MLA_RETURN_IF_ERROR(
        check_array(args.q, {"q", "[total_q, h_q, d] (cu_seqlens_q is given)", {kAny, kAny, kAny}}));
    FLASH_MLA_RETURN_IF_ERROR(check_array(args.cu_seqlens_q, {"cu_seqlens_q", "[b + 1]", {kAny}}));
    FLASH_MLA_RETURN_IF_ERROR(check_dtype(args.cu_seqlens_q, "cu_seqlens_q", DType::int32));
    if (args.cu_seqlens_q.shape[0] < 1) return invalid("cu_seqlens_q has shape [0]; expected [b + 1]");
    shape.batch = args.cu_seqlens_q.shape[0] - 1;
    shape.s_q = 0;
    problem.total_q = args.q.shape[0];
  } else {
    FLASH_MLA_RETURN_IF_ERROR(check_array(args.q, {"q", "[b, s_q, h_q, d]", {kAny, kAny, kAny, kAny}}));
    shape.batch = args.q.shape[0];
    shape.s_q = args.q.shape[1];
  }
  if (!is_floating(args.q.dtype)) {
    return invalid("q has dtype {}; expected bfloat16, float16 or float32", name_of(args.q.dtype));
  }
  shape.dtype = shape.out_dtype = args.q.dtype;
  shape.h_q = args.q.shape[problem.ragged ? 1 : 2];
  shape.d = args.q.shape[problem.ragged ? 2 : 3];
  FLASH_MLA_RETURN_IF_ERROR(check_last_stride(args.q, "q"));
  problem.q = args.q;
  problem.cu_seqlens_q = args.cu_seqlens_q;
  return {};
}

}  // namespace

Status check_mask(const Mask& mask) {
  if (mask.window < 0) return invalid("mask.window = {}; expected 0 (none) or more", mask.window);
  if (mask.sinks < 0) return invalid("mask.sinks = {}; expected 0 or more", mask.sinks);
  return {};
}

Status check_shape(const DecodeShape& shape, bool ragged) {
  if (!is_floating(shape.dtype)) {
    return invalid("dtype is {}; expected bfloat16, float16 or float32", name_of(shape.dtype));
  }
  if (shape.out_dtype != shape.dtype && shape.out_dtype != DType::float32) {
    return invalid("out_dtype is {}; expected {} (dtype) or float32", name_of(shape.out_dtype), name_of(shape.dtype));
  }
  if (shape.batch < 0 || shape.batch > INT32_MAX) return invalid("b = {}; expected 0 to 2^31 - 1", shape.batch);
  if (!ragged && (shape.s_q < 1 || shape.s_q > INT32_MAX))
    return invalid("s_q = {}; expected 1 to 2^31 - 1", shape.s_q);
  if (shape.h_kv < 1) return invalid("h_kv = {}; expected 1 or more", shape.h_kv);
  if (shape.h_q < 1 || shape.h_q > INT32_MAX) return invalid("h_q = {}; expected 1 to 2^31 - 1", shape.h_q);
  if (shape.h_q % shape.h_kv != 0) {
    return invalid("h_q = {}; expected a multiple of h_kv = {}", shape.h_q, shape.h_kv);
  }
  if (!ragged && shape.s_q > INT32_MAX / shape.h_q) {
    return invalid("s_q * h_q = {} * {}; expected at most 2^31 - 1 query rows a sequence", shape.s_q, shape.h_q);
  }
  FLASH_MLA_RETURN_IF_ERROR(check_width("d", shape.d));
  FLASH_MLA_RETURN_IF_ERROR(check_width("d_v", shape.d_v));
  if (!shape.separate_v && shape.d_v > shape.d) {
    return invalid("d_v = {}; expected at most d = {} where V is part of K (no v_cache)", shape.d_v, shape.d);
  }
  if (shape.page_size < 1) return invalid("page_size = {}; expected 1 or more", shape.page_size);
  return {};
}

Status read_arrays(const DecodeArgs& args, int64_t d_v, bool require_out, Problem& problem) {
  FLASH_MLA_RETURN_IF_ERROR(read_q(args, problem));
  DecodeShape& shape = problem.shape;
  shape.d_v = d_v;
  shape.separate_v = !args.v_cache.absent();
  FLASH_MLA_RETURN_IF_ERROR(check_cache(
      args.k_cache, {"k_cache", "[num_pages, page_size, h_kv, d]", {kAny, kAny, kAny, shape.d}}, shape.dtype));
  problem.num_pages = args.k_cache.shape[0];
  shape.page_size = args.k_cache.shape[1];
  shape.h_kv = args.k_cache.shape[2];
  FLASH_MLA_RETURN_IF_ERROR(check_shape(shape, problem.ragged));
  if (!problem.ragged) problem.total_q = shape.batch * shape.s_q;
  if (shape.separate_v) {
    const Expected v = {
        "v_cache", "[num_pages, page_size, h_kv, d_v]", {problem.num_pages, shape.page_size, shape.h_kv, d_v}};
    FLASH_MLA_RETURN_IF_ERROR(check_cache(args.v_cache, v, shape.dtype));
  }
  FLASH_MLA_RETURN_IF_ERROR(check_array(args.page_table, {"page_table", "[b, max_pages]", {shape.batch, kAny}}));
  FLASH_MLA_RETURN_IF_ERROR(check_dtype(args.page_table, "page_table", DType::int32));
  FLASH_MLA_RETURN_IF_ERROR(check_seqlens(args.seqlens, shape.batch));
  problem.max_pages = args.page_table.shape[1];
  FLASH_MLA_RETURN_IF_ERROR(read_out(args, require_out, problem));

  problem.scale = args.scale.value_or(1.0 / std::sqrt(static_cast<double>(shape.d)));
  if (!(std::fabs(problem.scale) <= std::numeric_limits<float>::max())) {
    return invalid("scale = {}; expected a finite number of float32's range", problem.scale);
  }
  problem.k_cache = args.k_cache;
  problem.v_cache = args.v_cache;
  problem.page_table = args.page_table;
  problem.seqlens = args.seqlens;
  return {};
}

Status check_seqlens(const ConstTensor& seqlens, int64_t batch) {
  FLASH_MLA_RETURN_IF_ERROR(check_array(seqlens, {"seqlens", "[b]", {batch}}));
  return check_dtype(seqlens, "seqlens", DType::int32);
}

Status check_lengths(const ConstTensor& seqlens, const ConstTensor& cu_seqlens_q, int64_t h_q) {
  const int64_t batch = seqlens.shape[0];
  for (int64_t i = 0; i < batch; ++i) {
    const int64_t s_k = int32_at(seqlens, i);
    if (s_k < 0) return invalid("seqlens[{}] = {}; expected 0 or more", i, s_k);
  }
  if (cu_seqlens_q.absent()) return {};
  const auto cu = [&](int64_t i) { return int32_at(cu_seqlens_q, i); };
  if (cu(0) != 0) return invalid("cu_seqlens_q[0] = {}; expected 0", cu(0));
  for (int64_t i = 0; i < batch; ++i) {
    if (cu(i + 1) < cu(i)) {
      return invalid("cu_seqlens_q[{}] = {}; expected at least cu_seqlens_q[{}] = {}", i + 1, cu(i + 1), i, cu(i));
    }
    if (cu(i + 1) - cu(i) > INT32_MAX / h_q) {
      return invalid(
          "cu_seqlens_q[{}] - cu_seqlens_q[{}] = {}; expected at most 2^31 - 1 query rows a sequence with h_q = {}",
          i + 1, i, cu(i + 1) - cu(i), h_q);
    }
  }
  return {};
}

Status check_contents(const Problem& problem, const Mask& mask) {
  FLASH_MLA_RETURN_IF_ERROR(check_lengths(problem.seqlens, problem.cu_seqlens_q, problem.shape.h_q));
  const int64_t batch = problem.shape.batch;
  if (problem.ragged && problem.first_query(batch) != problem.total_q) {
    return invalid("cu_seqlens_q[{}] = {}; expected total_q = {}", batch, problem.first_query(batch), problem.total_q);
  }
  const int64_t page_size = problem.shape.page_size;
  const int64_t capacity = std::min(problem.max_pages, INT64_MAX / page_size) * page_size;
  for (int64_t i = 0; i < batch; ++i) {
    if (problem.s_k(i) <= capacity) continue;
    return invalid("seqlens[{}] = {}; expected at most max_pages * page_size = {} * {}", i, problem.s_k(i),
                   problem.max_pages, page_size);
  }
  for (int64_t i = 0; i < batch; ++i) {
    const int64_t s_q = problem.s_q(i);
    if (s_q == 0) continue;
    const KeyRange keys = visible_keys(mask, problem.s_k(i), s_q, 0, s_q - 1);
    const auto check_pages = [&](int64_t begin, int64_t end) -> Status {
      if (begin == end) return {};
      for (int64_t column = begin / page_size; column <= (end - 1) / page_size; ++column) {
        const int64_t page = problem.page(i, column);
        if (page < 0 || page >= problem.num_pages) {
          return invalid("page_table[{}, {}] = {}; expected 0 to num_pages - 1 = {} (the page holds visible keys)", i,
                         column, page, problem.num_pages - 1);
        }
      }
      return {};
    };
    FLASH_MLA_RETURN_IF_ERROR(check_pages(0, keys.sink_end));
    FLASH_MLA_RETURN_IF_ERROR(check_pages(keys.window_begin, keys.end));
  }
  return {};
}

}  // namespace flash_mla::core
