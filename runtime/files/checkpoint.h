// The weights of a Hugging Face folder: one safetensors file, or shards and their index.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "files/mapped_file.h"
#include "files/safetensors.h"
#include "flash_mla/status.h"

namespace flash_mla::runtime {

class Checkpoint {
 public:
  /// Maps model.safetensors, or what model.safetensors.index.json lists. Errors: io_error, invalid_argument.
  static Result<Checkpoint> open(const std::string& folder);

  /// Null where there is none. Its bytes live as long as a copy of this object.
  [[nodiscard]] const StoredTensor* find(std::string_view name) const;
  /// The tensor, of this shape. Errors: not_found, invalid_argument; the message names folder and tensor.
  [[nodiscard]] Result<const StoredTensor*> tensor(std::string_view name, std::span<const int64_t> shape) const;
  [[nodiscard]] int64_t total_bytes() const;

 private:
  Status add_file(const std::string& path, const std::vector<std::string>* expected);

  std::string folder_;
  std::vector<std::shared_ptr<const MappedFile>> files_;
  StoredTensors tensors_;
};

/// Converts a stored tensor of F32, BF16 or F16 to float32. Errors: unsupported (another type, by name).
Status to_float32(const StoredTensor& tensor, std::string_view name, std::span<float> values);
/// The same for `count` elements from `first` on.
Status to_float32(const StoredTensor& tensor, std::string_view name, int64_t first, std::span<float> values);

}  // namespace flash_mla::runtime
