// The backward pass of the generation recurrence: the walk from the last bin to the first, then
// the gradients of all weights and of the signals that were known in advance.
#pragma once
#include "decoder.h"

namespace lfads {
namespace {

template <class Operand>
struct DecoderBackward {
  const LfadsDecoder &call;
  Tiles tiles;
  int64_t first = 0;  // of the members at work
  int64_t E, C, U, X, G, F;
  // Packed weights of a member.
  int64_t at_encoder, at_factors, at_output, at_inferred, at_external, at_generator, at_read;
  int64_t packed_each;
  // Gradients of a member, kept between the phases.
  int64_t at_of_control, at_of_mean, at_of_log_variance, at_of_factors, at_of_start;
  int64_t kept_each, row_blocks, cuts;
  float *packed = nullptr, *kept = nullptr;

  static constexpr int64_t kRows = 256;  // of one task of a signal's gradient

  explicit DecoderBackward(const LfadsDecoder &given)
      : call(given), tiles(given.trials, given.members, given.threads), E(given.encoded),
        C(given.controller), U(given.inferred), X(given.external), G(given.generator),
        F(given.factors) {
    at_encoder = gates_transposed_size<Operand>(C, C);
    at_factors = at_encoder + gates_transposed_size<Operand>(E, C);
    at_output = at_factors + (C > 0 ? gates_transposed_size<Operand>(F, C) : 0);
    at_inferred = at_output + 2 * Operand::packed_size(U, C);
    at_external = at_inferred + gates_transposed_size<Operand>(U, G);
    at_generator = at_external + gates_transposed_size<Operand>(X, G);
    at_read = at_generator + gates_transposed_size<Operand>(G, G);
    packed_each = at_read + Operand::packed_size(F, G);
    int64_t rows = call.bins * call.trials;
    at_of_control = kGates * rows * G;
    at_of_mean = at_of_control + kGates * rows * C;
    at_of_log_variance = at_of_mean + rows * U;
    at_of_factors = at_of_log_variance + rows * U;  // the first factors, then those of every bin
    at_of_start = at_of_factors + (rows + call.trials) * F;
    kept_each = round_up(at_of_start + call.trials * C, 16);  // packed weights follow: whole lines
    row_blocks = (rows + kRows - 1) / kRows;
    cuts = gate_tasks(2 * call.members, call.threads);
  }

  bool pack(int64_t i) const {
    int64_t p = first + i;
    float *out = packed + i * packed_each;
    if (C > 0) {
      const float *input = call.controller_input + p * (E + F) * 3 * C;
      pack_gates_transposed<Operand>(call.controller_recurrent + p * C * 3 * C, C, C, out);
      pack_gates_transposed<Operand>(input, E, C, out + at_encoder);
      pack_gates_transposed<Operand>(input + E * 3 * C, F, C, out + at_factors);
      const float *output = call.output_weight + p * C * 2 * U;
      Operand::pack(output, 1, 2 * U, U, C, out + at_output);
      Operand::pack(output + U, 1, 2 * U, U, C, out + at_output + Operand::packed_size(U, C));
    }
    const float *input = call.generator_input + p * (U + X) * 3 * G;
    pack_gates_transposed<Operand>(input, U, G, out + at_inferred);
    pack_gates_transposed<Operand>(input + U * 3 * G, X, G, out + at_external);
    pack_gates_transposed<Operand>(call.generator_recurrent + p * G * 3 * G, G, G,
                                   out + at_generator);
    Operand::pack(call.to_factors + p * F * G, G, 1, F, G, out + at_read);
    return true;
  }

  // One tile's working memory: what the walk carries from bin to bin, and room for products.
  struct Tile {
    int64_t n;
    float *of_state, *of_control, *of_seen, *of_inputs, *of_dropped, *room, *control_start;
  };

  int64_t memory_each(int64_t n) const {
    return n * (2 * G + 2 * C + F + U + (G > C ? G : C));
  }

