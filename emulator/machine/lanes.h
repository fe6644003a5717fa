// How a handler walks over 32 lanes.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <type_traits>

#include "machine/warp.h"

namespace emulator::machine {

/// Calls f(lane) for the lanes of a mask; for all of them in a loop that the compiler can turn into vector
/// instructions.
template <class F>
inline void each_lane(uint32_t mask, F f) {
  if (mask == kAllLanes) {
#pragma omp simd
    for (uint32_t lane = 0; lane < kLanes; ++lane) f(lane);
    return;
  }
  for (; mask != 0; mask &= mask - 1) f(static_cast<uint32_t>(std::countr_zero(mask)));
}

/// The lane of a register that holds a T: 32 bits, or 64.
template <class T>
using Lane = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;

template <class T>
inline T get(Lane<T> lane) {
  if constexpr (std::is_floating_point_v<T>) {
    return std::bit_cast<T>(lane);
  } else {
    return static_cast<T>(lane);
  }
}

/// A float's NaN becomes PTX's canonical one; integers leave zeros above.
template <class T>
inline Lane<T> put(T value) {
  if constexpr (std::is_same_v<T, float>) {
    return value != value ? 0x7fffffffu : std::bit_cast<uint32_t>(value);
  } else if constexpr (std::is_same_v<T, double>) {
    return std::bit_cast<uint64_t>(value);
  } else {
    return static_cast<std::make_unsigned_t<T>>(value);
  }
}

// Handlers from a function object on values.
template <class R, class T, class F>
Outcome unary(Warp& warp, const Op& op, uint32_t mask) {
  auto* const d = warp.lanes<Lane<R>>(op.dst[0]);
  const auto* const a = warp.lanes<Lane<T>>(op.src[0]);
  each_lane(mask, [=](uint32_t lane) { d[lane] = put<R>(F::apply(get<T>(a[lane]))); });
  return Outcome::next;
}
template <class R, class T, class F>
Outcome binary(Warp& warp, const Op& op, uint32_t mask) {
  auto* const d = warp.lanes<Lane<R>>(op.dst[0]);
  const auto* const a = warp.lanes<Lane<T>>(op.src[0]);
  const auto* const b = warp.lanes<Lane<T>>(op.src[1]);
  each_lane(mask, [=](uint32_t lane) { d[lane] = put<R>(F::apply(get<T>(a[lane]), get<T>(b[lane]))); });
  return Outcome::next;
}
/// C: the type of the third operand.
template <class R, class T, class C, class F>
Outcome ternary(Warp& warp, const Op& op, uint32_t mask) {
  auto* const d = warp.lanes<Lane<R>>(op.dst[0]);
  const auto* const a = warp.lanes<Lane<T>>(op.src[0]);
  const auto* const b = warp.lanes<Lane<T>>(op.src[1]);
  const auto* const c = warp.lanes<Lane<C>>(op.src[2]);
  each_lane(mask,
            [=](uint32_t lane) { d[lane] = put<R>(F::apply(get<T>(a[lane]), get<T>(b[lane]), get<C>(c[lane]))); });
  return Outcome::next;
}

/// Bits of `mask` from f(lane), the others of `before`.
template <class F>
inline uint32_t lanes_where(uint32_t mask, uint32_t before, F f) {
  uint32_t result = 0;
  for (uint32_t lane = 0; lane < kLanes; ++lane) result |= static_cast<uint32_t>(f(lane)) << lane;
  return (result & mask) | (before & ~mask);
}

}  // namespace emulator::machine
