// What can be asked of libtorch itself.
//
// How it is found: this library is linked with --disable-new-dtags, so its RPATH ($ORIGIN, beside
// which the host's build puts libtorch) precedes LD_LIBRARY_PATH. A host that loads another
// libtorch_cpu.so by full path first (LLAVASHARP_LIBTORCH) wins, because the loader then takes that
// one for the same SONAME.
#include "core/libtorch.h"

#include <string>

namespace llavasharp::core {

const char* libtorch_version() {
  static const std::string text = [] {
    const uint64_t version = aoti_torch_abi_version();
    const auto part = [version](unsigned shift) {
      return std::to_string((version >> shift) & 0xFFU);
    };
    return part(56) + "." + part(48) + "." + part(40);
  }();
  return text.c_str();
}

}  // namespace llavasharp::core
