// The emulator's parser, decoder and machine: texts of any bytes, and kernels put together from words that mean
// something. They may be refused and may go wrong, with a report; the host program goes on.
#include <array>
#include <cstring>
#include <string>
#include <string_view>
#include <variant>

#include "bytes.h"
#include "machine/launch.h"
#include "ptx/parse.h"
#include "require.h"

namespace flash_mla::fuzz {
namespace {

constexpr std::array kHeads = {"add",
                               "sub",
                               "mul.lo",
                               "mul.wide",
                               "mad.lo",
                               "div",
                               "shl",
                               "shr",
                               "bfe",
                               "bfi",
                               "prmt",
                               "lop3",
                               "setp.lt",
                               "selp",
                               "cvt.rn",
                               "cvt",
                               "cvt.rzi",
                               "mov",
                               "ld",
                               "st",
                               "atom",
                               "red",
                               "bar.sync",
                               "bar.arrive",
                               "shfl.sync.bfly",
                               "vote.sync.ballot",
                               "elect.sync",
                               "bra",
                               "ret",
                               "exit",
                               "min",
                               "max",
                               "fma.rn",
                               "ex2.approx",
                               "cvta",
                               "mbarrier.init",
                               "mbarrier.arrive",
                               "mbarrier.try_wait.parity",
                               "mbarrier.inval",
                               "mapa",
                               "cp.async.bulk",
                               "cp.async.commit_group",
                               "cp.async.bulk.commit_group",
                               "cp.async.bulk.wait_group",
                               "fence.proxy.async",
                               "wgmma.fence.sync.aligned",
                               "wgmma.commit_group.sync.aligned",
                               "wgmma.wait_group.sync.aligned",
                               "setmaxnreg.dec.sync.aligned",
                               "ldmatrix.sync.aligned.m8n8.x1",
                               "barrier.cluster.arrive",
                               "barrier.cluster.wait",
                               "redux.sync.add",
                               "trap",
                               "activemask"};
constexpr std::array kSuffixes = {"",
                                  ".u32",
                                  ".s32",
                                  ".f32",
                                  ".b32",
                                  ".u64",
                                  ".b64",
                                  ".f16",
                                  ".bf16x2",
                                  ".u16",
                                  ".global",
                                  ".shared",
                                  ".local",
                                  ".param",
                                  ".shared::cta",
                                  ".v2",
                                  ".v4",
                                  ".sat",
                                  ".ftz",
                                  ".add",
                                  ".cas",
                                  ".exch",
                                  ".pred",
                                  ".b16",
                                  ".f64",
                                  ".f16x2",
                                  ".u8",
                                  ".nc",
                                  ".to",
                                  ".mbarrier::complete_tx::bytes",
                                  ".shared::cluster",
                                  ".bulk_group",
                                  ".expect_tx"};
constexpr std::array kOperands = {"%r1",        "%r2",      "%r3",   "%d1",        "%d2",
                                  "%p1",        "%p2",      "%f1",   "%h1",        "%tid.x",
                                  "0",          "1",        "-1",    "31",         "0x80000000",
                                  "0f3F800000", "[buffer]", "[%d1]", "[%d2+4]",    "[buffer+8]",
                                  "[in]",       "L",        "!%p1",  "{%r1, %r2}", "{%r1, %r2, %r3, %r4}",
                                  "%r1|%p1",    "buffer",   "4096",  "[%r1]",      "_"};

std::string statement(Bytes& bytes) {
  std::string text;
  if (bytes.rarely(4)) text += bytes.flag() ? "@%p1 " : "@!%p2 ";
  text += kHeads[static_cast<size_t>(bytes.number(0, kHeads.size() - 1))];
  for (int64_t i = bytes.number(0, 3); i > 0; --i)
    text += kSuffixes[static_cast<size_t>(bytes.number(0, kSuffixes.size() - 1))];
  for (int64_t i = 0, count = bytes.number(0, 5); i < count; ++i) {
    text += i == 0 ? " " : ", ";
    text += kOperands[static_cast<size_t>(bytes.number(0, kOperands.size() - 1))];
  }
  return text + ";\n";
}

std::string kernel(Bytes& bytes) {
  std::string text =
      ".version 8.8\n.target sm_90a\n.address_size 64\n.entry k(.param .u64 in) {\n"
      ".reg .pred %p<3>; .reg .b32 %r<5>; .reg .b64 %d<3>; .reg .f32 %f<3>; .reg .b16 %h<3>;\n"
      ".shared .align 16 .b8 buffer[256];\nld.param.u64 %d1, [in];\nmov.u64 %d2, %d1;\nmov.u32 %r1, buffer;\n"
      "setp.lt.u32 %p1, %r1, 5;\nmov.u32 %r2, %tid.x;\n";
  for (int64_t i = bytes.number(1, 12); i > 0; --i) {
    text += statement(bytes);
    if (bytes.rarely(6) && text.find("L:") == std::string::npos) text += "L:\n";
  }
  return text + (text.find("L:") == std::string::npos ? "L:\n" : "") + "ret;\n}\n";
}

void run(const emulator::machine::Program& program, uint32_t threads) {
  namespace machine = emulator::machine;
  // What takes gigabytes is right, and slow.
  if (program.slots > 4096 || program.local_bytes > 4096) return;
  machine::Memory memory;
  std::vector<uint8_t> parameters(program.parameter_bytes);
  const uint64_t in = memory.allocate(256);
  if (parameters.size() >= 8) std::memcpy(parameters.data(), &in, 8);
  machine::LaunchShape shape;
  shape.block = {threads, 1, 1};
  machine::Options options;
  options.patience = 2000;
  machine::Reports reports;
  const machine::Counters counters = machine::run(program, shape, parameters, memory, options, reports);
  require(counters.executions.size() == program.ops.size(), "the counters are of another program");
  for (const machine::Report& report : reports.all()) require(!report.message.empty(), "a report says nothing");
}

void try_text(const std::string& text, uint32_t threads) {
  const auto parsed = emulator::ptx::parse(text);
  if (const auto* error = std::get_if<emulator::ptx::Error>(&parsed)) {
    require(error->line >= 1 && !error->message.empty(), "a refusal without a line or a reason");
    return;
  }
  const auto& module = std::get<emulator::ptx::Module>(parsed);
  const emulator::machine::VariableAddresses addresses(module.variables.size(), 4096);
  for (const auto& function : module.functions) {
    if (!function.entry || !function.has_body) continue;
    const auto decoded = emulator::machine::decode(module, function, addresses);
    if (const auto* program = std::get_if<0>(&decoded)) run(**program, threads);
  }
}

}  // namespace
}  // namespace flash_mla::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  flash_mla::fuzz::Bytes bytes(data + 1, size - 1);
  const std::string text = (data[0] & 1) == 0 ? std::string(reinterpret_cast<const char*>(data + 1), size - 1)
                                              : flash_mla::fuzz::kernel(bytes);
  flash_mla::fuzz::try_text(text, (data[0] & 2) != 0 ? 64 : 33);
  return 0;
}
