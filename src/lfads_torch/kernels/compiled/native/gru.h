// The encoder recurrence. A task is one member, one direction and one tile of trials, all bins, so
// that its state stays in the cache.
#pragma once
#include "cell.h"
#include "interface.h"

namespace lfads {
namespace {

template <class Operand>
struct GruForward {
  const LfadsGru &call;
  Tiles tiles;
  float *packed;
  int64_t packed_each;

  explicit GruForward(const LfadsGru &given)
      : call(given),
        tiles(given.trials, given.members * given.directions, given.threads),
        packed(nullptr),
        packed_each(gates_size<Operand>(given.inputs, given.size) +
                    gates_size<Operand>(given.size, given.size)) {}

  bool pack(int64_t pd) const {
    int64_t I = call.inputs, H = call.size;
    float *out = packed + pd * packed_each;
    out = pack_gates<Operand>(call.input + pd * I * 3 * H, I, H, out);
    pack_gates<Operand>(call.recurrent + pd * H * 3 * H, H, H, out);
    return true;
  }

  // The gates of a tile and bin on the tape, if there is one.
  Gates tape(int64_t pd, int64_t t, int64_t b) const {
    if (call.gates == nullptr) return {nullptr, 0};
    int64_t H = call.size, plane = call.bins * call.trials * H;
    return {call.gates + pd * kGates * plane + (t * call.trials + b) * H, plane};
  }

  Clip clip(int64_t pd, int64_t step, int64_t b) const {
    int64_t H = call.size;
    bool acts = step < call.clipped;
    float *note = call.unclipped == nullptr || !acts
        ? nullptr
        : call.unclipped + ((pd * call.clipped + step) * call.trials + b) * H;
    return {call.clip, note, acts};
  }

  // As `add_input`; false, and nothing done, where the input is not mostly zero.
  bool add_zeros_left_out(int64_t n, const float *x, int64_t pd, const float *bias, Gates now,
                          float *room) const {
    if constexpr (Operand::kSkipsZeros) {
      int64_t I = call.inputs, H = call.size;
      Entries entries = entries_in(room, n);
      if (!note_entries(x, I, n, I, entries)) return false;
      add_sparse_input(n, entries, call.input + pd * I * 3 * H, H, bias, now);
      return true;
    }
    return false;
  }

  bool walk(int64_t task) const {
    int64_t I = call.inputs, H = call.size, T = call.bins, B = call.trials;
    int64_t pd = task / tiles.n, p = pd / call.directions, d = pd % call.directions;
    int64_t b = task % tiles.n * tiles.size, n = B - b < tiles.size ? B - b : tiles.size;
    [[maybe_unused]] typename Operand::Ready ready;
    int64_t room = Operand::kSkipsZeros ? entries_memory(n, I) : 0;
    float *memory = thread_memory(n * H * (2 + kGates) + room);
    if (memory == nullptr) return false;
    float *reset_state = memory, *start = memory + n * H;
    Gates now = {start + n * H, n * H};
    for (int64_t i = 0; i < n; ++i) {
      int64_t row = call.starts == 1 ? pd : pd * B + b + i;
      std::memcpy(start + i * H, call.start + row * H, H * sizeof(float));
    }
    const float *weights = packed + pd * packed_each;
    auto input = gate_weights<Operand>(weights, I, H);
    auto recurrent = gate_weights<Operand>(weights + gates_size<Operand>(I, H), H, H);
    const float *before = start, *bias = call.bias + pd * 3 * H;
    for (int64_t step = 0; step < T; ++step) {
      int64_t t = call.reversed >> d & 1 ? T - 1 - step : step;
      const float *x = call.x + ((p * T + t) * B + b) * I;
      if (!add_zeros_left_out(n, x, pd, bias, now, now.gate(kGates))) {
        add_input(n, x, I, input, bias, now);
      }
      float *after = call.states + ((pd * T + t) * B + b) * H;
      step_cell(n, recurrent, now, tape(pd, t, b), before, after, reset_state,
                clip(pd, step, b));
      before = after;
    }
    return true;
  }
};

template <class Operand>
struct GruBackward {
  const LfadsGru &call;
  Tiles tiles;
  int64_t first = 0;  // of the members at work
  float *packed, *of_gates, *of_starts;
  int64_t input_each, packed_each, gates_each, memory_each;
  int64_t row_blocks, cuts;

