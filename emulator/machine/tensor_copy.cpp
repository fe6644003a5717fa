// cp.async.bulk.tensor: boxes of tensors, tiled mode (PTX ISA 9.0, sections 5.5 and 9.7.9.27.1).
#include <algorithm>
#include <cstring>

#include "machine/address.h"
#include "machine/bulk_copy.h"
#include "machine/lanes.h"
#include "machine/tensor_map_access.h"
#include "support/format.h"

namespace emulator::machine {

uint32_t TensorMap::box_bytes() const {
  uint32_t bytes = element_bytes;
  for (uint32_t i = 0; i < rank; ++i) bytes *= box[i];
  return bytes;
}

namespace {

using ptx::Operand;
using Coordinates = TensorMap::Coordinates;

TensorMap read_map(Warp& warp, const Op& op, uint64_t address, uint32_t lane) {
  if (address % 64 != 0)
    warp.fault(op, Finding::misaligned, format("a tensor map at {:#x}; it has to be a multiple of 64", address));
  const TensorMap map = load_tensor_map(warp, op, lane, ptx::Space::generic, address);
  const std::string wrong = map.what_is_wrong();
  if (!wrong.empty()) warp.fault(op, Finding::operand, format("the tensor map at {:#x} {}", address, wrong));
  check_tensor_map_fence(warp, op, address);
  if (op.list.size() != map.rank)
    warp.fault(op, Finding::operand, format("{} coordinates for a tensor of {} dimensions", op.list.size(), map.rank));
  return map;
}

Coordinates read_coordinates(Warp& warp, const Op& op, uint32_t lane) {
  Coordinates coordinates{};
  for (size_t i = 0; i < op.list.size(); ++i) coordinates[i] = warp.lanes<int32_t>(op.list[i])[lane];
  return coordinates;
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

/// The type of a tensor's elements, for a reduction of them.
ptx::Type reduced_type(Warp& warp, const Op& op, const TensorMap& map) {
  using ptx::Type;
  constexpr Type kTypes[] = {Type::none, Type::none, Type::u32,  Type::s32, Type::u64, Type::s64, Type::f16,
                             Type::f32,  Type::f64,  Type::bf16, Type::f32, Type::f32, Type::f32};
  const Type type = map.type < std::size(kTypes) ? kTypes[map.type] : Type::none;
  if (type == Type::none) warp.fault(op, Finding::operand, "elements of the tensor's type cannot be reduced");
  return type;
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
    Reduction reduction = reduction_of(op);
    if (reduction.reduces) reduction.type = reduced_type(warp, op, map);
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
      check_reduced(warp, op, reduction, *target, address - target->start, row_bytes);
      if (warp.cta->launch().options.checks) {
        track_global(warp, op, address, row_bytes, Use::write, bulk_writes_of(warp, lane), reduction.reduces);
      }
      rows.push_back({target, address - target->start, in_box + static_cast<uint32_t>(begin) * map.element_bytes});
    });
    const auto group = begin_store(warp, op, owner, offset, bytes, lane);
    cluster.later([&cluster, &owner, offset, group, row_bytes, rows = std::move(rows), swizzle = map.swizzle,
                   reduction] {
      for (const Row& row : rows) {
        each_chunk(offset + row.in_box, row_bytes, swizzle, [&](uint32_t in_shared, uint32_t in_row, uint32_t size) {
          reduction.deliver(row.target->bytes.data() + row.in_target + in_row, owner.shared.data() + in_shared, size);
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

void decode_tensor_reduction(Decoder& d) {
  take_reduction(d);
  decode_tensor_copy(d);
  if (d.op.run != store_box) d.unsupported();
}

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
