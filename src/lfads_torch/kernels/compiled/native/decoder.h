// The generation recurrence. A task is one member and one tile of trials, all bins. The equations
// and names are those of kernels/decoder/README.md.
#pragma once
#include "cell.h"
#include "interface.h"

namespace lfads {
namespace {

// Places in a signal [P, T, B, n], and the rows of one that may not be there.
struct Place {
  int64_t p, t, b;
};

INLINE int64_t row_of(const LfadsDecoder &call, Place at) {
  return (at.p * call.bins + at.t) * call.trials + at.b;
}

template <class Number>
INLINE Number *rows_at(const LfadsDecoder &call, Number *signal, int64_t n, Place at) {
  return signal == nullptr ? nullptr : signal + row_of(call, at) * n;
}

// A member's gates of one cell: [3, T, B, H].
INLINE Gates gates_at(const LfadsDecoder &call, float *all, int64_t H, Place at) {
  if (all == nullptr) return {nullptr, 0};
  int64_t plane = call.bins * call.trials * H;
  return {all + at.p * kGates * plane + (at.t * call.trials + at.b) * H, plane};
}

INLINE int64_t unclipped_row(const LfadsDecoder &call, Place at) {
  return (at.p * call.clipped + at.t) * call.trials + at.b;
}

INLINE Clip clip_at(const LfadsDecoder &call, float *unclipped, int64_t H, Place at) {
  bool acts = at.t < call.clipped;
  bool notes = acts && unclipped != nullptr;
  return {call.clip, notes ? unclipped + unclipped_row(call, at) * H : nullptr, acts};
}

template <class Operand>
struct DecoderForward {
  const LfadsDecoder &call;
  Tiles tiles;
  float *packed = nullptr;
  int64_t E, C, U, X, G, F;
  int64_t at_factors, at_control, at_output, at_inferred, at_external, at_generator, at_read;
  int64_t packed_each;

  explicit DecoderForward(const LfadsDecoder &given)
      : call(given), tiles(given.trials, given.members, given.threads), E(given.encoded),
        C(given.controller), U(given.inferred), X(given.external), G(given.generator),
        F(given.factors) {
    at_factors = gates_size<Operand>(E, C);
    at_control = at_factors + (C > 0 ? gates_size<Operand>(F, C) : 0);
    at_output = at_control + gates_size<Operand>(C, C);
    at_inferred = at_output + 2 * Operand::packed_size(C, U);
    at_external = at_inferred + gates_size<Operand>(U, G);
    at_generator = at_external + gates_size<Operand>(X, G);
    at_read = at_generator + gates_size<Operand>(G, G);
    packed_each = at_read + Operand::packed_size(G, F);
  }

  bool pack(int64_t p) const {
    float *out = packed + p * packed_each;
    if (C > 0) {
      const float *input = call.controller_input + p * (E + F) * 3 * C;
      pack_gates<Operand>(input, E, C, out);
      pack_gates<Operand>(input + E * 3 * C, F, C, out + at_factors);
      pack_gates<Operand>(call.controller_recurrent + p * C * 3 * C, C, C, out + at_control);
      const float *output = call.output_weight + p * C * 2 * U;
      Operand::pack(output, 2 * U, 1, C, U, out + at_output);
      Operand::pack(output + U, 2 * U, 1, C, U, out + at_output + Operand::packed_size(C, U));
    }
    const float *input = call.generator_input + p * (U + X) * 3 * G;
    pack_gates<Operand>(input, U, G, out + at_inferred);
    pack_gates<Operand>(input + U * 3 * G, X, G, out + at_external);
    pack_gates<Operand>(call.generator_recurrent + p * G * 3 * G, G, G, out + at_generator);
    Operand::pack(call.to_factors + p * F * G, 1, G, G, F, out + at_read);
    return true;
  }

  // One tile's working memory.
  struct Tile {
    int64_t n;
    float *factors, *seen, *dropped, *reset_state, *control_start, *control_gates, *generator_gates;
  };

  int64_t memory_each(int64_t n) const {
    return n * (2 * F + G + (G > C ? G : C) + C + kGates * (C + G));
  }

  Tile tile_memory(int64_t n, float *memory) const {
    Tile tile = {n, memory, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr};
    tile.seen = tile.factors + n * F;
    tile.dropped = tile.seen + n * F;
    tile.reset_state = tile.dropped + n * G;
    tile.control_start = tile.reset_state + n * (G > C ? G : C);
    tile.control_gates = tile.control_start + n * C;
    tile.generator_gates = tile.control_gates + n * kGates * C;
    return tile;
  }

  void read_factors(const Tile &tile, int64_t p, const float *state, const float *mask,
                    float *factors) const {
    const float *given = state;
    if (mask != nullptr) {
      masked(tile.dropped, state, mask, tile.n * G);
      given = tile.dropped;
    }
    const Product read[] = {{packed + p * packed_each + at_read, {nullptr, 0}, factors}};
    Operand::multiply(tile.n, F, G, given, G, read, F);
  }

