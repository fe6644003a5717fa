// wgmma (PTX ISA 9.0, section 9.7.15): a warpgroup's four warps multiply together. The result is there at once; that
// nobody looks before it is waited for is checked.
#include "machine/wgmma.h"

#include <bit>
#include <cstring>

#include "machine/access.h"
#include "machine/decoder.h"
#include "machine/eight_bits.h"
#include "machine/lanes.h"
#include "machine/number.h"
#include "machine/tensor_map.h"
#include "support/format.h"

namespace emulator::machine {
namespace {

using ptx::Operand;
using ptx::Type;

enum Element : uint8_t { kBf16, kF16, kE4m3, kE5m2 };
enum Flag : uint32_t {
  kARegisters = 1,
  kATransposed = 2,
  kBTransposed = 4,
  kNegateA = 8,
  kNegateB = 16,
  kScaleNegated = 32
};

// op.kind: element of a, op.count: of b, op.value: n. src: a's descriptor or four registers, [4] b's descriptor, [5]
// scale-d.

/// 9.7.15.5.2.1: addresses and strides in units of 16 bytes.
struct Descriptor {
  uint32_t start, leading, stride;
  Swizzle swizzle;
};

Descriptor read_descriptor(Warp& warp, const Op& op, uint64_t bits) {
  if ((bits >> 49 & 7) != 0)
    warp.fault(op, Finding::operand, "a matrix descriptor with a base offset is not supported");
  const auto field = [&](uint32_t shift) { return static_cast<uint32_t>(bits >> shift & 0x3fff) << 4; };
  constexpr Swizzle kSwizzles[] = {Swizzle::none, Swizzle::bytes128, Swizzle::bytes64, Swizzle::bytes32};
  return {field(0), field(16), field(32), kSwizzles[bits >> 62]};
}

/// Where the 16 bytes lie that hold elements k to k + 15 / size of row `row`: K runs along memory.
uint32_t chunk_along_k(const Descriptor& d, uint32_t row, uint32_t byte) {
  if (d.swizzle == Swizzle::none) return d.start + row / 8 * d.stride + row % 8 * 16 + byte / 16 * d.leading;
  const uint32_t span = 16u << static_cast<uint32_t>(d.swizzle);
  return swizzled(d.start + row / 8 * d.stride + row % 8 * span + byte, d.swizzle);
}

/// The same for eight 16-bit elements from row `row` on of column k: rows run along memory.
uint32_t chunk_along_rows(const Descriptor& d, uint32_t row, uint32_t k) {
  if (d.swizzle == Swizzle::none) return d.start + row / 8 * d.stride + k / 8 * d.leading + k % 8 * 16;
  const uint32_t span = 8u << static_cast<uint32_t>(d.swizzle);  // elements
  return swizzled(d.start + row / span * d.leading + row % span * 2 + k / 8 * d.stride + k % 8 * 2 * span, d.swizzle);
}

inline float element_value(Element type, uint32_t bits) {
  switch (type) {
    case kBf16:
      return bfloat16_to_float(bits);
    case kF16:
      return half_to_float(bits);
    default:
      return from_eight_bits(bits, type == kE5m2);
  }
}

/// What the wgmmas of one warpgroup read, and on whose behalf.
class Reader {
 public:
  Reader(Cta& cta, uint32_t group, const Op& op)
      : warps_(&cta.warps[group * 4]),
        cta_(cta),
        op_(op),
        engine_{cta.cluster->tensor_agent(warps_[0]), warps_[0].wgmma_open, true, kNoLane},
        together_(tracker_of(warps_[0], op, Use::read, engine_, all_)) {
    checks_ = cta.launch().options.checks;
    if (!checks_) return;
    // What all four warps read has to be known to all four.
    all_ = warps_[0].knowledge;
    for (uint32_t i = 1; i < 4; ++i) all_.meet(warps_[i].knowledge);
  }

