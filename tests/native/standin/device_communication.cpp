// Stands in for NCCL with CUDA's driver and for HCCL with SynapseAI: ranks are threads, device
// memory is memory. Every argument is checked against what the interfaces ask for; what does not
// hold comes back as the library's own "invalid argument".
#include <array>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <list>
#include <mutex>
#include <string_view>
#include <vector>

namespace {

enum class Library : int32_t { kNccl, kHccl };

constexpr int kFloat32 = 7;
constexpr int kRanksMax = 64;
int invalid(Library library) {
  return library == Library::kNccl ? 4 : 7;
}

struct Stream {
  Library library;
  bool alive;
};
struct Comm {
  Library library;
  int rank;
  int world;
  bool alive;
};
struct Message {
  int from, to;
  const void* data;
  size_t count;
  bool taken;
};
struct Call {
  Comm* comm;
  bool sends;
  void* data;
  size_t count;
  int peer;
};

std::mutex mutex;
std::condition_variable changed;
std::list<Message> messages;
std::list<Comm> comms;      // Kept when they end, so that a later use is found out.
std::list<Stream> streams;  // As above.
thread_local int depth = 0;
thread_local std::vector<Call> calls;

// hang: transfers never end. broken: they end with an error.
std::string_view mode() {
  const char* value = std::getenv("STANDIN_MODE");
  return value == nullptr ? "" : value;
}

template <typename Id>
void fill(Id* id) {
  std::memset(id, 0x5A, sizeof(Id));
}
template <typename Id>
int init_rank(Library library, void** comm, int world, const Id& id, int rank) {
  Id expected;
  fill(&expected);
  if (comm == nullptr || world < 1 || world > kRanksMax || rank < 0 || rank >= world ||
      std::memcmp(&id, &expected, sizeof(Id)) != 0) {
    return invalid(library);
  }
  const std::lock_guard lock(mutex);
  *comm =
      &comms.emplace_back(Comm{.library = library, .rank = rank, .world = world, .alive = true});
  return 0;
}

int post(Library library, bool sends, void* data, size_t count, int type, int peer, void* comm,
         void* stream) {
  auto* own = static_cast<Comm*>(comm);
  auto* way = static_cast<Stream*>(stream);
  if (own == nullptr || !own->alive || own->library != library || way == nullptr || !way->alive ||
      way->library != library || data == nullptr || count == 0 || type != kFloat32 || peer < 0 ||
      peer >= own->world || peer == own->rank || depth != 1) {
    return invalid(library);
  }
  calls.push_back({.comm = own, .sends = sends, .data = data, .count = count, .peer = peer});
  return 0;
}

int group_start() {
  ++depth;
  return 0;
}

// Copies what others send, then waits until others have what this rank sends.
int group_end(Library library) {
  if (--depth != 0) {
    return invalid(library);
  }
  std::unique_lock lock(mutex);
  if (mode() == "hang" || mode() == "broken") {
    calls.clear();
    return 0;
  }
  std::vector<std::list<Message>::iterator> sent;
  for (const Call& call : calls) {
    if (call.sends) {
      sent.push_back(messages.insert(messages.end(), {.from = call.comm->rank,
                                                      .to = call.peer,
                                                      .data = call.data,
                                                      .count = call.count,
                                                      .taken = false}));
    }
  }
  changed.notify_all();
  int result = 0;
  for (const Call& call : calls) {
    if (call.sends) {
      continue;
    }
    auto found = messages.end();
    changed.wait(lock, [&] {
      for (found = messages.begin(); found != messages.end(); ++found) {
        if (!found->taken && found->from == call.peer && found->to == call.comm->rank) {
          return true;
        }
      }
      return false;
    });
    result = found->count == call.count ? result : invalid(library);
    std::memcpy(call.data, found->data, call.count * sizeof(float));
    found->taken = true;
    changed.notify_all();
  }
  for (const auto& message : sent) {
    changed.wait(lock, [&] { return message->taken; });
    messages.erase(message);
  }
  calls.clear();
  return result;
}

int async_error(Library library, void* comm, int* out) {
  auto* own = static_cast<Comm*>(comm);
  if (own == nullptr || !own->alive || own->library != library || out == nullptr) {
    return invalid(library);
  }
  *out = mode() == "broken" ? 6 : 0;
  return 0;
}

int end_comm(Library library, void* comm) {
  auto* own = static_cast<Comm*>(comm);
  if (own == nullptr || !own->alive || own->library != library) {
    return invalid(library);
  }
  own->alive = false;
  return 0;
}

int make_stream(Library library, void** stream) {
  if (stream == nullptr) {
    return 1;
  }
  const std::lock_guard lock(mutex);
  *stream = &streams.emplace_back(Stream{.library = library, .alive = true});
  return 0;
}
int query_stream(Library library, void* stream) {
  auto* own = static_cast<Stream*>(stream);
  if (own == nullptr || !own->alive || own->library != library) {
    return 1;
  }
  return mode().empty() ? 0 : 600;
}
int end_stream(Library library, void* stream) {
  auto* own = static_cast<Stream*>(stream);
  if (own == nullptr || !own->alive || own->library != library) {
    return 1;
  }
  own->alive = false;
  return 0;
}

struct NcclId {
  std::array<char, 128> bytes;
};
struct HcclId {
  std::array<uint8_t, 1024> bytes;
  size_t length;
};
constexpr Library kNccl = Library::kNccl;
constexpr Library kHccl = Library::kHccl;

}  // namespace

