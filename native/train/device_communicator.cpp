// Ranks that are devices, over NCCL or HCCL, whose C interfaces are alike: opened at run time, so
// that one build runs where neither is installed. Their collectives say nothing of sizes and wait
// for ever; so every transfer is first agreed upon over the ranks' processes (MPI or Gloo), which
// also carry what is small and in host memory.
//
// Not yet run on hardware: a test holds every call to what the interface asks for.
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/error.h"
#include "train/communicator.h"

namespace llavasharp::train {
namespace {

using core::fail;
using Clock = std::chrono::steady_clock;

constexpr int kFloat32 = 7;  // Of ncclDataType_t and of hcclDataType_t.

struct Nccl {
  static constexpr const char* kName = "nccl";
  static constexpr const char* kLibrary = "libnccl.so.2";
  static constexpr const char* kRuntime = "libcuda.so.1";
  static constexpr const char* kCreateStream = "cuStreamCreate";
  static constexpr const char* kQueryStream = "cuStreamQuery";
  static constexpr const char* kDestroyStream = "cuStreamDestroy_v2";
  using CreateStream = int (*)(void** stream, unsigned flags);
  static int create(CreateStream function, void** stream) { return function(stream, 1); }
  struct UniqueId {
    std::array<char, 128> bytes{};
  };
};

struct Hccl {
  static constexpr const char* kName = "hccl";
  static constexpr const char* kLibrary = "libSynapse.so";
  static constexpr const char* kRuntime = "libSynapse.so";
  static constexpr const char* kCreateStream = "synStreamCreateGeneric";
  static constexpr const char* kQueryStream = "synStreamQuery";
  static constexpr const char* kDestroyStream = "synStreamDestroy";
  using CreateStream = int (*)(void** stream, uint32_t device, uint32_t flags);
  static int create(CreateStream function, void** stream) { return function(stream, 0, 0); }
  struct UniqueId {
    std::array<uint8_t, 1024> bytes{};
    size_t length = 0;
  };
};

void* open_library(const std::string& name, const char* kind) {
  // One name for either library, where they lie elsewhere.
  const char* chosen = std::getenv("LLAVASHARP_DEVICE_COMMUNICATION");
  const std::string file = chosen == nullptr ? name : chosen;
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    fail(LLV_UNSUPPORTED, "ranks over %s need %s: %s", kind, file.c_str(), dlerror());
  }
  return library;
}

template <typename Function>
Function find(void* library, const std::string& name) {
  void* symbol = dlsym(library, name.c_str());
  if (symbol == nullptr) {
    fail(LLV_UNSUPPORTED, "the device's communication library has no %s", name.c_str());
  }
  return reinterpret_cast<Function>(symbol);
}

template <typename Kind>
struct Library {
  using Id = typename Kind::UniqueId;
  void* library = open_library(Kind::kLibrary, Kind::kName);
  void* runtime = open_library(Kind::kRuntime, Kind::kName);

  template <typename Function>
  [[nodiscard]] Function own(const char* name) const {
    return find<Function>(library, std::string(Kind::kName) + name);
  }
  int (*get_unique_id)(Id*) = own<int (*)(Id*)>("GetUniqueId");
  int (*init_rank)(void**, int, Id, int) = own<int (*)(void**, int, Id, int)>("CommInitRank");
  int (*send)(const void*, size_t, int, int, void*,
              void*) = own<int (*)(const void*, size_t, int, int, void*, void*)>("Send");
  int (*receive)(void*, size_t, int, int, void*,
                 void*) = own<int (*)(void*, size_t, int, int, void*, void*)>("Recv");
  int (*group_start)() = own<int (*)()>("GroupStart");
  int (*group_end)() = own<int (*)()>("GroupEnd");
  int (*async_error)(void*, int*) = own<int (*)(void*, int*)>("CommGetAsyncError");
  int (*abort_all)(void*) = own<int (*)(void*)>("CommAbort");
  int (*destroy)(void*) = own<int (*)(void*)>("CommDestroy");
  const char* (*error_text)(int) = own<const char* (*)(int)>("GetErrorString");
  typename Kind::CreateStream create_stream =
      find<typename Kind::CreateStream>(runtime, Kind::kCreateStream);
  int (*query_stream)(void*) = find<int (*)(void*)>(runtime, Kind::kQueryStream);
  int (*destroy_stream)(void*) = find<int (*)(void*)>(runtime, Kind::kDestroyStream);
};

template <typename Kind>
class DeviceCommunicator final : public Communicator {
 public:
  DeviceCommunicator(const CommunicatorOptions& options, std::unique_ptr<Communicator> processes)
      : Communicator(processes->rank(), processes->world(), options.timeout),
        processes_(std::move(processes)),
        mine_(static_cast<size_t>(world())),
        all_(mine_.size() * mine_.size()) {
    typename Kind::UniqueId id;
    if (rank() == 0) {
      check(library_.get_unique_id(&id), "GetUniqueId");
    }
    std::vector<typename Kind::UniqueId> ids(static_cast<size_t>(world()));
    processes_->all_gather({.step = 0, .op = "meeting", .unit = Kind::kName},
                           std::as_bytes(std::span(&id, 1)),
                           std::as_writable_bytes(std::span(ids)));
    check(library_.init_rank(&comm_, world(), ids[0], rank()), "CommInitRank");
    if (const int code = Kind::create(library_.create_stream, &stream_); code != 0) {
      fail(LLV_DEVICE, "%s gave %d", Kind::kCreateStream, code);
    }
  }
  ~DeviceCommunicator() override {
    if (comm_ != nullptr) {
      library_.destroy(comm_);
    }
    library_.destroy_stream(stream_);
  }
  DeviceCommunicator(const DeviceCommunicator&) = delete;
  DeviceCommunicator& operator=(const DeviceCommunicator&) = delete;
  DeviceCommunicator(DeviceCommunicator&&) = delete;
  DeviceCommunicator& operator=(DeviceCommunicator&&) = delete;

