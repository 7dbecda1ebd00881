// Ranks that are processes, over a transport that carries messages between two of them.
#pragma once

#include <memory>

#include "train/communicator.h"
#include "train/transport.h"

namespace llavasharp::train {

[[nodiscard]] std::unique_ptr<Communicator> make_peer_communicator(
    const CommunicatorOptions& options, std::unique_ptr<Transport> transport);

}  // namespace llavasharp::train
