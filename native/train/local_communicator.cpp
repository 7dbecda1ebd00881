// Ranks that are threads of one process: each shows the others where its parts lie, and copies its
// own out of theirs.
#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "core/error.h"
#include "train/communicator.h"

namespace llavasharp::train {
namespace {

using core::fail;
using Clock = std::chrono::steady_clock;

// What a rank shows while a transfer lasts.
struct Post {
  bool joined = false;
  bool left = false;
  int64_t shown = 0;   // Transfers this rank has come to.
  int64_t copied = 0;  // Transfers this rank needs nothing more of.
  Header label;
  std::span<const Outgoing> send;
};

struct Group {
  explicit Group(int32_t world) : posts(static_cast<size_t>(world)) {}
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Post> posts;
  int32_t copying = 0;  // Ranks that read others' parts just now.
  std::string failure;  // The first rank's to fail.
};

std::shared_ptr<Group> join(const CommunicatorOptions& options) {
  static std::mutex mutex;
  static std::map<std::string, std::weak_ptr<Group>> groups;
  const std::scoped_lock lock(mutex);
  std::shared_ptr<Group> group = groups[options.address].lock();
  if (!group) {
    group = std::make_shared<Group>(options.world);
    groups[options.address] = group;
  }
  const std::scoped_lock inside(group->mutex);
  if (group->posts.size() != static_cast<size_t>(options.world)) {
    fail(LLV_STATE, "the group '%s' is of %zu ranks, not %d", options.address.c_str(),
         group->posts.size(), options.world);
  }
  Post& post = group->posts[static_cast<size_t>(options.rank)];
  if (post.joined) {
    fail(LLV_STATE, "rank %d of the group '%s' is taken", options.rank, options.address.c_str());
  }
  post.joined = true;
  return group;
}

class LocalCommunicator final : public Communicator {
 public:
  explicit LocalCommunicator(const CommunicatorOptions& options)
      : Communicator(options.rank, options.world, options.timeout), group_(join(options)) {}

  ~LocalCommunicator() override {
    const std::scoped_lock lock(group_->mutex);
    own().left = true;
    group_->changed.notify_all();
  }
  LocalCommunicator(const LocalCommunicator&) = delete;
  LocalCommunicator& operator=(const LocalCommunicator&) = delete;
  LocalCommunicator(LocalCommunicator&&) = delete;
  LocalCommunicator& operator=(LocalCommunicator&&) = delete;

  void stop(int32_t /*code*/, const std::string& reason) noexcept override { abandon(reason); }
  void abandon(const std::string& reason) noexcept override {
    const std::scoped_lock lock(group_->mutex);
    set_failure("rank " + std::to_string(rank()) + " gave up: " + reason);
  }

 protected:
  void move(const Header& label, std::span<const Outgoing> send,
            std::span<const Incoming> receive) override {
    std::unique_lock lock(group_->mutex);
    own().label = label;
    own().send = send;
    own().shown = label.sequence;
    group_->changed.notify_all();
    try {
      const Clock::time_point end = deadline();
      wait_for(lock, label, end, &Post::shown);
      check(label, receive);
      ++group_->copying;
      lock.unlock();  // The posts stay as they are until all have copied.
      copy(receive);
      lock.lock();
      --group_->copying;
      own().copied = label.sequence;
      group_->changed.notify_all();
      wait_for(lock, label, end, &Post::copied);
    } catch (const core::Error& error) {
      set_failure(error.what());
      group_->changed.wait(lock, [&] { return group_->copying == 0; });  // From this rank, maybe.
      throw;
    }
  }

 private:
  [[nodiscard]] Post& own() { return group_->posts[static_cast<size_t>(rank())]; }

  void set_failure(const std::string& failure) {
    if (group_->failure.empty()) {
      group_->failure = failure;
    }
    group_->changed.notify_all();
  }

  // Until every rank has come as far as this transfer.
  void wait_for(std::unique_lock<std::mutex>& lock, const Header& label, Clock::time_point end,
                int64_t Post::* progress) {
    const auto behind = [&](const Post& post) { return post.*progress < label.sequence; };
    for (bool late = false;; late = Clock::now() >= end) {
      const bool all_here = std::ranges::none_of(group_->posts, behind);
      if (all_here && progress == &Post::copied) {
        return;  // Also when a rank has failed since: this was done before.
      }
      if (!group_->failure.empty()) {
        fail(LLV_COMM, "%s", group_->failure.c_str());
      }
      if (all_here) {
        return;
      }
      for (size_t peer = 0; peer < group_->posts.size(); ++peer) {
        if (behind(group_->posts[peer]) && group_->posts[peer].left) {
          fail(LLV_COMM, "rank %zu has left: %s", peer, label.text().c_str());
        }
      }
      if (late) {
        std::vector<int32_t> missing;
        for (size_t peer = 0; peer < group_->posts.size(); ++peer) {
          if (behind(group_->posts[peer])) {
            missing.push_back(static_cast<int32_t>(peer));
          }
        }
        fail_missing(label, missing);
      }
      group_->changed.wait_until(lock, end);
    }
  }

  void check(const Header& label, std::span<const Incoming> receive) const {
    for (int32_t peer = 0; peer < world(); ++peer) {
      const Post& post = group_->posts[static_cast<size_t>(peer)];
      if (peer != rank()) {
        Header theirs = post.label;
        theirs.bytes = static_cast<int64_t>(post.send[static_cast<size_t>(rank())].size());
        check_peer(label, peer, theirs,
                   static_cast<int64_t>(receive[static_cast<size_t>(peer)].size()));
      }
    }
  }

  void copy(std::span<const Incoming> receive) const {
    for (size_t peer = 0; peer < receive.size(); ++peer) {
      const Outgoing from = group_->posts[peer].send[static_cast<size_t>(rank())];
      if (static_cast<int32_t>(peer) != rank() && !from.empty()) {
        std::memcpy(receive[peer].data(), from.data(), from.size());
      }
    }
  }

  std::shared_ptr<Group> group_;
};

}  // namespace

std::unique_ptr<Communicator> make_local_communicator(const CommunicatorOptions& options) {
  if (options.world < 1 || options.rank < 0 || options.rank >= options.world) {
    fail(LLV_INVALID, "rank %d of %d: the rank must be 0 to world - 1", options.rank,
         options.world);
  }
  return std::make_unique<LocalCommunicator>(options);
}

}  // namespace llavasharp::train
