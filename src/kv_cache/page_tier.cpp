#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <vector>

#include "core/error.h"
#include "flash_mla/kv_cache_data.h"
#include "kv_cache/crc32c.h"

namespace flash_mla {
namespace {

Status io_failure(const char* doing, const std::string& path) {
  const int cause = errno;
  return core::error(StatusCode::io_error, "{} '{}' failed: {}", doing, path, std::strerror(cause));
}

Status check_extents(int64_t count, int64_t bytes) {
  if (count >= 0 && bytes > 0 && (count == 0 || bytes <= std::numeric_limits<int64_t>::max() / count)) return {};
  return core::invalid("{} pages of {} bytes: expected 0 or more, of at least a byte, addressable in all", count,
                       bytes);
}

}  // namespace

struct PageTier::State {
  ~State() {
    if (file >= 0) close(file);
  }
  int64_t num_pages = 0;
  int64_t page_bytes = 0;
  std::vector<std::byte> memory;
  int file = -1;  ///< -1: in memory
  std::string path;
  std::vector<uint32_t> checksums;
  std::vector<bool> written;
};

PageTier::PageTier(std::unique_ptr<State> state) : state_(std::move(state)) {}
PageTier::PageTier(PageTier&&) noexcept = default;
PageTier& PageTier::operator=(PageTier&&) noexcept = default;
PageTier::~PageTier() = default;

Result<PageTier> PageTier::in_memory(int64_t num_pages, int64_t page_bytes) {
  FLASH_MLA_RETURN_IF_ERROR(check_extents(num_pages, page_bytes));
  try {
    auto state = std::make_unique<State>();
    state->num_pages = num_pages;
    state->page_bytes = page_bytes;
    state->memory.resize(static_cast<size_t>(num_pages * page_bytes));
    state->checksums.resize(static_cast<size_t>(num_pages));
    state->written.resize(static_cast<size_t>(num_pages));
    return PageTier(std::move(state));
  } catch (const std::exception&) {
    return core::invalid("{} pages of {} bytes do not fit in memory", num_pages, page_bytes);
  }
}

Result<PageTier> PageTier::in_file(const std::string& path, int64_t num_pages, int64_t page_bytes) {
  FLASH_MLA_RETURN_IF_ERROR(check_extents(num_pages, page_bytes));
  auto state = std::make_unique<State>();
  state->num_pages = num_pages;
  state->page_bytes = page_bytes;
  state->path = path;
  state->checksums.resize(static_cast<size_t>(num_pages));
  state->written.resize(static_cast<size_t>(num_pages));
  state->file = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (state->file < 0) return io_failure("creating", path);
  if (unlink(path.c_str()) != 0) return io_failure("removing the name of", path);  // so that it goes with the process
  if (ftruncate(state->file, num_pages * page_bytes) != 0) return io_failure("sizing", path);
  return PageTier(std::move(state));
}

Status PageTier::write(int64_t page, std::span<const std::byte> bytes) {
  State& s = *state_;
  if (page < 0 || page >= s.num_pages || static_cast<int64_t>(bytes.size()) != s.page_bytes) {
    return core::invalid("page {} with {} bytes: this tier has {} pages of {}", page, bytes.size(), s.num_pages,
                         s.page_bytes);
  }
  s.written[page] = false;
  if (s.file < 0) {
    std::memcpy(s.memory.data() + page * s.page_bytes, bytes.data(), bytes.size());
  }
  for (size_t done = 0; s.file >= 0 && done < bytes.size();) {
    const ssize_t count =
        pwrite(s.file, bytes.data() + done, bytes.size() - done, page * s.page_bytes + static_cast<int64_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return io_failure("writing", s.path);
    done += static_cast<size_t>(count);
  }
  s.checksums[page] = kv_cache::Crc32c::of(bytes);
  s.written[page] = true;
  return {};
}

Status PageTier::read(int64_t page, std::span<std::byte> bytes) const {
  const State& s = *state_;
  if (page < 0 || page >= s.num_pages || static_cast<int64_t>(bytes.size()) != s.page_bytes) {
    return core::invalid("page {} with {} bytes: this tier has {} pages of {}", page, bytes.size(), s.num_pages,
                         s.page_bytes);
  }
  if (!s.written[page]) return core::invalid("page {} of the tier has not been written", page);
  if (s.file < 0) {
    std::memcpy(bytes.data(), s.memory.data() + page * s.page_bytes, bytes.size());
  }
  for (size_t done = 0; s.file >= 0 && done < bytes.size();) {
    const ssize_t count =
        pread(s.file, bytes.data() + done, bytes.size() - done, page * s.page_bytes + static_cast<int64_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return io_failure("reading", s.path);
    done += static_cast<size_t>(count);
  }
  if (kv_cache::Crc32c::of(bytes) == s.checksums[page]) return {};
  return core::error(StatusCode::io_error, "page {} of the tier does not have the checksum that it was written with",
                     page);
}

struct StagingBuffers::State {
  int64_t bytes = 0;
  std::vector<std::byte> memory;
  std::vector<int64_t> owners;  ///< transfer of each buffer; -1: free
};

StagingBuffers::StagingBuffers(std::unique_ptr<State> state) : state_(std::move(state)) {}
StagingBuffers::StagingBuffers(StagingBuffers&&) noexcept = default;
StagingBuffers& StagingBuffers::operator=(StagingBuffers&&) noexcept = default;
StagingBuffers::~StagingBuffers() = default;

Result<StagingBuffers> StagingBuffers::make(int64_t count, int64_t bytes) {
  FLASH_MLA_RETURN_IF_ERROR(check_extents(count, bytes));
  try {
    auto state = std::make_unique<State>();
    state->bytes = bytes;
    state->memory.resize(static_cast<size_t>(count * bytes));
    state->owners.assign(static_cast<size_t>(count), -1);
    return StagingBuffers(std::move(state));
  } catch (const std::exception&) {
    return core::invalid("{} buffers of {} bytes do not fit in memory", count, bytes);
  }
}

Result<std::span<std::byte>> StagingBuffers::acquire(const PageTransfer& transfer) {
  State& s = *state_;
  int64_t free = -1;
  for (size_t i = 0; i < s.owners.size(); ++i) {
    if (s.owners[i] == transfer.id) return core::invalid("transfer {} has a buffer already", transfer.id);
    if (s.owners[i] == -1 && free < 0) free = static_cast<int64_t>(i);
  }
  if (free < 0) return core::error(StatusCode::out_of_pages, "all {} staging buffers are in flight", s.owners.size());
  s.owners[free] = transfer.id;
  return std::span(s.memory.data() + free * s.bytes, static_cast<size_t>(s.bytes));
}

Status StagingBuffers::release(const PageTransfer& transfer) {
  for (int64_t& owner : state_->owners) {
    if (owner != transfer.id || owner == -1) continue;
    owner = -1;
    return {};
  }
  return core::error(StatusCode::not_found, "transfer {} has no staging buffer", transfer.id);
}

int64_t StagingBuffers::num_free() const {
  int64_t free = 0;
  for (const int64_t owner : state_->owners) free += owner == -1;
  return free;
}

}  // namespace flash_mla
