// KvCache and append(): a stream of operations, right and wrong, against a model that keeps each sequence's rows in a
// list.
#include <algorithm>

#include "bytes.h"
#include "cache_model.h"
#include "flash_mla/append.h"
#include "require.h"
#include "spoil.h"
#include "support/random.h"

namespace flash_mla::fuzz {
namespace {

using test::Array;
using test::Border;
using test::Layout;

class CacheFuzz {
 public:
  explicit CacheFuzz(Bytes& bytes)
      : bytes_(bytes),
        cache_(
            KvCache::make({bytes.number(0, 9), bytes.number(1, 5), bytes.number(1, 4), bytes.number(1, 24)}).value()) {
    dtype_ = bytes.pick({DType::bfloat16, DType::float16, DType::float32});
    heads_ = bytes.number(1, 3);
    width_ = bytes.number(1, 9);
    const KvCacheGeometry& geometry = cache_.geometry();
    const Layout layout =
        bytes.pick({Layout{}, Layout{.slack = {1, 3, 2, 5}, .offset = 1}, Layout{.order = {0, 2, 1, 3}}});
    k_cache_ = Array(dtype_, {geometry.num_pages, geometry.page_size, heads_, width_}, layout, Border::heap);
    if (bytes.flag()) {
      v_cache_ =
          Array(dtype_, {geometry.num_pages, geometry.page_size, heads_, bytes.number(1, 9)}, layout, Border::heap);
    }
  }

  void run() {
    while (!bytes_.empty()) {
      switch (bytes_.number(0, 5)) {
        case 0:
          add();
          break;
        case 1:
          remove();
          break;
        case 2:
          bad_append();
          break;
        default:
          grow();
          break;
      }
      model_.check(cache_, k_cache_, v_cache_);
    }
  }

 private:
  /// Rows for some tokens, and the call that appends them.
  struct Rows {
    Array rows, rope, v_rows;
    AppendArgs args;
  };

  Rows make_rows(const std::vector<int64_t>& slots) {
    const auto tokens = static_cast<int64_t>(slots.size());
    const Layout layout = bytes_.pick({Layout{}, Layout{.order = {1, 0, 2}, .slack = {1, 2, 3}, .offset = 1}});
    const int64_t rope_width = bytes_.flag() ? bytes_.number(0, width_) : 0;
    const bool with_rope = rope_width > 0 || bytes_.flag();
    Rows made;
    made.rows = random_rows(tokens, width_ - rope_width, layout);
    made.args.rows = made.rows.view();
    if (with_rope) {
      made.rope = random_rows(tokens, rope_width, layout);
      made.args.rope = made.rope.view();
    }
    if (!v_cache_.view().absent()) {
      made.v_rows = random_rows(tokens, v_cache_.view().shape[3], layout);
      made.args.v_rows = made.v_rows.view();
    }
    made.args.slot_mapping = ConstTensor(slots.data(), DType::int64, {tokens});
    made.args.k_cache = k_cache_.view();
    if (!v_cache_.view().absent()) made.args.v_cache = v_cache_.view();
    // A view of nothing may be null.
    if (bytes_.flag()) {
      for (ConstTensor* view : {&made.args.rows, &made.args.rope, &made.args.v_rows, &made.args.slot_mapping}) {
        if (view->rank > 0 &&
            std::find(view->shape.begin(), view->shape.begin() + view->rank, 0) != view->shape.begin() + view->rank) {
          view->data = nullptr;
        }
      }
    }
    return made;
  }

  Array random_rows(int64_t tokens, int64_t width, const Layout& layout) {
    Array rows(dtype_, {tokens, heads_, width}, layout, Border::heap);
    for (int64_t token = 0; token < tokens; ++token) {
      for (int64_t head = 0; head < heads_; ++head) {
        for (int64_t column = 0; column < width; ++column)
          rows.set(test::normal(test::mix(++drawn_)), token, head, column);
      }
    }
    return rows;
  }

  /// What a token's slot holds once its rows have been written.
  CacheModel::Row row_of(const Rows& made, int64_t token) const {
    CacheModel::Row row;
    const auto add = [&row](const Array& rows, int64_t of_token, int64_t head) {
      const Tensor& view = rows.view();
      if (view.absent()) return;
      const auto size = static_cast<int64_t>(size_of(view.dtype));
      const auto* first =
          static_cast<const std::byte*>(view.data) + (of_token * view.strides[0] + head * view.strides[1]) * size;
      row.insert(row.end(), first, first + view.shape[2] * size);
    };
    for (int64_t head = 0; head < heads_; ++head) add(made.rows, token, head), add(made.rope, token, head);
    for (int64_t head = 0; head < heads_; ++head) add(made.v_rows, token, head);
    return row;
  }

