#include "replay/latent_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "common/machine.h"
#include "flash_mla/append.h"

namespace flash_mla::cli {
namespace {

constexpr int64_t kPoolRows = 8191;  // a prime, so that no period of pages or layers meets it
constexpr int64_t kShift = 31;       // elements; odd, so that it takes many rounds until rows come again
constexpr int kNanByte = 0xff;       // 0xffff is a NaN in bfloat16

uint16_t* allocate(int64_t bytes) {
  const auto size = static_cast<size_t>(bytes);
  void* memory = allocate_pages(size);
  if (memory == nullptr) return nullptr;
  std::memset(memory, kNanByte, size);
  return static_cast<uint16_t*>(memory);
}

Status too_large(const CacheShape& shape) {
  return {
      StatusCode::invalid_argument,
      fmt::format("the KV cache needs {} bytes ({} layers of {} pages), but this machine has {} bytes of free memory; "
                  "lower --kv-budget or --layers",
                  shape.bytes(), shape.layers, shape.num_pages, this_machine().memory_available_bytes)};
}

}  // namespace

Status check_memory(const CacheShape& shape) {
  const int64_t available = this_machine().memory_available_bytes;
  return available > 0 && shape.bytes() > available ? too_large(shape) : Status();
}

Result<LatentCache> LatentCache::make(const CacheShape& shape, uint64_t seed) {
  if (Status status = check_memory(shape); !status.ok()) return status;
  std::vector<Array> layers;
  for (int64_t layer = 0; layer < shape.layers; ++layer) {
    layers.emplace_back(allocate(shape.bytes_per_layer()));
    if (layers.back() == nullptr) return too_large(shape);
  }
  return LatentCache(shape, std::move(layers), seed);
}

LatentCache::LatentCache(const CacheShape& shape, std::vector<Array> layers, uint64_t seed)
    : shape_(shape), layers_(std::move(layers)), seed_(seed), pool_(kPoolRows + 1, shape.d, seed) {}

Tensor LatentCache::layer(int64_t index) const {
  return {layers_[index].get(), DType::bfloat16, {shape_.num_pages, shape_.page_size, 1, shape_.d}};
}

LatentCache::Run LatentCache::rows_from(int64_t request, int64_t layer, int64_t token) const {
  const uint64_t start = hash(seed_, static_cast<uint64_t>(request), static_cast<uint64_t>(layer)) % kPoolRows;
  const int64_t position = static_cast<int64_t>(start) + token;
  const int64_t row = position % kPoolRows;
  // Each time around the pool the rows begin elsewhere, as rounding errors of equal keys would add up, not average out.
  const int64_t shift = position / kPoolRows * kShift % shape_.d;
  return {pool_.row(row) + shift, kPoolRows - row};
}

Status LatentCache::write_prompt(const Sequence& sequence, std::span<const int64_t> slots) {
  for (int64_t layer = 0; layer < shape_.layers; ++layer) {
    const int64_t first = sequence.length - static_cast<int64_t>(slots.size());
    for (int64_t token = first; token < sequence.length;) {
      const Run run = rows_from(sequence.request, layer, token);
      const int64_t count = std::min(sequence.length - token, run.count);
      AppendArgs args;
      args.rows = ConstTensor(run.rows, DType::bfloat16, {count, 1, shape_.d});
      args.slot_mapping = ConstTensor(slots.data() + (token - first), DType::int64, {count});
      args.k_cache = this->layer(layer);
      if (Status status = append(args); !status.ok()) return status;
      token += count;
    }
  }
  return {};
}

Status LatentCache::write_step(std::span<const Sequence> sequences, std::span<const int64_t> slots) {
  const auto batch = static_cast<int64_t>(sequences.size());
  step_rows_.resize(static_cast<size_t>(batch * shape_.d));
  for (int64_t layer = 0; layer < shape_.layers; ++layer) {
    for (int64_t i = 0; i < batch; ++i) {
      const Run run = rows_from(sequences[i].request, layer, sequences[i].length - 1);
      std::copy_n(run.rows, shape_.d, step_rows_.data() + i * shape_.d);
    }
    AppendArgs args;
    args.rows = ConstTensor(step_rows_.data(), DType::bfloat16, {batch, 1, shape_.d});
    args.slot_mapping = ConstTensor(slots.data(), DType::int64, {batch});
    args.k_cache = this->layer(layer);
    if (Status status = append(args); !status.ok()) return status;
  }
  return {};
}

}  // namespace flash_mla::cli
