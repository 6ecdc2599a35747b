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
stopped=false
fit=
pass_on() {
    stopped=true
    if [[ -n $fit ]]; then kill -TERM "$fit" 2> /dev/null || true; fi
}
trap pass_on TERM

lfads fit "$recording" --out "$run" --resume-if-exists &
fit=$!

# A trapped signal ends `wait` at once, so wait until the fit itself is gone.
status=0
wait "$fit" || status=$?
while kill -0 "$fit" 2> /dev/null; do
    status=0
    wait "$fit" || status=$?
done

# 143: stored and left in good order; 137: killed before that, a checkpoint is there all the same.
if $stopped && [[ $status -eq 143 || $status -eq 137 ]]; then
    echo "stopped by the cluster; back into the queue"
    scontrol requeue "$SLURM_JOB_ID"
    exit 0
fi
exit "$status"
