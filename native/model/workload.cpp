// Which sizes a plan can be made for.
#include "core/error.h"
#include "model/plan.h"

namespace llavasharp::model {

void check_workload(const Config& config, const Workload& work) {
  const auto check_range = [](const char* name, int64_t value, int64_t low, int64_t high) {
    if (value < low || value > high) {
      core::fail(LLV_INVALID, "%s is %lld: must be %lld to %lld", name,
                 static_cast<long long>(value), static_cast<long long>(low),
                 static_cast<long long>(high));
    }
  };
  constexpr int64_t kMost = int64_t{1} << 30;
  check_range("tokens", work.tokens, 1, kMost);
  check_range("samples", work.samples, 1, work.tokens);
  check_range("supervised", work.supervised, 1, work.tokens);
  // With image_newline a tile may be padding alone, of which no row is seen.
  const int64_t rows = config.get().image_newline != 0 ? 1 : config.image_rows();
  check_range("images", work.images, 0, config.has_tower() ? work.tokens / rows : 0);
  check_range("units", work.units, 0, 127);
  check_range("lora_rank", work.lora_rank, 0, 65536);
  check_range("recompute_layers", work.recompute_layers, 0, kMost);
  check_range("threads", work.threads, 1, 4096);
}

}  // namespace llavasharp::model