  /// 16 bytes; `warp` below 4: read by that warp alone.
  const uint8_t* chunk(uint32_t address, uint32_t warp) {
    uint32_t offset = 0;
    Warp& issuer = warps_[warp < 4 ? warp : 0];
    find_shared(issuer, op_, address, 16, offset);
    if (checks_) {
      if (!all_marked(cta_.initialised.data(), offset, 16)) {
        issuer.report(op_, Finding::uninitialised,
                      format("16 bytes at shared {:#x} are read before they are written", offset));
      }
      track_chunk(issuer, op_, cta_, offset,
                  warp < 4 ? tracker_of(issuer, op_, Use::read, engine_, issuer.knowledge) : together_);
    }
    return cta_.shared.data() + offset;
  }

  /// The shadow of shared memory does not fit the nearer caches.
  void will_read(uint32_t address) const {
    if (address / kChunk < cta_.race.size()) __builtin_prefetch(&cta_.race[address / kChunk], 1);
  }

 private:
  Warp* warps_;
  Cta& cta_;
  const Op& op_;
  Engine engine_;
  Knowledge all_;
  Tracker together_;
  bool checks_ = false;
};

/// set(row, k, value) for a matrix of rows x k elements in shared memory.
template <Element kType, class Set>
void read_typed(Reader& reader, const Descriptor& d, bool transposed, uint32_t rows, bool by_warp, Set set) {
  constexpr uint32_t size = kType >= kE4m3 ? 1 : 2, per_chunk = 16 / size;
  constexpr uint32_t kAhead = 8;
  const auto value = [&](const uint8_t* bytes, uint32_t i) {
    uint16_t bits = 0;
    std::memcpy(&bits, bytes + i * size, size);
    return element_value(kType, bits);
  };
  if (!transposed) {
    for (uint32_t row = 0; row < rows; ++row) {
      for (uint32_t byte = 0; byte < 32; byte += 16) {
        reader.will_read(chunk_along_k(d, row + kAhead, byte));
        const uint8_t* const bytes = reader.chunk(chunk_along_k(d, row, byte), by_warp ? row / 16 : 4);
        for (uint32_t i = 0; i < per_chunk; ++i) set(row, byte / size + i, value(bytes, i));
      }
    }
    return;
  }
  for (uint32_t k = 0; k < 16; ++k) {
    for (uint32_t row = 0; row < rows; row += 8) {
      reader.will_read(chunk_along_rows(d, row + 8 * kAhead, k));
      const uint8_t* const bytes = reader.chunk(chunk_along_rows(d, row, k), by_warp ? row / 16 : 4);
      for (uint32_t i = 0; i < 8; ++i) set(row + i, k, value(bytes, i));
    }
  }
}

template <class Set>
void read_matrix(Reader& reader, const Descriptor& d, Element type, bool transposed, uint32_t rows, bool by_warp,
                 Set set) {
  switch (type) {
    case kBf16:
      return read_typed<kBf16>(reader, d, transposed, rows, by_warp, set);
    case kF16:
      return read_typed<kF16>(reader, d, transposed, rows, by_warp, set);
    case kE4m3:
      return read_typed<kE4m3>(reader, d, transposed, rows, by_warp, set);
    case kE5m2:
      return read_typed<kE5m2>(reader, d, transposed, rows, by_warp, set);
  }
}

/// The value of an operand that has to be the same in all lanes of the warpgroup.
uint64_t uniform(Warp* warps, const Op& op, Slot slot) {
  const uint64_t value = warps[0].lanes<uint64_t>(slot)[0];
  for (uint32_t i = 0; i < 4; ++i) {
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      if (warps[i].lanes<uint64_t>(slot)[lane] != value)
        warps[i].fault(op, Finding::operand, "a matrix descriptor differs within the warpgroup");
    }
  }
  return value;
}

constexpr uint32_t kScaleSlot = 5;

void read_a(Reader& reader, Warp* warps, const Op& op, Tile& tile) {
  const auto type = static_cast<Element>(op.kind);
  const float sign = (op.flags & kNegateA) != 0 ? -1.0f : 1.0f;
  if ((op.flags & kARegisters) == 0) {
    const Descriptor d = read_descriptor(warps[0], op, uniform(warps, op, op.src[0]));
    read_matrix(reader, d, type, (op.flags & kATransposed) != 0, 64, true,
                [&](uint32_t row, uint32_t k, float value) { tile.set_a(row, k, sign * value); });
    return;
  }
  // Register q of a: rows l / 4 + 8 (q & 1), bytes 4 (l % 4) and on, 16 further for q above 1.
  const uint32_t size = type >= kE4m3 ? 1 : 2;
  for (uint32_t warp = 0; warp < 4; ++warp) {
    for (uint32_t q = 0; q < 4; ++q) {
      const uint32_t* const lanes = warps[warp].lanes<uint32_t>(op.src[q]);
      for (uint32_t lane = 0; lane < kLanes; ++lane) {
        const uint32_t row = 16 * warp + lane / 4 + 8 * (q & 1);
        const uint32_t k = (lane % 4 * 4 + 16 * (q >> 1)) / size;
        for (uint32_t i = 0; i < 4 / size; ++i) {
          const uint32_t bits = lanes[lane] >> (8 * size * i) & (size == 1 ? 0xffu : 0xffffu);
          tile.set_a(row, k + i, sign * element_value(type, bits));
        }
      }
    }
  }
}

void check_registers(Warp& warp, const Op& op, bool accumulates) {
  const auto check = [&](Slot slot, bool must_be_written) {
    if (must_be_written && warp.written(slot) != kAllLanes) {
      warp.report(op, Finding::uninitialised, "a register is read before it is written");
    }
    if (warp.wgmma_fences == 1 || warp.write_epochs[slot / kSlotBytes] == warp.wgmma_fences) {
      warp.report(op, Finding::wgmma_fence, "a register was written after the last wgmma.fence, or there was none");
    }
  };
  for (const Slot slot : op.list) check(slot, accumulates);
  if ((op.flags & kARegisters) == 0) return;
  for (uint32_t q = 0; q < 4; ++q) check(op.src[q], true);
}

void note_flight(Warp& warp, const Op& op) {
  warp.wgmma_in_flight = true;
  for (const Slot slot : op.list) warp.flight[slot / kSlotBytes] = {warp.wgmma_open, true};
  if ((op.flags & kARegisters) == 0) return;
  for (uint32_t q = 0; q < 4; ++q) {
    Warp::Flight& flight = warp.flight[op.src[q] / kSlotBytes];
    if (!flight.accumulator || flight.group <= warp.wgmma_retired) flight = {warp.wgmma_open, false};
  }
}

void multiply(Cta& cta, uint32_t group, const Op& op) {
  Warp* const warps = &cta.warps[group * 4];
  LaunchState& launch = cta.launch();
  const auto n = static_cast<uint32_t>(op.value);
  const uint32_t k = op.kind >= kE4m3 ? 32 : 16;
  const uint32_t scale = warps[0].predicate(op.src[kScaleSlot]) ^ ((op.flags & kScaleNegated) != 0 ? kAllLanes : 0);
  for (uint32_t i = 0; i < 4; ++i) {
    const uint32_t own = warps[i].predicate(op.src[kScaleSlot]) ^ ((op.flags & kScaleNegated) != 0 ? kAllLanes : 0);
    if (own != scale || (own != 0 && own != kAllLanes))
      warps[i].fault(op, Finding::operand, "scale-d differs within the warpgroup");
    if (launch.options.checks) check_registers(warps[i], op, scale != 0);
  }
  Reader reader(cta, group, op);
  Tile tile(n, k);
  read_a(reader, warps, op, tile);
  const float sign = (op.flags & kNegateB) != 0 ? -1.0f : 1.0f;
  const Descriptor b = read_descriptor(warps[0], op, uniform(warps, op, op.src[4]));
  read_matrix(reader, b, static_cast<Element>(op.count), (op.flags & kBTransposed) != 0, n, false,
              [&](uint32_t row, uint32_t at, float value) { tile.set_b(at, row, sign * value); });
  for (uint32_t i = 0; i < 4; ++i) {
    std::array<float*, 128> lanes{};
    for (size_t r = 0; r < op.list.size(); ++r) {
      lanes[r] = warps[i].lanes<float>(op.list[r]);
      if (scale == 0) std::fill_n(lanes[r], kLanes, 0.0f);
    }
    tile.multiply(i, lanes.data());
    for (const Slot slot : op.list) {
      const uint32_t epoch = warps[i].write_epochs[slot / kSlotBytes];
      warps[i].mark_written(slot, kAllLanes);
      warps[i].write_epochs[slot / kSlotBytes] = epoch;
    }
    note_flight(warps[i], op);
  }
  launch.counters.tensor_macs += uint64_t{64} * n * k;
  ++launch.counters.wgmmas;
}

Outcome meet_and_multiply(Warp& warp, const Op& op, uint32_t mask) {
  Cta& cta = *warp.cta;
  const uint32_t group = warp.id / 4;
  if (mask != kAllLanes || group * 4 + 4 > cta.warps.size()) {
    warp.fault(op, Finding::operand, "wgmma needs all lanes of the four warps of a warpgroup");
  }
  Warpgroup& meeting = cta.warpgroups[group];
  if (meeting.arrived != 0 && meeting.pc != op.number) {
    warp.fault(op, Finding::barrier,
               format("the warps of a warpgroup are at different wgmmas; the other is at {}",
                      cta.program().where(meeting.pc)));
  }
  meeting.pc = op.number;
  meeting.arrived |= 1u << warp.id % 4;
  if (meeting.arrived != 15) {
    warp.wait = {Wait::For::warpgroup, 0, meeting.generation, false};
    return Outcome::next_when;
  }
  meeting.arrived = 0;
  ++meeting.generation;
  multiply(cta, group, op);
  return Outcome::next;
}

Outcome fence(Warp& warp, const Op&, uint32_t) {
  ++warp.wgmma_fences;
  return Outcome::next;
}

Outcome commit(Warp& warp, const Op&, uint32_t) {
  ++warp.wgmma_open;
  return Outcome::next;
}

Outcome wait_group(Warp& warp, const Op& op, uint32_t) {
  const uint32_t committed = warp.wgmma_open - 1;
  const auto allowed = static_cast<uint32_t>(op.value);
  if (committed <= allowed) return Outcome::next;
  warp.wgmma_retired = std::max(warp.wgmma_retired, committed - allowed);
  const Warp& first = warp.cta->warps[warp.id / 4 * 4];
  warp.knowledge.ordered.set(warp.cta->cluster->tensor_agent(first), warp.wgmma_retired);
  if (warp.wgmma_retired == committed) warp.wgmma_in_flight = false;
  return Outcome::next;
}

uint32_t shape_of(Decoder& d, bool eight_bits) {
  for (uint32_t n = 8; n <= 256; n += 8) {
    if (d.take(format("m64n{}k{}", n, eight_bits ? 32 : 16))) return n;
  }
  d.unsupported();
}

void add_sign(Decoder& d, size_t operand, uint32_t flag) {
  const int64_t value = d.immediate(d.operand(operand));
  if (value != 1 && value != -1) d.fail("a scale of a factor is neither 1 nor -1");
  if (value == -1) d.op.flags |= flag;
}

void add_transposition(Decoder& d, size_t operand, uint32_t flag) {
  const int64_t value = d.immediate(d.operand(operand));
  if (value != 0 && value != 1) d.fail("a transposition is neither 0 nor 1");
  if (value == 1) d.op.flags |= flag;
}

void decode_multiply(Decoder& d) {
  const bool eight_bits = d.has("e4m3") || d.has("e5m2");
  const uint32_t n = shape_of(d, eight_bits);
  if (d.take_type() != Type::f32) d.unsupported();
  if (eight_bits) {
    const bool both = d.has("e4m3") && d.has("e5m2");
    if (both) d.unsupported();  // which is which is lost once the suffixes are taken by name
    const bool e5m2 = d.has("e5m2");
    if (!d.take(e5m2 ? "e5m2" : "e4m3") || !d.take(e5m2 ? "e5m2" : "e4m3")) d.unsupported();
    d.op.kind = d.op.count = e5m2 ? kE5m2 : kE4m3;
  } else {
    const Type a = d.take_type(), b = d.take_type();
    if (a != b || (a != Type::bf16 && a != Type::f16)) d.unsupported();
    d.op.kind = d.op.count = a == Type::bf16 ? kBf16 : kF16;
  }
  d.op.value = n;
  d.op.tensor = true;
  d.op.gather = Gather::live;
  d.op.run = meet_and_multiply;
  const bool registers = d.operand_count() > 1 && d.operand(1).kind == Operand::Kind::list;
  d.expect_operands(6 + (eight_bits ? 0 : registers ? 1 : 2));
  const Operand& accumulators = d.operand(0);
  if (accumulators.kind != Operand::Kind::list || accumulators.parts.size() != n / 2)
    d.fail(format("{} accumulators are expected", n / 2));
  for (const Operand& part : accumulators.parts) {
    d.op.list.push_back(d.destination(part, 32));
    if (d.op.list.back() == kNoSlot) d.unsupported();
  }
  if (registers) {
    d.op.flags |= kARegisters;
    if (d.operand(1).parts.size() != 4) d.fail("4 registers of a are expected");
    for (size_t i = 0; i < 4; ++i) d.op.src[i] = d.source(d.operand(1).parts[i], 32);
  } else {
    d.op.src[0] = d.source(d.operand(1), 64);
  }
  d.op.src[4] = d.source(d.operand(2), 64);
  d.op.src[kScaleSlot] = d.source(d.operand(3), 1);
  if (d.operand(3).negated) d.op.flags |= kScaleNegated;
  d.op.sources = 6;
  add_sign(d, 4, kNegateA);
  add_sign(d, 5, kNegateB);
  if (eight_bits) return;
  if (!registers) add_transposition(d, 6, kATransposed);
  add_transposition(d, registers ? 6 : 7, kBTransposed);
}

}  // namespace

