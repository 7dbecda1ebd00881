// The few functions that the kernels need, for each instruction set that Highway compiles them for.
// Included once for each: the guard toggles.
#if defined(LLAVASHARP_SIMD_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LLAVASHARP_SIMD_INL_H
#undef LLAVASHARP_SIMD_INL_H
#else
#define LLAVASHARP_SIMD_INL_H
#endif

#include <hwy/highway.h>

#include <cstdint>

#include "core/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace llavasharp::backend::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using core::HWY_NAMESPACE::Constant;
using core::HWY_NAMESPACE::Float;
using core::HWY_NAMESPACE::Floats;
using core::HWY_NAMESPACE::LaneCount;
using core::HWY_NAMESPACE::LoadUpTo;
using core::HWY_NAMESPACE::StoreUpTo;

HWY_INLINE float SumLanes(Float value) {
  return hn::GetLane(hn::SumOfLanes(Floats(), value));
}
HWY_INLINE float MaxLane(Float value) {
  return hn::GetLane(hn::MaxOfLanes(Floats(), value));
}

// The sum of term(i, n) over vectors that start at element i and have n elements in use; four
// independent sums, so that latency does not bound it. The order depends on count alone.
template <class Term>
HWY_INLINE float SumOver(int64_t count, Term term) {
  const Floats d;
  const int64_t lanes = LaneCount();
  Float sum0 = hn::Zero(d);
  Float sum1 = hn::Zero(d);
  Float sum2 = hn::Zero(d);
  Float sum3 = hn::Zero(d);
  int64_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    sum0 = hn::Add(sum0, term(i, lanes));
    sum1 = hn::Add(sum1, term(i + lanes, lanes));
    sum2 = hn::Add(sum2, term(i + 2 * lanes, lanes));
    sum3 = hn::Add(sum3, term(i + 3 * lanes, lanes));
  }
  for (; i < count; i += lanes) {
    sum0 = hn::Add(sum0, term(i, count - i));
  }
  return SumLanes(hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3)));
}

// e^x to about one unit in the last place; 0 below -87.3, where the result would be denormal. NaN
// stays NaN, so that a loss shows it.
// x = n ln 2 + r with |r| <= ln 2 / 2; e^r by a polynomial fitted at Chebyshev nodes.
HWY_INLINE Float Exp(Float power) {
  const Floats d;
  const hn::RebindToSigned<Floats> di;
  const auto too_small = hn::Lt(power, Constant(-87.3F));
  const auto x = hn::Min(hn::Max(power, Constant(-87.3F)), Constant(88.7F));
  const auto n = hn::Round(hn::Mul(x, Constant(1.44269504088896341F)));
  auto r =
      hn::NegMulAdd(n, Constant(0.693359375F), x);  // ln 2 in two parts: n times this is exact.
  r = hn::NegMulAdd(n, Constant(-2.12194440054690583e-4F), r);
  auto p = Constant(0.001392618358721841F);
  p = hn::MulAdd(p, r, Constant(0.008363179052702958F));
  p = hn::MulAdd(p, r, Constant(0.041666554617209896F));
  p = hn::MulAdd(p, r, Constant(0.16666576989699F));
  p = hn::MulAdd(p, r, Constant(0.5F));
  p = hn::Add(hn::MulAdd(p, hn::Mul(r, r), r), Constant(1.0F));
  // The power of two in two steps: 2^128 alone has no float.
  const auto exponent = hn::ConvertTo(di, n);
  const auto half = hn::ShiftRight<1>(exponent);
  const auto bias = hn::Set(di, 127);
  const auto scale1 = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(half, bias)));
  const auto scale2 = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(hn::Sub(exponent, half), bias)));
  const auto value = hn::IfThenZeroElse(too_small, hn::Mul(hn::Mul(p, scale1), scale2));
  // Instruction sets differ in what Min and Max make of a NaN.
  return hn::IfThenElse(hn::IsNaN(power), power, value);
}

// s = 1 / (1 + e^-x), and 1 - s without cancellation.
HWY_INLINE void Sigmoid(Float x, Float& s, Float& one_less_s) {
  const auto e = Exp(hn::Neg(x));
  s = hn::Div(Constant(1.0F), hn::Add(Constant(1.0F), e));
  one_less_s = hn::Mul(e, s);
}

HWY_INLINE Float Sigmoid(Float x) {
  return hn::Div(Constant(1.0F), hn::Add(Constant(1.0F), Exp(hn::Neg(x))));
}

// The standard normal distribution's cumulative function, accurate in its tail as well, and its
// density. erfc(z) = e^(-z²) t P(t), t = 1 / (1 + z/2), z = |x|/√2; P fitted at Chebyshev nodes.
HWY_INLINE void NormalCdf(Float x, Float& cdf, Float& density) {
  const auto one = Constant(1.0F);
  const auto z = hn::Min(Constant(7.0F), hn::Mul(hn::Abs(x), Constant(0.707106781186547524F)));
  const auto t = hn::Div(one, hn::MulAdd(z, Constant(0.5F), one));
  auto p = Constant(0.0282327180840237F);
  p = hn::MulAdd(p, t, Constant(-0.20993356938326535F));
  p = hn::MulAdd(p, t, Constant(0.6328569707856182F));
  p = hn::MulAdd(p, t, Constant(-0.9420534994723391F));
  p = hn::MulAdd(p, t, Constant(0.6475305204947663F));
  p = hn::MulAdd(p, t, Constant(-0.21973789065944815F));
  p = hn::MulAdd(p, t, Constant(0.26749962325692755F));
  p = hn::MulAdd(p, t, Constant(0.22965805712251425F));
  p = hn::MulAdd(p, t, Constant(0.28393819085010086F));
  p = hn::MulAdd(p, t, Constant(0.28200887730015906F));
  const auto square = hn::Mul(z, z);
  const auto gauss = Exp(hn::Neg(square));
  const auto tail = hn::Mul(Constant(0.5F), hn::Mul(gauss, hn::Mul(t, p)));
  cdf = hn::IfThenElse(hn::Lt(x, hn::Zero(Floats())), tail, hn::Sub(one, tail));
  density = hn::Mul(gauss, Constant(0.398942280401432678F));
}

}  // namespace llavasharp::backend::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
