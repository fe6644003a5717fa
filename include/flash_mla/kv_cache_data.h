// The bytes of the KV cache's pages: the caller's arrays, described so that copies on write, swapping and snapshots can
// be carried out for all layers at once, whatever the format: scales that lie in a page move with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "flash_mla/export.h"
#include "flash_mla/kv_cache_types.h"
#include "flash_mla/status.h"

namespace flash_mla {

/// One array of pages: a layer of one format. Page i lies at data + i * page_stride. Formats, in bytes a token: bf16 or
/// fp16 latents 1152, flat FP8 576, FP8 with scales 656, indexer keys 132.
struct PageArray {
  void* data = nullptr;
  int64_t num_pages = 0;
  int64_t page_bytes = 0;   ///< of one page, scales included
  int64_t page_stride = 0;  ///< bytes from page to page; 0: page_bytes
  int64_t token_bytes = 0;  ///< > 0: page = [page_size, token_bytes], and a partial copy moves whole tokens only;
                            ///< 0: tokens and scales lie apart, and a copy moves the page
  int32_t group = 0;
};

/// All arrays of a cache, in a fixed order. Any order of layers and groups.
class FLASH_MLA_API PageArrays {
 public:
  PageArrays() = default;
  /// Errors: invalid_argument (null, extents, a page that is longer than its stride).
  static Result<PageArrays> make(std::vector<PageArray> arrays);

  [[nodiscard]] bool empty() const { return arrays_.empty(); }
  [[nodiscard]] std::span<const PageArray> arrays() const { return arrays_; }
  /// Bytes of one page over all arrays of a group.
  [[nodiscard]] int64_t page_bytes(int32_t group) const;

  /// Carries out copies on write. Errors: invalid_argument (a page that an array lacks); nothing is copied then.
  [[nodiscard]] Status copy(std::span<const PageCopy> copies) const;
  /// A page of a group to page_bytes(group) bytes, and back. Errors: invalid_argument.
  [[nodiscard]] Status gather(int32_t group, int64_t page, std::span<std::byte> bytes) const;
  [[nodiscard]] Status scatter(int32_t group, int64_t page, std::span<const std::byte> bytes) const;

 private:
  [[nodiscard]] Status check_page(int32_t group, int64_t page, int64_t size) const;
  std::vector<PageArray> arrays_;
};

/// Where pages are kept outside the pool. Each page carries a checksum, so that what comes back is what went.
class FLASH_MLA_API PageTier {
 public:
  /// In memory. Errors: invalid_argument (extents, memory).
  static Result<PageTier> in_memory(int64_t num_pages, int64_t page_bytes);
  /// In a new file, removed with the tier. Errors: invalid_argument, io_error.
  static Result<PageTier> in_file(const std::string& path, int64_t num_pages, int64_t page_bytes);
  PageTier(PageTier&&) noexcept;
  PageTier& operator=(PageTier&&) noexcept;
  ~PageTier();

  /// Errors: invalid_argument (page, size), io_error.
  Status write(int64_t page, std::span<const std::byte> bytes);
  /// Errors: the same, and io_error where the checksum says that these are not the bytes that were written.
  Status read(int64_t page, std::span<std::byte> bytes) const;

 private:
  struct State;
  explicit PageTier(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Buffers that transfers borrow and give back only when the transfer has been completed: a buffer that is reused while
/// an asynchronous copy still reads it is how other prompts' tokens got into caches (TensorRT-LLM issue 15546).
class FLASH_MLA_API StagingBuffers {
 public:
  /// Errors: invalid_argument.
  static Result<StagingBuffers> make(int64_t count, int64_t bytes);
  StagingBuffers(StagingBuffers&&) noexcept;
  StagingBuffers& operator=(StagingBuffers&&) noexcept;
  ~StagingBuffers();

  /// A buffer for a transfer. Errors: out_of_pages (all are in flight), invalid_argument (it has one already).
  Result<std::span<std::byte>> acquire(const PageTransfer& transfer);
  /// The transfer has been completed. Errors: not_found.
  Status release(const PageTransfer& transfer);
  [[nodiscard]] int64_t num_free() const;

 private:
  struct State;
  explicit StagingBuffers(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace flash_mla
