// What leaves the C ABI when something inside fails: a status and a message, whatever was thrown.
#include "abi/guard.h"

#include <gtest/gtest.h>

#include <new>
#include <stdexcept>
#include <string>

#include "core/error.h"

namespace llavasharp::abi {
namespace {

template <typename Body>
void expect(llv_status expected, const std::string& text, Body&& body) {
  EXPECT_EQ(guard(body), expected);
  EXPECT_EQ(std::string(message()), text);
}

TEST(Guard, EveryStatusCrossesWithItsMessage) {
  for (const llv_status status :
       {LLV_INVALID, LLV_SHAPE, LLV_STATE, LLV_BUSY, LLV_UNSUPPORTED, LLV_OUT_OF_MEMORY, LLV_DEVICE,
        LLV_NUMERIC, LLV_CANCELLED, LLV_INTERNAL}) {
    expect(status, "status " + std::to_string(status),
           [&] { core::fail(status, "status %d", status); });
  }
}

TEST(Guard, OtherExceptionsAreFaultsOfTheEngine) {
  expect(LLV_INTERNAL, "vector::at", [] { throw std::out_of_range("vector::at"); });
  expect(LLV_INTERNAL, "an unknown exception", [] { throw 7; });
  expect(LLV_OUT_OF_MEMORY, "the host is out of memory", [] { throw std::bad_alloc(); });
}

// A message is cut at 1,023 bytes, never inside a character: hosts decode it as UTF-8.
TEST(Guard, LongMessagesEndWithAWholeCharacter) {
  for (const std::string character : {"é", "猫", "🐈"}) {
    for (size_t before = 0; before < 4; ++before) {
      std::string text(before, 'x');
      while (text.size() <= 1100) {
        text += character;
      }
      const size_t whole = (1023 - before) / character.size() * character.size() + before;
      expect(LLV_INVALID, text.substr(0, whole),
             [&] { core::fail(LLV_INVALID, "%s", text.c_str()); });
    }
  }
  expect(LLV_INVALID, std::string(1023, 'x'),
         [] { core::fail(LLV_INVALID, "%s", std::string(2000, 'x').c_str()); });
}

TEST(Guard, ASuccessLeavesNoMessage) {
  expect(LLV_DEVICE, "lost", [] { core::fail(LLV_DEVICE, "lost"); });
  expect(LLV_OK, "", [] {});
}

}  // namespace
}  // namespace llavasharp::abi
