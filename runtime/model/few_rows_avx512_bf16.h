// The part of few_rows.h that needs AVX512_BF16.
#pragma once

#include "model/few_rows.h"

namespace flash_mla::runtime {

/// Columns 64 block to 64 block + 63 of matrix `index`.
void multiply_few_rows_block(const FewRowsProduct& product, int64_t index, int64_t block);

}  // namespace flash_mla::runtime
