// Vectors of float32 as wide as the processor's.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/cpu/vec/vec.h>

#include <algorithm>
#include <limits>

namespace {

using Vec = at::vec::Vectorized<float>;
constexpr int64_t kLanes = Vec::size();
constexpr float kNever = -std::numeric_limits<float>::infinity();

int64_t whole_vectors(int64_t count) { return (count + kLanes - 1) / kLanes * kLanes; }

float sum_of(Vec values) {
  float each[kLanes], sum = 0;
  values.store(each);
  for (float value : each) sum += value;
  return sum;
}

float largest_of(Vec values) {
  float each[kLanes];
  values.store(each);
  return *std::max_element(each, each + kLanes);
}

} // namespace
