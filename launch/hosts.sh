#!/usr/bin/env bash
# Training on the machines of a hostfile, through ssh and torchrun; no pdsh, no scheduler.
#   launch/hosts.sh hostfile recipe=pretrain hardware=a800x16
# The hostfile is DeepSpeed's: one `<host> slots=<devices>` a line, the first host leads. Every host
# sees this folder and this Python under the same path and lets you in without a password.
# REMOTE_SHELL replaces ssh, PORT the port of the first host.
set -euo pipefail

hostfile=${1:?which hostfile? launch/hosts.sh hostfile recipe=...}
shift
read -r -a remote <<<"${REMOTE_SHELL:-ssh -n -tt -o BatchMode=yes}"
python=$(command -v python)
mapfile -t lines < <(sed 's/#.*//' "$hostfile" | grep -E '[^[:space:]]')
leader=${lines[0]%%[[:space:]]*}
folder=$(printf '%q' "$PWD")
words=$(printf ' %q' "$@")

started=()
stop() { kill "${started[@]}" 2>/dev/null || true; }
trap stop EXIT
for number in "${!lines[@]}"; do
  host=${lines[$number]%%[[:space:]]*}
  slots=$(sed -nE 's/.*slots=([0-9]+).*/\1/p' <<<"${lines[$number]}")
  "${remote[@]}" "$host" "cd $folder && exec $python -m torch.distributed.run \
    --nnodes=${#lines[@]} --node-rank=$number --nproc-per-node=${slots:?no slots= for $host in $hostfile} \
    --master-addr=$leader --master-port=${PORT:-29500} -m musicllm$words" &
  started+=($!)
done

# The first host that fails ends the others; the same command continues.
for _ in "${started[@]}"; do
  wait -n
done