  GruBackward(const LfadsGru &given)
      : call(given),
        tiles(given.trials, given.members * given.directions, given.threads),
        input_each(given.of_x == nullptr
                       ? 0
                       : gates_transposed_size<Operand>(given.inputs, given.size)),
        packed_each(input_each + gates_transposed_size<Operand>(given.size, given.size)),
        gates_each(kGates * given.bins * given.trials * given.size) {
    memory_each = given.directions * (packed_each + gates_each + given.trials * given.size);
    row_blocks = (given.bins * given.trials + kRows - 1) / kRows;
    cuts = gate_tasks(given.members * given.directions, given.threads);
  }

  static constexpr int64_t kRows = 256;  // of one task of the input's gradient

  bool pack(int64_t i) const {
    int64_t I = call.inputs, H = call.size, pd = first * call.directions + i;
    float *out = packed + i * packed_each;
    if (call.of_x != nullptr) {
      pack_gates_transposed<Operand>(call.input + pd * I * 3 * H, I, H, out);
    }
    pack_gates_transposed<Operand>(call.recurrent + pd * H * 3 * H, H, H, out + input_each);
    return true;
  }

  Gates gates_of(float *all, int64_t index, int64_t row) const {
    return {all + index * gates_each + row * call.size, gates_each / kGates};
  }

  bool walk(int64_t task) const {
    int64_t H = call.size, T = call.bins, B = call.trials;
    int64_t i = task / tiles.n, pd = first * call.directions + i, d = pd % call.directions;
    int64_t b = task % tiles.n * tiles.size, n = B - b < tiles.size ? B - b : tiles.size;
    [[maybe_unused]] typename Operand::Ready ready;
    float *memory = thread_memory(n * H * 2);
    if (memory == nullptr) return false;
    float *start = memory + n * H, *of_state = of_starts + (i * B + b) * H;
    for (int64_t r = 0; r < n; ++r) {
      int64_t row = call.starts == 1 ? pd : pd * B + b + r;
      std::memcpy(start + r * H, call.start + row * H, H * sizeof(float));
    }
    auto recurrent = transposed_weights<Operand>(packed + i * packed_each + input_each, H, H);
    bool is_reversed = call.reversed >> d & 1;
    fill(of_state, n * H, 0.0f);
    if (call.of_ends != nullptr) add(of_state, call.of_ends + (pd * B + b) * H, n * H);
    for (int64_t step = T - 1; step >= 0; --step) {
      int64_t t = is_reversed ? T - 1 - step : step, row = t * B + b;
      int64_t row_before = (is_reversed ? t + 1 : t - 1) * B + b;
      const float *before = step == 0 ? start : call.states + (pd * T * B + row_before) * H;
      const float *unclipped = step < call.clipped
          ? call.unclipped + ((pd * call.clipped + step) * B + b) * H
          : nullptr;
      if (call.of_states != nullptr) {
        add(of_state, call.of_states + (pd * T * B + row) * H, n * H);
      }
      step_cell_back(n, recurrent, gates_of(call.gates, pd, row),
                     gates_of(of_gates, i, row), before, unclipped, of_state, memory);
    }
    return true;
  }

