// Writing new rows into the pages of a KV cache.
#pragma once

#include "flash_mla/export.h"
#include "flash_mla/status.h"
#include "flash_mla/tensor.h"

namespace flash_mla {

struct AppendArgs {
  ConstTensor rows;          ///< [tokens, h_kv, d]; or, with rope, its first columns: [tokens, h_kv, d - d_rope]
  ConstTensor rope;          ///< absent, or [tokens, h_kv, d_rope]: the last columns of a row
  ConstTensor v_rows;        ///< [tokens, h_kv, d_v] where v_cache is present, else absent
  ConstTensor slot_mapping;  ///< [tokens] int64: page * page_size + offset; -1 skips the token
  Tensor k_cache;            ///< [num_pages, page_size, h_kv, d], dtype of the rows
  Tensor v_cache;            ///< absent, or [num_pages, page_size, h_kv, d_v]
};

/// Copies each token's rows to its slot. Errors: invalid_argument (a slot out of range or named twice included);
/// nothing is written then.
FLASH_MLA_API Status append(const AppendArgs& args);

}  // namespace flash_mla