  Tile tile_memory(int64_t n, float *memory) const {
    Tile tile = {n, memory, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr};
    tile.of_control = tile.of_state + n * G;
    tile.of_seen = tile.of_control + n * C;
    tile.of_inputs = tile.of_seen + n * F;
    tile.of_dropped = tile.of_inputs + n * U;
    tile.room = tile.of_dropped + n * G;
    tile.control_start = tile.room + n * (G > C ? G : C);
    return tile;
  }

  Gates of_generator(int64_t i, int64_t row) const {
    int64_t plane = call.bins * call.trials * G;
    return {kept + i * kept_each + row * G, plane};
  }

  Gates of_controller(int64_t i, int64_t row) const {
    int64_t plane = call.bins * call.trials * C;
    return {kept + i * kept_each + at_of_control + row * C, plane};
  }

  // From the gradient of factors to that of the state that they were read from.
  void through_factors(const Tile &tile, int64_t i, const float *of_factors,
                       const float *mask) const {
    const float *weights = packed + i * packed_each + at_read;
    const Product through[] = {{weights, {nullptr, 0}, tile.of_dropped}};
    Operand::multiply(tile.n, G, F, of_factors, F, through, G);
    if (mask == nullptr) {
      // In the order of the masked sum: a mask of ones gives the same bits.
      add(tile.of_state, tile.of_dropped, tile.n * G);
      return;
    }
    sweep(tile.n * G, [&](int64_t k, auto part) {
      Vector through = load(tile.of_dropped + k, part) * load(mask + k, part);
      store(tile.of_state + k, load(tile.of_state + k, part) + through, part);
    });
  }

  void through_generator(const Tile &tile, int64_t i, Place at) const {
    int64_t row = at.t * call.trials + at.b;
    const float *before = at.t == 0 ? call.generator_state + (at.p * call.trials + at.b) * G
                                    : rows_at(call, call.generator_states, G,
                                              {at.p, at.t - 1, at.b});
    const float *unclipped = at.t < call.clipped
        ? call.generator_unclipped + unclipped_row(call, at) * G
        : nullptr;
    const float *arriving = rows_at(call, call.of_generator_states, G, at);
    if (arriving != nullptr) add(tile.of_state, arriving, tile.n * G);
    const float *weights = packed + i * packed_each;
    step_cell_back(tile.n, transposed_weights<Operand>(weights + at_generator, G, G),
                   gates_at(call, call.generator_gates, G, at), of_generator(i, row), before,
                   unclipped, tile.of_state, tile.room);
    if (U > 0) {
      input_gradient(tile.n, transposed_weights<Operand>(weights + at_inferred, U, G),
                     of_generator(i, row), {nullptr, 0}, tile.of_inputs, U);
    }
  }

  void through_inference(const Tile &tile, int64_t i, Place at) const {
    int64_t n = tile.n * U, row = at.t * call.trials + at.b;
    float *of_mean = kept + i * kept_each + at_of_mean + row * U;
    float *of_log_variance = kept + i * kept_each + at_of_log_variance + row * U;
    const float *noise = rows_at(call, call.noise, U, at);
    const float *log_variance = rows_at(call, call.log_variances, U, at);
    const float *of_inputs = rows_at(call, call.of_inputs, U, at);
    const float *of_means = rows_at(call, call.of_means, U, at);
    const float *of_log_variances = rows_at(call, call.of_log_variances, U, at);
    if (of_inputs != nullptr) add(tile.of_inputs, of_inputs, n);
    sweep(n, [&](int64_t k, auto part) {
      Vector arriving = load(tile.of_inputs + k, part);
      Vector mean = of_means == nullptr ? arriving : arriving + load(of_means + k, part);
      Vector spread = of_log_variances == nullptr ? Vector{} : load(of_log_variances + k, part);
      if (noise != nullptr) {
        Vector deviation = exponential(same(0.5f) * load(log_variance + k, part));
        spread = spread + same(0.5f) * arriving * deviation * load(noise + k, part);
      }
      store(of_mean + k, mean, part);
      store(of_log_variance + k, spread, part);
    });
    const float *weights = packed + i * packed_each + at_output;
    Begin begin = {tile.of_control, C};
    const Product through_mean[] = {{weights, begin, tile.of_control}};
    Operand::multiply(tile.n, C, U, of_mean, U, through_mean, C);
    weights += Operand::packed_size(U, C);
    const Product through_log_variance[] = {{weights, begin, tile.of_control}};
    Operand::multiply(tile.n, C, U, of_log_variance, U, through_log_variance, C);
  }