  bool sum_weights(int64_t task) const {
    int64_t I = call.inputs, H = call.size, T = call.bins, B = call.trials;
    int64_t i = task / cuts, first_gate = task % cuts, pd = first * call.directions + i;
    int64_t p = pd / call.directions, d = pd % call.directions;
    [[maybe_unused]] typename Operand::Ready ready;
    float *memory = thread_memory(weight_memory<Operand>(I > H ? I : H, H, kGates));
    if (memory == nullptr) return false;
    bool is_reversed = call.reversed >> d & 1;
    int64_t edge = is_reversed ? (T - 1) * B : 0, rest = is_reversed ? 0 : B;
    const float *x = call.x + p * T * B * I;
    const float *states = call.states + (pd * T + (is_reversed ? 1 : 0)) * B * H;
    const float *start = call.start + pd * call.starts * H;
    int64_t start_stride = call.starts == 1 ? 0 : H;
    const float *reset = gates_of(call.gates, pd, 0).gate(kReset);
    Gates of_all = gates_of(of_gates, i, 0);
    float *of_recurrent = call.of_recurrent + pd * H * kGates * H;
    Summand summands[3] = {
        {{start, start_stride, nullptr, 0}, {states, H, nullptr, 0}, H, of_recurrent, kUpdate,
         kCandidate},
        {{start, start_stride, reset + edge * H, H}, {states, H, reset + rest * H, H}, H,
         of_recurrent, kCandidate, kGates},
        {{x + edge * I, I, nullptr, 0}, {x + rest * I, I, nullptr, 0}, I,
         call.of_input + pd * I * kGates * H, 0, kGates, true},
    };
    CellSum cell = {of_all.first + edge * H, of_all.first + rest * H, of_all.stride, B, T, H,
                    call.of_bias + pd * kGates * H};
    int64_t last_gate = cuts == 1 ? +kGates : first_gate + 1;
    add_cell_weights<Operand>(cell, summands, 3, first_gate, last_gate, memory);
    if (first_gate == 0) sum_start(i, pd);
    return true;
  }

  void sum_start(int64_t i, int64_t pd) const {
    int64_t H = call.size, B = call.trials;
    float *out = call.of_start + pd * call.starts * H;
    if (call.starts != 1) {
      std::memcpy(out, of_starts + i * B * H, B * H * sizeof(float));
      return;
    }
    fill(out, H, 0.0f);
    for (int64_t b = 0; b < B; ++b) add(out, of_starts + (i * B + b) * H, H);
  }

  bool through_input(int64_t task) const {
    int64_t I = call.inputs, H = call.size, n_rows = call.bins * call.trials;
    int64_t p = task / row_blocks, row = task % row_blocks * kRows;
    int64_t n = n_rows - row < kRows ? n_rows - row : kRows;
    [[maybe_unused]] typename Operand::Ready ready;
    float *out = call.of_x + ((first + p) * n_rows + row) * I;
    Begin begin = {nullptr, 0};
    for (int64_t d = 0; d < call.directions; ++d) {
      int64_t i = p * call.directions + d;
      auto input = transposed_weights<Operand>(packed + i * packed_each, I, H);
      input_gradient(n, input, gates_of(of_gates, i, row), begin, out, I);
      begin = {out, I};
    }
    return true;
  }
};

// Both give false where there is not enough memory.
template <class Operand>
bool run(const LfadsGru &call) {
  using Pass = GruForward<Operand>;
  Pass pass(call);
  int64_t n = call.members * call.directions;
  CallMemory memory(n * pass.packed_each);
  if (memory.floats() == nullptr) return false;
  pass.packed = memory.floats();
  return run_all<&Pass::pack>(n, call.threads, pass) &&
         run_all<&Pass::walk>(n * pass.tiles.n, call.threads, pass);
}

template <class Operand>
bool run_back(const LfadsGru &call) {
  using Pass = GruBackward<Operand>;
  Pass pass(call);
  int64_t D = call.directions, threads = call.threads;
  int64_t group = members_at_once(pass.memory_each, D * pass.tiles.n, threads);
  if (group > call.members) group = call.members;
  // Packed weights begin a line of the cache.
  int64_t all_gates = round_up(group * D * pass.gates_each, 16);
  CallMemory memory(group * pass.memory_each + 16);
  if (memory.floats() == nullptr) return false;
  pass.of_gates = memory.floats();
  pass.packed = pass.of_gates + all_gates;
  pass.of_starts = pass.packed + group * D * pass.packed_each;
  for (pass.first = 0; pass.first < call.members; pass.first += group) {
    int64_t n = call.members - pass.first < group ? call.members - pass.first : group;
    bool done =
        run_all<&Pass::pack>(n * D, threads, pass) &&
        run_all<&Pass::walk>(n * D * pass.tiles.n, threads, pass) &&
        run_all<&Pass::sum_weights>(n * D * pass.cuts, threads, pass) &&
        (call.of_x == nullptr ||
         run_all<&Pass::through_input>(n * pass.row_blocks, threads, pass));
    if (!done) return false;
  }
  return true;
}

}  // namespace
}  // namespace lfads
