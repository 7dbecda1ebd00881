// Vectors of floats, with loads and stores of any length, for each instruction set that Highway
// compiles for. Included once for each: the guard toggles.
#if defined(LLAVASHARP_VECTOR_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LLAVASHARP_VECTOR_INL_H
#undef LLAVASHARP_VECTOR_INL_H
#else
#define LLAVASHARP_VECTOR_INL_H
#endif

#include <hwy/highway.h>

#include <cstdint>
#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace llavasharp::core::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Float = hn::Vec<Floats>;

HWY_INLINE int64_t LaneCount() {
  return static_cast<int64_t>(hn::Lanes(Floats()));
}
HWY_INLINE Float Constant(float value) {
  return hn::Set(Floats(), value);
}

// The first `count` floats at p, at most a vector of them; the other lanes are 0.
HWY_INLINE Float LoadUpTo(const float* p, int64_t count) {
  const Floats d;
  if (HWY_LIKELY(count >= LaneCount())) {
    return hn::LoadU(d, p);
  }
  HWY_ALIGN float part[hn::MaxLanes(Floats())] = {};
  std::memcpy(part, p, static_cast<size_t>(count) * sizeof(float));
  return hn::Load(d, part);
}

// Stores the first `count` lanes, at most a vector of them.
HWY_INLINE void StoreUpTo(Float value, float* p, int64_t count) {
  const Floats d;
  if (HWY_LIKELY(count >= LaneCount())) {
    hn::StoreU(value, d, p);
    return;
  }
  HWY_ALIGN float part[hn::MaxLanes(Floats())];
  hn::Store(value, d, part);
  std::memcpy(p, part, static_cast<size_t>(count) * sizeof(float));
}

}  // namespace llavasharp::core::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