  void through_controller(const Tile &tile, int64_t i, Place at) const {
    int64_t row = at.t * call.trials + at.b;
    const float *before = at.t == 0
        ? tile.control_start
        : rows_at(call, call.controller_states, C, {at.p, at.t - 1, at.b});
    const float *unclipped = at.t < call.clipped
        ? call.controller_unclipped + unclipped_row(call, at) * C
        : nullptr;
    const float *arriving = rows_at(call, call.of_controller_states, C, at);
    if (arriving != nullptr) add(tile.of_control, arriving, tile.n * C);
    const float *weights = packed + i * packed_each;
    step_cell_back(tile.n, transposed_weights<Operand>(weights, C, C),
                   gates_at(call, call.controller_gates, C, at), of_controller(i, row), before,
                   unclipped, tile.of_control, tile.room);
    input_gradient(tile.n, transposed_weights<Operand>(weights + at_factors, F, C),
                   of_controller(i, row), {nullptr, 0}, tile.of_seen, F);
    const float *mask = rows_at(call, call.factor_mask, F, at);
    if (mask != nullptr) masked(tile.of_seen, tile.of_seen, mask, tile.n * F);
  }

  // The gradient of the factors of bin t (-1: the first ones): what arrives and what the
  // controller of the next bin passes back.
  float *gather_factors(const Tile &tile, int64_t i, Place at) const {
    float *to = kept + i * kept_each + at_of_factors + ((at.t + 1) * call.trials + at.b) * F;
    const float *arriving = at.t < 0 ? nullptr : rows_at(call, call.of_factors, F, at);
    std::memcpy(to, tile.of_seen, tile.n * F * sizeof(float));
    if (arriving != nullptr) add(to, arriving, tile.n * F);
    return to;
  }

  bool walk(int64_t task) const {
    int64_t i = task / tiles.n, p = first + i, b = task % tiles.n * tiles.size;
    int64_t B = call.trials, n = B - b < tiles.size ? B - b : tiles.size;
    [[maybe_unused]] typename Operand::Ready ready;
    float *memory = thread_memory(memory_each(n));
    if (memory == nullptr) return false;
    Tile tile = tile_memory(n, memory);
    fill(tile.of_state, n * G, 0.0f);
    fill(tile.of_control, n * C, 0.0f);
    fill(tile.of_seen, n * F, 0.0f);
    for (int64_t r = 0; r < n && C > 0; ++r) {
      std::memcpy(tile.control_start + r * C, call.controller_state + p * C, C * sizeof(float));
    }
    for (int64_t t = call.bins - 1; t >= 0; --t) {
      Place at = {p, t, b};
      through_factors(tile, i, gather_factors(tile, i, at),
                      rows_at(call, call.generator_mask, G, at));
      through_generator(tile, i, at);
      if (C == 0) continue;
      through_inference(tile, i, at);
      through_controller(tile, i, at);
    }
    const float *mask = call.first_mask;
    through_factors(tile, i, gather_factors(tile, i, {p, -1, b}),
                    mask == nullptr ? nullptr : mask + (p * B + b) * G);
    std::memcpy(call.of_generator_state + (p * B + b) * G, tile.of_state, n * G * sizeof(float));
    if (C > 0) {
      std::memcpy(kept + i * kept_each + at_of_start + b * C, tile.of_control,
                  n * C * sizeof(float));
    }
    return true;
  }

  bool sum_weights(int64_t task) const {
    int64_t i = task / n_sums(), sum = task % n_sums();
    int64_t longest = largest(largest(E, F), largest(largest(G, X), largest(C, U)));
    [[maybe_unused]] typename Operand::Ready ready;
    float *memory = thread_memory(weight_memory<Operand>(longest, longest, kGates));
    if (memory == nullptr) return false;
    int64_t gate = sum % cuts, last_gate = cuts == 1 ? +kGates : gate + 1;
    if (sum < cuts) {
      sum_generator(i, gate, last_gate, memory);
    } else if (sum < 2 * cuts) {
      if (C > 0) sum_controller(i, gate, last_gate, memory);
    } else {
      sum_factors(i, memory);
      if (C > 0) sum_output(i, memory);
      if (C > 0) sum_start(i);
    }
    return true;
  }

