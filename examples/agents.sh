#!/usr/bin/env bash
# A W&B agent for each GPU of this machine, of those in CUDA_VISIBLE_DEVICES where that is set:
#   examples/agents.sh ENTITY/PROJECT/SWEEP
set -u

gpus=${CUDA_VISIBLE_DEVICES:-$(nvidia-smi --query-gpu=index --format=csv,noheader)} || exit 2
agents=()
for gpu in ${gpus//,/ }; do
    CUDA_VISIBLE_DEVICES=$gpu "${WANDB:-.venv/bin/wandb}" agent --forward-signals "$1" &
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
