// rcp, rsqrt, ex2, lg2, sin, cos, tanh (PTX ISA 9.0, section 9.7.3): the manual bounds the error of the approximations,
// here they are the correctly computed value rounded to f32, whatever the hardware's last bits are.
#include <cmath>

#include "machine/alu_rounded.h"
#include "machine/decoder.h"
#include "machine/lanes.h"
#include "machine/number.h"

namespace emulator::machine {
namespace {

using ptx::Type;

struct Reciprocal {
  static float apply(float a) { return 1.0f / a; }
};
struct ReciprocalRoot {
  static float apply(float a) { return static_cast<float>(1.0 / std::sqrt(static_cast<double>(a))); }
};
struct Log2 {
  static float apply(float a) { return std::log2(a); }
};
struct Sine {
  static float apply(float a) { return static_cast<float>(std::sin(static_cast<double>(a))); }
};
struct Cosine {
  static float apply(float a) { return static_cast<float>(std::cos(static_cast<double>(a))); }
};
struct Tanh {
  static float apply(float a) { return static_cast<float>(std::tanh(static_cast<double>(a))); }
};

/// 2^a: a minimax polynomial of 2^f on [-1/2, 1/2] in double, within 1e-9 relative, so that the compiler vectorises it.
struct Exp2 {
  static float apply(float a) {
    const float clamped = a < -160.0f ? -160.0f : a > 160.0f ? 160.0f : a;  // NaN stays
    const double shifted = static_cast<double>(clamped) + 0x1.8p52;
    const double whole = shifted - 0x1.8p52;
    const double f = static_cast<double>(clamped) - whole;
    double p = 1.5252733804059841e-05;  // (ln 2)^k / k!, from k = 7 down
    p = p * f + 1.5403530393381608e-04;
    p = p * f + 1.3333558146428443e-03;
    p = p * f + 9.6181291076284772e-03;
    p = p * f + 5.5504108664821580e-02;
    p = p * f + 2.4022650695910072e-01;
    p = p * f + 6.9314718055994531e-01;
    p = p * f + 1.0;
    const double scale = std::bit_cast<double>((std::bit_cast<uint64_t>(shifted) + 1023) << 52);
    const auto result = static_cast<float>(p * scale);
    return a != a ? a : result;
  }
};

template <class F, bool kFtz>
Outcome approximate(Warp& warp, const Op& op, uint32_t mask) {
  uint32_t* const d = warp.lanes<uint32_t>(op.dst[0]);
  const uint32_t* const a = warp.lanes<uint32_t>(op.src[0]);
  each_lane(mask, [=](uint32_t lane) {
    const float in = std::bit_cast<float>(a[lane]);
    const float out = F::apply(kFtz ? flush(in) : in);
    d[lane] = put(kFtz ? flush(out) : out);
  });
  return Outcome::next;
}

template <class F>
void decode_approximation(Decoder& d) {
  if (!d.take("approx")) d.unsupported();
  const bool ftz = d.take("ftz");
  if (d.take_type() != Type::f32) d.unsupported();
  d.expect_operands(2);
  d.add_destination(0, 32);
  d.add_source(1, 32);
  d.op.run = ftz ? approximate<F, true> : approximate<F, false>;
}

}  // namespace

void add_approximations(DecodeTable& table) {
  table["rsqrt"] = decode_approximation<ReciprocalRoot>;
  table["ex2"] = decode_approximation<Exp2>;
  table["lg2"] = decode_approximation<Log2>;
  table["sin"] = decode_approximation<Sine>;
  table["cos"] = decode_approximation<Cosine>;
  table["tanh"] = decode_approximation<Tanh>;
  table["rcp"] = [](Decoder& d) {
    if (d.has("approx")) return decode_approximation<Reciprocal>(d);
    const int rounding = d.take_one_of({"rn", "rz", "rm", "rp"});
    const bool ftz = d.take("ftz");
    const Type type = d.take_type();
    if (type != Type::f32 && type != Type::f64) d.unsupported();
    const bool is_double = type == Type::f64;
    d.expect_operands(2);
    d.add_destination(0, is_double ? 64 : 32);
    d.op.sources = 2;
    d.op.src[0] = d.constant(is_double, is_double ? std::bit_cast<uint64_t>(1.0) : std::bit_cast<uint32_t>(1.0f));
    d.op.src[1] = d.source(d.operand(1), is_double ? 64 : 32);
    set_rounded(d, RoundedOperation::div, static_cast<Rounding>(rounding), is_double, ftz, false);
  };
}

}  // namespace emulator::machine
