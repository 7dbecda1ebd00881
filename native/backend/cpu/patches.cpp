// Image patches as rows, so that CLIP's patch embedding is one matrix product.
#include <cinttypes>
#include <cstring>

#include "backend/cpu/checks.h"
#include "backend/cpu/cpu_kernels.h"
#include "core/error.h"
#include "core/parallel.h"

namespace llavasharp::backend::cpu {

void patches(View out, const float* pixels, int64_t images, int32_t image_size,
             int32_t patch_size) {
  if (image_size < 1 || patch_size < 1 || image_size % patch_size != 0) {
    core::fail(LLV_INVALID, "patches: image size %d is not a multiple of patch size %d", image_size,
               patch_size);
  }
  const int64_t size = image_size;
  const int64_t patch = patch_size;
  const int64_t grid = size / patch;
  require_shape("patches", "out", out, images * grid * grid, 3 * patch * patch);
  core::parallel_for(images * grid, row_grain(3 * patch * size), [&](int64_t begin, int64_t end) {
    for (int64_t band = begin; band < end; ++band) {  // One row of patches of one image.
      const int64_t image = band / grid;
      for (int64_t column = 0; column < grid; ++column) {
        float* to = out.row(band * grid + column);
        for (int64_t line = 0; line < 3 * patch; ++line) {  // channel · patch + y
          const int64_t y = band % grid * patch + line % patch;
          const float* from =
              pixels + ((image * 3 + line / patch) * size + y) * size + column * patch;
          std::memcpy(to + line * patch, from, static_cast<size_t>(patch) * sizeof(float));
        }
      }
    }
  });
}

}  // namespace llavasharp::backend::cpu