void Warp::check_flight(const Op& op) const {
  const auto check = [&](Slot slot, bool write) {
    if (slot == kNoSlot) return;
    const Flight& in = flight[slot / kSlotBytes];
    if (in.group > wgmma_retired && (write || in.accumulator)) {
      report(op, Finding::register_in_flight,
             format("{} a register of a wgmma that has not been waited for", write ? "writes" : "reads"));
    }
  };
  for (uint32_t i = 0; i < op.sources; ++i) check(op.src[i], false);
  for (uint32_t i = 0; i < op.results; ++i) check(op.dst[i], true);
  if (op.tensor) return;
  for (const Slot slot : op.list) check(slot, !op.list_is_read);
}

void add_wgmma(DecodeTable& table) {
  table["wgmma"] = [](Decoder& d) {
    const int form = d.take_one_of({"mma_async", "fence", "commit_group", "wait_group"});
    if (!d.take("sync") || !d.take("aligned")) d.unsupported();
    d.op.gather = Gather::live;
    if (form == 0) return decode_multiply(d);
    d.expect_operands(form == 3 ? 1 : 0);
    d.op.run = form == 1 ? fence : form == 2 ? commit : wait_group;
    if (form != 3) return;
    d.op.value = d.immediate(d.operand(0));
    if (d.op.value < 0) d.fail("a negative number of groups");
  };
}

}  // namespace emulator::machine
