// The gated cell on one tile of trials: a step forward, a step backward, its weights' gradients.
// The equations and names are those of kernels/gru/README.md. A gate's values of one tile and bin
// stand side by side (trials times hidden units), so the passes between products run over one line.
#pragma once
#include "threads.h"
#include "weights.h"

namespace lfads {
namespace {

enum Gate { kUpdate, kReset, kCandidate, kGates };

INLINE void fill(float *to, int64_t n, float value) {
  sweep(n, [&](int64_t i, auto part) { store(to + i, same(value), part); });
}

INLINE void add(float *to, const float *from, int64_t n) {
  sweep(n, [&](int64_t i, auto part) {
    store(to + i, load(to + i, part) + load(from + i, part), part);
  });
}

// A null mask keeps all.
INLINE void masked(float *to, const float *from, const float *mask, int64_t n) {
  if (mask == nullptr) {
    std::memcpy(to, from, n * sizeof(float));
    return;
  }
  sweep(n, [&](int64_t i, auto part) {
    store(to + i, load(from + i, part) * load(mask + i, part), part);
  });
}

// The three gates of a weight [K, 3H], packed one after the other.
template <class Operand>
struct GateWeights {
  const float *packed;
  int64_t K, H, each;

  INLINE const float *gate(int64_t g) const { return packed + g * each; }
};

template <class Operand>
INLINE GateWeights<Operand> gate_weights(const float *packed, int64_t K, int64_t H) {
  return {packed, K, H, Operand::packed_size(K, H)};
}

// The same weight packed transposed, each gate [H, K].
template <class Operand>
INLINE GateWeights<Operand> transposed_weights(const float *packed, int64_t K, int64_t H) {
  return {packed, K, H, Operand::packed_size(H, K)};
}

// For products with [K, 3H] from the right: gates of H columns.
template <class Operand>
float *pack_gates(const float *weight, int64_t K, int64_t H, float *out) {
  for (int64_t g = 0; g < kGates; ++g, out += Operand::packed_size(K, H)) {
    Operand::pack(weight + g * H, 3 * H, 1, K, H, out);
  }
  return out;
}

// For products with the transpose: gates of H rows and K columns.
template <class Operand>
float *pack_gates_transposed(const float *weight, int64_t K, int64_t H, float *out) {
  for (int64_t g = 0; g < kGates; ++g, out += Operand::packed_size(H, K)) {
    Operand::pack(weight + g * H, 1, 3 * H, H, K, out);
  }
  return out;
}

template <class Operand>
INLINE int64_t gates_size(int64_t K, int64_t H) {
  return kGates * Operand::packed_size(K, H);
}
template <class Operand>
INLINE int64_t gates_transposed_size(int64_t K, int64_t H) {
  return kGates * Operand::packed_size(H, K);
}

// One tile's gates of one bin: gate g begins at `first + g * stride`.
struct Gates {
  float *first;  // null: none
  int64_t stride;