  void stop(int32_t code, const std::string& reason) noexcept override {
    processes_->stop(code, reason);
  }
  void abandon(const std::string& reason) noexcept override { processes_->abandon(reason); }
  [[nodiscard]] bool device_memory() const override { return true; }
  void host_all_gather(const Label& label, Outgoing mine, Incoming all) override {
    processes_->all_gather(label, mine, all);
  }

 protected:
  void move(const Header& label, std::span<const Outgoing> send,
            std::span<const Incoming> receive) override {
    agree(label, send, receive);
    check(library_.group_start(), "GroupStart");
    for (int32_t peer = 0; peer < world(); ++peer) {
      const auto at = static_cast<size_t>(peer);
      if (peer == rank()) {
        continue;
      }
      if (!send[at].empty()) {
        check(library_.send(send[at].data(), send[at].size() / sizeof(float), kFloat32, peer, comm_,
                            stream_),
              "Send");
      }
      if (!receive[at].empty()) {
        check(library_.receive(receive[at].data(), receive[at].size() / sizeof(float), kFloat32,
                               peer, comm_, stream_),
              "Recv");
      }
    }
    check(library_.group_end(), "GroupEnd");
    wait(label);
  }

 private:
  void check(int code, const char* call) const {
    if (code != 0) {
      fail(LLV_COMM, "%s%s: %s (%d)", Kind::kName, call, library_.error_text(code), code);
    }
  }

  // Every rank says what it is at, how much it sends to whom and expects from whom: then either all
  // go on or none does.
  void agree(const Header& label, std::span<const Outgoing> send,
             std::span<const Incoming> receive) {
    const size_t ranks = mine_.size();
    for (size_t peer = 0; peer < ranks; ++peer) {
      mine_[peer] = {.sends = label, .expects = static_cast<int64_t>(receive[peer].size())};
      mine_[peer].sends.bytes = static_cast<int64_t>(send[peer].size());
      if (send[peer].size() % sizeof(float) != 0) {
        fail(LLV_INTERNAL, "%zu bytes are no floats", send[peer].size());
      }
    }
    processes_->all_gather({.step = label.step, .op = label.op.data(), .unit = label.unit.data()},
                           std::as_bytes(std::span(mine_)),
                           std::as_writable_bytes(std::span(all_)));
    for (size_t from = 0; from < ranks; ++from) {
      for (size_t to = 0; to < ranks; ++to) {
        const Header& sends = all_[from * ranks + to].sends;
        Header expects = all_[to * ranks + from].sends;
        expects.bytes = all_[to * ranks + from].expects;
        if (from != to && (!sends.same_work(expects) || sends.bytes != expects.bytes)) {
          fail(LLV_COMM, "the ranks disagree: rank %zu sends %s; rank %zu expects %s", from,
               sends.text().c_str(), to, expects.text().c_str());
        }
      }
    }
  }

  void wait(const Header& label) {
    const Clock::time_point end = deadline();
    while (library_.query_stream(stream_) != 0) {
      int code = 0;
      check(library_.async_error(comm_, &code), "CommGetAsyncError");
      if (code != 0 || Clock::now() >= end) {
        library_.abort_all(std::exchange(comm_, nullptr));
        check(code, "CommGetAsyncError");
        fail(LLV_COMM, "%s has not ended: %s, after %.1f s", Kind::kName, label.text().c_str(),
             static_cast<double>(timeout().count()) / 1000);
      }
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
  }

  Library<Kind> library_;
  std::unique_ptr<Communicator> processes_;
  struct Part {
    Header sends;
    int64_t expects = 0;
  };
  std::vector<Part> mine_;  // One a peer.
  std::vector<Part> all_;   // All ranks'.
  void* comm_ = nullptr;
  void* stream_ = nullptr;
};

// How the processes meet: "" by MPI, host:port by Gloo, local:NAME as threads.
std::unique_ptr<Communicator> make_processes(CommunicatorOptions options) {
  constexpr std::string_view kLocal = "local:";
  if (options.address.starts_with(kLocal)) {
    options.kind = LLV_COMMUNICATOR_LOCAL;
    options.address.erase(0, kLocal.size());
  } else {
    options.kind = options.address.empty() ? LLV_COMMUNICATOR_MPI : LLV_COMMUNICATOR_GLOO;
  }
  return make_communicator(options);
}

}  // namespace

std::unique_ptr<Communicator> make_device_communicator(const CommunicatorOptions& options) {
  std::unique_ptr<Communicator> processes = make_processes(options);
  if (options.kind == LLV_COMMUNICATOR_NCCL) {
    return std::make_unique<DeviceCommunicator<Nccl>>(options, std::move(processes));
  }
  return std::make_unique<DeviceCommunicator<Hccl>>(options, std::move(processes));
}

}  // namespace llavasharp::train
