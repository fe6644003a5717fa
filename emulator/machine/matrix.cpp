// ldmatrix and stmatrix of 8x8 matrices of 16 bits (PTX ISA 9.0, sections 9.7.14.5.15 and 16): lanes 8i to 8i + 7 hold
// the addresses of the rows of matrix i; lane l holds elements 2 (l % 4) and the next of row l / 4.
#include <cstring>

#include "machine/access.h"
#include "machine/decoder.h"
#include "machine/lanes.h"

namespace emulator::machine {
namespace {

enum Flag : uint32_t { kTransposed = 1 };

/// Row `row` of matrix i, checked and tracked.
uint8_t* row_of(Warp& warp, const Op& op, uint32_t i, uint32_t row, Use use, uint32_t* offsets) {
  const uint32_t lane = i * 8 + row;
  const Place place = find_place(warp, op, lane, ptx::Space::shared, warp.address(op, lane), 16, use);
  if (warp.cta->launch().options.checks) {
    if (use == Use::read) check_initialised(warp, op, place, 16);
    track_together(warp, op, *place.shared_of, static_cast<uint32_t>(place.offset), use);
  }
  if (use == Use::write) mark(place.marks, place.offset, 16);
  for (uint32_t j = 0; j < 4; ++j) offsets[row * 4 + j] = static_cast<uint32_t>(place.offset) + 4 * j;
  return place.bytes;
}

/// Where element (row, column) is: in which lane, and in its upper half or not.
struct Element {
  uint32_t lane, half;
};
Element element(uint32_t row, uint32_t column, bool transposed) {
  return transposed ? Element{column * 4 + row / 2, row & 1} : Element{row * 4 + column / 2, column & 1};
}

Outcome load_matrices(Warp& warp, const Op& op, uint32_t mask) {
  uint32_t loaded[4][kLanes] = {};
  for (uint32_t i = 0; i < op.count; ++i) {
    uint32_t offsets[kLanes];
    for (uint32_t row = 0; row < 8; ++row) {
      uint16_t values[8];
      std::memcpy(values, row_of(warp, op, i, row, Use::read, offsets), 16);
      for (uint32_t column = 0; column < 8; ++column) {
        const Element at = element(row, column, (op.flags & kTransposed) != 0);
        loaded[i][at.lane] |= static_cast<uint32_t>(values[column]) << (16 * at.half);
      }
    }
    count_wavefronts(warp.cta->launch().counters, offsets, kAllLanes, 4);
  }
  for (uint32_t i = 0; i < op.count; ++i) {
    std::memcpy(warp.lanes<uint32_t>(op.list[i]), loaded[i], sizeof(loaded[i]));
    warp.mark_written(op.list[i], mask);
  }
  warp.meet(mask);
  return Outcome::next;
}

Outcome store_matrices(Warp& warp, const Op& op, uint32_t mask) {
  // All lanes are here before any byte is written; who sees what is written is another matter.
  warp.meet(mask);
  for (uint32_t i = 0; i < op.count; ++i) {
    if ((mask & ~warp.written(op.list[i])) != 0) {
      warp.report(op, Finding::uninitialised, "a register is stored before it is written");
    }
    const uint32_t* const from = warp.lanes<uint32_t>(op.list[i]);
    uint32_t offsets[kLanes];
    for (uint32_t row = 0; row < 8; ++row) {
      uint16_t values[8];
      for (uint32_t column = 0; column < 8; ++column) {
        const Element at = element(row, column, (op.flags & kTransposed) != 0);
        values[column] = static_cast<uint16_t>(from[at.lane] >> (16 * at.half));
      }
      std::memcpy(row_of(warp, op, i, row, Use::write, offsets), values, 16);
    }
    count_wavefronts(warp.cta->launch().counters, offsets, kAllLanes, 4);
  }
  LaunchState& launch = warp.cta->launch();
  launch.last_progress = launch.counters.warp_instructions;
  return Outcome::next;
}

void decode_matrix(Decoder& d, bool loads) {
  if (!d.take("sync") || !d.take("aligned") || !d.take("m8n8")) d.unsupported();
  d.op.count = static_cast<uint8_t>(1 << d.take_one_of({"x1", "x2", "x4"}));
  if (d.take("trans")) d.op.flags |= kTransposed;
  d.take_one_of({"shared", "shared::cta"});
  if (d.take_type() != ptx::Type::b16) d.unsupported();
  d.expect_operands(2);
  const size_t value = loads ? 0 : 1;
  d.add_address(1 - value);
  const ptx::Operand& list = d.operand(value);
  if (list.kind != ptx::Operand::Kind::list || list.parts.size() != d.op.count)
    d.fail("the vector does not fit the instruction");
  for (const ptx::Operand& part : list.parts) {
    d.op.list.push_back(loads ? d.destination(part, 32) : d.source(part, 32));
    if (d.op.list.back() == kNoSlot) d.unsupported();
  }
  d.op.list_is_read = !loads;
  d.op.gather = Gather::live;
  d.op.run = loads ? load_matrices : store_matrices;
}

}  // namespace

void add_matrix(DecodeTable& table) {
  table["ldmatrix"] = [](Decoder& d) { decode_matrix(d, true); };
  table["stmatrix"] = [](Decoder& d) { decode_matrix(d, false); };
}

}  // namespace emulator::machine