  INLINE float *gate(int64_t g) const { return first == nullptr ? nullptr : first + g * stride; }
};

// Add what an input contributes to `bias` [3H], or, without one, to what the gates hold. Rows of
// `input` are `stride` apart.
template <class Operand>
INLINE void add_input(int64_t n_trials, const float *input, int64_t stride,
                      GateWeights<Operand> weights, const float *bias, Gates gates) {
  Product products[kGates];
  for (int64_t g = 0; g < kGates; ++g) {
    float *to = gates.gate(g);
    Begin begin = {to, weights.H};
    if (bias != nullptr) begin = {bias + g * weights.H, 0};
    products[g] = {weights.gate(g), begin, to};
  }
  Operand::multiply(n_trials, weights.H, weights.K, input, stride, products, weights.H);
}

// The same from the entries of an input, with the weights [K, 3H] as they are.
INLINE void add_sparse_input(int64_t n_trials, Entries input, const float *weights, int64_t H,
                             const float *bias, Gates gates) {
  for (int64_t g = 0; g < kGates; ++g) {
    multiply_entries(n_trials, H, input, weights + g * H, kGates * H, bias + g * H, gates.gate(g),
                     H);
  }
}

struct Clip {
  float bound;
  float *unclipped;  // where to note that a gradient passes, or null
  bool acts;
};

// From the gates before their nonlinearity and the state before to the state after. `gates` and
// `reset_state` are working memory, which a tile's products find in the cache; what they come to is
// kept on the tape (null: nowhere), which is far larger than a cache, in one pass.
template <class Operand>
INLINE void step_cell(int64_t n_trials, GateWeights<Operand> recurrent, Gates gates, Gates tape,
                      const float *before, float *after, float *reset_state, Clip clip) {
  int64_t H = recurrent.H, n = n_trials * H;
  float *z = gates.gate(kUpdate), *r = gates.gate(kReset), *c = gates.gate(kCandidate);
  bool keeps = tape.first != nullptr;
  float *kept_z = tape.gate(kUpdate), *kept_r = tape.gate(kReset), *kept_c = tape.gate(kCandidate);
  const Product of_before[] = {{recurrent.gate(kUpdate), {z, H}, z},
                               {recurrent.gate(kReset), {r, H}, r}};
  Operand::multiply(n_trials, H, H, before, H, of_before, H);
  sweep(n, [&](int64_t i, auto part) {
    Vector reset = sigmoid(load(r + i, part));
    Vector update = sigmoid(load(z + i, part));
    if (keeps) store(kept_r + i, reset, part);
    store(z + i, update, part);
    store(reset_state + i, reset * load(before + i, part), part);
  });
  const Product of_reset[] = {{recurrent.gate(kCandidate), {c, H}, c}};
  Operand::multiply(n_trials, H, H, reset_state, H, of_reset, H);
  sweep(n, [&](int64_t i, auto part) {
    Vector candidate = hyperbolic_tangent(load(c + i, part)), update = load(z + i, part);
    Vector state = update * load(before + i, part) + (same(1.0f) - update) * candidate;
    if (keeps) {
      store(kept_z + i, update, part);
      store(kept_c + i, candidate, part);
    }
    if (clip.acts) {
      const Vector top = same(clip.bound), bottom = same(-clip.bound);
      if (clip.unclipped != nullptr) {
        Vector passes = state <= top ? same(1.0f) : Vector{};
        passes = state >= bottom ? passes : Vector{};
        store(clip.unclipped + i, passes, part);
      }
      state = state > top ? top : state;
      state = state < bottom ? bottom : state;
    }
    store(after + i, state, part);
  });
}

// From the gradient `of_state` of the state after to that of the state before, in place; the
// gradients before the nonlinearities go to `of_gates`. `recurrent` is packed transposed,
// `unclipped` null where the clip cannot act, `memory` holds n_trials * H numbers.
template <class Operand>
INLINE void step_cell_back(int64_t n_trials, GateWeights<Operand> recurrent, Gates gates,
                           Gates of_gates, const float *before, const float *unclipped,
                           float *of_state, float *memory) {
  int64_t H = recurrent.H, n = n_trials * H;
  const float *z = gates.gate(kUpdate), *r = gates.gate(kReset), *c = gates.gate(kCandidate);
  float *of_z = of_gates.gate(kUpdate), *of_r = of_gates.gate(kReset);
  float *of_c = of_gates.gate(kCandidate);
  sweep(n, [&](int64_t i, auto part) {
    Vector arriving = load(of_state + i, part);
    if (unclipped != nullptr) arriving = arriving * load(unclipped + i, part);
    Vector update = load(z + i, part), candidate = load(c + i, part);
    Vector kept = arriving * update, new_part = arriving - kept;
    store(of_c + i, new_part * (same(1.0f) - candidate * candidate), part);
    store(of_z + i, new_part * update * (load(before + i, part) - candidate), part);
    store(of_state + i, kept, part);
  });
  const Product through_c[] = {{recurrent.gate(kCandidate), {nullptr, 0}, memory}};
  Operand::multiply(n_trials, H, H, of_c, H, through_c, H);
  sweep(n, [&](int64_t i, auto part) {
    Vector through = load(memory + i, part) * load(r + i, part);
    store(of_r + i, through * load(before + i, part) * (same(1.0f) - load(r + i, part)), part);
    store(of_state + i, load(of_state + i, part) + through, part);
  });
  const Product through_z[] = {{recurrent.gate(kUpdate), {of_state, H}, of_state}};
  const Product through_r[] = {{recurrent.gate(kReset), {of_state, H}, of_state}};
  Operand::multiply(n_trials, H, H, of_z, H, through_z, H);
  Operand::multiply(n_trials, H, H, of_r, H, through_r, H);
}

// The gradient of an input from that of the gates, from `begin`: [n_rows, K]. `weights` packed
// transposed.
template <class Operand>
INLINE void input_gradient(int64_t n_rows, GateWeights<Operand> weights, Gates of_gates,
                           Begin begin, float *out, int64_t out_stride) {
  for (int64_t g = 0; g < kGates; ++g) {
    const Product through[] = {{weights.gate(g), begin, out}};
    Operand::multiply(n_rows, weights.K, weights.H, of_gates.gate(g), weights.H, through,
                      out_stride);
    begin = {out, out_stride};
  }
}

// The left operand of one weight's gradient: its rows at the bin that follows the initial state,
// and at all other bins; the gates from `first` to before `last` read it. `out` is [K, 3H].
struct Summand {
  Rows edge, rest;
  int64_t K;
  float *out;
  int64_t first = 0, last = kGates;
  bool is_sparse = false;  // the rows may be mostly zero
};

// The gradients of all that feeds a cell's gates. `of_edge`, `of_rest` are the gradients of gate 0
// at the same bins, `apart` leads to the next gate.
struct CellSum {
  const float *of_edge, *of_rest;
  int64_t apart, n_trials, n_bins, H;
  float *of_bias;
};

// The gates from `first` to before `last`; no number depends on how they are cut into tasks.
template <class Operand>
INLINE void add_cell_weights(const CellSum &cell, const Summand *summands, int64_t n,
                             int64_t first, int64_t last, float *memory) {
  int64_t H = cell.H, n_rest = (cell.n_bins - 1) * cell.n_trials;
  WeightSum edge[4], rest[4];
  for (int64_t s = 0; s < n; ++s) {
    const Summand &part = summands[s];
    for (int64_t g = first > part.first ? first : part.first; g < last && g < part.last; ++g) {
      for (int64_t k = 0; k < part.K; ++k) fill(part.out + (k * kGates + g) * H, H, 0.0f);
    }
    edge[s] = {part.edge, part.K, part.out, kGates * H, part.first, part.last,
               part.is_sparse};
    rest[s] = {part.rest, part.K, part.out, kGates * H, part.first, part.last,
               part.is_sparse};
  }
  fill(cell.of_bias + first * H, (last - first) * H, 0.0f);
  add_weights<Operand>(cell.n_trials, {cell.of_edge, cell.apart, nullptr, first, last}, H, edge,
                       n, cell.of_bias, memory);
  if (n_rest > 0) {
    add_weights<Operand>(n_rest, {cell.of_rest, cell.apart, nullptr, first, last}, H, rest, n,
                         cell.of_bias, memory);
  }
}

// Tasks that a cell's gates are cut into: one, unless threads would have nothing to do.
INLINE int64_t gate_tasks(int64_t n_cells, int64_t threads) {
  return n_cells < threads ? kGates : 1;
}

// Run the tasks of one phase of a pass; false if one of them found no memory.
template <auto Phase, class Pass>
bool run_all(int64_t n, int64_t threads, const Pass &pass) {
  struct Context {
    const Pass &pass;
    mutable int failed;
  } context = {pass, 0};
  run_tasks(
      n, threads,
      [](const void *given, int64_t i) {
        const Context &context = *static_cast<const Context *>(given);
        if (!(context.pass.*Phase)(i)) __atomic_store_n(&context.failed, 1, __ATOMIC_RELAXED);
      },
      &context);
  return __atomic_load_n(&context.failed, __ATOMIC_RELAXED) == 0;
}

// How the trials are cut into tasks. No number depends on it.
struct Tiles {
  int64_t n, size;

  Tiles(int64_t n_trials, int64_t n_others, int64_t threads) {
    int64_t largest = 32;
    while (largest > 8 && n_others * ((n_trials + largest - 1) / largest) < threads) largest /= 2;
    n = (n_trials + largest - 1) / largest;
    size = round_up((n_trials + n - 1) / n, ROWS);
    n = (n_trials + size - 1) / size;
  }
};

// Members whose gradients are worked out together: enough for all threads, else as few as fit.
INLINE int64_t members_at_once(int64_t floats_per_member, int64_t tasks_per_member,
                               int64_t threads) {
  constexpr int64_t kFloats = int64_t{1} << 24;
  int64_t fitting = kFloats / (floats_per_member + 1);
  int64_t busy = (2 * threads + tasks_per_member - 1) / tasks_per_member;
  int64_t n = fitting > busy ? fitting : busy;
  return n < 1 ? 1 : n;
}

}  // namespace
}  // namespace lfads
