% Export a session from MATLAB so that `lfads prepare` can read it.
%
% Copy this file, replace the right-hand sides of section 1 by your own variables, and run it. Then:
%
%   lfads prepare session.mat --out session.h5 --window -0.25 0.45 --bin-width 0.005
%   lfads check session.h5
%   lfads fit session.h5
%
% All times are in SECONDS on ONE clock (divide milliseconds by 1000, samples by the sampling rate).
% If your spikes are binned already, use section 2 instead.

%% 1. Spike times and events ---------------------------------------------------------------------

% One cell per unit, each a vector of spike times. Silent units stay in, as empty cells.
spike_times = {[0.013 0.250 1.101], [], [0.700 1.350]};

% A number for each unit, in the order of the cells: they come back in every result.
unit_ids = [11 12 15];

% The event that trials are aligned to, one per trial. NaN where a trial has none: it is left out.
event_times = [0.5 1.2];

% Optional: a label per trial, as numbers or as a cell array of char ('...' in single quotes).
% Strings ("...") and categorical arrays can't be read outside MATLAB: use cellstr(...).
condition = {'left', 'right'};

% Optional: your own number of each trial.
trial_ids = [1 2];

% Optional: behaviour, one row per sample, with its times under the same name plus _times.
% It is interpolated at the centres of bins; NaN marks samples that are missing.
hand_velocity = [0.0 0.1; 0.2 0.1; 0.4 0.0];   % size: samples x dimensions
hand_velocity_times = [0.0 0.8 1.6];

% When the recording began and ended. Bins beyond it are marked as missing; without these two
% numbers they would count as silence.
recording_start_s = 0;
recording_stop_s = 1.6;

% -v7 suffices for variables under 2 GB; use -v7.3 for larger ones. Both are read.
save('session.mat', 'spike_times', 'unit_ids', 'event_times', 'condition', 'trial_ids', ...
    'hand_velocity', 'hand_velocity_times', 'recording_start_s', 'recording_stop_s', '-v7');

%% 2. Or: spikes that are binned already -----------------------------------------------------------

% size(counts) is trials x bins x units, as MATLAB shows it. NaN marks missing bins.
% MATLAB drops a last dimension of 1, so a single unit can't be saved this way: use section 1.
counts = zeros(2, 140, 3);
bin_width_s = 0.005;
unit_ids = [11 12 15];
condition = {'left', 'right'};

% This file needs no `lfads prepare`: lfads check binned.mat; lfads fit binned.mat
save('binned.mat', 'counts', 'bin_width_s', 'unit_ids', 'condition', '-v7');

% Check: these must be your numbers of trials, bins and units.
disp(size(counts))
