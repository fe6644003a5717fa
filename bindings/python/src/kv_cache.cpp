// flash_mla.KvCache: pages of one format (group 0 of the library's manager). No method releases the GIL, so Python
// threads take turns, as the manager demands.
#include "flash_mla/kv_cache.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/unique_ptr.h>

#include <climits>
#include <memory>
#include <vector>

#include "array.h"
#include "kv_cache.h"
#include "raise.h"

namespace flash_mla::python {

namespace {

template <class T>
T take(Result<T> result) {
  raise_if_error(result.status(), PyExc_LookupError);
  return std::move(result).value();
}

/// Token ids: an array [tokens] int32, or a list.
std::vector<int32_t> token_ids(nb::handle object, const char* name) {
  std::vector<int32_t> ids;
  if (nb::isinstance<nb::list>(object) || nb::isinstance<nb::tuple>(object)) {
    for (nb::handle item : nb::cast<nb::sequence>(object)) {
      const int64_t id = int_of(item, name);
      if (id < INT32_MIN || id > INT32_MAX) {
        raise(PyExc_ValueError, "%s[%zu] = %lld; expected an int of 32 bits", name, ids.size(),
              static_cast<long long>(id));
      }
      ids.push_back(static_cast<int32_t>(id));
    }
    return ids;
  }
  const Array array(object, name, "[tokens] int32");
  const Tensor tensor = array.tensor();
  if (tensor.absent()) return ids;
  if (tensor.dtype != DType::int32 || tensor.rank != 1) {
    raise(PyExc_ValueError, "%s has dtype %s and rank %d; expected [tokens] int32", name, name_of(tensor.dtype),
          tensor.rank);
  }
  for (int64_t i = 0; i < tensor.shape[0]; ++i) {
    ids.push_back(static_cast<const int32_t*>(tensor.data)[i * tensor.strides[0]]);
  }
  return ids;
}

using Slots = nb::ndarray<nb::numpy, int64_t, nb::ndim<1>>;
using Table = nb::ndarray<nb::numpy, const int32_t>;

std::unique_ptr<KvCache> make(nb::handle num_pages, nb::handle max_sequences, nb::handle max_tokens,
                              nb::handle page_size, nb::handle prefix_caching, nb::handle window, nb::handle sinks) {
  const KvCacheGeometry geometry = {int_of(num_pages, "num_pages"), int_of(page_size, "page_size"),
                                    int_of(max_sequences, "max_sequences"), int_of(max_tokens, "max_tokens")};
  KvCacheOptions options;
  options.prefix_caching = bool_of(prefix_caching, "prefix_caching");
  options.groups = {{0, int_of(window, "window"), int_of(sinks, "sinks")}};
  return std::make_unique<KvCache>(take(KvCache::make(geometry, options)));
}

nb::tuple add_sequence(KvCache& self, nb::handle prompt, nb::handle salt, nb::handle priority, nb::handle reserve) {
  const std::vector<int32_t> ids = token_ids(prompt, "prompt");
  const int64_t level = int_of(priority, "priority");
  if (level < INT_MIN || level > INT_MAX) {
    raise(PyExc_ValueError, "priority = %lld; expected 0 to 3", static_cast<long long>(level));
  }
  SequenceSpec spec;
  spec.prompt = ids;
  spec.salt = static_cast<uint64_t>(int_of(salt, "salt"));
  spec.priority = static_cast<int>(level);
  spec.reserve_tokens = int_of(reserve, "reserve_tokens");
  const StartedSequence started = take(self.add_sequence(spec));
  return nb::make_tuple(started.id, started.num_computed_tokens);
}

nb::tuple grow(KvCache& self, nb::handle sequence, nb::handle tokens) {
  const int64_t id = int_of(sequence, "sequence");
  const bool counted = PyIndex_Check(tokens.ptr()) != 0 && PyLong_Check(tokens.ptr()) != 0;
  const std::vector<int32_t> ids = counted ? std::vector<int32_t>() : token_ids(tokens, "tokens");
  const int64_t count = counted ? int_of(tokens, "tokens") : static_cast<int64_t>(ids.size());
  if (count < 0 || count > self.geometry().max_tokens) {
    raise(PyExc_ValueError, "tokens = %lld; expected 0 to max_tokens = %lld", static_cast<long long>(count),
          static_cast<long long>(self.geometry().max_tokens));
  }
  auto slots = std::make_unique<std::vector<int64_t>>(static_cast<size_t>(count));
  const PageCopies copies = take(counted ? self.grow(id, count, *slots) : self.grow(id, ids, *slots));
  nb::list copied;
  for (const PageCopy& copy : copies.span()) copied.append(nb::make_tuple(copy.from, copy.to, copy.tokens));
  std::vector<int64_t>* memory = slots.release();
  nb::capsule owner(memory, [](void* vector) noexcept { delete static_cast<std::vector<int64_t>*>(vector); });
  return nb::make_tuple(Slots(memory->data(), {memory->size()}, owner), copied);
}

Table table_of(nb::handle self, const ConstTensor& tensor) {
  std::vector<size_t> shape;
  std::vector<int64_t> strides;
  for (int axis = 0; axis < tensor.rank; ++axis) {
    shape.push_back(static_cast<size_t>(tensor.shape[axis]));
    strides.push_back(tensor.strides[axis]);
  }
  return {static_cast<const int32_t*>(tensor.data), shape.size(), shape.data(), self, strides.data()};
}

nb::dict statistics(const KvCache& self) {
  const KvCacheStatistics figures = self.statistics();
  nb::dict row;
  row["num_pages"] = figures.num_pages;
  row["free_pages"] = figures.free_pages;
  row["cached_pages"] = figures.cached_pages;
  row["used_pages"] = figures.used_pages;
  row["reserved_pages"] = figures.reserved_pages;
  row["sequences"] = figures.sequences;
  row["tokens"] = figures.tokens;
  row["wasted_tokens"] = figures.wasted_tokens;
  row["evictions"] = figures.evictions;
  row["copies"] = figures.copies;
  row["query_tokens"] = figures.query_tokens;
  row["hit_tokens"] = figures.hit_tokens;
  return row;
}

/// A method that takes a sequence and returns a Status.
template <class Call>
auto on_sequence(Call call) {
  return [call](KvCache& self, nb::handle sequence) {
    raise_if_error(call(self, int_of(sequence, "sequence")), PyExc_LookupError);
  };
}

template <class Call>
auto on_sequence_and_tokens(Call call) {
  return [call](KvCache& self, nb::handle sequence, nb::handle num_tokens) {
    raise_if_error(call(self, int_of(sequence, "sequence"), int_of(num_tokens, "num_tokens")), PyExc_LookupError);
  };
}

}  // namespace

void define_kv_cache(nb::module_& module) {
  nb::class_<KvCache>(
      module, "KvCache",
      "Which pages hold which sequence's tokens. Holds no keys: the caller owns the arrays that `decode` and `append`\n"
      "address with this class's page table, lengths and slots. A sequence is a row of the page table; unused rows "
      "have\n"
      "length 0, so that the whole table can be handed to `decode`. Tables must not change while `decode` reads "
      "them.\n\n"
      "Raises ValueError (names the argument), LookupError (no such sequence), OutOfPages; nothing has changed then.")
      .def(nb::new_(&make), nb::arg("num_pages"), nb::arg("max_sequences"), nb::arg("max_tokens"),
           nb::arg("page_size") = 64, nb::arg("prefix_caching") = false, nb::arg("window") = 0, nb::arg("sinks") = 0,
           "A pool of `num_pages` pages of `page_size` tokens. `prefix_caching`: finished pages are kept for later\n"
           "sequences that begin with the same tokens. `window`, `sinks`: as `plan` has them; pages that no query can\n"
           "see any more are freed.")
      .def("add_sequence", &add_sequence, nb::arg("prompt") = nb::none(), nb::arg("salt") = 0, nb::arg("priority") = 0,
           nb::arg("reserve_tokens") = 0,
           "A new sequence: (id, num_computed_tokens). With `prompt` (token ids, [tokens] int32 or a list) it begins\n"
           "with the longest cached prefix, whose tokens need no computing.")
      .def("grow", &grow, nb::arg("sequence"), nb::arg("tokens"),
           "Grows a sequence by `tokens` (a count, or token ids): (slots, copies). slots [tokens] int64 as `append` "
           "takes\n"
           "them; copies [(from, to, tokens)]: pages to copy first, since others share the old one.")
      .def("mark_computed",
           on_sequence_and_tokens([](KvCache& self, int64_t s, int64_t n) { return self.mark_computed(s, n); }),
           nb::arg("sequence"), nb::arg("num_tokens"), "The first num_tokens tokens have been written and are final.")
      .def("rewind", on_sequence_and_tokens([](KvCache& self, int64_t s, int64_t n) { return self.rewind(s, n); }),
           nb::arg("sequence"), nb::arg("num_tokens"), "Shortens a sequence, as when drafts are rejected.")
      .def("reserve", on_sequence_and_tokens([](KvCache& self, int64_t s, int64_t n) { return self.reserve(s, n); }),
           nb::arg("sequence"), nb::arg("num_tokens"), "Promises the pages for growth to num_tokens tokens.")
      .def(
          "fork", [](KvCache& self, nb::handle s) { return take(self.fork(int_of(s, "sequence"))); },
          nb::arg("sequence"), "A second sequence of the same tokens in the same pages: its id.")
      .def("freeze", on_sequence([](KvCache& self, int64_t s) { return self.freeze(s); }), nb::arg("sequence"),
           "No more growth or rewinding: for a shared prompt that forks begin from.")
      .def("remove_sequence", on_sequence([](KvCache& self, int64_t s) { return self.remove_sequence(s); }),
           nb::arg("sequence"), "Frees the sequence; pages that nobody else uses are free, or cached.")
      .def(
          "row_of", [](KvCache& self, nb::handle s) { return self.row_of(int_of(s, "sequence")); }, nb::arg("sequence"),
          "Row of a sequence in `page_table` and `seqlens`; -1 for an unknown one.")
      .def(
          "length", [](KvCache& self, nb::handle s) { return self.length(int_of(s, "sequence")); }, nb::arg("sequence"),
          "Tokens of a sequence; -1 for an unknown one.")
      .def_prop_ro(
          "page_table", [](nb::handle self) { return table_of(self, nb::cast<KvCache&>(self).page_table()); },
          "[max_sequences, ceil(max_tokens / page_size)] int32, a read-only view that follows the operations.")
      .def_prop_ro(
          "seqlens", [](nb::handle self) { return table_of(self, nb::cast<KvCache&>(self).seqlens()); },
          "[max_sequences] int32, a read-only view that follows the operations.")
      .def_prop_ro("num_free_pages", &KvCache::num_free_pages, "Pages that are free or evictable.")
      .def_prop_ro("num_used_pages", &KvCache::num_used_pages, "Pages in use.")
      .def_prop_ro("num_tokens", &KvCache::num_tokens, "Tokens over all sequences.")
      .def("statistics", &statistics, "Figures as a dictionary: pages, tokens, prefix hits, evictions, copies.")
      .def(
          "verify", [](KvCache& self) { raise_if_error(self.verify()); },
          "Audits every reference and counter. Raises RuntimeError if the books are wrong.");
}

}  // namespace flash_mla::python
