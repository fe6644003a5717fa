// Defects of the KV cache, for the random operations of its model test.
#include "kv_cache/manager.h"
#include "planted.h"

namespace flash_mla::planted {

using kv_cache::Manager;
using kv_cache::PagePool;
using kv_cache::Prefix;
using kv_cache::PrefixIndex;

#define FLASH_MLA_ADD_REFERENCE "_ZN9flash_mla8kv_cache8PagePool13add_referenceEi"
#define FLASH_MLA_RELEASE "_ZN9flash_mla8kv_cache8PagePool7releaseEi"
#define FLASH_MLA_UNPUBLISH "_ZN9flash_mla8kv_cache7Manager9unpublishEi"
#define FLASH_MLA_SHORTEN_CHAINS "_ZN9flash_mla8kv_cache7Manager14shorten_chainsEl"
#define FLASH_MLA_FIND \
  "_ZNK9flash_mla8kv_cache11PrefixIndex4findERKNS0_8PagePoolERKNS_11KvCacheHashEimSt4spanIKiLm18446744073709551615EEm"
#define FLASH_MLA_FOLD "_ZNK9flash_mla8kv_cache11PrefixIndex4foldEmRKNS_10TokenExtraEl"
#define FLASH_MLA_ROOT "_ZNK9flash_mla8kv_cache11PrefixIndex4rootEmm"

void real_add_reference(PagePool* pool, int32_t page) FLASH_MLA_REAL(FLASH_MLA_ADD_REFERENCE);
bool real_release(PagePool* pool, int32_t page) FLASH_MLA_REAL(FLASH_MLA_RELEASE);
void real_unpublish(Manager* manager, int32_t page) FLASH_MLA_REAL(FLASH_MLA_UNPUBLISH);
void real_shorten_chains(Manager* manager, int64_t row) FLASH_MLA_REAL(FLASH_MLA_SHORTEN_CHAINS);
int32_t real_find(const PrefixIndex* index, const PagePool& pool, const KvCacheHash& hash, int group, uint64_t parent,
                  std::span<const int32_t> tokens, uint64_t extra) FLASH_MLA_REAL(FLASH_MLA_FIND);
uint64_t real_fold(const PrefixIndex* index, uint64_t extra, const TokenExtra& added, int64_t token)
    FLASH_MLA_REAL(FLASH_MLA_FOLD);
Prefix real_root(const PrefixIndex* index, uint64_t salt, uint64_t adapter) FLASH_MLA_REAL(FLASH_MLA_ROOT);

void wrap_add_reference(PagePool* pool, int32_t page) FLASH_MLA_WRAP(FLASH_MLA_ADD_REFERENCE);
void wrap_add_reference(PagePool* pool, int32_t page) {
  if (is_planted("kv_cache_shares_without_counting") && (*pool)[page].references > 0) return;
  real_add_reference(pool, page);
}

bool wrap_release(PagePool* pool, int32_t page) FLASH_MLA_WRAP(FLASH_MLA_RELEASE);
bool wrap_release(PagePool* pool, int32_t page) {
  return is_planted("kv_cache_never_gives_pages_back") ? false : real_release(pool, page);
}

void wrap_unpublish(Manager* manager, int32_t page) FLASH_MLA_WRAP(FLASH_MLA_UNPUBLISH);
void wrap_unpublish(Manager* manager, int32_t page) {
  if (!is_planted("kv_cache_serves_what_was_rewound")) real_unpublish(manager, page);
}

void wrap_shorten_chains(Manager* manager, int64_t row) FLASH_MLA_WRAP(FLASH_MLA_SHORTEN_CHAINS);
void wrap_shorten_chains(Manager* manager, int64_t row) {
  if (!is_planted("kv_cache_hashes_on_after_a_rewind")) real_shorten_chains(manager, row);
}

int32_t wrap_find(const PrefixIndex* index, const PagePool& pool, const KvCacheHash& hash, int group, uint64_t parent,
                  std::span<const int32_t> tokens, uint64_t extra) FLASH_MLA_WRAP(FLASH_MLA_FIND);
int32_t wrap_find(const PrefixIndex* index, const PagePool& pool, const KvCacheHash& hash, int group, uint64_t parent,
                  std::span<const int32_t> tokens, uint64_t extra) {
  if (is_planted("kv_cache_trusts_the_hash")) parent = kv_cache::kAnyParent;
  return real_find(index, pool, hash, group, parent, tokens, extra);
}

uint64_t wrap_fold(const PrefixIndex* index, uint64_t extra, const TokenExtra& added, int64_t token)
    FLASH_MLA_WRAP(FLASH_MLA_FOLD);
uint64_t wrap_fold(const PrefixIndex* index, uint64_t extra, const TokenExtra& added, int64_t token) {
  return is_planted("kv_cache_ignores_extras") ? extra : real_fold(index, extra, added, token);
}

Prefix wrap_root(const PrefixIndex* index, uint64_t salt, uint64_t adapter) FLASH_MLA_WRAP(FLASH_MLA_ROOT);
Prefix wrap_root(const PrefixIndex* index, uint64_t salt, uint64_t adapter) {
  return is_planted("kv_cache_ignores_salt") ? real_root(index, 0, 0) : real_root(index, salt, adapter);
}

}  // namespace flash_mla::planted
