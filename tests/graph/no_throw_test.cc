#include "base/no_throw.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

namespace sluice {
namespace {

template <typename F>
absl::Status Guarded(F f) try {
  f();
  return absl::OkStatus();
} catch (...) {
  return ExceptionStatus();
}

TEST(NoThrow, WhatTheContainersThrowIsResourceExhausted) {
  EXPECT_TRUE(Guarded([] {}).ok());
  const auto code = [](auto f) { return Guarded(f).code(); };
  EXPECT_EQ(code([] { throw std::bad_alloc(); }), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(code([] { std::vector<int64_t>().resize(~size_t{0} / 4); }),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(code([] { throw std::system_error(EAGAIN, std::generic_category()); }),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(code([] { throw std::runtime_error("a mistake"); }), absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace sluice
