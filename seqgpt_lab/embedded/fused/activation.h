// GELU by way of tanh and its derivative, of float32 or bfloat16, computed in float32.
//
// gelu(x) = x (1 + tanh u) / 2 = x s with s = 1 / (1 + exp(-2 u)) and u = sqrt(2 / pi) (x + 0.044715 x^3) (Hendrycks & Gimpel 2016), so its
// derivative is s + 2 x s (1 - s) u'. torch takes tanh by another way, three times as long.
#pragma once

#include "vectors.h"

#include <ATen/ops/empty_like.h>

#include <algorithm>

namespace {

constexpr float kRoot = 0.7978845608028654f, kCubic = 0.044715f; // sqrt(2 / pi)
constexpr float kLargest = 80; // its exp is finite, and the inverse of that nothing
constexpr int64_t kAtOnce = 1024;

Vec sigmoid_of_twice(Vec u) { return Vec(1.f) / (Vec(1.f) + at::vec::minimum(Vec(-2.f) * u, Vec(kLargest)).exp_u20()); }

Vec gelu_of(Vec x) { return x * sigmoid_of_twice(Vec(kRoot) * x * (Vec(1.f) + Vec(kCubic) * x * x)); }

Vec gelu_slope(Vec x) {
  const Vec square = x * x, s = sigmoid_of_twice(Vec(kRoot) * x * (Vec(1.f) + Vec(kCubic) * square));
  return s + x * s * (Vec(1.f) - s) * Vec(2 * kRoot) * (Vec(1.f) + Vec(3 * kCubic) * square);
}

// output[i] = function(input[i], above[i]), some at a time so that they stay in the cache. Without `above` it is not read.
template <typename T, typename Function>
void map(const at::Tensor& input, const at::Tensor* above, at::Tensor& output, Function function) {
  const int64_t count = input.numel();
  at::parallel_for(0, (count + kAtOnce - 1) / kAtOnce, 8, [&](int64_t begin, int64_t end) {
    float x[kAtOnce] = {}, y[kAtOnce] = {};
    for (int64_t first = begin * kAtOnce; first < std::min(count, end * kAtOnce); first += kAtOnce) {
      const int64_t here = std::min(kAtOnce, count - first);
      at::vec::convert(input.data_ptr<T>() + first, x, here);
      if (above) at::vec::convert(above->data_ptr<T>() + first, y, here);
      for (int64_t i = 0; i < here; i += kLanes) function(Vec::loadu(x + i), Vec::loadu(y + i)).store(y + i);
      at::vec::convert(y, output.data_ptr<T>() + first, here);
    }
  });
}

void check(const at::Tensor& input) {
  TORCH_CHECK(input.is_contiguous(), "neighbouring numbers are needed, not strides ", input.strides());
  TORCH_CHECK(input.scalar_type() == at::kFloat || input.scalar_type() == at::kBFloat16, "float32 or bfloat16 is needed, not ", input.scalar_type());
}

at::Tensor gelu(const at::Tensor& input) {
  check(input);
  auto output = at::empty_like(input);
  const auto function = [](Vec x, Vec) { return gelu_of(x); };
  if (input.scalar_type() == at::kFloat) map<float>(input, nullptr, output, function);
  else map<at::BFloat16>(input, nullptr, output, function);
  return output;
}

at::Tensor gelu_back(const at::Tensor& input, const at::Tensor& above) {
  check(input);
  check(above);
  TORCH_CHECK(input.sizes() == above.sizes() && input.scalar_type() == above.scalar_type(), "the gradient differs: ", input.sizes(), ", ", above.sizes());
  auto output = at::empty_like(input);
  const auto function = [](Vec x, Vec gradient) { return gradient * gelu_slope(x); };
  if (input.scalar_type() == at::kFloat) map<float>(input, &above, output, function);
  else map<at::BFloat16>(input, &above, output, function);
  return output;
}

} // namespace
