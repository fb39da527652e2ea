#!/bin/bash
# One model on the two cores of each of four machines: sbatch examples/slurm.sh corpus.txt
# The checkpoints must be in a directory that all machines share.
#SBATCH --job-name=charlm
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=2
#SBATCH --time=02:00:00
#SBATCH --signal=B:TERM@120

set -euo pipefail

corpus=${1:?name a text: sbatch examples/slurm.sh corpus.txt}
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)

# So that a machine that is lost can come back (docs/scaling.md).
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1

# One launcher on each machine; they meet at the first one. exec, so that Slurm's signal, two minutes
# before the time is over, reaches the launchers, and the run is saved. sbatch again continues it if
# the last line says: charlm train --resume NAME
exec srun torchrun \
  --nnodes "$SLURM_JOB_NUM_NODES" \
  --nproc-per-node "$SLURM_CPUS_PER_TASK" \
  --rdzv-backend c10d \
  --rdzv-id "charlm-$SLURM_JOB_ID" \
  --rdzv-endpoint "$first:29500" \
  --max-restarts 3 \
  -m charlm train "$corpus" --batch-size 256
