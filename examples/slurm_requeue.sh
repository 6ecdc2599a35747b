#!/usr/bin/env bash
#SBATCH --job-name=lfads
#SBATCH --time=04:00:00
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=lfads_%j.log
#SBATCH --signal=B:TERM@120
#
# One fit that survives the time limit and preemption:
#
#     sbatch slurm_requeue.sh maze.h5 maze_run
#
# For a GPU add: #SBATCH --gres=gpu:1

set -euo pipefail

recording=${1:?usage: sbatch slurm_requeue.sh RECORDING RUN}
run=${2:?usage: sbatch slurm_requeue.sh RECORDING RUN}

export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}

# SLURM signals this shell; the fit has to hear it, write its checkpoint and leave.
heard=0
fit=
pass_on() {
    heard=$((heard + 1))
    if [[ -n $fit ]]; then kill -TERM "$fit" 2> /dev/null || true; fi
}
trap pass_on TERM

lfads fit "$recording" --out "$run" --resume-if-exists &
fit=$!
if [[ $heard -gt 0 ]]; then pass_on; fi

# A trapped signal ends `wait` with a status that is not the fit's, so wait until no signal came in between.
# 127: the shell has already told its status.
status=127
while true; do
    before=$heard
    code=0
    wait "$fit" || code=$?
    if [[ $code -ne 127 ]]; then status=$code; fi
    if [[ $heard -eq $before ]]; then break; fi
done

# 143: stored and left in good order; 137: killed before that, a checkpoint is there all the same.
if [[ $heard -gt 0 ]] && [[ $status -eq 143 || $status -eq 137 ]]; then
    echo "stopped by the cluster; back into the queue"
    scontrol requeue "$SLURM_JOB_ID"
    exit 0
fi
exit "$status"
