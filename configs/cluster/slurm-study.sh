#!/usr/bin/env bash
# One mixplan study under Slurm, its jobs shared by the tasks of an array. `mixplan study emit STUDY --jobs N`
# fills in what stands between two @ and writes the result to the run folder's slurm.sh:
#   sbatch slurm.sh
# The run folder, and the cache (MIXPLAN_CACHE, else ~/.cache/mixplan), must lie on storage that every node sees. Sent
# again after its time has ended it goes on from there. Your own #SBATCH lines (partition, account, time) go below the
# first ones.
#SBATCH --job-name=@NAME@
#SBATCH --array=0-@LAST@
#SBATCH --nodes=1
#SBATCH --ntasks=1
@GPU_LINE@
#SBATCH --output=@RUN@/slurm-%A-%a.log
set -euo pipefail
cd @FOLDER@
export HF_HUB_DISABLE_TELEMETRY=1 TOKENIZERS_PARALLELISM=false
options=(@STUDY@ --run @RUN@ --processes @PROCESSES@ @OPTIONS@)

# The first task registers the study, reads, and judges in the end; the others train and measure beside it.
if [ "$SLURM_ARRAY_TASK_ID" = 0 ]; then
  exec @PYTHON@ -m mixplan study run "${options[@]}" @MEASURED@
fi
until [ -e @RUN@/registered.json ]; do sleep 5; done
exec @PYTHON@ -m mixplan study work "${options[@]}"
