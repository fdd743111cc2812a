#!/usr/bin/env bash
# accelerate 1.15.0: `accelerate launch --cpu --num_processes 2` starts one process, without a word.
#
# The same holds for a config file with `distributed_type: MULTI_CPU` and `num_processes: 2`, unless MPI starts the
# launcher. The program runs once, alone, with exit code 0. A script that shares its work by `num_processes` does all of
# it in one process, and a test that holds several processes against one holds one against itself. PyTorch's own
# launcher starts both.
#
# Seen: "processes: 1" by the flags and by the file, "processes: 2" twice by torch.distributed.run. Exits 1 where that
# changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 accelerate==1.15.0
cat >"$folder/count.py" <<'PYTHON'
from accelerate import PartialState

print("processes:", PartialState(cpu=True).num_processes, flush=True)
PYTHON
cat >"$folder/two.yaml" <<'YAML'
compute_environment: LOCAL_MACHINE
distributed_type: MULTI_CPU
machine_rank: 0
main_process_port: 0
num_machines: 1
num_processes: 2
use_cpu: true
YAML
export HF_HOME="$folder/home" OMP_NUM_THREADS=1
run="$folder/venv/bin"
flags=$("$run/accelerate" launch --cpu --num_processes 2 "$folder/count.py" 2>"$folder/flags.err" | grep processes)
config=$("$run/accelerate" launch --config_file "$folder/two.yaml" "$folder/count.py" 2>"$folder/config.err" | grep processes)
torch=$("$run/python" -m torch.distributed.run --nproc_per_node 2 "$folder/count.py" 2>"$folder/torch.err" | grep processes)
printf 'by --cpu --num_processes 2:\n%s\nby MULTI_CPU:\n%s\nby torch.distributed.run:\n%s\n' "$flags" "$config" "$torch"
[ "$flags" = "processes: 1" ] && [ "$config" = "processes: 1" ] && [ "$torch" = $'processes: 2\nprocesses: 2' ]
