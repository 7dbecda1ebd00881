// Runs a loop on libtorch's own thread pool, so that kernels and products never oversubscribe the
// cores.
#pragma once

#include <cstdint>

#include "core/call.h"

namespace llavasharp::core {

// Calls body(begin, end) over parts of 0 … count, each at least `grain` long (the last may be
// shorter). Parts depend on the thread count; bodies must not make results depend on where parts
// are cut. Rethrows a body's exception.
void parallel_for(int64_t count, int64_t grain, Call<void(int64_t, int64_t)> body);

// Calls body(task) for each task of 0 … count, the lowest first, each on whichever thread is free:
// for tasks of unequal cost, whose results do not depend on each other. Rethrows a body's
// exception.
void parallel_tasks(int64_t count, Call<void(int64_t)> body);

// Threads that parallel_for and products use.
[[nodiscard]] int32_t threads();
// Sets them for the process; 0 keeps libtorch's choice.
void set_threads(int32_t threads);

}  // namespace llavasharp::core