  void add() {
    const bool full = static_cast<int64_t>(model_.sequences.size()) == cache_.geometry().max_sequences;
    const Result<int64_t> added = cache_.add_sequence();
    require(added.ok() != full, "add_sequence()");
    if (!added.ok()) return;
    require(!model_.sequences.contains(added.value()), "a sequence that exists was added");
    model_.sequences[added.value()];
    ids_.push_back(added.value());
  }

  /// Of a sequence, of one that is gone, or of none that ever was.
  int64_t any_id() {
    if (bytes_.rarely(6) || ids_.empty()) return bytes_.pick({int64_t{-1}, INT64_MIN, INT64_MAX});
    return bytes_.pick(std::span(ids_));
  }

  void remove() {
    const int64_t id = any_id();
    require(cache_.remove_sequence(id).ok() == (model_.sequences.erase(id) == 1), "remove_sequence()");
  }

  void grow() {
    const int64_t id = any_id();
    std::vector<int64_t> slots(static_cast<size_t>(bytes_.number(0, 9)), -5);
    const auto added = static_cast<int64_t>(slots.size());
    const auto found = model_.sequences.find(id);
    const bool known = found != model_.sequences.end();
    const int64_t length = known ? static_cast<int64_t>(found->second.size()) : 0,
                  page_size = cache_.geometry().page_size;
    const int64_t pages = (length + added + page_size - 1) / page_size - (length + page_size - 1) / page_size;
    require(cache_.pages_needed(id, added) == (known ? pages : -1), "pages_needed()");
    const bool fits = known && length + added <= cache_.geometry().max_tokens && pages <= cache_.num_free_pages();
    require(cache_.append_tokens(id, slots).ok() == fits, "append_tokens()");
    if (!fits) {
      require(std::ranges::all_of(slots, [](int64_t slot) { return slot == -5; }),
              "slots of a refused call were written");
      return;
    }
    // A token that is skipped keeps what its slot held before.
    const std::vector<int64_t> all = slots;
    for (int64_t& slot : slots) {
      if (bytes_.rarely(8)) slot = -1;
    }
    std::vector<CacheModel::Row> before;
    for (const int64_t slot : all) before.push_back(slot_bytes(k_cache_, v_cache_, slot));
    const Rows made = make_rows(slots);
    const Status status = append(made.args);
    require(status.ok(), "refused a good append", status.message());
    for (size_t token = 0; token < slots.size(); ++token) {
      found->second.push_back(slots[token] == -1 ? before[token] : row_of(made, static_cast<int64_t>(token)));
    }
  }

  /// An append that must not write: a slot that is out of range or named twice, or a malformed tensor.
  void bad_append() {
    const int64_t most = cache_.geometry().num_pages * cache_.geometry().page_size;
    std::vector<int64_t> slots;
    for (int64_t slot = bytes_.number(0, 2); slot < std::min<int64_t>(most, 4); ++slot) slots.push_back(slot);
    const int way = static_cast<int>(bytes_.number(0, 3));
    if (way == 0) slots.push_back(bytes_.pick({int64_t{-2}, most, most + 1, INT64_MAX, INT64_MIN}));
    if (way == 1 && slots.empty()) return;
    if (way == 1)
      slots.insert(slots.begin() + bytes_.number(0, static_cast<int64_t>(slots.size())), bytes_.pick(std::span(slots)));
    Rows made = make_rows(slots);
    if (way > 1 && !spoil(made, slots)) return;
    const Status status = append(made.args);
    require(!status.ok(), "took a call that had to be refused");
    require(!status.message().empty(), "refused without a word");
  }

  /// Whether it left the call malformed.
  bool spoil(Rows& made, const std::vector<int64_t>& slots) {
    const auto spoil_one = [&](auto& view, const void* data, size_t size) {
      if (view.absent()) return false;
      const int rank = view.rank;
      spoil_view(view, bytes_);
      return judge_view(view, rank, data, size) == Verdict::malformed;
    };
    AppendArgs& args = made.args;
    const auto of_array = [&](auto& view, const Array& array) {
      return spoil_one(view, array.memory().data(), array.memory().size());
    };
    switch (bytes_.number(0, 5)) {
      case 0:
        return of_array(args.rows, made.rows);
      case 1:
        return of_array(args.rope, made.rope) && !args.rope.absent();
      case 2:
        return of_array(args.v_rows, made.v_rows);
      case 3:
        return of_array(args.k_cache, k_cache_);
      case 4:
        return of_array(args.v_cache, v_cache_) && !args.v_cache.absent();
      default:
        return spoil_one(args.slot_mapping, slots.data(), slots.size() * sizeof(int64_t));
    }
  }

  Bytes& bytes_;
  KvCache cache_;
  DType dtype_;
  int64_t heads_, width_;
  Array k_cache_, v_cache_;
  CacheModel model_;
  uint64_t drawn_ = 0;
  std::vector<int64_t> ids_;  ///< given so far
};

}  // namespace
}  // namespace flash_mla::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  flash_mla::fuzz::Bytes bytes(data, size);
  flash_mla::fuzz::CacheFuzz(bytes).run();
  return 0;
}
