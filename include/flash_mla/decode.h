// Attention of a batch's query rows over their paged KV cache.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "flash_mla/executor.h"
#include "flash_mla/export.h"
#include "flash_mla/plan.h"
#include "flash_mla/status.h"
#include "flash_mla/tensor.h"

namespace flash_mla {

/// The arrays of one decode call. Strides are free except that the last one is 1 (a stride is 0 or more; axes of extent
/// 1 may carry any). The same arrays feed decode() and reference_decode().
struct DecodeArgs {
  ConstTensor q;             ///< [b, s_q, h_q, d], or ragged [total_q, h_q, d] with cu_seqlens_q
  ConstTensor k_cache;       ///< [num_pages, page_size, h_kv, d], dtype of q
  ConstTensor v_cache;       ///< absent (V is the first d_v columns of K), or [num_pages, page_size, h_kv, d_v]
  ConstTensor page_table;    ///< [b, max_pages] int32: page of a sequence's tokens [i * page_size, (i + 1) * page_size)
  ConstTensor seqlens;       ///< [b] int32
  ConstTensor cu_seqlens_q;  ///< absent, or [b + 1] int32
  Tensor out;                ///< [b, s_q, h_q, d_v] or ragged [total_q, h_q, d_v]; dtype of q, or float32
  Tensor lse;                ///< [b, h_q, s_q] or ragged [h_q, total_q] float32; absent if not wanted
  std::optional<double> scale;  ///< softmax scale, of float32's range; default d^-0.5
  void* workspace = nullptr;  ///< plan.workspace_size() bytes, aligned to kWorkspaceAlignment; not shared by calls that
                              ///< run at the same time
  size_t workspace_size = 0;
  const Executor* executor = nullptr;  ///< null: OpenMP with plan.num_workers() threads
  void* stream = nullptr;  ///< CUDA backends: CUstream or cudaStream_t of the current context; null: its default stream
};

/// out = softmax(scale * q k^T) v over the visible keys of each row, lse = log sum exp(scale * q k) (natural). A row
/// that sees no key gets out = 0 and lse = -inf. Splits follow Flash-Decoding (Dao et al., 2023), the running softmax
/// Milakov & Gimelshein (2018), MLA in its absorbed form DeepSeek-V2 (arXiv 2405.04434, section 2.1).
///
/// Does not allocate on success. Errors: invalid_argument, plan_mismatch (other shapes, mask-relevant or not, or other
/// lengths than the plan's); nothing is written then.
///
/// With a plan of a CUDA backend the call launches kernels and returns: see flash_mla/cuda.h.
FLASH_MLA_API Status decode(const Plan& plan, const DecodeArgs& args);

/// What reference_decode() returns: row-major float64, empty rows as decode() defines them.
struct ReferenceResult {
  std::vector<double> out;  ///< shape of args.out
  std::vector<double> lse;  ///< [b, h_q, s_q], or ragged [h_q, total_q]
};

/// The specification, in plain float64: slow, obvious, no plan and no workspace. `args.out` and `args.lse` are not
/// written and may be absent.
FLASH_MLA_API Result<ReferenceResult> reference_decode(const DecodeArgs& args, const Mask& mask, int64_t d_v);

}  // namespace flash_mla
