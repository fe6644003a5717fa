#include "support/scene.h"

#include <algorithm>
#include <set>
#include <stdexcept>

#include "support/random.h"

namespace flash_mla::test {
namespace {

enum Salt : uint64_t { kQuery = 1, kKey, kValue, kPages };

constexpr int32_t kAbsurdPages[] = {INT32_MAX, -1, INT32_MIN, 2000000000};

}  // namespace

Scene::Scene(SceneSpec spec) : spec_(std::move(spec)) {
  spec_.shape.batch = static_cast<int64_t>(spec_.seqlens.size());
  const int64_t batch = spec_.shape.batch;
  seqlens = Array(DType::int32, {batch}, layout({}, 3), spec_.border);
  for (int64_t i = 0; i < batch; ++i) seqlens.set(spec_.seqlens[i], i);
  if (ragged()) {
    cu_seqlens_q = Array(DType::int32, {batch + 1}, layout({}, 2), spec_.border);
    for (int64_t i = 0; i <= batch; ++i) cu_seqlens_q.set(spec_.cu_seqlens_q[i], i);
  }
  make_page_table();
  make_queries();
}

int64_t Scene::s_q(int64_t sequence) const {
  return ragged() ? spec_.cu_seqlens_q[sequence + 1] - spec_.cu_seqlens_q[sequence] : spec_.shape.s_q;
}
int64_t Scene::first_query(int64_t sequence) const {
  return ragged() ? spec_.cu_seqlens_q[sequence] : sequence * spec_.shape.s_q;
}
int64_t Scene::total_q() const {
  return ragged() ? spec_.cu_seqlens_q.back() : spec_.shape.batch * spec_.shape.s_q;
}
uint64_t Scene::name(int64_t sequence) const {
  return spec_.names.empty() ? static_cast<uint64_t>(sequence) : spec_.names[sequence];
}

bool Scene::sees(int64_t sequence, int64_t token, int64_t key) const {
  const Mask& mask = spec_.mask;
  const int64_t s_k = spec_.seqlens[sequence];
  const int64_t end = mask.causal ? s_k - (s_q(sequence) - 1 - token) : s_k;
  if (key >= end) return false;
  return mask.window == 0 || key >= end - mask.window || key < mask.sinks;
}

bool Scene::seen_by_any(int64_t sequence, int64_t key) const {
  for (int64_t token = 0; token < s_q(sequence); ++token) {
    if (sees(sequence, token, key)) return true;
  }
  return false;
}

Layout Scene::layout(std::vector<int> heads_first_order, int64_t last_stride) const {
  switch (spec_.spread) {
    case Spread::padded:
      return {.slack = {1, 3, 2, 5}, .last_stride = last_stride, .offset = 1};
    case Spread::heads_first:
      return {.order = std::move(heads_first_order)};
    default:
      return {};
  }
}

void Scene::make_page_table() {
  const DecodeShape& shape = spec_.shape;
  const int32_t longest = shape.batch == 0 ? 0 : std::ranges::max(spec_.seqlens);
  const int64_t columns = (longest + shape.page_size - 1) / shape.page_size + 1;
  page_table = Array(DType::int32, {shape.batch, columns}, layout({1, 0}, 2), spec_.border);
  std::vector<std::pair<int64_t, int64_t>> live;
  for (int64_t i = 0; i < shape.batch; ++i) {
    for (int64_t column = 0; column < columns; ++column) {
      bool seen = false;
      const int64_t end = std::min<int64_t>((column + 1) * shape.page_size, spec_.seqlens[i]);
      for (int64_t key = column * shape.page_size; key < end && !seen; ++key) seen = seen_by_any(i, key);
      if (seen) live.emplace_back(i, column);
      page_table.set(kAbsurdPages[mix(spec_.seed, static_cast<uint64_t>(column)) % std::size(kAbsurdPages)], i, column);
    }
  }
  const bool in_order = spec_.page_seed == 0;
  const auto pages = static_cast<int64_t>(live.size()) + (in_order ? 0 : 3);
  const std::vector<int32_t> order = shuffled(pages, mix(spec_.page_seed, kPages));
  for (size_t n = 0; n < live.size(); ++n) {
    page_table.set(in_order ? static_cast<int32_t>(n) : order[n], live[n].first, live[n].second);
  }
  make_cache(k_cache, shape.d, kKey, pages);
  if (shape.separate_v) make_cache(v_cache, shape.d_v, kValue, pages);
}

void Scene::make_cache(Array& cache, int64_t width, uint64_t salt, int64_t pages) {
  const DecodeShape& shape = spec_.shape;
  Layout where = layout({0, 2, 1, 3}, 1);
  if (spec_.cut_cache) {
    if (spec_.page_seed != 0 || spec_.spread != Spread::dense) throw std::logic_error("cut_cache needs pages in order");
    const int64_t rows = spec_.seqlens.back() % shape.page_size;
    if (rows != 0) where.missing = (shape.page_size - rows) * shape.h_kv * width;
  }
  cache = Array(shape.dtype, {pages, shape.page_size, shape.h_kv, width}, where, spec_.border);
  for (int64_t i = 0; i < shape.batch; ++i) {
    for (int64_t key = 0; key < spec_.seqlens[i]; ++key) {
      if (!seen_by_any(i, key)) continue;
      const auto page = static_cast<int64_t>(page_table.get(i, key / shape.page_size));
      for (int64_t head = 0; head < shape.h_kv; ++head) {
        const uint64_t row = mix(spec_.seed, salt, name(i), key, head);
        for (int64_t column = 0; column < width; ++column) {
          const double value = normal(mix(row + static_cast<uint64_t>(column))) * spec_.deviation;
          cache.set(value, page, key % shape.page_size, head, column);
        }
      }
    }
  }
}

void Scene::make_queries() {
  const DecodeShape& shape = spec_.shape;
  q = ragged()
          ? Array(shape.dtype, {total_q(), shape.h_q, shape.d}, layout({1, 0, 2}, 1), spec_.border)
          : Array(shape.dtype, {shape.batch, shape.s_q, shape.h_q, shape.d}, layout({2, 0, 1, 3}, 1), spec_.border);
  for (int64_t i = 0; i < shape.batch; ++i) {
    for (int64_t token = 0; token < s_q(i); ++token) {
      for (int64_t head = 0; head < shape.h_q; ++head) {
        const uint64_t row = mix(spec_.seed, kQuery, name(i), token, head);
        for (int64_t column = 0; column < shape.d; ++column) {
          const double value = normal(mix(row + static_cast<uint64_t>(column))) * spec_.deviation;
          if (ragged()) {
            q.set(value, first_query(i) + token, head, column);
          } else {
            q.set(value, i, token, head, column);
          }
        }
      }
    }
  }
}

DecodeArgs Scene::args() const {
  DecodeArgs args;
  args.q = q.view();
  args.k_cache = k_cache.view();
  if (spec_.shape.separate_v) args.v_cache = v_cache.view();
  args.page_table = page_table.view();
  args.seqlens = seqlens.view();
  if (ragged()) args.cu_seqlens_q = cu_seqlens_q.view();
  args.scale = spec_.scale;
  return args;
}

PlanSpec Scene::plan_spec() const {
  PlanSpec plan;
  plan.shape = spec_.shape;
  plan.seqlens = spec_.seqlens.data();
  plan.cu_seqlens_q = ragged() ? spec_.cu_seqlens_q.data() : nullptr;
  plan.mask = spec_.mask;
  plan.num_workers = 1;
  return plan;
}

ReferenceResult Scene::reference() const {
  return reference_decode(args(), spec_.mask, spec_.shape.d_v).value();
}

void Scene::set_key(int64_t sequence, int64_t key, int64_t head, int64_t column, double value) {
  const int64_t page_size = spec_.shape.page_size;
  k_cache.set(value, static_cast<int64_t>(page_table.get(sequence, key / page_size)), key % page_size, head, column);
}

void Scene::set_value(int64_t sequence, int64_t key, int64_t head, int64_t column, double value) {
  if (!spec_.shape.separate_v) return set_key(sequence, key, head, column, value);
  const int64_t page_size = spec_.shape.page_size;
  v_cache.set(value, static_cast<int64_t>(page_table.get(sequence, key / page_size)), key % page_size, head, column);
}

void Scene::fill_dead(double value, int32_t entry) {
  const DecodeShape& shape = spec_.shape;
  std::set<std::pair<int64_t, int64_t>> live;  // page, row
  for (int64_t i = 0; i < shape.batch; ++i) {
    for (int64_t column = 0; column < page_table.view().shape[1]; ++column) {
      bool seen = false;
      for (int64_t row = 0; row < shape.page_size; ++row) {
        const int64_t key = column * shape.page_size + row;
        if (key >= spec_.seqlens[i] || !seen_by_any(i, key)) continue;
        seen = true;
        live.emplace(static_cast<int64_t>(page_table.get(i, column)), row);
      }
      if (!seen) page_table.set(entry, i, column);
    }
  }
  for (int64_t page = 0; page < k_cache.view().shape[0]; ++page) {
    for (int64_t row = 0; row < shape.page_size; ++row) {
      if (live.contains({page, row})) continue;
      for (int64_t head = 0; head < shape.h_kv; ++head) {
        for (int64_t column = 0; column < shape.d; ++column) k_cache.set(value, page, row, head, column);
        if (!shape.separate_v) continue;
        for (int64_t column = 0; column < shape.d_v; ++column) v_cache.set(value, page, row, head, column);
      }
    }
  }
}

Output::Output(const Scene& scene) {
  const SceneSpec& spec = scene.spec();
  const DecodeShape& shape = spec.shape;
  Layout out_layout, lse_layout;
  if (spec.spread == Spread::padded) {
    out_layout = {.slack = {4, 1, 3, 7}, .last_stride = 1, .offset = 1};
    lse_layout = {.slack = {2, 1, 3}, .last_stride = 2, .offset = 1};
  } else if (spec.spread == Spread::heads_first) {
    out_layout.order = scene.ragged() ? std::vector{1, 0, 2} : std::vector{2, 0, 1, 3};
    lse_layout.order = scene.ragged() ? std::vector{1, 0} : std::vector{0, 2, 1};
  }
  if (scene.ragged()) {
    out = Array(shape.out_dtype, {scene.total_q(), shape.h_q, shape.d_v}, out_layout, spec.border);
    lse = Array(DType::float32, {shape.h_q, scene.total_q()}, lse_layout, spec.border);
  } else {
    out = Array(shape.out_dtype, {shape.batch, shape.s_q, shape.h_q, shape.d_v}, out_layout, spec.border);
    lse = Array(DType::float32, {shape.batch, shape.h_q, shape.s_q}, lse_layout, spec.border);
  }
}

std::vector<std::byte> bits_of_sequence(const Scene& scene, const Output& output, int64_t sequence) {
  std::vector<std::byte> bits;
  const auto append = [&bits](const Tensor& view, int64_t offset, int64_t elements) {
    const auto size = static_cast<int64_t>(size_of(view.dtype));
    const auto* first = static_cast<const std::byte*>(view.data) + offset * size;
    bits.insert(bits.end(), first, first + elements * size);
  };
  const Tensor &out = output.out.view(), &lse = output.lse.view();
  const int64_t first = scene.first_query(sequence);
  for (int64_t token = 0; token < scene.s_q(sequence); ++token) {
    for (int64_t head = 0; head < scene.spec().shape.h_q; ++head) {
      const int64_t row = scene.ragged() ? (first + token) * out.strides[0] + head * out.strides[1]
                                         : sequence * out.strides[0] + token * out.strides[1] + head * out.strides[2];
      append(out, row, scene.spec().shape.d_v);
      append(lse,
             scene.ragged() ? head * lse.strides[0] + (first + token) * lse.strides[1]
                            : sequence * lse.strides[0] + head * lse.strides[1] + token * lse.strides[2],
             1);
    }
  }
  return bits;
}

}  // namespace flash_mla::test
