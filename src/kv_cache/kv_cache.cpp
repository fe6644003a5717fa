#include "flash_mla/kv_cache.h"

#include <limits>
#include <new>
#include <vector>

#include "core/error.h"

namespace flash_mla {
namespace {

constexpr int64_t kMaxInt32 = std::numeric_limits<int32_t>::max();
constexpr int32_t kNone = -1;   ///< end of a free list; an entry of the page table that holds no page
constexpr int32_t kInUse = -2;  ///< in place of a link: not free

int64_t divide_up(int64_t value, int64_t divisor) {
  return value / divisor + (value % divisor != 0);
}

Status check_extent(const char* name, int64_t value, int64_t low) {
  if (value >= low && value <= kMaxInt32) return {};
  return core::invalid("{} is {}: must be {} to {}", name, value, low, kMaxInt32);
}

/// Numbers 0 to n - 1, those that are free linked through the array of all of them; last in, first out.
class FreeList {
 public:
  explicit FreeList(int64_t size) : link_(static_cast<size_t>(size)), head_(size > 0 ? 0 : kNone), count_(size) {
    for (int64_t i = 0; i < size; ++i) link_[i] = i + 1 < size ? static_cast<int32_t>(i + 1) : kNone;
  }

  int32_t take() {
    const int32_t taken = head_;
    head_ = link_[taken];
    link_[taken] = kInUse;
    --count_;
    return taken;
  }

  void give_back(int32_t number) {
    link_[number] = head_;
    head_ = number;
    ++count_;
  }

  [[nodiscard]] bool in_use(int64_t number) const {
    return number >= 0 && number < static_cast<int64_t>(link_.size()) && link_[number] == kInUse;
  }
  [[nodiscard]] int64_t count() const { return count_; }

 private:
  std::vector<int32_t> link_;
  int32_t head_;
  int64_t count_;
};

Status check_geometry(const KvCacheGeometry& geometry) {
  FLASH_MLA_RETURN_IF_ERROR(check_extent("num_pages", geometry.num_pages, 0));
  FLASH_MLA_RETURN_IF_ERROR(check_extent("page_size", geometry.page_size, 1));
  FLASH_MLA_RETURN_IF_ERROR(check_extent("max_sequences", geometry.max_sequences, 1));
  FLASH_MLA_RETURN_IF_ERROR(check_extent("max_tokens", geometry.max_tokens, 1));
  return {};
}

}  // namespace

struct KvCache::State {
  explicit State(const KvCacheGeometry& shape)
      : geometry(shape),
        columns(divide_up(shape.max_tokens, shape.page_size)),
        table(static_cast<size_t>(shape.max_sequences * columns), kNone),
        lengths(static_cast<size_t>(shape.max_sequences), 0),
        pages(shape.num_pages),
        rows(shape.max_sequences) {}

  [[nodiscard]] int64_t pages_of(int64_t length) const { return divide_up(length, geometry.page_size); }

  KvCacheGeometry geometry;
  int64_t columns;
  std::vector<int32_t> table;
  std::vector<int32_t> lengths;
  FreeList pages;
  FreeList rows;
  int64_t tokens = 0;
};

Result<KvCache> KvCache::make(const KvCacheGeometry& geometry) {
  FLASH_MLA_RETURN_IF_ERROR(check_geometry(geometry));
  try {
    return KvCache(std::make_unique<State>(geometry));
  } catch (const std::exception&) {
    return core::invalid("max_sequences is {} and max_tokens is {}: a page table of that size does not fit in memory",
                         geometry.max_sequences, geometry.max_tokens);
  }
}

KvCache::KvCache(std::unique_ptr<State> state) : state_(std::move(state)) {}
KvCache::KvCache(KvCache&&) noexcept = default;
KvCache& KvCache::operator=(KvCache&&) noexcept = default;
KvCache::~KvCache() = default;

Result<int64_t> KvCache::add_sequence() {
  if (state_->rows.count() == 0) {
    return core::error(StatusCode::out_of_pages, "all max_sequences = {} rows of the page table are in use",
                       state_->geometry.max_sequences);
  }
  return int64_t{state_->rows.take()};
}

Status KvCache::append_tokens(int64_t sequence, std::span<int64_t> slots) {
  State& state = *state_;
  if (!state.rows.in_use(sequence)) return core::error(StatusCode::not_found, "sequence {} does not exist", sequence);
  const int64_t length = state.lengths[sequence];
  const auto added = static_cast<int64_t>(slots.size());
  if (added > state.geometry.max_tokens - length) {
    return core::invalid("sequence {} has {} tokens and cannot grow by {}: max_tokens is {}", sequence, length, added,
                         state.geometry.max_tokens);
  }
  const int64_t needed = state.pages_of(length + added) - state.pages_of(length);
  if (needed > state.pages.count()) {
    return core::error(StatusCode::out_of_pages, "sequence {} needs {} more pages, but {} of {} are free", sequence,
                       needed, state.pages.count(), state.geometry.num_pages);
  }

  const int64_t page_size = state.geometry.page_size;
  int32_t* row = state.table.data() + sequence * state.columns;
  int64_t token = length;
  for (int64_t& slot : slots) {
    const int64_t column = token / page_size;
    const int64_t offset = token % page_size;
    if (offset == 0) row[column] = state.pages.take();
    slot = row[column] * page_size + offset;
    ++token;
  }
  state.lengths[sequence] = static_cast<int32_t>(token);
  state.tokens += added;
  return {};
}

Status KvCache::remove_sequence(int64_t sequence) {
  State& state = *state_;
  if (!state.rows.in_use(sequence)) return core::error(StatusCode::not_found, "sequence {} does not exist", sequence);
  int32_t* row = state.table.data() + sequence * state.columns;
  // From the end, so that the next sequence gets these pages in the order in which this one had them.
  for (int64_t column = state.pages_of(state.lengths[sequence]) - 1; column >= 0; --column) {
    state.pages.give_back(row[column]);
    row[column] = kNone;
  }
  state.tokens -= state.lengths[sequence];
  state.lengths[sequence] = 0;
  state.rows.give_back(static_cast<int32_t>(sequence));
  return {};
}

int64_t KvCache::pages_needed(int64_t sequence, int64_t tokens) const {
  if (!state_->rows.in_use(sequence)) return -1;
  const int64_t length = state_->lengths[sequence];
  const int64_t room = state_->pages_of(length) * state_->geometry.page_size - length;
  return tokens <= room ? 0 : divide_up(tokens - room, state_->geometry.page_size);
}

int64_t KvCache::num_free_pages() const {
  return state_->pages.count();
}
int64_t KvCache::num_used_pages() const {
  return state_->geometry.num_pages - state_->pages.count();
}
int64_t KvCache::num_tokens() const {
  return state_->tokens;
}
const KvCacheGeometry& KvCache::geometry() const {
  return state_->geometry;
}

ConstTensor KvCache::page_table() const {
  return {state_->table.data(), DType::int32, {state_->geometry.max_sequences, state_->columns}};
}

ConstTensor KvCache::seqlens() const {
  return {state_->lengths.data(), DType::int32, {state_->geometry.max_sequences}};
}

}  // namespace flash_mla
