#!/bin/bash
# A run on a Slurm cluster: one Ray node on each machine of the job, the run on the first of them.
#
#   sbatch --nodes 4 deploy/slurm.sh --devices 1000000 --output "$SCRATCH/million"
#
# All words after the script are flags of `fedbert run`. fedbert, with the extra ray, must be on the PATH of
# every machine (activate its environment before sbatch), and the output on a file system that outlasts the job.
#SBATCH --job-name=fedbert
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --time=01:00:00
set -euo pipefail

export RAY_USAGE_STATS_ENABLED=0 OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=0
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
# Jobs that share a machine must not meet.
port=$((20000 + SLURM_JOB_ID % 20000))

# A task a machine: each starts Ray, the one on $head also the run, which waits for the others and ends them.
srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 \
    ray symmetric-run --address "$head:$port" --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-cpus "${SLURM_CPUS_ON_NODE}" -- \
    fedbert run --backend ray --ray-address "$head:$port" "$@"
