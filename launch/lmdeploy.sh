#!/usr/bin/env bash
# Serves an exported model on GPUs with LMDeploy (pip install lmdeploy, in an environment of its own):
# OpenAI's protocol at http://127.0.0.1:23333/v1. First: python -m musicllm recipe=imelodist/export
#   launch/lmdeploy.sh <folder of the export> [further options of lmdeploy serve api_server, such as --tp 2]
# HOST and PORT say where it listens; with another HOST add --api-keys and --ssl, since everyone who
# reaches the port may use it. The chat template is that of the folder. LMDEPLOY is the program.
set -euo pipefail

folder=${1:?which folder? launch/lmdeploy.sh <folder of the export>}
shift
format=$(python -c '
import json, sys
from pathlib import Path
folder = Path(sys.argv[1])
if not (folder / "config.json").is_file():
    sys.exit(f"{folder} has no config.json; name the artifact of an export")
quantization = json.loads((folder / "config.json").read_text()).get("quantization_config")
if quantization is None:
    print("hf")
elif quantization.get("quant_method") == "awq" and quantization.get("group_size") == 128:
    print("awq")
else:
    kind, size = quantization.get("quant_method"), quantization.get("group_size")
    sys.exit(f"{folder} is quantized by {kind} in groups of {size}; LMDeploy runs AWQ in groups of 128: "
             f"serve it with vLLM, or export it with export.format=hf")
' "$folder")
exec "${LMDEPLOY:-lmdeploy}" serve api_server "$folder" --backend turbomind --model-format "$format" \
  --server-name "${HOST:-127.0.0.1}" --server-port "${PORT:-23333}" "$@"
