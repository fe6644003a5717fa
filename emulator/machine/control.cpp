// Branches and the like, and hints that change no result (PTX ISA 9.0, sections 9.7.12, 9.7.19).
#include "machine/cta.h"
#include "machine/decoder.h"
#include "machine/lanes.h"

namespace emulator::machine {
namespace {

using ptx::Operand;

Outcome nothing(Warp&, const Op&, uint32_t) {
  return Outcome::next;
}
Outcome rest(Warp&, const Op&, uint32_t) {
  return Outcome::yield;
}
Outcome trap(Warp& warp, const Op& op, uint32_t) {
  warp.fault(op, Finding::trap, "trap");
}

// Kernels run one after the other, so that what these wait for has happened; that it was waited for is checked.
Outcome launch_dependents(Warp& warp, const Op&, uint32_t) {
  Cta& cta = *warp.cta;
  if (!cta.triggered && cta.cluster->knows_prerequisites(warp.knowledge)) {
    cta.launch().overlap.triggered_after_wait = true;
  }
  cta.triggered = true;
  return Outcome::next;
}
Outcome wait_for_prerequisites(Warp& warp, const Op&, uint32_t) {
  warp.knowledge.ordered.set(warp.cta->cluster->prerequisite_agent(), 1);
  warp.cta->launch().overlap.waited = true;
  return Outcome::next;
}

void decode_exit(Decoder& d) {
  d.take("uni");
  d.expect_operands(0);
  d.op.flow = Flow::exit;
}

}  // namespace

void add_control(DecodeTable& table) {
  table["bra"] = [](Decoder& d) {
    d.take("uni");
    d.expect_operands(1);
    if (d.operand(0).kind != Operand::Kind::label) d.fail("the target is not a label");
    d.op.flow = Flow::branch;
    d.op.target = d.operand(0).index;
  };
  table["exit"] = decode_exit;
  table["ret"] = decode_exit;  // of an entry: calls are not supported
  table["trap"] = [](Decoder& d) {
    d.expect_operands(0);
    d.op.run = trap;
  };
  table["nanosleep"] = [](Decoder& d) {
    if (d.take_type() != ptx::Type::u32) d.unsupported();
    d.expect_operands(1);
    d.add_source(0, 32);
    d.op.run = rest;
  };
  table["griddepcontrol"] = [](Decoder& d) {
    d.op.run = d.take_one_of({"launch_dependents", "wait"}) == 0 ? launch_dependents : wait_for_prerequisites;
    d.expect_operands(0);
  };
  table["prefetch"] = [](Decoder& d) {
    if (!d.take("tensormap")) {
      d.take("global");
      d.take_one_of({"L1", "L2", "L2::evict_last", "L2::evict_normal"});
    } else {
      d.take_one_of({"param", "const"}, 2);
    }
    d.expect_operands(1);
    d.add_address(0);
    d.op.run = nothing;
  };
  // A cache policy is 64 opaque bits.
  table["createpolicy"] = [](Decoder& d) {
    if (!d.take("fractional")) d.unsupported();
    d.take_one_of({"L2::evict_last", "L2::evict_normal", "L2::evict_first", "L2::evict_unchanged"});
    d.take_one_of({"L2::evict_first", "L2::evict_unchanged"}, 2);
    if (d.take_type() != ptx::Type::b64) d.unsupported();
    d.expect_operands(1, 2);
    d.add_destination(0, 64);
    d.op.sources = 1;
    d.op.src[0] = d.constant(true, 0x12f0000000000000ull);
    d.op.run = [](Warp& warp, const Op& op, uint32_t mask) {
      uint64_t* const result = warp.lanes<uint64_t>(op.dst[0]);
      const uint64_t* const policy = warp.lanes<uint64_t>(op.src[0]);
      each_lane(mask, [=](uint32_t lane) { result[lane] = policy[lane]; });
      return Outcome::next;
    };
  };
}

}  // namespace emulator::machine
