// The plain C interface: structures of sizes and pointers, and the functions that take them.
// `library.py` repeats the structures field by field; change INTERFACE in both when one changes.
//
// Axes: P member, D direction, T bin, B trial, I input, H hidden unit, E encoder state,
// C controller, U inferred input, X external input, G generator, F factor. Arrays are contiguous
// float32 unless said otherwise. A null pointer: not there, or not wanted.
#pragma once
#include <cstdint>

#define LFADS_INTERFACE 4

extern "C" {

struct LfadsGru {
  int64_t members, directions, bins, trials, inputs, size;
  int64_t starts;     // initial states per member and direction: 1 for all trials, or one for each
  int64_t reversed;   // bit d: direction d reads the bins from last to first
  int64_t threads;
  int64_t clipped;    // steps at which the clip can act: 0, 1 or T
  int64_t bf16;       // not 0: operands of products are rounded to bf16, and summed in float32
  float clip;
  const float *x;          // [P, T, B, I]
  const float *start;      // [P, D, starts, H]
  const float *input;      // [P, D, I, 3H], gates z, r, n
  const float *recurrent;  // [P, D, H, 3H]
  const float *bias;       // [P, D, 3H]
  float *states;           // [P, D, T, B, H], in the order of time
  float *gates;            // [P, D, 3, T, B, H], or null where no gradient will be asked for
  float *unclipped;        // [P, D, clipped, B, H], steps in scan order: 1 where the gradient passes
  const float *of_states;  // the gradients from here on; [P, D, T, B, H], or null
  const float *of_ends;    // [P, D, B, H] of the last state in the order of reading, or null
  float *of_x;             // [P, T, B, I]
  float *of_start;         // [P, D, starts, H]
  float *of_input, *of_recurrent, *of_bias;
};

struct LfadsDecoder {
  int64_t members, bins, trials, encoded, controller, inferred, external, generator, factors;
  int64_t threads;
  int64_t clipped;
  int64_t bf16;
  float clip;
  // What is given. Without a controller everything that belongs to it is null and of size 0.
  const float *generator_state;   // [P, B, G]
  const float *encoder_states;    // [P, T, B, E]
  const float *external_inputs;   // [P, T, B, X]
  const float *noise;             // [P, T, B, U]
  const float *first_mask;        // [P, B, G]
  const float *generator_mask;    // [P, T, B, G]
  const float *factor_mask;       // [P, T, B, F]
  const float *controller_input;  // [P, E+F, 3C]
  const float *controller_recurrent, *controller_bias;
  const float *controller_state;  // [P, C]
  const float *output_weight;     // [P, C, 2U]
  const float *output_bias;       // [P, 2U]
  const float *generator_input;   // [P, U+X, 3G]
  const float *generator_recurrent, *generator_bias;
  const float *to_factors;        // [P, F, G], rows of unit length
  // What is made.
  float *made_factors;            // [P, T, B, F]
  float *generator_states;        // [P, T, B, G]
  float *controller_states;       // [P, T, B, C]
  float *means, *log_variances, *inputs;  // [P, T, B, U]
  // What only the backward pass reads.
  float *first_factors;           // [P, B, F]
  float *generator_gates;         // [P, 3, T, B, G], or null where no gradient will be asked for
  float *controller_gates;        // [P, 3, T, B, C]
  float *generator_unclipped;     // [P, clipped, B, G]
  float *controller_unclipped;    // [P, clipped, B, C]
  // Gradients that arrive.
  const float *of_factors, *of_generator_states, *of_controller_states;
  const float *of_means, *of_log_variances, *of_inputs;
  // Gradients that leave.
  float *of_generator_state, *of_encoder_states, *of_external_inputs;
  float *of_controller_input, *of_controller_recurrent, *of_controller_bias;
  float *of_controller_state, *of_output_weight, *of_output_bias;
  float *of_generator_input, *of_generator_recurrent, *of_generator_bias, *of_to_factors;
};

// Words of the counter-based streams; see training/streams.py.
struct LfadsRandom {
  int64_t members, rows, words;  // words of each row
  int64_t threads;
  uint32_t key0, key1, step;
  const int64_t *member;  // [P], permanent ids
  const int64_t *row;     // [P, R], row numbers
  int64_t elements;       // of each row, for masks: two to a word
  int64_t bins;           // equal pieces of a row; masks are [P, bins, R, elements / bins]
  const int64_t *threshold;  // [P]: an element is kept where its 16 bits are below
  const double *scale;    // [P]: value of a kept element
  int64_t *bits;          // [P, R, words]
  uint8_t *kept;          // booleans
  float *mask;            // `scale` or 0
};

// Read-out, Poisson likelihood and gradients; see poisson.h. L bins of a recording, N units.
struct LfadsPoisson {
  int64_t members, bins, trials, factors, units, threads;
  int64_t recording_bins, first_bin;
  int64_t member_stride, bin_stride;      // of the factors, in numbers
  int64_t gradient_bin, gradient_trial;   // strides of has_gradient, in rows of N
  int64_t adds_constant;                  // whether log(counts!) belongs to the value
  const float *made_factors;      // [P, T, B, F] by these strides
  const float *weight, *bias;     // [P, F, N], [P, N]
  const float *counts;            // [trials of the recording, L, N]
  const int64_t *index;           // [P, B]
  const uint8_t *is_present;      // as counts, or null
  const uint8_t *has_gradient;    // of each member T * B rows of N by these strides, or null
  const uint8_t *is_counted;      // [T, N], or null
  double *total, *n_present;      // [P]: nats, entries that they are of
  float *of_factors, *of_weight, *of_bias;  // [P, T, B, F], [P, F, N], [P, N], or all null
};

// A batch of one session for the encoder; see batch.h. Null thresholds: nothing of this kind.
struct LfadsBatch {
  int64_t members, trials, bins, units, recording_bins, encoded_bins, first_bin, inputs, threads;
  uint32_t key0, step, hide_site, pass_site, drop_site;
  const int64_t *member;          // [P]
  const int64_t *row;             // [P, B]
  const int64_t *index;           // [P, B]
  const float *counts;            // [trials of the recording, L, N]
  const int64_t *unit;            // [I], positions of the encoded units
  const uint8_t *never_hidden;    // [N]
  const uint8_t *hides_nothing;   // [P]
  const int64_t *hide_threshold, *pass_threshold, *drop_threshold;  // [P]
  const double *hide_scale, *drop_scale;                            // [P]
  float *x;                       // [P, E, B, I]
  uint8_t *has_gradient;          // [P, T, B, N]
};

// See adamw.h. Seven numbers for each member.
struct LfadsAdamW {
  int64_t members, n, threads;
  const float *gradient, *numbers;
  const uint8_t *is_active;
  float *weights, *moment1, *moment2;  // [P, n]
};

// See lagged.h; backward where of_states is there.
struct LfadsLagged {
  int64_t members, bins, trials, encoded_bins, size, lag, threads;
  const float *states;   // [P, 2, E, B, H]
  const float *mask;     // [P, T, B, 2H], or null
  float *seen;           // [P, T, B, 2H]
  const float *of_seen;
  float *of_states;
};

// Instruction sets, weakest first. 0: what the compiler makes for any machine of this kind. The
// last two are for tests: the source of AVX-512 and AMX, run by AVX2.
int32_t lfads_interface(void);
int32_t lfads_supports(int32_t instructions);
// The same for products of bf16 operands; with AMX this asks the system for its tiles.
int32_t lfads_supports_bf16(int32_t instructions);
int32_t lfads_gru_forward(int32_t instructions, const LfadsGru *call);
int32_t lfads_gru_backward(int32_t instructions, const LfadsGru *call);
int32_t lfads_decoder_forward(int32_t instructions, const LfadsDecoder *call);
int32_t lfads_decoder_backward(int32_t instructions, const LfadsDecoder *call);
int32_t lfads_random(int32_t instructions, const LfadsRandom *call);
int32_t lfads_poisson(int32_t instructions, const LfadsPoisson *call);
int32_t lfads_batch(int32_t instructions, const LfadsBatch *call);
int32_t lfads_adamw(int32_t instructions, const LfadsAdamW *call);
int32_t lfads_lagged(int32_t instructions, const LfadsLagged *call);
}
