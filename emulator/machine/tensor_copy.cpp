// cp.async.bulk.tensor: boxes of tensors, tiled mode (PTX ISA 9.0, sections 5.5 and 9.7.9.27.1).
#include <algorithm>
#include <cstring>

#include "machine/address.h"
#include "machine/bulk_copy.h"
#include "machine/lanes.h"
#include "machine/tensor_map.h"
#include "support/format.h"

namespace emulator::machine {

uint32_t TensorMap::box_bytes() const {
  uint32_t bytes = element_bytes;
  for (uint32_t i = 0; i < rank; ++i) bytes *= box[i];
  return bytes;
}

namespace {

using ptx::Operand;
using Coordinates = std::array<int32_t, 5>;

TensorMap read_map(Warp& warp, const Op& op, uint64_t address, uint32_t lane) {
  if (address % 64 != 0)
    warp.fault(op, Finding::misaligned, format("a tensor map at {:#x}; it has to be a multiple of 64", address));
  const Place place = find_place(warp, op, lane, ptx::Space::generic, address, 128, Use::read);
  TensorMap map;
  std::memcpy(&map, place.bytes, sizeof(map));
  if (map.magic != TensorMap::kMagic || map.rank == 0 || map.rank > 5) {
    warp.fault(op, Finding::operand, format("there is no tensor map at {:#x}", address));
  }
  if (op.list.size() != map.rank)
    warp.fault(op, Finding::operand, format("{} coordinates for a tensor of {} dimensions", op.list.size(), map.rank));
  return map;
}

Coordinates read_coordinates(Warp& warp, const Op& op, uint32_t lane) {
  Coordinates coordinates{};
  for (size_t i = 0; i < op.list.size(); ++i) coordinates[i] = warp.lanes<int32_t>(op.list[i])[lane];
  return coordinates;
}

/// Calls f(offset in the box, global address, bytes inside the tensor) for every row of the box.
template <class F>
void each_row(const TensorMap& map, const Coordinates& at, F f) {
  const uint32_t row_bytes = map.box[0] * map.element_bytes;
  uint32_t rows = 1;
  for (uint32_t i = 1; i < map.rank; ++i) rows *= map.box[i];
  for (uint32_t row = 0; row < rows; ++row) {
    uint32_t rest = row;
    bool inside = true;
    uint64_t address = map.address;
    for (uint32_t i = 1; i < map.rank; ++i) {
      const int64_t index = at[i] + static_cast<int64_t>(rest % map.box[i]) * map.steps[i];
      rest /= map.box[i];
      inside &= index >= 0 && index < static_cast<int64_t>(map.extents[i]);
      address += static_cast<uint64_t>(index) * map.strides[i - 1];
    }
    f(row * row_bytes, address, inside);
  }
}

/// The elements [first, last) of a row of the box that lie in the tensor.
std::pair<int64_t, int64_t> elements_inside(const TensorMap& map, const Coordinates& at) {
  const int64_t first = std::max<int64_t>(0, -static_cast<int64_t>(at[0]));
  const int64_t last = std::min<int64_t>(map.box[0], static_cast<int64_t>(map.extents[0]) - at[0]);
  return {first, std::max(first, last)};
}

/// Copies bytes between a linear buffer and the swizzled box, chunk by chunk of 16 bytes.
template <class F>
void each_chunk(uint32_t offset, uint32_t bytes, Swizzle swizzle, F f) {
  for (uint32_t done = 0; done < bytes;) {
    const uint32_t size = std::min(bytes - done, 16 - (offset + done) % 16);
    f(swizzled(offset + done, swizzle), done, size);
    done += size;
  }
}

/// Reads a box into `data`, with zeros or NaN outside the tensor; false: some of it had not been written by anyone.
bool read_box(Warp& warp, const Op& op, const TensorMap& map, const Coordinates& at, const Engine& engine,
              std::vector<uint8_t>& data) {
  bool initialised = true;
  const auto [first, last] = elements_inside(map, at);
  const auto bytes = static_cast<uint32_t>(last - first) * map.element_bytes;
  std::fill(data.begin(), data.end(), map.nan_fill != 0 ? uint8_t{0xff} : uint8_t{0});
  each_row(map, at, [&, first = first](uint32_t offset, uint64_t row, bool inside) {
    if (!inside || bytes == 0) return;
    const uint64_t address = row + static_cast<uint64_t>(at[0] + first) * map.element_bytes;
    Allocation* const source = warp.cta->launch().memory->find(address, bytes);
    if (source == nullptr) {
      warp.fault(op, Finding::out_of_bounds,
                 format("the tensor map leads to {} bytes at global {:#x}, outside any allocation", bytes, address));
    }
    if (warp.cta->launch().options.checks) track_global(warp, op, address, bytes, Use::read, engine);
    const uint64_t in_source = address - source->start;
    initialised &= all_marked(source->initialised.data(), in_source, bytes);
    std::memcpy(data.data() + offset + static_cast<uint64_t>(first) * map.element_bytes,
                source->bytes.data() + in_source, bytes);
  });
  return initialised;
}

void check_box(Warp& warp, const Op& op, uint32_t address) {
  if (address % 128 != 0)
    warp.fault(op, Finding::misaligned, format("a box at shared {:#x}; it has to be a multiple of 128", address));
}

// src: to, map, mbarrier, ranks.
Outcome load_box(Warp& warp, const Op& op, uint32_t mask) {
  Cluster& cluster = *warp.cta->cluster;
  for (; mask != 0; mask &= mask - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(mask));
    const uint32_t to = shared_address(warp, op, lane, 0);
    const uint32_t barrier = shared_address(warp, op, lane, 2);
    const TensorMap map = read_map(warp, op, warp.address(op, lane, 1), lane);
    const Coordinates at = read_coordinates(warp, op, lane);
    const uint32_t bytes = map.box_bytes();
    check_box(warp, op, to);
    const auto data = std::make_shared<std::vector<uint8_t>>(bytes);
    const bool multicast = op.kind != 0;
    const uint32_t ranks = multicast ? warp.lanes<uint32_t>(op.src[3])[lane] & 0xffff : 1;
    const uint32_t first = (static_cast<uint32_t>(std::countr_zero(ranks | 0x8000)) + 1) << kRankShift;
    const MbarrierAt first_barrier = find_mbarrier(warp, op, multicast ? (barrier & kOffsetMask) | first : barrier);
    const bool initialised = read_box(warp, op, map, at, engine_of(first_barrier, lane), *data);
    for (uint32_t rank = 0; rank < 16; ++rank) {
      if ((ranks >> rank & 1) == 0) continue;
      const uint32_t own = (rank + 1) << kRankShift;
      uint32_t offset = 0;
      Cta& owner = find_shared(warp, op, multicast ? (to & kOffsetMask) | own : to, bytes, offset);
      const MbarrierAt completes_on = find_mbarrier(warp, op, multicast ? (barrier & kOffsetMask) | own : barrier);
      begin_load(warp, op, owner, offset, bytes, completes_on, lane);
      cluster.later([&owner, completes_on, offset, bytes, data, initialised, swizzle = map.swizzle] {
        each_chunk(offset, bytes, swizzle, [&](uint32_t in_shared, uint32_t in_data, uint32_t size) {
          std::memcpy(owner.shared.data() + in_shared, data->data() + in_data, size);
        });
        if (initialised) mark(owner.initialised.data(), offset, bytes);
        complete_bytes(*completes_on.owner, completes_on.offset, bytes);
      });
    }
  }
  return Outcome::next;
}

// src: map, from. Of what lies outside the tensor nothing is written.
Outcome store_box(Warp& warp, const Op& op, uint32_t mask) {
  Cluster& cluster = *warp.cta->cluster;
  for (; mask != 0; mask &= mask - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(mask));
    const TensorMap map = read_map(warp, op, warp.address(op, lane, 0), lane);
    const uint32_t from = shared_address(warp, op, lane, 1);
    const Coordinates at = read_coordinates(warp, op, lane);
    check_box(warp, op, from);
    uint32_t offset = 0;
    const uint32_t bytes = map.box_bytes();
    Cta& owner = find_shared(warp, op, from, bytes, offset);
    const auto [first, last] = elements_inside(map, at);
    const auto row_bytes = static_cast<uint32_t>(last - first) * map.element_bytes;
    struct Row {
      Allocation* target;
      uint64_t in_target;
      uint32_t in_box;
    };
    std::vector<Row> rows;
    each_row(map, at, [&, begin = first](uint32_t in_box, uint64_t row, bool inside) {
      if (!inside || row_bytes == 0) return;
      const uint64_t address = row + static_cast<uint64_t>(at[0] + begin) * map.element_bytes;
      Allocation* const target = warp.cta->launch().memory->find(address, row_bytes);
      if (target == nullptr) {
        warp.fault(
            op, Finding::out_of_bounds,
            format("the tensor map leads to {} bytes at global {:#x}, outside any allocation", row_bytes, address));
      }
      if (warp.cta->launch().options.checks) {
        track_global(warp, op, address, row_bytes, Use::write, bulk_writes_of(warp, lane));
      }
      rows.push_back({target, address - target->start, in_box + static_cast<uint32_t>(begin) * map.element_bytes});
    });
    const auto group = begin_store(warp, op, owner, offset, bytes, lane);
    cluster.later([&cluster, &owner, offset, group, row_bytes, rows = std::move(rows), swizzle = map.swizzle] {
      for (const Row& row : rows) {
        each_chunk(offset + row.in_box, row_bytes, swizzle, [&](uint32_t in_shared, uint32_t in_row, uint32_t size) {
          std::memcpy(row.target->bytes.data() + row.in_target + in_row, owner.shared.data() + in_shared, size);
        });
        mark(row.target->initialised.data(), row.in_target, row_bytes);
      }
      end_store_reads(cluster, group);
    });
  }
  return Outcome::next;
}