  void step_controller(const Tile &tile, Place at, const float *before, const float *factors,
                       float *after) const {
    const float *weights = packed + at.p * packed_each;
    Gates gates = {tile.control_gates, tile.n * C};
    add_input(tile.n, rows_at(call, call.encoder_states, E, at), E,
              gate_weights<Operand>(weights, E, C), call.controller_bias + at.p * 3 * C, gates);
    const float *mask = rows_at(call, call.factor_mask, F, at);
    if (mask != nullptr) masked(tile.seen, factors, mask, tile.n * F);
    add_input(tile.n, mask == nullptr ? factors : tile.seen, F,
              gate_weights<Operand>(weights + at_factors, F, C), nullptr, gates);
    step_cell(tile.n, gate_weights<Operand>(weights + at_control, C, C), gates,
              gates_at(call, call.controller_gates, C, at), before, after,
              tile.reset_state, clip_at(call, call.controller_unclipped, C, at));
  }

  void infer(const Tile &tile, Place at, const float *control_state, float *inputs) const {
    const float *weights = packed + at.p * packed_each + at_output;
    const float *bias = call.output_bias + at.p * 2 * U;
    float *mean = rows_at(call, call.means, U, at);
    float *log_variance = rows_at(call, call.log_variances, U, at);
    const Product products[] = {
        {weights, {bias, 0}, mean},
        {weights + Operand::packed_size(C, U), {bias + U, 0}, log_variance}};
    Operand::multiply(tile.n, U, C, control_state, C, products, U);
    const float *noise = rows_at(call, call.noise, U, at);
    if (noise == nullptr) {
      std::memcpy(inputs, mean, tile.n * U * sizeof(float));
      return;
    }
    sweep(tile.n * U, [&](int64_t i, auto part) {
      Vector deviation = exponential(same(0.5f) * load(log_variance + i, part));
      store(inputs + i, load(mean + i, part) + deviation * load(noise + i, part), part);
    });
  }

  void step_generator(const Tile &tile, Place at, const float *inputs, const float *before,
                      float *after) const {
    const float *weights = packed + at.p * packed_each;
    Gates gates = {tile.generator_gates, tile.n * G};
    const float *bias = call.generator_bias + at.p * 3 * G;
    // Without inferred inputs (U = 0) this only begins with the bias.
    add_input(tile.n, inputs, U, gate_weights<Operand>(weights + at_inferred, U, G), bias,
              gates);
    if (X > 0) {
      add_input(tile.n, rows_at(call, call.external_inputs, X, at), X,
                gate_weights<Operand>(weights + at_external, X, G), nullptr, gates);
    }
    step_cell(tile.n, gate_weights<Operand>(weights + at_generator, G, G), gates,
              gates_at(call, call.generator_gates, G, at), before, after,
              tile.reset_state, clip_at(call, call.generator_unclipped, G, at));
  }

  bool walk(int64_t task) const {
    int64_t p = task / tiles.n, b = task % tiles.n * tiles.size, B = call.trials;
    int64_t n = B - b < tiles.size ? B - b : tiles.size;
    [[maybe_unused]] typename Operand::Ready ready;
    float *memory = thread_memory(memory_each(n));
    if (memory == nullptr) return false;
    Tile tile = tile_memory(n, memory);
    const float *state = call.generator_state + (p * B + b) * G;
    const float *mask = call.first_mask;
    read_factors(tile, p, state, mask == nullptr ? nullptr : mask + (p * B + b) * G,
                 tile.factors);
    if (call.first_factors != nullptr) {
      std::memcpy(call.first_factors + (p * B + b) * F, tile.factors, n * F * sizeof(float));
    }
    for (int64_t i = 0; i < n && C > 0; ++i) {
      std::memcpy(tile.control_start + i * C, call.controller_state + p * C, C * sizeof(float));
    }
    const float *control_state = tile.control_start, *factors = tile.factors;
    for (int64_t t = 0; t < call.bins; ++t) {
      Place at = {p, t, b};
      float *inputs = rows_at(call, call.inputs, U, at);
      if (C > 0) {
        float *after = rows_at(call, call.controller_states, C, at);
        step_controller(tile, at, control_state, factors, after);
        control_state = after;
        infer(tile, at, control_state, inputs);
      }
      float *after = rows_at(call, call.generator_states, G, at);
      step_generator(tile, at, inputs, state, after);
      state = after;
      float *made = rows_at(call, call.made_factors, F, at);
      read_factors(tile, p, state, rows_at(call, call.generator_mask, G, at), made);
      factors = made;
    }
    return true;
  }
};

template <class Operand>
bool run(const LfadsDecoder &call) {
  using Pass = DecoderForward<Operand>;
  Pass pass(call);
  CallMemory memory(call.members * pass.packed_each);
  if (memory.floats() == nullptr) return false;
  pass.packed = memory.floats();
  return run_all<&Pass::pack>(call.members, call.threads, pass) &&
         run_all<&Pass::walk>(call.members * pass.tiles.n, call.threads, pass);
}

}  // namespace
}  // namespace lfads