  // The tasks of one member: the gates of both cells, and one for all that is small.
  int64_t n_sums() const { return 2 * cuts + 1; }

  static int64_t largest(int64_t a, int64_t b) { return a > b ? a : b; }

  void sum_generator(int64_t i, int64_t first_gate, int64_t last_gate, float *memory) const {
    int64_t B = call.trials, p = first + i;
    const float *reset = gates_at(call, call.generator_gates, G, {p, 0, 0}).gate(kReset);
    const float *start = call.generator_state + p * B * G;
    const float *states = rows_at(call, call.generator_states, G, {p, 0, 0});
    float *of_recurrent = call.of_generator_recurrent + p * G * kGates * G;
    Summand summands[4] = {
        {{start, G, nullptr, 0}, {states, G, nullptr, 0}, G, of_recurrent, kUpdate, kCandidate},
        {{start, G, reset, G}, {states, G, reset + B * G, G}, G, of_recurrent, kCandidate, kGates}};
    int64_t n = 2;
    if (U > 0) {
      const float *inputs = rows_at(call, call.inputs, U, {p, 0, 0});
      summands[n++] = {{inputs, U, nullptr, 0}, {inputs + B * U, U, nullptr, 0}, U,
                       call.of_generator_input + p * (U + X) * kGates * G};
    }
    if (X > 0) {
      const float *external = rows_at(call, call.external_inputs, X, {p, 0, 0});
      summands[n++] = {{external, X, nullptr, 0}, {external + B * X, X, nullptr, 0}, X,
                       call.of_generator_input + (p * (U + X) + U) * kGates * G};
    }
    Gates of_all = of_generator(i, 0);
    CellSum cell = {of_all.first, of_all.first + B * G, of_all.stride, B, call.bins, G,
                    call.of_generator_bias + p * kGates * G};
    add_cell_weights<Operand>(cell, summands, n, first_gate, last_gate, memory);
  }

  void sum_controller(int64_t i, int64_t first_gate, int64_t last_gate, float *memory) const {
    int64_t B = call.trials, p = first + i;
    const float *reset = gates_at(call, call.controller_gates, C, {p, 0, 0}).gate(kReset);
    const float *start = call.controller_state + p * C;
    const float *states = rows_at(call, call.controller_states, C, {p, 0, 0});
    const float *encoded = rows_at(call, call.encoder_states, E, {p, 0, 0});
    const float *made = rows_at(call, call.made_factors, F, {p, 0, 0});
    const float *mask = rows_at(call, call.factor_mask, F, {p, 0, 0});
    const float *later_mask = mask == nullptr ? nullptr : mask + B * F;
    float *of_recurrent = call.of_controller_recurrent + p * C * kGates * C;
    float *of_input = call.of_controller_input + p * (E + F) * kGates * C;
    Summand summands[4] = {
        {{start, 0, nullptr, 0}, {states, C, nullptr, 0}, C, of_recurrent, kUpdate, kCandidate},
        {{start, 0, reset, C}, {states, C, reset + B * C, C}, C, of_recurrent, kCandidate, kGates},
        {{call.first_factors + p * B * F, F, mask, F}, {made, F, later_mask, F}, F,
         of_input + E * kGates * C},
        {{encoded, E, nullptr, 0}, {encoded + B * E, E, nullptr, 0}, E, of_input}};
    Gates of_all = of_controller(i, 0);
    CellSum cell = {of_all.first, of_all.first + B * C, of_all.stride, B, call.bins, C,
                    call.of_controller_bias + p * kGates * C};
    add_cell_weights<Operand>(cell, summands, 4, first_gate, last_gate, memory);
  }

