#!/usr/bin/env bash
# A W&B agent for each GPU of this machine, or for each of those in CUDA_VISIBLE_DEVICES; of a divided card (MIG), for each part:
#   examples/agents.sh ENTITY/PROJECT/SWEEP
set -u

bin=${BIN:-.venv/bin}
gpus=$("$bin/python" -c 'from headtohead.trial.hardware import gpus; print(*gpus())') || exit 2
[[ $gpus ]] || { echo "agents.sh: nvidia-smi and CUDA_VISIBLE_DEVICES name no GPU" >&2; exit 2; }
TRIALS_ON_MACHINE=$(wc -w <<< "$gpus") # they share its cores
export TRIALS_ON_MACHINE
agents=()
for gpu in $gpus; do
    CUDA_VISIBLE_DEVICES=$gpu "$bin/wandb" agent --forward-signals "$1" &
    agents+=($!)
done
trap 'kill -TERM "${agents[@]}"' INT TERM # each passes it on to its trial, which is then queued again
code=0
for agent in "${agents[@]}"; do
    wait "$agent" || code=$?
    while kill -0 "$agent" 2> /dev/null; do # the signal ended the wait, not the agent
        wait "$agent" || code=$?
    done
done
exit "$code"
