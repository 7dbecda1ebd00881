// A borrowed callable: what a loop's body is passed as. Unlike std::function it never allocates, so
// a steady training step does not either.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace llavasharp::core {

template <typename Signature>
class Call;

// The callable must outlive it: an argument of the call that runs it does.
template <typename Result, typename... Arguments>
class Call<Result(Arguments...)> {
 public:
  template <typename Body>
    requires(!std::is_same_v<std::remove_cvref_t<Body>, Call>)
  // NOLINTNEXTLINE(google-explicit-constructor): a lambda is passed as it is.
  Call(const Body& body)
      : body_(std::addressof(body)), run_([](const void* target, Arguments... arguments) -> Result {
          return (*static_cast<const Body*>(target))(std::forward<Arguments>(arguments)...);
        }) {}
  Result operator()(Arguments... arguments) const {
    return run_(body_, std::forward<Arguments>(arguments)...);
  }

 private:
  const void* body_;
  Result (*run_)(const void*, Arguments...);
};

}  // namespace llavasharp::core
