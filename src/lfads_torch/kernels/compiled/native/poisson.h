// From factors through a linear read-out to the Poisson likelihood with a log link, its value and
// all its gradients, without an array of rates. Counts are read by index from resident data.
#pragma once
#include "cell.h"
#include "interface.h"

namespace lfads {
namespace {

struct PoissonLoss {
  const LfadsPoisson &call;
  int64_t first = 0;  // of the members at work
  int64_t T, B, F, N, packed_each, residual_each;
  int64_t cuts = 1, cut_size;  // of a member's weight gradient, by factors; no number depends on it
  float *packed = nullptr, *residuals = nullptr;
  double *sums = nullptr;  // of a member and bin: nats, present entries

  static constexpr int64_t kTile = 64;  // trials at once

  explicit PoissonLoss(const LfadsPoisson &given)
      : call(given), T(given.bins), B(given.trials), F(given.factors), N(given.units),
        packed_each(Single::packed_size(given.factors, given.units) +
                    Single::packed_size(given.units, given.factors)),
        residual_each(given.of_factors == nullptr ? 0 : given.bins * given.trials * given.units) {
    if (residual_each > 0 && call.members < call.threads) cuts = call.threads;
    cut_size = round_up((F + cuts - 1) / cuts, ROWS);
    cuts = F > 0 ? (F + cut_size - 1) / cut_size : 1;
  }

  bool pack(int64_t i) const {
    const float *weight = call.weight + (first + i) * F * N;
    float *out = packed + i * packed_each;
    Single::pack(weight, N, 1, F, N, out);
    Single::pack(weight, 1, N, N, F, out + Single::packed_size(F, N));
    return true;
  }

  bool bin(int64_t task) const {
    int64_t i = task / T, t = task % T, p = first + i;
    float *room = thread_memory(kTile * N);
    if (room == nullptr) return false;
    const float *weights = packed + i * packed_each;
    double *sum = sums + 2 * task;
    sum[0] = sum[1] = 0.0;
    for (int64_t b = 0; b < B; b += kTile) {
      int64_t n = B - b < kTile ? B - b : kTile;
      const float *factors = call.made_factors + p * call.member_stride + t * call.bin_stride + b * F;
      float *theta = residual_each == 0 ? room : residuals + i * residual_each + (t * B + b) * N;
      multiply(n, N, F, {factors, F, 1}, weights, {call.bias + p * N, 0}, theta, N);
      for (int64_t k = 0; k < n; ++k) add_trial(p, t, b + k, theta + k * N, sum);
      if (residual_each == 0) continue;
      multiply(n, F, N, {theta, N, 1}, weights + Single::packed_size(F, N), {nullptr, 0},
               call.of_factors + ((p * T + t) * B + b) * F, F);
    }
    return true;
  }

  // Add one trial and bin; the logarithms of the rates become the gradients with respect to them.
  void add_trial(int64_t p, int64_t t, int64_t b, float *theta, double *sum) const {
    int64_t place = (call.index[p * B + b] * call.recording_bins + call.first_bin + t) * N;
    const float *counts = call.counts + place;
    const uint8_t *present = call.is_present == nullptr ? nullptr : call.is_present + place;
    const uint8_t *counted = call.is_counted == nullptr ? nullptr : call.is_counted + t * N;
    const uint8_t *gradient = call.has_gradient == nullptr
        ? nullptr
        : call.has_gradient + p * T * B * N + (t * call.gradient_bin + b * call.gradient_trial) * N;
    Vector nats = {}, entries = {};
    double constant = 0.0;
    sweep(N, [&](int64_t n, auto part) {
      Vector x = load(theta + n, part), y = load(counts + n, part), rate = exponential(x);
      rate = x > same(88.0f) ? same(__builtin_inff()) : rate;
      Vector used = first_lanes(part);
      if (present != nullptr) used = used * load_bytes(present + n, part);
      if (counted != nullptr) used = used * load_bytes(counted + n, part);
      Vector nll = rate - y * x;
      nats = nats + (used != Vector{} ? nll : Vector{});
      entries = entries + used;
      if (call.adds_constant) constant += log_factorials(used != Vector{} ? y : Vector{});
      if (gradient != nullptr) used = used * load_bytes(gradient + n, part);
      store(theta + n, used != Vector{} ? rate - y : Vector{}, part);
    });
    double total = 0.0, n_entries = 0.0;
    for (int v = 0; v < LANES; ++v) total += nats[v], n_entries += entries[v];
    sum[0] += total + constant, sum[1] += n_entries;
  }

  // Zeros, of which there are most, have none.
  static double log_factorials(Vector counts) {
    double sum = 0.0;
    for (uint32_t bits = nonzero(counts); bits != 0; bits &= bits - 1) {
      sum += __builtin_lgamma(counts[__builtin_ctz(bits)] + 1.0);
    }
    return sum;
  }

  bool sum_member(int64_t task) const {
    int64_t i = task / cuts, cut = task % cuts, p = first + i;
    if (cut == 0) sum_bins(i);
    if (residual_each == 0) return true;
    int64_t f = cut * cut_size, n_factors = F - f < cut_size ? F - f : cut_size;
    float *memory = thread_memory(weight_memory<Single>(cut_size, N, 1));
    if (memory == nullptr) return false;
    float *out = call.of_weight + (p * F + f) * N;
    float *of_bias = cut == 0 ? call.of_bias + p * N : nullptr;
    fill(out, n_factors * N, 0.0f);
    if (of_bias != nullptr) fill(of_bias, N, 0.0f);
    // The bins of one session of several are not side by side.
    bool is_whole = call.bin_stride == B * F;
    int64_t n_parts = is_whole ? 1 : T, n_rows = is_whole ? T * B : B;
    for (int64_t t = 0; t < n_parts; ++t) {
      const float *factors = call.made_factors + p * call.member_stride + t * call.bin_stride + f;
      WeightSum sum = {{factors, F, nullptr, 0}, n_factors, out, N, 0, 1};
      add_weights<Single>(n_rows, {residuals + i * residual_each + t * B * N, 0, nullptr, 0, 1}, N,
                          &sum, 1, of_bias, memory);
    }
    return true;
  }

  void sum_bins(int64_t i) const {
    double total = 0.0, n_entries = 0.0;
    const double *sum = sums + 2 * i * T;
    for (int64_t t = 0; t < T; ++t) total += sum[2 * t], n_entries += sum[2 * t + 1];
    call.total[first + i] = total, call.n_present[first + i] = n_entries;
  }
};

bool run(const LfadsPoisson &call) {
  PoissonLoss pass(call);
  int64_t T = pass.T, each = pass.residual_each + pass.packed_each + 4 * T;
  int64_t group = members_at_once(each, T, call.threads);
  if (group > call.members) group = call.members;
  CallMemory memory(group * each);
  if (memory.floats() == nullptr) return false;
  pass.sums = reinterpret_cast<double *>(memory.floats());
  pass.packed = memory.floats() + group * 4 * T;
  pass.residuals = pass.packed + group * pass.packed_each;
  for (pass.first = 0; pass.first < call.members; pass.first += group) {
    int64_t n = call.members - pass.first < group ? call.members - pass.first : group;
    bool done = run_all<&PoissonLoss::pack>(n, call.threads, pass) &&
                run_all<&PoissonLoss::bin>(n * T, call.threads, pass) &&
                run_all<&PoissonLoss::sum_member>(n * pass.cuts, call.threads, pass);
    if (!done) return false;
  }
  return true;
}

}  // namespace
}  // namespace lfads
