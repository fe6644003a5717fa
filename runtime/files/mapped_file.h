// A file in memory, read-only, without reading it first.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "flash_mla/status.h"

namespace flash_mla::runtime {

class MappedFile {
 public:
  /// The mapping lives as long as a copy of the returned pointer. The file must not shrink meanwhile. Errors: io_error.
  static Result<std::shared_ptr<const MappedFile>> open(const std::string& path);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  [[nodiscard]] std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  MappedFile(const std::byte* data, size_t size) : data_(data), size_(size) {}
  const std::byte* data_;
  size_t size_;
};

/// A whole file as text. Errors: io_error (also for more than `most` bytes).
Result<std::string> read_text(const std::string& path, size_t most);

}  // namespace flash_mla::runtime
