// A C callback may not throw into libtorch, so the first exception of a part waits here until the
// loop has ended.
#include "core/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>

#include "core/error.h"
#include "core/libtorch.h"

namespace llavasharp::core {
namespace {

struct Loop {
  const Call<void(int64_t, int64_t)>* body;
  std::atomic_flag failed;
  std::exception_ptr error;  // Written by the one part that sets `failed`.
};

void run_part(int64_t begin, int64_t end, void* context) {
  auto* loop = static_cast<Loop*>(context);
  try {
    (*loop->body)(begin, end);
  } catch (...) {
    if (!loop->failed.test_and_set()) {
      loop->error = std::current_exception();
    }
  }
}

}  // namespace

void parallel_for(int64_t count, int64_t grain, Call<void(int64_t, int64_t)> body) {
  if (count <= 0) {
    return;
  }
  if (count <= grain) {
    body(0, count);
    return;
  }
  Loop loop{.body = &body, .failed = {}, .error = nullptr};
  const AOTITorchError error =
      torch_parallel_for(0, count, std::max<int64_t>(grain, 1), run_part, &loop);
  if (loop.error) {
    std::rethrow_exception(loop.error);
  }
  if (error != 0) {
    fail(LLV_DEVICE, "libtorch's thread pool failed (status %d)", error);
  }
}

void parallel_tasks(int64_t count, Call<void(int64_t)> body) {
  std::atomic<int64_t> next{0};
  const int64_t workers = std::min<int64_t>(count, threads());
  parallel_for(workers, 1, [&](int64_t, int64_t) {
    for (int64_t task = next++; task < count; task = next++) {
      body(task);
    }
  });
}

int32_t threads() {
  uint32_t count = 1;
  if (torch_get_num_threads(&count) != 0) {
    fail(LLV_DEVICE, "libtorch did not say how many threads it uses");
  }
  return static_cast<int32_t>(count);
}

// OMP_NUM_THREADS is read when libtorch loads, too early for us to set; omp_set_num_threads alone
// would leave the matrix library's own count. libtorch's setter does both.
void set_threads(int32_t threads) {
  if (threads == 0) {
    return;
  }
  if (threads < 0 || threads > 4096) {
    fail(LLV_INVALID, "threads is %d: use 1 to 4096, or 0 for libtorch's choice", threads);
  }
  if (at::set_num_threads == nullptr) {
    fail(LLV_UNSUPPORTED,
         "this libtorch (%s) cannot change its thread count: set OMP_NUM_THREADS=%d instead",
         libtorch_version(), threads);
  }
  at::set_num_threads(threads);
}

}  // namespace llavasharp::core
