#!/usr/bin/env bash
# One mixplan job under Slurm. `mixplan train RECIPE --emit slurm` fills in what stands between two @ and writes the
# result to the run folder's training/slurm.sh:
#   sbatch training/slurm.sh
# The run folder must lie on storage that every node sees. Before its time ends the job saves a checkpoint; sent again
# it goes on from there. Your own #SBATCH lines (partition, account, time) go below the first ones.
#SBATCH --job-name=@NAME@
#SBATCH --nodes=@NODES@
#SBATCH --ntasks-per-node=1
@GPU_LINE@
#SBATCH --output=@RUN@/training/slurm-%j.log
#SBATCH --signal=TERM@300
set -euo pipefail
cd @FOLDER@
head_node=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export head_node port=$((20000 + SLURM_JOB_ID % 10000)) python=@PYTHON@ run=@RUN@
export HF_HUB_DISABLE_TELEMETRY=1 TOKENIZERS_PARALLELISM=false

# One launcher a node; each starts its node's processes.
srun --kill-on-bad-exit=1 bash -c 'exec "$python" -m accelerate.commands.launch \
  --config_file "$run/training/launch.yaml" \
  --num_machines "$SLURM_NNODES" --num_processes "$((SLURM_NNODES * @PROCESSES@))" --machine_rank "$SLURM_NODEID" \
  --main_process_ip "$head_node" --main_process_port "$port" "$@" \
  -m mixplan.train.worker "$run"' launch @EXTRA@

# Training is done: measure before and after, and write outcome.json and the report.
"$python" -m mixplan train "$run"
