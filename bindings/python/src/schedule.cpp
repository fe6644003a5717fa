#include "schedule.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "array.h"
#include "place.h"
#include "plan.h"
#include "raise.h"

namespace flash_mla::python {

namespace {

constexpr int32_t kMark = 0x4D4C41;  // "MLA"
constexpr int64_t kColumns = 8;      // of tile_scheduler_metadata, as in FlashMLA

/// [mark, b, 64 bits of hash]: what each row of tile_scheduler_metadata starts with.
using Fingerprint = std::array<int32_t, 4>;

Tensor int32_array(const Array& array, const char* name, int rank, const char* shape) {
  if (array.absent()) raise(PyExc_TypeError, "%s is None; expected an array %s", name, shape);
  const Tensor tensor = array.tensor();
  if (tensor.dtype != DType::int32) {
    raise(PyExc_ValueError, "%s has dtype %s; expected int32", name, name_of(tensor.dtype));
  }
  if (tensor.rank != rank) {
    raise(PyExc_ValueError, "%s has rank %d; expected %s with rank %d", name, tensor.rank, shape, rank);
  }
  return tensor;
}

Fingerprint fingerprint_of(const std::vector<int32_t>& lengths) {
  uint64_t hash = 0;
  for (const int32_t length : lengths) {
    // SplitMix64's finalizer (Steele, Lea & Flood, 2014) over the running state.
    hash += static_cast<uint32_t>(length) + 0x9e3779b97f4a7c15U;
    hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9U;
    hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebU;
    hash ^= hash >> 31;
  }
  return {kMark, static_cast<int32_t>(lengths.size()), static_cast<int32_t>(hash), static_cast<int32_t>(hash >> 32)};
}

/// An array's elements, from wherever it lies.
std::vector<int32_t> elements(nb::handle object, const char* name) {
  Place place{.device = std::nullopt};
  place.stream = stream_of(nb::none(), object);
  const Array array(object, name, "[b] int32", place);
  return read_int32(int32_array(array, name, 1, "[b] int32"), array.device(), place.stream, name);
}

nb::tuple tuple_of(const Fingerprint& fingerprint) {
  const auto [mark, batch, low, high] = fingerprint;
  return nb::make_tuple(mark, batch, low, high);
}

nb::tuple fingerprint(nb::handle lengths, const char* name) {
  return tuple_of(fingerprint_of(elements(lengths, name)));
}

/// The fingerprint that a schedule carries; on a CUDA device this waits for it.
Fingerprint carried_by(nb::handle metadata, nb::handle num_splits, int64_t batch) {
  constexpr const char* kMetadata = "[workers, 8] int32, from get_mla_metadata()";
  constexpr const char* kNumSplits = "[b + 1] int32, from get_mla_metadata()";
  Place place{.device = std::nullopt};
  place.stream = stream_of(nb::none(), metadata);
  const Array metadata_array(metadata, "tile_scheduler_metadata", kMetadata, place),
      splits_array(num_splits, "num_splits", kNumSplits, place);
  const Tensor rows = int32_array(metadata_array, "tile_scheduler_metadata", 2, kMetadata);
  const Tensor splits = int32_array(splits_array, "num_splits", 1, kNumSplits);
  if (rows.shape[0] < 1 || rows.shape[1] != kColumns) {
    raise(PyExc_ValueError, "tile_scheduler_metadata has shape [%lld, %lld]; expected [1 or more, 8]",
          static_cast<long long>(rows.shape[0]), static_cast<long long>(rows.shape[1]));
  }
  const long long expected = static_cast<long long>(batch) + 1;
  if (splits.shape[0] != expected) {
    raise(PyExc_ValueError, "num_splits has shape [%lld]; expected [b + 1] = [%lld]",
          static_cast<long long>(splits.shape[0]), expected);
  }
  ConstTensor first_row(rows.data, DType::int32, {kColumns});
  first_row.strides[0] = rows.strides[1];
  const std::vector<int32_t> columns =
      read_int32(first_row, metadata_array.device(), place.stream, "tile_scheduler_metadata");
  Fingerprint found{};
  std::copy_n(columns.begin(), found.size(), found.begin());
  if (found[0] != kMark) {
    raise(PyExc_ValueError, "tile_scheduler_metadata is not what get_mla_metadata() of this package returned");
  }
  return found;
}

nb::tuple schedule_fingerprint(nb::handle metadata, nb::handle num_splits, nb::handle batch) {
  return tuple_of(carried_by(metadata, num_splits, int_of(batch, "b")));
}

void check_schedule(nb::handle metadata, nb::handle num_splits, nb::handle cache_seqlens) {
  const std::vector<int32_t> lengths = elements(cache_seqlens, "cache_seqlens");
  if (carried_by(metadata, num_splits, static_cast<int64_t>(lengths.size())) != fingerprint_of(lengths)) {
    raise_if_error({StatusCode::plan_mismatch,
                    "tile_scheduler_metadata was made for other values of cache_seqlens than this call has; call "
                    "get_mla_metadata again"});
  }
}

}  // namespace

void define_schedule(nb::module_& module) {
  module.attr("SCHEDULE_COLUMNS") = kColumns;
  module.def("fingerprint", &fingerprint, nb::arg("lengths").none(), nb::arg("name"));
  module.def("check_schedule", &check_schedule, nb::arg("metadata").none(), nb::arg("num_splits").none(),
             nb::arg("cache_seqlens").none());
  module.def("schedule_fingerprint", &schedule_fingerprint, nb::arg("metadata").none(), nb::arg("num_splits").none(),
             nb::arg("batch"));
  module.def("plan_fingerprint", [](const PythonPlan& plan) {
    const std::shared_lock lock(plan.mutex);
    return tuple_of(fingerprint_of(plan.lengths()));
  });
}

}  // namespace flash_mla::python
