#!/usr/bin/env bash
# A sweep on Slurm: every task runs its share of the trials, in a directory that all of them see.
#   sbatch --array=1-8 examples/slurm.sh sweeps/compare.yaml      eight jobs, from the folder of the suite
#   srun --ntasks=8 examples/slurm.sh sweeps/compare.yaml         or the eight tasks of one job
# When its time is nearly up, a job of an array is sent SIGTERM. It then stops its trials, whose checkpoints stay, and
# queues itself again; where it starts anew, finished trials are skipped and the interrupted go on.
# With W&B, the line that starts sweep.py becomes: wandb agent --forward-signals ENTITY/PROJECT/SWEEP &
#SBATCH --job-name=sweep
#SBATCH --cpus-per-task=4
#SBATCH --time=04:00:00
#SBATCH --signal=B:TERM@60
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%A_%a.log
# For a GPU, add --gres=gpu:1 here or behind sbatch; with srun, --gpus-per-task=1.
set -u

part=${SLURM_ARRAY_TASK_ID:-$((SLURM_PROCID + 1))}
"${PYTHON:-.venv/bin/python}" sweep.py "$1" --shard "$part/${SLURM_ARRAY_TASK_COUNT:-$SLURM_NTASKS}" &
runner=$!
trap 'kill -TERM "$runner"' TERM # bash acts on a signal while it waits, not while a program runs in the foreground
wait "$runner"
code=$?
while kill -0 "$runner" 2> /dev/null; do # the signal ended the first wait, not the runner
    wait "$runner"
    code=$?
done

if [[ $code -eq 130 || $code -eq 143 ]] && [[ -n ${SLURM_ARRAY_JOB_ID:-} ]]; then # 0 and 1: all trials were run
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
fi
exit "$code"
