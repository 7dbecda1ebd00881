// Which instruction set the kernels run on.
#include "backend/cpu/cpu_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/simd_name.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace llavasharp::backend::cpu::HWY_NAMESPACE {

const char* SimdName() {
  return hwy::TargetName(HWY_TARGET);
}

}  // namespace llavasharp::backend::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace llavasharp::backend::cpu {

HWY_EXPORT(SimdName);

const char* simd_name() {
  return HWY_DYNAMIC_DISPATCH(SimdName)();
}

}  // namespace llavasharp::backend::cpu
#endif
