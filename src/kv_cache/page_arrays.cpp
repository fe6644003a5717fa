#include <algorithm>
#include <cstring>
#include <limits>

#include "core/error.h"
#include "flash_mla/kv_cache_data.h"

namespace flash_mla {
namespace {

std::byte* page_of(const PageArray& array, int64_t page) {
  return static_cast<std::byte*>(array.data) + page * array.page_stride;
}

}  // namespace

Result<PageArrays> PageArrays::make(std::vector<PageArray> arrays) {
  for (size_t i = 0; i < arrays.size(); ++i) {
    PageArray& array = arrays[i];
    if (array.page_stride == 0) array.page_stride = array.page_bytes;
    if (array.data == nullptr && array.num_pages > 0) return core::invalid("arrays[{}].data is null", i);
    if (array.num_pages < 0 || array.page_bytes <= 0 || array.page_stride < array.page_bytes) {
      return core::invalid(
          "arrays[{}] has {} pages of {} bytes, {} apart: expected 0 pages or more, of at least a byte, that do not "
          "overlap",
          i, array.num_pages, array.page_bytes, array.page_stride);
    }
    if (array.num_pages > std::numeric_limits<int64_t>::max() / array.page_stride) {
      return core::invalid("arrays[{}] has {} pages, {} bytes apart: more than can be addressed", i, array.num_pages,
                           array.page_stride);
    }
    if (array.token_bytes < 0 || array.token_bytes > array.page_bytes) {
      return core::invalid("arrays[{}].token_bytes is {}: must be 0 to page_bytes = {}", i, array.token_bytes,
                           array.page_bytes);
    }
    if (array.group < 0 || array.group >= kMaxKvCacheGroups) {
      return core::invalid("arrays[{}].group is {}: must be 0 to {}", i, array.group, kMaxKvCacheGroups - 1);
    }
  }
  PageArrays made;
  made.arrays_ = std::move(arrays);
  return made;
}

int64_t PageArrays::page_bytes(int32_t group) const {
  int64_t bytes = 0;
  for (const PageArray& array : arrays_) bytes += array.group == group ? array.page_bytes : 0;
  return bytes;
}

Status PageArrays::copy(std::span<const PageCopy> copies) const {
  for (const PageCopy& copy : copies) {
    FLASH_MLA_RETURN_IF_ERROR(check_page(copy.group, std::min(copy.from, copy.to), -1));
    FLASH_MLA_RETURN_IF_ERROR(check_page(copy.group, std::max(copy.from, copy.to), -1));
    if (copy.tokens < 0) return core::invalid("a copy is of {} tokens: must be 0 or more", copy.tokens);
  }
  for (const PageCopy& copy : copies) {
    for (const PageArray& array : arrays_) {
      if (array.group != copy.group || copy.from == copy.to) continue;
      const int64_t bytes =
          array.token_bytes == 0 ? array.page_bytes : std::min(array.page_bytes, array.token_bytes * copy.tokens);
      std::memcpy(page_of(array, copy.to), page_of(array, copy.from), static_cast<size_t>(bytes));
    }
  }
  return {};
}

Status PageArrays::check_page(int32_t group, int64_t page, int64_t size) const {
  for (const PageArray& array : arrays_) {
    if (array.group != group || (page >= 0 && page < array.num_pages)) continue;
    return core::invalid("page is {}: an array of group {} has {} pages", page, group, array.num_pages);
  }
  if (size < 0 || size == page_bytes(group)) return {};
  return core::invalid("bytes has {} bytes: a page of group {} has {}", size, group, page_bytes(group));
}

Status PageArrays::gather(int32_t group, int64_t page, std::span<std::byte> bytes) const {
  FLASH_MLA_RETURN_IF_ERROR(check_page(group, page, static_cast<int64_t>(bytes.size())));
  std::byte* to = bytes.data();
  for (const PageArray& array : arrays_) {
    if (array.group != group) continue;
    std::memcpy(to, page_of(array, page), static_cast<size_t>(array.page_bytes));
    to += array.page_bytes;
  }
  return {};
}

Status PageArrays::scatter(int32_t group, int64_t page, std::span<const std::byte> bytes) const {
  FLASH_MLA_RETURN_IF_ERROR(check_page(group, page, static_cast<int64_t>(bytes.size())));
  const std::byte* from = bytes.data();
  for (const PageArray& array : arrays_) {
    if (array.group != group) continue;
    std::memcpy(page_of(array, page), from, static_cast<size_t>(array.page_bytes));
    from += array.page_bytes;
  }
  return {};
}

}  // namespace flash_mla