  // The means' and the log-variances' halves of the output weight.
  void sum_output(int64_t i, float *memory) const {
    int64_t p = first + i;
    float *out = call.of_output_weight + p * C * 2 * U, *of_bias = call.of_output_bias + p * 2 * U;
    fill(out, C * 2 * U, 0.0f);
    fill(of_bias, 2 * U, 0.0f);
    WeightSum sum = {{rows_at(call, call.controller_states, C, {p, 0, 0}), C, nullptr, 0}, C, out,
                     2 * U, 0, 2};
    int64_t apart = at_of_log_variance - at_of_mean;
    add_weights<Operand>(call.bins * call.trials,
                {kept + i * kept_each + at_of_mean, apart, nullptr, 0, 2}, U, &sum, 1, of_bias,
                memory);
  }

  void sum_start(int64_t i) const {
    float *out = call.of_controller_state + (first + i) * C;
    const float *rows = kept + i * kept_each + at_of_start;
    fill(out, C, 0.0f);
    for (int64_t b = 0; b < call.trials; ++b) add(out, rows + b * C, C);
  }

  void sum_factors(int64_t i, float *memory) const {
    int64_t B = call.trials, p = first + i;
    float *out = call.of_to_factors + p * F * G;
    const float *of_factors = kept + i * kept_each + at_of_factors;
    const float *first_mask = call.first_mask == nullptr ? nullptr : call.first_mask + p * B * G;
    fill(out, F * G, 0.0f);
    WeightSum sum = {{of_factors, F, nullptr, 0}, F, out, G, 0, 1};
    add_weights<Operand>(B, {call.generator_state + p * B * G, 0, first_mask, 0, 1}, G, &sum, 1,
                         nullptr, memory);
    sum.left = sum.left.from(B);
    add_weights<Operand>(call.bins * B,
                {rows_at(call, call.generator_states, G, {p, 0, 0}), 0,
                 rows_at(call, call.generator_mask, G, {p, 0, 0}), 0, 1},
                G, &sum, 1, nullptr, memory);
  }

  bool through_signals(int64_t task) const {
    int64_t i = task / row_blocks, row = task % row_blocks * kRows;
    int64_t n_rows = call.bins * call.trials, n = n_rows - row < kRows ? n_rows - row : kRows;
    int64_t at = (first + i) * n_rows + row;
    [[maybe_unused]] typename Operand::Ready ready;
    const float *weights = packed + i * packed_each;
    if (call.of_encoder_states != nullptr) {
      input_gradient(n, transposed_weights<Operand>(weights + at_encoder, E, C),
                     of_controller(i, row), {nullptr, 0}, call.of_encoder_states + at * E, E);
    }
    if (call.of_external_inputs != nullptr) {
      input_gradient(n, transposed_weights<Operand>(weights + at_external, X, G),
                     of_generator(i, row), {nullptr, 0}, call.of_external_inputs + at * X, X);
    }
    return true;
  }
};

template <class Operand>
bool run_back(const LfadsDecoder &call) {
  using Pass = DecoderBackward<Operand>;
  Pass pass(call);
  int64_t threads = call.threads, each = pass.kept_each + pass.packed_each;
  int64_t group = members_at_once(each, pass.tiles.n, threads);
  if (group > call.members) group = call.members;
  CallMemory memory(group * each);
  if (memory.floats() == nullptr) return false;
  pass.kept = memory.floats();
  pass.packed = pass.kept + group * pass.kept_each;
  bool has_signals = call.of_encoder_states != nullptr || call.of_external_inputs != nullptr;
  for (pass.first = 0; pass.first < call.members; pass.first += group) {
    int64_t n = call.members - pass.first < group ? call.members - pass.first : group;
    bool done =
        run_all<&Pass::pack>(n, threads, pass) &&
        run_all<&Pass::walk>(n * pass.tiles.n, threads, pass) &&
        run_all<&Pass::sum_weights>(n * pass.n_sums(), threads, pass) &&
        (!has_signals || run_all<&Pass::through_signals>(n * pass.row_blocks, threads, pass));
    if (!done) return false;
  }
  return true;
}

}  // namespace
}  // namespace lfads
