// Pages on their way between the pool and a tier, and which pages of the tiers are taken.
#pragma once

#include <cstdint>
#include <vector>

#include "flash_mla/kv_cache_types.h"
#include "kv_cache/free_list.h"

namespace flash_mla::kv_cache {

struct Transfer {
  uint32_t generation = 0;  ///< of this place in the list: the id of a completed transfer never returns
  int32_t row = -1;         ///< of the sequence; -1: it was removed meanwhile
  int32_t column = 0;
  bool to_pool = false;
  int32_t group = 0;
  int32_t page = -1;
  uint32_t epoch = 0;
  int32_t tier = 0;
  int32_t tier_page = -1;
};

struct Transfers {
  Transfers(int64_t most, const std::vector<int64_t>& tier_pages) : list(static_cast<size_t>(most)), places(most) {
    for (const int64_t pages : tier_pages) tiers.emplace_back(pages);
  }

  std::vector<Transfer> list;
  FreeList places;
  std::vector<FreeList> tiers;
};

}  // namespace flash_mla::kv_cache