/// [map, {coordinates}]: the map's address into src[s].
void add_box(Decoder& d, size_t operand, size_t s, int dimensions) {
  d.add_address(operand, s);
  const Operand& address = d.operand(operand);
  if (address.parts.size() != 2 || address.parts[1].kind != Operand::Kind::list ||
      address.parts[1].parts.size() != static_cast<size_t>(dimensions)) {
    d.fail(format("{} coordinates are expected", dimensions));
  }
  d.op.list_is_read = true;
  for (const Operand& part : address.parts[1].parts) d.op.list.push_back(d.source(part, 32));
}

}  // namespace

void decode_tensor_copy(Decoder& d) {
  const int dimensions = 1 + d.take_one_of({"1d", "2d", "3d", "4d", "5d"});
  d.take("tile");
  const bool hinted = d.take("L2::cache_hint");
  if (d.take("bulk_group")) {
    if (!d.take("global") || !d.take("shared::cta")) d.unsupported();
    d.expect_operands(hinted ? 3 : 2);
    add_box(d, 0, 0, dimensions);
    d.add_address(1, 1);
    d.op.run = store_box;
    return;
  }
  if (!d.take("mbarrier::complete_tx::bytes") || !d.take("global")) d.unsupported();
  if (!d.take("shared::cluster") && !d.take("shared::cta")) d.unsupported();
  const bool multicast = d.take("multicast::cluster");
  d.expect_operands(3 + (multicast ? 1 : 0) + (hinted ? 1 : 0));
  d.add_address(0, 0);
  add_box(d, 1, 1, dimensions);
  d.add_address(2, 2);
  if (multicast) {
    d.add_source(3, 16);
    d.op.kind = 1;
  }
  d.op.run = load_box;
}

}  // namespace emulator::machine