#pragma GCC visibility push(default)
extern "C" {
int ncclGetUniqueId(NcclId* id) {
  return fill(id), 0;
}
int ncclCommInitRank(void** comm, int world, NcclId id, int rank) {
  return init_rank(kNccl, comm, world, id, rank);
}
int ncclSend(const void* data, size_t count, int type, int peer, void* comm, void* stream) {
  return post(kNccl, true, const_cast<void*>(data), count, type, peer, comm, stream);
}
int ncclRecv(void* data, size_t count, int type, int peer, void* comm, void* stream) {
  return post(kNccl, false, data, count, type, peer, comm, stream);
}
int ncclGroupStart() {
  return group_start();
}
int ncclGroupEnd() {
  return group_end(kNccl);
}
int ncclCommGetAsyncError(void* comm, int* out) {
  return async_error(kNccl, comm, out);
}
int ncclCommAbort(void* comm) {
  return end_comm(kNccl, comm);
}
int ncclCommDestroy(void* comm) {
  return end_comm(kNccl, comm);
}
const char* ncclGetErrorString(int code) {
  return code == 4 ? "invalid argument" : "remote error";
}
int cuStreamCreate(void** stream, unsigned flags) {
  return flags == 1 ? make_stream(kNccl, stream) : 1;
}
int cuStreamQuery(void* stream) {
  return query_stream(kNccl, stream);
}
int cuStreamDestroy_v2(void* stream) {
  return end_stream(kNccl, stream);
}

int hcclGetUniqueId(HcclId* id) {
  return fill(id), 0;
}
int hcclCommInitRank(void** comm, int world, HcclId id, int rank) {
  return init_rank(kHccl, comm, world, id, rank);
}
int hcclSend(const void* data, size_t count, int type, int peer, void* comm, void* stream) {
  return post(kHccl, true, const_cast<void*>(data), count, type, peer, comm, stream);
}
int hcclRecv(void* data, size_t count, int type, int peer, void* comm, void* stream) {
  return post(kHccl, false, data, count, type, peer, comm, stream);
}
int hcclGroupStart() {
  return group_start();
}
int hcclGroupEnd() {
  return group_end(kHccl);
}
int hcclCommGetAsyncError(void* comm, int* out) {
  return async_error(kHccl, comm, out);
}
int hcclCommAbort(void* comm) {
  return end_comm(kHccl, comm);
}
int hcclCommDestroy(void* comm) {
  return end_comm(kHccl, comm);
}
const char* hcclGetErrorString(int code) {
  return code == 7 ? "invalid argument" : "internal error";
}
int synStreamCreateGeneric(void** stream, uint32_t device, uint32_t flags) {
  return device == 0 && flags == 0 ? make_stream(kHccl, stream) : 1;
}
int synStreamQuery(void* stream) {
  return query_stream(kHccl, stream);
}
int synStreamDestroy(void* stream) {
  return end_stream(kHccl, stream);
}
}
#pragma GCC visibility pop
