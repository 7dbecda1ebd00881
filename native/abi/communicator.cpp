// llv_communicator_*.
#include "train/communicator.h"

#include <array>
#include <string>

#include "abi/checks.h"
#include "abi/guard.h"
#include "abi/objects.h"
#include "include/llavasharp.h"

namespace abi = llavasharp::abi;
namespace core = llavasharp::core;
namespace train = llavasharp::train;

namespace {

std::span<const std::byte> bytes_of(const uint8_t* bytes, int64_t count) {
  return std::as_bytes(abi::span_of(bytes, count, "bytes"));
}

}  // namespace

llv_status llv_communicator_options_init(llv_communicator_options* out_options) {
  return abi::guard([&] {
    abi::require(out_options, "out_options");
    const train::CommunicatorOptions defaults;
    *out_options = {.size = sizeof(llv_communicator_options),
                    .kind = defaults.kind,
                    .rank = defaults.rank,
                    .world = defaults.world,
                    .timeout_ms = static_cast<int32_t>(defaults.timeout.count()),
                    .address = "",
                    .journal = ""};
  });
}

llv_status llv_communicator_create(const llv_communicator_options* options,
                                   llv_communicator** out_communicator) {
  return abi::guard([&] {
    abi::require_options(options, "options");
    abi::require(options->address, "options.address");
    abi::require(options->journal, "options.journal");
    abi::require(out_communicator, "out_communicator");
    auto object = std::make_shared<abi::CommunicatorObject>();
    object->kind = options->kind;
    object->communicator =
        train::make_communicator({.kind = options->kind,
                                  .rank = options->rank,
                                  .world = options->world,
                                  .timeout = std::chrono::milliseconds(options->timeout_ms),
                                  .address = options->address});
    if (*options->journal != '\0') {
      object->communicator->keep_journal(options->journal);
    }
    object->communicator->host_all_gather({.step = 0, .op = "meeting", .unit = ""}, {}, {});
    *out_communicator = new llv_communicator{.object = std::move(object)};
  });
}

void llv_communicator_release(llv_communicator* communicator) {
  delete communicator;
}

llv_status llv_communicator_info_get(llv_communicator* communicator,
                                     llv_communicator_info* out_info) {
  return abi::guard([&] {
    abi::require(communicator, "communicator");
    abi::require(out_info, "out_info");
    const train::Communicator& own = *communicator->object->communicator;
    *out_info = {.kind = communicator->object->kind,
                 .rank = own.rank(),
                 .world = own.world(),
                 .timeout_ms = static_cast<int32_t>(own.timeout().count())};
  });
}

llv_status llv_communicator_gather(llv_communicator* communicator, const char* purpose,
                                   const uint8_t* bytes, int64_t bytes_count, uint8_t* out_all,
                                   int64_t all_count) {
  return abi::guard([&] {
    abi::require(communicator, "communicator");
    abi::require(purpose, "purpose");
    abi::CommunicatorObject& object = *communicator->object;
    const std::unique_lock lock(object.mutex, std::try_to_lock);
    if (!lock.owns_lock()) {
      core::fail(LLV_BUSY, "another thread uses this communicator: use one thread at a time");
    }
    object.communicator->host_all_gather(
        {.step = object.communicator->step(), .op = "gather", .unit = purpose},
        bytes_of(bytes, bytes_count),
        std::as_writable_bytes(abi::span_of(out_all, all_count, "all")));
  });
}

llv_status llv_communicator_stop(llv_communicator* communicator, int32_t code, const char* reason) {
  return abi::guard([&] {
    abi::require(communicator, "communicator");
    abi::require(reason, "reason");
    communicator->object->communicator->stop(code, reason);
  });
}
