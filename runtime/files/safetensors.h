// The safetensors format (github.com/huggingface/safetensors): a JSON header that says where each tensor's bytes lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flash_mla/status.h"

namespace flash_mla::runtime {

/// A tensor of a file: row-major, little endian, at any alignment.
struct StoredTensor {
  std::string dtype;           ///< as the file says: "F32", "BF16", "F16", "F8_E4M3", ...
  std::vector<int64_t> shape;  ///< [] is a scalar
  std::span<const std::byte> bytes;
};

using StoredTensors = std::map<std::string, StoredTensor, std::less<>>;

/// The tensors of a file's bytes, which they point into. `source` is what errors name. Checked: the header's length
/// against the file's, every dtype, that shapes and offsets agree, and that the tensors fill the file without gaps or
/// overlaps. Errors: invalid_argument, naming the tensor.
Result<StoredTensors> parse_safetensors(std::span<const std::byte> file, std::string_view source);

}  // namespace flash_mla::runtime
