#!/usr/bin/env bash
# run.sh <repository> <interpreter> <probes> <command> <pytest argument>...: the runtime's tests, with programs of this build.
# 77: there is no interpreter with transformers.
set -euo pipefail

repository=$1 python=$2 probes=$3 command=$4
shift 4
if [[ -z $python ]] || ! "$python" -c 'import torch, transformers, tokenizers, safetensors, pytest'; then
  echo "no interpreter with torch and transformers"
  exit 77
fi
export FLASH_MLA_PROBES=$probes FLASH_MLA_COMMAND=$command PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1
cd "$repository"
exec "$python" -m pytest -q -p no:cacheprovider "$@"
