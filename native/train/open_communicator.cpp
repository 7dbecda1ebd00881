// Which library carries a kind of communicator, and opening it at run time.
#include <dlfcn.h>

#include <array>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/error.h"
#include "train/peer_communicator.h"

namespace llavasharp::train {
namespace {

using core::fail;

// Where this code was loaded from: modules lie beside it, or beside its folder (tests).
std::string own_folder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&own_folder), &info) == 0 || info.dli_fname == nullptr) {
    return ".";
  }
  const std::string file = info.dli_fname;
  const size_t slash = file.rfind('/');
  return slash == std::string::npos ? "." : file.substr(0, slash);
}

// The module's function; the library stays open to the end of the process.
OpenTransport find_module(const std::string& name, const char* package) {
  const std::string file = "libllavasharp_" + name + ".so";
  std::vector<std::string> places;
  if (const char* folder = std::getenv("LLAVASHARP_MODULES"); folder != nullptr) {
    places.push_back(std::string(folder) + "/" + file);
  }
  places.push_back(own_folder() + "/" + file);
  places.push_back(own_folder() + "/../" + file);
  std::string reason;  // Of a module that is there and does not load.
  for (const std::string& place : places) {
    // DEEPBIND: libtorch brings a Gloo of its own, whose names must not take the place of Debian's.
    void* library = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    if (library == nullptr) {
      const std::string error = dlerror();
      if (reason.empty() && error.find("No such file") == std::string::npos) {
        reason = error;
      }
      continue;
    }
    if (void* function = dlsym(library, kOpenTransport); function != nullptr) {
      return reinterpret_cast<OpenTransport>(function);
    }
    reason = place + " has no " + kOpenTransport;
  }
  if (!reason.empty()) {
    fail(LLV_UNSUPPORTED, "%s does not load: %s", file.c_str(), reason.c_str());
  }
  fail(LLV_UNSUPPORTED,
       "ranks over %s need %s, which is not in %s: install %s and build the engine again, or name "
       "its folder with LLAVASHARP_MODULES",
       name.c_str(), file.c_str(), own_folder().c_str(), package);
}

std::unique_ptr<Communicator> make_module_communicator(const CommunicatorOptions& options,
                                                       const std::string& name,
                                                       const char* package) {
  const OpenTransport open = find_module(name, package);
  const TransportOptions own{.rank = options.rank,
                             .world = options.world,
                             .timeout_ms = options.timeout.count(),
                             .address = options.address.c_str()};
  std::array<char, 512> error{};
  std::unique_ptr<Transport> transport(open(&own, error.data(), error.size()));
  if (!transport) {
    fail(LLV_COMM, "ranks over %s: %s", name.c_str(), error.data());
  }
  return make_peer_communicator(options, std::move(transport));
}

}  // namespace

std::unique_ptr<Communicator> make_communicator(const CommunicatorOptions& options) {
  switch (options.kind) {
    case LLV_COMMUNICATOR_LOCAL:
      return make_local_communicator(options);
    case LLV_COMMUNICATOR_MPI:
      return make_module_communicator(options, "mpi", "libopenmpi-dev");
    case LLV_COMMUNICATOR_GLOO:
      return make_module_communicator(options, "gloo", "libgloo-dev");
    case LLV_COMMUNICATOR_NCCL:
    case LLV_COMMUNICATOR_HCCL:
      return make_device_communicator(options);
    default:
      fail(LLV_INVALID, "kind is %d: must be %d to %d", options.kind, LLV_COMMUNICATOR_LOCAL,
           LLV_COMMUNICATOR_HCCL);
  }
}

}  // namespace llavasharp::train
